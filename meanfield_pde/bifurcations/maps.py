"""Limit maps as a family: what the continuation of ``solvers`` needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from meanfield_pde.bifurcations.differences import slope
from meanfield_pde.errors import InputError
from meanfield_pde.limits.tokens import TokenSystem
from solvers.nullspace import null_directions
from solvers.spectrum import leading_eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.problem import Problem
    from solvers.bordered import Jacobian

__all__ = ["MapFamily"]

#: Step of the difference in the parameter, as a share of its interval: errors are about its square.
DIFFERENCE = 1e-5
#: Singular values below this share of the largest are those of symmetries that the nodes hardly break.
NEARLY = 1e-6
#: Singular values among which neutral directions are sought near a branch, and from which they are none.
SMALL, RELEASED = 1e-2, 1e-4
#: Singular values at a branch point that are zero but for the error of its place.
CRITICAL = 1e-5


@dataclass
class MapFamily:
    """Places T(z_j) of one atom a node, (aux,), as the parameter varies in an interval."""

    at: Callable[[float], Problem]
    interval: tuple[float, float]
    _neutral: FloatArray | None = None

    def system(self, value: float) -> TokenSystem:
        """Velocities at a value of the parameter."""
        return TokenSystem.of_maps(self.at(value))

    @cached_property
    def _weights(self) -> FloatArray:
        return self.at(self.interval[0]).auxiliary.weights

    def residual(self, state: FloatArray, value: float) -> FloatArray:
        """V[T](T(z), z); not finite where Newton's method tries a value that the parameter may not have."""
        try:
            system = self.system(value)
        except InputError:
            return np.full(state.size, np.nan)
        return system.velocity(state)

    def jacobian(self, state: FloatArray, value: float) -> Jacobian:
        """Its derivative by the places."""
        matrix = self.system(value).jacobian(state)
        if not isinstance(matrix, np.ndarray):
            raise TypeError("bifurcation: limit maps of so many nodes have no matrix")
        return matrix

    def slope(self, state: FloatArray, value: float) -> FloatArray:
        """Its derivative by the parameter, by a central difference, at the ends of second order as well."""
        return slope(lambda at: self.residual(state, at), value, self.interval, DIFFERENCE)

    def weights(self, state: FloatArray) -> FloatArray:  # noqa: ARG002 (of any state)
        """Weights of the nodes."""
        return self._weights

    def neutral(self, state: FloatArray, value: float) -> FloatArray:
        """Directions along which the map may be moved nearly at will.

        Symmetries of the continuum are broken by the nodes, but so little that noise would move the map.
        Which they are is decided at the points of a branch; on the way there those count that continue them.
        """
        if self._neutral is None:
            self._neutral = self._nearly(state, value, NEARLY)
        if not len(self._neutral):
            return self._neutral
        small = self._nearly(state, value, SMALL)
        if len(small) < len(self._neutral):
            return self._neutral
        return np.asarray(linalg.qr((self._neutral @ small.T @ small).T, mode="economic")[0].T)

    def _nearly(self, state: FloatArray, value: float, share: float) -> FloatArray:
        """Right singular vectors with small singular values."""
        return null_directions(np.asarray(self.jacobian(state, value)), share)[0]

    def places(self, state: FloatArray) -> FloatArray:
        """Angles T(z_j) in [0, 2π)."""
        return state % (2.0 * np.pi)  # continued along a lifted line

    def begin(self) -> None:
        """Forget the neutral directions of another branch."""
        self._neutral = None

    def near(self, state: FloatArray, value: float) -> None:
        """Take the neutral directions of a point of a branch, for what is asked beside it."""
        self.begin()
        self.neutral(state, value)

    def leave(self, state: FloatArray, value: float, direction: FloatArray | None) -> None:
        """Take for neutral what is singular at a branch point beside the direction in which it is left.

        Without a direction nothing is: for symmetries that the nodes do break.
        """
        if direction is None:
            self._neutral = np.empty((0, state.size))
            return
        singular = self._nearly(state, value, CRITICAL)
        unit = direction / np.linalg.norm(direction)
        rest = singular - np.outer(singular @ unit, unit)
        _, sizes, basis = linalg.svd(rest, full_matrices=False)
        self._neutral = basis[sizes > 0.5]

    def fitted(self, state: FloatArray, value: float) -> FloatArray:  # noqa: ARG002 (as densities)
        """Nothing to refine."""
        return state

    def grown(self, state: FloatArray, like: FloatArray, value: float) -> FloatArray:  # noqa: ARG002
        """Nothing to extend, either."""
        return state

    def _spectrum(self, state: FloatArray, value: float) -> tuple[ComplexArray, FloatArray]:
        """Spectrum across the neutral directions: at a fold its zero may be nearer to 0 than theirs."""
        jacobian = np.asarray(self.jacobian(state, value))
        own = self.neutral(state, value)
        across = linalg.null_space(own) if len(own) else np.eye(state.size)
        if not across.size:
            return np.empty(0, dtype=complex), np.empty((state.size, 0))
        values, vectors = leading_eigenvalues(across.T @ jacobian @ across, 4)
        return values, (across @ vectors).real

    def leading(self, state: FloatArray, value: float) -> float:
        """Largest real part of the spectrum of the flow of the atoms; a point of a branch."""
        own = self.neutral(state, value)
        jacobian = np.asarray(self.jacobian(state, value))
        size = np.linalg.norm(own @ jacobian.T, axis=1) if len(own) else np.zeros(0)
        self._neutral = own[size <= RELEASED * np.abs(jacobian).sum(axis=1).max()]
        values, _ = self._spectrum(state, value)
        return float(values[0].real) if values.size else -float(self.system(value).curvature(state).min())

    def direction(self, state: FloatArray, value: float) -> FloatArray:
        """Eigenvector of the leading eigenvalue."""
        vectors = self._spectrum(state, value)[1]
        return np.asarray(vectors[:, 0])
