"""Compiled rates on the circle, for states small enough that calls of numpy would dominate.

Each writes −div(ρ(V + F)) for the coefficients c_1 … c_K of every ρ(·|z) (real and imaginary parts in turn,
c_0 = 1). Transforms are those of rocket-fft; ``equation.py`` lays out the tables, and the plain rate there is
the definition that they are tested against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rocket_fft import c2r, r2c

from solvers.compiled import Tables, compiled_rate, kernel

if TYPE_CHECKING:
    from meanfield_pde.arrays import ComplexArray, FloatArray

__all__ = ["banded_rate", "convolution_rate", "factored_rate"]

TURN = 2.0 * np.pi


@kernel
def densities(state: FloatArray, points: int, extra: int) -> ComplexArray:
    """Spectra (rows + extra, points/2 + 1) with the densities' coefficients in the first rows."""
    rows, columns = state.shape
    spectra = np.zeros((rows + extra, points // 2 + 1), np.complex128)
    for j in range(rows):
        spectra[j, 0] = 1.0
        for m in range(columns // 2):
            spectra[j, m + 1] = complex(state[j, 2 * m], state[j, 2 * m + 1])
    return spectra


@kernel
def write_divergence(flux: FloatArray, out: FloatArray) -> None:
    """Write −i m times the Fourier coefficients of the flux into ``out``."""
    rows, points = flux.shape
    spectra = np.empty((rows, points // 2 + 1), np.complex128)
    r2c(flux, spectra, np.array([1]), True, TURN / points, 1)
    for j in range(rows):
        for m in range(out.shape[1] // 2):
            out[j, 2 * m] = (m + 1) * spectra[j, m + 1].imag
            out[j, 2 * m + 1] = -(m + 1) * spectra[j, m + 1].real


@compiled_rate
def convolution_rate(state: FloatArray, out: FloatArray, tables: Tables) -> None:
    """All attend to all by a kernel of x − y: V (and its normaliser) is the same for every node.

    Tables: node weights (1, aux); multipliers of the field and of the normaliser as (re, im), (2, modes)
    each, the latter empty without softmax; noise floor (1, 1); drift (1, points).
    """
    weights, field, normaliser, drift = tables[0], tables[1], tables[2], tables[4]
    rows, columns = state.shape
    points = drift.shape[1]
    softmax = normaliser.size > 0
    spectra = densities(state, points, 2 if softmax else 1)
    for m in range(min(field.shape[1], columns // 2 + 1)):
        mixed = 0.0j
        for j in range(rows):
            mixed += weights[0, j] * spectra[j, m]
        spectra[rows, m] = TURN * mixed * complex(field[0, m], field[1, m])
        if softmax:
            spectra[rows + 1, m] = TURN * mixed * complex(normaliser[0, m], normaliser[1, m])
    values = np.empty((spectra.shape[0], points))
    c2r(spectra, values, np.array([1]), False, 1.0 / TURN, 1)
    for i in range(points):
        velocity = values[rows, i]
        if softmax:
            velocity /= max(values[rows + 1, i], tables[3][0, 0])
        velocity += drift[0, i]
        for j in range(rows):
            values[j, i] *= velocity
    write_divergence(values[:rows], out)


@kernel
def add_band(field: FloatArray, density: FloatArray, flux: FloatArray, degree: int) -> None:
    """Add Σ_{|n| ≤ degree} V_n c_{m−n} to ``flux``.

    All are rows (re, im), those of the density begin at mode −degree.
    """
    count = flux.shape[1]
    flux_real, flux_imaginary = flux[0], flux[1]
    for n in range(degree + 1):
        # V_{−n} is the conjugate of V_n: both in one pass. Slices let the loop vectorise.
        real, imaginary = field[0, n], field[1, n]
        if n == 0:
            real, imaginary = 0.5 * real, 0.0
        low, high = 1 - n + degree, 1 + n + degree
        a, b = density[0, low : low + count], density[1, low : low + count]
        c, d = density[0, high : high + count], density[1, high : high + count]
        for m in range(count):
            flux_real[m] += real * (a[m] + c[m]) - imaginary * (b[m] - d[m])
            flux_imaginary[m] += real * (b[m] + d[m]) + imaginary * (a[m] - c[m])


@compiled_rate
def banded_rate(state: FloatArray, out: FloatArray, tables: Tables) -> None:
    """As ``convolution_rate`` without softmax and drift: V has few modes, so ρV is a short sum over them.

    No transform and no aliasing. Tables: node weights (1, aux), multipliers of the field (2, modes).
    """
    weights, multipliers = tables[0], tables[1]
    rows, count = state.shape[0], state.shape[1] // 2
    degree = min(multipliers.shape[1] - 1, count)
    field = np.zeros((2, degree + 1))
    field[0, 0] = multipliers[0, 0]
    for m in range(1, degree + 1):
        for j in range(rows):
            field[0, m] += weights[0, j] * state[j, 2 * m - 2]
            field[1, m] += weights[0, j] * state[j, 2 * m - 1]
        value = complex(field[0, m], field[1, m]) * complex(multipliers[0, m], multipliers[1, m])
        field[0, m], field[1, m] = value.real, value.imag
    density = np.zeros((2, count + 2 * degree + 1))
    flux = np.empty((2, count))
    for j in range(rows):
        density[0, degree] = 1.0
        for m in range(1, count + 1):
            density[0, degree + m], density[1, degree + m] = state[j, 2 * m - 2], state[j, 2 * m - 1]
        for m in range(1, degree + 1):
            density[0, degree - m], density[1, degree - m] = state[j, 2 * m - 2], -state[j, 2 * m - 1]
        flux[:] = 0.0
        add_band(field, density, flux, degree)
        for m in range(count):
            out[j, 2 * m] = (m + 1) * flux[1, m]
            out[j, 2 * m + 1] = -(m + 1) * flux[0, m]


@compiled_rate
def factored_rate(state: FloatArray, out: FloatArray, tables: Tables) -> None:
    """All attend to all with an additive encoding: probe, solve for charges, synthesise.

    Tables: probe of the constant mode (1, rank) and of the others (modes, rank); key factor (aux, rank); the
    two steps of the solve (rank, rank), transposed; node factor (aux, rank); field and, with softmax,
    normaliser (rank, points or 2·points); with softmax the noise floor, else the factor of the field
    (aux, points); drift (1, points).
    """
    constant, waves, keys = tables[0], tables[1], tables[2]
    nodes, synthesis, scale, drift = tables[5], tables[6], tables[7], tables[8]
    rows, points = state.shape[0], drift.shape[1]
    rank = constant.shape[1]
    softmax = synthesis.shape[1] > points
    probed = np.dot(np.ascontiguousarray(state[:, : waves.shape[0]]), waves)
    probes = np.zeros((1, rank))
    for j in range(rows):
        for k in range(rank):
            probes[0, k] += keys[j, k] * (constant[0, k] + probed[j, k])
    charges = np.dot(np.dot(probes, tables[3]), tables[4])
    for j in range(rows):
        for k in range(rank):
            probed[j, k] = charges[0, k] * nodes[j, k]
    seen = np.dot(probed, synthesis)
    spectra = densities(state, points, 0)
    flux = np.empty((rows, points))
    c2r(spectra, flux, np.array([1]), False, 1.0 / TURN, 1)
    for j in range(rows):
        for i in range(points):
            if softmax:
                velocity = seen[j, i] / max(seen[j, points + i], scale[j, i])
            else:
                velocity = seen[j, i] * scale[j, i]
            flux[j, i] *= velocity + drift[0, i]
    write_divergence(flux, out)
