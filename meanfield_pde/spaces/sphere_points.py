"""Sums over scattered points of the sphere: coefficients of atoms, and functions at atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.parallel import over
from meanfield_pde.spaces.sphere_harmonics import degree_of, harmonics
from meanfield_pde.spaces.sphere_transforms import AREA

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["atoms_coefficients", "evaluated", "fibonacci"]

#: Values of harmonics that are held at once: they fit into the cache.
BLOCK = 2**18
GOLDEN_ANGLE = np.pi * (3.0 - np.sqrt(5.0))


def atoms_coefficients(points: FloatArray, masses: FloatArray, starts: IntArray, degree: int) -> FloatArray:
    """Coefficients Σ mass e_lm(y) of the atoms of every row, (rows, width).

    Row j has the atoms ``starts[j]`` to ``starts[j + 1]``, at unit vectors (atoms, 3).
    """
    width = (degree + 1) ** 2
    result = np.zeros((starts.size - 1, width))

    def summed(block: tuple[slice, slice]) -> FloatArray:
        part, rows = block
        weighted = masses[part] * harmonics(points[part], degree)
        first = np.maximum(starts[rows], part.start) - part.start
        return np.asarray(np.add.reduceat(weighted, first, axis=1).T)

    found = _blocks(starts, width)
    for (_, rows), sums in zip(found, over(summed, found), strict=True):
        result[rows] += sums
    return result


def evaluated(coefficients: FloatArray, points: FloatArray, starts: IntArray) -> FloatArray:
    """Values (atoms, n) of the functions of their row, (rows or 1, n, width), at atoms."""
    rows, count, width = coefficients.shape
    degree = degree_of(width)
    if rows == 1:
        starts = starts[[0, -1]]
    result = np.empty((len(points), count))

    def evaluate(block: tuple[slice, slice]) -> None:
        part, found = block
        waves = harmonics(points[part], degree)
        for row in range(found.start, found.stop):
            own = slice(max(starts[row], part.start), min(starts[row + 1], part.stop))
            shifted = slice(own.start - part.start, own.stop - part.start)
            result[own] = (coefficients[row] @ waves[:, shifted]).T / AREA

    over(evaluate, _blocks(starts, width))
    return result


def _blocks(starts: IntArray, width: int) -> list[tuple[slice, slice]]:
    """Consecutive atoms, and the rows that they belong to."""
    size, result = max(16, BLOCK // width), []
    for first in range(0, int(starts[-1]), size):
        last = min(first + size, int(starts[-1]))
        rows = np.searchsorted(starts, [first, last - 1], side="right")
        result.append((slice(first, last), slice(int(rows[0]) - 1, int(rows[1]))))
    return result


def fibonacci(count: int) -> FloatArray:
    """Points on a spiral of equal areas, which cover the sphere evenly, (count, 3)."""
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    radius, angle = np.sqrt(1.0 - height**2), GOLDEN_ANGLE * np.arange(count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
