"""The auxiliary distribution ν: nodes z_j and weights w_j that never change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray

__all__ = ["Auxiliary", "legendre", "none", "uniform"]


@dataclass(frozen=True)
class Auxiliary:
    """Nodes z_j, (aux,), and weights w_j, (aux,), positive with sum 1.

    Raises
    ------
    InputError
        When the sizes differ, a number is not finite or a weight is not positive, or the sum is not 1.
    """

    nodes: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        if self.nodes.ndim != 1 or self.nodes.shape != self.weights.shape or self.nodes.size == 0:
            raise InputError(
                "auxiliary: nodes and weights must be vectors of one length, "
                f"got shapes {self.nodes.shape} and {self.weights.shape}"
            )
        if not (
            np.isfinite(self.nodes).all() and np.isfinite(self.weights).all() and (self.weights > 0).all()
        ):
            raise InputError("auxiliary: nodes must be finite and weights finite and positive")
        if abs(self.weights.sum() - 1.0) > 1e-12:
            raise InputError(f"auxiliary: weights must sum to 1, got {self.weights.sum()!r}")

    def mean(self, values: FloatArray) -> FloatArray:
        """Average Σ_j w_j values_j over the first axis."""
        return np.asarray(np.tensordot(self.weights, values, axes=1))


def none() -> Auxiliary:
    """No auxiliary variable: one node at z = 0."""
    return Auxiliary(np.zeros(1), np.ones(1))


def uniform(count: int) -> Auxiliary:
    """Midpoints of [0, 1] with equal weights."""
    return Auxiliary((np.arange(count) + 0.5) / count, np.full(count, 1.0 / count))


def legendre(count: int) -> Auxiliary:
    """Gauss–Legendre quadrature of the uniform distribution on [0, 1]."""
    nodes, weights = special.roots_legendre(count)
    return Auxiliary((nodes + 1.0) / 2.0, weights / weights.sum())
