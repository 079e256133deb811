r"""The time loop: :math:`\dot u = \lambda u + N(u)` with error control and grid refinement.

The state is an array (rows, columns); the linear term lambda has one entry a column; the error is
controlled row by row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np

from solvers import loop
from solvers.compiled import FloatArray, Tables, padded
from solvers.control import exceeds
from solvers.system import Control, Outcome, Reason, Semilinear

__all__ = ["Control", "Outcome", "Reason", "Semilinear", "advance", "integrate"]

Refinement = tuple[Semilinear, FloatArray, Control]
Refine = Callable[[float, FloatArray], Refinement | None]
Progress = Callable[[float, float, int, int], None]

REASONS: tuple[Reason, ...] = ("reached", "guard", "paused", "underflow")
SECONDS_PER_CHUNK = 0.15
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

    def outcome(self, reason: Reason, before: Sequence[int] = (0, 0, 0)) -> Outcome:
        """Report, adding the counts of runs ``before`` this one."""
        numbers, counts = self.memory.numbers, self.memory.counts
        return Outcome(
            state=self.state,
            depth=float(numbers[loop.DEPTH]),
            step=float(numbers[loop.STEP]),
            accepted=int(counts[loop.ACCEPTED]) + before[0],
            rejected=int(counts[loop.REJECTED]) + before[1],
            evaluations=int(counts[loop.EVALUATIONS]) + before[2],
            reason=reason,
        )


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
    run = _prepare(system, state, start, control, step)
    return run.outcome(run.go(stop, most_steps))


@dataclass
class _Pace:
    """How many steps fit in a chunk of wall time: short enough to be interrupted and to report progress."""

    most_steps: int = 8
    reported: float = field(default_factory=perf_counter)

    def measure(self, seconds: float, attempts: int) -> None:
        """Adapt to what the last chunk took; chunks grow at most eightfold."""
        if attempts > 0:
            fitting = SECONDS_PER_CHUNK * attempts / max(seconds, 1e-9)
            self.most_steps = max(1, int(min(fitting, 8.0 * self.most_steps)))

    def due(self) -> bool:
        """Tell whether a report is due."""
        now = perf_counter()
        if now - self.reported < SECONDS_PER_CHUNK:
            return False
        self.reported = now
        return True


@dataclass
class _Journey:
    """The current run, and the counts of those that refinement replaced."""

    run: _Run
    before: tuple[int, int, int] = (0, 0, 0)
    refinements: int = 0

    def outcome(self, reason: Reason) -> Outcome:
        """Report the whole journey."""
        return self.run.outcome(reason, self.before)

    def refined(self, refine: Refine | None) -> bool:
        """Go on with a finer system, if there is one."""
        now = self.outcome("guard")
        self.refinements += 1
        if refine is None or self.refinements > MOST_REFINEMENTS:
            return False
        finer = refine(now.depth, now.state)
        if finer is None:
            return False
        system, state, control = finer
        self.run = _prepare(system, state, now.depth, control, now.step if now.step > 0.0 else None)
        self.before = (now.accepted, now.rejected, now.evaluations)
        return True


def _reach(
    journey: _Journey,
    stop: float,
    refine: Refine | None,
    progress: Progress | None,
    pace: _Pace,
) -> Reason:
    """Solve to one depth in chunks, refining where the guard asks for it."""
    while True:
        counts = journey.run.memory.counts
        attempts = int(counts[loop.ACCEPTED] + counts[loop.REJECTED])
        started = perf_counter()
        reason = "guard" if journey.run.guarded else journey.run.go(stop, pace.most_steps)
        attempts = int(counts[loop.ACCEPTED] + counts[loop.REJECTED]) - attempts
        pace.measure(perf_counter() - started, attempts)
        if progress is not None and pace.due():
            now = journey.outcome(reason)
            progress(now.depth, now.step, now.accepted, now.rejected)
        if attempts > 1:
            journey.refinements = 0
        if reason == "guard":
            if not journey.refined(refine):
                return reason
        elif reason != "paused":
            return reason


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
        ``refine(depth, state)`` is called when the guard trips: by the first state already, or with the
        state before; it returns (system, state, control) to go on with, or None to stop with reason "guard".
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
    targets = [float(depth) for depth in depths]
    if not targets or not np.all(np.isfinite(targets)) or not np.all(np.diff(targets) > 0.0):
        raise ValueError(f"integrate: depths must be finite and increase, got {depths!r}")
    journey = _Journey(_prepare(system, state, targets[0], control, None))
    pace = _Pace()
    reason: Reason = "reached"
    for index, target in enumerate(targets):
        reason = _reach(journey, target, refine, progress, pace)
        if reason != "reached":
            return journey.outcome(reason)
        observe(index, target, journey.run.state)
    return replace(journey.outcome(reason), depth=targets[-1])
