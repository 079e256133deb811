"""Changes of velocities and potentials with the densities, against differences of both."""

import numpy as np
from hypothesis import HealthCheck, assume, given, settings

from meanfield_pde.attention.changes import FieldChange
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.potential import potential
from meanfield_pde.spaces.circle import Circle
from tests.cases import SEEDS, attentions, random_coefficients

RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
SPACE = Circle(96)
LAYERS = attentions(sizes=(1, 2, 3, 5), betas=(0.0, 0.5, 2.0, 4.0))
#: Densities stay above 0.3/2π and changes below 0.5/2π·STEP: quotients have errors of 4 (2h)⁴ = 6e-11 in
#: fourth-order differences, 1e-13/h of roundings.
STEP, BOUND = 1e-3, 3e-10


def drawn(attention, seed):
    """Random densities with spectra that decay, and a change of mass zero."""
    rng, nodes = np.random.default_rng(seed), attention.auxiliary.nodes.size
    coefficients, other = (random_coefficients(SPACE, nodes, rng) for _ in range(2))
    return coefficients, other - SPACE.uniform()


def differences(function, coefficients, change):
    """Derivative along a change, of fourth order."""
    near, far = (
        function(coefficients + reach * STEP * change) - function(coefficients - reach * STEP * change)
        for reach in (1.0, 2.0)
    )
    return (8.0 * near - far) / (12.0 * STEP)


@RANDOM
@given(attention=LAYERS, seed=SEEDS)
def test_the_velocity_changes_as_its_differences_do(attention, seed):
    coefficients, change = drawn(attention, seed)
    field = AttentionField(SPACE, attention)
    found = FieldChange(field, coefficients).velocity(change)
    velocity = field.velocity(coefficients)
    assert found.shape == velocity.shape
    expected = differences(field.velocity, coefficients, change)
    assert np.abs(found - expected).max() < BOUND * max(np.abs(velocity).max(), np.abs(found).max())


@RANDOM
@given(attention=LAYERS, seed=SEEDS)
def test_the_potential_changes_as_its_differences_do(attention, seed):
    """The formula holds for every score; at β = 0 softmax has none."""
    assume(attention.normalization == "none" or all(head.beta > 0.0 for head in attention.heads))
    coefficients, change = drawn(attention, seed)
    field = AttentionField(SPACE, attention)
    found = FieldChange(field, coefficients).potential(change)
    phi = potential(field, coefficients)
    assert found.shape == phi.shape
    expected = differences(lambda at: potential(field, at), coefficients, change)
    assert np.abs(found - expected).max() < BOUND * max(np.abs(phi).max(), np.abs(found).max())


@RANDOM
@given(attention=LAYERS, seed=SEEDS)
def test_changes_are_linear(attention, seed):
    """Roundings of sums, relative to the larger of the two changes."""
    coefficients, change = drawn(attention, seed)
    other = drawn(attention, seed + 1)[1]
    about = FieldChange(AttentionField(SPACE, attention), coefficients)
    for derivative in (about.velocity, about.potential):
        first, second, both = derivative(change), derivative(other), derivative(2.0 * change - 3.0 * other)
        scale = max(np.abs(first).max(), np.abs(second).max(), 1e-3)
        assert np.abs(both - 2.0 * first + 3.0 * second).max() < 1e-11 * scale
