r"""Clusters of a token marginal on a closed line: how many there are, where, and how heavy.

The marginal is smoothed with the heat kernel of standard deviation s = ``SMOOTHING``,

.. math:: c_m \to c_m\, e^{-m^2 s^2/2}, \qquad m \le \mathtt{DEGREE},

so that Dirac masses and smooth densities are judged alike; two equal Dirac masses count as two from
3.33 s apart. A *cluster* is a local maximum of the smoothed density whose valleys, the minima between it
and its neighbours, both lie below half of the lower of the two peaks that they separate. Peaks that
fail this are merged, the highest valley (relative to its lower peak) first. A single peak is a cluster
when the smallest density lies below half of it; otherwise there is none. Last, what is lighter than
``LIGHTEST`` is merged with the neighbour beyond its higher valley: stragglers are no clusters.

What lies below ``ZERO`` counts as ``ZERO``, and where truncation has made the density negative, so does
what is no larger than its most negative value: neither rounding nor ripples make clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from meanfield_pde.errors import InputError
from meanfield_pde.spaces import fourier

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.spaces import Space

__all__ = ["DEGREE", "LIGHTEST", "SMOOTHING", "Clusters", "find"]

TURN = 2.0 * math.pi
#: Standard deviation of the kernel, radians.
SMOOTHING = 0.05
#: The highest mode that is felt: e^{−m²s²/2} reaches rounding error there. Callers provide no more.
DEGREE = 170
#: The density that counts as none, 1/rad: a hundredth of the uniform law.
ZERO = 0.01 / TURN
#: A valley separates two clusters when it is lower than this part of the lower one.
DEPTH = 0.5
#: The mass of a cluster, at least.
LIGHTEST = 0.01
#: Angles at which the smoothed density is examined: 33 to a standard deviation of the kernel.
POINTS = 4096
#: Masses and angles closer than this are equal: of symmetric clusters the first is not chosen by rounding.
EQUAL = 1e-9

_KERNEL = np.exp(-0.5 * (SMOOTHING * np.arange(DEGREE + 1)) ** 2)
_STEP = TURN / POINTS
_ANGLES = _STEP * np.arange(POINTS)
_MOMENTS = np.stack([np.ones(POINTS), np.cos(_ANGLES), np.sin(_ANGLES)])


@dataclass(frozen=True, eq=False)
class Clusters:
    """Positions and masses (clusters,), heaviest first; positions in the coordinate of the space, from 0.

    Clusters of equal mass follow each other by position. The masses add up to one, if there are any.
    """

    positions: FloatArray
    masses: FloatArray

    @property
    def count(self) -> int:
        """How many clusters there are."""
        return self.masses.size


def find(space: Space, coefficients: FloatArray) -> Clusters:
    """Clusters of the probability density with these Fourier coefficients, of any degree.

    The mass of a cluster is the integral of the smoothed density between its valleys, its position the
    circular mean there. Missing modes count as zero.

    Raises
    ------
    InputError
        When the space has no periodic coordinate, or a coefficient is not finite.
    """
    if space.period is None:
        raise InputError(f"clusters: the tokens must live on a closed line, got the space {space.name!r}")
    if not np.isfinite(coefficients).all():
        raise InputError("clusters: the coefficients of the marginal must be finite, got infinity or NaN")
    density = _smoothed(coefficients)
    counted = np.maximum(density, max(ZERO, -float(density.min())))
    cuts = np.sort(_separating_valleys(density, counted))
    if not cuts.size:
        return Clusters(np.empty(0), np.empty(0))
    masses, cosines, sines = _between(density * _MOMENTS, cuts)
    angles = np.arctan2(sines, cosines) % TURN
    angles[TURN - angles < EQUAL] = 0.0
    order = np.lexsort((angles, -np.round(masses / EQUAL)))
    return Clusters(angles[order] * (space.period / TURN), masses[order])


def _smoothed(coefficients: FloatArray) -> FloatArray:
    """Values of the smoothed density on the fine grid, 1/rad."""
    spectrum = fourier.complex_view(coefficients)[: DEGREE + 1]
    return np.asarray(fft.irfft(spectrum * _KERNEL[: spectrum.size], n=POINTS) / _STEP)


def _separating_valleys(density: FloatArray, counted: FloatArray) -> IntArray:
    """Grid indices of the valleys between the clusters, as many as there are clusters."""
    peaks, valleys = _extrema(counted)
    while peaks.size:
        heights = counted[peaks]
        ratio = counted[valleys] / np.minimum(heights, np.roll(heights, -1))
        worst = int(np.argmax(ratio))
        if ratio[worst] < DEPTH:
            masses = _masses(density, valleys)
            light = int(np.argmin(masses))
            if masses[light] >= LIGHTEST:
                break
            worst = max(light - 1, light, key=lambda valley: counted[valleys[valley]])
        peaks, valleys = np.roll(peaks, -worst), np.roll(valleys, -worst)[1:]
        lower = 0 if peaks.size == 1 or counted[peaks[0]] < counted[peaks[1]] else 1
        peaks = np.delete(peaks, lower)
    return valleys


def _masses(density: FloatArray, valleys: IntArray) -> FloatArray:
    """Mass around each peak, that is from the valley before its own on."""
    first = int(np.argmin(valleys))
    return np.roll(_between(density, np.roll(valleys, -first)), first + 1)


def _extrema(density: FloatArray) -> tuple[IntArray, IntArray]:
    """Grid indices of maxima and minima, valley i after peak i; flat ones by their middle."""
    starts = np.flatnonzero(density != np.roll(density, 1))
    if not starts.size:
        return starts, starts
    level = density[starts]
    middle = (starts + (np.roll(starts, -1) - starts - 1) % POINTS // 2) % POINTS
    rises, falls = level > np.roll(level, 1), level > np.roll(level, -1)
    highest, lowest = rises & falls, ~(rises | falls)
    valleys = np.roll(middle[lowest], 0 if np.argmax(highest) < np.argmax(lowest) else -1)
    return middle[highest], valleys


def _between(values: FloatArray, cuts: IntArray) -> FloatArray:
    """Integrals (..., clusters) of the rows from each cut to the next around the circle, by trapezoids."""
    cells = _STEP * (values + np.roll(values, -1, axis=-1)) / 2.0
    return np.asarray(np.add.reduceat(np.roll(cells, -cuts[0], axis=-1), cuts - cuts[0], axis=-1))
