r"""What is said of a cloud of tokens in R^d: collapse, rank, distance to a point, what it knows of positions.

Tokens are compared by direction, as unit vectors x_i of S^{d−1}: R = |Σ x_i/n|, effective rank and W₂ to the
nearest Dirac mass are those of ``limits/measures.py``. Token collapse and uniform attention are different
things, so that the entropy of attention stands beside them.

The information that tokens hold of their positions is that of Gaussian variables (Gelfand & Yaglom 1957),

.. math:: I = -\tfrac12 \sum_k \log(1 - r_k^2),

r_k the canonical correlations between the q leading principal components of the tokens and of codes of the
positions. It does not change under invertible linear maps of either. Finite clouds correlate by chance: the
mean of I over random orders of the positions is subtracted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from meanfield_pde.errors import InputError
from meanfield_pde.limits.measures import effective_rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = [
    "COLLAPSED",
    "MEASURES",
    "Codes",
    "Interval",
    "depth_of_collapse",
    "interval",
    "nearest_dirac",
    "observe_cloud",
    "units",
]

#: Measures of a cloud with attention, and what they are.
MEASURES: Mapping[str, str] = {
    "order_parameter": "order parameter R = |mean unit token|",
    "effective_rank": "effective rank of the covariance of unit tokens",
    "nearest_dirac": "W2 of unit tokens to the nearest Dirac mass",
    "attention_entropy": "entropy of attention over log n, mean over tokens and heads",
    "information": "Gaussian mutual information of token and position, nats",
}
#: R from which on tokens count as collapsed; entropy over log n from which on attention counts as uniform.
COLLAPSED = 0.99
#: Spread of unit tokens, in rounding errors, below which they are one point: about ten are left of collapse.
SPREAD = 100.0
#: Random orders of positions whose mean information is subtracted.
ORDERS = 16
#: Steps towards the Fréchet mean at most, and the length of the last over W₂, whose error is of its square.
STEPS, STILL = 500, 1e-7
EPSILON = float(np.finfo(np.float64).eps)


def units(hidden: NDArray[np.floating[Any]]) -> FloatArray:
    """Directions of vectors (..., d) in double precision.

    Raises
    ------
    InputError
        When one of them is zero.
    """
    vectors = np.asarray(hidden, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > 0).all():
        raise InputError("measures: a token of length zero has no direction")
    return np.asarray(vectors / lengths)


@dataclass(frozen=True)
class Codes:
    """Orthonormal codes (n, q) of n positions, and random orders (orders, n) of them that gauge chance."""

    columns: FloatArray
    orders: IntArray

    @staticmethod
    def of(table: NDArray[np.floating[Any]], count: int, seed: int | list[int]) -> Codes:
        """Return the ``count`` leading principal components of centred rows of a table (n, d).

        Raises
        ------
        InputError
            When there are too few positions for so many components.
        """
        if not 0 < 2 * count < len(table):
            raise InputError(
                f"measures: {len(table)} positions must be more than twice the {count} components"
            )
        rows = np.asarray(table, dtype=np.float64)
        left, _, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        orders = np.random.default_rng(seed).permuted(np.tile(np.arange(len(rows)), (ORDERS, 1)), axis=1)
        return Codes(left[:, :count], orders)

    def information(self, columns: FloatArray) -> float:
        """I between orthonormal columns (n, q) of centred tokens and the codes, beyond chance."""
        by_chance = np.mean([_information(columns.T @ self.columns[order]) for order in self.orders])
        return _information(columns.T @ self.columns) - float(by_chance)


def _information(products: FloatArray) -> float:
    """−½ Σ log(1 − r²); correlations are known to rounding, which bounds what each of them may add."""
    squares = np.minimum(np.linalg.svd(products, compute_uv=False) ** 2, 1.0 - EPSILON)
    return float(-0.5 * np.log1p(-squares).sum())


def observe_cloud(points: FloatArray, codes: Codes) -> dict[str, float]:
    """Return all of `MEASURES` but attention for unit tokens (n, d); NaN for what a point does not have."""
    mean = points.mean(axis=0)
    centred = points - mean
    # The products of n tokens have the eigenvalues of their covariance, and its components as eigenvectors.
    values, vectors = np.linalg.eigh(centred @ centred.T / len(points))
    total = float(values.sum())
    measured = {"order_parameter": float(np.linalg.norm(mean)), "nearest_dirac": nearest_dirac(points)}
    if total <= (SPREAD * EPSILON) ** 2:
        return {**measured, "effective_rank": np.nan, "information": np.nan}
    leading = vectors[:, -codes.columns.shape[1] :]
    return {
        **measured,
        "effective_rank": effective_rank(np.diag(values / total)),
        "information": codes.information(leading),
    }


def nearest_dirac(points: FloatArray) -> float:
    """W₂ of unit tokens (n, d), by angles, to their Fréchet mean: steps to the mean in the tangent space.

    No step goes up (Karcher 1977). It is looked for from the mean direction alone: the only minimum where all
    tokens lie within π/2 of it; in hundreds of dimensions it would be dear to search for others.
    """
    total = points.sum(axis=0)
    length = float(np.linalg.norm(total))
    if length <= SPREAD * EPSILON * len(points):
        raise InputError("measures: tokens whose mean is zero have no nearest point")
    centre = total / length
    for _ in range(STEPS):
        cosines = points @ centre
        tangents = points - np.outer(cosines, centre)
        sines = np.sqrt(np.einsum("nd,nd->n", tangents, tangents))
        angles = np.arctan2(sines, cosines)
        # tangents have the length sin(angle), the tangent vectors of the geodesics that of the angle
        step = (angles / np.where(sines > 0.0, sines, 1.0)) @ tangents / len(points)
        size, spread = float(np.linalg.norm(step)), float(np.sqrt(np.mean(angles**2)))
        if size <= STILL * spread:
            break
        centre = np.cos(size) * centre + np.sin(size) / size * step
        centre /= np.linalg.norm(centre)
    return spread


def depth_of_collapse(values: FloatArray, threshold: float = COLLAPSED) -> FloatArray:
    """First layer from which on values (..., layers) stay at the threshold or above; NaN for none."""
    below = values < threshold
    first = np.where(below.any(axis=-1), values.shape[-1] - np.argmax(below[..., ::-1], axis=-1), 0)
    return np.where(first < values.shape[-1], first, np.nan)


@dataclass(frozen=True)
class Interval:
    """Means, half widths of their confidence intervals, and of how many samples each is."""

    mean: FloatArray
    half: FloatArray
    count: IntArray


def interval(samples: FloatArray, level: float = 0.95) -> Interval:
    """Student's interval of the mean of samples (samples, ...); those that are NaN do not count.

    NaN where fewer than two samples are left.
    """
    known = ~np.isnan(samples)
    count = known.sum(axis=0)
    enough = np.where(count > 1, count, 2)
    mean = np.where(known, samples, 0.0).sum(axis=0) / enough
    variance = (np.where(known, samples - mean, 0.0) ** 2).sum(axis=0) / (enough - 1)
    half = special.stdtrit(enough - 1, 0.5 + level / 2.0) * np.sqrt(variance / enough)
    return Interval(np.where(count > 1, mean, np.nan), np.where(count > 1, half, np.nan), count)
