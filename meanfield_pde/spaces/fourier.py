"""Fourier coefficients c_m = ∫ e^{−imθ} ρ dθ, 0 ≤ m, held as real numbers, and linear functionals of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from meanfield_pde.arrays import ComplexArray, FloatArray

__all__ = ["complex_view", "folded_onto", "interleaved", "jacobi_anger", "real_functional", "unfolded"]


def complex_view(coefficients: FloatArray) -> ComplexArray:
    """View coefficients (Re c₀, Im c₀, Re c₁, …) as complex numbers c_m."""
    return np.ascontiguousarray(coefficients).view(np.complex128)


def interleaved(spectrum: ComplexArray) -> FloatArray:
    """View complex numbers c_m as coefficients (Re c₀, Im c₀, Re c₁, …)."""
    return np.ascontiguousarray(spectrum).view(np.float64)


def folded_onto(spectrum: ComplexArray, points: int) -> ComplexArray:
    """Fold modes beyond N/2 back: e^{imθ} and e^{i(m−N)θ} agree on the grid."""
    half = points // 2
    if spectrum.shape[-1] <= (points + 1) // 2:
        return spectrum
    folded = np.zeros((*spectrum.shape[:-1], half + 1), dtype=np.complex128)
    for mode in range(spectrum.shape[-1]):
        residue = mode % points
        term = spectrum[..., mode]
        if residue > half:
            residue, term = points - residue, np.conj(term)
        if mode > 0 and (residue == 0 or 2 * residue == points):
            term = term + np.conj(term)  # both signs of the mode fall together
        folded[..., residue] += term
    return folded


def unfolded(spectrum: ComplexArray, points: int, count: int) -> ComplexArray:
    """Σ_i g_i e^{−imθ_i} for 0 ≤ m < count, from those for m ≤ N/2: they have the period N."""
    if count <= spectrum.shape[-1]:
        return spectrum[..., :count]
    residue = np.arange(count) % points
    mirrored = residue > points // 2
    found = spectrum[..., np.where(mirrored, points - residue, residue)]
    return np.where(mirrored, np.conj(found), found)


def jacobi_anger(exponents: FloatArray, degree: int) -> tuple[FloatArray, ComplexArray]:
    """Scaled Bessel functions e^{−|ξ|} I_m(|ξ|) and phases e^{imφ}, (n, degree + 1) each."""
    modes = np.arange(degree + 1)
    length = np.hypot(exponents[:, 0], exponents[:, 1])
    angle = np.arctan2(exponents[:, 1], exponents[:, 0])
    return special.ive(modes, length[:, None]), np.exp(1j * angle[:, None] * modes)


def real_functional(terms: ComplexArray) -> FloatArray:
    """Rows L with L·c = Re(a₀c₀ + 2 Σ_{m≥1} a_m c_m)."""
    doubled = 2.0 * terms
    doubled[:, 0] = terms[:, 0].real
    return interleaved(np.conj(doubled))
