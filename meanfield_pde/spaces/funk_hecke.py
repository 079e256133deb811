r"""Eigenvalues of the kernel e^{β⟨x,y⟩} on the sphere S^{d−1} (Funk–Hecke), scaled by e^{−β}.

.. math:: \int e^{\beta\langle x,y\rangle} Y_l(y)\, dP(y) = c_l(\beta)\, Y_l(x), \qquad
    c_l(\beta) = \Gamma(d/2) (2/\beta)^{d/2-1} I_{l+d/2-1}(\beta),

P the uniform probability. The three-term recurrence of I gives the quotients q_l = c_l/(β c_{l−1}) downwards,

.. math:: q_l = \frac{1}{2l + d - 2 + \beta^2 q_{l+1}},

a sum of positive terms, regular at β = 0; and e^{β⟨x,x⟩} = Σ dim_l c_l gives c_0, again by positive terms. So
nothing cancels, and nothing overflows however small c_0 is.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import BoolArray, FloatArray

__all__ = ["coefficients", "degree", "dimensions", "divided", "reach"]

#: Sums that grow beyond are scaled down, so that they never overflow.
LARGE = 2.0**500
#: Share of the largest term below which terms of a sum of positive terms are left out.
NEGLIGIBLE = 1e-19


def coefficients(exponents: FloatArray, degree: int, dimension: int) -> FloatArray:
    """Return c_l(β) e^{−β} of exponents β ≥ 0, shape (n,), for l = 0 … degree, (n, degree + 1)."""
    quotients = _quotients(exponents, degree, dimension)
    factors = np.concatenate([_first(exponents, dimension)[None], exponents * quotients])
    return np.ascontiguousarray(np.cumprod(factors, axis=0).T)


def divided(exponents: FloatArray, degree: int, dimension: int) -> FloatArray:
    """Return c_l(β) e^{−β}/β for l = 1 … degree, with the limit at β = 0, (n, degree)."""
    lower = coefficients(exponents, max(degree - 1, 0), dimension)[:, :degree]
    return lower * _quotients(exponents, degree, dimension).T


def dimensions(degree: int, dimension: int) -> FloatArray:
    """Numbers dim_l of independent spherical harmonics of degree 0 … degree, (degree + 1,)."""
    return np.cumprod(np.concatenate([[1.0], _growth(np.arange(1.0, degree + 1.0), dimension)]))


def degree(exponent: float, tolerance: float, dimension: int) -> int:
    """Smallest degree above which √dim_l c_l(β)/c_0(β) stays below a tolerance, one at least."""
    threshold = math.log(tolerance)
    return _last(lambda size, count: size + count / 2.0 >= threshold, exponent, dimension)


def reach(exponent: float, tolerance: float, dimension: int) -> int:
    """Smallest degree above which dim_l c_l(β) e^{−β} stays below a tolerance, one at least.

    These are the parts of e^{β⟨x,y⟩} at x = y, relative to its value.
    """
    threshold = math.log(tolerance)

    def above(size: FloatArray, count: FloatArray) -> BoolArray:
        parts = size + count
        return np.asarray(parts - np.logaddexp.reduce(parts, initial=0.0) >= threshold)

    return _last(above, exponent, dimension)


def _quotients(exponents: FloatArray, degree: int, dimension: int) -> FloatArray:
    """q_l for l = 1 … degree, (degree, n), by backward recurrence."""
    square = exponents**2
    result = np.empty((degree, exponents.size))
    quotient = np.zeros_like(exponents)
    for order in range(degree + _beyond(exponents), 0, -1):
        quotient = 1.0 / (2.0 * order + dimension - 2.0 + square * quotient)
        if order <= degree:
            result[order - 1] = quotient
    return result


def _beyond(exponents: FloatArray) -> int:
    """Count the steps in which the recurrence forgets where it began.

    A step multiplies errors by (c_l/c_{l−1})² < e^{−2 asinh((l − 1/2)/β)} (Amos, Math. Comp. 28, 1974),
    below 1/4 from l = β on: n steps by about e^{−0.88 n²/β} at most, or 4^{−n}.
    """
    largest = float(exponents.max(initial=0.0))
    return 40 + math.ceil(7.0 * math.sqrt(largest))


def _first(exponents: FloatArray, dimension: int) -> FloatArray:
    """c_0(β) e^{−β}, (n,)."""
    if dimension == 2:
        return np.asarray(special.i0e(exponents))
    if dimension == 3:
        return np.asarray(special.exprel(-2.0 * exponents))
    return _normalised(exponents, dimension)


def _normalised(exponents: FloatArray, dimension: int) -> FloatArray:
    """c_0(β) e^{−β} = 1 / Σ_l dim_l c_l/c_0, (n,)."""
    count = _terms(float(exponents.max(initial=0.0)), dimension)
    quotients = _quotients(exponents, count, dimension)
    growth = _growth(np.arange(1.0, count + 1.0), dimension)
    first, term, total = (np.ones_like(exponents) for _ in range(3))
    for order in range(count):
        term = term * (growth[order] * exponents * quotients[order])
        total = total + term
        scale = np.where(total > LARGE, 1.0 / LARGE, 1.0)
        first, term, total = first * scale, term * scale, total * scale
    return first / total


def _terms(exponent: float, dimension: int) -> int:
    """Degree from which the terms dim_l c_l fall below rounding error of their sum.

    With ν = l + d/2 − 3/2, c_l/c_{l−1} < β/(ν + √(ν² + β²)) (Amos).
    """
    count = 64
    while True:
        order = np.arange(1.0, count + 1.0)
        index = order + dimension / 2.0 - 1.5
        bound = exponent / (index + np.hypot(index, exponent))
        size = np.cumsum(np.log(_growth(order, dimension) * np.maximum(bound, 1e-300)))
        if size[-1] < max(size.max(), 0.0) + math.log(NEGLIGIBLE):
            return count
        count *= 2


def _growth(order: FloatArray, dimension: int) -> FloatArray:
    """dim_l / dim_{l−1} for l ≥ 1."""
    if dimension == 2:
        return np.where(order > 1, 1.0, 2.0)
    ratio = (2.0 * order + dimension - 2.0) / (2.0 * order + dimension - 4.0)
    return np.asarray(ratio * (order + dimension - 3.0) / order)


def _last(above: Callable[[FloatArray, FloatArray], BoolArray], exponent: float, dimension: int) -> int:
    """Last degree l ≥ 1 for which ``above`` holds of log c_l/c_0 and log dim_l, one where there is none."""
    if exponent == 0.0:
        return 1
    count = 64
    while True:
        quotients = _quotients(np.array([exponent]), count, dimension)[:, 0]
        growth = _growth(np.arange(1.0, count + 1.0), dimension)
        found = np.flatnonzero(above(np.cumsum(np.log(exponent * quotients)), np.cumsum(np.log(growth))))
        last = int(found[-1]) + 1 if found.size else 1
        if last < count // 2:
            return last
        count *= 2
