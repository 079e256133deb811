"""Token spaces against each other: reductions, symmetries, the definition, invariants of runs, output."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import xarray
from scipy.integrate import solve_ivp

import meanfield_pde as mf
from meanfield_pde import auxiliary, cli, encodings, evolution, records
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
    choose,
    reference,
)
from meanfield_pde.attention.factored import Factored
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.pairwise import Pairwise
from meanfield_pde.attention.plain import Plain
from meanfield_pde.auxiliary import Auxiliary
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.base import Atoms
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.named import space_named
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus
from meanfield_pde.spaces.zonal import Zonal

#: Two runs of one problem in two ways: both within their tolerances, far below this.
SAME = 1e-9
TIGHT = Accuracy(rtol=1e-10, atol=1e-11)
DEPTHS, SHORT = np.array([0.0, 0.2, 0.5]), np.array([0.0, 0.06])
#: What the closing diagnostics say, without those that depend on the grid.
MEASURED = (
    "interaction_energy",
    "free_energy",
    "dissipation",
    "entropy",
    "order_parameter",
    "conditional_concentration",
    "attention_entropy",
)


def orthogonal(rng, dimension):
    """Random rotation."""
    matrix, signs = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    matrix = matrix * np.sign(np.diag(signs))
    matrix[:, 0] *= np.sign(np.linalg.det(matrix))
    return matrix


def unit(rng, *shape):
    vectors = rng.standard_normal(shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def torus_points(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(*angles.shape[:-1], 4)


def bumps(centers, sharpness):
    """Densities of every node, e^{κ⟨x, c⟩}, up to factors: a profile."""
    return lambda points: np.exp(np.asarray(sharpness)[:, None] * (centers @ points.T))


def solve(space, attention, profile, sigma, **options):
    depths = options.pop("depths", DEPTHS)
    accuracy = options.pop("accuracy", TIGHT)
    start = Initial(profile, **options)
    return evolution.solve(
        Problem(space, attention, depths, start, sigma, accuracy=accuracy, method="spectral")
    )


def grid_of(space, solution):
    return space.resized(int(solution.attributes["resolution"]))


def rows_of(solution):
    """Densities (depths · aux, points)."""
    times, nodes = solution.density.shape[:2]
    return solution.density.reshape(times * nodes, -1)


def values_at(space, solution, places):
    """Densities at places, (depths · aux, places), by the functions of the grid's basis."""
    rows, count = rows_of(solution), len(places)
    everywhere = np.tile(places, (len(rows), *(1,) * (places.ndim - 1)))
    atoms = Atoms(everywhere, np.ones(len(everywhere)), count * np.arange(len(rows) + 1))
    return grid_of(space, solution).interpolate(rows, atoms).reshape(len(rows), count)


def largest_difference(first, second):
    return max(np.abs(getattr(first, name) - getattr(second, name)).max() for name in MEASURED)


# Reductions


BIASES = {
    "none": NoBias(),
    "causal": Causal(),
    "window": Window(0.4),
    "alibi": Alibi(1.5),
}


def on_an_axis(axis, bias, normalization, values):
    """Attention of two nodes that knows one axis of R^d alone, in its encoding, matrices and prompt."""
    along = np.outer(axis, axis)
    across = np.eye(axis.size) - along
    nu = auxiliary.legendre(2)
    heads = (
        Head(1.5, along + across, along + across, along + across, BIASES[bias]),
        Head(0.8, along - 0.5 * across, 0.7 * along + across, 0.3 * along + 0.6 * across),
    )
    shifts = encodings.line(nu.nodes, 0.5, 1) * axis
    prompt = Prompt(np.stack([axis, -axis])[None], np.array([0.7, 0.3]), 0.2)
    return Attention(heads, nu, encodings.additive(shifts), normalization, values, prompt)


