"""Energies, entropies and their signs against closed forms and dense sums."""

import numpy as np
import pytest
from scipy import special

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Causal, Head, Prompt, reference
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.energies import dissipation, entropy_functional, interaction_energy
from meanfield_pde.equation import Equation
from meanfield_pde.observables import DESCRIPTIONS, attention_entropy, compare_state, observe
from meanfield_pde.spaces.circle import Circle
from tests.cases import random_coefficients, unit_vectors

SPACE = Circle(128)
PROMPT = Prompt(unit_vectors(np.array([[0.3, 2.0]])), np.array([0.4, 0.6]), 0.3)


def field_of(beta, *, encoding=None, nodes=3, bias=None, normalization="none", prompt=None):
    nu = auxiliary.uniform(nodes)
    code = {
        None: encodings.none(),
        "ring": encodings.additive(encodings.ring(nu.nodes, 0.5, 2)),
        "rotary": encodings.rotary(nu.nodes, 3.0),
    }[encoding]
    layer = Attention((Head.plain(beta, 2, bias),), nu, code, normalization, prompt=prompt)
    return AttentionField(SPACE, layer)


def vonmises(concentration):
    order = np.arange(SPACE.modes + 1)
    return (special.ive(order, concentration) / special.ive(0, concentration) + 0j).view(float)[None]


@pytest.mark.parametrize("beta", [0.5, 3.0, 20.0])
def test_energy_of_the_uniform_law(beta):
    """E = I_0(β)/(2β); one sum, relative rounding e^β apart from none."""
    coefficients = np.tile(SPACE.uniform(), (3, 1))
    expected = special.iv(0, beta) / (2.0 * beta)
    assert interaction_energy(field_of(beta), coefficients) == pytest.approx(expected, rel=1e-13)


def test_energy_at_beta_zero_is_half_the_squared_mean():
    """½∬⟨x, y⟩ f f = ½R²."""
    ratio = special.ive(1, 2.0) / special.ive(0, 2.0)
    found = interaction_energy(field_of(0.0, nodes=1), vonmises(2.0))
    assert found == pytest.approx(0.5 * ratio**2, rel=1e-14)


def test_energies_at_small_beta_approach_that_at_zero():
    """E(β) − 1/(2β) = ½R² + O(β)."""
    limit = interaction_energy(field_of(0.0, nodes=1), vonmises(2.0))
    beta = 1e-4
    found = interaction_energy(field_of(beta, nodes=1), vonmises(2.0)) - 0.5 / beta
    assert found == pytest.approx(limit, abs=beta)


@pytest.mark.parametrize("encoding", [None, "ring", "rotary"])
@pytest.mark.parametrize("bias", [None, Alibi(2.0), Causal()])
@pytest.mark.parametrize(
    "prompt",
    [
        None,
        PROMPT,
    ],
)
def test_energy_by_dense_sums(encoding, bias, prompt):
    """E = (1 − ω)/(2β)∬e^s f f + (ω/β)∬e^s f π (MODEL.md, section 4): so that δE/δf = Φ."""
    field = field_of(2.0, encoding=encoding, bias=bias, prompt=prompt)
    coefficients = random_coefficients(SPACE, 3, np.random.default_rng(0))
    density = SPACE.synthesise(coefficients)
    layer, nu = field.attention, field.attention.auxiliary

    def integral(prompt):
        attended = Attention(layer.heads, nu, layer.encoding, "none", prompt=prompt)
        sums = reference.pair_sums(SPACE, attended, layer.heads[0], density)
        return nu.mean((density * sums.total * np.exp(sums.offset)) @ SPACE.weights)

    own, share = integral(None), layer.density_share
    prompted = integral(prompt) - share * own
    expected = (0.5 * share * own + prompted) / 2.0
    assert interaction_energy(field, coefficients) == pytest.approx(
        expected, rel=1e-11
    )  # the factored kernel


