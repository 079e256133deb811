r"""Branches that leave a point along a direction of the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solvers.constrained import Condition, Solution, constrained
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from solvers.branches import Control, Family, Limits, Point, Vector
    from solvers.compiled import FloatArray

__all__ = ["leaving", "switch"]


def _moved(
    family: Family, point: Point, direction: FloatArray, amplitude: float, guess: Vector, tolerance: float
) -> Solution:
    row = family.weights(point.state) * direction
    condition = Condition(row, 0.0, (point.state, point.value), amplitude)
    with np.errstate(all="ignore"):  # what is not finite fails in Newton's method
        return constrained(family, condition, guess, tolerance)


def _first_guess(family: Family, point: Point, direction: FloatArray, amplitude: float) -> Vector:
    size = float(family.weights(point.state) @ direction**2)
    return point.state + amplitude / size * direction, point.value


def switch(
    family: Family,
    point: Point,
    direction: FloatArray,
    *,
    amplitude: float,
    limits: Limits,
    control: Control,
) -> Vector | None:
    r"""Find the first point of a branch that leaves ``point`` along a direction.

    It solves :math:`r(u, \lambda) = 0`, :math:`\langle d, u - u_0 \rangle = \epsilon` for u and λ, with the
    neutral directions of u₀ + ε d / ⟨d, d⟩, where the solution is sought.

    Parameters
    ----------
    direction
        d, (n,), of any length.
    amplitude
        ε, of either sign: half branches may leave on both sides.

    Returns
    -------
    tuple or None
        State and value; None if there is none nearby, or not within the limits.
    """
    guess = _first_guess(family, point, direction, amplitude)
    try:
        solution = _moved(family, point, direction, amplitude, guess, control.tolerance)
    except StalledError:
        return None
    inside = limits[0] <= solution.value <= limits[1]
    return (solution.state, solution.value) if inside else None


def leaving(
    family: Family,
    point: Point,
    direction: FloatArray,
    amplitudes: Sequence[float] | FloatArray,
    *,
    tolerance: float = 1e-10,
) -> FloatArray:
    r"""Return the values λ(ε), (amplitudes,), on the branch that leaves a point along a direction.

    Each solves the equations of `switch`. They show how the branch leaves,
    :math:`\lambda = \lambda_c + \lambda_1 \epsilon + \lambda_2 \epsilon^2 + \dots`

    Parameters
    ----------
    direction
        d, (n,); ε is ⟨d, u − u₀⟩, in proportion to its length.
    amplitudes
        The ε, none 0, in an order in which each is near the last one.

    Raises
    ------
    ValueError
        If an amplitude is 0.
    StalledError
        If there is no such state.
    """
    if not np.all(np.asarray(amplitudes)):
        raise ValueError(f"leaving: amplitudes must not be 0, got {amplitudes!r}; the point itself is there")
    last: Vector | None = None
    values: list[float] = []
    for index, amplitude in enumerate(amplitudes):
        if last is None:
            guess = _first_guess(family, point, direction, amplitude)
        else:
            ratio = amplitude / amplitudes[index - 1]
            guess = (
                point.state + ratio * (last[0] - point.state),
                point.value + ratio**2 * (last[1] - point.value),
            )
        solution = _moved(family, point, direction, amplitude, guess, tolerance)
        last = solution.state, solution.value
        values.append(solution.value)
    return np.array(values)
