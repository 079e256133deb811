"""Measurements: tables made from the files that the benchmarks wrote."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generated.markdown import directive, table

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
Runs = list[dict[str, Any]]


def verify(runs: Runs) -> str:
    """Every row of exact results: how many checks pass, and which one is nearest to its tolerance."""
    rows: dict[str, Runs] = defaultdict(list)
    for run in runs:
        rows[run["row"].removeprefix("row ")].append(run)
    return table(
        ["row", "pass", "nearest to its tolerance", "error", "tolerance"],
        [_checked(row, rows[row]) for row in sorted(rows, key=int)],
    )


def _checked(row: str, runs: Runs) -> list[str]:
    nearest = max(runs, key=lambda run: run["error"] / run["tolerance"] if run["tolerance"] else run["error"])
    passed = sum(run["passed"] for run in runs)
    errors = [f"{nearest[name]:.1e}" for name in ("error", "tolerance")]
    return [row, f"{passed} of {len(runs)}", nearest["what"], *errors]


def convergence(runs: Runs) -> str:
    """Errors of every method on every space, from the coarsest to the finest run."""
    rows = [
        [
            run["space"],
            run["method"],
            f"{run['counted']} {run['sizes'][0]:g} … {run['sizes'][-1]:g}",
            f"{run['errors'][0]:.1e} … {run['errors'][-1]:.1e}",
            _rate(run),
            "pass" if run["passed"] else "fail",
        ]
        for run in runs
    ]
    return table(["space", "method", "over", "error", "observed", "verdict"], rows)


def _rate(run: dict[str, Any]) -> str:
    if run["kind"] == "exponential":
        return f"{run['rate']:.2f} digits a degree"
    if run["kind"] == "algebraic":
        return f"order {run['rate']:.2f}"
    return f"error / rtol ≤ {run['rate']:.0e}"


def particles(runs: Runs) -> str:
    """Distances of N tokens to the density, and their rates."""
    slopes = [run for run in runs if "slope" in run]
    means = {(run["case"], run["measure"], run["tokens"]): run["mean"] for run in runs if "tokens" in run}
    counts = sorted({key[2] for key in means})
    rows = []
    for run in slopes:
        errors = [means.get((run["case"], run["measure"], count)) for count in counts]
        shown = ["" if error is None else f"{error:.1e}" for error in errors]
        rows.append([run["case"], run["measure"], *shown, f"{run['slope']:.3f} ± {run['half']:.3f}"])
    return table(["case", "distance", *(f"N = {count:,}" for count in counts), "rate"], rows)


def peers(runs: Runs) -> str:
    """CPU time to a given error, beside other programs."""
    rows = [
        [run["problem"], run["at"], run.get("peer", "numpy and scipy"), f"{run['ratio']:.1f}"]
        for run in runs
        if run.get("ratio") is not None
    ]
    return table(["problem", "error at most", "beside", "times our CPU time"], rows)


def scaling(runs: Runs) -> str:
    """Time and memory over the number of auxiliary nodes, with one thread."""
    found = [run for run in runs if run.get("series") == "nodes"]
    cases = list(dict.fromkeys(run["case"] for run in found))
    cells = {(run["nodes"], run["case"]): run for run in found}
    rows = [
        [f"{nodes:,}", *(_cost(cells.get((nodes, case))) for case in cases)]
        for nodes in sorted({run["nodes"] for run in found})
    ]
    exponents = [run for run in runs if run.get("series") == "exponent"]
    fits = {run["case"]: f"{run['slope']:.2f} ± {run['half']:.2f}" for run in exponents}
    return table(["nodes", *cases], [*rows, ["exponent of time", *(fits.get(case, "") for case in cases)]])


def _cost(run: dict[str, Any] | None) -> str:
    if run is None:
        return ""
    return f"{run['microseconds'] / run['nodes']:.2f} µs a node, {run['bytes']:.0f} bytes an unknown"


WRITERS = {
    "verify": verify,
    "convergence": convergence,
    "particles": particles,
    "peers": peers,
    "scaling": scaling,
}


def measured(name: str) -> str:
    """Return the table of a benchmark, and what it was measured on."""
    held = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return f"{WRITERS[name](held['runs'])}\n*{held['machine']}*\n"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("measured", directive(measured, 1))
    return {"parallel_read_safe": True}
