"""The attention operators against the definition: every encoding, bias, matrix, prompt and normalisation."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import (
    Alibi,
    Attention,
    Causal,
    Head,
    NoBias,
    Prompt,
    Table,
    Window,
    Within,
    kernels,
    reference,
)
from meanfield_pde.attention.choose import operator
from meanfield_pde.attention.convolution import Convolution
from meanfield_pde.attention.factored import Factored
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.operators import Setting
from meanfield_pde.attention.pairwise import Pairwise
from meanfield_pde.attention.plain import Plain
from meanfield_pde.errors import InputError
from meanfield_pde.spaces.circle import Circle
from tests.cases import SEEDS, attentions, biases, random_coefficients, unit_vectors

# Promised: 1e-10 of the largest velocity. Factored kernels are accurate to 1e-12 of the largest kernel entry
# of a query, of which the normaliser of a smooth density is at least some hundredths.
RELATIVE = 1e-10


def relative_error(field, space, coefficients):
    expected = reference.velocity(space, field.attention, space.synthesise(coefficients))
    found = np.broadcast_to(field.velocity(coefficients), expected.shape)
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-6)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(attention=attentions(), seed=SEEDS, points=st.sampled_from([120, 161]))
def test_velocity_is_that_of_the_definition(attention, seed, points):
    space = Circle(points)
    coefficients = random_coefficients(space, attention.auxiliary.nodes.size, np.random.default_rng(seed))
    field = AttentionField(space, attention)
    try:
        _ = field.heads
    except InputError as error:  # unnormalised attention at large exponents is refused, never inf
        assert "overflows" in str(error)  # noqa: PT017
        assume(False)
    assert relative_error(field, space, coefficients) < RELATIVE


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(attention=attentions(betas=(0.0, 0.5, 2.0, 5.0)), seed=SEEDS)
def test_scores_are_those_of_the_definition(attention, seed):
    space = Circle(120)
    coefficients = random_coefficients(space, attention.auxiliary.nodes.size, np.random.default_rng(seed))
    density = space.synthesise(coefficients)
    for head, described in zip(AttentionField(space, attention).heads, attention.heads, strict=True):
        sums = reference.pair_sums(space, attention, described, density)
        expected = sums.scored * np.exp(sums.offset - head.offset)
        scale = (sums.total * np.exp(sums.offset - head.offset)).max() * max(1.0, np.abs(sums.offset).max())
        assert np.abs(head.scored(coefficients) - expected).max() < RELATIVE * scale


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("nodes", [1, 2, 31, 64, 512])
def test_additive_rings_of_all_sizes(nodes, normalization):
    nu = auxiliary.uniform(nodes)
    ring = encodings.additive(encodings.ring(nu.nodes, 0.8, 2))
    attention = Attention((Head.plain(3.0, 2),), nu, ring, normalization)
    space = Circle(60)
    coefficients = random_coefficients(space, nodes, np.random.default_rng(nodes))
    assert relative_error(AttentionField(space, attention), space, coefficients) < RELATIVE


@pytest.mark.parametrize(
    ("beta", "bias", "nodes"),
    [(8.0, Causal(), 33), (12.0, NoBias(), 40), (20.0, Alibi(1.0), 33)],
)
def test_tokens_that_oppose_their_encoding(beta, bias, nodes):
    """On a ring of radius one x + p(z) vanishes where x = −p(z): exponents range from 0 to 4β."""
    nu, space = auxiliary.uniform(nodes), Circle(200)
    head = Head.plain(beta, 2, bias)
    attention = Attention((head,), nu, encodings.additive(encodings.ring(nu.nodes, 1.0, 2)))
    coefficients = random_coefficients(space, nodes, np.random.default_rng(1))
    assert relative_error(AttentionField(space, attention), space, coefficients) < RELATIVE


@pytest.mark.parametrize("encoding", ["none", "additive", "rotary"])
@pytest.mark.parametrize("values", ["encoded", "token"])
def test_softmax_stays_accurate_at_beta_200(encoding, values):
    nu = auxiliary.uniform(7)
    code = {
        "none": encodings.none(),
        "additive": encodings.additive(encodings.ring(nu.nodes, 1.0, 2)),
        "rotary": encodings.rotary(nu.nodes, 5.0),
    }[encoding]
    attention = Attention((Head.plain(200.0, 2),), nu, code, "softmax", values)
    space = Circle(512)
    coefficients = random_coefficients(space, 7, np.random.default_rng(0))
    assert relative_error(AttentionField(space, attention), space, coefficients) < RELATIVE


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_beta_zero_is_the_kuramoto_field(normalization):
    """At β = 0 each token moves along the mean token: V = R sin(ψ − θ)."""
    space, nu = Circle(64), auxiliary.none()
    coefficients = random_coefficients(space, 1, np.random.default_rng(3))
    field = AttentionField(space, Attention((Head.plain(0.0, 2),), nu, encodings.none(), normalization))
    mean = space.first_moment(coefficients)[0]
    expected = np.hypot(*mean) * np.sin(np.arctan2(mean[1], mean[0]) - space.angles)
    assert np.abs(field.velocity(coefficients)[0, :, 0] - expected).max() < 1e-14  # a few roundings


def test_operators_are_chosen_by_structure():
    space, nu = Circle(64), auxiliary.uniform(64)
    ring = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    general = Head(2.0, np.array([[1.0, 0.3], [0.0, 1.0]]), np.eye(2), np.eye(2))

    def chosen(head, encoding, values="encoded"):
        return type(operator(Setting(space, Attention((head,), nu, encoding, "softmax", values), head)))

    assert chosen(Head.plain(2.0, 2), encodings.none()) is Convolution
    assert chosen(Head.plain(2.0, 2), encodings.rotary(nu.nodes, 1.0)) is Convolution
    assert chosen(Head.plain(2.0, 2), encodings.rotary(nu.nodes, 1.0), "token") is Plain
    assert chosen(general, encodings.none()) is Plain
    assert chosen(Head.plain(2.0, 2), ring) is Factored
    assert chosen(Head.plain(20.0, 2, Causal()), encodings.additive(6.0 * ring.shifts)) is Pairwise


def test_convolution_is_a_special_case_of_the_general_operator():
    space, nu = Circle(64), auxiliary.uniform(5)
    head = Head.plain(3.0, 2, Alibi(2.0))
    attention = Attention((head,), nu, encodings.rotary(nu.nodes, 4.0))
    setting = Setting(space, attention, head)
    coefficients = random_coefficients(space, 5, np.random.default_rng(1))
    convolution, plain = operator(setting), Plain(setting)
    assert isinstance(convolution, Convolution)
    ours, theirs = convolution.sums(coefficients), plain.sums(coefficients)
    assert np.abs(ours.total - theirs.total).max() < 1e-15 * 10  # both are O(1): a few roundings
    assert np.abs(ours.field - theirs.field).max() < 1e-15 * 10


def test_a_kernel_of_ones_own():
    """κ = exp(2⟨u, w⟩) written as a function is the head with β = 2."""
    space, nu = Circle(48), auxiliary.uniform(3)
    encoding = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    plain = Head.plain(2.0, 2)
    custom = Head(1.0, np.eye(2), np.eye(2), np.eye(2), kernel=lambda inner: np.exp(2.0 * inner))
    coefficients = random_coefficients(space, 3, np.random.default_rng(5))
    expected = AttentionField(space, Attention((plain,), nu, encoding)).velocity(coefficients)
    found = AttentionField(space, Attention((custom,), nu, encoding)).velocity(coefficients)
    assert np.abs(found - expected).max() < 1e-11  # the factored kernel's accuracy


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=SEEDS, count=st.sampled_from([1, 2, 7, 40]))
def test_mixing_is_the_product_with_the_matrix_of_the_bias(data, seed, count):
    rng = np.random.default_rng(seed)
    nodes = np.round(rng.uniform(-1.0, 1.0, count), 1)  # repeated nodes on purpose
    bias = data.draw(biases(nodes))
    matrix = bias.log_weights(nodes, nodes)
    mixer, features = bias.mixer(nodes), rng.standard_normal((count, 3))
    weights = np.exp(matrix - mixer.peak)
    expected = weights @ features
    assert np.abs(mixer.mix(features) - expected).max() < 1e-13 * count
    biased = mixer.mix_bias(features)
    finite = np.where(np.isfinite(matrix), matrix, 0.0)
    found = np.zeros_like(expected) if biased is None else biased
    assert np.abs(found - (finite * weights) @ features).max() < 1e-12 * count


@given(seed=SEEDS, count=st.integers(1, 60), width=st.floats(0.0, 1.2))
@settings(max_examples=60, deadline=None)
def test_compiled_sums_equal_their_twins(seed, count, width):
    rng = np.random.default_rng(seed)
    ordered, features = np.sort(rng.random(count)), rng.standard_normal((count, 4))
    first, last = kernels.window_ranges(ordered, width)
    close = np.abs(ordered[:, None] - ordered[None, :]) <= width
    assert np.array_equal(first, close.argmax(axis=1))
    assert np.array_equal(last - first, close.sum(axis=1))
    found, expected = (f(features, first, last) for f in (kernels.sliding_sum, reference.sliding_sum))
    assert np.abs(found - expected).max() < 1e-13 * count  # rounding of at most `count` additions
    order, counts = rng.permutation(count), rng.integers(0, count + 1, count)
    found = kernels.prefix_sum(features, order, counts, np.argsort(counts))
    assert np.abs(found - reference.prefix_sum(features, order, counts)).max() < 1e-13 * count
    gaps = np.diff(ordered)
    for ours, theirs in zip(
        kernels.decaying_sum(features, gaps, 3.0), reference.decaying_sum(features, gaps, 3.0), strict=True
    ):
        assert np.abs(ours - theirs).max() < 1e-13 * count


def test_sliding_sums_keep_the_digits_of_small_rows():
    """Prefix sums would lose rows that are small beside what lies before them."""
    features = np.concatenate([np.full((50, 1), 1e16), np.full((50, 1), 1e-3)])
    ordered = np.arange(100.0)
    found = kernels.sliding_sum(features, *kernels.window_ranges(ordered, 2.0))
    assert found[80, 0] == pytest.approx(5e-3, rel=1e-14)


def test_wrong_pieces_are_refused_by_name():
    nu = auxiliary.uniform(3)
    plain = Head.plain(1.0, 2)
    with pytest.raises(InputError, match="beta"):
        Head.plain(-1.0, 2)
    with pytest.raises(InputError, match="width"):
        Window(np.nan)
    with pytest.raises(InputError, match="slope"):
        Alibi(-1.0)
    with pytest.raises(InputError, match="every row"):
        Table(np.full((3, 3), -np.inf), nu.nodes)
    with pytest.raises(InputError, match="shape"):
        Table(np.zeros((2, 3)), nu.nodes)
    with pytest.raises(InputError, match="one row per node"):
        Attention((plain,), nu, encodings.additive(np.zeros((2, 2))))
    with pytest.raises(InputError, match="fraction"):
        Prompt(unit_vectors(np.zeros((1, 1))), np.ones(1), 1.0)
    with pytest.raises(InputError, match="weights"):
        Prompt(unit_vectors(np.zeros((1, 2))), np.ones(2), 0.5)
    with pytest.raises(InputError, match=r"query|key"):
        Head(1.0, np.eye(2), np.eye(3), np.eye(2))


def test_unnormalised_attention_that_overflows_is_refused():
    field = AttentionField(
        Circle(64), Attention((Head.plain(800.0, 2),), auxiliary.none(), normalization="none")
    )
    with pytest.raises(InputError, match="overflows"):
        field.velocity(Circle(64).uniform()[None])


def test_a_hidden_prompt_leaves_the_tokens_alone():
    """A causal bias hides a prompt token that comes later; the share ω then attends to nothing (softmax)."""
    space, nu = Circle(64), auxiliary.uniform(4)
    late = Prompt(unit_vectors(np.array([[1.0]])), np.ones(1), 0.4, np.array([2.0]))
    coefficients = random_coefficients(space, 4, np.random.default_rng(2))
    head = Head.plain(2.0, 2, Causal())
    with_prompt = AttentionField(space, Attention((head,), nu, prompt=late)).velocity(coefficients)
    without = AttentionField(space, Attention((head,), nu)).velocity(coefficients)
    assert np.abs(with_prompt - without).max() < 1e-14


def test_within_a_single_population_is_no_bias():
    space, nu = Circle(64), auxiliary.none()
    coefficients = random_coefficients(space, 1, np.random.default_rng(4))
    velocities = [
        AttentionField(space, Attention((Head.plain(2.0, 2, bias),), nu)).velocity(coefficients)
        for bias in (NoBias(), Within(), Causal(), Window(0.3), Alibi(1.0))
    ]
    for velocity in velocities[1:]:
        assert np.abs(velocity - velocities[0]).max() < 1e-14
