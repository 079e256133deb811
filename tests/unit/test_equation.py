"""Compiled rates against plain ones, and the rate against its definition."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import fft

from meanfield_pde import auxiliary, encodings, parallel
from meanfield_pde.attention import Attention, Causal, Head, Prompt, reference
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.drift import harmonics
from meanfield_pde.equation import BAND, COMPILED_SIZE, Equation
from meanfield_pde.spaces import circle_kernels
from meanfield_pde.spaces.circle import Circle
from solvers.compiled import padded
from tests.cases import SEEDS, attentions, random_coefficients, unit_vectors


def equation_of(resolution, *, nodes=3, beta=2.0, normalization="softmax", ring=0.0, drift=None, **options):
    space, nu = Circle(resolution), auxiliary.legendre(nodes)
    code = encodings.additive(encodings.ring(nu.nodes, ring, 2)) if ring else encodings.none()
    head = options.pop("head", None) or Head.plain(beta, 2)
    layer = Attention((head,), nu, code, normalization, **options)
    return Equation(AttentionField(space, layer), None if drift is None else harmonics(drift)(space), 0.1)


def evaluated(system, state):
    out = np.full_like(state, np.nan)
    before = state.copy()
    system.rate(state, out, padded(system.tables) if system.compiled else ())
    assert (state == before).all()
    return out


def states(equation, rng):
    count = equation.attention.attention.auxiliary.nodes.size
    return equation.state(random_coefficients(equation.space, count, rng, decay=0.2))


DRIFTS = [None, (0.3,), (0.1, -0.3, 0.2, 0.5, -0.25)]


@given(
    resolution=st.sampled_from([8, 9, 31, 64, 97, 128]),
    nodes=st.sampled_from([1, 2, 7]),
    beta=st.sampled_from([0.0, 0.4, 3.0, 40.0]),
    normalization=st.sampled_from(["softmax", "none"]),
    ring=st.sampled_from([0.0, 0.6]),
    drift=st.sampled_from(DRIFTS),
    seed=SEEDS,
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_compiled_rates_equal_the_plain_one(resolution, nodes, beta, normalization, ring, drift, seed):
    """Banded, convolution and factored. Sums of a hundred terms and m ≤ 42 times the largest flux's rounding.

    Factored kernels solve for charges that exceed the probes, 1e3 times at most for their accuracy of 1e-12.
    """
    if normalization == "none" and beta == 40.0:
        beta = 8.0
    equation = equation_of(
        resolution, nodes=nodes, beta=beta, normalization=normalization, ring=ring, drift=drift
    )
    compiled, state = equation.compiled(), states(equation, np.random.default_rng(seed))
    plain = evaluated(equation.plain(), state)
    if compiled is None:
        assert ring  # few nodes and large exponents go pairwise
        return
    assert compiled.compiled
    assert (compiled.linear == equation.plain().linear).all()
    found = evaluated(compiled, state)
    assert np.abs(found - plain).max() < (1e-11 if ring else 1e-12) * max(np.abs(plain).max(), 1.0)


def test_the_rate_is_chosen_by_what_is_there():
    named = {
        circle_kernels.banded_rate: "banded",
        circle_kernels.convolution_rate: "convolution",
        circle_kernels.factored_rate: "factored",
    }

    def chosen(**options):
        compiled = equation_of(64, **options).compiled()
        return None if compiled is None else named[compiled.rate]

    assert chosen() == "convolution"
    assert chosen(normalization="none") == "banded"
    assert chosen(normalization="none", drift=(0.1,)) == "convolution"
    assert chosen(normalization="none", beta=200.0) == "convolution"  # more than BAND modes
    assert Circle(64).degree(200.0, 1e-17) > BAND
    assert chosen(ring=0.5, nodes=64) == "factored"
    assert chosen(ring=0.5, nodes=64, values="token") is None
    assert chosen(head=Head.plain(1.0, 2, Causal())) is None
    assert chosen(head=Head(1.0, np.diag([1.0, 2.0]), np.eye(2), np.eye(2))) is None
    prompt = Prompt(unit_vectors(np.zeros((1, 1))), np.ones(1), 0.5)
    assert chosen(prompt=prompt) is None
    assert chosen(nodes=COMPILED_SIZE // 64 + 1) is None
    # A prompt without mass is no prompt.
    assert chosen(prompt=Prompt(prompt.points, prompt.weights, 0.0)) == "convolution"


@given(attention=attentions(betas=(0.0, 0.5, 2.0)), seed=SEEDS, drift=st.sampled_from(DRIFTS))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_the_rate_is_minus_the_divergence_of_the_flux(attention, seed, drift):
    """−∂_θ(ρ(V + F)) by FFT on the same grid, V by dense sums. Relative as for velocities, 1e-10."""
    space = Circle(97)
    equation = Equation(
        AttentionField(space, attention), None if drift is None else harmonics(drift)(space), 0.0
    )
    coefficients = random_coefficients(
        space, attention.auxiliary.nodes.size, np.random.default_rng(seed), decay=0.6
    )
    density = space.synthesise(coefficients)
    velocity = reference.velocity(space, attention, density)[..., 0]
    for degree, pair in enumerate(
        zip((drift or (0.0,))[1::2], (drift or (0.0,))[2::2], strict=True), start=1
    ):
        velocity = (
            velocity + pair[0] * np.cos(degree * space.angles) + pair[1] * np.sin(degree * space.angles)
        )
    velocity = velocity + (drift or (0.0,))[0]
    order = np.arange(1, space.modes + 1)
    spectrum = np.fft.rfft(density * velocity)[:, 1 : space.modes + 1] * (2.0 * np.pi / 97)
    expected = (-1j * order * spectrum).view(float)
    found = equation.nonlinear(equation.state(coefficients))
    assert np.abs(found - expected).max() < 1e-10 * max(np.abs(expected).max(), 1e-6)


@given(attention=attentions(betas=(0.5, 2.0)), seed=SEEDS, drift=st.sampled_from(DRIFTS))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
def test_blocks_of_nodes_and_threads_change_nothing(attention, seed, drift):
    """Blocks of three nodes against one of all, to rounding; two threads against one, to the bit."""
    space, rng = Circle(33), np.random.default_rng(seed)
    equation = Equation(
        AttentionField(space, attention), None if drift is None else harmonics(drift)(space), 0.0
    )
    coefficients = random_coefficients(space, attention.auxiliary.nodes.size, rng)
    state = equation.state(coefficients)
    whole, velocity = equation.nonlinear(state), equation.velocity(coefficients)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "BLOCK", 3)
        rate = equation.nonlinear(state)
        cut = equation.velocity(coefficients)
        with fft.set_workers(2):
            assert np.array_equal(equation.nonlinear(state), rate)
            assert np.array_equal(equation.velocity(coefficients), cut)
    assert cut.shape == velocity.shape
    # Quotients of sums that cancel below their largest term: so many digits are lost in either.
    assert np.abs(rate - whole).max() < 1e-11 * max(np.abs(whole).max(), 1.0)


def test_the_linear_part_is_the_noise():
    equation = equation_of(31)
    assert (equation.linear == -0.1 * np.repeat(np.arange(1, 11) ** 2.0, 2)).all()
    state = states(equation, np.random.default_rng(0))
    coefficients = equation.coefficients(state)
    assert (coefficients[:, 0] == 1.0).all()
    assert (coefficients[:, 1] == 0.0).all()
    assert (equation.state(coefficients) == state).all()


def test_large_states_are_left_to_numpy():
    equation = equation_of(64, nodes=COMPILED_SIZE // 64 + 1)
    assert not equation.system().compiled
    assert equation_of(64).system().compiled
