"""Optimal transport on the flat torus T²: pieces that stand for a density, and POT between sets of atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from meanfield_pde.arrays import BoolArray, FloatArray

__all__ = ["COARSEST", "pieces", "transported"]

#: Squares an axis that are always there, and pieces into which they are split at most.
COARSEST, PIECES = 8, 2048
#: Masses below this are rounding error and are not moved.
LEAST_MASS = 1e-14
#: Pivots of the network simplex: far more than thousands of atoms take.
PIVOTS = 10**8


def pieces(masses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Centres (pieces, 2), in grid spacings, and masses (pieces,) of squares with masses on a grid (n, n).

    They are cut in four where mass × width² is largest: so much of W₂² is lost. n is a power of two.
    """
    levels = _pooled(masses)
    loss = [level[0] / 4.0**depth for depth, level in enumerate(levels[:-1])]
    most = (PIECES - COARSEST**2) // 3
    threshold = np.sort(np.concatenate([part.ravel() for part in loss]))[-most - 1]
    split = [part > threshold for part in loss] + [np.zeros(masses.shape, dtype=np.bool_)]
    present = [np.ones_like(split[0])] + [_children(parent) for parent in split[:-1]]
    kept = [
        there & ~cut & (level[0] > LEAST_MASS * masses.sum())
        for there, cut, level in zip(present, split, levels, strict=True)
    ]
    found = np.concatenate([level[:, chosen] for level, chosen in zip(levels, kept, strict=True)], axis=1)
    return (found[1:] / found[0]).T, found[0] / found[0].sum()


def _pooled(masses: FloatArray) -> list[FloatArray]:
    """Masses and first moments (3, n, n) of squares, from the coarsest to single points."""
    first, second = np.indices(masses.shape, dtype=np.float64)
    levels = [np.stack([masses, masses * first, masses * second])]
    while levels[-1].shape[-1] > COARSEST:
        half = levels[-1].shape[-1] // 2
        levels.append(levels[-1].reshape(3, half, 2, half, 2).sum(axis=(2, 4)))
    return levels[::-1]


def _children(split: BoolArray) -> BoolArray:
    """Squares of the next level whose parent is split: before them, since it loses more than they."""
    return split.repeat(2, axis=0).repeat(2, axis=1)


def transported(cost: FloatArray, masses: FloatArray, weights: FloatArray) -> float:
    """Least cost of moving masses (n,) to weights (m,), exactly (POT's network simplex)."""
    import ot

    source, target = masses > LEAST_MASS, weights > LEAST_MASS
    moved, taken = masses[source], weights[target]
    cost = np.ascontiguousarray(cost[np.ix_(source, target)])
    return float(ot.emd2(moved / moved.sum(), taken / taken.sum(), cost, numItermax=PIVOTS))
