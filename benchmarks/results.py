"""What benchmarks share: timing, observed orders, tables, results in files beside those of before."""

import argparse
import json
import math
import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers import REPORT, machine, processor, write
from benchmarks.tuning import cpu_seconds

FOLDER = Path(__file__).with_name("results")
PAGE = REPORT
LONGEST = 4.0  # CPU seconds after which a run is not repeated
MEASURED = ("seconds", "error")  # numbers of a run that are compared with those of before
PACKAGES = ("meanfield-pde", "numpy", "scipy", "numba", "rocket-fft", "POT")

Record = dict[str, Any]


def median_seconds(run: Callable[[], object], repetitions: int) -> float:
    """Median process CPU seconds of at most so many runs; the caller has warmed up."""
    timings: list[float] = []
    while len(timings) < repetitions and sum(timings) < LONGEST:
        timings.append(cpu_seconds(run))
    return median(timings)


def observed_order(sizes: Sequence[float], errors: Sequence[float]) -> float:
    """Negative slope of log error against log size between two runs."""
    return -math.log(errors[1] / errors[0]) / math.log(sizes[1] / sizes[0])


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]], names: int) -> str:
    """Return a table whose first ``names`` columns are words and whose others are numbers."""
    rule = ["---"] * names + ["---:"] * (len(titles) - names)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [titles, rule, *rows])


def options(name: str, description: str | None, arguments: list[str]) -> argparse.Namespace:
    """Options that these benchmarks have in common."""
    return parser_of(name, description).parse_args(arguments)


def parser_of(name: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that these benchmarks have in common."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=description)
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"write {FOLDER.name}/{name}.json and put the table into README.md, both beside this script",
    )
    parser.add_argument("--repetitions", type=int, default=5, help="timings of each run, at most")
    return parser


def facts() -> Record:
    """Machine, load and versions that a measurement was made with."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
        "memory_gib": round(memory, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def publish(
    name: str, table: str, records: list[Record], *, keep: bool, measured: Sequence[str] = MEASURED
) -> None:
    """Print the table, and how the runs compare with those in the file of results.

    With ``keep`` also write the numbers as JSON with the facts of the machine, and the table into its place.
    """
    report = f"{table}\n\n{machine()}"
    print(report)
    before = earlier(name)
    if before is not None:
        print(beside(before, records, measured))
    if keep:
        FOLDER.mkdir(exist_ok=True)
        content = json.dumps({"machine": machine(), "facts": facts(), "runs": records}, indent=1) + "\n"
        (FOLDER / f"{name}.json").write_text(content, encoding="utf-8")
        write(report, PAGE, (f"<!-- {name}:begin -->", f"<!-- {name}:end -->"))


def earlier(name: str) -> Record | None:
    """Return the results in the file, None where there are none."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) and isinstance(found.get("runs"), list) else None


def beside(before: Record, records: list[Record], measured: Sequence[str] = MEASURED) -> str:
    """Return the ratios of the numbers of every run to those of the same run before, and their medians.

    Runs are the same when all their words are; of several with the same words the first is the first before.
    """
    known = dict(zip(_keys(before["runs"]), before["runs"], strict=True))
    rows: list[list[str]] = []
    found: dict[str, list[float]] = {name: [] for name in measured}
    for key, record in zip(_keys(records), records, strict=True):
        ratios = {name: _ratio(record.get(name), known.get(key, {}).get(name)) for name in measured}
        for name, ratio in ratios.items():
            found[name] += [] if ratio is None else [ratio]
        cells = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios.values()]
        rows += [[" · ".join(key[0]), *cells]] if any(cells) else []
    when = before.get("facts", {}).get("measured", "at an unknown time")
    if not rows:
        return f"\nNothing to compare in the results written {when}."
    rows.append(["median", *(f"{median(values):.2f}" if values else "" for values in found.values())])
    used = [place for place, name in enumerate(measured, 1) if found[name]]
    shown = [[row[0], *(row[place] for place in used)] for row in rows]
    titles = ["run", *(f"{measured[place - 1]}, times" for place in used)]
    return f"\nBeside the results written {when}:\n\n{markdown(titles, shown, names=1)}"


def _keys(records: Iterable[Record]) -> list[tuple[tuple[str, ...], int]]:
    """Words of every run, with a count of those before that have the same."""
    seen: Counter[tuple[str, ...]] = Counter()
    keys = []
    for record in records:
        words = tuple(value for value in record.values() if isinstance(value, str))
        keys.append((words, seen[words]))
        seen[words] += 1
    return keys


def _ratio(now: object, before: object) -> float | None:
    """Return the one number over the other; None where one is missing, or is not positive."""
    if not (isinstance(now, int | float) and isinstance(before, int | float)):
        return None
    return now / before if now > 0 and before > 0 else None