SHARPNESS = np.array([2.0, -1.0])


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("bias", BIASES)
def test_zonal_densities_of_the_plane_are_even_ones_of_the_circle(bias, normalization):
    values = "token" if bias == "window" else "encoded"
    layer = on_an_axis(np.array([1.0, 0.0]), bias, normalization, values)
    profile = bumps(np.tile([1.0, 0.0], (2, 1)), SHARPNESS)
    zonal, circle = Zonal(20, 2), Circle(64)
    reduced, full = (solve(space, layer, profile, 0.2) for space in (zonal, circle))
    assert largest_difference(reduced, full) < SAME
    angles = np.linspace(0.0, 2.0 * np.pi, 17)
    found, expected = values_at(zonal, reduced, angles), values_at(circle, full, angles)
    assert np.abs(found - expected).max() < SAME
    assert np.abs(np.diff(reduced.order_parameter)).min() > 1e-3  # it is no state of rest


@pytest.mark.parametrize(("bias", "normalization"), [("none", "none"), ("causal", "softmax")])
def test_zonal_densities_of_space_are_those_about_an_oblique_axis(bias, normalization):
    axis = unit(np.random.default_rng(7), 3)
    values = "token" if bias == "causal" else "encoded"
    zonal, sphere, sharpness = Zonal(12, 3), Sphere(12), 0.4 * SHARPNESS
    first = np.array([1.0, 0.0])
    reduced, full = (
        solve(
            space,
            on_an_axis(direction, bias, normalization, values),
            bumps(np.tile(direction, (2, 1)), sharpness),
            0.2,
            depths=SHORT,
        )
        for space, direction in ((zonal, first), (sphere, axis))
    )
    assert largest_difference(reduced, full) < SAME
    angles = np.linspace(0.0, np.pi, 9)
    beside = np.linalg.qr(np.stack([axis, unit(np.random.default_rng(8), 3)], axis=1))[0][:, 1]
    ring = np.cos(angles)[:, None] * axis + np.sin(angles)[:, None] * beside
    assert np.abs(values_at(zonal, reduced, angles) - values_at(sphere, full, ring)).max() < SAME


def test_one_angle_is_the_circle_to_the_last_bit():
    layer = on_an_axis(np.array([0.6, 0.8]), "alibi", "softmax", "encoded")
    profile = bumps(unit(np.random.default_rng(3), 2, 2), SHARPNESS)
    found, expected = (
        solve(space, layer, profile, 0.1) for space in (space_named("torus", 48, 1), Circle(48))
    )
    assert np.array_equal(found.density, expected.density)
    assert found.attributes["space"] == "torus"


def test_each_angle_of_a_product_goes_by_itself():
    """Softmax divides out what the other angle adds to the score; without it the angles are coupled."""
    rng, torus, circle = np.random.default_rng(2), Torus(32), Circle(32)
    centers = unit(rng, 2, 2)
    head = Head.plain(0.5, 4)
    for normalization, product in (("softmax", True), ("none", False)):
        both = solve(
            torus,
            Attention((head,), auxiliary.none(), encodings.none(), normalization),
            lambda x: np.exp(0.5 * x[:, :2] @ centers[0] - 0.3 * x[:, 2:] @ centers[1]),
            0.1,
            depths=SHORT,
        )
        each = [
            solve(
                circle,
                Attention((Head.plain(0.5, 2),), auxiliary.none(), encodings.none(), normalization),
                bumps(center[None], [sharpness]),
                0.1,
                depths=SHORT,
            )
            for center, sharpness in zip(centers, (0.5, -0.3), strict=True)
        ]
        angles = rng.uniform(0.0, 2.0 * np.pi, (12, 2))
        found = values_at(torus, both, torus_points(angles))
        one, two = (values_at(circle, part, angles[:, k]) for k, part in enumerate(each))
        assert (np.abs(found - one * two).max() < SAME) == product


# Symmetries


