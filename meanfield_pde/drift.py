"""Feed-forward drift F(x) = Σ_k θ_k g_k(x): linear in its parameters, tangential in x."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from meanfield_pde.arrays import FloatArray
from meanfield_pde.errors import InputError
from meanfield_pde.features import Features, Harmonics, Perceptron
from meanfield_pde.spaces import Space

__all__ = ["Drift", "Pointwise", "combined", "harmonics"]

Drift = Callable[[Space], FloatArray]


@runtime_checkable
class Pointwise(Protocol):
    """A drift that is known everywhere, not on grids alone."""

    def at(self, space: Space, places: FloatArray) -> FloatArray:
        """Return its tangential components at places of a space, (places, d − 1)."""
        ...


@dataclass(frozen=True, eq=False)
class _Neural:
    """Drift of a perceptron, at grid points and anywhere else."""

    parameters: FloatArray
    perceptron: Perceptron

    def __call__(self, space: Space) -> FloatArray:
        return _summed(self.parameters, self.perceptron(space))

    def at(self, space: Space, places: FloatArray) -> FloatArray:
        return _summed(self.parameters, self.perceptron.at(space, places))


def combined(parameters: Sequence[float] | FloatArray, features: Features) -> Drift:
    """Drift with these parameters, one a field.

    Returns
    -------
    Drift
        Called with a space, it gives the tangential components at its grid points, (points, d − 1). That of a
        perceptron is ``Pointwise`` as well.
    """
    theta = np.array(parameters, dtype=np.float64)
    if isinstance(features, Perceptron):
        return _Neural(theta, features)
    return lambda space: _summed(theta, features(space))


def _summed(theta: FloatArray, fields: FloatArray) -> FloatArray:
    if theta.shape != fields.shape[:1]:
        raise InputError(
            f"drift: must have one parameter a field, that is {len(fields)} of them, got {theta.size}"
        )
    return np.asarray(np.einsum("k,kip->ip", theta, fields))


def harmonics(parameters: Sequence[float], degree: int | None = None) -> Drift:
    """Drift by the tangential fields of a space up to a degree: 1, cos θ, sin θ, … on the circle.

    Without a degree it is that of as many fields on the circle.
    """
    return combined(parameters, Harmonics((len(parameters) - 1) // 2 if degree is None else degree))
