"""What the benchmarks of the methods share: timing, observed orders, Markdown tables, results in files."""

import argparse
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.peers import REPORT, machine, write
from benchmarks.tuning import cpu_seconds

FOLDER = Path(__file__).with_name("results")
PAGE = REPORT
LONGEST = 4.0  # CPU seconds after which a run is not repeated


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
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=description)
    parser.add_argument(
        "--write",
        action="store_true",
        help=f"write {FOLDER.name}/{name}.json and put the table into README.md, both beside this script",
    )
    parser.add_argument("--repetitions", type=int, default=5, help="timings of each run, at most")
    return parser.parse_args(arguments)


def publish(name: str, table: str, records: list[dict[str, Any]], *, keep: bool) -> None:
    """Print the table; with ``keep`` also write the numbers as JSON, and the table between its markers."""
    report = f"{table}\n\n{machine()}"
    print(report)
    if keep:
        FOLDER.mkdir(exist_ok=True)
        content = json.dumps({"machine": machine(), "runs": records}, indent=1) + "\n"
        (FOLDER / f"{name}.json").write_text(content, encoding="utf-8")
        write(report, PAGE, (f"<!-- {name}:begin -->", f"<!-- {name}:end -->"))
