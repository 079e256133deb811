"""Which explicit integrator moves labels: scipy's DOP853, or the exponential scheme without a linear part.

For du/dt = N(u) the exponential Runge–Kutta scheme of ``solvers`` is an explicit one of fifth order.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from benchmarks import results
from benchmarks.ours import describe
from benchmarks.problems import HIGHEST_MODE, RING, STEEP, FloatArray, Modes, Problem
from benchmarks.tuning import error
from meanfield_pde.attention.scattered import ScatteredField
from meanfield_pde.spaces import Atoms
from solvers.compiled import Tables
from solvers.integrate import Control, Semilinear, advance

PROBLEMS = (
    Problem("P8", "unnormalised", 5.0, 1.0, softmax=False, waves=STEEP, sigma=0.0),
    Problem("P9", "softmax", 2.0, 6.0, softmax=True, waves=STEEP, sigma=0.0),
    Problem("P10", "ring, softmax", 3.0, 2.0, softmax=True, waves=RING, sigma=0.0, ring=0.7, nodes=16),
)
LABELS = 128
TARGETS = (1e-8, 1e-10, 1e-12)
TOLERANCES = tuple(10.0 ** (-k / 2) for k in range(8, 28))  # tightest last
SMALLEST_RTOL = 2.3e-14  # that scipy accepts: the tolerance is absolute
REFERENCE_TOLERANCES = (1e-15, 1e-14)
REFERENCE_ERROR = 2e-13

Rate = Callable[[FloatArray], FloatArray]
Integrate = Callable[[Rate, FloatArray, float, float], FloatArray]
"""``integrate(rate, start, depth, tolerance)`` gives the displacements at the end."""


def eighth_order(rate: Rate, start: FloatArray, depth: float, tolerance: float) -> FloatArray:
    """Integrate with scipy's DOP853."""
    run = solve_ivp(lambda _, u: rate(u), (0.0, depth), start, "DOP853", rtol=SMALLEST_RTOL, atol=tolerance)
    return np.asarray(run.y[:, -1])


def fifth_order(rate: Rate, start: FloatArray, depth: float, tolerance: float) -> FloatArray:
    """Integrate with the exponential scheme of this package."""

    def write(state: FloatArray, out: FloatArray, _: Tables) -> None:
        out[0] = rate(state[0])

    control = Control(rtol=tolerance, atol=tolerance)
    run = advance(Semilinear(np.zeros(start.size), write), start[None], 0.0, depth, control)
    return run.state[0] if run.reason == "reached" else np.full(start.size, np.nan)


INTEGRATORS: dict[str, Integrate] = {
    "DOP853": eighth_order,
    "exponential, no linear part": fifth_order,
}


class Trial(NamedTuple):
    """Error and evaluations of one run."""

    tolerance: float
    error: float
    evaluations: int


@dataclass(frozen=True)
class Row:
    """The loosest tolerance that reaches an error, as all tighter ones do; evaluations, CPU seconds."""

    problem: str
    target: float
    integrator: str
    tolerance: float | None
    error: float | None
    evaluations: int | None
    seconds: float | None


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels, equally spaced in every node, that move by the attention between them.

    The state is their displacements, which have smaller rounding errors than places.
    """

    problem: Problem
    field: ScatteredField
    atoms: Atoms

    @staticmethod
    def of(problem: Problem) -> "Labels":
        """Place them, with masses by the trapezoidal rule."""
        angles = 2.0 * np.pi * np.arange(LABELS) / LABELS
        density = problem.density(angles)
        masses = (density / density.sum(axis=1, keepdims=True)).ravel()
        starts = LABELS * np.arange(problem.nodes + 1)
        atoms = Atoms(np.tile(angles, problem.nodes), masses, starts)
        return Labels(problem, describe(problem, 1e-8).scattered(), atoms)

    def moved(self, displacements: FloatArray) -> Atoms:
        """Where they are."""
        return replace(self.atoms, places=self.atoms.places + displacements)

    def rate(self, displacements: FloatArray) -> FloatArray:
        """Velocities."""
        return self.field.velocity(self.moved(displacements))[:, 0]

    def run(self, integrate: Integrate, tolerance: float, rate: Rate | None = None) -> Modes:
        """Modes 0..8 at the final depth, (nodes, 9)."""
        start = np.zeros(self.atoms.places.size)
        end = self.moved(integrate(rate or self.rate, start, self.problem.final, tolerance))
        return np.asarray(end.sums(np.exp(-1j * np.outer(end.places, np.arange(HIGHEST_MODE + 1)))))

    def reference(self) -> Modes:
        """Return the modes by DOP853; two tolerances must agree.

        Raises
        ------
        RuntimeError
            When they do not.
        """
        modes, check = (self.run(eighth_order, tolerance) for tolerance in REFERENCE_TOLERANCES)
        if not error(modes, check) <= REFERENCE_ERROR:
            raise RuntimeError(
                f"reference of {self.problem.name}: tolerances differ by {error(modes, check)}"
            )
        return modes


def trial(labels: Labels, integrate: Integrate, tolerance: float, exact: Modes) -> Trial:
    """Run once, counting evaluations."""
    evaluations = 0

    def counted(moved: FloatArray) -> FloatArray:
        nonlocal evaluations
        evaluations += 1
        return labels.rate(moved)

    modes = labels.run(integrate, tolerance, counted)
    return Trial(tolerance, error(modes, exact), evaluations)


def loosest(trials: list[Trial], target: float) -> Trial | None:
    """Return the loosest of the trials, tightest last, that reaches the target as all tighter ones do."""
    chosen = None
    for candidate in reversed(trials):
        if not candidate.error <= target:
            break
        chosen = candidate
    return chosen


def rows(problem: Problem, repetitions: int) -> Iterator[Row]:
    """Compare the integrators on a problem."""
    labels = Labels.of(problem)
    exact = labels.reference()
    trials = {
        name: [trial(labels, integrate, tolerance, exact) for tolerance in TOLERANCES]
        for name, integrate in INTEGRATORS.items()
    }
    for target in TARGETS:
        for name, integrate in INTEGRATORS.items():
            found = loosest(trials[name], target)
            if found is None:
                yield Row(problem.name, target, name, None, None, None, None)
                continue
            run = partial(labels.run, integrate, found.tolerance)
            seconds = results.median_seconds(run, repetitions)
            yield Row(problem.name, target, name, found.tolerance, found.error, found.evaluations, seconds)


def table(found: list[Row]) -> str:
    """Return the comparison as a Markdown table."""
    titles = ["problem", "error at most", "integrator", "tolerance", "error", "evaluations", "CPU ms"]
    return results.markdown(titles, [_cells(row) for row in found], names=3)


def _cells(row: Row) -> list[str]:
    names = [row.problem, f"{row.target:.0e}", row.integrator]
    if row.error is None or row.seconds is None:
        return [*names, "not reached", "", "", ""]
    return [
        *names,
        f"{row.tolerance:.0e}",
        f"{row.error:.1e}",
        str(row.evaluations),
        f"{1e3 * row.seconds:.3g}",
    ]


def main(arguments: list[str]) -> None:
    options = results.options("integrators", __doc__, arguments)
    found = [row for problem in PROBLEMS for row in rows(problem, options.repetitions)]
    results.publish("integrators", table(found), [asdict(row) for row in found], keep=options.write)
