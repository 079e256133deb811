"""The right-hand side's derivative transposed: against the linearisation, differences and the definition."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Causal, Head, NoBias, Prompt
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.pairwise import Pairwise
from meanfield_pde.equation import Equation
from meanfield_pde.errors import InputError
from meanfield_pde.limits.stability import Linearisation
from meanfield_pde.pullback import HeadPullback, linearised_rate
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.hypersphere import Hypersphere
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus
from meanfield_pde.spaces.zonal import Zonal
from tests.cases import SEEDS, attentions

#: The same sums of some thousand products in two orders, relative to the product of the norms: roundings of
#: 1e-16, and what quotients and transforms multiply them by.
ROUNDING = 1e-13
#: Differences of fourth order: (2h)⁴ times the fifth derivative, of size 10 here, and 1e-15/h of roundings.
STEP, DIFFERENCE = 2e-3, 1e-8

SPACES = [Circle(40), Sphere(5), Torus(10), Zonal(10, 5)]
NODES = auxiliary.Auxiliary(np.array([0.3, -0.2, 0.9, 0.31]), np.array([0.1, 0.4, 0.2, 0.3]))


def state_of(equation, rows, rng):
    """Densities that stay positive, as a state; and a scale of coefficients that decays in the same way."""
    space = equation.space
    size = np.exp(-np.sqrt(space.eigenvalues))
    coefficients = np.tile(space.uniform(), (rows, 1))
    moving = slice(space.constant, None)
    coefficients[:, moving] += 0.4 * size[moving] * rng.uniform(-1.0, 1.0, (rows, size.size))[:, moving]
    return equation.state(coefficients), size[moving]


def differences(function, at, along):
    near, far = (
        function(at + reach * STEP * along) - function(at - reach * STEP * along) for reach in (1.0, 2.0)
    )
    return (8.0 * near - far) / (12.0 * STEP)


def assert_pulled_back(equation, seed=0):
    rng, rows = np.random.default_rng(seed), equation.attention.attention.auxiliary.nodes.size
    state, size = state_of(equation, rows, rng)
    rate, pullback = linearised_rate(equation, state)
    assert np.array_equal(rate, equation.nonlinear(state))
    dual, change = rng.standard_normal(state.shape), size * rng.standard_normal(state.shape)
    pulled, by_drift = pullback(dual)
    assert pulled.shape == state.shape
    flat = Linearisation(equation, equation.coefficients(state)).apply(change)
    moved = flat.reshape(state.shape) - equation.linear * change
    scale = np.linalg.norm(dual) * np.linalg.norm(moved)
    assert scale > 0.0
    assert abs(np.vdot(dual, moved) - np.vdot(pulled, change)) < ROUNDING * scale
    expected = differences(equation.nonlinear, state, change)
    assert abs(np.vdot(dual, expected) - np.vdot(pulled, change)) < DIFFERENCE * scale
    drift = rng.standard_normal(by_drift.shape)
    stronger = Equation(equation.attention, drift, 0.0), Equation(equation.attention, -drift, 0.0)
    push = (stronger[0].nonlinear(state) - stronger[1].nonlinear(state)) / 2.0  # linear in the drift
    norm = np.linalg.norm(dual) * np.linalg.norm(stronger[0].nonlinear(state))
    assert abs(np.vdot(dual, push) - np.vdot(by_drift, drift)) < ROUNDING * norm


def prompt_of(space, kind, encoding, rng):
    if kind == "none":
        return None
    rows = NODES.nodes.size if kind == "per node" else 1
    chosen = rng.integers(len(space.points), size=(rows, 2))
    placed = np.array([1, 3])
    fixed = (NODES.nodes[placed], encoding.at(placed)) if kind == "placed" else (None, encodings.none())
    return Prompt(space.points[chosen], np.array([0.3, 0.7]), 0.4, *fixed)


def attention_of(space, encoding, values, normalization, prompt="none", heads=1):
    """Heads with nonsymmetric matrices; the first one with several nodes and no bias has Q = K = V = I."""
    rng, dimension = np.random.default_rng(3), space.points.shape[1]
    code = encodings.none()
    if encoding == "rotary":
        code = encodings.rotary(NODES.nodes, 0.0 if isinstance(space, Zonal) else 3.0)
    if encoding == "additive":
        code = encodings.additive(0.3 * rng.standard_normal((NODES.nodes.size, dimension)))
    drawn = [rng.standard_normal((3, dimension, dimension)) / dimension for _ in range(heads)]
    biases = [NoBias(), Causal(), Alibi(1.0)]
    beta = 0.2 if isinstance(space, Torus) else 0.9  # in R⁴ skeletons take long to find
    made = [Head(beta, *matrices, bias) for matrices, bias in zip(drawn, biases, strict=False)]
    if heads > 1 or prompt == "shared":
        made[0] = Head.plain(beta, dimension)
    fixed = prompt_of(space, prompt, code, rng)
    return Attention(tuple(made), NODES, code, normalization, values, fixed)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize(
    ("encoding", "values", "prompt", "heads"),
    [
        ("none", "encoded", "none", 1),
        ("none", "encoded", "shared", 1),
        ("none", "encoded", "per node", 2),
        ("none", "token", "none", 3),
        ("rotary", "encoded", "shared", 2),
        ("rotary", "token", "placed", 3),
        ("additive", "encoded", "none", 1),
        ("additive", "encoded", "per node", 3),
        ("additive", "token", "placed", 2),
    ],
)
@pytest.mark.parametrize("drift", [False, True])
def test_every_kind(space, normalization, encoding, values, prompt, heads, drift):
    attention = attention_of(space, encoding, values, normalization, prompt, heads)
    push = np.random.default_rng(5).standard_normal(space.frame.shape[:2]) if drift else None
    rough = 1e-3  # of the kernel's skeleton: transposes are exact for any
    assert_pulled_back(Equation(AttentionField(space, attention, rough), push, 0.3))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(attention=attentions(sizes=(1, 2, 5, 16), betas=(0.0, 0.5, 2.0, 4.0)), seed=SEEDS)
def test_anything_on_the_circle(attention, seed):
    equation = Equation(AttentionField(Circle(60), attention), None, 0.3)
    try:
        _ = equation.attention.heads
    except InputError as error:  # unnormalised attention at large exponents is refused
        assert "overflows" in str(error)  # noqa: PT017
        assume(False)
    assert_pulled_back(equation, seed)


def test_one_token_law_without_encoding():
    """What training runs most: one node, one head."""
    value = np.diag([2.0, 1.0, 1.0])
    for space, head in (
        (Circle(128), Head.plain(3.0, 2)),
        (Sphere(10), Head(1.0, value, np.eye(3), value)),
        (Zonal(32, 5), Head.plain(4.0, 2)),
    ):
        for normalization in ("softmax", "none"):
            attention = Attention((head,), auxiliary.none(), normalization=normalization)
            assert_pulled_back(Equation(AttentionField(space, attention), None, 0.1))


def test_many_nodes_in_blocks():
    nu = auxiliary.uniform(300)
    ring = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    attention = Attention((Head.plain(1.5, 2, Causal()),), nu, ring)
    assert_pulled_back(Equation(AttentionField(Circle(24), attention), None, 0.1))


def test_the_whole_derivative():
    """Column by column: N'ᵀ is the transpose of the matrix of differences."""
    nu, space = auxiliary.uniform(2), Circle(16)
    encoding = encodings.additive(np.array([[0.5, 0.1], [-0.3, 0.4]]))
    equation = Equation(AttentionField(space, Attention((Head.plain(1.0, 2),), nu, encoding)), None, 0.2)
    assert isinstance(equation.attention.heads[0].operator, Pairwise)
    state, _ = state_of(equation, 2, np.random.default_rng(9))
    _, pullback = linearised_rate(equation, state)
    units = np.eye(state.size).reshape(-1, *state.shape)
    jacobian = np.stack([differences(equation.nonlinear, state, unit).ravel() for unit in units], axis=1)
    pulled = np.stack([pullback(unit)[0].ravel() for unit in units], axis=1)
    assert np.abs(pulled - jacobian.T).max() < DIFFERENCE * np.abs(jacobian).max()


