"""The command sweep: every point is checked before any is computed, and none that is finished is lost."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from meanfield_pde.cli.outputs import check_output
from meanfield_pde.cli.process import AtOnce, Interrupted, Lasting, stop_signals
from meanfield_pde.errors import ComputationError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.report import Report
    from meanfield_pde.config import Configuration
    from meanfield_pde.records import Record
    from meanfield_pde.sweeps.checking import Checked
    from meanfield_pde.sweeps.dask_cluster import Farm
    from meanfield_pde.sweeps.result import Sweep
    from meanfield_pde.sweeps.run import Progress
    from meanfield_pde.sweeps.store import Store

__all__ = ["Request", "run"]

#: Reasons of failure that the closing table names.
REASONS = 3


@dataclass(frozen=True)
class Request:
    """What the command line asks for besides the configuration: what varies, what is computed, and where."""

    over: tuple[str, ...]
    of: str
    random: int | None
    seed: int
    sampler: str
    workers: int | None
    scheduler: str | None
    retry: bool = False

    def checked(self, configuration: Configuration) -> Checked:
        """Every point, read and built; the errors are those of `checked`."""
        from meanfield_pde.sweeps.axes import parse
        from meanfield_pde.sweeps.checking import checked
        from meanfield_pde.sweeps.plan import Draw, planned

        draw = None if self.random is None else Draw(self.random, self.seed, self.sampler)
        return checked(
            configuration, planned(configuration, self.of, [parse(one) for one in self.over], draw)
        )

    def farm(self, threads: int) -> Farm:
        """Where points are computed."""
        from meanfield_pde.sweeps.dask_cluster import Farm

        return Farm(self.workers, threads, self.scheduler)


def run(job: Job, request: Request, report: Report) -> None:
    """Sweep, save and print.

    Raises
    ------
    InputError
        The configuration, a point of the sweep, the output file or the scheduler is wrong, or what is there
        belongs to another sweep; nothing was computed.
    ComputationError
        All points failed, or what was computed could not be written.
    Interrupted
        By the user or the system; all finished points are kept, and ``--resume`` goes on from there.
    """
    try:
        with stop_signals() as interrupted:
            _run(job, request, report, interrupted)
    except AtOnce:
        raise Interrupted(f"interrupted; --resume goes on with the points in {job.output}") from None


def _run(job: Job, request: Request, report: Report, interrupted: Callable[[], bool]) -> None:
    from meanfield_pde.sweeps.result import Sweep
    from meanfield_pde.sweeps.store import Store

    if request.retry and not job.resume:
        raise InputError("--retry: is for sweeps that are gone on with (--resume)")
    configuration, farm = job.configuration(), request.farm(job.threads or 1)
    sweep = request.checked(configuration)
    check_output(job, configuration)
    resuming = job.resume
    store = (
        Store.resumed(job.output, sweep)
        if resuming
        else Store.fresh(job.output, sweep, overwrite=job.overwrite)
    )
    if request.retry:
        store.forget_failures()
    if resuming and not store.known:
        report.say(f"{job.output}: there is no finished point yet; starting from the beginning")
    if store.is_complete:
        report.say("finished already; nothing to do")
    computed = sweep.plan.size - len(store.known)
    record = _computed(sweep, farm, store, report, interrupted)
    _print(Sweep(record), computed, job, report)


def _computed(
    sweep: Checked, farm: Farm, store: Store, report: Report, interrupted: Callable[[], bool]
) -> Record:
    """Compute what is pending; however that ends, what was reached is on the disk."""
    from meanfield_pde.sweeps.run import SweepInterrupted, run

    output, complete = store.checkpoint.path, False
    try:
        with _bar(len(store.known), sweep.plan.size, wanted=not report.quiet) as progress:
            record = run(sweep, farm, store, progress, interrupted)
        complete = True
    except SweepInterrupted as stop:
        points, pending = (stop.record.attributes[name] for name in ("points", "pending"))
        raise Interrupted(
            f"interrupted; {int(points) - int(pending)} of {points} points are in {output}; "
            "--resume goes on from there"
        ) from stop
    except ComputationError as error:
        raise ComputationError(f"{error}; --resume goes on with the points that are finished") from error
    finally:
        store.close(complete=complete)
    return record


def _print(sweep: Sweep, computed: int, job: Job, report: Report) -> None:
    """Print the closing table.

    Raises
    ------
    ComputationError
        Every point failed.
    """
    values = sweep.summary()
    title = f"{sweep.attributes['title'] or job.config} → {job.output}"
    report.results({**values, "computed": computed}, _rows(values, computed), title=title)
    if values["failed"] == values["points"]:
        reason = next(iter(values["reasons"]))
        raise ComputationError(f"sweep: all {values['points']} points failed, the first reason: {reason}")


def _rows(values: dict[str, Any], computed: int) -> dict[str, Any]:
    """Rows of the closing table."""
    sizes = " × ".join(f"{name} ({size})" for name, size in values["sizes"].items())
    failed = {
        f"reason {number}": f"{reason} ({count} of {values['failed']})"
        for number, (reason, count) in enumerate(list(values["reasons"].items())[:REASONS], 1)
    }
    kept = values["points"] - computed
    return {
        "of": values["of"],
        "over": sizes if "point" not in values["sizes"] else ", ".join(values["parameters"]),
        "points": values["points"],
        **({"kept from before": kept} if kept else {}),
        "failed": values["failed"],
        **failed,
        "seconds": values["seconds"],
    }


@contextmanager
def _bar(done: int, total: int, *, wanted: bool) -> Iterator[Callable[[Progress], None]]:
    """Give the function that shows on standard error how many points are finished, the rate and time left."""
    if not wanted or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (
        rich.TextColumn("{task.completed:.0f}/{task.total:.0f} points"),
        rich.BarColumn(),
        rich.TextColumn("{task.fields[rate]}  {task.fields[failed]} failed"),
        rich.TimeRemainingColumn(),
    )
    console = Console(file=cast("TextIO", Lasting(sys.stderr)))
    with rich.Progress(*columns, console=console, transient=True, speed_estimate_period=120.0) as bar:
        task = bar.add_task("", total=total, completed=done, rate="starting", failed=0)

        def update(state: Progress) -> None:
            seconds = bar.tasks[0].elapsed or 0.0
            rate = f"{state.computed / seconds:.3g}/s" if state.computed and seconds > 0 else "starting"
            bar.update(task, completed=state.done, rate=rate, failed=state.failed)

        yield update
