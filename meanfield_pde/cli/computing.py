"""Computations that are kept as a whole or not at all: all is checked before, what was reached is saved."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from meanfield_pde.cli.outputs import Result, check_output, keep
from meanfield_pde.cli.process import AtOnce, Interrupted, stop_signals, stopped_at_once
from meanfield_pde.cli.progress import progress_line
from meanfield_pde.errors import ComputationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.report import Report
    from meanfield_pde.config import Configuration
    from meanfield_pde.problem import Problem

    Progress = Callable[[str, float], None]

__all__ = ["Computation", "Outcome", "carry_out", "lasting", "searching"]

Kept = TypeVar("Kept", bound=Result)


@dataclass(frozen=True)
class Outcome(Generic[Kept]):
    """What a computation reached, and why it could not be finished; empty where it was."""

    result: Kept
    failure: str = ""


class Computation(Protocol[Kept]):
    """What is computed for a problem, and how it is told."""

    @property
    def quantity(self) -> str:
        """Quantity whose value the progress shows."""

    @property
    def inputs(self) -> Iterable[Path]:
        """Files that it needs besides the configuration."""

    def compute(self, problem: Problem, threads: int | None, progress: Progress) -> Outcome[Kept]:
        """Compute, calling ``progress`` often."""

    def tell(self, result: Kept, report: Report, title: str) -> None:
        """Print the closing table."""


def carry_out(job: Job, computation: Computation[Kept], report: Report) -> None:
    """Check, compute, save, print.

    Raises
    ------
    InputError
        The configuration, its data, another input or the output file is wrong; nothing was written.
    ComputationError
        It could not be finished; what was reached is in the file, and printed.
    Interrupted
        By the user or the system; nothing was written.
    """
    with lasting(job.output) as interrupted:
        configuration = job.configuration()
        check_output(job, configuration, computation.inputs)
        outcome = _computed(job, configuration, computation, report, interrupted)
        path = keep(outcome.result, job.output, overwrite=job.overwrite)
        computation.tell(outcome.result, report, f"{configuration.title or configuration.label} → {path}")
    if outcome.failure:
        raise ComputationError(f"{outcome.failure}; what was reached is in {path}")


@contextmanager
def lasting(output: Path) -> Iterator[Callable[[], bool]]:
    """Let a block come to its end, interrupted once; give the function that tells whether it was.

    Raises
    ------
    Interrupted
        After a second interrupt.
    """
    try:
        with stop_signals() as interrupted:
            yield interrupted
    except AtOnce:
        raise Interrupted(f"interrupted; {output} is complete, or as it was before") from None


@contextmanager
def searching(quantity: str, interrupted: Callable[[], bool], report: Report) -> Iterator[Progress]:
    """Give the function that shows progress; an interrupt ends the block at once, whatever is computed.

    Raises
    ------
    Interrupted
        Nothing was written.
    """
    stop = Interrupted("interrupted; nothing was written")
    if interrupted():
        raise stop
    try:
        with stopped_at_once(), progress_line(quantity, wanted=not report.quiet) as progress:
            yield progress
    except AtOnce:
        raise stop from None


def _computed(
    job: Job,
    configuration: Configuration,
    computation: Computation[Kept],
    report: Report,
    interrupted: Callable[[], bool],
) -> Outcome[Kept]:
    from meanfield_pde.building import build

    problem = build(configuration)
    with searching(computation.quantity, interrupted, report) as progress:
        try:
            return computation.compute(problem, job.threads, progress)
        except ComputationError as error:
            raise ComputationError(f"{error}; nothing was written") from error
