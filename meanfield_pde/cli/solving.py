"""The command solve: everything is checked before the computation, and nothing is lost on the way or after it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.process import Interrupted, stop_signals
from meanfield_pde.config import data_files, load, parse_assignments
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import check_target

if TYPE_CHECKING:
    from meanfield_pde.cli.report import Report
    from meanfield_pde.config import Configuration
    from meanfield_pde.problem import Problem
    from meanfield_pde.solution import Solution

__all__ = ["Job", "run"]

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
    "resolution": "angles",
    "labels": "labels",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Job:
    """What the command line asks for."""

    config: str
    settings: tuple[str, ...]
    output: Path
    overwrite: bool
    threads: int | None
    resume: bool = False


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
    configuration = load(job.config, parse_assignments(job.settings))
    resuming = job.resume and job.output.exists()
    _check_output(job, configuration, resuming=resuming)
    from meanfield_pde.cli.resuming import Resumption, resumption
    from meanfield_pde.problem import build

    found = resumption(job.output, configuration) if resuming else Resumption(None, None)
    problem = build(configuration)
    if found.finished is not None:
        report.say("finished already; nothing to do")
        _report(report, found.finished, configuration, job.output)
        return
    if job.resume and not resuming:
        report.say(f"{job.output}: there is no checkpoint yet; starting from the beginning")
    _solve(job, configuration, problem, found.content, report)


def _solve(
    job: Job, configuration: Configuration, problem: Problem, content: dict[str, Any] | None, report: Report
) -> None:
    from meanfield_pde.checkpoint import Checkpoint
    from meanfield_pde.cli.progress import progress_bar
    from meanfield_pde.evolution import solve

    replace = job.overwrite or content is not None
    checkpoint = Checkpoint(job.output, configuration.output.checkpoint, overwrite=replace)
    try:
        with stop_signals() as interrupted, progress_bar(wanted=not report.quiet) as progress:
            solution = solve(
                problem,
                progress=progress,
                threads=job.threads,
                checkpoint=checkpoint,
                resume=content,
                interrupted=interrupted,
                announce=report.say,
            )
    except (ComputationError, KeyboardInterrupt) as stop:
        reached = getattr(stop, "solution", None)
        if reached is None:
            raise
        path = _keep(reached, job, overwrite=checkpoint.overwrite)
        _report(report, reached, configuration, path)
        if isinstance(stop, KeyboardInterrupt):
            raise Interrupted(f"interrupted; what was reached is in {path}; --resume goes on from there") from stop
        raise ComputationError(f"{stop}; what was reached is in {path}") from stop
    path = _keep(solution, job, overwrite=checkpoint.overwrite)
    _report(report, solution, configuration, path)


def _report(report: Report, solution: Solution, configuration: Configuration, path: Path) -> None:
    """Print the closing table."""
    values = solution.summary()
    shown = values if report.as_json else values | {"plateau": _spoken(values["plateaus"])}
    names = {key: name for key, name in NAMES.items() if shown.get(key) not in (None, "")}
    report.result(shown, title=f"{configuration.title or configuration.label} → {path}", names=names)


def _spoken(plateaus: list[dict[str, Any]]) -> str:
    """Name each plateau by its clusters and depths."""
    return "; ".join(
        f"{one['clusters']} cluster{'s' if one['clusters'] > 1 else ''} from depth {one['start']:.4g} to "
        f"{'the end' if one['final'] else format(one['end'], '.4g')}"
        for one in plateaus
    )


def _check_output(job: Job, configuration: Configuration, *, resuming: bool) -> None:
    """Refuse an output file that cannot be written, or that is one of the inputs."""
    target = check_target(job.output, overwrite=job.overwrite or resuming)
    inputs = [configuration.source, *data_files(configuration)]
    if any(path is not None and path.resolve() == target for path in inputs):
        raise InputError(f"{job.output}: is an input of the computation; give the output another name")


def _keep(solution: Any, job: Job, *, overwrite: bool) -> Path:
    """Save the solution; where that fails, under another name rather than not at all."""
    try:
        solution.save(job.output, overwrite=overwrite)
    except (InputError, ComputationError, OSError) as error:
        spare = _save_elsewhere(solution, job.output)
        raise ComputationError(f"{error}; the result is in {spare} instead") from error
    return job.output


def _save_elsewhere(solution: Any, output: Path) -> Path:
    for folder in (output.parent, Path(), Path(tempfile.gettempdir())):
        for number in range(1, 100):
            spare = folder / f"{output.stem}-{number}{output.suffix}"
            if spare.exists():
                continue
            try:
                solution.save(spare)
            except (InputError, ComputationError, OSError):
                break
            return spare
    raise ComputationError(f"{output}: could not be written, and no other place could be")
