r"""Stationary densities of a frozen field: the map S of which stationary states are fixed points.

With V and F given, σΔρ = div(ρ(V + F)) has one density for every node. Where V + F = ∇Ψ it is the Gibbs law

.. math:: S[V](x|z) = e^{\Psi(x,z)/\sigma} \Big/ \int e^{\Psi/\sigma}\,dx, \qquad
    \delta S = \frac{S}{\sigma}\Bigl(\delta\Psi - \int S\,\delta\Psi\,dx\Bigr),

else the solution of a linear system a node, and σΔδS − div(δS (V + F)) = div(S δV).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfield_pde.attention.changes import FieldChange
from meanfield_pde.potential import has_potential, potential

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.equation import Equation

__all__ = ["Frozen", "Gibbs", "Solved", "drift_potential", "frozen", "transport_matrices"]

#: Part of a drift that may be no gradient, relative to its largest value: rounding.
GRADIENT = 1e-11


class Frozen(Protocol):
    """S about densities with given coefficients (aux, coefficients)."""

    @property
    def density(self) -> FloatArray:
        """Coefficients of S, (aux, coefficients)."""

    def change(self, change: FloatArray) -> FloatArray:
        """Change of S with the densities, (aux, coefficients), of mass zero."""


def frozen(equation: Equation, coefficients: FloatArray) -> Frozen:
    """Return S for the field of these densities, by its formula where there is one."""
    drift = drift_potential(equation)
    if drift is None or not has_potential(equation.attention.attention):
        return Solved(equation, coefficients)
    return Gibbs(equation, coefficients, drift)


def drift_potential(equation: Equation) -> FloatArray | None:
    """Potential of the drift at the grid points, (points,), 0 without drift; None where it has none."""
    space = equation.space
    if equation.drift is None:
        return np.zeros(len(space.points))
    source = space.divergence(equation.drift[None])[0]
    moving = space.eigenvalues > 0.0
    coefficients = np.zeros_like(source)
    coefficients[moving] = -source[moving] / space.eigenvalues[moving]
    rest = equation.drift - space.gradient(coefficients)
    if np.abs(rest).max() > GRADIENT * np.abs(equation.drift).max():
        return None
    return space.synthesise(coefficients)


@dataclass(frozen=True)
class Gibbs:
    """Gibbs laws of the potential of attention and drift."""

    equation: Equation
    coefficients: FloatArray
    drift: FloatArray

    @cached_property
    def values(self) -> FloatArray:
        """S at the grid points, (aux, points)."""
        space = self.equation.space
        energy = (potential(self.equation.attention, self.coefficients) + self.drift) / self.equation.sigma
        weight = np.exp(energy - energy.max(axis=1, keepdims=True))
        weight /= (weight @ space.weights)[:, None]
        return np.broadcast_to(weight, (len(self.coefficients), weight.shape[1]))

    @cached_property
    def density(self) -> FloatArray:
        """Coefficients of S."""
        return self.equation.space.analyse(self.values)

    @cached_property
    def _field(self) -> FieldChange:
        return FieldChange(self.equation.attention, self.coefficients)

    def change(self, change: FloatArray) -> FloatArray:
        """S (δΦ − ⟨δΦ⟩) / σ."""
        space, moved = self.equation.space, self._field.potential(change)
        moved = np.broadcast_to(moved, self.values.shape)
        mean = np.einsum("zi,zi,i->z", self.values, moved, space.weights)
        return space.analyse(self.values * (moved - mean[:, None]) / self.equation.sigma)


@dataclass(frozen=True)
class Solved:
    """Densities that a velocity without potential keeps, by linear systems."""

    equation: Equation
    coefficients: FloatArray

    @cached_property
    def _inverses(self) -> tuple[FloatArray, FloatArray]:
        """Inverse of δ ↦ σΔδ − div(δV) for the moving coefficients, and its value for the constant ones."""
        velocity = self.equation.velocity(self.coefficients)
        matrices, constant = transport_matrices(self.equation, velocity)
        return np.asarray(np.linalg.inv(matrices), dtype=np.float64), constant

    @cached_property
    def density(self) -> FloatArray:
        """Coefficients of S."""
        inverse, constant = self._inverses
        state = np.einsum("zkl,zl->zk", inverse, -constant)
        state = np.broadcast_to(state, (len(self.coefficients), state.shape[1]))
        return self.equation.coefficients(state)

    @cached_property
    def _values(self) -> FloatArray:
        return self.equation.space.synthesise(self.density)[..., None]

    @cached_property
    def _field(self) -> FieldChange:
        return FieldChange(self.equation.attention, self.coefficients)

    def change(self, change: FloatArray) -> FloatArray:
        """Solve σΔδ − div(δV) = div(S δV)."""
        space = self.equation.space
        source = space.divergence(self._values * self._field.velocity(change))[:, space.constant :]
        inverse = self._inverses[0]
        moved = source @ inverse[0].T if len(inverse) == 1 else np.einsum("zkl,zl->zk", inverse, source)
        return np.concatenate([np.zeros((len(moved), space.constant)), moved], axis=1)


def transport_matrices(equation: Equation, velocity: FloatArray) -> tuple[FloatArray, FloatArray]:
    """δ ↦ σΔδ − div(δV) as matrices, (aux or 1, moving, moving), and of the constant density, (…, moving)."""
    space = equation.space
    basis = np.eye(space.eigenvalues.size)
    constant = space.constant
    basis[:constant] = 0.0
    basis[0] = space.uniform()
    functions = space.synthesise(basis)
    matrices = np.empty((len(velocity), basis.shape[1] - constant, basis.shape[1] - constant))
    sources = np.empty((len(velocity), basis.shape[1] - constant))
    for node, field in enumerate(velocity):
        columns = -space.divergence(functions[..., None] * field)[:, constant:]
        sources[node] = columns[0]
        matrices[node] = columns[constant:].T + np.diag(equation.linear)
    return matrices, sources
