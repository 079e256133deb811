r"""Equal steps of the exponential scheme, and their discrete adjoint.

For :math:`\dot u = \lambda u + N(u)` a step of `exponential` is

.. math:: U_i = e_i u + \sum_{m<i} a_{im} N(U_m), \qquad u_1 = e u + \sum_m b_m N(U_m).

What a dual :math:`\bar u_1` of the new state pulls back to is found from the last stage to the first,

.. math:: \bar N_m = b_m \bar u_1 + \sum_{i>m} a_{im} \bar U_i, \qquad \bar U_m = N'(U_m)^T \bar N_m, \qquad
    \bar u = e \bar u_1 + \sum_i e_i \bar U_i:

the derivative of the very numbers that the steps compute, to rounding. All weights are diagonal.

A `Tape` keeps what transposes the derivative of every rate: a gradient costs one run with these, and the
transposes. A `Run` keeps states alone, as memory allows: at the start of every step, or of every s-th step
with s - 1 others recomputed (two levels; Griewank & Walther 2008, chapter 12). It costs one run forward, one
with what transposes, and the transposes; with two levels another run forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from solvers.exponential import CHANGE, FIRST_RATE, KEEP, NEW_STATE, USED, combine, set_coefficients

if TYPE_CHECKING:
    from solvers.compiled import FloatArray

__all__ = ["KEPT", "Rate", "Run", "Steps", "Tape", "Transposed"]

#: Numbers in the states that a run keeps.
KEPT = 2**25
STAGES = 6

#: N(u) in a step with this number.
Rate = Callable[["FloatArray", int], "FloatArray"]
#: What pulls a dual of a rate back to one of the state.
Pull = Callable[["FloatArray"], "FloatArray"]
#: N(u) and its pull, in a step with this number, and in one step.
Transposed = Callable[["FloatArray", int], "tuple[FloatArray, Pull]"]
LocalTransposed = Callable[["FloatArray"], "tuple[FloatArray, Pull]"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Steps:
    """Equal steps of one size.

    Parameters
    ----------
    linear
        λ, one entry a column, (columns,).
    step
        Size of a step.
    count
        Number of steps.
    """

    linear: FloatArray
    step: float
    count: int

    def __post_init__(self) -> None:
        if not self.step > 0.0 or self.count < 1:
            raise ValueError(f"steps: must be positive, got {self.count} of size {self.step!r}")

    @cached_property
    def _weights(self) -> FloatArray:
        """What u and N_1 to N_6 weigh in every row of the scheme, (7, 8, columns)."""
        weights = np.empty((7, 8, self.linear.size))
        set_coefficients(np.ascontiguousarray(self.linear), self.step, weights)
        return weights

    def advance(self, state: FloatArray, rate: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Take one step from (rows, columns)."""
        rates = np.zeros((STAGES, *state.shape), state.dtype)
        rates[0] = rate(state)
        for stage in range(1, STAGES):
            rates[stage] = rate(self._row(stage - 1, state, rates))
        return self._row(NEW_STATE, state, rates)

    def _row(self, row: int, state: FloatArray, rates: FloatArray) -> FloatArray:
        result = np.empty_like(state)
        combine(row, self._weights, state, rates, result)
        return result

    def taped(self, state: FloatArray, rate: LocalTransposed) -> tuple[FloatArray, list[Pull]]:
        """Take one step, keeping what pulls back through every rate."""
        rates, pulls = np.zeros((STAGES, *state.shape), state.dtype), []
        for stage in range(STAGES):
            place = state if stage == 0 else self._row(stage - 1, state, rates)
            rates[stage], back = rate(place)
            pulls.append(back)
        return self._row(NEW_STATE, state, rates), pulls

    def pull(self, dual: FloatArray, pulls: Sequence[Pull]) -> FloatArray:
        """Dual of the state before a step, from that of the state after it."""
        weights = self._weights
        duals = [weights[NEW_STATE, FIRST_RATE + m] * dual for m in range(STAGES)]
        result = (weights[NEW_STATE, KEEP] + weights[NEW_STATE, CHANGE]) * dual
        for stage in range(STAGES - 1, 0, -1):
            moved = pulls[stage](duals[stage])
            row = stage - 1
            result += (weights[row, KEEP] + weights[row, CHANGE]) * moved
            for m in np.flatnonzero(USED[row]):
                duals[m] += weights[row, FIRST_RATE + m] * moved
        return np.asarray(result + pulls[0](duals[0]))


class Tape:
    """Steps from a state, with all that going back asks for."""

    def __init__(self, steps: Steps, start: FloatArray, rate: Transposed) -> None:
        self.steps, self.end = steps, start
        self._pulls: list[list[Pull]] = []
        for number in range(steps.count):
            self.end, pulls = steps.taped(self.end, partial(_at, rate, number))
            self._pulls.append(pulls)

    def back(self, dual: FloatArray) -> FloatArray:
        """Dual of the start, from that of the end; what was kept is let go."""
        while self._pulls:
            dual = self.steps.pull(dual, self._pulls.pop())
        return dual


class Run:
    """Steps from a state, kept as far as going back asks for.

    Parameters
    ----------
    steps
        The steps.
    start
        (rows, columns).
    rate
        N(u) in every step.
    kept
        Numbers that may be kept.
    """

    def __init__(self, steps: Steps, start: FloatArray, rate: Rate, kept: int = KEPT) -> None:
        self.steps, self.rate = steps, rate
        self.every = _spacing(steps.count, max(2, kept // max(1, start.size)))
        self._states: dict[int, FloatArray] = {}
        self.end = self._forward(start, 0, steps.count, self.every)

    def _forward(self, state: FloatArray, first: int, last: int, every: int) -> FloatArray:
        """Go from one step to another, keeping the states before every so many."""
        for number in range(first, last):
            if (number - first) % every == 0:
                self._states[number] = state
            state = self.steps.advance(state, partial(_at, self.rate, number))
        return state

    def state(self, number: int) -> FloatArray:
        """State before a step; the end for the number of all steps."""
        if number == self.steps.count:
            return self.end
        if number not in self._states:
            first = number - number % self.every
            last = min(first + self.every, self.steps.count)
            for other in [known for known in self._states if known % self.every]:
                del self._states[other]
            self._forward(self._states[first], first, last, 1)
        return self._states[number]

    def back(self, dual: FloatArray, rate: Transposed) -> FloatArray:
        """Dual of the start, from that of the end."""
        for number in range(self.steps.count - 1, -1, -1):
            _, pulls = self.steps.taped(self.state(number), partial(_at, rate, number))
            dual = self.steps.pull(dual, pulls)
        return dual


def _at(rate: Callable[[FloatArray, int], T], number: int, state: FloatArray) -> T:
    """Return the rate in a step with this number."""
    return rate(state, number)


def _spacing(count: int, room: int) -> int:
    """Return how many steps lie between states kept, so that these and those between two of them fit in."""
    every = 1
    while -(-count // every) + (every if every > 1 else 0) > room and every < count:
        every += 1
    return every
