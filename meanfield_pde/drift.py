"""Feed-forward drift F(x) = Σ_k θ_k g_k(x): linear in its parameters, tangential in x."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from meanfield_pde.arrays import FloatArray
from meanfield_pde.spaces import Space

__all__ = ["Drift", "harmonics"]

Drift = Callable[[Space], FloatArray]


def harmonics(parameters: Sequence[float], degree: int | None = None) -> Drift:
    """Drift by the tangential fields of a space up to a degree: 1, cos θ, sin θ, … on the circle.

    Without a degree it is that of as many fields on the circle.

    Returns
    -------
    Drift
        Called with a space, it gives the tangential components at its grid points, (points, d − 1).
    """
    theta = np.array(parameters, dtype=np.float64)
    highest = (theta.size - 1) // 2 if degree is None else degree

    def drift(space: Space) -> FloatArray:
        return np.asarray(np.einsum("k,kip->ip", theta, space.features(highest)))

    return drift
