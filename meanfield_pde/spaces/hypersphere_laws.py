"""Laws of single tokens on spheres of any dimension: distances, transport, Fréchet means, zonal averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.spaces.sphere_transport import directions, pieces
from meanfield_pde.spaces.zonal_line import Edges

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.spaces.base import Atoms
    from meanfield_pde.spaces.zonal import Zonal

__all__ = ["distance", "nearest_dirac", "rings", "transported"]

#: Pivots of the network simplex: far more than thousands of atoms take.
PIVOTS = 10**8
#: Numbers in the differences of vectors that are held at once.
HELD = 2**22
#: Steps towards a mean, and the length of a step that ends them: the distance has changed by its square.
STEPS, STILL = 500, 1e-9
#: The heaviest atoms from which the nearest Dirac mass is sought.
HEAVIEST = 8


def distance(first: FloatArray, second: FloatArray) -> FloatArray:
    """Angle 2 arctan(|x − y| / |x + y|) between unit vectors (..., d) (Kahan)."""
    apart = np.linalg.norm(first - second, axis=-1)
    return np.asarray(2.0 * np.arctan2(apart, np.linalg.norm(first + second, axis=-1)))


def distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """Angles of all pairs, (n, m), in blocks."""
    size = max(1, HELD // max(1, second.size))
    parts = [distance(first[k : k + size, None], second) for k in range(0, len(first), size)]
    return np.concatenate(parts)


def transported(
    first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray], order: int
) -> float:
    """W_order of two sets of places (n, d) and masses (n,) by angles; of more than 2000 groups are moved."""
    import ot

    (places, masses), (atoms, weights) = pieces(*first), pieces(*second)
    cost = distances(places, atoms) ** order
    least = float(ot.emd2(masses, weights, cost, numItermax=PIVOTS))
    return float(max(least, 0.0) ** (1.0 / order))


def nearest_dirac(points: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
    """Fréchet mean, the point of the least Σ mass · distance², and the root of that.

    A step goes to the mean in the tangent plane: as distance²/2 is nowhere more convex than there, no step
    goes up. Of several minima the best is taken that is found from the mean direction, both ends of the
    principal axis and the heaviest atoms.
    """
    weights = masses / masses.sum()
    axis = np.linalg.svd(np.sqrt(np.maximum(weights, 0.0))[:, None] * points, full_matrices=False)[2][0]
    heaviest = points[np.argsort(-weights, kind="stable")[:HEAVIEST]]
    starts = [directions(weights @ points), axis, -axis, *heaviest]
    found = [_mean_near(start, points, weights) for start in starts]
    centre, square = min(found, key=lambda pair: pair[1])
    return centre, float(np.sqrt(max(square, 0.0)))


def _mean_near(centre: FloatArray, points: FloatArray, weights: FloatArray) -> tuple[FloatArray, float]:
    """Local minimum of Σ mass · distance² and its value."""
    for _ in range(STEPS):
        step = weights @ _logarithm(centre, points)
        length = float(np.linalg.norm(step))
        if length < STILL:
            break
        centre = directions(np.cos(length) * centre + np.sin(length) / length * step)
    return centre, float(weights @ distance(points, centre) ** 2)


def _logarithm(centre: FloatArray, points: FloatArray) -> FloatArray:
    """Tangent vectors at the centre that lead to points along geodesics, (n, d); zero to the antipode."""
    tangent = points - np.outer(points @ centre, centre)
    length = np.linalg.norm(tangent, axis=1)
    angle = distance(points, centre)
    return np.asarray(tangent * (angle / np.where(length > 0.0, length, 1.0))[:, None])


def rings(zonal: Zonal, atoms: Atoms) -> FloatArray:
    """Mass of every row in the rings about the grid points, over their volumes, (rows, rings)."""
    edges = Edges.between(zonal.probabilities, zonal.dimension).cosines
    ring = np.searchsorted(edges, atoms.places[:, 0], side="right")
    count, rows = zonal.weights.size, atoms.starts.size - 1
    held = np.bincount(atoms.rows * count + ring, weights=atoms.masses, minlength=rows * count)
    return np.asarray(held.reshape(rows, count) / zonal.weights)
