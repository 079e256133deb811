"""Sweeps as scripts call them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from meanfield_pde import config
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import check_target
from meanfield_pde.sweeps.axes import Axis, parse
from meanfield_pde.sweeps.checking import checked
from meanfield_pde.sweeps.dask_cluster import Farm
from meanfield_pde.sweeps.plan import Draw, planned
from meanfield_pde.sweeps.result import Sweep
from meanfield_pde.sweeps.run import Progress, run
from meanfield_pde.sweeps.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from meanfield_pde.config import Configuration
    from meanfield_pde.problem import Problem
    from meanfield_pde.sweeps.axes import Span

__all__ = ["SweepError", "sweep"]


class SweepError(ComputationError):
    """Every point failed: ``sweep`` holds the reasons."""

    def __init__(self, message: str, sweep: Sweep) -> None:
        super().__init__(message)
        self.sweep = sweep


def sweep(  # noqa: PLR0913 (one parameter a flag of the command)
    problem: Problem | str | Path,
    over: Mapping[str, Iterable[Any] | str],
    *,
    of: str = "limit",
    random: int | None = None,
    seed: int = 0,
    sampler: str = "sobol",
    workers: int | None = None,
    threads: int = 1,
    scheduler: str | None = None,
    output: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Sweep:
    """Compute limits, solves or trainings at many points of the configuration, in parallel processes.

    The calling script needs ``if __name__ == "__main__":``, as with all processes that Python starts anew.

    Parameters
    ----------
    problem
        A problem of a configuration, the file of one, or the name of a shipped one.
    over
        Values by key: ``{"attention.beta": np.linspace(1, 8, 15)}``, or as on the command line: ``"1:8:15"``,
        and for random designs ranges, ``"1:8"``, ``"1:100:log"``.
    of
        What is computed at every point: ``limit``, ``solve`` or ``train``.
    random, seed, sampler
        Number of random points in the place of all combinations, their seed, and ``sobol`` or ``latin``.
    workers, threads
        Processes here, by default one a core, and threads of each point.
    scheduler
        Address of a scheduler of dask.distributed, whose workers compute instead.
    output, overwrite, resume
        File to write while the sweep goes on, whether it may be replaced, or is gone on with.
    progress
        Called a few times a second.

    Raises
    ------
    InputError
        A point is wrong (before anything is computed), the file cannot be written, or no scheduler answers.
    SweepError
        Every point failed.
    ComputationError
        What was computed could not be written, or the scheduler was lost.
    """
    configuration = _configuration(problem)
    draw = None if random is None else Draw(random, seed, sampler)
    parameters = [_parameter(key, values) for key, values in over.items()]
    swept = checked(configuration, planned(configuration, of, parameters, draw))
    farm, store = Farm(workers, threads, scheduler), None
    if output is not None:
        target = check_target(output, overwrite=overwrite or resume)
        store = Store.resumed(target, swept) if resume else Store.fresh(target, swept, overwrite=overwrite)
    complete = False
    try:
        found = Sweep(run(swept, farm, store, progress))
        complete = True
    finally:
        if store is not None:
            store.close(complete=complete)
    summary = found.summary()
    if summary["failed"] == summary["points"]:
        raise SweepError(f"sweep: all points failed: {next(iter(summary['reasons']))}", found)
    return found


def _configuration(problem: Problem | str | Path) -> Configuration:
    if isinstance(problem, str | Path):
        return config.load(problem)
    if not problem.configuration:
        raise InputError(
            "sweep: the problem must come from a configuration, whose keys can vary; it has none"
        )
    return config.loads(problem.configuration, source=problem.source, label=problem.label)


def _parameter(key: str, values: Iterable[Any] | str) -> Axis | Span:
    return parse(f"{key}={values}") if isinstance(values, str) else Axis(key, tuple(values))
