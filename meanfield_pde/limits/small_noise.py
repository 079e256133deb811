r"""Stationary densities along σ → 0, beside the limit map.

Near a map T where K_j = −∂_xV(T(z_j), z_j) is positive definite, conditional laws are nearly Gaussian,

.. math:: \sum_j w_j W_2^2\bigl(\rho(\cdot|z_j), \delta_{T(z_j)}\bigr)
    = \sigma \sum_j w_j \operatorname{tr} K_j^{-1}\,\bigl(1 + O(\sigma)\bigr).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meanfield_pde.limits.measures import Tokens, distances
from meanfield_pde.limits.settling import settle
from meanfield_pde.limits.stationary import Stationary, stationary
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meanfield_pde.limits.law import AtomicLaw
    from meanfield_pde.problem import Problem

__all__ = ["Rung", "conditional_square", "small_noise"]


#: Halvings of the way to a smaller noise before the flow is followed.
STEPS = 3


@dataclass(frozen=True)
class Rung:
    """One noise: distances of the marginal to the law, mean square distance to T, and its prediction."""

    sigma: float
    w1: float
    w2: float
    conditional: float
    predicted: float


def small_noise(problem: Problem, law: AtomicLaw, found: Stationary, halvings: int) -> Iterator[Rung]:
    """Halve the noise, following the stationary density of the problem's own noise, found already.

    Raises
    ------
    UnsettledError
        After the last rung that could be found.
    """
    yield _rung(problem, law, found)
    for power in range(1, halvings + 1):
        quieter = replace(problem, sigma=problem.sigma / 2.0**power)
        try:
            found = _quietened(quieter, found, STEPS)
        except StalledError:
            found = settle(quieter).stationary
        yield _rung(quieter, law, found)


def _quietened(problem: Problem, found: Stationary, steps: int) -> Stationary:
    """Stationary density from one of more noise by Newton's method, where it fails by noises between.

    Raises
    ------
    StalledError
        Where ``steps`` halvings of the way do not help.
    """
    try:
        return stationary(problem, problem.equation(found.equation.space), found.coefficients)
    except StalledError:
        if steps == 0:
            raise
        between = replace(problem, sigma=math.sqrt(problem.sigma * found.equation.sigma))
        return _quietened(problem, _quietened(between, found, steps - 1), steps - 1)


def _rung(problem: Problem, law: AtomicLaw, found: Stationary) -> Rung:
    auxiliary, space = problem.auxiliary, found.equation.space
    marginal = Tokens.of_density(space, auxiliary.mean(found.coefficients))
    apart = distances(space, marginal, Tokens.of_atoms(auxiliary, law.atoms))
    return Rung(
        problem.sigma,
        apart["w1"],
        apart["w2"],
        conditional_square(problem, law, found),
        float(problem.sigma * (auxiliary.weights @ law.softness)),
    )


def conditional_square(problem: Problem, law: AtomicLaw, found: Stationary) -> float:
    """Σ_j w_j ∫ d(x, T(z_j))² ρ(x|z_j) dx, for a map."""
    space = found.equation.space
    places = space.locate(space.points)
    squares = space.distance(places[None], law.places[:, None]) ** 2
    density = space.synthesise(found.coefficients)
    return float(problem.auxiliary.mean((density * squares) @ space.weights))
