r"""The time loop: :math:`\dot u = \lambda u + N(u)` with error control and grid refinement.

The state is an array (rows, columns); the linear term lambda has one entry a column; the error is
controlled row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from solvers import loop
from solvers.compiled import FloatArray, Tables, padded
from solvers.control import exceeds
from solvers.exponential import set_coefficients
from solvers.system import Control, Outcome, Reason, Semilinear
from solvers.travel import SECONDS_PER_CHUNK, checked_depths, travel

__all__ = ["Control", "ExponentialStepper", "Outcome", "Reason", "Semilinear", "advance", "integrate"]

Refinement = tuple[Semilinear, FloatArray, Control]
Refine = Callable[[float, FloatArray], Refinement | None]
Progress = Callable[[float, float, int, int], None]

REASONS: tuple[Reason, ...] = ("reached", "guard", "paused", "underflow")
MOST_STEPS = 2**40
MOST_REFINEMENTS = 64


@dataclass(frozen=True)
class _Run:
    """A system under way: everything that one compiled call needs, checked and laid out."""

    system: Semilinear
    control: Control
    tables: Tables
    columns: loop.Columns
    memory: loop.Memory

    def go(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``, with at most ``most_steps`` attempts."""
        smallest_step = float(self.control.smallest_step)
        limits = loop.Limits(float(stop), *self.control.estimate, smallest_step, most_steps)
        if self.system.compiled:
            code = loop.run_compiled(self.system.rate, self.tables, self.memory, self.columns, limits)
        else:
            # The loop finds values that are not finite and takes a smaller step: no warning is due.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                code = loop.run(self.system.rate, self.tables, self.memory, self.columns, limits)
        return REASONS[code]

    @property
    def state(self) -> FloatArray:
        """A copy of the last accepted state."""
        return np.copy(self.memory.states[self.memory.counts[loop.SIDE]])

    @property
    def guarded(self) -> bool:
        """Whether the current state is beyond the guard."""
        return exceeds(self.memory.states[self.memory.counts[loop.SIDE]], self.columns.guard)


def _column_wise(name: str, values: FloatArray | None, linear: FloatArray) -> FloatArray:
    """Return one number a column, or an empty array for None."""
    array = np.empty(0) if values is None else np.ascontiguousarray(values, dtype=np.float64)
    if array.size and array.shape != linear.shape:
        raise ValueError(f"integrate: {name} must be {linear.shape} like linear, got {array.shape}")
    return array


def _prepare(
    system: Semilinear, state: FloatArray, depth: float, control: Control, step: float | None
) -> _Run:
    """Check the shapes, and lay out what the stepper needs."""
    linear = np.ascontiguousarray(system.linear)
    if state.ndim != 2 or linear.shape != state.shape[1:]:
        raise ValueError(
            f"integrate: state must be (rows, columns) and linear (columns,), "
            f"got {state.shape} and {linear.shape}"
        )
    if system.compiled and (np.iscomplexobj(state) or np.iscomplexobj(linear)):
        raise ValueError("integrate: compiled rates take real states; pass a plain function for complex ones")
    guard = _column_wise("guard", control.guard, linear)
    weights = _column_wise("weights", control.weights, linear)
    if step is not None and not step > 0.0:
        raise ValueError(f"integrate: step must be positive, got {step!r}; leave it out to have it chosen")
    memory = loop.remember(state, linear, float(depth), 0.0 if step is None else float(step))
    return _Run(system, control, padded(system.tables), loop.Columns(linear, guard, weights), memory)


