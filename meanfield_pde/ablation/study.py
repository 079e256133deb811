"""The study of the mean-field equation: every run a failure domain of its own, on Dask, resumable."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import sys
import time
import warnings
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde import shipped
from meanfield_pde.ablation.checks import CHECKS, RUNGS, checked
from meanfield_pde.ablation.families import Family, families
from meanfield_pde.ablation.measures import interval
from meanfield_pde.ablation.runs import FOUND
from meanfield_pde.ablation.schemes import ENCODINGS, TABLE
from meanfield_pde.config import available_memory
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.records import Record, Variable, read
from meanfield_pde.sweeps.dask_cluster import Farm, connected, outcomes
from meanfield_pde.sweeps.journal import Journal, discard, journal_of
from meanfield_pde.sweeps.points import Outcome, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Attribute

__all__ = ["KIND", "Options", "Point", "Request", "compute", "points_of", "study"]

#: The attribute ``kind`` of the record.
KIND = "ablation"
#: Bytes that the largest run needs: features of 16,384 tokens, and densities of 64 nodes, with libraries.
LARGEST = 3 * 2**28
#: Numbers of every check.
CHECKED = {
    "found": "what was found",
    "error": "its error",
    "confirmed": "whether the prediction is confirmed (1) or refuted (0)",
    "spread_ends": "strength below which no spread state is stable (prompts: share of attention)",
    "collapsed_ends": "strength above which the collapsed state is not stable",
    "map_ends": "strength below which T(z) = 2πz is not stable",
    "spread_order": "R of the spread state at its end",
    "spread_order_beyond": "R that follows beyond it",
    "collapsed_order": "R of the collapsed state at its end",
    "collapsed_order_beyond": "R that follows beyond it",
}
#: Curves of every check.
CURVES = {
    "strengths": "turns, amplitude or share of attention",
    "up": "R of tokens that began together",
    "down": "R of tokens that began spread",
}


@dataclass(frozen=True)
class Options:
    """What is studied: seeds of every run that has one, all families or few small runs.

    Raises
    ------
    InputError
        When there are too few seeds for an interval.
    """

    seeds: int = 4
    quick: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.seeds <= 1000:
            raise InputError(f"--seeds: must be an integer from 2 to 1000, got {self.seeds}")

    @property
    def families(self) -> tuple[Family, ...]:
        """What varies."""
        return families(quick=self.quick)

    @property
    def checks(self) -> tuple[str, ...]:
        """Predictions that are looked at."""
        return tuple(CHECKS)[:2] if self.quick else tuple(CHECKS)

    def identity(self) -> dict[str, Any]:
        """Say what makes the results: two studies of one identity have the same numbers."""
        path = shipped.data_file(TABLE)
        families = json.dumps([asdict(family) for family in self.families])
        return {
            "seeds": self.seeds,
            "quick": self.quick,
            "families": hashlib.sha256(families.encode()).hexdigest(),
            "checks": list(self.checks),
            "version": shipped.version(),
            "data": hashlib.sha256(path.read_bytes()).hexdigest() if path else "",
        }


@dataclass(frozen=True)
class Point:
    """One run: of a family, or a check of this name."""

    index: int
    family: Family | None
    encoding: str
    value: float
    seed: int
    threads: int = 1


def points_of(options: Options) -> list[Point]:
    """All runs, those that take long first."""
    runs = [
        (family, encoding, value, seed)
        for family in options.families
        for encoding, value in product(family.encodings, family.values)
        if family.has(encoding, value)
        for seed in range(options.seeds)
    ]
    points = [Point(index, *run) for index, run in enumerate(runs)]
    named = [Point(len(runs) + place, None, name, math.nan, 0) for place, name in enumerate(options.checks)]
    return [*points, *named]


def compute(point: Point) -> Outcome:
    """Make a run, in a worker; whatever happens is the outcome of this run alone."""
    from meanfield_pde.evolution import limited

    started = time.perf_counter()
    try:
        with warnings.catch_warnings(), limited(point.threads):
            warnings.simplefilter("ignore")  # nobody watches a worker
            found = _found(point)
    except Exception as error:  # noqa: BLE001 (one failure domain)
        told = isinstance(error, ComputationError | InputError)
        reason = str(error) if told else f"{type(error).__name__}: {error}"
        return failed(point.index, reason, time.perf_counter() - started)
    known = {name: value if isinstance(value, str) else float(value) for name, value in found.items()}
    return Outcome(point.index, "finished", "", known, time.perf_counter() - started)


def _found(point: Point) -> Mapping[str, float | str]:
    if point.family is None:
        return checked(point.encoding)
    return point.family.measured(point.encoding, point.value, point.seed)


@dataclass(frozen=True)
class Request:
    """Where a study is made and kept, and who is told.

    Parameters
    ----------
    output
        The file; finished runs are kept beside it, in OUT.h5.journal, until it is written.
    farm
        Where runs are made.
    resume, overwrite
        Whether what is there is gone on with, or may be replaced.
    progress
        Called with what is being done, and the share that is done.
    interrupted
        Asked a few times a second; when true the study ends there.
    """

    output: Path
    farm: Farm = field(default_factory=Farm)
    resume: bool = False
    overwrite: bool = False
    progress: Callable[[str, float], None] = lambda *_: None
    interrupted: Callable[[], bool] = lambda: False


def study(options: Options, request: Request) -> Record:
    """Make all runs that are not made yet, keep each as it comes, and write the record.

    Raises
    ------
    InputError
        What is there is of another study, or the file may not be replaced.
    ComputationError
        What was found could not be written.
    KeyboardInterrupt
        When ``interrupted`` says so: nothing is lost.
    """
    began = time.perf_counter()
    pending = journal_of(request.output).exists()  # of a study that was to replace what is there, perhaps
    if request.resume and request.output.exists() and not pending:
        return _whole(request.output, options)
    journal = _journal(options, request)
    complete = False
    try:
        found = {outcome.index: outcome for outcome in journal.outcomes}
        _through(options, found, journal, request)
        record = assembled(options, found, time.perf_counter() - began)
        record.save(request.output, overwrite=request.overwrite or request.resume)
        complete = True
    finally:
        (journal.remove if complete else journal.close)()
    return record


def _whole(output: Path, options: Options) -> Record:
    """Return the record of a study whose runs are all there."""
    record = read(output)
    theirs = json.loads(str(record.attributes.get("study", "null")))
    if theirs != options.identity():
        raise InputError(f"{output}: holds another study; give another file, or --overwrite")
    return record


def _journal(options: Options, request: Request) -> Journal:
    path, identity = journal_of(request.output), options.identity()
    if request.resume and path.exists():
        journal = Journal.opened(path)
        if journal.identity != identity:
            journal.close()
            raise InputError(f"{path}: holds the runs of another study; remove it, or --overwrite")
        return journal
    if path.exists() and not request.overwrite:
        raise InputError(
            f"{path}: holds the finished runs of an interrupted study; go on with it (--resume), "
            "or begin anew (--overwrite)"
        )
    discard(path)
    return Journal.created(path, identity)


def _through(options: Options, found: dict[int, Outcome], journal: Journal, request: Request) -> None:
    points = points_of(options)
    # the longest first, so that no worker is left with them at the end
    pending = sorted((one for one in points if one.index not in found), key=_cost, reverse=True)
    if not pending:
        return
    processes = request.farm.processes(len(pending), LARGEST, available_memory())
    with connected(request.farm, processes) as client:
        for batch in outcomes(client, pending, compute):
            found |= {outcome.index: outcome for outcome in batch}
            journal.append(batch)
            failures = sum(one.status == "failed" for one in found.values())
            words = f"{len(found)} of {len(points)} runs, {failures} failed"
            request.progress(words, len(found) / len(points))
            if request.interrupted() and len(found) < len(points):
                raise KeyboardInterrupt


def _cost(point: Point) -> float:
    """Cost of a run, roughly, in seconds: checks, long contexts, densities."""
    if point.family is None:
        return 10.0
    if point.family.name.startswith("context") and math.isfinite(point.value):
        return point.value / 1e4
    return 0.5 if point.family.of == "densities" else 0.1


def assembled(options: Options, found: Mapping[int, Outcome], seconds: float) -> Record:
    """Record of all runs: a group for every family, the checks, and what failed."""
    points = points_of(options)
    groups = {
        family.name: _family(family, options, [one for one in points if one.family == family], found)
        for family in options.families
    }
    failures = [_failure(point, found[point.index]) for point in points if _has_failed(point, found)]
    attributes: dict[str, Attribute] = {
        "title": "Positional encodings and the collapse of attention",
        "kind": KIND,
        "status": "finished",
        "meanfield_pde_version": shipped.version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "study": json.dumps(options.identity()),
        "seeds": options.seeds,
        "points": len(points),
        "failed": len(failures),
        "failures": json.dumps(failures),
        "seconds": seconds,
        "work": float(sum(one.seconds for one in found.values())),
    }
    return Record(_checks([one for one in points if one.family is None], found), attributes, groups)


def _has_failed(point: Point, found: Mapping[int, Outcome]) -> bool:
    return found[point.index].status == "failed"


def _failure(point: Point, outcome: Outcome) -> dict[str, Any]:
    family = "check" if point.family is None else point.family.name
    value = point.value if math.isfinite(point.value) else str(point.value)
    return {
        "family": family,
        "encoding": point.encoding,
        "value": value,
        "seed": point.seed,
        "reason": outcome.reason,
    }


def _checks(points: list[Point], found: Mapping[int, Outcome]) -> dict[str, Variable]:
    names = np.array([point.encoding for point in points])
    texts = np.array([CHECKS[point.encoding][0] for point in points])
    measures = [found[point.index].measures for point in points]
    numbers = {name: np.array([float(one.get(name, math.nan)) for one in measures]) for name in CHECKED}
    curves = {name: np.array([_curve(one, name) for one in measures]) for name in CURVES}
    return {
        "check": Variable(("check",), names, "prediction"),
        "prediction": Variable(("check",), texts, "what is predicted"),
        **{name: Variable(("check",), numbers[name], text) for name, text in CHECKED.items()},
        **{name: Variable(("check", "rung"), curves[name], text) for name, text in CURVES.items()},
    }


def _curve(measures: Mapping[str, float | str], name: str) -> FloatArray:
    """Return the curve of a check; NaN where it has none, or has failed."""
    if name not in measures:
        return np.full(RUNGS, math.nan)
    return np.array(json.loads(str(measures[name])), dtype=np.float64)


def _family(family: Family, options: Options, points: list[Point], found: Mapping[int, Outcome]) -> Record:
    """Measures over encodings, what varies, and seeds; means over seeds with 95 % intervals."""
    axis = family.name
    shape = (len(family.encodings), len(family.values), options.seeds)
    cubes: dict[str, FloatArray] = {name: np.full(shape, np.nan) for name in FOUND}
    status = np.full(shape, "none", dtype="U8")
    for point in points:
        place = family.encodings.index(point.encoding), family.values.index(point.value), point.seed
        status[place] = found[point.index].status
        for name, cube in cubes.items():
            cube[place] = float(found[point.index].measures.get(name, math.nan))
    whole = ("encoding", axis, "seed")
    variables = {
        "encoding": Variable(("encoding",), np.array(family.encodings), "encoding"),
        axis: Variable((axis,), np.array(family.values), family.axis),
        "status": Variable(whole, status, "how the run ended; none where there is no such run"),
        **{name: Variable(whole, cube, FOUND[name]) for name, cube in cubes.items()},
    }
    for name, cube in cubes.items():
        told = interval(np.moveaxis(cube, -1, 0))
        for part, values, text in (
            ("mean", told.mean, "mean over seeds"),
            ("half", told.half, "half width of the 95 % interval of the mean"),
            ("count", told.count, "seeds that have it"),
        ):
            variables[f"{name}_{part}"] = Variable(("encoding", axis), values, f"{text}: {FOUND[name]}")
    attributes: dict[str, Attribute] = {
        "title": family.title,
        "of": family.of,
        **{f"encoding_{number}": ENCODINGS[name] for number, name in enumerate(family.encodings)},
    }
    return Record(variables, attributes)
