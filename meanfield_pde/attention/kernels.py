"""Compiled loops of the attention operators; ``reference.py`` holds their twins in plain numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from solvers.compiled import kernel

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["decaying_sum", "pair_sums", "prefix_sum", "sliding_sum", "window_ranges"]


@kernel
def window_ranges(ordered: FloatArray, width: float) -> tuple[IntArray, IntArray]:
    """Ranges [first_j, last_j) of the ordered nodes with |z_j − z_k| ≤ width."""
    count = ordered.size
    first, last = np.empty(count, np.intp), np.empty(count, np.intp)
    low = high = 0
    for j in range(count):
        while abs(ordered[j] - ordered[low]) > width:
            low += 1
        high = max(high, j)
        while high < count and abs(ordered[j] - ordered[high]) <= width:
            high += 1
        first[j], last[j] = low, high
    return first, last


@kernel
def prefix_sum(features: FloatArray, order: IntArray, counts: IntArray, visited: IntArray) -> FloatArray:
    """Σ_{k < counts_j} features of order_k for every j in O(N); counts must not fall along ``visited``."""
    count, width = features.shape
    result = np.empty((count, width))
    running = np.zeros(width)
    taken = 0
    for j in visited:
        while taken < counts[j]:
            for c in range(width):
                running[c] += features[order[taken], c]
            taken += 1
        for c in range(width):
            result[j, c] = running[c]
    return result


@kernel
def sliding_sum(features: FloatArray, first: IntArray, last: IntArray) -> FloatArray:
    """Σ_{first_j ≤ k < last_j} features_k in O(N) for ranges that only move up, without subtraction.

    Rows are summed from a pivot: backwards once when the range leaves the old pivot behind, forwards as rows
    enter. (Differences of prefix sums would lose the digits of rows that are small beside the prefix.)
    """
    count, width = features.shape
    result = np.empty((count, width))
    behind = np.zeros((count + 1, width))
    ahead = np.zeros(width)
    pivot = top = 0
    for j in range(count):
        if j == 0 or first[j] >= pivot:
            pivot = top = last[j]
            ahead[:] = 0.0
            behind[pivot] = 0.0
            for k in range(pivot - 1, first[j] - 1, -1):
                for c in range(width):
                    behind[k, c] = behind[k + 1, c] + features[k, c]
        while top < last[j]:
            for c in range(width):
                ahead[c] += features[top, c]
            top += 1
        for c in range(width):
            result[j, c] = behind[first[j], c] + ahead[c]
    return result


@kernel
def decaying_sum(features: FloatArray, gaps: FloatArray, slope: float) -> tuple[FloatArray, FloatArray]:
    """Σ_k e^{−slope |z_j − z_k|} features_k, and the same with the further factor |z_j − z_k|, in O(N)."""
    count, width = features.shape
    total, moment = features.copy(), np.zeros((count, width))
    for direction in (1, -1):
        running, distance = np.zeros(width), np.zeros(width)
        start = 0 if direction == 1 else count - 1
        for step in range(1, count):
            j = start + direction * step
            gap = gaps[j - 1] if direction == 1 else gaps[j]
            factor = np.exp(-slope * gap)
            for c in range(width):
                running[c] = factor * (running[c] + features[j - direction, c])
                distance[c] = factor * distance[c] + gap * running[c]
                total[j, c] += running[c]
                moment[j, c] += distance[c]
    return total, moment


@kernel
def pair_sums(
    queries: FloatArray, keys: FloatArray, values: FloatArray, weights: FloatArray, bias: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Largest score, Σ w e^{score − largest} and Σ w e^{score − largest} value of every query over all keys.

    Parameters
    ----------
    queries, keys, values, weights
        ξ, (queries, d); (keys, d) twice; (keys,).
    bias
        b of every pair, (queries, keys), or (1, keys) for all queries.
    """
    count, dimension = queries.shape
    largest, total, vector = np.empty(count), np.zeros(count), np.zeros((count, dimension))
    scores = np.empty(len(keys))
    for n in range(count):
        row = n if bias.shape[0] > 1 else 0
        largest[n] = -np.inf
        for k in range(len(keys)):
            score = bias[row, k]
            for c in range(dimension):
                score += queries[n, c] * keys[k, c]
            scores[k] = score
            largest[n] = max(largest[n], score)
        for k in range(len(keys)):
            weight = weights[k] * np.exp(scores[k] - largest[n])
            total[n] += weight
            for c in range(dimension):
                vector[n, c] += weight * values[k, c]
    return largest, total, vector
