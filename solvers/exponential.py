r"""Adaptive exponential Runge-Kutta steps for :math:`\dot u = \lambda u + N(u)`, lambda diagonal.

The linear part is solved exactly, so that stiff diffusion does not limit the step. The scheme is the fifth-order
one of Whalen, Brio & Moloney (2015, "ETD35"): six stages at c = 0, 1/4, 1/4, 1/2, 3/4, 1,

.. math::

    U_i = e^{c_i z} u + h \sum_{m<i} a_{im}(z) N(U_m), \qquad
    u_1 = e^z u + h \sum_m b_m(z) N(U_m), \qquad z = h \lambda

whose error estimate is the weighted fourth difference of N along the step,
:math:`h b_5 (-N_1 + 4 N_3 - 6 N_4 + 4 N_5 - N_6)`. In the paper b_3 is misprinted (497 for 467:
the weights must sum to phi_1). The estimate falls as h^4, the error of a step as h^6.

On nonlinear advection-diffusion problems this scheme reaches an error of 1e-8 with two thirds, and 1e-10 with
half to a quarter, of the rates that Krogstad's ETDRK4 with its embedded companion takes; Hochbruck & Ostermann's
five-stage scheme takes more than that, and a fifth-order integrating factor fails on stiff problems.

One source serves two ways to call the rate: functions marked `either` are compiled into `run_compiled`, and
are plain Python in `run`, where the rate may be any callable.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from solvers.compiled import (
    RATE,
    TABLES,
    FloatArray,
    Rate,
    Tables,
    compiled_for,
    either,
    kernel,
    numba_types,
)
from solvers.phi import phi

IntArray = npt.NDArray[np.int64]

REACHED, GUARD, PAUSED, UNDERFLOW = 0, 1, 2, 3

# Places in Memory.numbers and Memory.counts.
DEPTH, STEP, COEFFICIENT_STEP, LAST_ERROR = range(4)
SIDE, FIRST_KNOWN, ACCEPTED, REJECTED, EVALUATIONS, HELD_BACK = range(6)

# Rows of the coefficients: one a stage from the second on, the new state, the error.
NEW_STATE, ERROR = 5, 6
# Places in such a row: u, e^{cz} or e^{cz} - 1, and N_1 to N_6.
KEEP, CHANGE, FIRST_RATE = 0, 1, 2
# c of each row, in quarters.
QUARTERS = np.array([1, 1, 2, 3, 4, 4, 4])
# The weight of N_m in a row is h sum_n SCHEME[row, m, n] phi_n(c z).
BOOLE = np.array([-313, 1766, -540]) / 1350
SCHEME = np.zeros((7, 6, 3))
SCHEME[0, 0] = np.array([1, 0, 0]) / 4
SCHEME[1, :2] = np.array([[1, -1, 0], [0, 1, 0]]) / 4
SCHEME[2, :3] = np.array([[1, -2, 0], [0, 0, 0], [0, 2, 0]]) / 2
SCHEME[3, :4] = np.array([[6, -9, 0], [-3, 0, 0], [3, 0, 0], [0, 9, 0]]) / 8
SCHEME[4, :5] = np.array([[-154, 236, 0], [96, 0, 0], [333, -522, 0], [-144, 0, 0], [-47, 286, 0]]) / 84
SCHEME[5, 0] = np.array([1799, -6958, 11340]) / 2700
SCHEME[5, 2] = np.array([1097, -934, -900]) / 1350
SCHEME[5, 3] = np.array([-98, 796, -1620]) / 225
SCHEME[5, 4] = BOOLE
SCHEME[5, 5] = np.array([509, -4258, 10980]) / 2700
SCHEME[6] = np.outer([-1, 0, 4, -6, 4, -1], BOOLE)
USED = np.asarray(SCHEME.any(axis=2))

ROUNDING = float(np.finfo(np.float64).eps)

# Estimates fall as the fourth power of the step; the errors of a run as the fifth.
ESTIMATE_EXPONENT = 4.0 / 5.0
ROOT = 1.0 / 4.0
SAFETY = 0.9
LARGEST_GROWTH = 5.0
SMALLEST_SHRINK = 0.2
NON_FINITE_SHRINK = 0.1
DEADBAND_LOW = 0.95
DEADBAND_HIGH = 1.2


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


CUBE = numba_types.float64[:, :, ::1]
VECTOR = numba_types.float64[::1]
RUN_SIGNATURE = numba_types.int64(
    RATE,
    TABLES,
    numba_types.NamedTuple((CUBE, CUBE, CUBE, VECTOR, numba_types.int64[::1]), Memory),
    numba_types.NamedUniTuple(VECTOR, 2, Columns),
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


@kernel
def set_functions(linear: FloatArray, step: float, functions: FloatArray) -> None:
    r"""Write keep, change and phi_1 to phi_3 of z/4, z/2, 3z/4 and z into ``functions`` (4, 5, columns).

    A state is carried as keep * u + change * u. Where |z| < 1, keep = 1 and change = e^{cz} - 1, so that a
    stationary state stays put to the last bit; beyond, keep = 0 and change = e^{cz}, so that strong decay leaves
    nothing of u.

    All follow from those at x = z/4: Phi_n(s) = s^n phi_n(s x) is the integral of :math:`e^{(s-r)x} r^{n-1}/(n-1)!`
    over 0 < r < s, and splits at s - 1. For real x nothing cancels.
    """
    for k in range(linear.size):
        if k > 0 and linear[k] == linear[k - 1]:  # the sine and the cosine of a mode
            for quarter in range(4):
                for n in range(5):
                    functions[quarter, n, k] = functions[quarter, n, k - 1]
            continue
        x = 0.25 * step * linear[k]
        gentle = abs(x) < 0.25
        decay = np.exp(x)
        _, one, two, three = phi(x)
        power, sum_one, sum_two, sum_three = decay, one, two, three
        for quarter in range(4):
            if quarter > 0:
                s = float(quarter)
                power = power * decay
                sum_three = decay * sum_three + 0.5 * s * s * one + s * two + three
                sum_two = decay * sum_two + s * one + two
                sum_one = decay * sum_one + one
            t = quarter + 1.0
            functions[quarter, 0, k] = 1.0 if gentle else 0.0
            functions[quarter, 1, k] = x * sum_one if gentle else power
            functions[quarter, 2, k] = sum_one / t
            functions[quarter, 3, k] = sum_two / (t * t)
            functions[quarter, 4, k] = sum_three / (t * t * t)


@kernel
def set_coefficients(linear: FloatArray, step: float, coefficients: FloatArray) -> None:
    """Fill the coefficients (7, 8, columns) for one step size."""
    functions = np.empty((4, 5, linear.size), coefficients.dtype)
    set_functions(linear, step, functions)
    for row in range(7):
        at = QUARTERS[row] - 1
        carried = 0.0 if row == ERROR else 1.0
        for k in range(linear.size):
            coefficients[row, KEEP, k] = carried * functions[at, 0, k]
            coefficients[row, CHANGE, k] = carried * functions[at, 1, k]
        for m in range(6):
            one, two, three = step * SCHEME[row, m, 0], step * SCHEME[row, m, 1], step * SCHEME[row, m, 2]
            for k in range(linear.size):
                coefficients[row, FIRST_RATE + m, k] = (
                    one * functions[at, 2, k] + two * functions[at, 3, k] + three * functions[at, 4, k]
                )


@kernel
def combine(row: int, memory: Memory, out: FloatArray) -> None:
    """Write one row of the scheme, keep * u + (change * u + sum_m weight_m N_m), into ``out``."""
    coefficients = memory.coefficients[row]
    state, rates = memory.states[memory.counts[SIDE]], memory.rates
    for j in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[j, k] = coefficients[CHANGE, k] * state[j, k] + coefficients[FIRST_RATE, k] * rates[0, j, k]
        for m in range(1, 6):
            if USED[row, m]:
                for k in range(out.shape[1]):
                    out[j, k] += coefficients[FIRST_RATE + m, k] * rates[m, j, k]
        for k in range(out.shape[1]):
            out[j, k] += coefficients[KEEP, k] * state[j, k]


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


@either
def attempt(rate: Rate, tables: Tables, memory: Memory, limits: Limits) -> float:
    """Compute the next state from the current one and N_1, and return its scaled error."""
    states, rates, _, _, counts = memory
    new, stage = states[1 - counts[SIDE]], states[2]
    for row in range(5):
        combine(row, memory, stage)
        rate(stage, rates[row + 1], tables)
    counts[EVALUATIONS] += 5
    combine(NEW_STATE, memory, new)
    combine(ERROR, memory, stage)
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
    combine(0, memory, stage)
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
    linear, guard = columns
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
        error = attempt(rate, tables, memory, limits)
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
