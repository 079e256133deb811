"""Follow initial densities with noise until the stationary density that they tend to is certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.errors import ComputationError
from meanfield_pde.limits.densities import DensitySystem
from meanfield_pde.limits.stationary import Stationary, relaxed, stationary
from meanfield_pde.limits.unsettled import UncertainError, UnsettledError
from meanfield_pde.methods.spectral import Spectral
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem

__all__ = ["Settled", "settle"]

#: Depths at which the densities are examined: the first in units of 1 / fastest rate, each twice the last.
FIRST, LATEST = 4.0, 2.0**20
#: Residual below which what is left of the motion is slow.
SLOW = 0.02
#: Largest change of a coefficient by Newton's method that is still the same basin.
FAR = 0.3
#: The flow has come so near to an unstable state that it stays there by symmetry.
AT_REST = 1e-7
STEPS = 256


@dataclass(frozen=True)
class Settled:
    """The stationary density of initial densities; the depth at which it was certain, how far they were."""

    stationary: Stationary
    depth: float
    distance: float


def settle(problem: Problem, between: Callable[[float], None] = lambda _: None) -> Settled:
    """Stationary density that the flow with noise tends to from the initial law of a problem.

    Raises
    ------
    UnsettledError
        When the densities do not settle, or the finest grid does not resolve them.
    """
    method = Spectral.start(problem)
    start = method.depth
    rate = problem.sigma + float(np.abs(method.equation.velocity(method.coefficients)).max())
    step, reason = FIRST / rate, ""
    while method.depth - start < LATEST / rate:
        _advance(method, method.depth + step, between)
        try:
            return _certain(problem, method)
        except UncertainError as doubt:
            reason = str(doubt)
        except ComputationError as error:
            raise UnsettledError(f"limit: {error}", method.state()) from error
        step *= 2.0
    raise UnsettledError(
        f"limit: no stationary density up to depth {method.depth:.4g}: {reason}", method.state()
    )


def _advance(method: Spectral, depth: float, between: Callable[[float], None]) -> None:
    while True:
        reason = method.advance(depth, STEPS)
        between(method.depth)
        if reason == "reached":
            return
        if reason == "guard":
            finest = method.problem.accuracy.max_resolution
            raise UnsettledError(
                f"limit: the densities need more than solver.max_resolution = {finest} grid points at depth "
                f"{method.depth:.4g}; raise it, or raise noise.sigma",
                method.state(),
            )
        if reason == "underflow":
            raise UnsettledError(
                f"limit: steps vanish at depth {method.depth:.4g}: lower attention.beta", method.state()
            )


def _certain(problem: Problem, method: Spectral) -> Settled:
    """Stationary density that the flow is certain to reach from here."""
    equation, coefficients = method.equation, method.coefficients
    try:
        found = stationary(problem, equation, coefficients)
        slow = False
    except StalledError as error:
        found, slow = _slowly(problem, method, error), True
    distance = float(np.abs(found.coefficients - found.equation.space.pad(coefficients)).max())
    if not slow and distance > FAR:
        raise UncertainError("Newton's method finds but distant stationary densities")
    if not found.stable and distance > AT_REST:
        raise UncertainError(f"it passes an unstable one (growth rate {found.leading:.3g})")
    return Settled(found, method.depth, distance)


def _slowly(problem: Problem, method: Spectral, error: StalledError) -> Stationary:
    """Go on by implicit steps, once fast motions are over."""
    equation, coefficients = method.equation, method.coefficients
    system = DensitySystem(equation)
    residual: FloatArray = system.residual(system.flat(coefficients))
    if np.abs(residual).max() > SLOW:
        raise UncertainError(f"it still moves ({error})") from error
    try:
        return stationary(problem, equation, relaxed(equation, coefficients))
    except StalledError as again:
        raise UncertainError(f"it still moves ({again})") from again
