"""The three methods on the same problems: error against resolution and against CPU time."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

import meanfield_pde as mf
from benchmarks import results, scipy_script
from benchmarks.ours import describe, final_modes, ours
from benchmarks.problems import RING, STEEP, Modes, Problem
from benchmarks.tuning import error
from meanfield_pde.methods import choose
from meanfield_pde.problem import MethodName
from meanfield_pde.problem import Problem as MeanFieldProblem
from solvers.travel import travel

NOISY = Problem("P5", "noise, unnormalised", 3.0, 1.0, softmax=False, waves=STEEP, sigma=0.2)
RING_NOISY = Problem(
    "P6", "noise, additive ring, softmax", 2.0, 2.0, softmax=True, waves=RING, sigma=0.1, ring=0.5, nodes=16
)
NOISELESS = Problem("P7", "no noise, softmax", 4.0, 1.0, softmax=True, waves=STEEP, sigma=0.0)
PROBLEMS = (NOISY, RING_NOISY, NOISELESS)

TOLERANCES = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
VOLUMES = (80, 160, 320, 640, 1280)
GRIDS = (12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 72, 80, 90, 100)
REFERENCE_RTOL = 1e-12
REFERENCE_ERROR = 1e-12
CHECK = {"P5": 320, "P6": 64, "P7": 160}  # angles of the scipy script
ONE_GRID = "spectral, one grid"


@dataclass(frozen=True)
class Row:
    """One run: unknowns per node at its end, error, CPU seconds of its start and steps where measured."""

    problem: str
    method: str
    setting: str
    resolution: int
    error: float
    seconds: float | None


def reference(problem: Problem) -> Modes:
    """Return the modes by the spectral method at rtol = 1e-12, without noise by characteristics.

    Raises
    ------
    RuntimeError
        When the scipy script, which shares no code with them, differs by more than 1e-12.
    """
    method: MethodName = "spectral" if problem.sigma > 0.0 else "characteristics"
    modes = final_modes(mf.solve(describe(problem, REFERENCE_RTOL, method)))
    difference = error(modes, scipy_script.prepare(problem, CHECK[problem.name], REFERENCE_RTOL)())
    if not difference <= REFERENCE_ERROR:
        raise RuntimeError(
            f"reference of {problem.name}: {method} and the scipy script differ by {difference}"
        )
    return modes


def walk(described: MeanFieldProblem) -> None:
    """Start the method and step to the end, without the diagnostics of ``meanfield_pde.solve``."""
    reason = travel(choose.begin(described).method, list(described.depths[1:]), lambda *_: None)
    if reason != "reached":
        raise RuntimeError(
            f"methods: {described.method} must reach the end, got {reason}; change the problem"
        )


def row(problem: Problem, setting: str, described: MeanFieldProblem, exact: Modes, repetitions: int) -> Row:
    """Run a method as users do for its error, and its steps alone for their time."""
    solution = mf.solve(described)
    walk(described)
    seconds = results.median_seconds(lambda: walk(described), repetitions)
    size, found = int(solution.grid_size[-1]), error(final_modes(solution), exact)
    return Row(problem.name, described.method, setting, size, found, seconds)


def rows(problem: Problem, repetitions: int) -> Iterator[Row]:
    """Make all runs of a problem with every method that serves it."""
    exact = reference(problem)
    smooth: tuple[MethodName, ...] = ("spectral",) if problem.sigma > 0.0 else ("spectral", "characteristics")
    for method in smooth:
        for rtol in TOLERANCES:
            described = describe(problem, rtol, method)
            yield row(problem, f"rtol = {rtol:.0e}", described, exact, repetitions)
    for cells in VOLUMES:
        described = describe(problem, min(TOLERANCES), "finite-volume", cells)
        yield row(problem, "", described, exact, repetitions)
    for points in GRIDS:
        found = error(ours(problem, points, REFERENCE_RTOL)(), exact)
        yield Row(problem.name, ONE_GRID, f"rtol = {REFERENCE_RTOL:.0e}", points, found, None)


def table(found: list[Row]) -> str:
    """Return the timed runs as a Markdown table, with the order between a run and the one before on cells."""
    found = [run for run in found if run.seconds is not None]
    orders = [""] + [
        f"{results.observed_order((coarse.resolution, fine.resolution), (coarse.error, fine.error)):.2f}"
        if coarse.problem == fine.problem and coarse.method == fine.method == "finite-volume"
        else ""
        for coarse, fine in pairwise(found)
    ]
    cells = [
        [
            run.problem,
            run.method,
            run.setting,
            f"{run.resolution:,}",
            f"{run.error:.1e}",
            order,
            f"{1e3 * (run.seconds or 0.0):.3g}",
        ]
        for run, order in zip(found, orders, strict=True)
    ]
    titles = ["problem", "method", "setting", "unknowns per node", "error", "order", "CPU ms"]
    return results.markdown(titles, cells, names=3)


def main(arguments: list[str]) -> None:
    from benchmarks import methods_figure

    options = results.options("methods", __doc__, arguments)
    found = [run for problem in PROBLEMS for run in rows(problem, options.repetitions)]
    results.publish("methods", table(found), [asdict(run) for run in found], keep=options.write)
    if options.write:
        methods_figure.draw(found, PROBLEMS, results.FOLDER / "methods.png")
