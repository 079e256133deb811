r"""Stationary tokens without noise: V[T](T(z), z) + F(T(z)) = 0 for atoms of fixed masses.

.. math:: f = \sum_j w_j\,\delta_{z_j}\otimes\sum_a m_{ja}\,\delta_{x_{ja}},\qquad v(x) = (V[f] + F)(x) = 0

One atom at every node is a limit map T. Up to ``DENSE`` tokens velocities and their derivatives are summed
pair by pair, the definition; beyond, the velocity comes from the operators of the densities and derivatives
are differences of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from meanfield_pde.attention.linearised import Linearised, linearised
from meanfield_pde.attention.scattered import largest_exponent
from meanfield_pde.spaces import Atoms

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.problem import Problem

__all__ = ["DENSE", "TokenSystem"]

#: Tokens up to which all pairs are summed.
DENSE = 6000
#: Step of differences of fourth order, over the largest |ξ| of a query: their error is about its fourth
#: power over 30, below 1e-11 as GMRES asks for, and rounding about 1e-15 over it.
DIFFERENCE = 4e-3


@dataclass(frozen=True)
class TokenSystem:
    """Velocity of atoms as a function of their places on a line, (atoms,), with its derivative.

    Parameters
    ----------
    problem
        Attention, encoding, prompt and drift; its noise and its initial law do not matter.
    masses, starts
        Of the atoms, as in ``Atoms``.
    """

    problem: Problem
    masses: FloatArray
    starts: IntArray

    @staticmethod
    def of_maps(problem: Problem) -> TokenSystem:
        """One atom at every node."""
        nodes = problem.auxiliary.nodes.size
        return TokenSystem(problem, np.ones(nodes), np.arange(nodes + 1))

    def atoms(self, places: FloatArray) -> Atoms:
        """Return the atoms at these places."""
        return Atoms(places, self.masses, self.starts)

    @cached_property
    def weights(self) -> FloatArray:
        """Share of every atom in the joint law, (atoms,)."""
        rows = np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))
        return np.asarray(self.problem.auxiliary.weights[rows] * self.masses)

    @cached_property
    def is_dense(self) -> bool:
        """Whether all pairs are summed."""
        own = any(head.kernel is not None for head in self.problem.attention.heads)
        return self.masses.size <= DENSE and not own

    @cached_property
    def field(self) -> ScatteredField:
        """Attention through the operators of the densities."""
        return self.problem.scattered()

    def linearised(self, places: FloatArray, *, jacobian: bool = False) -> Linearised:
        """Velocity with what pairs give besides; the drift is included."""
        found = linearised(self.problem.space, self.problem.attention, self.atoms(places), jacobian=jacobian)
        if self.problem.drift is None:
            return found
        drift, slope = self._drift(places)
        found.velocity[:] += drift[:, None]
        found.local[:] += slope[:, None, None]
        if found.jacobian is not None:
            found.jacobian[np.diag_indices(places.size)] += slope
        return found

    def _drift(self, places: FloatArray) -> tuple[FloatArray, FloatArray]:
        """F and its derivative along the line, (atoms,) each."""
        field, atoms = self.field, self.atoms(places)
        if field.drift is None:
            raise ValueError("tokens: there is no drift")
        slope = field.space.gradient(field.space.analyse(field.drift.T))[..., 0]
        return field.space.interpolate(field.drift.T, atoms), field.space.interpolate(slope, atoms)

    def velocity(self, places: FloatArray) -> FloatArray:
        """v, (atoms,)."""
        if self.is_dense:
            return self.linearised(places).velocity[:, 0]
        return self.field.velocity(self.atoms(places))[:, 0]

    def jacobian(self, places: FloatArray) -> FloatArray | LinearOperator:
        """∂v/∂x, (atoms, atoms): a matrix, or an operator for many atoms."""
        if self.is_dense:
            matrix = self.linearised(places, jacobian=True).jacobian
            if matrix is None:
                raise ValueError("tokens: no Jacobian was computed")
            return matrix

        def product(direction: FloatArray) -> FloatArray:
            direction = np.ravel(direction)
            size = float(np.abs(direction).max())
            if size == 0.0:
                return np.zeros_like(direction)
            return self._difference(lambda step: self.velocity(places + step / size * direction)) * size

        return LinearOperator((places.size, places.size), matvec=product, dtype=np.float64)

    def scale(self, places: FloatArray) -> float:
        """Length of the longest attention vector, one at least: residuals are relative to it."""
        if self.is_dense:
            return max(1.0, float(self.linearised(places).length.max()))
        return max(1.0, float(np.abs(self.field.velocity(self.atoms(places))).max()))

    def curvature(self, places: FloatArray) -> FloatArray:
        """κ = −∂_xV at every atom in the frozen field, (atoms,)."""
        if self.is_dense:
            return np.asarray(-self.linearised(places).local[:, 0, 0])
        return self._frozen_curvature(places)

    def _frozen_curvature(self, places: FloatArray) -> FloatArray:
        """By differences: probes of vanishing mass beside every atom do not change the field."""
        tiny = np.full_like(places, 1e-200)
        masses = np.stack([self.masses, tiny], axis=1).ravel()

        def velocity(step: float) -> FloatArray:
            probes = Atoms(np.stack([places, places + step], axis=1).ravel(), masses, 2 * self.starts)
            return self.field.velocity(probes)[1::2, 0]

        return -self._difference(velocity)

    def _difference(self, function: Callable[[float], FloatArray]) -> FloatArray:
        """Differentiate a function of displacements at 0."""
        space, attention = self.problem.space, self.problem.attention
        heads = [head for head in attention.heads if head.kernel is None]
        steepest = max((largest_exponent(space, attention, head) for head in heads), default=0.0)
        step = DIFFERENCE / (1.0 + steepest)
        near, far = (function(reach * step) - function(-reach * step) for reach in (1.0, 2.0))
        return np.asarray((8.0 * near - far) / (12.0 * step))
