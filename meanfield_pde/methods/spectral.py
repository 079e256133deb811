"""Spectral method: coefficients of smooth densities, exponential steps, grids refined as the density asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.clusters import DEGREE
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.methods.base import STEADY_DEGREE
from meanfield_pde.observables import Comparison, compare_state, observe
from solvers.integrate import Control, ExponentialStepper, Semilinear

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.equation import Equation
    from meanfield_pde.methods.base import State
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Variable
    from meanfield_pde.spaces import Space
    from solvers.system import Reason

__all__ = ["Spectral", "SpectralState", "error_weights", "guard", "resolved_start", "start"]

#: Tolerance of the time stepper as a share of the problem's: near-uniform laws amplify errors within it.
STEP_SHARE = 0.5
#: Coefficients in the tail of the spectrum, as a share of atol, from which the grid is refined.
TAIL_SHARE = 0.5
#: Weight of step errors in the highest mode.
TAIL_WEIGHT = 1e4
#: Factor by which a refined grid is finer.
REFINEMENT = 1.25


@dataclass(frozen=True)
class SpectralState:
    """Coefficients (aux, …) on a grid, at a depth."""

    depth: float
    space: Space
    coefficients: FloatArray
    diagnostics: Mapping[str, float]

    @property
    def size(self) -> int:
        """Grid points."""
        return self.space.resolution

    def lighter(self, states: int) -> SpectralState:  # noqa: ARG002
        """Nothing can be spared."""
        return self

    def joint(self, space: Space) -> FloatArray:
        """Evaluate the densities."""
        return space.synthesise(space.pad(self.coefficients))

    def marginal(self, auxiliary: Auxiliary, space: Space, joint: FloatArray | None = None) -> FloatArray:  # noqa: ARG002
        """Evaluate the mean density."""
        return space.synthesise(auxiliary.mean(space.pad(self.coefficients)))

    def moments(self) -> FloatArray:
        """Read off the first coefficients."""
        return self.space.first_moment(self.coefficients)

    def spectrum(self, auxiliary: Auxiliary) -> FloatArray:
        """Mean coefficients."""
        return auxiliary.mean(self.coefficients[:, : self.space.width(DEGREE)])

    def comparison(self, auxiliary: Auxiliary) -> Comparison:
        """By the quantiles of the density."""
        return compare_state(self.space, auxiliary, self.coefficients)

    def content(self) -> dict[str, Any]:
        """Coefficients and grid."""
        return {
            "method": "spectral",
            "depth": self.depth,
            "resolution": self.space.resolution,
            "coefficients": self.coefficients,
            "diagnostics": dict(self.diagnostics),
        }

    @classmethod
    def restored(cls, problem: Problem, content: Mapping[str, Any]) -> SpectralState:
        """Invert ``content``."""
        space = problem.space.resized(int(content["resolution"]))
        return cls(content["depth"], space, content["coefficients"], content["diagnostics"])


class Spectral:
    """The spectral method under way."""

    name = "spectral"

    def __init__(self, problem: Problem, equation: Equation) -> None:
        self.problem = problem
        self.equation = equation
        self.stepper: ExponentialStepper

    @classmethod
    def start(cls, problem: Problem) -> Spectral:
        """Begin at the first depth.

        Raises
        ------
        ComputationError
            When the finest grid does not resolve the initial densities.
        """
        equation, state = start(problem)
        method = cls(problem, equation)
        depth = float(problem.depths[0])
        method.stepper = ExponentialStepper.starting(
            equation.system(), state, depth, method.control(), method.refine
        )
        return method

    @classmethod
    def restored(cls, problem: Problem, memory: Mapping[str, Any]) -> Spectral:
        """Invert ``memory``."""
        equation = problem.equation(problem.space.resized(int(memory["resolution"])))
        method = cls(problem, equation)
        method.stepper = ExponentialStepper.restored(
            equation.system(), method.control(), memory["stepper"], method.refine
        )
        return method

    def memory(self) -> dict[str, Any]:
        """Grid, and what the stepper remembers."""
        return {"resolution": self.size, "stepper": self.stepper.memory()}

    def control(self) -> Control:
        """Tolerances on the current grid."""
        accuracy, space = self.problem.accuracy, self.equation.space
        return Control(
            rtol=STEP_SHARE * accuracy.rtol,
            atol=STEP_SHARE * accuracy.atol,
            guard=guard(space, accuracy.atol)[space.constant :],
            weights=error_weights(space),
        )

    def refine(self, depth: float, state: FloatArray) -> tuple[Semilinear, FloatArray, Control] | None:  # noqa: ARG002
        """Go to the next finer grid, if it is allowed."""
        coefficients = self.equation.coefficients(state)
        finer = refined(self.problem, self.equation)
        if finer is None:
            return None
        self.equation = finer
        return finer.system(), finer.state(finer.space.pad(coefficients)), self.control()

    @property
    def depth(self) -> float:
        """Depth reached."""
        return self.stepper.depth

    @property
    def step(self) -> float:
        """Size of the next step."""
        return self.stepper.step

    @property
    def size(self) -> int:
        """Grid points."""
        return self.equation.space.resolution

    @property
    def counts(self) -> tuple[int, int, int]:
        """Accepted steps, rejected steps, evaluations of the rate."""
        return self.stepper.counts

    @property
    def coefficients(self) -> FloatArray:
        """Coefficients of the present densities."""
        return self.equation.coefficients(self.stepper.state)

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step, refining the grid where the density asks for it."""
        return self.stepper.advance(stop, most_steps)

    def state(self) -> SpectralState:
        """Return coefficients and diagnostics."""
        coefficients = self.coefficients
        diagnostics = observe(self.equation, coefficients)
        return SpectralState(self.depth, self.equation.space, coefficients, diagnostics)

    def change(self) -> float:
        """Largest rate of a low coefficient."""
        state, equation = self.stepper.state, self.equation
        low = equation.space.width(STEADY_DEGREE) - equation.space.constant
        rate = equation.nonlinear(state) + equation.linear * state
        return float(np.abs(rate[:, :low]).max())

    def variables(self, states: Sequence[State]) -> dict[str, Variable]:  # noqa: ARG002
        """Nothing of its own."""
        return {}

    def facts(self) -> dict[str, str | float | int]:
        """Nothing of its own."""
        return {}


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
    space, coefficients = resolved_start(problem)
    equation = problem.equation(space)
    return equation, equation.state(coefficients)