def test_normalisers_below_their_floor_are_constants():
    """Where Σ e^s ρ is negative the bound divides: V = A/floor there, whose derivative is A'/floor."""
    space, nu, rng = Circle(40), auxiliary.none(), np.random.default_rng(1)
    field = AttentionField(space, Attention((Head.plain(4.0, 2),), nu))
    head = field.heads[0]
    coefficients = space.uniform()[None].copy()
    coefficients[0, 2] = 3.0  # (1 + 6 cos θ)/2π
    sums = head.sums(coefficients)
    lost = sums.total < head.floor
    assert 0 < lost.sum() < lost.size
    pullback = HeadPullback.of(head, sums, field.head_velocity(head, sums))
    change, dual = rng.standard_normal(coefficients.shape), rng.standard_normal((1, 40, 1))
    change[:, 8:] = 0.0
    for part in (lost, ~lost):  # e^{largest − offset}/1e-16 and values of size one, each by itself
        own = np.where(part[..., None], dual, 0.0)
        moved = head.token_sums(change)
        total = np.maximum(sums.total, head.floor)[..., None]
        shared = np.where(lost, 0.0, moved.total)[..., None]
        expected = (moved.field - sums.field / total * shared) / total
        scale = np.linalg.norm(own) * np.linalg.norm(np.where(part[..., None], expected, 0.0))
        assert abs(np.vdot(own, expected) - np.vdot(pullback(own), change)) < ROUNDING * scale


def test_spaces_without_densities_are_refused():
    from meanfield_pde.attention.operators import Setting

    head = Head.plain(1.0, 6)
    setting = Setting(Hypersphere(6, 4), Attention((head,), auxiliary.none()), head)
    with pytest.raises(InputError, match="grid"):
        _ = setting.transposes
