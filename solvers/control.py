"""Control of the error of a step and of the step: norms, proposals, cuts."""

import math

import numpy as np

from solvers.compiled import FloatArray, kernel

# Estimates fall as the fourth power of the step; the errors of a run as the fifth.
ESTIMATE_EXPONENT = 4.0 / 5.0
ROOT = 1.0 / 4.0
SAFETY = 0.9
LARGEST_GROWTH = 5.0
SMALLEST_SHRINK = 0.2
NON_FINITE_SHRINK = 0.1
DEADBAND_LOW = 0.95
DEADBAND_HIGH = 1.2


@kernel
def subtract(plus: FloatArray, minus: FloatArray, out: FloatArray) -> None:
    """Write plus - minus into ``out``."""
    for j in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[j, k] = plus[j, k] - minus[j, k]


@kernel
def largest(row: FloatArray) -> float:
    """Return max_k |row_k|, infinite when an entry is not finite."""
    best = 0.0
    for k in range(row.size):
        magnitude = abs(row[k])
        if not magnitude <= best:  # true for NaN as well, and rarely otherwise
            if not magnitude < np.inf:
                return np.inf
            best = magnitude
    return best


@kernel
def scaled_norm(values: FloatArray, state: FloatArray, rtol: float, atol: float) -> float:
    """Return max_j max_k |values_jk| / (atol + rtol max_k |state_jk|): each row has its own scale.

    Infinite when anything is not finite.
    """
    norm = 0.0
    for j in range(state.shape[0]):
        worst, scale = largest(values[j]), atol + rtol * largest(state[j])
        if not max(worst, scale) < np.inf:
            return np.inf
        if worst > norm * scale:
            norm = worst / scale if scale > 0.0 else np.inf
    return norm


@kernel
def weigh(values: FloatArray, weights: FloatArray) -> None:
    """Multiply every column by its weight, in place; without weights, leave them."""
    if weights.size > 0:
        for j in range(values.shape[0]):
            for k in range(values.shape[1]):
                values[j, k] *= weights[k]


@kernel
def exceeds(state: FloatArray, guard: FloatArray) -> bool:
    """Tell whether |state_jk| guard_k > 1 anywhere; an empty guard never trips."""
    if guard.size == 0:
        return False
    for j in range(state.shape[0]):
        for k in range(state.shape[1]):
            if abs(state[j, k]) * guard[k] > 1.0:
                return True
    return False


@kernel
def proposal(step: float, tried: float, error: float, last_error: float, held_back: bool) -> float:
    """Return the next step after one of size ``tried`` with a scaled ``error`` at most 1.

    Proportional-integral control (Gustafsson 1991; Hairer & Wanner, section IV.2). Small corrections are left
    out, so that the coefficients serve many steps.
    """
    factor = SAFETY * math.pow(last_error, 0.4 * ROOT) * math.pow(max(error, 1e-10), -0.7 * ROOT)
    factor = min(1.0 if held_back else LARGEST_GROWTH, max(SMALLEST_SHRINK, factor))
    best = factor * tried
    if DEADBAND_LOW * step <= best <= DEADBAND_HIGH * step:
        return step
    # A step cut short to hit a depth says nothing against the longer one proposed before.
    return max(best, step) if tried < step and factor >= 1.0 else best


@kernel
def shrunk(tried: float, error: float) -> float:
    """Return the step to try after a rejected one."""
    if not error < np.inf:
        return NON_FINITE_SHRINK * tried
    return tried * max(SMALLEST_SHRINK, SAFETY * math.pow(error, -ROOT))


@kernel
def divided(remaining: float, step: float) -> float:
    """Return the step, not above 1.01 * ``step``, that divides what remains into equal parts."""
    return remaining / max(1.0, float(np.ceil(remaining / step - 0.01)))