@pytest.mark.parametrize("concentration", [0.1, 3.0, 15.0])
def test_entropies_of_a_von_mises_law(concentration):
    """∫ρ log ρ = κ I_1/I_0 − log(2π I_0), and the marginal's entropy is minus that."""
    coefficients = vonmises(concentration)
    ratio = special.ive(1, concentration) / special.ive(0, concentration)
    expected = concentration * ratio - np.log(2.0 * np.pi * special.iv(0, concentration))
    density = SPACE.synthesise(coefficients)
    assert entropy_functional(SPACE, auxiliary.none(), density) == pytest.approx(expected, rel=1e-12)
    equation = Equation(field_of(1.0, nodes=1), None, 0.2)
    seen = observe(equation, coefficients)
    assert set(seen) == set(DESCRIPTIONS)
    assert seen["entropy"] == pytest.approx(-expected, rel=1e-12)
    assert seen["order_parameter"] == pytest.approx(ratio, rel=1e-14)
    assert seen["conditional_concentration"] == pytest.approx(ratio, rel=1e-14)
    assert seen["free_energy"] == pytest.approx(-seen["interaction_energy"] + 0.2 * expected, rel=1e-12)
    assert seen["minimum"] == density.min()


def test_dissipation_by_noise_alone():
    """σ² ∫ρ|∇log ρ|² = σ² κ I_1/I_0 for a von Mises law, attention off."""
    off = Attention((Head(0.0, np.eye(2), np.eye(2), np.zeros((2, 2))),), auxiliary.none())
    equation = Equation(AttentionField(SPACE, off), None, 0.3)
    expected = 0.09 * 4.0 * special.ive(1, 4.0) / special.ive(0, 4.0)
    assert dissipation(equation, vonmises(4.0)) == pytest.approx(expected, rel=1e-12)


def test_stationary_states_dissipate_nothing():
    """Kuramoto: ρ ∝ e^{κ cos θ} with κ = r/σ and r = I_1(κ)/I_0(κ). The flux is a difference of roundings."""
    kappa = 3.0
    sigma = special.ive(1, kappa) / special.ive(0, kappa) / kappa
    assert dissipation(Equation(field_of(0.0, nodes=1), None, sigma), vonmises(kappa)) < 1e-28


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("prompt", [None, PROMPT])
@pytest.mark.parametrize("encoding", [None, "ring", "rotary"])
@pytest.mark.parametrize("bias", [None, Alibi(2.0), Causal()])
def test_attention_entropy_by_dense_sums(normalization, prompt, encoding, bias):
    """−∫ a log a dm for every query, a = e^s / ∫e^s dm, averaged over tokens."""
    field = field_of(2.0, encoding=encoding, bias=bias, normalization=normalization, prompt=prompt)
    coefficients = random_coefficients(SPACE, 3, np.random.default_rng(0))
    density = SPACE.synthesise(coefficients)
    sums = reference.pair_sums(SPACE, field.attention, field.attention.heads[0], density)
    relative = sums.offset + np.log(sums.total) - sums.scored / sums.total
    expected = field.attention.auxiliary.mean((density * relative) @ SPACE.weights)
    found = attention_entropy(field, coefficients, density)
    assert found == pytest.approx(expected, abs=1e-10)
    assert found < 0.0


def test_attention_entropy_of_a_sharp_law():
    """Uniform law: log I_0(β) − β I_1(β)/I_0(β)."""
    for beta in (0.5, 5.0, 50.0):
        field = field_of(beta, nodes=1, normalization="softmax")
        coefficients = SPACE.uniform()[None]
        expected = np.log(special.ive(0, beta)) + beta - beta * special.ive(1, beta) / special.ive(0, beta)
        found = attention_entropy(field, coefficients, SPACE.synthesise(coefficients))
        assert found == pytest.approx(expected, abs=1e-12 * max(1.0, beta))


def test_comparison_with_the_pushforward():
    """Three narrow bumps at their nodes: T(z) is where they are, and W₂ about their width, 1/√κ."""
    centres = np.array([0.5, 2.0, 6.0])
    coefficients = SPACE.rotate(np.tile(vonmises(30.0), (3, 1)), centres)
    found = compare_state(SPACE, auxiliary.uniform(3), coefficients)
    assert np.abs(found.positions - centres).max() < 1e-14
    assert np.abs(found.lengths - special.ive(1, 30.0) / special.ive(0, 30.0)).max() < 1e-14
    # A normal law of width s: W₁ = s√(2/π), W₂ = s, to a relative 1/κ.
    width = 30.0**-0.5
    assert found.w1 == pytest.approx(width * np.sqrt(2.0 / np.pi), rel=0.03)
    assert found.w2 == pytest.approx(width, rel=0.03)
