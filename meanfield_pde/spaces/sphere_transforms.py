r"""Transforms between values on a Gauss–Legendre grid of the sphere and spherical harmonics.

A function with coefficients c is (1/4π) Σ c_lm e_lm, and c_lm = ∫ f e_lm dx. Along the parallels it is a
Fourier series; along the meridians, for each order m, a product with a matrix of Legendre functions: of half
of them on half of the colatitudes, since they are even or odd about the equator as l − m is. Complex numbers
a_m − i b_m, as pairs of reals, stand for a_m cos mφ + b_m sin mφ. Orders are taken in groups (one stack of
matrices), and batches in blocks that stay in the cache.
"""

# ruff: noqa: E741 (l and m are the degree and the order)
from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from meanfield_pde.spaces import fourier
from meanfield_pde.spaces.sphere_harmonics import degree_of, sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meanfield_pde.arrays import ComplexArray, FloatArray, IntArray
    from meanfield_pde.spaces.sphere_grid import Grid

__all__ = ["AREA", "analyse", "divergence", "gradient", "synthesise", "tables"]

AREA = 4.0 * math.pi
TURN = 2.0 * math.pi
#: Orders whose matrices are multiplied together.
GROUP = 16
#: Values that a block of a batch may have: more of them leave the cache, fewer make narrow matrices.
BLOCK = 2**17


@lru_cache(maxsize=24)
def tables(on: Grid, degree: int) -> Tables:
    """Matrices of the functions up to a degree at the colatitudes of a grid."""
    groups = tuple(Group(m, min(m + GROUP, degree + 1), degree) for m in range(0, degree + 1, GROUP))
    return Tables(on, degree, groups)


@dataclass(frozen=True, eq=False)
class Group:
    """Orders ``start`` ≤ m < ``stop`` up to a degree: where their coefficients are.

    Arrays over (order, parity of l − m, half of l − m, part): part 0 for cos mφ and 1 for sin mφ. Entries of
    degrees beyond the highest are padding.
    """

    start: int
    stop: int
    degree: int

    @cached_property
    def _labels(self) -> tuple[IntArray, IntArray, IntArray]:
        size = (self.degree - self.start) // 2 + 1
        m, parity, half, part = np.indices((self.stop - self.start, 2, size, 2))
        m = m + self.start
        l = m + 2 * half + parity
        return l, m, np.where(part == 0, m, -m)

    @cached_property
    def gather(self) -> IntArray:
        """Index of the coefficient of every entry; that of a constant, times a zero, for padding."""
        l, _, order = self._labels
        return np.where(l <= self.degree, l * l + l + order, 0)

    @cached_property
    def amplitude(self) -> FloatArray:
        """One half (both signs of m share a wave) of (a, −b), over the area; zero for padding."""
        l, m, order = self._labels
        scale = np.where(m == 0, 1.0, 0.5) * np.where(order < 0, -1.0, 1.0)
        scale[(l > self.degree) | ((m == 0) & (np.indices(m.shape)[3] == 1))] = 0.0
        return scale[..., None] / AREA

    @cached_property
    def scatter(self) -> tuple[IntArray, IntArray]:
        """Coefficients of this group, and the entries that they come from."""
        entries = np.flatnonzero(self.amplitude)
        return self.gather.ravel()[entries], entries


