r"""Adaptive exponential Runge-Kutta steps for :math:`\dot u = \lambda u + N(u)`, lambda diagonal.

The linear part is solved exactly, so that stiff diffusion does not limit the step. Krogstad's fourth-order scheme
(Krogstad 2005, equation 51; stiff order 3, 4 on smooth solutions), with the third-order companion of
Whalen, Brio & Moloney (2015): with :math:`z = h \lambda` and :math:`N_i = N(U_i)`, U_1 = u,

.. math::

    U_2 &= e^{z/2} u + \tfrac h2 \varphi_1(\tfrac z2) N_1 \\
    U_3 &= e^{z/2} u + h [\tfrac12 \varphi_1(\tfrac z2) - \varphi_2(\tfrac z2)] N_1
           + h \varphi_2(\tfrac z2) N_2 \\
    U_4 &= e^z u + h [\varphi_1 - 2 \varphi_2] N_1 + 2 h \varphi_2 N_3 \\
    U_5 &= e^z u + h [\varphi_1 - 3 \varphi_2 + 4 \varphi_3] N_1 + h [2 \varphi_2 - 4 \varphi_3] (N_2 + N_3)
           + h [4 \varphi_3 - \varphi_2] N_4

U_5 is the new state, and :math:`h [4 \varphi_3 - \varphi_2] (N_4 - N_5)` its error estimate. N_5 is the next step's N_1:
four rates a step.

One source serves two ways to call the rate: functions marked `either` are compiled into `run_compiled`, and are plain
Python in `run`, where the rate may be any callable.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from solvers.compiled import (
    MATRIX,
    RATE,
    TABLES,
    FloatArray,
    Rate,
    Tables,
    compiled_for,
    either,
    kernel,
)
from solvers.phi import phi

ORDER = 4

REACHED, GUARD, PAUSED, UNDERFLOW = 0, 1, 2, 3

# Rows of the coefficient table.
KEEP, HALF, FULL, A21, A31, A32, A41, A43, B1, B23, B4, ONES = range(12)
COEFFICIENT_ROWS = 12

# Places in Memory.numbers and Memory.counts.
DEPTH, STEP, COEFFICIENT_STEP, LAST_ERROR = range(4)
SIDE, FIRST_KNOWN, ACCEPTED, REJECTED, EVALUATIONS, HELD_BACK = range(6)

SAFETY = 0.9
LARGEST_GROWTH = 5.0
SMALLEST_SHRINK = 0.2
NON_FINITE_SHRINK = 0.1
DEADBAND_LOW = 0.95
DEADBAND_HIGH = 1.2


class Memory(NamedTuple):
    """What a run carries from step to step, so that a pause changes nothing.

    stages (8, rows, columns): two states, of which ``counts[SIDE]`` is current; the rates at both; N_2, N_3, N_4; U.
    coefficients (12, columns): the scheme's functions of h * linear, for the step ``numbers[COEFFICIENT_STEP]``.
    """

    stages: FloatArray
    coefficients: FloatArray
    numbers: FloatArray
    counts: FloatArray


class Columns(NamedTuple):
    """Per column: the linear term, and the reciprocal of the largest value allowed (empty: no guard)."""

    linear: FloatArray
    guard: FloatArray


class Limits(NamedTuple):
    """Where to stop, what error a step may make, and when to give up."""

    stop: float
    rtol: float
    atol: float
    smallest_step: float
    most_steps: int


RUN = types.int64(
    RATE,
    TABLES,
    types.NamedTuple((types.float64[:, :, ::1], MATRIX, types.float64[::1], types.int64[::1]), Memory),
    types.NamedUniTuple(types.float64[::1], 2, Columns),
    types.NamedTuple((types.float64, types.float64, types.float64, types.float64, types.int64), Limits),
)


def remember(state: FloatArray, linear: FloatArray, depth: float, step: float) -> Memory:
    """Return the memory of a run that starts from a copy of ``state``; step 0 means: choose it."""
    dtype = np.result_type(state.dtype, linear.dtype)
    stages = np.zeros((8, *state.shape), dtype)
    stages[0] = state
    coefficients = np.ones((COEFFICIENT_ROWS, linear.size), dtype)
    numbers = np.array([depth, step, 0.0, 1.0])
    return Memory(stages, coefficients, numbers, np.zeros(6, dtype=np.int64))


@kernel
def set_coefficients(linear: FloatArray, step: float, coefficients: FloatArray) -> None:
    """Fill the table of coefficients for one step size.

    A state is carried as keep * u + change * u: with keep = 1, change = e^z - 1 where |z| < 1, so that a stationary
    state stays put to the last bit; with keep = 0, change = e^z beyond, so that strong decay leaves no rounding of u.
    """
    for k in range(linear.size):
        z = step * linear[k]
        half_change, half_one, half_two, _ = phi(0.5 * z)
        full_change, one, two, three = phi(z)
        gentle = abs(z) < 1.0
        coefficients[KEEP, k] = 1.0 if gentle else 0.0
        coefficients[HALF, k] = half_change if gentle else np.exp(0.5 * z)
        coefficients[FULL, k] = full_change if gentle else np.exp(z)
        coefficients[A21, k] = 0.5 * step * half_one
        coefficients[A31, k] = step * (0.5 * half_one - half_two)
        coefficients[A32, k] = step * half_two
        coefficients[A41, k] = step * (one - 2.0 * two)
        coefficients[A43, k] = 2.0 * step * two
        coefficients[B1, k] = step * (one - 3.0 * two + 4.0 * three)
        coefficients[B23, k] = step * (2.0 * two - 4.0 * three)
        coefficients[B4, k] = step * (4.0 * three - two)


@kernel
def stage_of_one(
    coefficients: FloatArray, change: int, weight: int, state: FloatArray, first: FloatArray, out: FloatArray
) -> None:
    """Write e^{cz} u + a N_1 into ``out``."""
    for j in range(state.shape[0]):
        for k in range(state.shape[1]):
            u = state[j, k]
            out[j, k] = coefficients[KEEP, k] * u + (
                coefficients[change, k] * u + coefficients[weight, k] * first[j, k]
            )


@kernel
def stage_of_two(
    coefficients: FloatArray,
    rows: tuple[int, int, int],
    state: FloatArray,
    first: FloatArray,
    other: FloatArray,
    out: FloatArray,
) -> None:
    """Write e^{cz} u + a N_1 + b N_i into ``out``; ``rows`` are those of e^{cz}, a and b."""
    change, own, weight = rows
    for j in range(state.shape[0]):
        for k in range(state.shape[1]):
            u = state[j, k]
            out[j, k] = coefficients[KEEP, k] * u + (
                coefficients[change, k] * u
                + coefficients[own, k] * first[j, k]
                + coefficients[weight, k] * other[j, k]
            )


@kernel
def combine(
    coefficients: FloatArray, state: FloatArray, rates: tuple[FloatArray, ...], out: FloatArray
) -> None:
    """Write the new state U_5 into ``out``, from u and (N_1, ..., N_4)."""
    first, second, third, fourth = rates
    for j in range(state.shape[0]):
        for k in range(state.shape[1]):
            u = state[j, k]
            out[j, k] = coefficients[KEEP, k] * u + (
                coefficients[FULL, k] * u
                + coefficients[B1, k] * first[j, k]
                + coefficients[B23, k] * (second[j, k] + third[j, k])
                + coefficients[B4, k] * fourth[j, k]
            )


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
def scaled_norm(
    weights: FloatArray, plus: FloatArray, minus: FloatArray, state: FloatArray, rtol: float, atol: float
) -> float:
    """Return max_j max_k |w_k (plus_jk - minus_jk)| / (atol + rtol max_k |state_jk|).

    Each row has its own scale. Infinite when anything is not finite.
    """
    norm = 0.0
    for j in range(state.shape[0]):
        scale = atol + rtol * largest(state[j])
        worst = 0.0
        for k in range(state.shape[1]):
            magnitude = abs(weights[k] * (plus[j, k] - minus[j, k]))
            if not magnitude <= worst:
                worst = magnitude
                if not magnitude < np.inf:
                    return np.inf
        if not scale < np.inf:
            return np.inf
        if worst > norm * scale:
            norm = worst / scale if scale > 0.0 else np.inf
    return norm


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

    Proportional-integral control (Gustafsson 1991; Hairer & Wanner, section IV.2). Small corrections are left out, so that
    the coefficients serve many steps.
    """
    error = max(error, 1e-10)
    factor = SAFETY * error ** (-0.7 / ORDER) * last_error ** (0.4 / ORDER)
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
    return tried * max(SMALLEST_SHRINK, SAFETY * error ** (-1.0 / ORDER))


