"""CPU time to a given error: the scipy script and meanfield-pde in one process and thread, warm, in turns."""

import argparse
import math
import os
import platform
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy

from benchmarks import scipy_script
from benchmarks.ours import ours
from benchmarks.problems import PROBLEMS, Prepare, Problem
from benchmarks.tuning import Trial, cheapest, cpu_seconds, survey

TARGETS = (1e-3, 1e-6, 1e-10)
CONTENDERS: dict[str, Prepare] = {"scipy": scipy_script.prepare, "meanfield-pde": ours}
LEAST_SECONDS = 5e-3  # a timing lasts at least this long: several calls when one is shorter
ASKED = {"P1": 10.0, "P2": 2.5, "P3": 5.0}  # times less CPU time than the script, at this error
ASKED_AT = 1e-6
REPORT = Path(__file__).with_name("README.md")
MARKERS = ("<!-- peers:begin -->", "<!-- peers:end -->")


@dataclass(frozen=True)
class Measurement:
    """A contender's chosen setting, with median CPU seconds of a warm run and of its preparation."""

    trial: Trial
    seconds: float
    preparation: float


@dataclass(frozen=True)
class Row:
    """One problem at one target; a contender that does not reach the target is missing."""

    problem: Problem
    target: float
    measurements: dict[str, Measurement]

    @property
    def ratio(self) -> float | None:
        """How many times less CPU time meanfield-pde takes than the script."""
        if set(self.measurements) != set(CONTENDERS):
            return None
        return self.measurements["scipy"].seconds / self.measurements["meanfield-pde"].seconds


def compare(problem: Problem, contenders: dict[str, Prepare], repetitions: int) -> list[Row]:
    """Tune every contender on the problem, then measure the chosen settings against each other."""
    surveys = {name: survey(prepare, problem) for name, prepare in contenders.items()}
    rows = []
    for target in TARGETS:
        chosen = {name: cheapest(trials, target) for name, trials in surveys.items()}
        reached = {name: trial for name, trial in chosen.items() if trial is not None}
        rows.append(Row(problem, target, measure(problem, contenders, reached, repetitions)))
    return rows


def measure(
    problem: Problem, contenders: dict[str, Prepare], chosen: dict[str, Trial], repetitions: int
) -> dict[str, Measurement]:
    """Time the contenders in turn, so that a disturbance of the machine hits all of them; medians."""
    prepare = {
        name: partial(contenders[name], problem, trial.resolution, trial.rtol)
        for name, trial in chosen.items()
    }
    runs = {name: build() for name, build in prepare.items()}
    calls = {name: max(1, math.ceil(LEAST_SECONDS / trial.seconds)) for name, trial in chosen.items()}
    timings: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(repetitions):
        for name, run in runs.items():
            timings[name].append(cpu_seconds(run, calls[name]))
    preparation = {name: median(cpu_seconds(build) for _ in range(3)) for name, build in prepare.items()}
    return {
        name: Measurement(trial, median(timings[name]), preparation[name]) for name, trial in chosen.items()
    }


