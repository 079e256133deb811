"""The command solve: everything is checked before the computation, and nothing is lost after it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.process import Interrupted
from meanfield_pde.config import data_files, load, parse_assignments
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import check_target

if TYPE_CHECKING:
    from meanfield_pde.cli.report import Report
from meanfield_pde.config import Configuration

__all__ = ["Job", "run"]

NAMES = {
    "status": "status",
    "depth": "depth",
    "mass_error": "mass drift",
    "minimum": "minimum density",
    "free_energy": "free energy",
    "order_parameter": "order parameter R",
    "w1": "W₁ to the pushforward",
    "w2": "W₂ to the pushforward",
    "steps": "steps",
    "rejected": "rejected steps",
    "resolution": "angles",
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


def run(job: Job, report: Report) -> None:
    """Solve and save.

    Raises
    ------
    InputError
        The configuration, its data or the output file is wrong; nothing was computed or written.
    ComputationError
        The computation stopped early; what was reached is in the file.
    Interrupted
        By the user; what was reached is in the file.
    """
    configuration = load(job.config, parse_assignments(job.settings))
    _check_output(job, configuration)
    from meanfield_pde.cli.progress import progress_bar
    from meanfield_pde.evolution import solve
    from meanfield_pde.problem import build

    problem = build(configuration)
    try:
        with progress_bar(wanted=not report.quiet) as progress:
            solution = solve(problem, progress=progress, threads=job.threads)
    except (ComputationError, KeyboardInterrupt) as stop:
        reached = getattr(stop, "solution", None)
        if reached is None:
            raise
        path = _keep(reached, job)
        report.result(reached.summary(), title=_title(configuration, path), names=NAMES)
        if isinstance(stop, KeyboardInterrupt):
            raise Interrupted(f"interrupted; what was reached is in {path}") from stop
        raise ComputationError(f"{stop}; what was reached is in {path}") from stop
    path = _keep(solution, job)
    report.result(solution.summary(), title=_title(configuration, path), names=NAMES)


def _title(configuration: Configuration, path: Path) -> str:
    return f"{configuration.title or configuration.label} → {path}"


def _check_output(job: Job, configuration: Configuration) -> None:
    """Refuse an output file that cannot be written, or that is one of the inputs."""
    target = check_target(job.output, overwrite=job.overwrite)
    inputs = [configuration.source, *data_files(configuration)]
    if any(path is not None and path.resolve() == target for path in inputs):
        raise InputError(f"{job.output}: is an input of the computation; give the output another name")


def _keep(solution: Any, job: Job) -> Path:
    """Save the solution; where that fails, under another name rather than not at all."""
    try:
        solution.save(job.output, overwrite=job.overwrite)
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
