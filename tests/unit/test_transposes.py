"""Transposes of transforms, mixers and operators: ⟨Ac, g⟩ = ⟨c, Aᵀg⟩ for random c and g."""

from functools import partial

import numpy as np
import pytest

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Causal, Head, NoBias, Prompt, Table, Window, Within
from meanfield_pde.attention.convolution import Convolution
from meanfield_pde.attention.dense import Dense
from meanfield_pde.attention.factored import Factored
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.operators import Setting
from meanfield_pde.attention.pairwise import Pairwise
from meanfield_pde.attention.plain import Plain
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus
from meanfield_pde.spaces.zonal import Zonal

#: Both sides are the same sum of products in different orders: some hundred roundings of 1e-16, relative to
#: the products of the norms, which these sums of random signs are smaller than.
ROUNDING = 1e-14

SPACES = [
    Circle(48),
    Circle(49),
    Circle(4),
    Sphere(5),
    Sphere(8),
    Torus(12),
    Torus(13),
    Zonal(9, 2),
    Zonal(12, 5),
    Zonal(6, 40),
]
every_space = pytest.mark.parametrize("space", SPACES, ids=lambda space: f"{space.name}-{space.resolution}")


def product(first, second):
    return float(np.ravel(first) @ np.ravel(second))


def mismatch(forward, backward, given, dual):
    """⟨Ac, g⟩ − ⟨c, Aᵀg⟩ relative to the norms of what is multiplied, the larger pair of them."""
    moved, pulled = forward(given), backward(dual)
    assert pulled.shape == given.shape
    assert moved.shape == dual.shape
    norm = np.linalg.norm
    scale = max(norm(moved) * norm(dual), norm(given) * norm(pulled))
    return abs(product(moved, dual) - product(given, pulled)) / scale


