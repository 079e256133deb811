"""The published density scheme beside meanfield-pde: three clusters from an almost uniform law, no noise."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

import meanfield_pde as mf
from benchmarks import label_sums, lax_friedrichs, results
from benchmarks.lax_friedrichs import Grid
from benchmarks.ours import describe, final_modes
from benchmarks.problems import Modes, Problem, Wave
from benchmarks.tuning import error
from meanfield_pde.problem import Problem as MeanFieldProblem

# ρ₀ = (1 + (cos θ + sin 2θ + 0.6 cos 3θ + 0.8 sin 3θ) / 1000) / 2π: the third wave grows fastest at β = 5.
ALMOST_UNIFORM = (Wave(1, cosine=1e-3), Wave(2, sine=1e-3), Wave(3, cosine=6e-4, sine=8e-4))
PROBLEM = Problem("P4", "three clusters", 5.0, 0.5, softmax=False, waves=ALMOST_UNIFORM, sigma=0.0)

CELLS = (500, 1000, 2500, 5000, 10_000)
LARGEST_WHOLE = 5000  # with more cells a few steps are timed, and the time of all follows from their number
SAMPLED_STEPS = 200
TOLERANCES = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
VOLUMES = (256, 512, 1024, 2048, 4096)
PUBLISHED, LABELS, FINITE_VOLUMES = "Lax–Friedrichs, dense sums", "characteristics", "finite volumes"


@dataclass(frozen=True)
class Row:
    """One run; ``size`` is the number of cells or labels, ``stored_bytes`` what all steps would take."""

    scheme: str
    setting: str
    size: int
    error: float
    seconds: float
    extrapolated: bool = False
    stored_bytes: int = 0


def published(problem: Problem, cells: int, exact: Modes) -> Row:
    """Run the published scheme, its dense sums as far as they are affordable."""
    grid = Grid(problem, cells)
    whole = cells <= LARGEST_WHOLE
    timed = lax_friedrichs.run(grid, lax_friedrichs.dense(grid), None if whole else SAMPLED_STEPS)
    modes = timed.modes if whole else lax_friedrichs.run(grid, lax_friedrichs.transformed(grid)).modes
    seconds = timed.seconds if whole else timed.seconds / SAMPLED_STEPS * grid.steps
    steps, found = f"{grid.steps:,} steps", error(modes, exact)
    return Row(PUBLISHED, steps, cells, found, seconds, not whole, grid.stored_bytes)


def own(scheme: str, setting: str, described: MeanFieldProblem, exact: Modes, repetitions: int) -> Row:
    """Run ``meanfield_pde.solve``, all of it: start, steps, diagnostics, distances."""
    solution = mf.solve(described)  # warms up, too
    seconds = results.median_seconds(lambda: mf.solve(described), repetitions)
    return Row(scheme, setting, int(solution.grid_size[-1]), error(final_modes(solution), exact), seconds)


def rows(problem: Problem, repetitions: int) -> Iterator[Row]:
    """Make all runs."""
    exact = label_sums.reference(problem)
    for rtol in TOLERANCES:
        described = describe(problem, rtol, "characteristics")
        yield own(LABELS, f"rtol = {rtol:.0e}", described, exact, repetitions)
    for cells in VOLUMES:
        described = describe(problem, min(TOLERANCES), "finite-volume", cells)
        yield own(FINITE_VOLUMES, "", described, exact, repetitions)
    for cells in CELLS:
        yield published(problem, cells, exact)


def table(found: list[Row]) -> str:
    """Return the runs as a Markdown table, with the order between a run and the one before on cells."""
    orders = [""] + [
        f"{results.observed_order((coarse.size, fine.size), (coarse.error, fine.error)):.2f}"
        if coarse.scheme == fine.scheme != LABELS
        else ""
        for coarse, fine in pairwise(found)
    ]
    titles = ["scheme", "setting", "cells or labels", "error", "order", "CPU s", "GB to store every step"]
    cells = [
        [
            row.scheme,
            row.setting,
            f"{row.size:,}",
            f"{row.error:.1e}",
            order,
            f"{row.seconds:.3g}" + (" (extrapolated)" if row.extrapolated else ""),
            f"{row.stored_bytes / 1e9:.2g}" if row.stored_bytes else "",
        ]
        for row, order in zip(found, orders, strict=True)
    ]
    return results.markdown(titles, cells, names=2)


def main(arguments: list[str]) -> None:
    options = results.options("notebook", __doc__, arguments)
    found = list(rows(PROBLEM, options.repetitions))
    results.publish("notebook", table(found), [asdict(row) for row in found], keep=options.write)
