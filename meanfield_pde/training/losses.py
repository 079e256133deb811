r"""Losses ℓ of the final token marginal μ, with their derivatives by its coefficients.

.. math:: \tfrac12 \int (\mu - \mu^*)^2\,dx, \qquad \int \mu^* \log\frac{\mu^*}{\mu}\,dx, \qquad
    \int g\,d\mu

by the quadrature of the grid: derivatives are those of the sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from scipy import special

from meanfield_pde.spaces.base import transposable

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.spaces import Space

__all__ = ["Divergence", "Linear", "Loss", "Square", "Values"]

#: Called with a space, gives values at its grid points, (points,).
Values = Callable[["Space"], "FloatArray"]


class Loss(Protocol):
    """A function of the token marginal."""

    @property
    def kind(self) -> Literal["l2", "kl", "linear"]:
        """Name in the configuration."""

    def __call__(self, space: Space, marginal: FloatArray) -> tuple[float, FloatArray]:
        """Value, and derivative (coefficients,), for coefficients of a marginal on a grid."""


@dataclass(frozen=True)
class Square:
    """½‖μ − μ*‖² in L²."""

    target: Values
    kind: Literal["l2", "kl", "linear"] = "l2"

    def __call__(self, space: Space, marginal: FloatArray) -> tuple[float, FloatArray]:
        """Return value and derivative."""
        apart = space.synthesise(marginal) - self.target(space)
        weighted = space.weights * apart
        return float(0.5 * weighted @ apart), _derivative(space, weighted, marginal)


@dataclass(frozen=True)
class Divergence:
    """KL(μ* ‖ μ), infinite where μ is not positive and μ* is."""

    target: Values
    kind: Literal["l2", "kl", "linear"] = "kl"

    def __call__(self, space: Space, marginal: FloatArray) -> tuple[float, FloatArray]:
        """Return value and derivative."""
        target, density = self.target(space), space.synthesise(marginal)
        if (density[target > 0.0] <= 0.0).any():
            return math.inf, np.full_like(marginal, math.nan)
        value = float(special.rel_entr(target, density) @ space.weights)
        ratio = np.divide(target, density, out=np.zeros_like(target), where=target > 0.0)
        return value, _derivative(space, -space.weights * ratio, marginal)


@dataclass(frozen=True)
class Linear:
    """∫ g dμ."""

    function: Values
    kind: Literal["l2", "kl", "linear"] = "linear"

    def __call__(self, space: Space, marginal: FloatArray) -> tuple[float, FloatArray]:
        """Return value and derivative."""
        weighted = space.weights * self.function(space)
        return float(weighted @ space.synthesise(marginal)), _derivative(space, weighted, marginal)


def _derivative(space: Space, by_values: FloatArray, marginal: FloatArray) -> FloatArray:
    """Transpose of the synthesis."""
    return np.asarray(transposable(space).synthesise_transposed(by_values, marginal.size))
