"""Solutions of random problems against a dense integration of the definition."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from meanfield_pde import auxiliary, encodings, evolution, initial, shipped
from meanfield_pde.attention import Attention, Causal, Head, reference
from meanfield_pde.config import read_table
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import (
    SEEDS,
    DenseVelocity,
    attentions,
    dense_solution,
    modes_of,
    problems,
    random_coefficients,
    short_depth,
)

# What is promised with default tolerances: modes of every conditional at every saved depth.
PROMISED = 1e-8
# The dense grid counts as adequate when what it drops is far below what is promised.
ADEQUATE = 1e-10

RANDOM = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def error_of(problem):
    """Largest error of nine modes over conditionals and depths, None where the dense grid is too coarse."""
    solution = evolution.solve(problem)
    for points in (64, 96, 160):
        expected, dropped = dense_solution(problem, points)
        if dropped < ADEQUATE:
            return np.abs(modes_of(solution.density) - expected).max()
    return None


@RANDOM
@given(problem=problems())
def test_random_problems_are_solved_as_promised(problem):
    error = error_of(problem)
    assume(error is not None)
    assert error < PROMISED


@RANDOM
@given(problem=problems(sigmas=(0.0,)))
def test_random_problems_without_noise_are_solved_as_promised(problem):
    error = error_of(problem)
    assume(error is not None)
    assert error < PROMISED


@RANDOM
@given(attention=attentions(), seed=SEEDS)
def test_the_two_definitions_agree(attention, seed):
    """The matrices of the dense reference against ``reference.py``: sums of 1e4 terms of either sign."""
    space = Circle(48)
    coefficients = random_coefficients(space, attention.auxiliary.nodes.size, np.random.default_rng(seed))
    density = space.synthesise(coefficients)
    expected = reference.velocity(space, attention, density)[..., 0]
    found = DenseVelocity(48, attention)(density)
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max() + 1e-13


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_one_node(normalization, sigma):
    nu = auxiliary.none()
    layer = Attention((Head.plain(2.0, 2),), nu, encodings.additive(np.array([[0.4, -0.2]])), normalization)
    start = Initial(initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0)]))
    problem = Problem(Circle(64), layer, np.array([0.0, 1.0]), start, sigma, method="spectral")
    problem = replace(problem, depths=np.array([0.0, 0.5, 1.0]) * short_depth(problem))
    assert error_of(problem) < PROMISED


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_a_ring_of_512_nodes(normalization):
    """The integral over a ring converges exponentially in the nodes: 24, integrated densely, stand for 512.

    Shifts of length 0.7 at β = 1.5: harmonics of z fall as I_n(1.5 · 0.7 · 1.7), below 1e-20 at n = 24.
    """
    start = Initial(initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0)]))
    marginals, depth = [], 0.15 if normalization == "softmax" else 0.02
    for nodes in (512, 24):
        nu = auxiliary.uniform(nodes)
        ring = encodings.additive(encodings.ring(nu.nodes, 0.7, 2))
        layer = Attention((Head.plain(1.5, 2),), nu, ring, normalization)
        problem = Problem(Circle(64), layer, np.array([0.0, depth]), start, 0.1)
        if nodes == 512:
            modes = modes_of(evolution.solve(problem).density)
        else:
            modes, dropped = dense_solution(problem, 48, rtol=1e-10)
            assert dropped < ADEQUATE
        marginals.append(modes[-1].mean(axis=0))
    assert np.abs(marginals[0] - marginals[1]).max() < PROMISED


@pytest.mark.parametrize("bias", [None, Causal()])
def test_the_real_positions(bias):
    """All 512 positions: the rate that the solution obeys is that of the definition, for some of the nodes.

    Differences of fourth order over h = 1e-3 err by h⁴ (4e-12) and by the solution's 1e-10 over h: 1e-7.
    """
    rows = read_table(shipped.data_file("minilm-l6-v2-positions.h5"), "position_embeddings", "test")
    nu = auxiliary.Auxiliary(np.linspace(0.0, 1.0, 512), np.full(512, 1.0 / 512))
    shifts = 4.0 * encodings.principal_components(rows, [0, 1])
    layer = Attention((Head.plain(2.0, 2, bias),), nu, encodings.additive(shifts))
    step, sigma = 1e-3, 0.02
    depths = np.array([0.0, *(0.1 + step * np.arange(-2, 3))])
    start = Initial(initial.fourier([(1, 0.2, 0.0), (2, 0.1, 0.8)]))
    solution = evolution.solve(
        Problem(Circle(48), layer, depths, start, sigma, accuracy=Accuracy(1e-10, 1e-11))
    )
    chosen = np.array([0, 60, 256, 511])
    modes = modes_of(solution.density[:, chosen])
    found = (modes[1] - 8.0 * modes[2] + 8.0 * modes[4] - modes[5]) / (12.0 * step)
    density = solution.density[3]
    velocity = np.concatenate(
        [DenseVelocity(solution.token.size, layer, np.array([row]))(density) for row in chosen]
    )
    order = np.arange(9)
    expected = -1j * order * modes_of(density[chosen] * velocity) - sigma * order**2 * modes[3]
    assert np.abs(found - expected).max() < 1e-7
