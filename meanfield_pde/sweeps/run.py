"""Compute the points of a sweep that are not known yet, and keep each as it comes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meanfield_pde.config import available_memory
from meanfield_pde.sweeps.cube import cube
from meanfield_pde.sweeps.dask_cluster import connected, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.records import Record
    from meanfield_pde.sweeps.checking import Checked
    from meanfield_pde.sweeps.dask_cluster import Farm
    from meanfield_pde.sweeps.store import Store

__all__ = ["Progress", "SweepInterrupted", "run"]


@dataclass(frozen=True)
class Progress:
    """How far a sweep is: points that are finished, of these failed, computed by this process, all points."""

    done: int
    failed: int
    computed: int
    total: int


class SweepInterrupted(KeyboardInterrupt):
    """The user stopped the sweep; ``record`` holds what was reached."""

    def __init__(self, record: Record) -> None:
        super().__init__("interrupted")
        self.record = record


def run(
    sweep: Checked,
    farm: Farm,
    store: Store | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Record:
    """Compute all points that are pending, and return the cube; the same in whatever order they come.

    Parameters
    ----------
    store
        Where points are kept as they come, and what is known already; None: in memory alone.
    progress
        Called a few times a second.
    interrupted
        Asked a few times a second; when true the sweep ends there.

    Raises
    ------
    InputError
        No scheduler answers.
    ComputationError
        What was computed could not be written, or the scheduler was lost.
    SweepInterrupted
        When ``interrupted`` says so.
    """
    started = time.perf_counter()
    found = dict(store.known) if store else {}
    before, failures = len(found), sum(outcome.status == "failed" for outcome in found.values())
    pending = [index for index in range(sweep.plan.size) if index not in found]
    points = sweep.points(pending, farm.threads)
    stopped = False
    if points:
        processes = farm.processes(len(points), sweep.largest, available_memory())
        with connected(farm, processes) as client:
            if store:
                store.begin()
            for batch in outcomes(client, points):
                found |= {outcome.index: outcome for outcome in batch}
                if store:
                    store.keep(batch, found, time.perf_counter() - started)
                failures += sum(outcome.status == "failed" for outcome in batch)
                progress(Progress(len(found), failures, len(found) - before, sweep.plan.size))
                if stopped := interrupted():
                    break
    seconds = time.perf_counter() - started
    written = store is not None and not store.is_complete
    record = store.write(found, seconds) if store and written else cube(sweep, found, seconds)
    if stopped and len(found) < sweep.plan.size:
        raise SweepInterrupted(record)
    return record
