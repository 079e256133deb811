"""Compiled sums over scattered angles of the circle: Fourier coefficients of atoms, and interpolation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from solvers.compiled import kernel, summing_kernel

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["STENCIL", "atoms_spectrum", "interpolated", "scaled_interpolation"]

#: Grid points that interpolation at a scattered angle takes into account.
STENCIL = 16
#: Atoms whose powers are formed side by side.
LANES = 64
#: Exponents that differ by less are those of rounding: e^x = 1 + x to rounding error.
NEARLY_EQUAL = -1e-8
TURN = 2.0 * math.pi
#: Angles closer to a grid point, in spacings, are that point; reciprocals of larger ones do not overflow.
COINCIDENT = 1e-100
#: Barycentric weights (−1)^k C(p − 1, k) of equispaced points.
BARYCENTRIC = np.array([(-1.0) ** k * math.comb(STENCIL - 1, k) for k in range(STENCIL)])
#: Places of the points of a stencil, from the one at or before the angle.
OFFSETS = np.arange(STENCIL) - (STENCIL // 2 - 1.0)


@summing_kernel
def atoms_spectrum(angles: FloatArray, masses: FloatArray, starts: IntArray, degree: int) -> FloatArray:
    """Coefficients c_m = Σ mass e^{−imθ} of the atoms of every row, (rows, 2(degree + 1)).

    Row j has the atoms ``starts[j]`` to ``starts[j + 1]``. They are taken in lanes, side by side.
    """
    rows = starts.size - 1
    result = np.zeros((rows, 2 * (degree + 1)))
    cosine, sine = np.empty(LANES), np.empty(LANES)
    real, imaginary = np.empty(LANES), np.empty(LANES)
    for j in range(rows):
        for first in range(starts[j], starts[j + 1], LANES):
            count = min(LANES, starts[j + 1] - first)
            for n in range(count):
                cosine[n], sine[n] = np.cos(angles[first + n]), np.sin(angles[first + n])
                real[n], imaginary[n] = masses[first + n], 0.0
            for m in range(degree + 1):
                total_real, total_imaginary = 0.0, 0.0
                for n in range(count):
                    total_real += real[n]
                    total_imaginary += imaginary[n]
                    turned = real[n] * cosine[n] + imaginary[n] * sine[n]
                    imaginary[n] = imaginary[n] * cosine[n] - real[n] * sine[n]
                    real[n] = turned
                result[j, 2 * m] += total_real
                result[j, 2 * m + 1] += total_imaginary
    return result


@summing_kernel
def stencil(angle: float, points: int, weights: FloatArray) -> int:
    """Write the Lagrange weights of the grid points about an angle, and return the index of the first."""
    place = angle / TURN
    place = (place - np.floor(place)) * points
    whole = int(np.floor(place))
    before = STENCIL // 2 - 1
    first = whole - before
    beyond = place - whole  # exact, and below 1: no distance of a point is rounded to zero
    if beyond < COINCIDENT:
        weights[:] = 0.0
        weights[before] = 1.0
        return first
    total = 0.0
    for k in range(STENCIL):
        weights[k] = BARYCENTRIC[k] / (beyond - OFFSETS[k])
        total += weights[k]
    scale = 1.0 / total
    for k in range(STENCIL):
        weights[k] *= scale
    return first


@kernel
def interpolated(values: FloatArray, angles: FloatArray, starts: IntArray) -> FloatArray:
    """Values at scattered angles of functions given on a grid that resolves them, (rows or 1, points)."""
    points = values.shape[1]
    result, weights = np.empty(angles.size), np.empty(STENCIL)
    for j in range(starts.size - 1):
        row = values[j if values.shape[0] > 1 else 0]
        for n in range(starts[j], starts[j + 1]):
            first = stencil(angles[n], points, weights)
            total = 0.0
            for k in range(STENCIL):
                total += weights[k] * row[(first + k) % points]
            result[n] = total
    return result


@kernel
def _window(values: FloatArray, exponents: FloatArray, first: int, window: FloatArray) -> float:
    """Write Σ value e^{exponent − highest} at the points from ``first`` on; return the highest exponent."""
    points, functions = values.shape
    highest = -np.inf
    for k in range(STENCIL):
        highest = max(highest, exponents[(first + k) % points])
    for k in range(STENCIL):
        place = (first + k) % points
        below = exponents[place] - highest
        scale = 1.0 + below if below > NEARLY_EQUAL else np.exp(below)
        for c in range(functions):
            window[c, k] = values[place, c] * scale
    return highest


@summing_kernel
def scaled_interpolation(
    values: FloatArray, exponents: FloatArray, angles: FloatArray, starts: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Interpolate functions Σ value e^{exponent} relative to their size nearby.

    Parameters
    ----------
    values
        (rows or 1, points, functions).
    exponents
        (rows or 1, points): common to all functions.

    Returns
    -------
    result, reference
        Values (angles, functions), to be multiplied by e^{reference}, (angles,): the largest exponent about.
    """
    points, functions = values.shape[1], values.shape[2]
    result, reference = np.zeros((angles.size, functions)), np.empty(angles.size)
    weights, window = np.empty(STENCIL), np.empty((functions, STENCIL))
    for j in range(starts.size - 1):
        row, powers = j if values.shape[0] > 1 else 0, j if exponents.shape[0] > 1 else 0
        known, highest = -points, 0.0
        for n in range(starts[j], starts[j + 1]):
            first = stencil(angles[n], points, weights)
            if first != known:  # tokens of a row come in order: many have the same points about them
                highest = _window(values[row], exponents[powers], first, window)
                known = first
            reference[n] = highest
            for c in range(functions):
                total = 0.0
                for k in range(STENCIL):
                    total += weights[k] * window[c, k]
                result[n, c] = total
    return result, reference