def counts(space):
    """Coefficients of the grid, fewer, and more than its points tell apart, past and at Nyquist's mode."""
    grid = space.eigenvalues.size
    if isinstance(space, Zonal):
        return [grid, 2, grid + 7]
    degrees = [1, *range(space.resolution // 2 - 1, space.resolution // 2 + 2), space.resolution + 1]
    if isinstance(space, Sphere):
        columns = space.grid.shape[1]
        degrees = [1, (columns - 1) // 2, columns // 2 + 1, columns + 2]
    return [grid, *(space.width(degree) for degree in degrees)]


@every_space
def test_transforms(space):
    rng = np.random.default_rng(0)
    points, tangents = space.frame.shape[:2]
    for count in counts(space):
        given = rng.standard_normal((2, 3, count))
        values, field = rng.standard_normal((2, 3, points)), rng.standard_normal((2, 3, points, tangents))
        for forward, backward, dual in (
            (space.synthesise, partial(space.synthesise_transposed, count=count), values),
            (space.gradient, partial(space.gradient_transposed, count=count), field),
        ):
            assert mismatch(forward, backward, given, dual) < ROUNDING


@every_space
def test_divergences(space):
    rng = np.random.default_rng(1)
    flux = rng.standard_normal((2, 3, *space.frame.shape[:2]))
    dual = rng.standard_normal((2, 3, space.eigenvalues.size))
    assert mismatch(space.divergence, space.divergence_transposed, flux, dual) < ROUNDING
    constants = np.zeros_like(dual)
    constants[..., : space.constant] = 1.0
    assert not space.divergence_transposed(constants).any()  # fluxes keep the mass, exactly


@every_space
def test_tangential_parts_are_syntheses_of_components(space):
    rng = np.random.default_rng(2)
    dimension = space.frame.shape[2]
    given = rng.standard_normal((3, dimension, space.eigenvalues.size))
    field = rng.standard_normal((3, *space.frame.shape[:2]))

    def backward(dual):
        components = np.einsum("zip,ipd->zdi", dual, space.frame)
        return space.synthesise_transposed(components, given.shape[-1])

    assert mismatch(space.tangential, backward, given, field) < ROUNDING


@every_space
def test_rotations_are_transposed_by_turning_back(space):
    rng = np.random.default_rng(3)
    angles = np.zeros(4) if isinstance(space, Zonal) else rng.uniform(-4.0, 4.0, 4)
    for count in counts(space):
        given, dual = rng.standard_normal((2, 4, count))
        assert (
            mismatch(lambda c: space.rotate(c, angles), lambda g: space.rotate(g, -angles), given, dual)
            < ROUNDING
        )


def scaled(dimension, planes):
    """A matrix whose kernel is a convolution, a scaled rotation where the space has such."""
    if planes == 0:
        return -0.8 * np.eye(dimension)
    matrix = np.zeros((dimension, dimension))
    for plane in range(planes):
        turn = 0.3 + plane
        own, rotation = slice(2 * plane, 2 * plane + 2), Circle(4).rotations(np.array([turn]))[0]
        matrix[own, own] = (0.9 - 0.2 * plane) * rotation
    return matrix


@every_space
@pytest.mark.parametrize("beta", [0.0, 0.7, 30.0])
def test_convolutions(space, beta):
    rng = np.random.default_rng(4)
    matrix = scaled(space.points.shape[1], {"circle": 1, "torus": 2}.get(space.name, 0))
    kernel, field = space.convolution(beta, matrix, matrix)
    count = min(space.width(kernel.shape[-1] - 1), space.eigenvalues.size)
    given, dual = rng.standard_normal((2, 3, count))
    assert (
        mismatch(
            lambda c: space.apply_multipliers(c, kernel),
            lambda g: space.apply_multipliers(g, np.conj(kernel)),
            given,
            dual,
        )
        < ROUNDING
    )
    assert (
        mismatch(
            lambda c: space.convolved_field(c, field),
            lambda g: space.convolved_field_transposed(g, field, count),
            given,
            rng.standard_normal((3, *space.frame.shape[:2])),
        )
        < ROUNDING
    )


def some_biases(nodes, rng):
    table = 2.0 * rng.standard_normal((nodes.size, nodes.size))
    table[rng.random(table.shape) < 0.3] = -np.inf
    np.fill_diagonal(table, 0.5)
    return {
        "none": NoBias(),
        "causal": Causal(),
        "window": Window(0.35),
        "alibi": Alibi(2.0),
        "within": Within(),
        "table": Table(table, nodes),
    }


BIASES = ["none", "causal", "window", "alibi", "within", "table"]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_mixers(bias, count):
    rng = np.random.default_rng(count)
    nodes = np.round(rng.uniform(-1.0, 1.0, count), 1)  # repeated nodes on purpose, in no order
    mixer = some_biases(nodes, rng)[bias].mixer(nodes)
    features = rng.standard_normal((count, 3))
    mixed = rng.standard_normal((1 if mixer.shared else count, 3))

    def backward(dual):
        return np.broadcast_to(mixer.spread(dual), (count, 3))

    assert mismatch(mixer.mix, backward, features, mixed) < ROUNDING
    assert mixer.spread(mixed).shape == mixed.shape


NODES = auxiliary.Auxiliary(np.array([0.3, -0.2, 0.9, 0.31, 0.5]), np.array([0.1, 0.3, 0.2, 0.25, 0.15]))
FEW = [Circle(30), Sphere(4), Torus(6), Zonal(7, 5)]
few_spaces = pytest.mark.parametrize("space", FEW, ids=lambda space: space.name)


def matrices(kind, dimension, rng):
    if kind == "identity":
        return (np.eye(dimension),) * 3
    return tuple(rng.standard_normal((dimension, dimension)) / dimension for _ in range(3))


def settings(space, kind, bias, encoding, values, size=0.4):
    """The setting of one head with nodes that are neither in order nor of equal weight."""
    rng = np.random.default_rng(7)
    nodes, dimension = NODES.nodes, space.points.shape[1]
    code = encodings.none()
    if encoding == "rotary":
        code = encodings.rotary(nodes, 0.0 if isinstance(space, Zonal) else 3.0)
    if encoding == "additive":
        code = encodings.additive(size * rng.standard_normal((nodes.size, dimension)))
    beta = 0.2 if isinstance(space, Torus) else 0.8  # in R⁴ skeletons take long to find
    head = Head(beta, *matrices(kind, dimension, rng), some_biases(nodes, rng)[bias])
    return Setting(space, Attention((head,), NODES, code, "softmax", values), head)


def assert_transposed(sums, transposed, rows, space, rounding=ROUNDING):
    """⟨T, total⟩ + ⟨F, field⟩ = ⟨c, transposed(T, F)⟩, and None is a zero."""
    rng = np.random.default_rng(11)
    coefficients = rng.standard_normal((rows, space.eigenvalues.size))
    found = sums(coefficients)
    total, field = rng.standard_normal(found.total.shape), rng.standard_normal(found.field.shape)
    pulled = transposed(total, field)
    assert pulled.shape == coefficients.shape
    moved = np.concatenate([found.total.ravel(), found.field.ravel()])
    dual = np.concatenate([total.ravel(), field.ravel()])
    norm = np.linalg.norm
    scale = max(norm(moved) * norm(dual), norm(coefficients) * norm(pulled))
    assert abs(product(moved, dual) - product(coefficients, pulled)) < rounding * scale
    alone = transposed(None, field)
    assert np.abs(alone - transposed(np.zeros_like(total), field)).max() <= rounding * np.abs(pulled).max()
    return found


def assert_cut(operator, space):
    """Blocks of query nodes give their rows of all, or the one row of all."""
    coefficients = np.random.default_rng(12).standard_normal((5, space.eigenvalues.size))
    whole, block = operator.sums(coefficients), operator.block_sums(coefficients)
    for rows in (slice(0, 2), slice(2, 4), slice(4, 5)):
        found, kept = block(rows), slice(None) if operator.shared else rows
        for ours, theirs in ((found.total, whole.total), (found.field, whole.field)):
            assert ours.shape == theirs[kept].shape
            assert np.abs(ours - theirs[kept]).max() < ROUNDING * np.abs(theirs).max()


def factored(setting):
    """The operator of all nodes through a skeleton: a rough one, transposes are exact for any."""
    from meanfield_pde.attention.choose import _factored

    found = _factored(setting, setting.attention.encoding.shifts, 1e-4, 1e-1)
    assert isinstance(found, Factored)
    return found


@few_spaces
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("encoding", ["none", "rotary"])
def test_operators_without_shifts(space, encoding, bias):
    for kind in ("identity", "general"):
        for values in ("encoded", "token"):
            setting = settings(space, kind, bias, encoding, values)
            multipliers = space.convolution(setting.head.beta, setting.head.metric, setting.head.value)
            chosen = [Plain(setting)]
            if kind == "identity" and (values == "encoded" or encoding == "none"):
                chosen.append(Convolution(setting, *multipliers))
            for operator in chosen:
                found = assert_transposed(operator.sums, operator.transposed, 5, space)
                assert operator.shared == (len(found.total) == 1)
                assert_cut(operator, space)


@few_spaces
@pytest.mark.parametrize("bias", ["none", "causal", "table"])
def test_operators_with_shifts(space, bias):
    for kind in ("identity", "general"):
        for values in ("encoded", "token"):
            setting = settings(space, kind, bias, "additive", values)
            for operator in (Pairwise(setting, setting.attention.encoding.shifts), factored(setting)):
                found = assert_transposed(operator.sums, operator.transposed, 5, space)
                assert not operator.shared
                assert len(found.total) == 5
                assert_cut(operator, space)


@pytest.mark.parametrize(
    ("space", "kind", "size", "beta"),
    [
        (Circle(64), "general", 0.4, 0.8),
        (Circle(120), "identity", 0.7, 2.0),
        (Sphere(10), "identity", 0.2, 0.5),
        (Sphere(10), "general", 0.2, 0.5),
        (Sphere(5), "general", 0.2, 0.1),  # of degree 9 on 16 longitudes
        (Torus(24), "general", 0.2, 0.02),
    ],
)
def test_factors_that_are_synthesised_from_coefficients(space, kind, size, beta):
    setting = settings(space, kind, "alibi", "additive", "encoded", size)
    head = Head(beta, setting.head.query, setting.head.key, setting.head.value, setting.head.bias)
    operator = factored(Setting(space, setting.attention, head))
    assert operator._spectral is not None
    assert_transposed(operator.sums, operator.transposed, 5, space)
    assert_cut(operator, space)


def test_blocks_of_many_nodes():
    nu, space = auxiliary.uniform(300), Circle(24)
    ring = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    for normalization, bias in (("softmax", NoBias()), ("none", Causal())):
        head = Head.plain(1.5, 2, bias)
        field = AttentionField(space, Attention((head,), nu, ring, normalization)).heads[0]
        assert isinstance(field.operator, Factored)
        assert_transposed(field.token_sums, field.transposed, 300, space)


def test_tables_and_transforms_are_one():
    """Convolutions of few rows multiply by a table, others transform."""
    space, nu, rng = Circle(48), auxiliary.uniform(40), np.random.default_rng(5)
    head = Head.plain(3.0, 2, Causal())
    operator = AttentionField(space, Attention((head,), nu)).heads[0].operator
    total, field = rng.standard_normal((40, 48)), rng.standard_normal((40, 48, 1))
    rows = [operator._dual(total[[row]], field[[row]])[0] for row in range(40)]
    found = operator._transformed(total, field)
    assert np.abs(found - rows).max() < 1e-13 * np.abs(found).max()  # roundings of 48 products


@pytest.mark.parametrize("space", [Circle(6), Sphere(1)], ids=lambda space: space.name)
def test_kernels_of_ones_own(space):
    nu, dimension = auxiliary.uniform(2), space.points.shape[1]
    identity = np.eye(dimension)
    head = Head(1.0, identity, identity, identity, Causal(), kernel=lambda inner: 1.0 + inner**2)
    operator = AttentionField(space, Attention((head,), nu)).heads[0].operator
    assert isinstance(operator, Dense)
    assert_transposed(operator.sums, operator.transposed, 2, space)


@pytest.mark.parametrize("bias", ["none", "causal"])
@pytest.mark.parametrize("encoding", ["none", "rotary", "additive"])
@pytest.mark.parametrize("prompt", ["shared", "per node", "placed"])
def test_heads_with_a_prompt(prompt, encoding, bias):
    space = Circle(30)
    setting = settings(space, "identity", bias, encoding, "encoded")
    angles = np.linspace(0.3, 5.0, 5)[:, None] if prompt == "per node" else np.array([[0.4, 2.0]])
    tokens, count = np.stack([np.cos(angles), np.sin(angles)], axis=-1), angles.shape[1]
    positions = NODES.nodes[[1, 3]] if prompt == "placed" else None
    code = setting.attention.encoding.at(np.array([1, 3])) if prompt == "placed" else encodings.none()
    fixed = Prompt(tokens, np.full(count, 1.0 / count), 0.3, positions, code)
    attention = Attention((setting.head,), NODES, setting.attention.encoding, prompt=fixed)
    head = AttentionField(space, attention).heads[0]
    found = assert_transposed(head.token_sums, head.transposed, 5, space)
    shared = head.operator.shared and prompt == "shared"
    assert len(found.total) == (1 if shared else 5)
