"""Scattered points of the torus T²: Fourier coefficients of atoms, and trigonometric interpolation."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from meanfield_pde.spaces.torus_modes import ROOT, half_plane, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meanfield_pde.arrays import ComplexArray, FloatArray, IntArray

__all__ = ["atoms_coefficients", "interpolated"]

#: Phases e^{imθ} that are held at once for each axis, complex numbers.
BLOCK = 2**20


def atoms_coefficients(angles: FloatArray, masses: FloatArray, starts: IntArray, degree: int) -> FloatArray:
    """Coefficients of Σ mass δ_θ per row, (rows, coefficients): the two axes factor.

    Parameters
    ----------
    angles
        (atoms, 2).
    masses, starts
        As in ``Atoms``.
    """
    modes = np.arange(-degree, degree + 1)
    sums = np.zeros((starts.size - 1, modes.size, degree + 1), dtype=np.complex128)
    for row, part in _blocks(starts, modes.size):
        first, second = _phases(angles[part, 0], modes), _phases(angles[part, 1], modes[degree:])
        sums[row] += (masses[part, None] * first).T @ second
    one, two = half_plane(degree)
    return joined(sums[:, degree, 0].real, ROOT * sums[:, one + degree, two])


def interpolated(values: FloatArray, angles: FloatArray, starts: IntArray) -> FloatArray:
    """Trigonometric interpolation of functions (rows or 1, points per axis, points per axis, n) → (atoms, n).

    Exact for modes below half the points per axis, and at the grid points.
    """
    rows, points, _, count = values.shape
    spectrum = fft.rfft2(values, axes=(1, 2)) / points**2
    modes = fft.fftfreq(points, 1.0 / points)
    half = np.arange(points // 2 + 1)
    weights = np.where((half == 0) | (2 * half == points), 1.0, 2.0)  # both signs of m₂, where there are two
    spectrum = (spectrum * weights[:, None]).reshape(rows, points, -1)
    result = np.empty((len(angles), count))
    for row, part in _blocks(starts if rows > 1 else starts[[0, -1]], points):
        first, second = _phases(angles[part, 0], modes), _phases(angles[part, 1], half)
        along = (first @ spectrum[row]).reshape(len(first), half.size, count)
        result[part] = np.einsum("amn,am->an", along, second).real
    return result


def _phases(angles: FloatArray, modes: FloatArray | IntArray) -> ComplexArray:
    return np.asarray(np.exp(1j * np.outer(angles, modes)))


def _blocks(starts: IntArray, modes: int) -> Iterator[tuple[int, slice]]:
    """Rows with slices of their atoms, so few that their phases fit."""
    size = max(1, BLOCK // modes)
    for row, (first, last) in enumerate(pairwise(starts)):
        for start in range(int(first), int(last), size):
            yield row, slice(start, min(start + size, int(last)))
