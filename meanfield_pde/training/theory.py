r"""What theory says of the gradient at θ = 0, beside the discrete adjoint.

With φ the solution of the adjoint equation, backwards from φ_T = δℓ/δμ, the derivative of the loss by the
drift at depth t is

.. math:: \frac{\partial\ell}{\partial\theta_k}(t)
    = \sum_j w_j \int \nabla\varphi_t(x, z_j)\cdot g_k(x)\,\rho_t(x|z_j)\,dx,
    \qquad -\partial_t\varphi = L_t^*\varphi,

L_t the linearised flow about ρ_t. Where ρ_t rests at a stable state, φ decays backwards in depth as
e^{−γ(T − t)}, γ the spectral gap of L there, and with it what training can gain (arXiv 2605.07772).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import solve_ivp

from meanfield_pde.errors import ComputationError
from meanfield_pde.limits.stability import Linearisation
from meanfield_pde.limits.stationary import Stationary, stationary
from meanfield_pde.pullback import linearised_rate
from solvers.newton import StalledError

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.training.objective import Objective

__all__ = ["Theory", "theory"]

#: Tolerances of the continuous adjoint, which is solved by scipy, not by the scheme.
RTOL, ATOL = 1e-9, 1e-12
#: The decay is measured in the second half of the depth where it has gone so far, relative to the end.
DECAYED = (1e-8, 0.2)


@dataclass(frozen=True)
class Theory:
    """The gradient at θ = 0 by the continuous adjoint, and its decay.

    Parameters
    ----------
    depths
        Midpoints of the intervals, (intervals,).
    gradient
        ∂ℓ/∂θ(t) there by the discrete adjoint, a density in depth, (intervals, features).
    continuous
        The same by the adjoint equation, averaged over the intervals.
    mismatch
        Largest difference of the two, relative to the largest gradient.
    decay_rate
        Rate at which ∂ℓ/∂θ(t) decays backwards in depth, by least squares; of what is left after that part is
        taken away that rotations keep, where the flow does not feel them.
    spectral_gap
        γ: minus the leading eigenvalue of the linearised flow at the stationary state of the untrained
        equation near its final state; NaN where there is none.
    """

    depths: FloatArray
    gradient: FloatArray
    continuous: FloatArray
    mismatch: float
    decay_rate: float
    spectral_gap: float


def theory(objective: Objective) -> Theory:
    """Compare at θ = 0.

    Raises
    ------
    ComputationError
        When the adjoint equation cannot be solved.
    """
    parameters = np.zeros(objective.shape)
    gradient = objective.gradient(parameters).parameters / objective.length
    continuous = _continuous(objective)
    depths = objective.problem.depths[0] + objective.length * (np.arange(objective.plan.intervals) + 0.5)
    largest = float(np.abs(gradient).max())
    mismatch = float(np.abs(gradient - continuous).max()) / largest if largest > 0.0 else 0.0
    found = _stationary(objective)
    if found is None:
        decay, gap = _decay(depths, gradient, neutral=False), float("nan")
    else:
        decay = _decay(depths, gradient, neutral=len(found.neutral) > 0)
        gap = -Linearisation(found.equation, found.coefficients).leading(found.neutral)
    return Theory(depths, gradient, continuous, mismatch, decay, gap)


def _continuous(objective: Objective) -> FloatArray:
    """∂ℓ/∂θ(t) averaged over every interval, from the adjoint equation between states of the run.

    State, adjoint and gradient go backwards together from the end: the state by its own equation would be
    unstable backwards, so that it is interpolated between the states of the run (by cubic Hermite splines).
    """
    equation, plan = objective.equation, objective.plan
    run = objective.run(np.zeros(objective.shape))
    count, step = plan.intervals * objective.steps, objective.length / objective.steps
    weights = objective.problem.auxiliary.weights[:, None]
    _, by_marginal = plan.loss(equation.space, objective.marginal(run.end))
    fields = objective.fields.reshape(len(objective.fields), -1)
    dual = (weights * equation.state(by_marginal[None])).ravel()
    result = np.zeros(objective.shape)
    size, shape = dual.size, run.end.shape
    after, slope_after = run.end, _rate(objective, run.end)
    for number in range(count - 1, -1, -1):
        before = run.state(number)
        slope_before = _rate(objective, before)
        ends = (before, after, slope_before, slope_after)

        def backwards(backward: float, flat: FloatArray, ends: tuple[FloatArray, ...] = ends) -> FloatArray:
            state = _hermite(1.0 - backward / step, step, *ends)
            own = flat[:size].reshape(shape)
            _, pullback = linearised_rate(equation, state)
            by_state, by_drift = pullback(own)
            return np.concatenate([(by_state + equation.linear * own).ravel(), fields @ by_drift.ravel()])

        solved = solve_ivp(
            backwards,
            (0.0, step),
            np.concatenate([dual, np.zeros(len(fields))]),
            method="LSODA",
            rtol=RTOL,
            atol=ATOL * max(float(np.abs(dual).max()), np.finfo(float).tiny),
        )
        if not solved.success:
            raise ComputationError(f"train: the adjoint equation cannot be solved: {solved.message}")
        dual = solved.y[:size, -1]
        result[number // objective.steps] += solved.y[size:, -1]
        after, slope_after = before, slope_before
    return result / objective.length


def _rate(objective: Objective, state: FloatArray) -> FloatArray:
    equation = objective.equation
    return np.asarray(equation.linear * state + equation.nonlinear(state))


def _hermite(
    part: float, step: float, first: FloatArray, last: FloatArray, slope: FloatArray, slope_last: FloatArray
) -> FloatArray:
    """Cubic with these values and slopes at the ends of a step."""
    rest = 1.0 - part
    return np.asarray(
        rest**2 * (1.0 + 2.0 * part) * first
        + part**2 * (1.0 + 2.0 * rest) * last
        + step * part * rest * (rest * slope - part * slope_last)
    )


def _stationary(objective: Objective) -> Stationary | None:
    """Stationary state near the final state of the untrained run."""
    problem, equation = objective.problem, objective.equation
    end = equation.coefficients(objective.run(np.zeros(objective.shape)).end)
    try:
        return stationary(problem, equation, end)
    except (StalledError, ComputationError):
        return None


def _decay(depths: FloatArray, gradient: FloatArray, *, neutral: bool) -> float:
    """Slope of log|∂ℓ/∂θ(t)| in the second half of the depth; NaN where it decays too little or too fast."""
    second = depths >= 0.5 * (depths[0] + depths[-1])
    rest = gradient[second][0] if neutral else 0.0
    sizes = np.linalg.norm(gradient[second] - rest, axis=1)
    low, high = (part * sizes[-1] for part in DECAYED)
    chosen = (sizes > low) & (sizes < high)
    if np.count_nonzero(chosen) < 3:  # a slope and a check on it
        return float("nan")
    return float(np.polyfit(depths[second][chosen], np.log(sizes[chosen]), 1)[0])
