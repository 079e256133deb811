"""Limit maps as a family: what the continuation of ``solvers`` needs of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

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


@dataclass(frozen=True)
class MapFamily:
    """Places T(z_j) of one atom a node, (aux,), as the parameter varies in an interval.

    Residuals are velocities over ``scale``, the longest attention vector at the start.
    """

    at: Callable[[float], Problem]
    interval: tuple[float, float]
    scale: float = 1.0

    def system(self, value: float) -> TokenSystem:
        """Velocities at a value of the parameter."""
        return TokenSystem.of_maps(self.at(value))

    @cached_property
    def _weights(self) -> FloatArray:
        return self.at(self.interval[0]).auxiliary.weights

    def residual(self, state: FloatArray, value: float) -> FloatArray:
        """V[T](T(z), z), scaled."""
        return np.asarray(self.system(value).velocity(state) / self.scale)

    def jacobian(self, state: FloatArray, value: float) -> Jacobian:
        """Its derivative by the places."""
        matrix = self.system(value).jacobian(state)
        if not isinstance(matrix, np.ndarray):
            raise TypeError("bifurcation: limit maps of so many nodes have no matrix")
        return np.asarray(matrix / self.scale)

    def slope(self, state: FloatArray, value: float) -> FloatArray:
        """Its derivative by the parameter, by a central difference, at the ends of second order as well."""
        low, high = self.interval
        step = DIFFERENCE * (high - low)
        centre = min(max(value, low + step), high - step)
        ahead, behind = (self.residual(state, centre + sign * step) for sign in (1.0, -1.0))
        slope = (ahead - behind) / (2.0 * step)
        if centre == value:
            return np.asarray(slope)
        middle = self.residual(state, centre)
        return np.asarray(slope + (value - centre) * (ahead - 2.0 * middle + behind) / step**2)

    def weights(self, state: FloatArray) -> FloatArray:  # noqa: ARG002 (of any state)
        """Weights of the nodes."""
        return self._weights

    def neutral(self, state: FloatArray, value: float) -> FloatArray:
        """Directions along which the map may be moved, to rounding error."""
        jacobian = self.jacobian(state, value)
        return null_directions(np.asarray(jacobian))[0]

    def fitted(self, state: FloatArray, value: float) -> FloatArray:  # noqa: ARG002 (as densities)
        """Nothing to refine."""
        return state

    def _spectrum(self, state: FloatArray, value: float) -> tuple[ComplexArray, FloatArray]:
        jacobian = np.asarray(self.jacobian(state, value)) * self.scale
        neutral = len(null_directions(jacobian)[0])
        values, vectors = leading_eigenvalues(jacobian, 4 + neutral)
        kept = np.ones(values.size, dtype=bool)
        kept[np.argsort(np.abs(values), kind="stable")[:neutral]] = False
        return values[kept], vectors[:, kept].real

    def leading(self, state: FloatArray, value: float) -> float:
        """Largest real part of the spectrum of the flow of the atoms."""
        values, _ = self._spectrum(state, value)
        return float(values[0].real) if values.size else -float(self.system(value).curvature(state).min())

    def direction(self, state: FloatArray, value: float) -> FloatArray:
        """Eigenvector of the leading eigenvalue."""
        vectors = self._spectrum(state, value)[1]
        return np.asarray(vectors[:, 0])
