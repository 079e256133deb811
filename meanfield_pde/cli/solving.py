"""The command solve: all is checked before the computation, and nothing is lost on the way or after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.outputs import check_output, keep
from meanfield_pde.cli.process import AtOnce, Interrupted, stop_signals
from meanfield_pde.errors import ComputationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meanfield_pde.checkpoint import Checkpoint
    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.report import Report
    from meanfield_pde.config import Configuration
    from meanfield_pde.problem import Problem
    from meanfield_pde.solution import Solution

__all__ = ["run"]

NAMES = {
    "status": "status",
    "method": "method",
    "switched_at": "finite volumes from depth",
    "depth": "depth",
    "mass_error": "mass drift",
    "minimum": "minimum density",
    "free_energy": "free energy",
    "order_parameter": "order parameter R",
    "w1": "W₁ to the pushforward",
    "w2": "W₂ to the pushforward",
    "plateau": "plateaus",
    "steps": "steps",
    "rejected": "rejected steps",
    "resolution": "resolution",
    "labels": "labels",
    "seconds": "seconds",
}


def run(job: Job, report: Report) -> None:
    """Solve and save.

    Raises
    ------
    InputError
        The configuration, its data or the output file is wrong, or its checkpoint belongs to another run;
        nothing was computed or written.
    ComputationError
        The computation stopped early; what was reached is in the file.
    Interrupted
        By the user or the system; what was reached is in the file, and ``--resume`` goes on from there.
    """
    try:
        with stop_signals() as interrupted:
            _run(job, report, interrupted)
    except AtOnce:
        raise Interrupted("interrupted; nothing was written") from None


@dataclass(frozen=True)
class _Task:
    """A solve that may begin: all is checked."""

    job: Job
    configuration: Configuration
    problem: Problem
    content: dict[str, Any] | None
    checkpoint: Checkpoint
    report: Report

    def solve(self, interrupted: Callable[[], bool]) -> Solution:
        """Solve, with a progress bar."""
        from meanfield_pde.cli.progress import progress_bar
        from meanfield_pde.evolution import solve

        if interrupted():
            raise KeyboardInterrupt
        with progress_bar(wanted=not self.report.quiet) as progress:
            return solve(
                self.problem,
                progress=progress,
                threads=self.job.threads,
                checkpoint=self.checkpoint,
                resume=self.content,
                interrupted=interrupted,
                announce=self.report.say,
            )

    def finish(self, solution: Solution) -> Path:
        """Save what was reached, and print the closing table."""
        try:
            path = keep(solution, self.job.output, overwrite=self.job.overwrite or self.checkpoint.kept)
        except ComputationError as error:
            remains = f"; {self.remains}" if self.checkpoint.kept else ""
            raise ComputationError(f"{error}{remains}") from error
        _print(self.report, solution, self.configuration, path)
        return path

    @property
    def remains(self) -> str:
        """What a run leaves that ends without saving anything more."""
        if not self.checkpoint.kept:
            return "nothing was written"
        return f"--resume goes on from the last checkpoint in {self.job.output}"


def _run(job: Job, report: Report, interrupted: Callable[[], bool]) -> None:
    configuration = job.configuration()
    resuming = job.resume and job.output.exists()
    check_output(job, configuration)
    from meanfield_pde.building import build
    from meanfield_pde.checkpoint import Checkpoint
    from meanfield_pde.resumption import Resumption, resumption

    found = Resumption(None, None)
    if resuming:
        found = resumption(job.output, configuration.to_toml(), configuration.digests())
    problem = build(configuration)
    if found.finished is not None:
        report.say("finished already; nothing to do")
        _print(report, found.finished, configuration, job.output)
        return
    if job.resume and not resuming:
        report.say(f"{job.output}: there is no checkpoint yet; starting from the beginning")
    interval, kept = configuration.output.checkpoint, found.content is not None
    checkpoint = Checkpoint(job.output, interval, overwrite=job.overwrite, kept=kept)
    task = _Task(job, configuration, problem, found.content, checkpoint, report)
    try:
        _solve(task, interrupted)
    except AtOnce:
        raise Interrupted(f"interrupted; {task.remains}") from None


def _solve(task: _Task, interrupted: Callable[[], bool]) -> None:
    """Solve, and save what was reached, however the solve ends."""
    try:
        task.finish(task.solve(interrupted))
    except (ComputationError, KeyboardInterrupt) as stop:
        reached = getattr(stop, "solution", None)
        interrupt = isinstance(stop, KeyboardInterrupt)
        if reached is None and interrupt:
            raise Interrupted(f"interrupted; {task.remains}") from None
        if reached is None:
            raise
        path = task.finish(reached)
        if interrupt:
            raise Interrupted(
                f"interrupted; what was reached is in {path}; --resume goes on from there"
            ) from stop
        raise ComputationError(f"{stop}; what was reached is in {path}") from stop


def _print(report: Report, solution: Solution, configuration: Configuration, path: Path) -> None:
    """Print the closing table."""
    values = solution.summary()
    shown = values if report.as_json else values | {"plateau": _spoken(values.get("plateaus", []))}
    names = NAMES | {"resolution": configuration.token.counted}
    names = {key: name for key, name in names.items() if shown.get(key) not in (None, "")}
    report.result(shown, title=f"{configuration.title or configuration.label} → {path}", names=names)


def _spoken(plateaus: list[dict[str, Any]]) -> str:
    """Name each plateau by its clusters and depths."""
    return "; ".join(
        f"{one['clusters']} cluster{'s' if one['clusters'] > 1 else ''} from depth {one['start']:.4g} to "
        f"{'the end' if one['final'] else format(one['end'], '.4g')}"
        for one in plateaus
    )
