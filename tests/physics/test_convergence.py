"""Errors fall with the number of modes faster than any power, and with the tolerance in proportion."""

import numpy as np
import pytest

from meanfield_pde import auxiliary, encodings, evolution, initial
from meanfield_pde.attention import Attention, Causal, Head
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle
from solvers.integrate import Control, integrate
from tests.cases import modes_of


def layer_of(kind, normalization):
    nu = auxiliary.uniform(3)
    if kind == "ring":
        code = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    else:
        code = encodings.rotary(nu.nodes, 2.0) if kind == "rotary" else encodings.none()
    bias = Causal() if kind == "rotary" else None
    return Attention((Head.plain(1.0, 2, bias),), nu, code, normalization)


def problem_of(kind, normalization, accuracy=None, depths=(0.0, 0.6)):
    start = Initial(initial.fourier([(1, 0.5, 0.3), (2, 0.4, 1.0)]), turns=0.2)
    return Problem(
        Circle(64),
        layer_of(kind, normalization),
        np.asarray(depths),
        start,
        0.05,
        accuracy=accuracy or Accuracy(),
        method="spectral",
    )


def on_fixed_grid(problem, modes):
    """Nine modes at the end on a grid that keeps ``modes`` of them, by steps more accurate than the grid."""
    space, found = Circle(3 * modes + 1), []
    equation = problem.equation(space)
    state = equation.state(problem.initial.coefficients(space, problem.auxiliary))
    integrate(
        equation.system(),
        state,
        problem.depths,
        Control(rtol=1e-12, atol=1e-14),
        observe=lambda _, __, last: found.append(equation.coefficients(last)),
    )
    return modes_of(space.synthesise(found[-1]))


@pytest.mark.parametrize("kind", ["none", "ring", "rotary"])
@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_spectral_convergence_in_space(kind, normalization):
    """Eight more modes gain more than a factor 10 each time, down to 1e-10: more than any power of 1/K."""
    problem = problem_of(kind, normalization)
    exact = on_fixed_grid(problem, 64)
    errors = np.array([np.abs(on_fixed_grid(problem, modes) - exact).max() for modes in (8, 16, 24, 32, 40)])
    assert errors[-1] < 1e-10
    resolved = errors > 1e-11  # below, the roundings and the steps of both solutions count
    gains = errors[:-1] / np.maximum(errors[1:], 1e-16)
    assert (gains[resolved[1:]] > 10.0).all()
    assert errors[0] > 1e-7  # there was something to gain


@pytest.mark.parametrize("kind", ["none", "ring", "rotary"])
def test_errors_follow_the_tolerance(kind):
    """Over five decades of rtol the error falls by as many, and stays below rtol.

    The growth of errors over this depth is about one. The weights that hold high modes to smaller errors
    decide about the step at loose tolerances, which are then met with room to spare: slopes of 0.8 to 1.
    """
    tolerances = 10.0 ** -np.arange(6, 12)
    depths = (0.0, 2.0)
    exact = modes_of(evolution.solve(problem_of(kind, "softmax", Accuracy(1e-13, 1e-13), depths)).density)[-1]
    errors = []
    for rtol in tolerances:
        solution = evolution.solve(problem_of(kind, "softmax", Accuracy(rtol, 0.01 * rtol), depths))
        errors.append(np.abs(modes_of(solution.density)[-1] - exact).max())
    assert (np.array(errors) < tolerances).all()
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert 0.75 < slope < 1.15
