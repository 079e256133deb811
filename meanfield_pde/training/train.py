r"""Training: L-BFGS on the objective, refined until its optimum does not depend on the discretisation.

The optimiser sees q = √Δt θ, so that its inner product is that of functions of depth, and the penalty is
(λ/2)|q|². Where the densities need a finer grid, or the steps are too long for the loss that was reached, it
goes on from there on a finer one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.evolution import fitting_threads, limited
from meanfield_pde.methods.spectral import guard, refined, resolved_start
from meanfield_pde.training.objective import Objective

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.training.plan import Plan

__all__ = ["History", "Step", "Trained", "train"]

#: Pairs of steps that L-BFGS remembers.
PAIRS = 20
#: Smallest relative decrease of J in an iteration: beyond it, rounding error decides.
LEAST_DECREASE = 1e-14
#: Change of J when all steps are halved, relative to J, that is accepted.
STEP_ERROR = 1e-6
#: Losses below it count as this one there: their changes are rounding errors.
SMALLEST = 1e-8
#: Steps in an interval at most.
MOST_STEPS = 2**10
#: Trials whose run is not finite count as so many times the first objective,
BEYOND = 1e3
#: and those farther from zero than so many times J at first: a run that is not of densities any more.
FARTHEST = 1e6


@dataclass(frozen=True)
class Step:
    """Where the optimiser is: iterations, evaluations of the gradient, J, and the norm of its gradient."""

    iteration: int
    evaluations: int
    loss: float
    gradient_norm: float


@dataclass
class History:
    """Iterates so far: the last parameters, and what every iteration from 0 on had reached."""

    parameters: FloatArray
    loss: list[float] = field(default_factory=list)
    terminal_loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    evaluations: int = 0


@dataclass
class Trained:
    """What training found.

    Parameters
    ----------
    problem, plan
        What was trained.
    objective
        J on the last grid, with the last number of steps.
    history
        Parameters (intervals, features), and J, ℓ and the norm of the gradient at every iterate.
    converged, reason
        Whether the gradient has become small enough, and why the optimiser ended.
    step_error
        Relative change of J by halving all steps, at the end.
    seconds
        Time that it took.
    """

    problem: Problem
    plan: Plan
    objective: Objective
    history: History
    converged: bool
    reason: str
    step_error: float
    seconds: float

    @property
    def parameters(self) -> FloatArray:
        """θ, (intervals, features)."""
        return self.history.parameters

    @property
    def loss(self) -> FloatArray:
        """J at every iterate, (iterations + 1,)."""
        return np.array(self.history.loss)

    @property
    def terminal_loss(self) -> FloatArray:
        """ℓ at every iterate, (iterations + 1,)."""
        return np.array(self.history.terminal_loss)

    @property
    def gradient_norm(self) -> FloatArray:
        """Norm of ∂J/∂θ(t) in L², at every iterate, (iterations + 1,)."""
        return np.array(self.history.gradient_norm)

    @property
    def evaluations(self) -> int:
        """Gradients that were evaluated."""
        return self.history.evaluations

    def path(self, parameters: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Depths and coefficients (aux, coefficients) at the ends of intervals nearest to those to save."""
        objective, depths = self.objective, self.problem.depths
        run = objective.run(parameters)
        ends = np.unique(np.rint((depths - depths[0]) / objective.length).astype(int))
        states = [objective.equation.coefficients(run.state(end * objective.steps)) for end in ends]
        return depths[0] + ends * objective.length, states


def train(
    problem: Problem,
    plan: Plan,
    *,
    start: History | None = None,
    threads: int | None = None,
    between: Callable[[Step, History], None] = lambda *_: None,
) -> Trained:
    """Minimise J from θ = 0, or go on from earlier iterates.

    ``between`` is called after every iteration with the step and all iterates; it may raise to interrupt.

    Raises
    ------
    InputError
        When the problem has no noise, or its initial law is no density.
    ComputationError
        When the finest grid does not resolve the densities, or steps cannot be short enough.
    """
    began = time.perf_counter()
    _check(problem)
    with limited(threads or fitting_threads(problem)):
        objective = _objective(problem, plan)
        history = History(np.zeros(objective.shape)) if start is None else start
        if history.parameters.shape != objective.shape:
            raise InputError(
                f"train: parameters must be {objective.shape}, one row an interval and one column a field, "
                f"got {history.parameters.shape}"
            )
        optimiser = _Optimiser(plan, history, between)
        while True:
            objective = _fitted(objective, history.parameters)
            optimiser.run(objective)
            finer = _fitted(objective, history.parameters)
            if finer is objective:
                break
            objective = finer
    seconds = time.perf_counter() - began
    error = _step_error(objective, history.parameters)
    return Trained(problem, plan, objective, history, optimiser.converged, optimiser.reason, error, seconds)


def _check(problem: Problem) -> None:
    if not problem.sigma > 0.0:
        raise InputError(f"train: noise.sigma must be > 0, got {problem.sigma!r}")
    if problem.initial.tokens is not None or len(problem.space.points) == 0:
        raise InputError("train: the initial law must be a density on a grid, got single tokens")


def _objective(problem: Problem, plan: Plan) -> Objective:
    space, coefficients = resolved_start(problem)
    return Objective(problem, plan, problem.equation(space), coefficients, 1)


