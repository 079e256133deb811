"""The same problems solved by meanfield-pde: on one grid, as peers are compared, and as users do."""

import numpy as np

from benchmarks.problems import Modes, Problem, Run
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Head
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, MethodName
from meanfield_pde.problem import Problem as MeanFieldProblem
from meanfield_pde.solution import Solution
from meanfield_pde.spaces.circle import Circle
from solvers.integrate import Control, advance

MODES = 9
FINEST = 2**16  # grid points or labels: no limit here


def ours(problem: Problem, resolution: int, rtol: float) -> Run:
    """Return the run that gives the modes at the final depth, on ``resolution`` angles per node.

    What does not depend on the state (kernels, factors, coefficients, compilation) is built here and is not
    timed, as for the script. The call that is returned integrates from depth 0 to ``problem.final`` on a grid
    that stays as it is, and gives c_m = integral of e^{-im theta} rho(theta|z), m = 0..8, shape (nodes, 9);
    all NaN when the run fails.
    """
    space = Circle(resolution)
    described = describe(problem, rtol)
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


def describe(
    problem: Problem, rtol: float, method: MethodName = "auto", resolution: int = 64
) -> MeanFieldProblem:
    """Return the problem as meanfield-pde states it, saved at both ends of its depth."""
    nu = auxiliary.uniform(problem.nodes) if problem.nodes > 1 else auxiliary.none()
    encoding = encodings.none()
    if problem.ring:
        encoding = encodings.additive(encodings.ring(nu.nodes, problem.ring, 2))
    attention = Attention(
        (Head.plain(problem.beta, 2),), nu, encoding, "softmax" if problem.softmax else "none"
    )

    def profile(points: np.ndarray) -> np.ndarray:
        return problem.density(np.arctan2(points[:, 1], points[:, 0]))

    return MeanFieldProblem(
        Circle(resolution),
        attention,
        np.array([0.0, problem.final]),
        Initial(profile, degree=max(wave.mode for wave in problem.waves)),
        problem.sigma,
        accuracy=Accuracy(rtol, 1e-2 * rtol, FINEST),
        method=method,
    )


def final_modes(solution: Solution) -> Modes:
    """Return c_m, m = 0..8, of every conditional density at the last depth, shape (nodes, 9).

    Of labels: sums. Of cell means: those of the density whose means they are, c_m sinc(m / cells).
    """
    m = np.arange(MODES)
    if solution.attributes["method"] == "characteristics":
        waves = np.exp(-1j * m[:, None, None] * solution.position[-1])
        return np.asarray((solution.label_weight * waves).sum(axis=-1).T)
    density = solution.density[-1]
    modes = np.fft.fft(density)[:, :MODES] * (2.0 * np.pi / density.shape[-1])
    if solution.attributes["method"] == "finite-volume":
        modes /= np.sinc(m / density.shape[-1])
    return np.asarray(modes)
