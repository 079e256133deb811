"""Solve a problem in depth: the method that suits it, checkpoints on the way, and what ends a run early."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy import fft

from meanfield_pde import checkpoint as checkpoints
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import check_target
from meanfield_pde.methods import choose
from meanfield_pde.methods.spectral import Spectral
from meanfield_pde.resumption import resumption
from meanfield_pde.solution import Solution, Totals, assemble
from solvers.travel import SECONDS_PER_CHUNK, travel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meanfield_pde.checkpoint import Checkpoint
    from meanfield_pde.methods import Method, State
    from meanfield_pde.problem import Problem
    from solvers.system import Reason

__all__ = ["Interrupted", "Progress", "StoppedError", "solve"]

#: Seconds between checkpoints where only a file is given.
INTERVAL = 30.0
#: Problems with fewer unknowns (nodes × points) run on one thread.
THREADED_SIZE = 2**19


@dataclass(frozen=True)
class Progress:
    """Where a solve is: depth, its end, step, method, its resolution and what that counts, steps."""

    depth: float
    final: float
    step: float
    method: str
    resolution: int
    accepted: int
    rejected: int
    counted: str = "grid points"


class StoppedError(ComputationError):
    """The solve could not be finished; ``solution`` holds what was reached."""

    def __init__(self, message: str, solution: Solution) -> None:
        super().__init__(message)
        self.solution = solution


class Interrupted(KeyboardInterrupt):
    """The user stopped the solve; ``solution`` holds what was reached, and the checkpoint to go on from."""

    def __init__(self, solution: Solution) -> None:
        super().__init__("interrupted")
        self.solution = solution


class _Asked(KeyboardInterrupt):
    """An interrupt between two steps, so that the run can go on from there."""


@dataclass
class _Run:
    """A solve under way: the method, what was saved so far, and what is to be told of it."""

    problem: Problem
    method: Method
    facts: dict[str, Any]
    saved: list[State] = field(default_factory=list)
    before: tuple[int, int, int] = (0, 0, 0)
    seconds: float = 0.0
    steady: bool = False
    started: float = field(default_factory=time.perf_counter)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Counts of all methods that were used."""
        now, before = self.method.counts, self.before
        return before[0] + now[0], before[1] + now[1], before[2] + now[2]

    def observe(self, index: int, depth: float) -> bool:  # noqa: ARG002
        """Save the state; true where it is steady and that is to end the run."""
        if self.saved:
            self.saved[-1] = self.saved[-1].lighter(len(self.problem.depths))
        self.saved.append(self.method.state())
        tolerance = self.problem.steady
        self.steady = tolerance is not None and len(self.saved) > 1 and self.method.change() <= tolerance
        return self.steady

    def switched(self) -> bool:
        """Go on with finite volumes, where the user left the choice and the finest grid does not suffice."""
        from meanfield_pde.methods.finite_volume import FiniteVolume

        served = self.problem.method == "auto" and self.problem.space.is_line
        if not served or not isinstance(self.method, Spectral):
            return False
        before, spectral = self.counts, self.method
        self.method = FiniteVolume.following(
            self.problem, spectral.equation.space, spectral.coefficients, spectral.depth
        )
        self.before = before
        self.facts |= {
            "switched_at": spectral.depth,
            "switch_reason": "the density needs more than solver.max_resolution = "
            f"{spectral.size} {self.problem.space.counted}",
        }
        return True

    def solution(self, status: str, content: Mapping[str, Any] | None = None) -> Solution:
        """Put together what was saved; with ``content`` a checkpoint."""
        totals = Totals(status, *self.counts)
        facts = {"method": self.method.name, **self.facts, **self.method.facts()}
        seconds = self.seconds + time.perf_counter() - self.started
        groups = {} if content is None else {checkpoints.GROUP: checkpoints.pack(content)}
        own = self.method.variables(self.saved)
        return assemble(self.problem, self.saved, totals, seconds, facts, own, groups)

    def content(self) -> dict[str, Any]:
        """All that is needed to go on."""
        return {
            "method": self.method.name,
            "memory": self.method.memory(),
            "facts": self.facts,
            "saved": [state.content() for state in self.saved],
            "before": list(self.before),
            "data": dict(self.problem.data),
            "seconds": self.seconds + time.perf_counter() - self.started,
        }

    @classmethod
    def restored(cls, problem: Problem, content: Mapping[str, Any]) -> _Run:
        """Invert ``content``."""
        method = choose.restored(problem, content["method"], content["memory"])
        saved = [choose.restored_state(problem, entry) for entry in content["saved"]]
        accepted, rejected, evaluations = content["before"]
        return cls(
            problem,
            method,
            dict(content["facts"]),
            saved,
            (int(accepted), int(rejected), int(evaluations)),
            float(content["seconds"]),
        )


