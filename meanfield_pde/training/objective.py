r"""The objective of training on one grid with equal steps, and its gradient by the discrete adjoint.

.. math:: J(\theta) = \ell(\mu_T) + \frac{\lambda}{2} \sum_i |\theta_i|^2\,\Delta t, \qquad
    \dot\rho = \sigma\Delta\rho
        - \mathrm{div}\bigl(\rho\,(V[f] + F_0 + \textstyle\sum_k \theta_{ik} g_k)\bigr)

in interval i. The steps are fixed, so that J is a smooth function of the parameters, and the gradient is that
of the numbers computed, to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.pullback import linearised_rate
from solvers.adjoint import KEPT, STAGES, Run, Steps, Tape

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.equation import Equation
    from meanfield_pde.problem import Problem
    from meanfield_pde.training.plan import Plan
    from solvers.adjoint import Transposed

__all__ = ["Gradient", "Objective"]


@dataclass(frozen=True)
class Gradient:
    """Derivative of the loss by the parameters, without that of the penalty.

    Parameters
    ----------
    value
        ℓ(μ_T).
    parameters
        (intervals, features).
    start
        By the initial state, (aux, modes).
    """

    value: float
    parameters: FloatArray
    start: FloatArray


@dataclass(frozen=True, eq=False)
class Objective:
    """J and its gradient, for parameters (intervals, features).

    Parameters
    ----------
    problem, plan
        The equation, and what is trained.
    equation
        The equation on a grid.
    start
        Coefficients of the initial densities there, (aux, coefficients).
    steps
        Steps in every interval.
    kept
        Numbers in the states that are kept on the way.
    """

    problem: Problem
    plan: Plan
    equation: Equation
    start: FloatArray
    steps: int
    kept: int = KEPT

    @cached_property
    def fields(self) -> FloatArray:
        """Fields at the grid points, (features, points, d − 1)."""
        return self.plan.features(self.equation.space)

    @property
    def shape(self) -> tuple[int, int]:
        """Intervals and features."""
        return self.plan.intervals, len(self.fields)

    @property
    def length(self) -> float:
        """Length Δt of an interval."""
        depths = self.problem.depths
        return float(depths[-1] - depths[0]) / self.plan.intervals

    @cached_property
    def _steps(self) -> Steps:
        count = self.plan.intervals * self.steps
        return Steps(self.equation.linear, self.length / self.steps, count)

    def _equations(self, parameters: FloatArray) -> Callable[[int], Equation]:
        """Equation in every step."""
        drifts = np.einsum("ik,kpd->ipd", parameters, self.fields)
        if self.equation.drift is not None:
            drifts = drifts + self.equation.drift
        every = [replace(self.equation, drift=drift) for drift in drifts]
        return lambda step: every[step // self.steps]

    def run(self, parameters: FloatArray) -> Run:
        """Go forward; states are those before every step. They may not be finite."""
        equations = self._equations(parameters)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return Run(
                self._steps,
                self.equation.state(self.start),
                lambda state, step: equations(step).nonlinear(state),
                self.kept,
            )

    def marginal(self, state: FloatArray) -> FloatArray:
        """Coefficients of the token marginal."""
        coefficients = self.equation.coefficients(state)
        return np.asarray(self.problem.auxiliary.weights @ coefficients)

    def penalty(self, parameters: FloatArray) -> float:
        """(λ/2) ∫|θ|² dt."""
        return 0.5 * self.plan.regularization * self.length * float((parameters**2).sum())

    def loss(self, parameters: FloatArray) -> float:
        """ℓ(μ_T) alone."""
        return self.plan.loss(self.equation.space, self.marginal(self.run(parameters).end))[0]

    def value(self, parameters: FloatArray) -> float:
        """J."""
        return self.loss(parameters) + self.penalty(parameters)

    def gradient(self, parameters: FloatArray) -> Gradient:
        """ℓ and its derivatives; not finite where the run or the loss is not."""
        result, equations = np.zeros(self.shape), self._equations(parameters)

        def rate(state: FloatArray, step: int) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
            found, pullback = linearised_rate(equations(step), state)

            def back(dual: FloatArray) -> FloatArray:
                by_state, by_drift = pullback(dual)
                result[step // self.steps] += self._by_parameters(by_drift)
                return by_state

            return found, back

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            end, pulled = self._prepared(parameters, rate)
        value, by_marginal = self.plan.loss(self.equation.space, self.marginal(end))
        if not (np.isfinite(value) and np.isfinite(end).all()):
            return Gradient(np.inf, np.full(self.shape, np.nan), np.full(end.shape, np.nan))
        weights = self.problem.auxiliary.weights
        dual = np.ascontiguousarray(weights[:, None] * self.equation.state(by_marginal[None]))
        start = pulled(dual)
        return Gradient(value, result, start)

    def _prepared(
        self, parameters: FloatArray, rate: Transposed
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return the final state, and what pulls its dual back to the start."""
        if self._fits:
            tape = Tape(self._steps, self.equation.state(self.start), rate)
            return tape.end, tape.back
        run = self.run(parameters)
        return run.end, partial(run.back, rate=rate)

    @property
    def _fits(self) -> bool:
        """Whether all that transposes rates may be kept: densities, velocities and factors at grid points."""
        nodes, points, tangents = len(self.start), *self.equation.space.frame.shape[:2]
        heads = len(self.equation.attention.heads)
        rates = STAGES * self._steps.count
        numbers = rates * nodes * points * (1 + tangents + heads * (2 + tangents))
        return bool(numbers <= self.kept)

    def _by_parameters(self, by_drift: FloatArray) -> FloatArray:
        return np.asarray(self.fields.reshape(len(self.fields), -1) @ by_drift.ravel())

    def value_and_gradient(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """J and ∂J/∂θ, (intervals, features)."""
        found = self.gradient(parameters)
        slope = found.parameters + self.plan.regularization * self.length * parameters
        return found.value + self.penalty(parameters), slope