def resolved_start(problem: Problem) -> tuple[Space, FloatArray]:
    """Return the coarsest grid that resolves the initial densities, and their coefficients there.

    Raises
    ------
    ComputationError
        When the finest grid does not.
    """
    finest = problem.accuracy.max_resolution
    space = problem.space.at_least(problem.initial.degree)
    if not problem.initial.interpolates(problem.space, problem.auxiliary):
        raise ComputationError(
            "the initial table has steps between which interpolation is negative; "
            'use solver.method = "auto", or a smoother table'
        )
    while space.resolution <= finest:
        coefficients = _resolved(problem, space)
        if coefficients is not None:
            return space, coefficients
        if space.resolution == finest:
            break
        space = space.resized(min(finest, finer_resolution(space.resolution)))
    raise ComputationError(
        f"the initial density needs more than solver.max_resolution = {finest} "
        f"{problem.space.counted}; raise it, or choose a smoother initial density"
    )


def _resolved(problem: Problem, space: Space) -> FloatArray | None:
    """Coefficients of the initial densities, None where the grid does not resolve them."""
    last = space.resolution == problem.accuracy.max_resolution
    try:
        coefficients = problem.initial.coefficients(space, problem.auxiliary)
        wide = problem.initial.coefficients(space.wider(), problem.auxiliary)
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
