"""Feed-forward drift F(x) = Σ_k θ_k g_k(x): linear in its parameters, tangential in x."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from meanfield_pde.arrays import FloatArray
from meanfield_pde.errors import InputError
from meanfield_pde.features import Features, Harmonics
from meanfield_pde.spaces import Space

__all__ = ["Drift", "combined", "harmonics"]

Drift = Callable[[Space], FloatArray]


def combined(parameters: Sequence[float] | FloatArray, features: Features) -> Drift:
    """Drift with these parameters, one a field.

    Returns
    -------
    Drift
        Called with a space, it gives the tangential components at its grid points, (points, d − 1).
    """
    theta = np.array(parameters, dtype=np.float64)

    def drift(space: Space) -> FloatArray:
        fields = features(space)
        if theta.shape != fields.shape[:1]:
            raise InputError(
                f"drift: must have one parameter a field, that is {len(fields)} of them, got {theta.size}"
            )
        return np.asarray(np.einsum("k,kip->ip", theta, fields))

    return drift


def harmonics(parameters: Sequence[float], degree: int | None = None) -> Drift:
    """Drift by the tangential fields of a space up to a degree: 1, cos θ, sin θ, … on the circle.

    Without a degree it is that of as many fields on the circle.
    """
    return combined(parameters, Harmonics((len(parameters) - 1) // 2 if degree is None else degree))
