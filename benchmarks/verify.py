"""Every exact result of MODEL.md, section 7: computed, exact, error, tolerance, verdict."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from benchmarks import results, rows_tokens, rows_uniform
from benchmarks.checks import Check

GROUPS: dict[str, Callable[[], Iterator[Check]]] = {
    "1": rows_uniform.decay,
    "2": rows_uniform.rates,
    "3, 4": rows_uniform.transitions,
    "5": rows_uniform.kuramoto,
    "6": rows_tokens.orthonormal,
    "7": rows_tokens.equivariance,
    "8": rows_tokens.chaos,
    "9, 10": rows_tokens.rotary,
    "11": rows_tokens.ring,
}
ROWS = range(1, 12)
ERRORS = (ArithmeticError, LookupError, RuntimeError, ValueError)
WIDTH = 150


def checked(console: Console) -> tuple[list[Check], list[str]]:
    """Make all checks, and say what could not be computed at all."""
    found: list[Check] = []
    failures: list[str] = []
    for name, group in GROUPS.items():
        start, before = time.perf_counter(), len(found)
        try:
            found.extend(group())
        except ERRORS as error:
            failures.append(f"rows {name}: {type(error).__name__}: {error}")
        console.print(f"rows {name}: {len(found) - before} checks, {time.perf_counter() - start:.1f} s")
    missing = sorted(set(ROWS) - {one.row for one in found})
    return found, failures + [f"row {row}: nothing was checked" for row in missing]


def table(found: list[Check]) -> Table:
    """Return the checks as a table for the terminal."""
    shown = Table(title="Exact results of MODEL.md, section 7", row_styles=["", "dim"])
    for title, justify in zip(
        ("row", "what", "computed", "exact", "error", "tolerance", "allows for", "verdict"),
        ("right", "left", "right", "right", "right", "right", "left", "left"),
        strict=True,
    ):
        shown.add_column(title, justify="right" if justify == "right" else "left", overflow="fold")
    for one in sorted(found, key=lambda check: check.row):
        verdict = "[green]pass[/]" if one.passed else "[bold red]FAIL[/]"
        numbers = (f"{one.computed:.9g}", f"{one.exact:.9g}", f"{one.error:.1e}", f"{one.tolerance:.1e}")
        shown.add_row(str(one.row), one.what, *numbers, one.why, verdict)
    return shown


def summary(found: list[Check]) -> str:
    """One line a row for README.md: checks, the error nearest to its tolerance, verdict."""
    lines = []
    for row in ROWS:
        own = [one for one in found if one.row == row]
        if own:
            worst = max(own, key=lambda one: one.error / one.tolerance if one.tolerance else one.error)
            passed = sum(one.passed for one in own)
            cells = [
                f"{row}",
                f"{passed} of {len(own)}",
                worst.what,
                f"{worst.error:.1e}",
                f"{worst.tolerance:.1e}",
            ]
            lines.append(cells)
    return results.markdown(["row", "pass", "nearest to its tolerance", "error", "tolerance"], lines, names=3)


def main(arguments: list[str]) -> None:
    options = results.options("verify", __doc__, arguments)
    console = Console(width=WIDTH if not sys.stdout.isatty() else None)
    start = time.perf_counter()
    found, failures = checked(console)
    console.print(table(found))
    seconds = time.perf_counter() - start
    for failure in failures:
        console.print(f"[bold red]{failure}[/]")
    records = [{**asdict(one), "row": f"row {one.row}", "passed": one.passed} for one in found]
    results.publish("verify", summary(found), records, keep=options.write, measured=("error",))
    wrong = sum(not one.passed for one in found) + len(failures)
    console.print(f"{len(found)} checks in {seconds:.0f} s, {wrong} failed")
    if wrong:
        sys.exit(1)
