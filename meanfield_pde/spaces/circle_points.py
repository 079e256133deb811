"""Compiled sums over scattered angles of the circle: Fourier coefficients of atoms, and interpolation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from solvers.compiled import kernel

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["STENCIL", "atoms_spectrum", "interpolated", "scaled_interpolation"]

#: Grid points that interpolation at a scattered angle takes into account.
STENCIL = 16
TURN = 2.0 * math.pi
#: Barycentric weights (−1)^k C(p − 1, k) of equispaced points.
BARYCENTRIC = np.array([(-1.0) ** k * math.comb(STENCIL - 1, k) for k in range(STENCIL)])


@kernel
def atoms_spectrum(angles: FloatArray, masses: FloatArray, starts: IntArray, degree: int) -> FloatArray:
    """Coefficients c_m = Σ mass e^{−imθ} of the atoms of every row, (rows, 2(degree + 1)).

    Row j has the atoms ``starts[j]`` to ``starts[j + 1]``.
    """
    rows = starts.size - 1
    result = np.zeros((rows, 2 * (degree + 1)))
    for j in range(rows):
        for n in range(starts[j], starts[j + 1]):
            cosine, sine = np.cos(angles[n]), np.sin(angles[n])
            real, imaginary = masses[n], 0.0
            for m in range(degree + 1):
                result[j, 2 * m] += real
                result[j, 2 * m + 1] += imaginary
                real, imaginary = real * cosine + imaginary * sine, imaginary * cosine - real * sine
    return result


@kernel
def stencil(angle: float, points: int, weights: FloatArray) -> int:
    """Write the Lagrange weights of the grid points about an angle, and return the index of the first."""
    place = angle / TURN
    place = (place - np.floor(place)) * points
    first = int(np.floor(place)) - (STENCIL // 2 - 1)
    offset = place - first
    total = 0.0
    for k in range(STENCIL):
        distance = offset - k
        if distance == 0.0:
            weights[:] = 0.0
            weights[k] = 1.0
            return first
        weights[k] = BARYCENTRIC[k] / distance
        total += weights[k]
    for k in range(STENCIL):
        weights[k] /= total
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
    weights = np.empty(STENCIL)
    for j in range(starts.size - 1):
        row, powers = j if values.shape[0] > 1 else 0, j if exponents.shape[0] > 1 else 0
        for n in range(starts[j], starts[j + 1]):
            first = stencil(angles[n], points, weights)
            highest = -np.inf
            for k in range(STENCIL):
                highest = max(highest, exponents[powers, (first + k) % points])
            reference[n] = highest
            for k in range(STENCIL):
                place = (first + k) % points
                power = exponents[powers, place]
                weight = weights[k] if power == highest else weights[k] * np.exp(power - highest)
                for c in range(functions):
                    result[n, c] += weight * values[row, place, c]
    return result, reference
