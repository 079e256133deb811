"""Where attention has a potential, its velocity is the gradient, and the energy descends along it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meanfield_pde import auxiliary, encodings, potential
from meanfield_pde.attention import Attention, Causal, Head, Table
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.energies import interaction_energy
from meanfield_pde.spaces.circle import Circle
from tests.cases import SEEDS, auxiliaries, biases, encodings_of, prompts, random_coefficients

RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
SPACE = Circle(120)


@st.composite
def heads_with_potential(draw, nodes):
    """Q, K with QᵀK symmetric, and V = QᵀK."""
    query, kind = np.eye(2), draw(st.sampled_from(["identity", "scaled", "symmetric"]))
    if kind == "scaled":
        query = 0.7 * query
    if kind == "symmetric":
        query = np.array([[0.8, 0.3], [0.3, -0.5]])
    beta = draw(st.sampled_from([0.0, 0.5, 2.0, 4.0]))
    return Head(beta, query, np.eye(2), query, draw(biases(nodes)))


@st.composite
def gradients(draw):
    nu = draw(auxiliaries(sizes=(1, 2, 5)))
    code = draw(encodings_of(nu.nodes))
    return Attention(
        tuple(draw(st.lists(heads_with_potential(nu.nodes), min_size=1, max_size=2))),
        nu,
        code,
        draw(st.sampled_from(["softmax", "none"])),
        draw(st.sampled_from(["encoded", "encoded", "token"])),
        draw(prompts(nu.nodes, code)),
    )


def slope(values):
    """Derivative along the circle of functions that the grid resolves."""
    order = np.arange(SPACE.resolution // 2 + 1)
    spectrum = np.fft.rfft(values)
    assume(np.abs(spectrum[..., -5:]).max() < 1e-13 * np.abs(spectrum).max())  # resolved
    return np.fft.irfft(1j * order * spectrum, SPACE.resolution)


@RANDOM
@given(attention=gradients(), seed=SEEDS)
def test_the_velocity_is_the_gradient_of_the_potential(attention, seed):
    """Spectral derivatives of 60 modes amplify roundings of Φ sixtyfold, and Φ may exceed its slope."""
    assume(potential.has_potential(attention))
    rng = np.random.default_rng(seed)
    coefficients = random_coefficients(SPACE, attention.auxiliary.nodes.size, rng)
    field = AttentionField(SPACE, attention)
    phi = potential.potential(field, coefficients)
    velocity = field.velocity(coefficients)[..., 0]
    assert np.abs(slope(phi) - velocity).max() < 1e-11 * max(np.abs(phi).max(), np.abs(velocity).max())


@RANDOM
@given(attention=gradients(), seed=SEEDS)
def test_where_the_energy_descends_its_derivative_is_the_potential(attention, seed):
    """E is quadratic, so that central differences have no error but roundings of E over the step."""
    assume(potential.descends(attention))
    rng = np.random.default_rng(seed)
    coefficients = random_coefficients(SPACE, attention.auxiliary.nodes.size, rng)
    direction = random_coefficients(SPACE, attention.auxiliary.nodes.size, rng) - coefficients
    field = AttentionField(SPACE, attention)
    phi = potential.potential(field, coefficients)
    ends = [interaction_energy(field, coefficients + side * direction) for side in (-1.0, 1.0)]
    moved = SPACE.synthesise(direction)
    along = float(attention.auxiliary.mean((phi * moved) @ SPACE.weights))
    scale = np.abs(ends).max() + float(attention.auxiliary.mean((np.abs(phi * moved)) @ SPACE.weights))
    assert abs((ends[1] - ends[0]) / 2.0 - along) < 1e-12 * scale


def layer(**changes):
    nu = auxiliary.uniform(3)
    head = {"beta": 1.0, "query": np.eye(2), "key": np.eye(2), "value": np.eye(2)}
    head |= {name: changes.pop(name) for name in list(changes) if name in {*head, "bias", "kernel"}}
    return Attention((Head(**head),), nu, **changes)


ROTARY = encodings.rotary(auxiliary.uniform(3).nodes, 2.0)
RING = encodings.additive(encodings.ring(auxiliary.uniform(3).nodes, 1.0, 2))
SKEW = np.array([[1.0, 0.5], [-0.5, 1.0]])
DIAGONAL = np.diag([1.0, 0.5])


@pytest.mark.parametrize(
    ("attention", "has", "falls"),
    [
        (layer(), True, False),
        (layer(normalization="none"), True, True),
        (layer(normalization="none", encoding=RING), True, True),
        (layer(normalization="none", encoding=ROTARY), True, True),
        (layer(normalization="none", bias=Causal()), True, False),
        (layer(normalization="none", bias=Table(np.ones((3, 3)), auxiliary.uniform(3).nodes)), True, True),
        (layer(normalization="none", query=DIAGONAL, value=DIAGONAL), True, True),
        (layer(normalization="none", values="token"), True, True),
        (layer(normalization="none", beta=0.0), True, True),
        (layer(beta=0.0), False, False),
        (layer(normalization="none", values="token", encoding=RING), False, False),
        (layer(normalization="none", query=DIAGONAL, value=DIAGONAL, encoding=ROTARY), False, False),
        (layer(normalization="none", query=SKEW, value=SKEW), False, False),
        (layer(normalization="none", value=2.0 * np.eye(2)), False, False),
        (layer(normalization="none", kernel=np.exp), False, False),
    ],
)
def test_what_counts_as_a_gradient(attention, has, falls):
    assert potential.has_potential(attention) == has
    assert potential.descends(attention) == falls
