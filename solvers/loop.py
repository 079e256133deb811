"""The inner time loop of exponential steps, compiled or plain.

One source serves two ways to call the rate: functions marked `either` are compiled into `run_compiled`, and
are plain Python in `run`, where the rate may be any callable.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from solvers.compiled import RATE, TABLES, FloatArray, Rate, Tables, compiled_for, either, numba_types
from solvers.control import ROOT, divided, exceeds, proposal, scaled_norm, shrunk, subtract, weigh
from solvers.exponential import ERROR, NEW_STATE, combine, set_coefficients

IntArray = npt.NDArray[np.int64]

REACHED, GUARD, PAUSED, UNDERFLOW = 0, 1, 2, 3

# Places in Memory.numbers and Memory.counts.
DEPTH, STEP, COEFFICIENT_STEP, LAST_ERROR = range(4)
SIDE, FIRST_KNOWN, ACCEPTED, REJECTED, EVALUATIONS, HELD_BACK = range(6)

ROUNDING = float(np.finfo(np.float64).eps)


class Memory(NamedTuple):
    """What a run carries from step to step, so that a pause changes nothing.

    states (3, rows, columns): ``counts[SIDE]`` (0 or 1) is current, the other next; 2 is the stage.
    rates (6, rows, columns): N_1 to N_6.
    coefficients (7, 8, columns): the scheme for the step ``numbers[COEFFICIENT_STEP]``.
    numbers (4,), counts (6,): depth, step and what the controller remembers; counters and flags.
    """

    states: FloatArray
    rates: FloatArray
    coefficients: FloatArray
    numbers: FloatArray
    counts: IntArray


class Columns(NamedTuple):
    """Per column: the linear term, the reciprocal of the largest value allowed, the weight of errors.

    The latter two may be empty: no guard, equal weights.
    """

    linear: FloatArray
    guard: FloatArray
    weights: FloatArray


class Limits(NamedTuple):
    """Where to stop, what error a step may make, and when to give up."""

    stop: float
    rtol: float
    atol: float
    smallest_step: float
    most_steps: int


CUBE = numba_types.float64[:, :, ::1]
VECTOR = numba_types.float64[::1]
RUN_SIGNATURE = numba_types.int64(
    RATE,
    TABLES,
    numba_types.NamedTuple((CUBE, CUBE, CUBE, VECTOR, numba_types.int64[::1]), Memory),
    numba_types.NamedUniTuple(VECTOR, 3, Columns),
    numba_types.NamedTuple((*(numba_types.float64,) * 4, numba_types.int64), Limits),
)


def remember(state: FloatArray, linear: FloatArray, depth: float, step: float) -> Memory:
    """Return the memory of a run that starts from a copy of ``state``; step 0 means: choose it."""
    dtype = np.result_type(state.dtype, linear.dtype, np.float64)
    states = np.zeros((3, *state.shape), dtype)
    states[0] = state
    return Memory(
        states=states,
        rates=np.zeros((6, *state.shape), dtype),
        coefficients=np.zeros((7, 8, linear.size), dtype),
        numbers=np.array([depth, step, 0.0, 1.0]),
        counts=np.zeros(6, dtype=np.int64),
    )


@either
def attempt(rate: Rate, tables: Tables, memory: Memory, weights: FloatArray, limits: Limits) -> float:
    """Compute the next state from the current one and N_1, and return its scaled error."""
    states, rates, coefficients, _, counts = memory
    state, new, stage = states[counts[SIDE]], states[1 - counts[SIDE]], states[2]
    for row in range(5):
        combine(row, coefficients, state, rates, stage)
        rate(stage, rates[row + 1], tables)
    counts[EVALUATIONS] += 5
    combine(NEW_STATE, coefficients, state, rates, new)
    combine(ERROR, coefficients, state, rates, stage)
    weigh(stage, weights)
    return scaled_norm(stage, new, limits.rtol, limits.atol)


@either
def first_step(rate: Rate, tables: Tables, memory: Memory, linear: FloatArray, limits: Limits) -> float:
    r"""Return a cautious first step: its error, about :math:`h (h \omega)^3 |N|`, should be 0.01 tolerances.

    omega, the larger of the rates of change of N and of the state, comes from a short exponential Euler step
    (after Hairer, Norsett & Wanner, section II.4, but invariant under a change of units).
    """
    states, rates, coefficients, numbers, counts = memory
    state, first, second, stage = states[counts[SIDE]], rates[0], rates[1], states[2]
    rtol, atol = limits.rtol, limits.atol
    remaining = float(limits.stop - numbers[DEPTH])
    size = max(scaled_norm(state, state, rtol, atol), 1.0)
    slope = scaled_norm(first, state, rtol, atol)
    if not slope < np.inf or not size < np.inf:
        return remaining  # hopeless: the step underflows
    probe = 1e-3 * remaining if slope * remaining <= 10.0 * size else 1e-2 * size / slope
    # The second stage is an exponential Euler step over a quarter.
    set_coefficients(linear, 4.0 * probe, coefficients)
    numbers[COEFFICIENT_STEP] = 4.0 * probe
    combine(0, coefficients, state, rates, stage)
    rate(stage, second, tables)
    counts[EVALUATIONS] += 1
    subtract(second, first, stage)
    curvature = scaled_norm(stage, state, rtol, atol) / probe
    if not curvature < np.inf:
        return probe
    if slope == 0.0:
        return probe if curvature > 0.0 else remaining
    frequency = max(curvature / slope, slope / size)
    return min(math.pow(1e-2 / (slope * frequency**3), ROOT), 100.0 * probe, remaining)


@either
def prepare(rate: Rate, tables: Tables, memory: Memory, linear: FloatArray, limits: Limits) -> None:
    """Evaluate N_1 and choose the first step, where either is missing."""
    states, rates, _, numbers, counts = memory
    if counts[FIRST_KNOWN] == 0:
        rate(states[counts[SIDE]], rates[0], tables)
        counts[EVALUATIONS] += 1
        counts[FIRST_KNOWN] = 1
    if numbers[STEP] <= 0.0:
        numbers[STEP] = first_step(rate, tables, memory, linear, limits)


@either
def run(rate: Rate, tables: Tables, memory: Memory, columns: Columns, limits: Limits) -> int:
    """Step until ``limits.stop``, and return REACHED, or why it ends before: GUARD, PAUSED or UNDERFLOW.

    ``memory`` holds the last accepted state, its depth, the next step and all counts, and is updated. The
    result does not depend on where a run pauses.
    """
    states, _, coefficients, numbers, counts = memory
    linear, guard, weights = columns
    rounding = 4.0 * ROUNDING * max(abs(numbers[DEPTH]), abs(limits.stop))
    smallest = max(limits.smallest_step, 4.0 * rounding)
    for _ in range(limits.most_steps):
        depth = numbers[DEPTH]
        remaining = limits.stop - depth
        if remaining <= 0.0:
            return REACHED
        prepare(rate, tables, memory, linear, limits)
        step = numbers[STEP]
        if not step >= smallest:
            return UNDERFLOW
        tried = divided(remaining, step)
        final = tried == remaining
        # Steps that differ by no more than the rounding of the depth share their coefficients.
        if abs(tried - numbers[COEFFICIENT_STEP]) > rounding:
            set_coefficients(linear, tried, coefficients)
            numbers[COEFFICIENT_STEP] = tried
        error = attempt(rate, tables, memory, weights, limits)
        if not error <= 1.0:
            numbers[STEP] = shrunk(tried, error)
            counts[REJECTED] += 1
            counts[HELD_BACK] = 1
            continue
        if exceeds(states[1 - counts[SIDE]], guard):
            counts[REJECTED] += 1
            return GUARD
        numbers[STEP] = proposal(step, tried, error, numbers[LAST_ERROR], counts[HELD_BACK] == 1)
        numbers[LAST_ERROR] = max(error, 1e-4)
        numbers[DEPTH] = limits.stop if final else depth + tried
        counts[SIDE] = 1 - counts[SIDE]
        counts[ACCEPTED] += 1
        counts[HELD_BACK] = 0
        counts[FIRST_KNOWN] = 0
    return REACHED if numbers[DEPTH] >= limits.stop else PAUSED


run_compiled = compiled_for(RUN_SIGNATURE)(run)
