"""Feed-forward drift F(x) = Σ_k θ_k g_k(x): linear in its parameters, tangential in x."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from meanfield_pde.arrays import FloatArray
from meanfield_pde.spaces import Space

__all__ = ["Drift", "harmonics"]

Drift = Callable[[Space], FloatArray]


def harmonics(parameters: Sequence[float]) -> Drift:
    """Drift on the circle by the tangential fields 1, cos θ, sin θ, …, cos Kθ, sin Kθ.

    Returns
    -------
    Drift
        Called with a space, it gives the tangential components at its grid points, (points, 1).
    """

    def drift(space: Space) -> FloatArray:
        angle = np.arctan2(space.points[:, 1], space.points[:, 0])
        total = np.full(angle.shape, float(parameters[0]))
        for degree in range(1, (len(parameters) + 1) // 2):
            total += parameters[2 * degree - 1] * np.cos(degree * angle)
            total += parameters[2 * degree] * np.sin(degree * angle)
        return total[:, None]

    return drift