def table(rows: list[Row], contenders: dict[str, Prepare]) -> str:
    """Return the rows as a Markdown table."""
    titles = ["problem", "error at most"]
    for name in contenders:
        titles += [f"{name}: CPU ms", "angles, rtol", "error", "set-up ms"]
    titles += ["times less CPU"] if len(contenders) == len(CONTENDERS) else []
    lines = [titles, ["---"] * 2 + ["---:"] * (len(titles) - 2)]
    lines += [_cells(row, contenders, with_ratio=len(contenders) == len(CONTENDERS)) for row in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cells(row: Row, contenders: dict[str, Prepare], *, with_ratio: bool) -> list[str]:
    cells = [row.problem.name, f"{row.target:.0e}"]
    for name in contenders:
        found = row.measurements.get(name)
        cells += _contender_cells(found) if found else ["not reached", "", "", ""]
    if with_ratio:
        cells.append("" if row.ratio is None else f"{row.ratio:.1f}")
    return cells


def _contender_cells(found: Measurement) -> list[str]:
    trial = found.trial
    return [
        f"{1e3 * found.seconds:.3g}",
        f"{trial.resolution}, {trial.rtol:.0e}",
        f"{trial.error:.1e}",
        f"{1e3 * found.preparation:.2g}",
    ]


def record(row: Row) -> dict[str, Any]:
    """Return the numbers of a row, for the file of results."""
    found = {name: asdict(one) for name, one in row.measurements.items()}
    return {"problem": row.problem.name, "at": f"{row.target:.0e}", "ratio": row.ratio, **found}


def others_beside(problem: Problem, rows: list[Row]) -> list[dict[str, Any]]:
    """Find the cheapest settings of other packages that are installed, and their CPU times over ours."""
    from benchmarks import others

    ours_at = {
        row.target: row.measurements["meanfield-pde"].seconds
        for row in rows
        if row.problem == problem and "meanfield-pde" in row.measurements
    }
    return [
        {
            "problem": problem.name,
            "peer": name,
            "at": f"{target:.0e}",
            "ratio": found.seconds / ours_at[target] if found and target in ours_at else None,
            "trial": asdict(found) if found else None,
        }
        for name in others.installed()
        for target, found in others.cheapest(name, problem, TARGETS)
    ]


def others_table(found: list[dict[str, Any]]) -> str:
    """Return what other packages take as a Markdown table, empty where none is installed."""
    lines = []
    for one in found:
        trial = one["trial"]
        cells = [one["problem"], one["peer"], one["at"]]
        if trial is None:
            lines.append([*cells, "not reached", "", "", ""])
            continue
        ratio = "" if one["ratio"] is None else f"{one['ratio']:.1f}"
        setting = f"{trial['resolution']}, {trial['rtol']:g}"
        lines.append([*cells, f"{1e3 * trial['seconds']:.3g}", setting, f"{trial['error']:.1e}", ratio])
    if not lines:
        return ""
    titles = ["problem", "package", "error at most", "CPU ms", "angles, setting", "error", "times our CPU"]
    rule = ["---"] * 3 + ["---:"] * 4
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [titles, rule, *lines])


def machine() -> str:
    """Return one line on what the numbers were measured with."""
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    threads = os.environ.get("OMP_NUM_THREADS", str(os.cpu_count()))
    return f"Measured with {threads} thread(s) on {processor()}, {versions}."


def processor() -> str:
    """Return the model of the processor, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def write(report: str, path: Path = REPORT, markers: tuple[str, str] = MARKERS) -> None:
    """Replace what stands between the markers of ``path``.

    Raises
    ------
    ValueError
        When the markers are not there.
    """
    begin, end = markers
    text = path.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path}: must hold {begin} and {end} once each")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    path.write_text(f"{before}{begin}\n{report}\n{end}{after}", encoding="utf-8")


def main(arguments: list[str]) -> None:
    from benchmarks import results  # which needs this module

    parser = argparse.ArgumentParser(prog="python -m benchmarks peers", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help=f"put the table into {REPORT.name} beside this script"
    )
    parser.add_argument("--repetitions", type=int, default=21, help="interleaved timings of each contender")
    parser.add_argument(
        "--problem", choices=[p.name for p in PROBLEMS], help="one problem only (not with --write)"
    )
    options = parser.parse_args(arguments)
    if options.write and options.problem:
        parser.error("--write needs all problems")
    contenders = CONTENDERS
    problems = [problem for problem in PROBLEMS if options.problem in {None, problem.name}]
    rows = [row for problem in problems for row in compare(problem, contenders, options.repetitions)]
    beside = [one for problem in problems for one in others_beside(problem, rows)]
    shown = "\n\n".join(part for part in (table(rows, contenders), others_table(beside)) if part)
    results.publish("peers", shown, [*map(record, rows), *beside], keep=options.write, measured=("ratio",))
    short = [
        row for row in rows if row.target == ASKED_AT and not (row.ratio or 0.0) >= ASKED[row.problem.name]
    ]
    for row in short:
        print(f"{row.problem.name}: {row.ratio} times less CPU time, asked are {ASKED[row.problem.name]:g}")
