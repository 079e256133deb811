"""What a solution conserves, and what never rises or falls."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from meanfield_pde import auxiliary, encodings, evolution, initial
from meanfield_pde.attention import Alibi, Attention, Head, NoBias, Prompt, Table, Window
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import problems, unit_vectors

TIGHT = Accuracy(rtol=1e-10, atol=1e-12)
RANDOM = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@RANDOM
@given(problem=problems(sigmas=(0.0, 0.02, 0.5)))
def test_mass_is_exact_to_rounding(problem):
    """The constant mode is no part of the state: what is seen is the rounding of one transform."""
    solution = evolution.solve(problem)
    assert solution.mass_error.max() <= 1e-13
    assert np.isfinite(solution.density).all()


def gradient_problem(encoding, bias, prompt, depths, *, sigma=0.1, normalization="none"):
    """Q = K = V = I, values encoded, symmetric bias: a gradient flow."""
    nu = auxiliary.uniform(4)
    code = {
        "none": encodings.none(),
        "ring": encodings.additive(encodings.ring(nu.nodes, 0.5, 2)),
        "rotary": encodings.rotary(nu.nodes, 3.0),
    }[encoding]
    symmetric = np.array([[0.0, -1.0, 0.3, -np.inf], [-1.0, 0.5, 0.0, 0.2], [0.3, 0.0, 0.1, -0.4]])
    symmetric = np.vstack([symmetric, [-np.inf, 0.2, -0.4, 0.0]])
    described = {
        "none": NoBias(),
        "alibi": Alibi(2.0),
        "window": Window(0.3),
        "table": Table(symmetric, nu.nodes),
    }[bias]
    fixed = {
        "no prompt": None,
        "shared": Prompt(unit_vectors(np.array([[0.3, 2.0]])), np.array([0.4, 0.6]), 0.3),
        "per node": Prompt(unit_vectors(np.array([[0.3], [1.0], [2.0], [4.0]])), np.ones(1), 0.5),
    }[prompt]
    head = Head.plain(1.5, 2, described)
    layer = Attention((head,), nu, code, normalization, prompt=fixed)
    start = Initial(initial.fourier([(1, 0.4, 0.2), (2, 0.3, 1.0)]), turns=0.3)
    return Problem(Circle(64), layer, np.asarray(depths), start, sigma, accuracy=TIGHT, method="spectral")


CASES = [
    pytest.param(encoding, bias, prompt)
    for encoding in ("none", "ring", "rotary")
    for bias, prompt in [
        ("none", "no prompt"),
        ("alibi", "no prompt"),
        ("window", "no prompt"),
        ("table", "no prompt"),
        ("none", "shared"),
        ("alibi", "per node"),
    ]
]


@pytest.mark.parametrize(("encoding", "bias", "prompt"), CASES)
@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_free_energy_falls_at_the_rate_of_the_dissipation(encoding, bias, prompt, sigma):
    """Fourth-order differences over h = 1e-3: h⁴/30 times the fifth power of the fastest rate, 10, is 3e-9.

    Errors of the solution, 1e-11, count 1/h times: 1e-8 of slopes that are of order one.
    """
    step = 1e-3
    near = [0.05 + k * step for k in (-2, -1, 0, 1, 2)]
    solution = evolution.solve(gradient_problem(encoding, bias, prompt, [0.0, *near, 0.1, 0.2], sigma=sigma))
    energy = solution.free_energy
    slope = (energy[1] - 8.0 * energy[2] + 8.0 * energy[4] - energy[5]) / (12.0 * step)
    assert slope == pytest.approx(-solution.dissipation[3], rel=1e-6)
    assert (np.diff(energy) < 0.0).all()
    assert (solution.dissipation > 0.0).all()


@pytest.mark.parametrize("encoding", ["none", "ring", "rotary"])
@pytest.mark.parametrize("beta", [0.0, 1.5])
def test_several_heads_add_their_energies(encoding, beta):
    """Also at β = 0, where the energy is ½∬⟨u, v⟩; differences as above."""
    step = 1e-3
    single = gradient_problem(encoding, "alibi", "no prompt", [0.3 + k * step for k in (-2, -1, 0, 1, 2)])
    heads = (Head.plain(beta, 2, Alibi(1.0)), Head.plain(0.7, 2))
    layer = Attention(heads, single.auxiliary, single.attention.encoding, "none")
    problem = Problem(single.space, layer, single.depths, single.initial, 0.05, accuracy=TIGHT)
    energy, dissipation = (getattr(evolution.solve(problem), name) for name in ("free_energy", "dissipation"))
    slope = (energy[0] - 8.0 * energy[1] + 8.0 * energy[3] - energy[4]) / (12.0 * step)
    assert slope == pytest.approx(-dissipation[2], rel=1e-6)


@pytest.mark.parametrize("encoding", ["none", "ring", "rotary"])
@pytest.mark.parametrize("bias", ["none", "alibi"])
def test_softmax_without_noise_raises_the_interaction_energy(encoding, bias):
    depths = np.linspace(0.0, 1.5, 16)
    solution = evolution.solve(
        gradient_problem(encoding, bias, "no prompt", depths, sigma=0.0, normalization="softmax")
    )
    assert (np.diff(solution.interaction_energy) > 0.0).all()


@RANDOM
@given(problem=problems(sigmas=(0.1,)))
def test_attention_is_never_more_uniform_than_uniform(problem):
    """Relative entropy of a probability against m: zero at most, up to rounding of s e^s with s up to 50.

    With a bias of −∞ or ω > 0 the law that is attended to is still a part of m.
    """
    assert evolution.solve(problem).attention_entropy.max() <= 1e-11


def test_attention_without_scores_is_uniform():
    problem = gradient_problem("ring", "none", "shared", [0.0, 0.2])
    layer = Attention(
        (Head.plain(0.0, 2),), problem.auxiliary, problem.attention.encoding, prompt=problem.attention.prompt
    )
    solution = evolution.solve(Problem(problem.space, layer, problem.depths, problem.initial, 0.1))
    assert np.abs(solution.attention_entropy).max() < 1e-13  # roundings of log 1
