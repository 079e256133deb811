r"""Transpose of the derivative of the right-hand side: what the discrete adjoint goes back by.

With N(c) = −div(ρ (V[ρ] + F)), ρ the density with coefficients c, the derivative is

.. math:: N'(c)\,\delta = -\mathrm{div}\bigl(\delta\rho\,(V + F) + \rho\,V'[\rho]\,\delta\rho\bigr),

and what a dual λ of the state pulls back to is, with μ = −divᵀλ at the grid points,

.. math:: N'(c)^{\mathsf T}\lambda = S^{\mathsf T}\langle\mu, V + F\rangle + V'^{\mathsf T}(\rho\mu),
    \qquad \partial_F\langle\lambda, N\rangle = \sum_j \rho_j\mu_j,

S the synthesis. All transposes are those of the discrete transforms under plain dot products, to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.parallel import each

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.field import HeadField, HeadSums
    from meanfield_pde.equation import Equation

__all__ = ["HeadPullback", "Pullback", "linearised_rate"]


@dataclass(frozen=True)
class HeadPullback:
    r"""Transpose of the derivative of the velocity V = A/max(N, floor), or A, that one head adds.

    .. math:: \bar A = \bar V / N, \qquad \bar N = -\langle V, \bar A\rangle \text{ where } N \ge
        \text{floor, else } 0.

    Parameters
    ----------
    head
        The head.
    scale
        1/N or e^{offset}, (aux or 1, points).
    velocity
        What the head adds, zero where the normaliser is below its floor, (aux or 1, points, d − 1); None for
        attention without a normaliser.
    """

    head: HeadField
    scale: FloatArray
    velocity: FloatArray | None

    @staticmethod
    def of(head: HeadField, sums: HeadSums, velocity: FloatArray) -> HeadPullback:
        """About the densities that these sums and this velocity belong to."""
        if head.setting.attention.normalization == "none":
            return HeadPullback(head, np.exp(sums.offset), None)
        lost = sums.total < head.floor
        if lost.any():
            velocity = np.where(lost[..., None], 0.0, velocity)
        return HeadPullback(head, 1.0 / np.maximum(sums.total, head.floor), velocity)

    @property
    def shared(self) -> bool:
        """Whether all query nodes see the same velocity."""
        return self.head.shared

    def __call__(self, dual: FloatArray) -> FloatArray:
        """Coefficients (aux, coefficients) from the dual of the velocity, in as many rows as that has."""
        field = np.empty_like(dual)
        total = None if self.velocity is None else np.empty(dual.shape[:2])
        scale = self.scale if len(self.scale) == len(dual) else np.broadcast_to(self.scale, dual.shape[:2])

        def divide(rows: slice) -> None:
            np.multiply(dual[rows], scale[rows][..., None], out=field[rows])
            if total is not None and self.velocity is not None:
                total[rows] = -_inner(self.velocity[rows], field[rows])

        each(divide, len(dual))
        return self.head.transposed(total, field)


@dataclass(frozen=True)
class Pullback:
    """Transpose of the derivative of N about a state, and by the drift.

    Parameters
    ----------
    equation
        The equation.
    density
        ρ at the grid points, (aux, points).
    velocity
        V + F there, (aux or 1, points, d − 1).
    heads
        Those of the velocities of all heads.
    """

    equation: Equation
    density: FloatArray
    velocity: FloatArray
    heads: tuple[HeadPullback, ...]

    def __call__(self, dual: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Pull back: from (aux, modes) to N'ᵀλ, (aux, modes), and ∂⟨λ, N⟩/∂F, (points, d − 1)."""
        constant, space = self.equation.space.constant, self.heads[0].head.setting.transposes
        whole = np.zeros((len(dual), constant + dual.shape[1]))
        np.negative(dual, out=whole[:, constant:])
        moved = space.divergence_transposed(whole)
        result = space.synthesise_transposed(_inner(moved, self.velocity), whole.shape[1])
        by_velocity = moved * self.density[..., None]
        drift = by_velocity[0] if len(by_velocity) == 1 else by_velocity.sum(axis=0)
        for head in self.heads:
            result += head(drift[None] if head.shared else by_velocity)
        return result[:, constant:], drift


def linearised_rate(equation: Equation, state: FloatArray) -> tuple[FloatArray, Pullback]:
    """Return N(state) = ``equation.nonlinear(state)``, (aux, modes), and the transpose of its derivative.

    Raises
    ------
    InputError
        Where densities have no grid.
    """
    space, field = equation.space, equation.attention
    coefficients = equation.coefficients(state)
    sums = [head.sums(coefficients) for head in field.heads]
    parts = [field.head_velocity(head, own) for head, own in zip(field.heads, sums, strict=True)]
    heads = tuple(
        HeadPullback.of(head, own, part) for head, own, part in zip(field.heads, sums, parts, strict=True)
    )
    velocity = parts[0]
    for part in parts[1:]:
        velocity = velocity + part
    if equation.drift is not None:
        velocity = velocity + equation.drift
    density = space.synthesise(coefficients)
    divergence = space.divergence(density[..., None] * velocity)
    return -divergence[:, space.constant :], Pullback(equation, density, velocity, heads)


def _inner(first: FloatArray, second: FloatArray) -> FloatArray:
    """Products of vectors at every point, (..., points) from (..., points, d − 1)."""
    result = first[..., 0] * second[..., 0]
    for part in range(1, first.shape[-1]):
        result += first[..., part] * second[..., part]
    return np.asarray(result)
