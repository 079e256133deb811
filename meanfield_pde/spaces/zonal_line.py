r"""The cells of zonal densities: rings about the grid points, in a row from one pole to the other.

Cell i holds the weight p_i of its point: its edges lie where P(t < edge) = p_0 + … + p_i, between the points
(Chebyshev, Markov, Stieltjes). The face of an edge at the polar angle α has the area sin^{d−2} α / Z relative
to the volume, Z = B((d−1)/2, 1/2), and by the divergence theorem

.. math:: \int_{cell} e_l\,dP = \frac{[\,\sin^{d-2}\alpha\;\partial_\alpha e_l / Z\,]}{l(l+d-2)}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.spaces import gegenbauer

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray

__all__ = ["Edges", "cumulative", "work_weights"]

#: Nodes of the Gauss rule with two points on [−1, 1], exact for cubics.
GAUSS = 3.0**-0.5


@dataclass(frozen=True, eq=False)
class Edges:
    """Places between cells: cosine and sine of their polar angles, and the areas of their faces."""

    cosines: FloatArray
    sines: FloatArray
    dimension: int

    @classmethod
    def between(cls, weights: FloatArray, dimension: int) -> Edges:
        """Return those of cells with these probabilities, which are symmetric."""
        half = weights.size // 2
        shape = (dimension - 1) / 2.0
        lower = special.betaincinv(shape, shape, np.minimum(np.cumsum(weights[:half]), 0.5))
        cosines, sines = 2.0 * lower - 1.0, 2.0 * np.sqrt(lower * (1.0 - lower))
        skipped = 1 if weights.size % 2 == 0 else 0  # the edge at the equator is its own image
        return cls(
            np.concatenate([cosines, -cosines[::-1][skipped:]]),
            np.concatenate([sines, sines[::-1][skipped:]]),
            dimension,
        )

    @classmethod
    def at(cls, angles: FloatArray, dimension: int) -> Edges:
        """Return edges at these polar angles."""
        return cls(np.cos(angles), np.sin(angles), dimension)

    @property
    def areas(self) -> FloatArray:
        """Areas sin^{d−2} α / Z of the faces, (edges,)."""
        whole = special.betaln((self.dimension - 1) / 2.0, 0.5)
        power = special.xlogy(self.dimension - 2.0, self.sines)
        return np.asarray(np.exp(power - whole))

    def fluxes(self, degree: int) -> FloatArray:
        """Integrals ∫ e_l dP from the pole α = π to the edges, (degree + 1, edges); zero for l = 0."""
        result = gegenbauer.slopes(self.cosines, self.sines, degree, self.dimension)
        result[1:] *= self.areas / gegenbauer.eigenvalues(degree, self.dimension)[1:, None]
        return result


def cumulative(coefficients: FloatArray, angles: FloatArray, dimension: int) -> FloatArray:
    """Mass of a density between the pole α = 0 and each of these polar angles, (angles,)."""
    edges = Edges.at(angles, dimension)
    shape = (dimension - 1) / 2.0
    cap = special.betainc(shape, shape, np.sin(angles / 2.0) ** 2)
    return np.asarray(coefficients[0] * cap - coefficients @ edges.fluxes(coefficients.size - 1))


def work_weights(angles: FloatArray) -> FloatArray:
    """Weights (4, faces) with which four neighbours give ∫ f dα from a point to the next: cubics exactly.

    For functions that are odd about the poles: the first and the last point have an image beyond them, where
    the function is the negative.
    """
    places = np.concatenate([[2.0 * np.pi - angles[0]], angles, [-angles[-1]]])
    around = np.stack([places[k : places.size - 3 + k] for k in range(4)])
    middle, half = (around[1] + around[2]) / 2.0, (around[2] - around[1]) / 2.0
    around = (around - middle) / half
    result = np.zeros(around.shape)
    for node in (-GAUSS, GAUSS):
        for k in range(4):
            others = np.delete(around, k, axis=0)
            result[k] += np.prod((node - others) / (around[k] - others), axis=0)
    return np.asarray(half * result)
