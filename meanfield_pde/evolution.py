"""Solve a problem in depth: spectral in space, exponential steps, grids refined as the density asks."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.observables import observe
from meanfield_pde.solution import Saved, Solution, Totals, assemble
from solvers.integrate import Control, Semilinear, integrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.equation import Equation
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space

__all__ = ["Interrupted", "Progress", "StoppedError", "solve"]

#: Tolerance of the time stepper as a share of the problem's: near-uniform laws amplify errors within it.
STEP_SHARE = 0.5
#: Coefficients in the tail of the spectrum, as a share of atol, from which the grid is refined.
TAIL_SHARE = 0.5
#: Problems with fewer unknowns (nodes × points) run on one thread.
THREADED_SIZE = 2**19
#: Weight of step errors in the highest mode.
TAIL_WEIGHT = 1e4
#: Factor by which a refined grid is finer.
REFINEMENT = 1.25


@dataclass(frozen=True)
class Progress:
    """Where a solve is: depth, its end, step, resolution, accepted and rejected steps."""

    depth: float
    final: float
    step: float
    resolution: int
    accepted: int
    rejected: int


class StoppedError(ComputationError):
    """The solve could not be finished; ``solution`` holds what was reached."""

    def __init__(self, message: str, solution: Solution) -> None:
        super().__init__(message)
        self.solution = solution


class Interrupted(KeyboardInterrupt):
    """The user stopped the solve; ``solution`` holds what was reached."""

    def __init__(self, solution: Solution) -> None:
        super().__init__("interrupted")
        self.solution = solution


@dataclass
class _Run:
    """A solve under way: the equation on the current grid, what was saved so far, and the count of steps."""

    problem: Problem
    equation: Equation
    report_to: Callable[[Progress], None] | None
    saved: list[Saved] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    counts: tuple[int, int] = (0, 0)

    def control(self) -> Control:
        accuracy, space = self.problem.accuracy, self.equation.space
        return Control(
            rtol=STEP_SHARE * accuracy.rtol,
            atol=STEP_SHARE * accuracy.atol,
            guard=guard(space, accuracy.atol)[space.constant :],
            weights=error_weights(space),
        )

    def observe(self, index: int, depth: float, state: FloatArray) -> None:  # noqa: ARG002
        coefficients = self.equation.coefficients(state)
        diagnostics = observe(self.equation, coefficients)
        self.saved.append(Saved(depth, self.equation.space, coefficients, diagnostics))

    def refine(self, depth: float, state: FloatArray) -> tuple[Semilinear, FloatArray, Control] | None:  # noqa: ARG002
        coefficients = self.equation.coefficients(state)
        finer = refined(self.problem, self.equation)
        if finer is None:
            return None
        self.equation = finer
        return finer.system(), finer.state(finer.space.pad(coefficients)), self.control()

    def report(self, depth: float, step: float, accepted: int, rejected: int) -> None:
        self.counts = (accepted, rejected)
        if self.report_to is not None:
            final, resolution = float(self.problem.depths[-1]), self.equation.space.resolution
            self.report_to(Progress(depth, final, step, resolution, accepted, rejected))

    def solution(self, totals: Totals) -> Solution:
        return assemble(self.problem, self.saved, totals, time.perf_counter() - self.started)


def solve(
    problem: Problem, progress: Callable[[Progress], None] | None = None, threads: int | None = None
) -> Solution:
    """Solve ∂_t ρ + div(ρ(V[f] + F)) = σΔρ from the first to the last depth.

    Parameters
    ----------
    problem
        What to solve.
    progress
        Called a few times a second.
    threads
        Threads; by default one for small problems, else all cores.

    Raises
    ------
    StoppedError
        When the finest grid or the smallest step does not suffice; it carries what was reached.
    Interrupted
        On Ctrl-C; it carries what was reached.
    """
    with limited(threads or fitting_threads(problem)):
        return _solve(problem, progress)


def _solve(problem: Problem, progress: Callable[[Progress], None] | None) -> Solution:
    equation, state = start(problem)
    run = _Run(problem, equation, progress)
    try:
        outcome = integrate(
            equation.system(),
            state,
            problem.depths,
            run.control(),
            observe=run.observe,
            refine=run.refine,
            progress=run.report,
        )
    except KeyboardInterrupt:
        if not run.saved:
            raise
        raise Interrupted(run.solution(Totals("interrupted", *run.counts, 0))) from None
    totals = Totals("finished", outcome.accepted, outcome.rejected, outcome.evaluations)
    if outcome.reason == "reached":
        return run.solution(totals)
    if not run.saved or outcome.depth > run.saved[-1].depth:
        run.observe(-1, outcome.depth, outcome.state)
    solution = run.solution(replace(totals, status="stopped"))
    raise StoppedError(_explain(problem, outcome.reason, outcome.depth), solution)


def _explain(problem: Problem, reason: str, depth: float) -> str:
    final = problem.depths[-1]
    if reason == "guard":
        return (
            f"stopped at depth {depth:.6g} of {final:g}: the density needs more than "
            f"solver.max_resolution = {problem.accuracy.max_resolution} grid points; "
            "raise it, raise noise.sigma, or end earlier (time.final)"
        )
    return (
        f"stopped at depth {depth:.6g} of {final:g}: the step fell below rounding error; "
        "the velocity is too large: lower attention.beta or use normalization = 'softmax'"
    )


def guard(space: Space, atol: float) -> FloatArray:
    """Reciprocals of the largest coefficients of a resolved density.

    The highest may not exceed a share of atol. From half the highest degree on, atol^(r²) bounds those of
    relative degree r: smooth densities stay far below it, and symmetric ones, whose coefficients have gaps
    that may hide the highest from view, cannot pass unseen.
    """
    relative = np.sqrt(space.eigenvalues / space.eigenvalues.max())
    graded = np.where(relative >= 0.5, atol ** -(relative**2), 0.0)
    return np.asarray(np.maximum(graded, space.tail_weights() / (TAIL_SHARE * atol)))


def error_weights(space: Space) -> FloatArray:
    """Growth with the degree: noise of the highest modes stays far below the tail of the spectrum."""
    degree = np.sqrt(space.eigenvalues[space.constant :])
    return np.asarray(TAIL_WEIGHT ** (degree / degree.max()))


def start(problem: Problem) -> tuple[Equation, FloatArray]:
    """Return equation and state on the coarsest grid that resolves the initial densities.

    It is at least as fine as the one asked for.

    Raises
    ------
    ComputationError
        When the finest grid does not.
    """
    finest = problem.accuracy.max_resolution
    space = problem.space.at_least(problem.initial.degree)
    while space.resolution <= finest:
        coefficients = _resolved(problem, space)
        if coefficients is not None:
            equation = problem.equation(space)
            return equation, equation.state(coefficients)
        if space.resolution == finest:
            break
        space = space.resized(min(finest, finer_resolution(space.resolution)))
    raise ComputationError(
        f"the initial density needs more than solver.max_resolution = {finest} "
        "grid points; raise it, or choose a smoother initial density"
    )


def _resolved(problem: Problem, space: Space) -> FloatArray | None:
    """Coefficients of the initial densities, None where the grid does not resolve them."""
    last = space.resolution == problem.accuracy.max_resolution
    try:
        coefficients = problem.initial.coefficients(space, problem.auxiliary)
        wide = problem.initial.coefficients(space.resized(3 * space.resolution), problem.auxiliary)
    except InputError:
        if last:
            raise
        return None  # a peak between the points of the grid
    beyond = np.abs(wide[:, coefficients.shape[1] :]).max()
    allowed = problem.accuracy.atol
    worst = np.abs(coefficients * guard(space, allowed))[:, space.constant :].max()
    return coefficients if worst <= 1.0 and beyond <= TAIL_SHARE * allowed else None


def refined(problem: Problem, equation: Equation) -> Equation | None:
    """Return the equation on the next finer grid, None beyond the finest."""
    space, finest = equation.space, problem.accuracy.max_resolution
    if space.resolution >= finest:
        return None
    return problem.equation(space.resized(min(finest, finer_resolution(space.resolution))))


def finer_resolution(resolution: int) -> int:
    """Next grid size: a quarter as fine again, rounded up to a size with fast transforms."""
    from scipy.fft import next_fast_len

    return int(next_fast_len(int(np.ceil(REFINEMENT * resolution)), real=True))


def fitting_threads(problem: Problem) -> int:
    """One thread for small states, where threads cost more than they save; else all cores."""
    unknowns = problem.auxiliary.nodes.size * problem.space.resolution
    return 1 if unknowns < THREADED_SIZE else available_cores()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Use this many threads for transforms and blocks of nodes (``parallel.py``), one a matrix product."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), fft.set_workers(threads):
        yield
