r"""Compiled sums over rings of zonal spheres: coefficients, plane waves, and the kernel between two rings.

The mean of e^{⟨ξ,y⟩} over the ring y = (cos α, u sin α), u uniform on S^{d−2}, is e^{ξ₁ cos α} c_0(ξ₂ sin α)
with the Funk–Hecke coefficient c_0 of dimension d − 1 (``funk_hecke``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from solvers.compiled import kernel

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["mean_wave", "plane_waves", "ring_coefficients", "ring_pairs"]

#: Sums that grow beyond are scaled down, so that they never overflow.
LARGE = 2.0**500
LOG_LARGE = 500.0 * math.log(2.0)


@kernel
def ring_coefficients(
    cosines: FloatArray, masses: FloatArray, starts: IntArray, ratios: FloatArray
) -> FloatArray:
    """Σ mass e_l(cos α) of the rings of every row, (rows, degrees), with b_1, b_2, … of the recurrence."""
    rows, count = starts.size - 1, ratios.size + 1
    result = np.zeros((rows, count))
    for j in range(rows):
        for n in range(starts[j], starts[j + 1]):
            cosine, before, current = cosines[n], 0.0, masses[n]
            result[j, 0] += current
            for level in range(1, count):
                lower = ratios[level - 2] * before if level > 1 else 0.0
                before, current = current, (cosine * current - lower) / ratios[level - 1]
                result[j, level] += current
    return result


@kernel
def growth(order: int, dimension: int) -> float:
    """dim_l / dim_{l−1} for l ≥ 1."""
    if order == 1:
        return float(dimension)
    d = float(dimension)
    return (2.0 * order + d - 2.0) / (2.0 * order + d - 4.0) * (order + d - 3.0) / order


@kernel
def quotients(exponent: float, dimension: int, result: FloatArray) -> None:
    """Write c_l / c_{l−1}, l = 1, 2, …, by the backward recurrence of ``funk_hecke``."""
    last = result.size
    beyond = 40 + math.ceil(7.0 * math.sqrt(exponent))
    square, quotient = exponent * exponent, 0.0
    for order in range(last + beyond, 0, -1):
        quotient = 1.0 / (2.0 * order + dimension - 2.0 + square * quotient)
        if order <= last:
            result[order - 1] = exponent * quotient


@kernel
def log_first(dimension: int, ratios: FloatArray) -> float:
    """Return log c_0 − β = −log Σ dim_l c_l / c_0 from as many quotients as matter."""
    term, total, scaled = 1.0, 1.0, 0.0
    for index in range(ratios.size):
        term *= growth(index + 1, dimension) * ratios[index]
        total += term
        if total > LARGE:
            term, total, scaled = term / LARGE, total / LARGE, scaled + LOG_LARGE
    return -(math.log(total) + scaled)


@kernel
def plane_waves(
    vectors: FloatArray,
    dimension: int,
    terms: int,
    ratios: FloatArray,
    above: FloatArray,
    raised: FloatArray,
    lowered: FloatArray,
) -> FloatArray:
    """Functionals of e^{⟨ξ,y⟩ − |ξ|} times 1, y₁ and y₂, (n, 3, degree + 1), for vectors ξ (n, 2).

    Those of ``Zonal.plane_wave`` and ``plane_wave_gradient``. They need the recurrences in dimension d and
    d + 2, (degree + 1,) and (degree,), and ``gegenbauer.climbing``, (degree + 1,) each; ``terms``, more than
    the degree, give c_0.
    """
    count = raised.size
    result = np.empty((vectors.shape[0], 3, count))
    steps, even, odd = np.empty(terms), np.empty(count + 1), np.empty(count + 1)
    for n in range(vectors.shape[0]):
        length = math.hypot(vectors[n, 0], vectors[n, 1])
        cosine = vectors[n, 0] / length if length > 0.0 else 1.0
        sine = vectors[n, 1] / length if length > 0.0 else 0.0
        quotients(length, dimension, steps)
        size = math.exp(log_first(dimension, steps))
        even[0], odd[0] = size, 0.0
        before, current, lower, higher = 0.0, 1.0, 0.0, 1.0
        for level in range(1, count + 1):
            less = ratios[level - 2] * before if level > 1 else 0.0
            before, current = current, (cosine * current - less) / ratios[level - 1]
            size *= steps[level - 1]
            even[level], odd[level] = size * current, size * sine * higher
            if level < count:
                less = above[level - 2] * lower if level > 1 else 0.0
                lower, higher = higher, (cosine * higher - less) / above[level - 1]
        for level in range(count):
            result[n, 0, level] = even[level]
            below = ratios[level - 1] * even[level - 1] if level > 0 else 0.0
            result[n, 1, level] = ratios[level] * even[level + 1] + below
            below = lowered[level] * odd[level - 1] if level > 0 else 0.0
            result[n, 2, level] = raised[level] * odd[level + 1] - below
    return result


@kernel
def mean_wave(exponent: float, dimension: int, steps: FloatArray) -> tuple[float, float]:
    """Return log c_0(β) − β and c_1(β)/c_0(β) on S^{d−1}, d ≥ 1; two points make up the sphere of d = 1."""
    if dimension == 1:
        return math.log1p(math.exp(-2.0 * exponent)) - math.log(2.0), math.tanh(exponent)
    quotients(exponent, dimension, steps)
    return log_first(dimension, steps), steps[0]


@kernel
def ring_pairs(
    vectors: FloatArray, rings: FloatArray, bias: FloatArray, dimension: int, terms: int
) -> FloatArray:
    """Sum ring by ring: offset, Σ e^{s − offset}, and it times y₁ + p, p, y₂ and s, (n, 6).

    Parameters
    ----------
    vectors
        ξ of every query, (n, 2).
    rings
        cos α, sin α, shift p of the key along the axis, and mass of every ring, (rings, 4).
    bias
        (n, rings) or (1, rings).
    dimension, terms
        d of the sphere, and degrees that matter in d − 1.
    """
    count = len(rings)
    result = np.zeros((len(vectors), 6))
    steps, score, ratio = np.empty(terms), np.empty(count), np.empty(count)
    for n in range(len(vectors)):
        own, highest = n if len(bias) > 1 else 0, -np.inf
        for k in range(count):
            score[k] = -np.inf
            if bias[own, k] == -np.inf or rings[k, 3] == 0.0:
                continue
            across = vectors[n, 1] * rings[k, 1]
            size, slope = mean_wave(abs(across), dimension - 1, steps)
            score[k] = vectors[n, 0] * (rings[k, 0] + rings[k, 2]) + bias[own, k] + abs(across) + size
            ratio[k] = slope if across >= 0.0 else -slope
            highest = max(highest, score[k])
        result[n, 0] = highest
        for k in range(count):
            if score[k] == -np.inf:
                continue
            weight = rings[k, 3] * math.exp(score[k] - highest)
            along, across = rings[k, 0] + rings[k, 2], ratio[k] * rings[k, 1]
            result[n, 1] += weight
            result[n, 2] += weight * along
            result[n, 3] += weight * rings[k, 2]
            result[n, 4] += weight * across
            result[n, 5] += weight * (vectors[n, 0] * along + vectors[n, 1] * across + bias[own, k])
    return result
