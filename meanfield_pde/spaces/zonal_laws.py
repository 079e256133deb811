"""Zonal laws by their polar angles: quantiles, and Wasserstein distances along the meridians.

Zonal laws are best transported along meridians, which are geodesics: |α − α'| is the least distance of two
rings, and the plan that is best on the line reaches it. So the distances are those of the laws of α.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.spaces.zonal_line import cumulative

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray

__all__ = ["quantiles", "transported"]

#: Intervals of α for every piece of equal mass, between whose ends the cumulative mass is interpolated.
FINER = 4


def quantiles(coefficients: FloatArray, dimension: int, count: int) -> FloatArray:
    """Polar angles that halve ``count`` pieces of equal mass of a density (negative ones count as zero)."""
    angles = np.linspace(0.0, math.pi, FINER * count + 1)
    masses = np.maximum(np.diff(cumulative(coefficients, angles, dimension)), 0.0)
    below = np.concatenate([[0.0], np.cumsum(masses)])
    levels = (np.arange(count) + 0.5) / count
    return np.interp(levels, below / below[-1], angles)


def transported(
    first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray], order: int
) -> float:
    """W_order between two sets of places on a line and their masses: exactly, by their quantile functions."""
    (places, below), (others, beneath) = _sorted(*first), _sorted(*second)
    levels = np.sort(np.concatenate([below, beneath]))
    widths = np.diff(levels, prepend=0.0)
    middle = levels - widths / 2.0
    far = np.abs(_at(places, below, middle) - _at(others, beneath, middle))
    return float((widths @ far**order) ** (1.0 / order))


def _sorted(places: FloatArray, masses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Places in order, and the share of the mass up to each."""
    order = np.argsort(places)
    below = np.cumsum(masses[order])
    return places[order], below / below[-1]


def _at(places: FloatArray, below: FloatArray, levels: FloatArray) -> FloatArray:
    """Quantile function at these levels."""
    return places[np.minimum(np.searchsorted(below, levels), places.size - 1)]
