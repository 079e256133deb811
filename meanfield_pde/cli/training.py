"""The command train: iterates are kept in the file on the way, and nothing of them is lost."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from meanfield_pde.cli.outputs import check_output, keep
from meanfield_pde.cli.process import AtOnce, Interrupted, Lasting, stop_signals
from meanfield_pde.errors import ComputationError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.report import Report
    from meanfield_pde.config import Configuration
    from meanfield_pde.problem import Problem
    from meanfield_pde.training.plan import Plan
    from meanfield_pde.training.result import Training
    from meanfield_pde.training.train import History, Step

__all__ = ["run"]

NAMES = {
    "loss": "objective J",
    "terminal_loss": "loss ℓ",
    "gradient_norm": "norm of the gradient",
    "iterations": "iterations",
    "evaluations": "gradients evaluated",
    "final_order_parameter": "order parameter R at the end",
    "untrained_order_parameter": "R untrained",
    "final_free_energy": "free energy at the end",
    "untrained_free_energy": "free energy untrained",
    "arrival": "arrival on the plateau, depth",
    "escape": "escape from it, depth",
    "plateau_share": "plateau, share of the depth",
    "control_energy": "control energy ½∫|θ|² dt",
    "late_control": "of which after the plateau",
    "theory_mismatch": "gradient at θ = 0, off the theory by",
    "theory_decay_rate": "its decay rate backwards",
    "theory_spectral_gap": "spectral gap",
    "resolution": "resolution",
    "step_error": "change of J by half the steps",
    "reason": "ended because",
    "seconds": "seconds",
}


def run(job: Job, report: Report, *, theory: bool) -> None:
    """Train, save and print.

    Raises
    ------
    InputError
        The configuration, its data or the output file is wrong, or what is there belongs to another training.
    ComputationError
        The optimiser ended before the gradient was small, or the grid does not suffice.
    Interrupted
        By the user or the system; iterates are kept, and ``--resume`` goes on from there.
    """
    try:
        with stop_signals() as interrupted:
            _run(job, report, interrupted, theory=theory)
    except AtOnce:
        raise Interrupted(f"interrupted; --resume goes on with what is in {job.output}") from None


def _run(job: Job, report: Report, interrupted: Callable[[], bool], *, theory: bool) -> None:
    configuration = job.configuration()
    check_output(job, configuration)
    from meanfield_pde import api
    from meanfield_pde.building import build
    from meanfield_pde.training.wanted import plan_of

    resuming = job.resume and job.output.exists()
    start = _started(job, configuration) if resuming else None
    if job.resume and not resuming:
        report.say(f"{job.output}: there is nothing to go on from; starting from the beginning")
    problem, plan = build(configuration), plan_of(configuration)
    if start is not None and start.attributes["status"] == "finished":
        report.say("finished already; nothing to do")
        _print(start, configuration, job, report)
        return
    kept = _Kept(job, problem, plan, configuration.output.checkpoint, written=resuming)
    try:
        with _line(wanted=not report.quiet) as show:

            def between(step: Step, history: History) -> None:
                show(step)
                kept.remember(history)
                if interrupted():
                    raise KeyboardInterrupt  # noqa: TRY301 (out of the optimiser)

            result = api.train(
                problem, plan, start=start, theory=theory, threads=job.threads, progress=between
            )
    except KeyboardInterrupt:
        kept.write()
        raise Interrupted(f"interrupted; {kept.remains}") from None
    except ComputationError as error:
        kept.write()
        raise ComputationError(f"{error}; {kept.remains}") from error
    keep(result, job.output, overwrite=job.overwrite or kept.written)
    _print(result, configuration, job, report)
    _check_converged(result, job)


def _check_converged(result: Training, job: Job) -> None:
    """Raise ComputationError where the gradient is not small enough."""
    if not result.attributes["converged"]:
        raise ComputationError(
            f"train: {result.attributes['reason']}; what was reached is in {job.output}; raise "
            "training.iterations and --resume, or raise training.tolerance"
        )


def _started(job: Job, configuration: Configuration) -> Training:
    """Read the training to go on from.

    Raises
    ------
    InputError
        The file holds none, or one of another configuration or version.
    """
    from meanfield_pde import api
    from meanfield_pde.resumption import check_configuration, check_version
    from meanfield_pde.training.result import Training

    found = api.open(job.output)
    if not isinstance(found, Training):
        raise InputError(f"{job.output}: holds no training")
    try:
        check_configuration(str(found.attributes["configuration"]), configuration.to_toml())
        check_version(str(found.attributes["meanfield_pde_version"]))
    except InputError as error:
        raise InputError(f"{job.output}: {error}") from None
    return found


@dataclass
class _Kept:
    """Iterates that are written to the file from time to time."""

    job: Job
    problem: Problem
    plan: Plan
    interval: float
    written: bool
    history: History | None = None
    last: float = 0.0

    def remember(self, history: History) -> None:
        """Keep iterates, and write them where that is due."""
        self.history = history
        if time.monotonic() - self.last >= self.interval:
            self.write()

    def write(self) -> None:
        """Write the last iterates, whole or not at all."""
        if self.history is None:
            return
        from meanfield_pde.training.assembly import checkpointed

        record = checkpointed(self.problem, self.history, self.plan)
        record.save(self.job.output, overwrite=self.job.overwrite or self.written)
        self.written, self.last = True, time.monotonic()

    @property
    def remains(self) -> str:
        """What there is to go on from."""
        return f"--resume goes on from {self.job.output}" if self.written else "nothing was written"


def _print(result: Training, configuration: Configuration, job: Job, report: Report) -> None:
    values = result.summary()
    rows = {name: values[key] for key, name in NAMES.items() if values.get(key) is not None}
    title = f"{configuration.title or configuration.label} → {job.output}"
    report.results(values, rows, title=title)


@contextmanager
def _line(*, wanted: bool) -> Iterator[Callable[[Step], None]]:
    """Give the function that shows iterations, loss and gradient on standard error."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns: tuple[Any, ...] = (
        rich.SpinnerColumn(),
        rich.TextColumn("{task.description}"),
        rich.TimeElapsedColumn(),
    )
    console = Console(file=cast("TextIO", Lasting(sys.stderr)))
    with rich.Progress(*columns, console=console, transient=True) as line:
        task = line.add_task("preparing")

        def update(step: Step) -> None:
            text = (
                f"iteration {step.iteration}  J {step.loss:.6g}  gradient {step.gradient_norm:.2e}  "
                f"{step.evaluations} evaluations"
            )
            line.update(task, description=text)

        yield update
