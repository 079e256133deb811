"""Newton's method for r(u) = 0, on systems that are singular along known directions too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from solvers.bordered import Border, Jacobian, bordered, solve_linear

if TYPE_CHECKING:
    from collections.abc import Callable

    from solvers.compiled import FloatArray

__all__ = ["Border", "Jacobian", "Root", "StalledError", "bordered", "newton", "solve_linear"]

#: A damped step must take this part of what the linear model promises (Deuflhard 2011, section 3.1).
SHARE_OF_DECREASE = 0.25
#: Halvings of a step before Newton gives up.
HALVINGS = 12
#: Below the tolerance, a residual that falls by less than this factor is at rounding level.
REST = 0.5


class StalledError(Exception):
    """Newton's method that ends above the tolerance.

    Attributes
    ----------
    state
        (n,): the best that was reached.
    residual
        Largest entry of its residual.
    """

    def __init__(self, message: str, state: FloatArray, residual: float) -> None:
        super().__init__(message)
        self.state = state
        self.residual = residual


@dataclass(frozen=True)
class Root:
    """A solution: the state (n,), the largest entry of its residual, and the steps that it took."""

    state: FloatArray
    residual: float
    iterations: int


class _Iterate(NamedTuple):
    state: FloatArray
    residual: FloatArray
    size: float  # largest entry, infinite when one is not finite


def _iterate(residual: Callable[[FloatArray], FloatArray], state: FloatArray) -> _Iterate:
    values = residual(state)
    size = float(np.max(np.abs(values), initial=0.0))
    return _Iterate(state, values, size if math.isfinite(size) else math.inf)


def _damped(
    residual: Callable[[FloatArray], FloatArray],
    last: _Iterate,
    along: Callable[[float], FloatArray],
    part: float,
    halvings: int,
) -> _Iterate | None:
    """Take this part of the step, halved until the residual falls as it should; None if it never does."""
    for _ in range(halvings + 1):
        trial = _iterate(residual, along(part))
        if trial.size < (1.0 - SHARE_OF_DECREASE * part) * last.size:
            return trial
        part *= 0.5
    return None


def _moved(
    move: Callable[[FloatArray, FloatArray], FloatArray], state: FloatArray, step: FloatArray, part: float
) -> FloatArray:
    return move(state, part * step)


def newton(  # noqa: PLR0913 (options of one call)
    residual: Callable[[FloatArray], FloatArray],
    jacobian: Callable[[FloatArray], Jacobian],
    start: FloatArray,
    *,
    tolerance: float,
    most: int = 30,
    border: Callable[[FloatArray], Border] | Border | None = None,
    longest: float = math.inf,
    move: Callable[[FloatArray, FloatArray], FloatArray] = np.add,
) -> Root:
    r"""Solve r(u) = 0 by steps J dx + Cᵀs = −r, R dx + Ds = 0, halved until the residual falls.

    Below the tolerance, it goes on while full steps lower the residual: the answer is at rounding level.

    Parameters
    ----------
    residual, jacobian
        r(u), (n,), and its derivative, (n, n).
    start
        (n,).
    tolerance
        Largest entry that the residual may keep.
    most
        Steps at most.
    border
        For a residual with symmetries: their directions as columns, conditions that fix the place along them
        as rows. The multipliers s vanish with the residual where the symmetry is exact.
    longest
        Largest entry that a step may have; longer ones are scaled down.
    move
        State after a step: the sum, or where states are points of a manifold and steps tangent to it, (n,), a
        retraction (Absil, Mahony & Sepulchre 2008, chapter 4).

    Raises
    ------
    StalledError
        If the tolerance is not reached: the message says why.
    """
    with np.errstate(all="ignore"):  # what is not finite counts as a failure
        last = _iterate(residual, np.array(start, dtype=np.float64))
        for count in range(most):
            if last.size in {0.0, math.inf}:
                return _ended(last, count, tolerance, "the residual is not finite at the start")
            try:
                step, _ = solve_linear(
                    jacobian(last.state), -last.residual, border(last.state) if callable(border) else border
                )
            except np.linalg.LinAlgError as error:
                return _ended(last, count, tolerance, str(error))
            within = last.size <= tolerance
            part = 1.0 / max(1.0, float(np.max(np.abs(step))) / longest)
            along = partial(_moved, move, last.state, step)
            trial = _damped(residual, last, along, part, 0 if within else HALVINGS)
            if trial is None:
                return _ended(last, count, tolerance, "no step lowers the residual")
            settled = within and trial.size > REST * last.size
            last = trial
            if settled:
                return _ended(last, count + 1, tolerance, "")
        return _ended(last, most, tolerance, f"{most} steps were not enough")


def _ended(last: _Iterate, iterations: int, tolerance: float, reason: str) -> Root:
    if last.size <= tolerance:
        return Root(last.state, last.size, iterations)
    raise StalledError(
        f"newton: {reason}; the residual is {last.size:.1e} after {iterations} steps, "
        f"the tolerance {tolerance:.1e}",
        last.state,
        last.size,
    )