@dataclass(frozen=True, eq=False)
class Tables:
    """Normalised Legendre functions up to a degree at the northern colatitudes of a grid.

    One stack (order, parity, half of l − m, colatitude) for every group: the functions, their derivatives by
    θ, and m times them over sin θ.
    """

    grid: Grid
    degree: int
    groups: tuple[Group, ...]

    @cached_property
    def functions(self) -> tuple[FloatArray, ...]:
        """√2 P̄_lm (P̄_l0 for m = 0)."""
        return self._stacks(legendre_functions(*self.grid.northern[:2], self.degree))

    @cached_property
    def slopes(self) -> tuple[FloatArray, ...]:
        """Derivative by θ of ``functions``: even where they are odd."""
        return self._stacks(legendre_slopes(*self.grid.northern[:2], self.degree))

    @cached_property
    def turns(self) -> tuple[FloatArray, ...]:
        """``functions`` times m / sin θ."""
        return self._stacks(legendre_turns(*self.grid.northern[:2], self.degree))

    def _stacks(self, rows: Iterator[FloatArray]) -> tuple[FloatArray, ...]:
        half = self.grid.shape[0] // 2
        stacks = tuple(np.zeros((*group.gather.shape[:3], half)) for group in self.groups)
        for l, row in enumerate(rows):
            for group, stack in zip(self.groups, stacks, strict=True):
                m = np.arange(group.start, min(group.stop, l + 1))
                stack[m - group.start, (l - m) % 2, (l - m) // 2] = row[m]
        return stacks


def legendre_functions(cosines: FloatArray, sines: FloatArray, degree: int) -> Iterator[FloatArray]:
    """√2 P̄_lm(cos θ), and P̄_l0, (l + 1, n) for every l in turn."""
    powers = _scaled_powers(sines, degree)
    for section in sections(cosines, degree):
        yield section * powers[: len(section)]


def legendre_turns(cosines: FloatArray, sines: FloatArray, degree: int) -> Iterator[FloatArray]:
    """Functions times m / sin θ, from a smaller power of the sine: nothing is divided by it."""
    powers = _scaled_powers(sines, degree)
    powers[1:] = powers[:-1] * np.arange(1.0, degree + 1.0)[:, None]
    powers[:1], powers[1:2] = 0.0, powers[1:2] * math.sqrt(2.0)
    for section in sections(cosines, degree):
        yield section * powers[: len(section)]


def legendre_slopes(cosines: FloatArray, sines: FloatArray, degree: int) -> Iterator[FloatArray]:
    """Differentiate by θ: P_m' = (a_{m−1} P_{m−1} − a_m P_{m+1})/2 with a_m² = (l − m)(l + m + 1)."""
    for l, row in enumerate(legendre_functions(cosines, sines, degree)):
        m = np.arange(l)
        ladder = np.sqrt((l - m) * (l + m + 1.0))[:, None]
        slope = np.zeros_like(row)
        slope[1:] += 0.5 * ladder * row[:-1]
        slope[1:2] *= math.sqrt(2.0)  # row 0 is without the √2 of the others
        slope[:-1] -= 0.5 * ladder * row[1:]
        slope[:1] *= math.sqrt(2.0)
        yield slope


def _scaled_powers(sines: FloatArray, degree: int) -> FloatArray:
    """√2 sin^m θ, and 1 for m = 0, (degree + 1, n)."""
    powers = np.full((degree + 1, sines.size), math.sqrt(2.0))
    powers[1:] *= np.cumprod(np.broadcast_to(sines, (degree, sines.size)), axis=0)
    powers[0] = 1.0
    return powers


def synthesise(coefficients: FloatArray, on: Grid) -> FloatArray:
    """Values (n, points) of functions with coefficients (n, width) of any degree."""
    stacks = tables(on, degree_of(coefficients.shape[1]))
    result = np.empty((len(coefficients), *on.shape))
    for rows in _blocks(len(coefficients), on):
        waves = _waves(np.ascontiguousarray(coefficients[rows].T), stacks, stacks.functions, 1.0)
        result[rows] = _along_parallels(waves, on)
    return result.reshape(len(result), math.prod(on.shape))


def gradient(coefficients: FloatArray, on: Grid) -> FloatArray:
    """Components (n, points, 2) of the gradient along growing θ and φ."""
    stacks = tables(on, degree_of(coefficients.shape[1]))
    result = np.empty((len(coefficients), *on.shape, 2))
    for rows in _blocks(len(coefficients), on):
        block = np.ascontiguousarray(coefficients[rows].T)
        southward = _waves(block, stacks, stacks.slopes, -1.0)
        eastward = 1j * _waves(block, stacks, stacks.turns, 1.0)
        result[rows, ..., 0] = _along_parallels(southward, on)
        result[rows, ..., 1] = _along_parallels(eastward, on)
    return result.reshape(len(result), math.prod(on.shape), 2)


def analyse(values: FloatArray, on: Grid, degree: int) -> FloatArray:
    """Coefficients (n, width) of functions with values (n, points)."""
    stacks = tables(on, degree)
    result = np.empty((len(values), (degree + 1) ** 2))
    for rows in _blocks(len(values), on):
        spectrum = _spectrum(values[rows].reshape(-1, *on.shape), on, degree)
        for group, functions in zip(stacks.groups, stacks.functions, strict=True):
            _scatter(functions @ _halves(spectrum, on, group), group, result[rows])
    return result


def divergence(flux: FloatArray, on: Grid, degree: int) -> FloatArray:
    """Coefficients −∫ flux·∇e_lm dx (n, width) of the divergence of a field (n, points, 2)."""
    stacks = tables(on, degree)
    result = np.empty((len(flux), (degree + 1) ** 2))
    for rows in _blocks(len(flux), on):
        field = flux[rows].reshape(-1, *on.shape, 2)
        southward = _spectrum(field[..., 0], on, degree)
        eastward = -1j * _spectrum(field[..., 1], on, degree)
        for group, slopes, turns in zip(stacks.groups, stacks.slopes, stacks.turns, strict=True):
            total = slopes @ _halves(southward, on, group)[:, ::-1] + turns @ _halves(eastward, on, group)
            _scatter(-total, group, result[rows])
    return result


def _blocks(count: int, on: Grid) -> Iterator[slice]:
    size = max(1, BLOCK // math.prod(on.shape))
    return (slice(first, first + size) for first in range(0, count, size))


def _waves(
    block: FloatArray, described: Tables, stacks: tuple[FloatArray, ...], mirrored: float
) -> ComplexArray:
    """Amplitudes (n, colatitudes, orders) of waves along the parallels, for coefficients (width, n).

    ``mirrored`` is the sign by which functions with even l − m go over into themselves in the south.
    """
    rows, columns = described.grid.shape
    count, half = block.shape[1], rows // 2
    waves = np.zeros((count, rows, max(described.degree, columns // 2) + 1, 2))
    for group, stack in zip(described.groups, stacks, strict=True):
        amplitudes = (block[group.gather] * group.amplitude).reshape(*stack.shape[:3], 2 * count)
        product = np.matmul(np.swapaxes(stack, 2, 3), amplitudes).reshape(len(stack), 2, half, 2, count)
        own = slice(group.start, group.stop)
        north, south = product[:, 0] + product[:, 1], mirrored * (product[:, 0] - product[:, 1])
        waves[:, :half, own] = north.transpose(3, 1, 0, 2)
        waves[:, half:, own] = south[:, ::-1].transpose(3, 1, 0, 2)
    return waves.view(np.complex128)[..., 0]


def _along_parallels(waves: ComplexArray, on: Grid) -> FloatArray:
    """Values (n, colatitudes, longitudes) of waves; those that the grid cannot tell apart are folded."""
    columns = on.shape[1]
    if waves.shape[-1] > columns // 2 + 1:
        waves = fourier.folded_onto(waves, columns)
    elif waves.shape[-1] == columns // 2 + 1 and columns % 2 == 0:
        waves[..., -1] *= 2.0  # orders N/2 and −N/2 share a wave
    return np.asarray(fft.irfft(waves, n=columns, axis=-1, norm="forward", overwrite_x=True))


def _spectrum(values: FloatArray, on: Grid, degree: int) -> ComplexArray:
    """Integrals (n, colatitudes, orders) of values times e^{−imφ} over the parallels."""
    return np.asarray(fft.rfft(values, axis=-1)[..., : degree + 1] * (TURN / on.shape[1]))


def _halves(spectrum: ComplexArray, on: Grid, group: Group) -> FloatArray:
    """Even and odd parts about the equator, times weights, (order, parity, colatitude, part · n)."""
    rows = on.shape[0]
    parts = spectrum.view(np.float64)[..., 2 * group.start : 2 * group.stop]
    parts = parts.reshape(len(spectrum), rows, -1, 2).transpose(2, 1, 3, 0)
    north, south = parts[:, : rows // 2], parts[:, rows // 2 :][:, ::-1]
    signed = on.northern[2][:, None, None] * np.array([[1.0], [-1.0]])  # e^{−imφ} has −sin mφ
    halves = np.stack([(north + south) * signed, (north - south) * signed], axis=1)
    return halves.reshape(*halves.shape[:3], -1)


def _scatter(product: FloatArray, group: Group, coefficients: FloatArray) -> None:
    """Write the coefficients of a group to their places in (n, width)."""
    targets, entries = group.scatter
    coefficients[:, targets] = product.reshape(-1, len(coefficients))[entries].T
