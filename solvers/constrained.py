r"""States that solve :math:`r(u, \lambda) = 0` and one linear condition; the tangent of their branch.

All systems are bordered by the slope, the condition and the neutral directions, so that they are regular at
folds (Keller 1977) and where symmetries move the state (Govaerts 2000); they are singular at branch points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import linalg

from solvers.bordered import Border, Jacobian, bordered, solve_linear
from solvers.newton import newton

if TYPE_CHECKING:
    from solvers.branches import Family, Tangent, Vector
    from solvers.compiled import FloatArray

__all__ = ["Condition", "Solution", "at_value", "constrained", "inner", "tangent_of"]

#: Newton steps at most from a predictor: where more are needed, a shorter step along the branch is cheaper.
CORRECTIONS = 12
#: Part of the largest neutral direction below which another one adds nothing to it.
DEPENDENT = 1e-8
#: Tolerance of tangents, whose last digits folds are located by.
TANGENT_TOLERANCE = 1e-12


class Solution(NamedTuple):
    """A state (n,) and a value that solve the equations, their residual, and the Newton steps taken."""

    state: FloatArray
    value: float
    residual: float
    iterations: int


@dataclass(frozen=True)
class Condition:
    """The plane row · (u − u₀) + corner (λ − λ₀) = offset through, or beside, the place (u₀, λ₀)."""

    row: FloatArray
    corner: float
    place: Vector
    offset: float = 0.0

    def miss(self, state: FloatArray, value: float) -> float:
        """Return by how much a state and a value are off the plane."""
        return float(self.row @ (state - self.place[0]) + self.corner * (value - self.place[1]) - self.offset)


def inner(weights: FloatArray, span: float, first: Vector, second: Vector) -> float:
    """Return ⟨u₁, u₂⟩ + λ₁λ₂ / span²."""
    return float(weights @ (first[0] * second[0]) + first[1] * second[1] / span**2)


def neutral_border(family: Family, state: FloatArray, value: float) -> Border:
    """Border by an orthonormal basis of the neutral directions: as columns, and weighted as rows."""
    root = np.sqrt(family.weights(state))
    directions = family.neutral(state, value).reshape(-1, state.size) * root
    _, sizes, basis = linalg.svd(directions, full_matrices=False)
    basis = basis[sizes > DEPENDENT * np.max(sizes, initial=0.0)]
    return Border(basis / root, basis * root, np.zeros((len(basis), len(basis))))


def at_value(family: Family, state: FloatArray, value: float, tolerance: float) -> Solution:
    """Solve for the state at a given value.

    Raises
    ------
    StalledError
        If Newton's method fails.
    """
    root = newton(
        lambda unknown: family.residual(unknown, value),
        lambda unknown: family.jacobian(unknown, value),
        state,
        tolerance=tolerance,
        border=neutral_border(family, state, value),
    )
    return Solution(root.state, value, root.residual, root.iterations)


def constrained(family: Family, condition: Condition, guess: Vector, tolerance: float) -> Solution:
    """Solve for state and value under a condition; the neutral directions are those of the guess.

    Raises
    ------
    StalledError
        If Newton's method fails.
    """
    state, value = guess
    # Unknown (u, stretch λ) and a row of norm one, so that all columns and rows are of one size for GMRES.
    stretch = float(np.linalg.norm(family.slope(state, value))) or 1.0
    size = math.hypot(float(np.linalg.norm(condition.row)), condition.corner / stretch)

    def residual(unknown: FloatArray) -> FloatArray:
        state, value = unknown[:-1], float(unknown[-1]) / stretch
        return np.append(family.residual(state, value), condition.miss(state, value) / size)

    def jacobian(unknown: FloatArray) -> Jacobian:
        state, value = unknown[:-1], float(unknown[-1]) / stretch
        border = Border(
            family.slope(state, value)[None] / stretch,
            condition.row[None] / size,
            np.array([[condition.corner / stretch / size]]),
        )
        return bordered(family.jacobian(state, value), border)

    neutral = neutral_border(family, state, value)
    pad = ((0, 0), (0, 1))
    border = Border(np.pad(neutral.columns, pad), np.pad(neutral.rows, pad), neutral.corner)
    start = np.append(state, stretch * value)
    root = newton(residual, jacobian, start, tolerance=tolerance, most=CORRECTIONS, border=border)
    return Solution(root.state[:-1], float(root.state[-1]) / stretch, root.residual, root.iterations)


def tangent_of(family: Family, solution: Solution, span: float, along: Vector) -> Tangent:
    """Return the direction of the branch, of length one, that makes an acute angle with ``along``.

    Raises
    ------
    numpy.linalg.LinAlgError
        At a branch point.
    """
    state, value = solution.state, solution.value
    weights, neutral = family.weights(state), neutral_border(family, state, value)
    border = Border(
        np.vstack([family.slope(state, value), neutral.columns]),
        np.vstack([weights * along[0], neutral.rows]),
        linalg.block_diag(along[1] / span**2, neutral.corner),
    )
    change, rest = solve_linear(
        family.jacobian(state, value),
        np.zeros_like(state),
        border,
        np.eye(border.count)[0],
        tolerance=TANGENT_TOLERANCE,
    )
    length = math.sqrt(inner(weights, span, (change, rest[0]), (change, rest[0])))
    return change / length, float(rest[0]) / length
