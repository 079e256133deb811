r"""Limit maps as a family: what the continuation of ``solvers`` needs of them.

On lines the unknowns are the places. On surfaces they are vectors of the embedding, u_j ∈ R^d, for places
x_j next to them, and the equation is completed along the normals:

.. math:: r_j = v(x_j) - (u_j - x_j), \qquad x_j = \text{nearest point to } u_j,

so that stationary states lie on the surface, where its derivative is ∂v along the tangents, −1 across them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from meanfield_pde.bifurcations.differences import slope
from meanfield_pde.errors import InputError
from meanfield_pde.limits.tokens import DENSE, TokenSystem
from meanfield_pde.spaces.base import surface
from solvers.nullspace import null_directions
from solvers.spectrum import leading_eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space
    from solvers.bordered import Jacobian

__all__ = ["MapFamily"]

#: Step of the difference in the parameter, as a share of its interval: errors are about its square.
DIFFERENCE = 1e-5
#: Singular values below this share of the largest are those of symmetries that the nodes hardly break.
NEARLY = 1e-6
#: Derivatives at most that are found one by one, by differences, where pairs of tokens have none.
COLUMNS = 512
#: Singular values among which neutral directions are sought near a branch, and from which they are none.
SMALL, RELEASED = 1e-2, 1e-4
#: Singular values at a branch point that are zero but for the error of its place.
CRITICAL = 1e-5


@dataclass
class MapFamily:
    """Places T(z_j) of one atom a node, (aux,) or (aux · d,), as the parameter varies in an interval."""

    at: Callable[[float], Problem]
    interval: tuple[float, float]
    _neutral: FloatArray | None = None

    def system(self, value: float) -> TokenSystem:
        """Velocities at a value of the parameter."""
        return TokenSystem.of_maps(self.at(value))

    @cached_property
    def _space(self) -> Space:
        return self.at(self.interval[0]).space

    @cached_property
    def _weights(self) -> FloatArray:
        return np.repeat(self.at(self.interval[0]).auxiliary.weights, math.prod(self._space.place))

    def _lifted(self, state: FloatArray) -> FloatArray:
        """Places of the atoms; on circles they are continued along a lifted line."""
        place = self._space.place
        return surface(self._space).retract(state.reshape(-1, *place)) if place else state

    def _frame(self, places: FloatArray) -> FloatArray | None:
        """Tangents of all atoms in the embedding, (aux · tangents, aux · d), None on lines."""
        return linalg.block_diag(*self._space.frame_at(places)) if self._space.place else None

    def _tangential(self, places: FloatArray, value: float) -> FloatArray:
        """Differentiate the velocity along the frames: column by column where pairs have no derivatives."""
        matrix = self.system(value).jacobian(places)
        if isinstance(matrix, np.ndarray):
            return matrix
        if matrix.shape[0] > COLUMNS:
            raise TypeError(f"bifurcation: {matrix.shape[0]} derivatives one by one")
        return np.asarray(matrix @ np.eye(matrix.shape[0]))

    def check(self) -> None:
        """Raise InputError where there are too many nodes for a matrix of derivatives."""
        system = self.system(self.interval[0])
        nodes = (DENSE if system.has_slopes else COLUMNS) // system.tangents
        if system.masses.size > nodes:
            raise InputError(
                f"[auxiliary] nodes: branches of limit maps are followed with at most {nodes} of them here, "
                f"this law has {system.masses.size}"
            )

    def residual(self, state: FloatArray, value: float) -> FloatArray:
        """V[T](T(z), z); not finite where Newton's method tries a value that the parameter may not have."""
        try:
            system = self.system(value)
        except InputError:
            return np.full(state.size, np.nan)
        places = self._lifted(state)
        velocity, frame = system.velocity(places), self._frame(places)
        return velocity if frame is None else velocity @ frame - (state - places.ravel())

    def jacobian(self, state: FloatArray, value: float) -> Jacobian:
        """Its derivative by the places; on surfaces but for terms that vanish with the residual."""
        places = self._lifted(state)
        matrix, frame = self._tangential(places, value), self._frame(places)
        if frame is None:
            return matrix
        return np.asarray(frame.T @ (matrix + np.eye(len(matrix))) @ frame - np.eye(state.size))

    def slope(self, state: FloatArray, value: float) -> FloatArray:
        """Its derivative by the parameter, by a central difference, at the ends of second order as well."""
        return slope(lambda at: self.residual(state, at), value, self.interval, DIFFERENCE)

    def weights(self, state: FloatArray) -> FloatArray:  # noqa: ARG002 (of any state)
        """Weights of the nodes, for every component."""
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
        """Places T(z_j), (aux, …): angles in [0, 2π), or unit vectors."""
        places = self._lifted(state)
        return places if self._space.place else places % (2.0 * np.pi)

    def state(self, places: FloatArray) -> FloatArray:
        """Unknowns for these places."""
        return places.ravel()

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
        places = self._lifted(state)
        jacobian, frame = self._tangential(places, value), self._frame(places)
        own = self.neutral(state, value)
        own = own if frame is None else own @ frame.T
        across = linalg.null_space(own) if len(own) else np.eye(len(jacobian))
        if not across.size:
            return np.empty(0, dtype=complex), np.empty((state.size, 0))
        values, vectors = leading_eigenvalues(across.T @ jacobian @ across, 4)
        along = (across @ vectors).real
        return values, along if frame is None else frame.T @ along

    def leading(self, state: FloatArray, value: float) -> float:
        """Largest real part of the spectrum of the flow of the atoms; a point of a branch."""
        own = self.neutral(state, value)
        jacobian = np.asarray(self.jacobian(state, value))
        size = np.linalg.norm(own @ jacobian.T, axis=1) if len(own) else np.zeros(0)
        self._neutral = own[size <= RELEASED * np.abs(jacobian).sum(axis=1).max()]
        values, _ = self._spectrum(state, value)
        if values.size:
            return float(values[0].real)
        return -float(self.system(value).curvature(self._lifted(state)).min())

    def direction(self, state: FloatArray, value: float) -> FloatArray:
        """Eigenvector of the leading eigenvalue."""
        vectors = self._spectrum(state, value)[1]
        return np.asarray(vectors[:, 0])