def general(rng, dimension, *, nodes=2, values="encoded", normalization="softmax"):
    """Two heads with any matrices, an encoding (rotary on the torus), a table of biases and a prompt."""
    nu = auxiliary.uniform(nodes)
    matrices = [m / np.linalg.norm(m, 2) for m in rng.standard_normal((6, dimension, dimension))]
    table = rng.standard_normal((nodes, nodes))
    betas = (1.5, 0.7) if dimension == 3 else (0.5, 0.3)  # |x|² = 2 on the torus
    heads = (Head(betas[0], *matrices[:3], Table(table, nu.nodes)), Head(betas[1], *matrices[3:]))
    code = encodings.additive(0.4 * rng.standard_normal((nodes, dimension)))
    prompt = Prompt(unit(rng, 1, 2, dimension), np.array([0.4, 0.6]), 0.3)
    if dimension == 4:
        code = encodings.rotary(nu.nodes, (1.3, -2.0))
        prompt = replace(prompt, points=torus_points(rng.uniform(0.0, 6.0, (1, 2, 2))))
    return Attention(heads, nu, code, normalization, values, prompt)


def rotated(layer, turn):
    """All vectors and matrices of a layer, rotated."""
    return replace(
        layer,
        heads=tuple(
            replace(h, **{n: turn @ getattr(h, n) @ turn.T for n in ("query", "key", "value")})
            for h in layer.heads
        ),
        encoding=layer.encoding
        if layer.encoding.shifts is None
        else encodings.additive(layer.encoding.shifts @ turn.T),
        prompt=replace(layer.prompt, points=layer.prompt.points @ turn.T),
    )


@pytest.mark.parametrize(("normalization", "values"), [("softmax", "encoded"), ("none", "token")])
def test_rotating_everything_rotates_the_solution_on_the_sphere(normalization, values):
    rng = np.random.default_rng(11)
    space, turn, centers = Sphere(12), orthogonal(rng, 3), unit(rng, 2, 3)
    layer = general(rng, 3, values=values, normalization=normalization)
    first = solve(space, layer, bumps(centers, 0.3 * SHARPNESS), 0.15, depths=SHORT)
    second = solve(space, rotated(layer, turn), bumps(centers @ turn.T, 0.3 * SHARPNESS), 0.15, depths=SHORT)
    places = unit(rng, 40, 3)
    before, after = values_at(space, first, places), values_at(space, second, places @ turn.T)
    assert np.abs(before - after).max() < SAME
    assert np.abs(before - values_at(space, second, places)).max() > 1e-3
    assert largest_difference(first, second) < SAME


def test_translating_everything_translates_the_solution_on_the_torus():
    rng = np.random.default_rng(12)
    space, angles = Torus(28), np.array([0.7, -2.1])
    turn = space.rotations(angles[None])[0]
    centers = torus_points(rng.uniform(0.0, 6.0, (2, 2)))
    layer = general(rng, 4)
    first = solve(space, layer, bumps(centers, 0.15 * SHARPNESS), 0.15, depths=SHORT)
    second = solve(space, rotated(layer, turn), bumps(centers @ turn.T, 0.15 * SHARPNESS), 0.15, depths=SHORT)
    places = torus_points(rng.uniform(0.0, 6.0, (40, 2)))
    before, after = values_at(space, first, places), values_at(space, second, places @ turn.T)
    assert np.abs(before - after).max() < SAME
    assert np.abs(before - values_at(space, second, places)).max() > 1e-3


@pytest.mark.parametrize("space", [Sphere(12), Torus(28)], ids=["sphere", "torus"])
def test_relabelling_permutes_the_solution(space):
    rng = np.random.default_rng(13)
    dimension, order = space.dimension, np.array([1, 0])
    layer = general(rng, dimension)
    centers = space.points[rng.integers(len(space.points), size=2)]
    nu, head = layer.auxiliary, layer.heads[0]
    shuffled = Auxiliary(nu.nodes[order], nu.weights[order])
    table = Table(head.bias.values[np.ix_(order, order)], shuffled.nodes)
    other = replace(
        layer,
        auxiliary=shuffled,
        heads=(replace(head, bias=table), layer.heads[1]),
        encoding=layer.encoding.at(order),
    )
    first = solve(space, layer, bumps(centers, 0.15 * SHARPNESS), 0.15, depths=SHORT)
    second = solve(space, other, bumps(centers[order], 0.15 * SHARPNESS[order]), 0.15, depths=SHORT)
    assert np.abs(first.density[:, order] - second.density).max() < SAME
    assert np.abs(first.density - second.density).max() > 1e-3


