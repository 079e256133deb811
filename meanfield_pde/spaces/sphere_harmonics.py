r"""Real spherical harmonics: values at scattered points, rotations and products with coordinates.

Orthonormal under the uniform probability, in the order l² + l + m, −l ≤ m ≤ l:

.. math:: e_{lm} = \bar P_{l|m|}(\cos\theta)\,(\sqrt2\cos m\varphi,\; 1,\; \sqrt2\sin|m|\varphi)
    \quad\text{for}\quad m > 0,\; m = 0,\; m < 0,

with positive sectoral functions (no Condon–Shortley phase): e_{1,1}, e_{1,−1}, e_{1,0} = √3 (x₁, x₂, x₃).
"""

# ruff: noqa: E741 (l and m are the degree and the order)
from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["coordinate_matrices", "degree_of", "degrees", "harmonics", "rotation_matrices", "sections"]


def degrees(degree: int) -> IntArray:
    """Degree l of every coefficient up to this degree."""
    order = np.arange(degree + 1)
    return np.repeat(order, 2 * order + 1)


def degree_of(width: int) -> int:
    """Highest degree of so many coefficients.

    Raises
    ------
    ValueError
        If they do not fill their last degree.
    """
    degree = math.isqrt(width) - 1
    if degree < 0 or (degree + 1) ** 2 != width:
        raise ValueError(f"sphere: coefficients must be (degree + 1)² in number, got {width}")
    return degree


def sections(cosines: FloatArray, degree: int) -> Iterator[FloatArray]:
    """Normalised Legendre functions over powers of the sine, P̄_lm / sin^m θ, (l + 1, n) for every l in turn.

    By the recurrence in l from the constants P̄_mm / sin^m θ: nothing is divided by the sine.
    """
    orders = np.arange(degree + 1.0)
    sectoral = np.cumprod(np.sqrt((2.0 * orders + 1.0) / np.maximum(2.0 * orders, 1.0)))
    before, last = np.empty((0, cosines.size)), np.empty((0, cosines.size))
    for l in range(degree + 1):
        current = np.empty((l + 1, cosines.size))
        current[l] = sectoral[l]
        if l > 0:
            square = l**2 - orders[:l] ** 2
            current[:l] = np.sqrt((4.0 * l**2 - 1.0) / square)[:, None] * cosines * last
        if l > 1:
            factor = (2.0 * l + 1.0) / (2.0 * l - 3.0) * ((l - 1.0) ** 2 - orders[: l - 1] ** 2) / square[:-1]
            current[: l - 1] -= np.sqrt(factor)[:, None] * before
        yield current
        before, last = last, current


def harmonics(points: FloatArray, degree: int) -> FloatArray:
    """Values e_lm(x) at unit vectors (n, 3), (width, n).

    sin^m θ e^{imφ} is the power (x₁ + i x₂)^m, so that the poles are points like others.
    """
    result = np.empty(((degree + 1) ** 2, len(points)))
    powers = _powers(points[:, 0] + 1j * points[:, 1], degree)
    cosine, sine = math.sqrt(2.0) * powers.real, math.sqrt(2.0) * powers.imag
    for l, section in enumerate(sections(points[:, 2], degree)):
        centre = l**2 + l
        result[centre] = section[0]
        np.multiply(section[1:], cosine[1 : l + 1], out=result[centre + 1 : centre + l + 1])
        np.multiply(section[:0:-1], sine[l:0:-1], out=result[centre - l : centre])
    return result


def _powers(base: Any, degree: int) -> Any:
    """base^m for m = 0 … degree, (degree + 1, n)."""
    result = np.ones((degree + 1, base.size), dtype=base.dtype)
    for order in range(degree):
        np.multiply(result[order], base, out=result[order + 1])
    return result


@lru_cache(maxsize=16)
def rotation_matrices(degree: int) -> tuple[sparse.csr_array, ...]:
    """Matrices of the derivatives of rotated functions by the angle, about e_1, e_2, e_3.

    They are −(e_i × x)·∇, sparse and antisymmetric. About e_3 it exchanges m and −m; about e_1 and e_2 they
    are ladders from order m to m + 1 and back, with √((l − m)(l + m + 1)).
    """
    l, m = _labels(degree)
    centre = l * l + l
    ladder = np.sqrt((l - m) * (l + m + 1.0)) * np.where(m > 0, 0.5, math.sqrt(0.5))
    turn = (centre - m, centre + m, m.astype(np.float64))
    l, m, centre, ladder = (each[l > m] for each in (l, m, centre, ladder))
    sine = m > 0

    def upwards(towards: int, even: float, odd: float) -> sparse.csr_array:
        """From cos mφ to the functions of order ±(m + 1), and from sin mφ to those of the other sign."""
        rows = [centre + towards * (m + 1), (centre - towards * (m + 1))[sine]]
        columns, entries = [centre + m, (centre - m)[sine]], [even * ladder, odd * ladder[sine]]
        return _antisymmetric(degree, *(np.concatenate(each) for each in (rows, columns, entries)))

    return upwards(-1, -1.0, 1.0), upwards(1, 1.0, 1.0), _antisymmetric(degree, *turn)


@lru_cache(maxsize=16)
def coordinate_matrices(degree: int) -> tuple[sparse.csr_array, ...]:
    """Matrices from the coefficients of f up to a degree to those of x_1 f, x_2 f, x_3 f up to one more.

    x_3 is the recurrence of Legendre functions; rotating it, x_1 = [G_2, x_3] and x_2 = −[G_1, x_3].
    """
    orders = np.concatenate([np.arange(-l, l + 1) for l in range(degree + 1)])
    l = degrees(degree)
    entries = np.sqrt(((l + 1.0) ** 2 - orders**2) / ((2.0 * l + 1.0) * (2.0 * l + 3.0)))
    size, width = (degree + 2) ** 2, (degree + 1) ** 2
    upwards = sparse.csr_array((entries, ((l + 1) * (l + 2) + orders, np.arange(width))), shape=(size, size))
    third = (upwards + upwards.T).tocsr()[:, :width]
    outer, inner = rotation_matrices(degree + 1), rotation_matrices(degree)
    first, second = (outer[i] @ third - third @ inner[i] for i in (1, 0))
    return first.tocsr(), (-second).tocsr(), third


def _labels(degree: int) -> tuple[IntArray, IntArray]:
    """Pairs (l, m) with 0 ≤ m ≤ l ≤ degree."""
    l = np.repeat(np.arange(degree + 1), np.arange(1, degree + 2))
    return l, np.arange(l.size) - l * (l + 1) // 2


def _antisymmetric(degree: int, rows: IntArray, columns: IntArray, entries: FloatArray) -> sparse.csr_array:
    """Matrix A − Aᵀ of coefficients up to a degree, A given by its entries."""
    width = (degree + 1) ** 2
    half = sparse.csr_array((entries, (rows, columns)), shape=(width, width))
    return (half - half.T).tocsr()
