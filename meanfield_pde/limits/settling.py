"""Follow initial densities with noise until the stationary density that they tend to is certain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.errors import ComputationError
from meanfield_pde.limits.stationary import Stationary, relaxed, stationary
from meanfield_pde.limits.unsettled import UncertainError, UnsettledError
from meanfield_pde.methods.spectral import Spectral
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.equation import Equation
    from meanfield_pde.problem import Problem

__all__ = ["Settled", "settle"]

#: Depths at which the densities are examined: the first in units of 1 / fastest rate, each twice the last.
FIRST, LATEST = 4.0, 2.0**20
#: Rate of the low coefficients, relative to the fastest at the start, below which the motion is slow.
SLOW = 0.01
#: Growth rate, relative to the same, of which an unstable state is as good as a limit: it is reported as
#: unstable, with its rate and the direction of escape, since the flow would take for ever to leave it.
METASTABLE = 1e-3
#: Largest change of a coefficient by Newton's method that is still the same basin.
FAR = 0.3
#: The flow has come so near to an unstable state that it stays there by symmetry.
AT_REST = 1e-7
STEPS = 256
#: rtol and atol, at least, with which the flow is followed on surfaces: to which state, not where exactly.
ROUGH = (1e-3, 1e-4)


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
    method = Spectral.start(_rough(problem))
    start = method.depth
    rate = problem.sigma + float(np.abs(method.equation.velocity(method.coefficients)).max())
    step, reason = FIRST / rate, ""
    while method.depth - start < LATEST / rate:
        _advance(method, method.depth + step, between)
        try:
            return _certain(problem, method, rate)
        except UncertainError as doubt:
            reason = str(doubt)
        except ComputationError as error:
            raise UnsettledError(f"limit: {error}", method.state()) from error
        step *= 2.0
    raise UnsettledError(
        f"limit: no stationary density up to depth {method.depth:.4g}: {reason}", method.state()
    )


def _rough(problem: Problem) -> Problem:
    """On surfaces, where steps are dear, follow the flow roughly: Newton's method makes it exact."""
    if problem.space.is_line:
        return problem
    rtol, atol = (
        max(*pair) for pair in zip(ROUGH, (problem.accuracy.rtol, problem.accuracy.atol), strict=True)
    )
    return replace(problem, accuracy=replace(problem.accuracy, rtol=rtol, atol=atol))


def _equation(problem: Problem, method: Spectral) -> Equation:
    """Equation on the grid of the flow, with the accuracy of the problem itself."""
    return method.equation if method.problem is problem else problem.equation(method.equation.space)


def _advance(method: Spectral, depth: float, between: Callable[[float], None]) -> None:
    while True:
        reason = method.advance(depth, STEPS)
        between(method.depth)
        if reason == "reached":
            return
        if reason == "guard":
            finest = method.problem.accuracy.max_resolution
            raise UnsettledError(
                f"limit: the densities need more than solver.max_resolution = {finest} "
                f"{method.problem.space.counted} at depth "
                f"{method.depth:.4g}; raise it, or raise noise.sigma",
                method.state(),
            )
        if reason == "underflow":
            raise UnsettledError(
                f"limit: steps vanish at depth {method.depth:.4g}: lower attention.beta", method.state()
            )


def _certain(problem: Problem, method: Spectral, rate: float) -> Settled:
    """Stationary density that the flow is certain to reach; along slow motions by implicit steps."""
    try:
        return _newton(problem, method)
    except UncertainError as doubt:
        if method.change() > SLOW * rate:
            raise
        equation, coefficients = _equation(problem, method), method.coefficients
        try:
            found = stationary(problem, equation, relaxed(equation, coefficients))
        except StalledError as error:
            raise UncertainError(f"it still moves ({error})") from error
        if found.leading > METASTABLE * rate:
            raise doubt from None
        return Settled(found, method.depth, _distance(found, coefficients))


def _distance(found: Stationary, coefficients: FloatArray) -> float:
    """Largest difference of a coefficient."""
    return float(np.abs(found.coefficients - found.equation.space.pad(coefficients)).max())


def _newton(problem: Problem, method: Spectral) -> Settled:
    """Stationary density near the flow by Newton's method alone."""
    try:
        found = stationary(problem, _equation(problem, method), method.coefficients)
    except StalledError as error:
        raise UncertainError(f"it still moves ({error})") from error
    distance = _distance(found, method.coefficients)
    if distance > FAR:
        raise UncertainError("Newton's method finds but distant stationary densities")
    if not found.stable and distance > AT_REST:
        raise UncertainError(f"it passes an unstable one (growth rate {found.leading:.3g})")
    return Settled(found, method.depth, distance)
