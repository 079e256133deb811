"""The same problems solved by meanfield-pde, behind the one function that the comparison calls."""

import numpy as np

from benchmarks.problems import Modes, Problem, Run
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Head
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy
from meanfield_pde.problem import Problem as MeanFieldProblem
from meanfield_pde.spaces.circle import Circle
from solvers.integrate import Control, advance

MODES = 9


def ours(problem: Problem, resolution: int, rtol: float) -> Run:
    """Return the run that gives the modes at the final depth, on ``resolution`` angles per node.

    What does not depend on the state (kernels, factors, coefficients, compilation) is built here and is not
    timed, as for the script. The call that is returned integrates from depth 0 to ``problem.final`` on a grid
    that stays as it is, and gives c_m = integral of e^{-im theta} rho(theta|z), m = 0..8, shape (nodes, 9);
    all NaN when the run fails.
    """
    space = Circle(resolution)
    described = _described(problem, rtol)
    equation = described.equation(space)
    state = equation.state(described.initial.coefficients(space, described.auxiliary))
    system, control = equation.system(), Control(rtol, 1e-2 * rtol)
    advance(system, state, 0.0, 1e-9, control)  # compiles

    def run() -> Modes:
        outcome = advance(system, state, 0.0, problem.final, control)
        coefficients = equation.coefficients(outcome.state)
        modes = np.full((len(state), MODES), np.nan, dtype=complex)
        if outcome.reason == "reached":
            kept = coefficients.view(np.complex128)[:, :MODES]
            modes[:] = 0.0
            modes[:, : kept.shape[1]] = kept
        return modes

    return run


def _described(problem: Problem, rtol: float) -> MeanFieldProblem:
    nu = auxiliary.uniform(problem.nodes) if problem.nodes > 1 else auxiliary.none()
    encoding = encodings.none()
    if problem.ring:
        encoding = encodings.additive(encodings.ring(nu.nodes, problem.ring, 2))
    attention = Attention(
        (Head.plain(problem.beta, 2),), nu, encoding, "softmax" if problem.softmax else "none"
    )

    def profile(points: np.ndarray) -> np.ndarray:
        return problem.density(np.arctan2(points[:, 1], points[:, 0]))

    depths = np.array([0.0, problem.final])
    return MeanFieldProblem(
        Circle(64), attention, depths, Initial(profile), problem.sigma, accuracy=Accuracy(rtol)
    )
