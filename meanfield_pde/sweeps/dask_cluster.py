"""Points on the workers of Dask: processes of this computer, or a cluster that is there already."""

from __future__ import annotations

import logging
import queue
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from meanfield_pde import shipped
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.evolution import available_cores
from meanfield_pde.sweeps.points import Outcome, compute, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Farm", "Indexed", "connected", "outcomes"]

#: Seconds after which an empty batch is given, so that who computes may look for an interrupt.
PATIENCE = 0.2
#: Points under way for every thread of a worker: the next one is there when one is finished.
AHEAD = 2
#: Seconds within which a scheduler must answer.
ANSWER = 15.0
#: Variables that tell libraries how many threads to use, once they are loaded.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
#: Dask has the C library give freed memory back at once: arrays of every step would be mapped anew, half of
#: the time of large ones. Bytes that are kept, and the size from which on arrays are mapped all the same.
MEMORY = {"MALLOC_TRIM_THRESHOLD_": 2**28, "MALLOC_MMAP_THRESHOLD_": 2**25}
KILLED = "its worker was killed, twice: not enough memory, or a crash"


@dataclass(frozen=True)
class Farm:
    """Where points are computed.

    Parameters
    ----------
    workers
        Processes on this computer; by default one for every ``threads`` cores.
    threads
        Threads of each point.
    scheduler
        Address of a scheduler of dask.distributed, whose workers compute in the place of processes here.

    Raises
    ------
    InputError
        A number is out of range, or both workers and a scheduler are given.
    """

    workers: int | None = None
    threads: int = 1
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise InputError(f"--workers: must be an integer from 1 to 1024, got {self.workers}")
        if self.workers is not None and self.scheduler is not None:
            raise InputError(
                f"--workers: must not be given with --scheduler, whose workers are used, got {self.workers}"
            )

    def processes(self, points: int, bytes_each: int, available: int) -> int:
        """Workers that are started here: no more than points, cores, or what fits into memory."""
        fitting = max(available // max(bytes_each, 1), 1)
        return self.workers or max(min(available_cores() // self.threads, points, fitting), 1)


@contextmanager
def connected(farm: Farm, processes: int) -> Iterator[Any]:
    """Give a client of the scheduler that is there, or of so many processes that live as long as the block.

    Raises
    ------
    InputError
        No scheduler answers, or its workers run another version.
    """
    with _quiet():
        if farm.scheduler is None:
            with _local(farm, processes) as client:
                yield client
        else:
            with _remote(farm.scheduler) as client:
                yield client


@contextmanager
def _local(farm: Farm, processes: int) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster

    environment = dict.fromkeys(VARIABLES, farm.threads) | MEMORY
    variables = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in environment.items()}
    memory = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause")}
    own = {"distributed.scheduler.allowed-failures": 0, "distributed.admin.low-level-log-length": 0}
    with (
        dask.config.set({**variables, **memory, **own}),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=processes,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # its server always starts: at a port that nobody uses
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,
            preload=["meanfield_pde.sweeps.worker"],
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


@contextmanager
def _remote(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        client = Client(address, timeout=ANSWER, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise InputError(
            f"--scheduler: no scheduler of dask.distributed answers at {address} ({_first_line(error)})"
        ) from error
    with client:
        try:
            versions = client.run(shipped.version)
        except (ImportError, OSError) as error:
            raise InputError(
                f"--scheduler: the workers of {address} cannot load meanfield-pde ({_first_line(error)}); "
                "install this version for them"
            ) from error
        other = sorted(set(versions.values()) - {shipped.version()})
        if other:
            raise InputError(
                f"--scheduler: the workers of {address} run version {other[0]} of meanfield-pde, "
                f"this is {shipped.version()}: use one version"
            )
        yield client


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Dask, whose messages about workers are told as reasons of points."""
    import distributed  # noqa: F401 (sets the levels of its loggers)

    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    loggers = [logging.getLogger(name) for name in (*names, "asyncio", "tornado")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class Indexed(Protocol):
    """A point of a sweep, or of any other study."""

    @property
    def index(self) -> int:
        """Its place among all."""


@dataclass
class _Round:
    """Points under way, a few at a time, and those whose worker died."""

    client: Any
    waiting: deque[Indexed]
    ahead: int
    work: Callable[[Any], Outcome]
    running: dict[str, tuple[Indexed, Any]] = field(default_factory=dict)
    suspects: list[Indexed] = field(default_factory=list)
    done: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    _width: int = 1
    _asked: float = -1e9

    def fill(self) -> None:
        """Hand over as many points as there are places for."""
        while self.waiting and len(self.running) < self.ahead * self.width():
            point = self.waiting.popleft()
            future = self.client.submit(self.work, point, pure=False, retries=0)
            self.running[future.key] = point, future  # Dask forgets what nobody holds
            future.add_done_callback(self.done.put)

    def width(self) -> int:
        """Threads of all workers, which may come and go; asked for once a second."""
        if time.monotonic() - self._asked > 1.0:
            self._asked = time.monotonic()
            self._width = max(sum(self.client.nthreads().values()), 1)
        return self._width

    def batch(self) -> list[Outcome]:
        """Wait a little, and return what is finished."""
        found: list[Outcome | None] = []
        try:
            found.append(self._outcome(self.done.get(timeout=PATIENCE)))
            while True:
                found.append(self._outcome(self.done.get_nowait()))
        except queue.Empty:
            return [outcome for outcome in found if outcome is not None]

    def _outcome(self, future: Any) -> Outcome | None:
        """Outcome of a point; None for one whose worker died, which may have been that of another one."""
        from distributed import CancelledError, KilledWorker

        point, _ = self.running.pop(future.key)
        try:
            outcome: Outcome = future.result()
        except KilledWorker:
            self.suspects.append(point)
            return None
        except CancelledError as error:
            raise ComputationError("the scheduler of Dask was lost") from error
        except Exception as error:  # whatever Dask could not do with this point
            if self.client.status != "running":
                raise ComputationError(f"the scheduler of Dask was lost ({_first_line(error)})") from error
            return failed(point.index, f"{type(error).__name__}: {error}")
        return outcome


def outcomes(
    client: Any, points: Sequence[Indexed], work: Callable[[Any], Outcome] | None = None
) -> Iterator[list[Outcome]]:
    """Compute points, and give what is finished as it comes, in batches; empty ones now and then.

    A point whose worker died is computed again when all others are through, alone on its worker: where that
    dies again, the point has failed. ``work`` is done at every point: `compute`, unless another study has
    points of its own.

    Raises
    ------
    ComputationError
        The scheduler was lost.
    """
    done = work or compute
    first = _Round(client, deque(points), AHEAD, done)
    yield from _through(first)
    second = _Round(client, deque(first.suspects), 1, done)
    yield from _through(second)
    if second.suspects:
        yield [failed(point.index, KILLED) for point in second.suspects]


def _through(some: _Round) -> Iterator[list[Outcome]]:
    try:
        while some.waiting or some.running:
            some.fill()
            yield some.batch()
    except (OSError, TimeoutError) as error:
        raise ComputationError(f"the scheduler of Dask was lost ({_first_line(error)})") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