@kernel
def divided(remaining: float, step: float) -> float:
    """Return the step, not above 1.01 * ``step``, that divides what remains into equal parts."""
    return remaining / max(1.0, np.ceil(remaining / step - 0.01))


@either
def attempt(rate: Rate, tables: Tables, memory: Memory) -> None:
    """Evaluate the four stages from the current state; leave the new state and its rate on the other side."""
    stages, coefficients, _, counts = memory
    side = counts[SIDE]
    state, new, first, last = stages[side], stages[1 - side], stages[2 + side], stages[3 - side]
    second, third, fourth, stage = stages[4], stages[5], stages[6], stages[7]
    stage_of_one(coefficients, HALF, A21, state, first, stage)
    rate(stage, second, tables)
    stage_of_two(coefficients, (HALF, A31, A32), state, first, second, stage)
    rate(stage, third, tables)
    stage_of_two(coefficients, (FULL, A41, A43), state, first, third, stage)
    rate(stage, fourth, tables)
    combine(coefficients, state, (first, second, third, fourth), new)
    rate(new, last, tables)
    counts[EVALUATIONS] += 4


@either
def first_step(rate: Rate, tables: Tables, memory: Memory, linear: FloatArray, limits: Limits) -> float:
    r"""Return a cautious first step: the error is about :math:`h (h \omega)^3 |N|`, asked to be 0.01 tolerances.

    omega, the largest rate of change of N and of the state, comes from a short exponential Euler step (after Hairer,
    Norsett & Wanner, section II.4, but invariant under a change of units).
    """
    stages, coefficients, numbers, counts = memory
    side = counts[SIDE]
    state, first, second, stage = stages[side], stages[2 + side], stages[4], stages[7]
    remaining = limits.stop - numbers[DEPTH]
    ones, nothing = coefficients[ONES], stages[5]
    nothing[:, :] = 0.0
    size = scaled_norm(ones, state, nothing, state, limits.rtol, limits.atol)
    slope = scaled_norm(ones, first, nothing, state, limits.rtol, limits.atol)
    if not slope < np.inf or not size < np.inf:
        return remaining
    if slope * remaining <= 1e-3 * max(size, 1.0):
        probe = 1e-3 * remaining
    else:
        probe = 1e-2 * max(size, 1.0) / slope
    set_coefficients(linear, 2.0 * probe, coefficients)
    numbers[COEFFICIENT_STEP] = 2.0 * probe
    stage_of_one(coefficients, HALF, A21, state, first, stage)
    rate(stage, second, tables)
    counts[EVALUATIONS] += 1
    curvature = scaled_norm(ones, second, first, state, limits.rtol, limits.atol) / probe
    if not curvature < np.inf:
        return probe
    if slope == 0.0:
        return probe if curvature > 0.0 else remaining
    frequency = max(curvature / slope, slope / max(size, 1.0))
    return min((1e-2 / (slope * frequency**3)) ** (1.0 / ORDER), 100.0 * probe, remaining)