def _fitted(objective: Objective, parameters: FloatArray) -> Objective:
    """Return the objective on a grid and with steps that suit these parameters, itself if it does."""
    while True:
        shorter = _with_steps(objective, parameters)
        finer = _with_grid(shorter, parameters)
        if finer is shorter:
            return shorter
        objective = finer


def _with_steps(objective: Objective, parameters: FloatArray) -> Objective:
    """Double the steps of an interval until that changes J no more."""
    while not _step_error(objective, parameters) <= STEP_ERROR:
        if objective.steps >= MOST_STEPS:
            raise ComputationError(
                f"train: {MOST_STEPS} steps in an interval are not enough: "
                "raise training.intervals, or lower attention.beta"
            )
        objective = replace(objective, steps=2 * objective.steps)
    return objective


def _step_error(objective: Objective, parameters: FloatArray) -> float:
    """Change of J by half as long steps, relative to J; infinite or NaN where a run is not finite."""
    with np.errstate(all="ignore"):
        coarse = objective.value(parameters)
        fine = replace(objective, steps=2 * objective.steps).value(parameters)
        return abs(coarse - fine) / max(abs(fine), SMALLEST)


def _with_grid(objective: Objective, parameters: FloatArray) -> Objective:
    """Refine where the run leaves more than atol in the highest coefficients; itself if it does not."""
    run, problem = objective.run(parameters), objective.problem
    weights = guard(objective.equation.space, problem.accuracy.atol)[objective.equation.space.constant :]
    count = objective.plan.intervals
    tails = [np.abs(run.state(number * objective.steps) * weights).max() for number in range(count + 1)]
    if max(tails) <= 1.0:
        return objective
    finer = refined(problem, objective.equation)
    if finer is None:
        raise ComputationError(
            f"train: the densities need more than solver.max_resolution = "
            f"{problem.accuracy.max_resolution} {problem.space.counted}; raise it, or raise noise.sigma or "
            "training.regularization"
        )
    start = problem.initial.coefficients(finer.space, problem.auxiliary)
    return replace(objective, equation=finer, start=start)


class _Optimiser:
    """L-BFGS on one objective after another; what it reaches is kept in the history."""

    def __init__(self, plan: Plan, history: History, between: Callable[[Step, History], None]) -> None:
        self.plan, self.history, self.between = plan, history, between
        self.converged, self.reason = False, ""
        self._first = math.nan
        self._seen: dict[bytes, tuple[float, float, float]] = {}

    def run(self, objective: Objective) -> None:
        """Minimise on a grid from the last parameters."""
        self._seen.clear()
        root, shape, history = math.sqrt(objective.length), objective.shape, self.history
        scale = math.sqrt(objective.length)

        def evaluate(flat: FloatArray) -> tuple[float, FloatArray]:
            parameters = flat.reshape(shape) / root
            history.evaluations += 1
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                found = objective.gradient(parameters)
                value = found.value + objective.penalty(parameters)
                slope = found.parameters + self.plan.regularization * objective.length * parameters
                slope = np.asarray(slope / scale).ravel()
                norm = float(np.linalg.norm(slope))
            far = not abs(value) <= FARTHEST * (1.0 + abs(self._start_value))
            if far or not math.isfinite(norm):
                return BEYOND * (1.0 + abs(self._start_value)), flat.copy()
            self._seen[flat.tobytes()] = value, found.value, norm
            return value, slope

        self._start_value = 0.0
        flat = (root * history.parameters).ravel()
        value, _ = evaluate(flat)
        if flat.tobytes() not in self._seen:
            raise ComputationError("train: the run from the first parameters is not finite")
        self._start_value = value
        if not history.loss:
            self._record(flat)
        elif history.loss:
            history.loss[-1], history.terminal_loss[-1], history.gradient_norm[-1] = self._seen[
                flat.tobytes()
            ]
        self._first = max(history.gradient_norm[0], np.finfo(float).tiny)
        goal = self.plan.tolerance * self._first
        if self._finished(goal):
            return

        def accepted(flat: FloatArray) -> None:
            history.parameters = flat.reshape(shape) / root
            self._record(flat)
            step = Step(
                len(history.loss) - 1, history.evaluations, history.loss[-1], history.gradient_norm[-1]
            )
            self.between(step, history)
            if self._finished(goal):
                raise StopIteration

        left = self.plan.iterations - (len(history.loss) - 1)
        result = minimize(
            evaluate,
            flat,
            jac=True,
            method="L-BFGS-B",
            callback=accepted,
            options={
                "maxiter": left,
                "maxfun": 10 * left + 100,
                "maxcor": PAIRS,
                "ftol": LEAST_DECREASE,
                "gtol": 0.0,
            },
        )
        if not self._finished(goal):
            self.reason = f"the optimiser ended: {str(result.message).lower()}"

    def _record(self, flat: FloatArray) -> None:
        value, terminal, norm = self._seen[flat.tobytes()]
        self._seen = {flat.tobytes(): (value, terminal, norm)}
        self.history.loss.append(value)
        self.history.terminal_loss.append(terminal)
        self.history.gradient_norm.append(norm)

    def _finished(self, goal: float) -> bool:
        """Whether the gradient is small enough, or iterations are used up."""
        norm = self.history.gradient_norm[-1]
        self.converged = norm <= goal
        if self.converged:
            self.reason = f"the gradient has fallen below {self.plan.tolerance:g} of its first norm"
        elif len(self.history.loss) - 1 >= self.plan.iterations:
            self.reason = f"training.iterations = {self.plan.iterations} are used up"
            return True
        return self.converged
