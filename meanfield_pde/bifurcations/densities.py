"""Stationary densities as a family: what the continuation of ``solvers`` needs of them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.bifurcations.differences import slope
from meanfield_pde.equation import Equation
from meanfield_pde.errors import InputError
from meanfield_pde.limits.densities import DensitySystem
from meanfield_pde.limits.stability import Linearisation
from meanfield_pde.methods.spectral import finer_resolution, guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space
    from solvers.bordered import Jacobian

__all__ = ["DensityFamily"]

#: Equations that are kept, each with the tables of its attention.
KEPT = 12
#: Step of the difference in the parameter, as a share of its interval: errors are about its square.
DIFFERENCE = 1e-4
#: The slope of nearby states serves again: the parameter within this share of its interval, coefficients too.
#: Newton's method converges as well, and folds are where the Jacobian is singular, whatever the slope.
NEARBY = 2e-3


@dataclass
class DensityFamily:
    """Densities (aux · moving coefficients,) as the parameter varies in an interval.

    Parameters
    ----------
    at
        Problem at a value of the parameter.
    interval
        Lowest and highest value; differences stay within it.
    """

    at: Callable[[float], Problem]
    interval: tuple[float, float]
    _equations: OrderedDict[tuple[float, int], Equation] = field(default_factory=OrderedDict)
    _slope: tuple[FloatArray, float, FloatArray] | None = None

    def begin(self) -> None:
        """Nothing of another branch is remembered that matters."""

    def near(self, state: FloatArray, value: float) -> None:
        """Nothing to prepare, either."""

    def leave(self, state: FloatArray, value: float, direction: FloatArray | None) -> None:
        """Nothing to prepare: neutral directions are rotations, known for every state."""

    def equation(self, space: Space, value: float) -> Equation:
        """Equation on a grid at a value; the last few are kept, attention is shared where it is the same."""
        key = (value, space.resolution)
        if key in self._equations:
            self._equations.move_to_end(key)
            return self._equations[key]
        problem = self.at(value)
        equation = problem.equation(space)
        for (_, resolution), known in self._equations.items():
            if resolution == space.resolution and known.attention.attention is problem.attention:
                equation = Equation(known.attention, equation.drift, equation.sigma)
        self._equations[key] = equation
        if len(self._equations) > KEPT:
            self._equations.popitem(last=False)
        return equation

    def system(self, state: FloatArray, value: float) -> DensitySystem:
        """G on the grid of the state."""
        problem = self.at(value)
        moving = state.size // problem.auxiliary.nodes.size
        space = problem.space
        degree = 0
        while space.width(degree) - space.constant < moving:
            degree += 1
        return DensitySystem(self.equation(space.resized(8).at_least(degree), value))

    def coefficients(self, state: FloatArray, value: float) -> FloatArray:
        """Coefficients of a state, (aux, …)."""
        return self.system(state, value).coefficients(state)

    def residual(self, state: FloatArray, value: float) -> FloatArray:
        """ρ − S[V[ρ]]; not finite where the parameter may not have the value, which Newton's method tries."""
        try:
            system = self.system(state, value)
        except InputError:
            return np.full(state.size, np.nan)
        return system.residual(state)

    def jacobian(self, state: FloatArray, value: float) -> Jacobian:
        """Its derivative by the state."""
        return self.system(state, value).jacobian(state)

    def slope(self, state: FloatArray, value: float) -> FloatArray:
        """Its derivative by the parameter, by a central difference, at the ends a one-sided one."""
        low, high = self.interval
        if self._slope is not None:
            near, place, known = self._slope
            if (
                near.shape == state.shape
                and abs(place - value) <= NEARBY * (high - low)
                and np.abs(near - state).max() <= NEARBY
            ):
                return known
        found = slope(lambda at: self.residual(state, at), value, self.interval, DIFFERENCE)
        self._slope = (state, value, found)
        return found

    def weights(self, state: FloatArray) -> FloatArray:
        """Weights of the nodes."""
        problem = self.at(self.interval[0])
        moving = state.size // problem.auxiliary.nodes.size
        return np.repeat(problem.auxiliary.weights, moving)

    def neutral(self, state: FloatArray, value: float) -> FloatArray:
        """Rotations that the equation does not feel."""
        return self.system(state, value).neutral(state)

    def fitted(self, state: FloatArray, value: float) -> FloatArray:
        """Extend the state where its grid does not resolve it.

        Raises
        ------
        StalledError
            When the finest grid does not.
        """
        from solvers.newton import StalledError

        problem, system = self.at(value), self.system(state, value)
        space, coefficients = system.equation.space, system.coefficients(state)
        while True:
            size = np.abs(coefficients * guard(space, problem.accuracy.atol))[:, space.constant :].max()
            if size <= 1.0:
                return np.asarray(coefficients[:, space.constant :].ravel())
            finest = problem.accuracy.max_resolution
            if space.resolution >= finest:
                reason = f"the density needs more than solver.max_resolution = {finest} {space.counted}"
                raise StalledError(reason, state, float(size))
            wanted = min(finest, finer_resolution(space.resolution))
            space = space.resized(wanted)
            coefficients = space.pad(coefficients)

    def grown(self, state: FloatArray, like: FloatArray, value: float) -> FloatArray:
        """Return the state with zeros for all modes that a finer one has."""
        space = self.system(like, value).equation.space
        return np.asarray(space.pad(self.coefficients(state, value))[:, space.constant :].ravel())

    def leading(self, state: FloatArray, value: float) -> float:
        """Largest real part of the spectrum of the linearised flow."""
        system = self.system(state, value)
        about = Linearisation(system.equation, system.coefficients(state))
        return about.leading(system.neutral(state))

    def direction(self, state: FloatArray, value: float) -> FloatArray:
        """Eigenvector of the leading eigenvalue."""
        system = self.system(state, value)
        about = Linearisation(system.equation, system.coefficients(state))
        return about.spectrum(system.neutral(state)).direction