# Rotary encodings


@pytest.mark.parametrize(
    ("space", "normalization"),
    [(Sphere(14), "softmax"), (Sphere(14), "none"), (Torus(28), "softmax")],
    ids=["sphere-softmax", "sphere-none", "torus"],
)
def test_rotary_encodings_with_encoded_values_are_a_rotating_frame(space, normalization):
    """Row 9: the law of u = R(ωz)x obeys the equation without auxiliary variable."""
    rng = np.random.default_rng(17)
    nu = auxiliary.legendre(4)
    code = encodings.rotary(nu.nodes, 2.3 if space.dimension == 3 else (2.3, -0.9))
    head = Head.plain(1.5 if space.dimension == 3 else 0.4, space.dimension)
    center = space.points[rng.integers(len(space.points))]
    profile = bumps(center[None], [0.25])
    layer = Attention((head,), nu, code, normalization)
    turned = solve(space, layer, profile, 0.1, accuracy=TIGHT)
    grid = grid_of(space, turned)
    frame = [
        nu.mean(grid.rotate(grid.analyse(rows), code.angles))
        for rows in turned.density.reshape(DEPTHS.size, nu.nodes.size, -1)
    ]
    start = grid.synthesise(frame[0])
    bare = Attention((head,), auxiliary.none(), encodings.none(), normalization)
    plain = solve(grid, bare, lambda points: at_points(grid, start, points), 0.1)
    own = grid_of(space, plain)
    found = [own.pad(row) for row in frame]
    expected = own.analyse(rows_of(plain))
    assert np.abs(np.stack(found) - expected).max() < SAME


def at_points(grid, values, points):
    """Function on a grid at any points."""
    atoms = Atoms(points, np.ones(len(points)), np.array([0, len(points)]))
    return grid.interpolate(values[None], atoms)


def test_rotary_encodings_multiply_by_a_characteristic_function():
    """Row 9 for data that turn with −ωz: u has one law, and μ̂_m = û_m · E e^{imωz} about e_3."""
    rng, space, nu, omega = np.random.default_rng(18), Sphere(14), auxiliary.uniform(5), 4.0
    head, profile = Head.plain(2.0, 3), bumps(unit(rng, 1, 3), [1.5])
    layer = Attention((head,), nu, encodings.rotary(nu.nodes, omega))
    turning = solve(space, layer, profile, 0.1, turns=-omega / (2.0 * np.pi))
    plain = solve(space, Attention((head,), auxiliary.none()), profile, 0.1)
    grids = [grid_of(space, one) for one in (turning, plain)]
    marginal, bare = (
        grid.analyse(one.marginal.reshape(DEPTHS.size, -1))
        for grid, one in zip(grids, (turning, plain), strict=True)
    )
    for degree in (1, 2, 3):
        for order in range(degree + 1):
            plus, minus = degree * (degree + 1) + order, degree * (degree + 1) - order
            factor = np.mean(np.exp(1j * order * omega * nu.nodes))
            found, expected = (c[:, plus] - 1j * c[:, minus] * (order > 0) for c in (marginal, bare))
            assert np.abs(found - factor * expected).max() < SAME
    assert abs(np.mean(np.exp(1j * omega * nu.nodes))) < 0.6


# The definition


