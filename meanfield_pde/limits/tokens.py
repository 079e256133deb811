r"""Stationary tokens without noise: V[T](T(z), z) + F(T(z)) = 0 for atoms of fixed masses.

.. math:: f = \sum_j w_j\,\delta_{z_j}\otimes\sum_a m_{ja}\,\delta_{x_{ja}},\qquad v(x) = (V[f] + F)(x) = 0

One atom at every node is a limit map T. Up to ``DENSE`` tokens velocities and their derivatives are summed
pair by pair, the definition; beyond, the velocity comes from the operators of the densities (where the space
has no grid for them from products of tokens, pair by pair) and derivatives are differences of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from meanfield_pde.attention.blocks import TokenAttention
from meanfield_pde.attention.linearised import Linearised, linearised
from meanfield_pde.attention.rings import are_rings
from meanfield_pde.attention.scattered import largest_exponent
from meanfield_pde.energies import scattered_energy
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.base import surface

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
#: Radians from a pole within which a ring is the pole.
POLE = 1e-9


@dataclass(frozen=True)
class TokenSystem:
    """Velocity of atoms as a function of their places, (atoms · tangents,), with its derivative.

    Components are along the frame of the space at every place, atom by atom.

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

    @property
    def tangents(self) -> int:
        """Directions in which an atom may move."""
        return int(self.problem.space.frame.shape[1])

    def moved(self, places: FloatArray, step: FloatArray) -> FloatArray:
        """Places after a step (atoms · tangents,)."""
        return self.problem.space.moved(places, step.reshape(-1, self.tangents))

    def atoms(self, places: FloatArray) -> Atoms:
        """Return the atoms at these places."""
        return Atoms(places, self.masses, self.starts)

    @cached_property
    def weights(self) -> FloatArray:
        """Share of every atom in the joint law, (atoms,)."""
        rows = np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))
        return np.asarray(self.problem.auxiliary.weights[rows] * self.masses)

    @property
    def is_dense(self) -> bool:
        """Whether all pairs are summed."""
        return self.masses.size * self.tangents <= DENSE and self.has_slopes

    @cached_property
    def has_slopes(self) -> bool:
        """Whether derivatives can be summed pair by pair."""
        own = any(head.kernel is not None for head in self.problem.attention.heads)
        return self.problem.space.fields_by != "points" and not own

    @property
    def has_grid(self) -> bool:
        """Whether densities have a grid on the space, through which tokens may attend to each other."""
        return len(self.problem.space.points) > 0

    @cached_property
    def field(self) -> ScatteredField:
        """Attention through the operators of the densities."""
        return self.problem.scattered()

    def _pairs(self, atoms: Atoms) -> TokenAttention:
        """Attention between any atoms by products of their vectors."""
        return TokenAttention(self.problem.space, self.problem.attention, atoms.rows, atoms.masses)

    def energy(self, places: FloatArray) -> float:
        """Interaction energy E."""
        atoms = self.atoms(places)
        return scattered_energy(self.field, atoms) if self.has_grid else self._pairs(atoms).energy(places)

    def attention_entropy(self, places: FloatArray) -> float:
        """Mean entropy of attention relative to uniform attention."""
        atoms = self.atoms(places)
        if self.has_grid:
            return self.field.attention_entropy(atoms)
        return self._pairs(atoms).entropy(places)

    def linearised(self, places: FloatArray, *, jacobian: bool = False) -> Linearised:
        """Velocity with what pairs give besides; the drift is included."""
        found = linearised(self.problem.space, self.problem.attention, self.atoms(places), jacobian=jacobian)
        if self.problem.drift is None:
            return found
        found.velocity[:] += self._drift(places)
        slope = self._drift_slope(places)
        found.local[:] += slope
        if found.jacobian is not None:
            count = self.masses.size
            blocks = found.jacobian.reshape(count, self.tangents, count, self.tangents)
            everyone = np.arange(count)
            blocks[everyone, :, everyone] += slope
        return found

    def _drift(self, places: FloatArray) -> FloatArray:
        """F, (atoms, tangents)."""
        return self.field.drift_at(self.atoms(places))

    def _drift_slope(self, places: FloatArray) -> FloatArray:
        """∂F, (atoms, tangents, tangents): on lines exactly, elsewhere by differences."""
        if self.tangents == 1 and self.field.drift is not None:
            space = self.field.space
            slope = space.gradient(space.analyse(self.field.drift.T))[..., 0]
            return space.interpolate(slope, self.atoms(places))[:, None, None]
        return self._derivative(self._drift, places, DIFFERENCE)

    def _derivative(
        self, function: Callable[[FloatArray], FloatArray], places: FloatArray, step: float
    ) -> FloatArray:
        """Differentiate a function (atoms, tangents) of the places along every tangent, as the last axis."""
        columns = []
        for along in np.eye(self.tangents):
            steps = np.tile(along, (self.masses.size, 1))
            columns.append(_difference(partial(self._beside, function, places, steps), step))
        return np.stack(columns, axis=2)

    def _beside(
        self,
        function: Callable[[FloatArray], FloatArray],
        places: FloatArray,
        steps: FloatArray,
        size: float,
    ) -> FloatArray:
        space = self.problem.space
        moved = space.moved(places, size * steps)
        if self.tangents == 1:
            return function(moved)
        vectors = self._embedded(moved, function(moved))
        return np.asarray(np.einsum("npd,nd->np", space.frame_at(places), vectors))

    def _embedded(self, places: FloatArray, along: FloatArray) -> FloatArray:
        """Vectors (atoms, d) of components (atoms, tangents) along the frames, which may turn, or jump."""
        return np.asarray(np.einsum("np,npd->nd", along, self.problem.space.frame_at(places)))

    def velocity(self, places: FloatArray) -> FloatArray:
        """v, (atoms · tangents,)."""
        if self.is_dense and self.has_grid:
            return self.linearised(places).velocity.ravel()
        return self._attracted(self.atoms(places)).ravel()

    def _attracted(self, atoms: Atoms) -> FloatArray:
        """Velocities (atoms, tangents) of any atoms, without derivatives."""
        if self.has_grid:
            return self.field.velocity(atoms)
        vectors = self._pairs(atoms).vectors(atoms.places)
        return np.asarray(np.einsum("npd,nd->np", self.problem.space.frame_at(atoms.places), vectors))

    def jacobian(self, places: FloatArray) -> FloatArray | LinearOperator:
        """∂v/∂x: a matrix, or an operator for many atoms."""
        if self.is_dense:
            matrix = self.linearised(places, jacobian=True).jacobian
            if matrix is None:
                raise ValueError("tokens: no Jacobian was computed")
            return matrix

        frame = None if self.tangents == 1 else self.problem.space.frame_at(places)

        def product(direction: FloatArray) -> FloatArray:
            direction = np.ravel(direction)
            size = float(np.abs(direction).max())
            if size == 0.0:
                return np.zeros_like(direction)
            unit = direction / size

            def velocity(step: float) -> FloatArray:
                return self._along(frame, self.moved(places, step * unit))

            return _difference(velocity, self._step) * size

        count = self.masses.size * self.tangents
        return LinearOperator((count, count), matvec=product, dtype=np.float64)

    def _along(self, frame: FloatArray | None, moved: FloatArray) -> FloatArray:
        """Velocity at places nearby, along given frames."""
        if frame is None:
            return self.velocity(moved)
        return np.asarray(np.einsum("npd,nd->np", frame, self._vectors(moved)).ravel())

    def _vectors(self, places: FloatArray) -> FloatArray:
        """Velocities as vectors of the embedding, (atoms, d)."""
        if self.has_grid:
            return self._embedded(places, self.velocity(places).reshape(-1, self.tangents))
        vectors = self._pairs(self.atoms(places)).vectors(places)
        return surface(self.problem.space).project(places, vectors)

    def scale(self, places: FloatArray) -> float:
        """Length of the longest attention vector, one at least: residuals are relative to it."""
        if not self.has_grid:
            lengths = np.linalg.norm(self._pairs(self.atoms(places)).vectors(places), axis=1)
            return max(1.0, float(lengths.max()))
        if self.is_dense:
            return max(1.0, float(self.linearised(places).length.max()))
        return max(1.0, float(np.abs(self.velocity(places)).max()))

    def curvature(self, places: FloatArray) -> FloatArray:
        """κ = −∂_xV at every atom in the frozen field, (atoms,): the smallest over the directions."""
        local = self._local(places)
        if self.tangents == 1:
            return np.asarray(-local[:, 0, 0])
        return np.asarray(np.linalg.eigvals(-local).real.min(axis=1))

    def softness(self, places: FloatArray) -> FloatArray:
        """Trace of (−∂_xV)^{-1} at every atom in the frozen field, (atoms,)."""
        traces = np.trace(np.linalg.inv(-self._local(places)), axis1=1, axis2=2)
        space = self.problem.space
        if not are_rings(space):
            return np.asarray(traces)
        # A ring at a pole is one point, about which all directions are alike; elsewhere it stays a ring.
        poles = np.abs(np.sin(places)) < POLE
        return np.asarray(np.where(poles, (space.dimension - 1) * traces, traces))

    def _local(self, places: FloatArray) -> FloatArray:
        """∂_xV in the frozen field, (atoms, tangents, tangents)."""
        exact = self.is_dense or (self.has_slopes and not self.has_grid)
        return self.linearised(places).local if exact else self._frozen_slope(places)

    def _frozen_slope(self, places: FloatArray) -> FloatArray:
        """∂_xV by differences: probes of vanishing mass beside every atom do not change the field."""
        space, tiny = self.problem.space, np.full_like(self.masses, 1e-200)
        masses = np.stack([self.masses, tiny], axis=1).ravel()

        def velocity(beside: FloatArray) -> FloatArray:
            both = np.stack([places, beside], axis=1).reshape(-1, *space.place)
            return self._attracted(Atoms(both, masses, 2 * self.starts))[1::2]

        return self._derivative(velocity, places, self._step)

    @cached_property
    def _step(self) -> float:
        """Step of differences of the velocity."""
        space, attention = self.problem.space, self.problem.attention
        heads = [head for head in attention.heads if head.kernel is None]
        steepest = max((largest_exponent(space, attention, head) for head in heads), default=0.0)
        return DIFFERENCE / (1.0 + steepest)


def _difference(function: Callable[[float], FloatArray], step: float) -> FloatArray:
    """Differentiate a function of displacements at 0."""
    near, far = (function(reach * step) - function(-reach * step) for reach in (1.0, 2.0))
    return np.asarray((8.0 * near - far) / (12.0 * step))
