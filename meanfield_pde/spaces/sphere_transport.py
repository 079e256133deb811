"""Optimal transport on the sphere by geodesic distance: pieces of a law, POT, and the nearest Dirac mass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["PIECES", "directions", "distance", "nearest_dirac", "pieces", "transported"]

#: Pieces that stand for a law at most: transport between two such laws takes about a second.
PIECES = 2000
#: Masses below this share are rounding error and are not moved.
LEAST_MASS = 1e-14
#: Pivots of the network simplex: far more than thousands of atoms take.
PIVOTS = 10**8
#: Steps from every start, steps from the best end of these, and the length of a step that ends them: the
#: squared distance is then right to the square of it over how convex it is.
FIRST, STEPS, STILL = 20, 1000, 1e-9
#: The heaviest atoms and principal axes from which the nearest Dirac mass is sought.
HEAVIEST, LEADING = 8, 3


def directions(vectors: FloatArray) -> FloatArray:
    """Divide vectors (..., d) of any length by it; zero goes to e_1."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scaled = vectors / np.where(largest > 0.0, largest, 1.0)
    scaled[..., :1] += largest == 0.0
    return np.asarray(scaled / np.linalg.norm(scaled, axis=-1, keepdims=True))


def distance(first: FloatArray, second: FloatArray) -> FloatArray:
    """Angle 2 arctan(|x − y| / |x + y|) between unit vectors (..., d) (Kahan)."""
    apart = np.linalg.norm(first - second, axis=-1)
    return np.asarray(2.0 * np.arctan2(apart, np.linalg.norm(first + second, axis=-1)))


def pieces(points: FloatArray, masses: FloatArray, count: int = PIECES) -> tuple[FloatArray, FloatArray]:
    """Centres and masses of at most so many groups of atoms, halved where Σ mass · distance² is largest.

    They are cut across their longest direction at the middle of their mass. Up to ``count`` atoms stay as
    they are; masses that are rounding error or negative are left out.
    """
    kept = masses > LEAST_MASS * masses.sum()
    points, masses = points[kept], masses[kept] / masses[kept].sum()
    if len(masses) <= count:
        return points, masses
    groups = _groups(points, masses, count)
    sums = np.array([masses[group] @ points[group] for group in groups])
    return directions(sums), np.array([masses[group].sum() for group in groups])


def _groups(points: FloatArray, masses: FloatArray, count: int) -> list[IntArray]:
    """Split the groups with the largest spread, half of all in a round."""
    groups = [np.arange(len(masses))]
    while len(groups) < count:
        spread = np.array([_spread(points[group], masses[group]).sum() for group in groups])
        number = min(count - len(groups), max(1, len(groups) // 2))
        chosen = np.argsort(-spread, kind="stable")[:number]
        divisible = {int(index) for index in chosen if groups[index].size > 1}
        if not divisible:
            return groups
        groups = [
            part
            for index, group in enumerate(groups)
            for part in (_halved(points, masses, group) if index in divisible else (group,))
        ]
    return groups


def _spread(points: FloatArray, masses: FloatArray) -> FloatArray:
    """Σ mass · deviation² along every axis."""
    return np.asarray(masses @ (points - masses @ points / masses.sum()) ** 2)


def _halved(points: FloatArray, masses: FloatArray, group: IntArray) -> tuple[IntArray, IntArray]:
    axis = int(np.argmax(_spread(points[group], masses[group])))
    ordered = group[np.argsort(points[group, axis], kind="stable")]
    total = np.cumsum(masses[ordered])
    middle = int(np.searchsorted(total, 0.5 * total[-1]))
    cut = min(max(middle, 1), group.size - 1)
    return ordered[:cut], ordered[cut:]


def transported(
    places: FloatArray, masses: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
) -> float:
    """W_order of two sets of atoms by geodesic distance, exactly (POT's network simplex)."""
    import ot

    source, target = masses > LEAST_MASS, weights > LEAST_MASS
    moved, taken = masses[source], weights[target]
    cost = distance(places[source][:, None], atoms[target][None]) ** order
    least = ot.emd2(moved / moved.sum(), taken / taken.sum(), cost, numItermax=PIVOTS)
    return float(max(float(least), 0.0) ** (1.0 / order))


def nearest_dirac(points: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
    """Fréchet mean, the point of the least Σ mass · distance², and the root of that.

    A step goes to the mean in the tangent plane: as distance²/2 is nowhere more convex than there, no step
    goes up. Of several minima the best is taken that is found from the mean direction, the leading principal
    axes and the heaviest atoms.
    """
    weights = masses / masses.sum()
    mean = directions(weights @ points)
    axes = np.linalg.eigh((points.T * weights) @ points)[1].T[-LEADING:]
    heaviest = points[np.argsort(-weights, kind="stable")[:HEAVIEST]]
    found = [_mean_near(start, points, weights, FIRST) for start in (mean, *axes, *-axes, *heaviest)]
    best, _ = min(found, key=lambda pair: pair[1])
    centre, square = _mean_near(best, points, weights, STEPS)
    return centre, float(np.sqrt(square))


def _mean_near(
    centre: FloatArray, points: FloatArray, weights: FloatArray, steps: int
) -> tuple[FloatArray, float]:
    """Point towards a local minimum of Σ mass · distance², and the value there."""
    for _ in range(steps):
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
