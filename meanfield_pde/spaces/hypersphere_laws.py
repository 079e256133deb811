"""Laws of single tokens on spheres of any dimension: distances, transport, Fréchet means, zonal averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.spaces.sphere_transport import distance, nearest_dirac, pieces
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


def rings(zonal: Zonal, atoms: Atoms) -> FloatArray:
    """Mass of every row in the rings about the grid points, over their volumes, (rows, rings)."""
    edges = Edges.between(zonal.probabilities, zonal.dimension).cosines
    ring = np.searchsorted(edges, atoms.places[:, 0], side="right")
    count, rows = zonal.weights.size, atoms.starts.size - 1
    held = np.bincount(atoms.rows * count + ring, weights=atoms.masses, minlength=rows * count)
    return np.asarray(held.reshape(rows, count) / zonal.weights)