def random_coefficients(space, rows, rng):
    """Smooth positive densities."""
    scale = np.exp(-0.6 * np.sqrt(space.eigenvalues)) / np.sqrt(1.0 + space.eigenvalues)
    coefficients = 0.5 * scale * rng.uniform(-1.0, 1.0, (rows, scale.size))
    coefficients[:, 0] = 1.0
    assert space.synthesise(coefficients).min() > 0.0
    return coefficients


def random_layer(seed):
    """Anything on the sphere, whose exponents a grid of degree 14 resolves."""
    rng = np.random.default_rng(seed)
    count = [1, 2, 3][seed % 3]
    nodes, weights = rng.permutation(rng.uniform(0.0, 1.0, count)), rng.uniform(0.2, 1.0, count)
    nu = Auxiliary(nodes, weights / weights.sum())
    code = [
        encodings.none(),
        encodings.rotary(nodes, 5.0),
        encodings.additive(0.4 * rng.standard_normal((count, 3))),
    ][seed // 3 % 3]
    bias = [
        NoBias(),
        Causal(),
        Window(0.3),
        Alibi(2.0),
        Within(),
        Table(rng.standard_normal((count, count)), nodes),
    ]
    heads = []
    for index in range(1 + seed % 2):
        matrices = [m / np.linalg.norm(m, 2) for m in rng.standard_normal((3, 3, 3))]
        if (seed + index) % 4 == 0:
            matrices = [np.eye(3), np.eye(3), np.eye(3)]
        heads.append(Head([0.0, 0.5, 2.0][rng.integers(3)], *matrices, bias[rng.integers(6)]))
    prompt = [
        None,
        Prompt(unit(rng, 1, 2, 3), np.array([0.3, 0.7]), 0.4),
        Prompt(unit(rng, count, 1, 3), np.ones(1), 0.2),
        Prompt(unit(rng, 1, 1, 3), np.ones(1), 0.5, nodes[:1], code.at(np.array([0]))),
    ][rng.integers(4)]
    return Attention(
        tuple(heads),
        nu,
        code,
        ["softmax", "none"][rng.integers(2)],
        ["encoded", "token"][rng.integers(2)],
        prompt,
    )


def error_of(field, space, coefficients):
    """Of the velocity, relative to its largest value."""
    expected = reference.velocity(space, field.attention, space.synthesise(coefficients))
    found = np.broadcast_to(field.velocity(coefficients), expected.shape)
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-3)


def test_attention_on_the_sphere_is_that_of_the_definition():
    """Roundings of sums over 3000 keys; kernels are truncated at 1e-17 of the largest."""
    space, kinds = Sphere(14), set()
    for seed in range(18):
        layer = random_layer(seed)
        coefficients = random_coefficients(space, layer.auxiliary.nodes.size, np.random.default_rng(seed))
        field = AttentionField(space, layer)
        assert error_of(field, space, coefficients) < 1e-11
        kinds |= {type(head.operator) for head in field.heads}
    assert {Plain, Pairwise} < kinds


def test_scores_on_the_sphere_are_those_of_the_definition():
    space = Sphere(14)
    for seed in range(0, 18, 3):
        layer = random_layer(seed)
        coefficients = random_coefficients(space, layer.auxiliary.nodes.size, np.random.default_rng(seed))
        density = space.synthesise(coefficients)
        for head, described in zip(AttentionField(space, layer).heads, layer.heads, strict=True):
            sums = reference.pair_sums(space, layer, described, density)
            expected = sums.scored * np.exp(sums.offset - head.offset)
            scale = (sums.total * np.exp(sums.offset - head.offset)).max() * max(
                1.0, np.abs(sums.offset).max()
            )
            assert np.abs(head.scored(coefficients) - expected).max() < 1e-11 * scale


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("values", ["encoded", "token"])
@pytest.mark.parametrize("bias", ["none", "alibi"])
def test_factored_attention_on_the_sphere_is_that_of_the_definition(bias, values, normalization, monkeypatch):
    """Forced, for few nodes, to rounding; errors of the kernel up to 1e-11 are accepted."""
    monkeypatch.setattr(choose, "_worthwhile", lambda *_: True)
    rng, space, nu = np.random.default_rng(5), Sphere(14), auxiliary.uniform(3)
    shifts = 0.5 * unit(rng, 3, 3)
    layer = Attention(
        (Head.plain(0.5, 3, BIASES[bias]),), nu, encodings.additive(shifts), normalization, values
    )
    field = AttentionField(space, layer)
    assert isinstance(field.heads[0].operator, Factored)
    coefficients = random_coefficients(space, 3, rng)
    assert error_of(field, space, coefficients) < choose.ACCEPTED_ERROR


