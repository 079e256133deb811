r"""Fourier modes of the torus T² as real coefficients, and linear functionals of them.

With F_m = ∫ e^{−i m·θ} ρ dθ the coefficients are F_0, and √2 Re F_m and −√2 Im F_m, those of √2 cos m·θ and
√2 sin m·θ, in turn for one mode of every pair ±m: ordered by max(|m₁|, |m₂|), the *degree*.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from meanfield_pde.arrays import ComplexArray, FloatArray, IntArray

__all__ = ["degree_of", "half_plane", "joined", "product_functional", "signed", "split", "waves", "width"]

ROOT = math.sqrt(2.0)


def width(degree: int) -> int:
    """Count the coefficients up to this degree, (2 degree + 1)²."""
    return (2 * degree + 1) ** 2


def degree_of(size: int) -> int:
    """Degree that so many coefficients reach."""
    return (math.isqrt(size) - 1) // 2


@lru_cache(maxsize=64)
def half_plane(degree: int) -> IntArray:
    """One mode of every pair ±m up to this degree, (2, pairs): m₂ > 0, or m₂ = 0 and m₁ > 0."""
    axis = np.arange(-degree, degree + 1)
    first, second = (grid.ravel() for grid in np.meshgrid(axis, axis[degree:], indexing="ij"))
    chosen = (second > 0) | (first > 0)
    modes = np.stack([first[chosen], second[chosen]])
    modes = modes[:, np.lexsort((modes[1], modes[0], np.abs(modes).max(axis=0)))]
    modes.flags.writeable = False
    return np.asarray(modes)


def split(coefficients: FloatArray) -> tuple[FloatArray, ComplexArray]:
    """Return F_0, (...,), and the complex numbers √2 conj(F_m), (..., pairs)."""
    return coefficients[..., 0], np.ascontiguousarray(coefficients[..., 1:]).view(np.complex128)


def joined(constant: FloatArray, pairs: ComplexArray) -> FloatArray:
    """Coefficients of these parts: undoes `split`."""
    result = np.empty((*pairs.shape[:-1], 1 + 2 * pairs.shape[-1]))
    result[..., 0] = constant
    result[..., 1:] = np.ascontiguousarray(pairs).view(np.float64)
    return result


def signed(table: ComplexArray, modes: IntArray) -> ComplexArray:
    """Entries of a table for m = 0, 1, … at modes of any sign, those of −m being conjugate."""
    found = table[..., np.abs(modes)]
    return np.where(modes < 0, np.conj(found), found)


def waves(exponents: FloatArray, degree: int) -> tuple[ComplexArray, ComplexArray]:
    r"""Expand e^{⟨ξ,y⟩ − |ξ|} = Σ_m w_m e^{−imθ} on a circle (Jacobi–Anger), and its gradient in ξ unscaled.

    With w_m = e^{−|ξ|} I_m(|ξ|) e^{imφ}: (∂_1 ± i∂_2) I_m e^{imφ} = I_{m±1} e^{i(m±1)φ}.

    Returns
    -------
    w, its gradient
        (n, 2 degree + 1) for m = −degree … degree, and (2, n, 2 degree + 1).
    """
    modes = np.arange(-degree - 1, degree + 2)
    length = np.hypot(exponents[:, 0], exponents[:, 1])
    angle = np.arctan2(exponents[:, 1], exponents[:, 0])
    bessel = special.ive(modes[degree + 1 :], length[:, None])
    table = bessel[:, np.abs(modes)] * np.exp(1j * angle[:, None] * modes)
    above, below = table[:, 2:], table[:, :-2]
    return table[:, 1:-1], np.stack([(above + below) / 2.0, (above - below) / 2.0j])


def product_functional(first: ComplexArray, second: ComplexArray) -> FloatArray:
    """Rows L with L·c = ∫ f₁(θ₁) f₂(θ₂) ρ dθ for real functions Σ_m f_m e^{−imθ}, (n, 2 degree + 1) each."""
    degree = first.shape[-1] // 2
    one, two = half_plane(degree)
    pairs = ROOT * first[:, one + degree] * second[:, two + degree]
    return joined((first[:, degree] * second[:, degree]).real, pairs)