@either
def prepare(rate: Rate, tables: Tables, memory: Memory, linear: FloatArray, limits: Limits) -> None:
    """Evaluate the rate at the start and choose the first step, where either is missing."""
    stages, _, numbers, counts = memory
    if counts[FIRST_KNOWN] == 0:
        side = counts[SIDE]
        rate(stages[side], stages[2 + side], tables)
        counts[EVALUATIONS] += 1
        counts[FIRST_KNOWN] = 1
    if numbers[STEP] <= 0.0:
        numbers[STEP] = first_step(rate, tables, memory, linear, limits)


@either
def run(rate: Rate, tables: Tables, memory: Memory, columns: Columns, limits: Limits) -> int:
    """Step until ``limits.stop``, and return REACHED, or the reason for ending before: GUARD, PAUSED or UNDERFLOW.

    ``memory`` holds the last accepted state, its depth, the next step and all counts, and is updated. The result does not
    depend on where a run pauses.
    """
    stages, coefficients, numbers, counts = memory
    linear, guard = columns
    rounding = 4.0 * np.finfo(np.float64).eps * max(abs(numbers[DEPTH]), abs(limits.stop))
    smallest = max(limits.smallest_step, 4.0 * rounding)
    if numbers[DEPTH] >= limits.stop:
        return REACHED
    prepare(rate, tables, memory, linear, limits)
    for _ in range(limits.most_steps):
        depth, step = numbers[DEPTH], numbers[STEP]
        if not step >= smallest:
            return UNDERFLOW
        remaining = limits.stop - depth
        tried = divided(remaining, step)
        final = tried == remaining
        # Steps that differ by no more than the rounding of the depth share their coefficients.
        if abs(tried - numbers[COEFFICIENT_STEP]) <= rounding:
            tried = numbers[COEFFICIENT_STEP]
        else:
            set_coefficients(linear, tried, coefficients)
            numbers[COEFFICIENT_STEP] = tried
        attempt(rate, tables, memory)
        side = counts[SIDE]
        error = scaled_norm(
            coefficients[B4], stages[6], stages[3 - side], stages[1 - side], limits.rtol, limits.atol
        )
        if not error <= 1.0:
            numbers[STEP] = shrunk(tried, error)
            counts[REJECTED] += 1
            counts[HELD_BACK] = 1
            continue
        if exceeds(stages[1 - side], guard):
            counts[REJECTED] += 1
            return GUARD
        numbers[STEP] = proposal(step, tried, error, numbers[LAST_ERROR], counts[HELD_BACK] == 1)
        numbers[LAST_ERROR] = max(error, 1e-4)
        numbers[DEPTH] = limits.stop if final else depth + tried
        counts[SIDE] = 1 - side
        counts[ACCEPTED] += 1
        counts[HELD_BACK] = 0
        if final:
            return REACHED
    return PAUSED


@compiled_for(RUN)
def run_compiled(rate: Rate, tables: Tables, memory: Memory, columns: Columns, limits: Limits) -> int:
    """`run` for a compiled rate: the whole loop without Python."""
    return run(rate, tables, memory, columns, limits)