@pytest.mark.parametrize("space", [Sphere(14), Torus(19)], ids=["sphere", "torus"])
def test_without_temperature_tokens_follow_the_mean(space):
    """β = 0: all queries are zero, and yet the field is to be exact in every direction."""
    rng, nu = np.random.default_rng(6), auxiliary.uniform(3)
    shifts = 0.4 * rng.standard_normal((3, space.dimension))
    layer = Attention((Head.plain(0.0, space.dimension),), nu, encodings.additive(shifts))
    coefficients = random_coefficients(space, 3, rng)
    assert error_of(AttentionField(space, layer), space, coefficients) < choose.ACCEPTED_ERROR


# Runs


def gradient_layer(space, normalization="none"):
    """Q = K = V = I, shifts along the first axis (none on the torus), a symmetric bias, a prompt."""
    nu, dimension = auxiliary.uniform(2), space.points.shape[1]
    direction = np.eye(dimension)[0]
    point = direction if dimension != 4 else torus_points(np.array([0.0, 0.0]))
    return Attention(
        (Head.plain(0.9 if dimension < 4 else 0.3, dimension, Alibi(0.5)),),
        nu,
        encodings.additive(np.array([[0.3], [-0.2]]) * direction) if dimension < 4 else encodings.none(),
        normalization,
        "encoded",
        Prompt(point[None, None], np.ones(1), 0.15),
    )


def start_of(space):
    centers = np.array([[0.8], [-0.6]]) * np.eye(space.points.shape[1])[0]
    if space.points.shape[1] > 2:
        centers = centers + np.array([[0.1], [0.4]]) * np.eye(space.points.shape[1])[2]
    return bumps(centers, [0.7, 0.7])


SURFACES = [Sphere(16), Zonal(24, 5), Torus(40)]
SURFACE_NAMES = ["sphere", "zonal", "torus"]


@pytest.mark.parametrize(
    ("space", "resolutions", "finest"),
    [
        (Sphere(8), (2, 4, 6, 8), 14),
        (Zonal(8, 5), (2, 4, 6, 8), 14),
        (Torus(8), (7, 13, 19, 25), 31),
    ],
    ids=SURFACE_NAMES,
)
def test_errors_fall_spectrally_with_the_degree(space, resolutions, finest):
    """The equation on one grid, by explicit steps of their own tolerance 1e-12."""
    layer, profile, sigma = gradient_layer(space, "softmax"), start_of(space), 0.3

    def low(resolution):
        grid = space.resized(resolution)
        problem = Problem(grid, layer, [0.0, 0.3], Initial(profile), sigma)
        equation = problem.equation(grid)
        state = equation.state(problem.initial.coefficients(grid, layer.auxiliary))

        def rate(_, flat):
            now = flat.reshape(state.shape)
            return (equation.nonlinear(now) + equation.linear * now).ravel()

        run = solve_ivp(rate, (0.0, 0.3), state.ravel(), "DOP853", rtol=1e-12, atol=1e-13)
        return equation.coefficients(run.y[:, -1].reshape(state.shape))[:, : space.width(2)]

    exact = low(finest)
    errors = [np.abs(low(resolution) - exact).max() for resolution in resolutions]
    assert all(later < earlier / 10.0 for earlier, later in pairwise(errors))
    assert errors[0] > 1e-6
    assert errors[-1] < SAME