def solve(
    problem: Problem,
    progress: Callable[[Progress], None] | None = None,
    threads: int | None = None,
    *,
    checkpoint: Checkpoint | str | Path | None = None,
    resume: Mapping[str, Any] | str | Path | None = None,
    interrupted: Callable[[], bool] = lambda: False,
    announce: Callable[[str], None] = lambda _: None,
) -> Solution:
    """Solve ∂_t ρ + div(ρ(V[f] + F)) = σΔρ from the first to the last depth.

    Parameters
    ----------
    problem
        What to solve.
    progress
        Called a few times a second.
    threads
        Threads; by default one for small problems, else all cores.
    checkpoint
        File of the checkpoints (which must not exist, unless it is the one to go on from), or where and how
        often to write them; None for none.
    resume
        File to go on from, or the content of its checkpoint: bit by bit as if there had been no stop.
    interrupted
        Asked between steps; when true the run ends there.
    announce
        Told in one line which method was chosen and why, and when it changes.

    Raises
    ------
    InputError
        When the method does not serve the problem.
    StoppedError
        When the finest grid or the smallest step does not suffice, or a checkpoint cannot be written; it
        carries what was reached.
    Interrupted
        When ``interrupted`` says so; it carries what was reached, with a checkpoint. On a KeyboardInterrupt
        amid a step as well, without one.
    """
    if isinstance(checkpoint, str | Path):
        checkpoint = _checkpoint(Path(checkpoint), resume)
    if isinstance(resume, str | Path):
        resume = _content(Path(resume), problem)
    with limited(threads or fitting_threads(problem)):
        run = _begun(problem, announce) if resume is None else _resumed(problem, resume)
        between = _between(run, progress, checkpoint, interrupted)
        try:
            return _finished(run, between, announce)
        except KeyboardInterrupt as error:
            if not run.saved:
                raise
            content = run.content() if isinstance(error, _Asked) else None  # a step may be half done
            raise Interrupted(run.solution("interrupted", content)) from None


def _checkpoint(path: Path, resume: object) -> Checkpoint:
    """Every now and then into a file, which may be there already if it is the one to go on from."""
    kept = isinstance(resume, str | Path) and Path(resume).resolve() == path.resolve()
    check_target(path, overwrite=kept)
    return checkpoints.Checkpoint(path, INTERVAL, kept=kept)


def _content(path: Path, problem: Problem) -> Mapping[str, Any]:
    """Content of the checkpoint in a file, which must be one of this problem."""
    found = resumption(path, problem.configuration, problem.data)
    if found.content is None:
        raise InputError(f"{path}: holds no checkpoint, since the solve is finished; open it instead")
    return found.content


def _resumed(problem: Problem, content: Mapping[str, Any]) -> _Run:
    try:
        return _Run.restored(problem, content)
    except InputError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise InputError(f"{problem.label}: the checkpoint does not fit ({error!r}); solve anew") from error


def _begun(problem: Problem, announce: Callable[[str], None]) -> _Run:
    choice = choose.begin(problem)
    announce(f"method: {choice.method.name} ({choice.reason})")
    return _Run(problem, choice.method, {"method_reason": choice.reason})


def _finished(run: _Run, between: Callable[[], None], announce: Callable[[str], None]) -> Solution:
    """Go through all depths that are left."""
    while True:
        depths = [float(depth) for depth in run.problem.depths[len(run.saved) :]]
        reason = travel(run.method, depths, run.observe, between)
        if reason != "guard" or not run.switched():
            break
        depth, why = run.facts["switched_at"], run.facts["switch_reason"]
        announce(f"method: finite-volume from depth {depth:.6g} ({why})")
    if reason == "reached":
        return run.solution("steady" if run.steady else "finished")
    if not run.saved or run.method.depth > run.saved[-1].depth:
        run.saved.append(run.method.state())
    raise StoppedError(_explain(run, reason), run.solution("stopped"))


def _between(
    run: _Run,
    progress: Callable[[Progress], None] | None,
    checkpoint: Checkpoint | None,
    interrupted: Callable[[], bool],
) -> Callable[[], None]:
    """Return what is done between chunks of steps: heed an interrupt, write a checkpoint, report."""
    reported = time.perf_counter()

    def between() -> None:
        nonlocal reported
        if interrupted():
            raise _Asked
        if checkpoint is not None and run.saved and checkpoint.due():
            _write(run, checkpoint)
        if progress is not None and time.perf_counter() - reported >= SECONDS_PER_CHUNK:
            reported = time.perf_counter()
            method, final = run.method, float(run.problem.depths[-1])
            accepted, rejected, _ = run.counts
            progress(
                Progress(
                    method.depth,
                    final,
                    method.step,
                    method.name,
                    method.size,
                    accepted,
                    rejected,
                    run.problem.space.counted,
                )
            )

    return between


def _write(run: _Run, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; where that fails, stop, so that the user may make room and go on."""
    try:
        checkpoint.write(lambda: run.solution("unfinished", run.content()).record)
    except (InputError, ComputationError) as error:
        depth, final = run.method.depth, run.problem.depths[-1]
        reached = run.solution("unfinished", run.content())
        raise StoppedError(f"stopped at depth {depth:.6g} of {final:g}: {error}", reached) from error


def _explain(run: _Run, reason: Reason) -> str:
    problem, final = run.problem, run.problem.depths[-1]
    where = f"stopped at depth {run.method.depth:.6g} of {final:g}"
    finest = problem.accuracy.max_resolution
    if reason == "guard" and run.method.name == "characteristics":
        return f"{where}: the flow map needs more than {finest} labels per node; raise solver.max_resolution"
    if reason == "guard":
        return (
            f"{where}: the density needs more than solver.max_resolution = {finest} {problem.space.counted}; "
            'raise it, raise noise.sigma, end earlier (time.final), or use solver.method = "auto"'
        )
    return (
        f"{where}: the step fell below rounding error; "
        "the velocity is too large: lower attention.beta or use normalization = 'softmax'"
    )


def fitting_threads(problem: Problem) -> int:
    """One thread for small states, where threads cost more than they save; else all cores."""
    unknowns = problem.auxiliary.nodes.size * problem.space.resolution
    return 1 if unknowns < THREADED_SIZE else available_cores()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Use this many threads for transforms and blocks of nodes (``parallel.py``), one a matrix product."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), fft.set_workers(threads):
        yield