@dataclass
class ExponentialStepper:
    """A semilinear system under way, refined where its guard asks for it (a ``Stepper``).

    Parameters
    ----------
    run
        The system on the current grid.
    refine
        ``refine(depth, state)`` is called when the guard trips: by the first state already, or with the
        state before; it returns (system, state, control) to go on with, or None to stop with reason "guard".
    before
        Counts of the grids before this one.
    refinements
        Grids since the last accepted step.
    """

    run: _Run
    refine: Refine | None = None
    before: tuple[int, int, int] = (0, 0, 0)
    refinements: int = 0

    @classmethod
    def starting(
        cls,
        system: Semilinear,
        state: FloatArray,
        depth: float,
        control: Control,
        refine: Refine | None = None,
    ) -> ExponentialStepper:
        """Start from a state (rows, columns), which is not changed.

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        return cls(_prepare(system, state, depth, control, None), refine)

    @property
    def depth(self) -> float:
        """Depth of the last accepted state."""
        return float(self.run.memory.numbers[loop.DEPTH])

    @property
    def step(self) -> float:
        """Proposal for the next step, 0 when none was chosen yet."""
        return float(self.run.memory.numbers[loop.STEP])

    @property
    def state(self) -> FloatArray:
        """A copy of the last accepted state."""
        return self.run.state

    @property
    def counts(self) -> tuple[int, int, int]:
        """Accepted steps, rejected steps, evaluations, on all grids."""
        counts = self.run.memory.counts
        accepted, rejected, evaluations = self.before
        return (
            accepted + int(counts[loop.ACCEPTED]),
            rejected + int(counts[loop.REJECTED]),
            evaluations + int(counts[loop.EVALUATIONS]),
        )

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``; a refinement pauses."""
        reason = "guard" if self.run.guarded else self.run.go(stop, most_steps)
        return "paused" if reason == "guard" and self._refined() else reason

    def _refined(self) -> bool:
        """Go on with a finer system, if there is one."""
        self.refinements = 1 if self.run.memory.counts[loop.ACCEPTED] > 0 else self.refinements + 1
        if self.refine is None or self.refinements > MOST_REFINEMENTS:
            return False
        finer = self.refine(self.depth, self.state)
        if finer is None:
            return False
        system, state, control = finer
        before = self.counts
        self.run = _prepare(system, state, self.depth, control, self.step if self.step > 0.0 else None)
        self.before = before
        return True

    def outcome(self, reason: Reason) -> Outcome:
        """Report."""
        return Outcome(self.state, self.depth, self.step, *self.counts, reason)

    def memory(self) -> dict[str, Any]:
        """All that ``restored`` needs to go on as if there had been no pause, as arrays and numbers."""
        memory = self.run.memory
        return {
            "state": self.state,
            "rate": np.copy(memory.rates[0]),
            "numbers": np.copy(memory.numbers),
            "counts": np.copy(memory.counts),
            "before": list(self.before),
            "refinements": self.refinements,
        }

    @classmethod
    def restored(
        cls, system: Semilinear, control: Control, memory: Mapping[str, Any], refine: Refine | None = None
    ) -> ExponentialStepper:
        """Go on from what ``memory`` gave, bit by bit as without the pause."""
        run = _prepare(system, memory["state"], 0.0, control, None)
        run.memory.states[1] = run.memory.states[0]
        run.memory.numbers[:], run.memory.counts[:] = memory["numbers"], memory["counts"]
        run.memory.rates[0] = memory["rate"]
        if run.memory.numbers[loop.COEFFICIENT_STEP] != 0.0:
            step = float(run.memory.numbers[loop.COEFFICIENT_STEP])
            set_coefficients(run.columns.linear, step, run.memory.coefficients)
        before = tuple(int(count) for count in memory["before"])
        return cls(run, refine, (before[0], before[1], before[2]), int(memory["refinements"]))


def advance(
    system: Semilinear,
    state: FloatArray,
    start: float,
    stop: float,
    control: Control,
    step: float | None = None,
    most_steps: int = MOST_STEPS,
) -> Outcome:
    """Solve from ``start`` to ``stop``.

    Parameters
    ----------
    state
        (rows, columns); not changed.
    step
        First step to try; chosen when left out.
    most_steps
        Attempts after which the run ends with reason "paused".

    Raises
    ------
    ValueError
        If shapes do not fit, or ``stop`` lies before ``start``.
    """
    if not start <= stop < np.inf:
        raise ValueError(f"advance: stop must be finite and not before start = {start!r}, got {stop!r}")
    stepper = ExponentialStepper(_prepare(system, state, start, control, step))
    return stepper.outcome(stepper.advance(stop, most_steps))


def integrate(
    system: Semilinear,
    state: FloatArray,
    depths: Sequence[float] | FloatArray,
    control: Control,
    *,
    observe: Callable[[int, float, FloatArray], None],
    refine: Refine | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Solve through all ``depths``, and show the state at each.

    Parameters
    ----------
    state
        (rows, columns) at ``depths[0]``; not changed.
    depths
        Increasing; each is hit exactly, without influence on the result from the wall clock.
    observe
        ``observe(index, depth, state)``, called at every depth, the first too; it may keep the array.
    refine
        As that of `ExponentialStepper`.
    progress
        ``progress(depth, step, accepted, rejected)``, called a few times a second.

    Returns
    -------
    Outcome
        The last state and the totals.

    Raises
    ------
    ValueError
        If shapes do not fit or the depths do not increase.
    KeyboardInterrupt
        On an interrupt, at most about a fifth of a second late; everything observed before stands.
    """
    targets = checked_depths(depths)
    stepper = ExponentialStepper.starting(system, state, targets[0], control, refine)
    reported = perf_counter()

    def between() -> None:
        nonlocal reported
        if progress is not None and perf_counter() - reported >= SECONDS_PER_CHUNK:
            reported = perf_counter()
            progress(stepper.depth, stepper.step, *stepper.counts[:2])

    reason = travel(stepper, targets, lambda index, depth: observe(index, depth, stepper.state), between)
    return stepper.outcome(reason)