@pytest.mark.parametrize("space", SURFACES, ids=SURFACE_NAMES)
def test_mass_is_kept_and_free_energy_is_dissipated(space):
    """Differences of fourth order over saved depths; the free energy is integrated by the grid."""
    depths = np.linspace(0.0, 0.2, 11)
    found = solve(space, gradient_layer(space), start_of(space), 0.1, depths=depths)
    density = found.density.reshape(depths.size, 2, -1)
    weights = grid_of(space, found).weights
    assert np.abs(density @ weights - 1.0).max() < 1e-13  # the sum of some thousand roundings
    assert found.mass_error.max() < 1e-13
    least = density.reshape(depths.size, -1).min(axis=1)
    assert np.abs(found.minimum - least)[found.grid_size == found.attributes["resolution"]].max() < 1e-12
    assert least.min() > 0.0
    energy, step = found.free_energy, depths[1]
    assert (np.diff(energy) < 0.0).all()
    slope = (energy[:-4] - 8.0 * energy[1:-3] + 8.0 * energy[3:-1] - energy[4:]) / (12.0 * step)
    assert np.abs(slope / found.dissipation[2:-2] + 1.0).max() < 1e-4


# Output


CONFIGURATIONS = {
    "circle": ('space = "circle"', ("token",)),
    "sphere": ('space = "sphere"', ("colatitude", "longitude")),
    "zonal": ('space = "zonal"\ndimension = 5', ("cosine",)),
    "torus": ('space = "torus"', ("angle_1", "angle_2")),
    "line": ('space = "torus"\ndimension = 1', ("token",)),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_commands_and_files_on_every_space(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    token, axes = CONFIGURATIONS[name]
    (tmp_path / "try.toml").write_text(
        f"[token]\n{token}\nresolution = 16\n[auxiliary]\nkind = 'uniform'\nnodes = 2\n"
        "[encoding]\nkind = 'additive'\nshape = 'line'\namplitude = 0.2\n"
        "[attention]\nbeta = 0.5\n[noise]\nsigma = 0.3\n"
        "[initial]\nkind = 'vonmises'\nconcentration = 0.5\n[time]\nfinal = 0.1\nsave = 3\n"
    )

    def run(*arguments):
        status = cli.main(list(arguments))
        printed = capsys.readouterr()
        assert status == 0, printed.err
        return printed.out

    run("validate", "try.toml")
    closing = json.loads(run("solve", "try.toml", "-o", "out.h5", "--json"))
    assert closing["mass_error"] < 1e-12
    run("info", "out.h5")
    run("plot", "out.h5", "-o", "out.png")
    assert (tmp_path / "out.png").stat().st_size > 10_000
    record = records.read(tmp_path / "out.h5")
    with xarray.open_dataset(tmp_path / "out.h5", engine="h5netcdf") as dataset:
        assert dataset["density"].dims == ("time", "aux", *axes)
        assert dataset["token_weight"].dims == axes
        mass = (dataset["density"] * dataset["token_weight"]).sum(dim=axes)
        assert np.abs(mass.to_numpy() - 1.0).max() < 1e-12
        marginal = (dataset["marginal"] * dataset["token_weight"]).sum(dim=axes)
        assert np.abs(marginal.to_numpy() - 1.0).max() < 1e-12
        for axis in axes:
            assert (np.diff(dataset[axis]) > 0.0).all()
            assert dataset[axis].attrs["long_name"]
            assert dataset[axis].attrs["units"]
    solved, opened = mf.solve(mf.load("try.toml")), mf.open("out.h5")
    assert set(record.variables) == set(solved.record.variables)
    for key, variable in solved.record.variables.items():
        assert np.array_equal(variable.values, getattr(opened, key), equal_nan=True), key
    solved.save("again.h5")
    assert np.array_equal(mf.open("again.h5").density, solved.density)
