r"""Branches that leave the uniform law: critical values of every mode, and on which side a branch leaves.

The growth rate of a mode changes sign at the value λ_c. With states u = u₀ + ε φ + …, ⟨φ, u − u₀⟩ = ε,

.. math:: \lambda(\varepsilon) = \lambda_c + \lambda_1\varepsilon + \lambda_2\varepsilon^2 + \dots

is extrapolated from solutions at several ε. The branch leaves continuously where λ₁ = 0 and λ₂ points to
where the uniform law is unstable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from meanfield_pde.limits.linear_theory import degree_block, growth_rates
from solvers.continuation import Point, leaving
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.bifurcations.densities import DensityFamily
    from meanfield_pde.problem import Problem

__all__ = ["Critical", "critical_values", "leaves_continuously", "uniform_state"]

#: Values at which growth rates are sampled, and modes that are followed.
SAMPLES, MODES = 61, 6
#: Amplitudes of the states from which the side is extrapolated: polynomials of ε² leave out about 1e-10.
AMPLITUDES = np.array([0.03, 0.05, 0.07, 0.09, 0.11, 0.13])
#: λ₁ below this share of the interval, or of λ_c, is none.
TRANSCRITICAL = 1e-7


@dataclass(frozen=True)
class Critical:
    """A value at which a mode of the uniform law begins to grow.

    ``leading`` is the largest growth rate of all modes there: zero where the uniform law loses its stability.
    ``stable_above`` tells whether it is stable, as far as this mode goes, at higher values.
    """

    value: float
    mode: int
    leading: float
    stable_above: bool

    @property
    def first(self) -> bool:
        """Whether the uniform law loses its stability there."""
        return self.leading == 0.0


def uniform_state(family: DensityFamily, value: float) -> FloatArray:
    """State of the uniform law on the problem's own grid."""
    problem = family.at(value)
    moving = problem.space.eigenvalues.size - problem.space.constant
    return np.zeros(problem.auxiliary.nodes.size * moving)


def critical_values(
    at: Callable[[float], Problem], interval: tuple[float, float]
) -> tuple[FloatArray, FloatArray, list[Critical]] | None:
    """Sample growth rates: values, rates (values, modes), and the critical values in order.

    None where the uniform law is not stationary throughout.
    """
    values = np.linspace(*interval, SAMPLES)
    rates = []
    for value in values:
        growth = growth_rates(at(float(value)), MODES)
        if growth is None:
            return None
        rates.append(growth.rates)
    table = np.stack(rates)
    found = [
        critical for mode in range(1, table.shape[1] + 1) for critical in _crossings(at, values, table, mode)
    ]
    return values, table, sorted(found, key=lambda critical: critical.value)


def _crossings(
    at: Callable[[float], Problem], values: FloatArray, table: FloatArray, mode: int
) -> list[Critical]:
    """Zeros of the growth rate of a mode, to rounding."""

    def rate(value: float) -> float:
        growth = growth_rates(at(value), MODES)
        return float("nan") if growth is None else float(growth.rates[mode - 1])

    found = []
    own = table[:, mode - 1]
    for index in np.flatnonzero((own[:-1] > 0.0) != (own[1:] > 0.0)):  # a sample may be zero itself
        value = float(brentq(rate, values[index], values[index + 1], xtol=1e-15, rtol=1e-14))
        growth = growth_rates(at(value), MODES)
        others = np.delete(growth.rates, mode - 1) if growth is not None else np.zeros(1)
        found.append(Critical(value, mode, max(0.0, float(others.max())), bool(own[index] > 0.0)))
    return found


def direction(family: DensityFamily, critical: Critical) -> FloatArray:
    """Critical eigenvector: the mode itself, in the proportions of the nodes that grow."""
    problem = family.at(critical.value)
    space, nodes = problem.space, problem.auxiliary.nodes.size
    columns, block = degree_block(problem, critical.mode)
    values, vectors = np.linalg.eig(block)
    vector = vectors[:, int(np.argmax(values.real))].real
    state = np.zeros((nodes, space.eigenvalues.size - space.constant))
    state[:, columns] = vector.reshape(nodes, -1)
    flat = state.ravel()
    return np.asarray(flat / np.sqrt(family.weights(flat) @ flat**2))


def branch_point(family: DensityFamily, critical: Critical) -> Point:
    """Uniform law at a critical value, as a point of a branch."""
    state = uniform_state(family, critical.value)
    return Point(state, critical.value, (np.zeros_like(state), 1.0), 0.0, 0.0, 0.0)


def leaves_continuously(family: DensityFamily, critical: Critical) -> bool | None:
    """Whether the branch of a mode leaves to where the uniform law is unstable; None if it is not found."""
    point, along = branch_point(family, critical), direction(family, critical)
    low, high = family.interval
    try:
        ahead, behind = (
            leaving(family, point, along, sign * AMPLITUDES) - critical.value for sign in (1.0, -1.0)
        )
    except StalledError:
        return None
    square = AMPLITUDES**2
    even, odd = (ahead + behind) / 2.0, (ahead - behind) / 2.0
    powers = square[:, None] ** np.arange(AMPLITUDES.size)
    curved = np.linalg.solve(powers, even / square)[0]
    tilted = np.linalg.solve(powers, odd / AMPLITUDES)[0]
    if abs(tilted) > TRANSCRITICAL * max(high - low, abs(critical.value)):
        return False
    return bool(curved < 0.0) == critical.stable_above
