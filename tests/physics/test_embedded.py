"""Tokens as unit vectors (σ = 0): exact results, the definition, the circle, symmetries, resumption."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy.integrate import solve_ivp

from meanfield_pde import auxiliary, checkpoint, encodings, evolution, initial
from meanfield_pde.attention import Alibi, Attention, Causal, Head, Prompt, Table, blocks, reference
from meanfield_pde.attention.linearised import pair_energy
from meanfield_pde.errors import InputError
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.methods import embedded, embedded_field
from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.methods.embedded import EmbeddedCharacteristics
from meanfield_pde.methods.flow_maps import restored_state
from meanfield_pde.methods.spectral import Spectral
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.hypersphere import Hypersphere
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus
from tests.cases import SEEDS, problems, unit_vectors

# What is promised with default tolerances: unit vectors at every saved depth.
PROMISED = 1e-8


@pytest.fixture(autouse=True)
def _one_thread():
    """As ``evolution.solve`` has it: threads of the linear algebra wait for each other actively."""
    with evolution.limited(1):
        yield


def unit(rng, *shape):
    vectors = rng.standard_normal(shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def attention_of(beta, dimension, normalization="softmax", *, aux=None, encoding=None, **options):
    nu = auxiliary.none() if aux is None else aux
    head = Head.plain(beta, dimension)
    return Attention((head,), nu, encoding or encodings.none(), normalization, **options)


def problem_of(attention, depths, places, masses=None, space=None, **options):
    """Tokens at places (1 or aux, tokens, d), of equal masses by default."""
    masses = np.ones((1, places.shape[1])) if masses is None else masses
    start = Initial(initial.uniform, tokens=Tokens(places, masses))
    space = space or Hypersphere(places.shape[-1], 16)
    return Problem(space, attention, np.asarray(depths, dtype=float), start, **options)


def travelled(problem, method=EmbeddedCharacteristics):
    """States at all depths."""
    running = method.start(problem)
    states = [running.state()]
    for depth in problem.depths[1:]:
        assert running.advance(float(depth), 10**9) == "reached"
        states.append(running.state())
    return running, states


def places_of(states):
    return np.stack([state.cloud.places for state in states])


def diagnostics_of(states, name):
    return np.array([state.diagnostics[name] for state in states])


def everything(rng, dimension, *, normalization="softmax", values="encoded", kind="additive", nodes=4):
    """Two heads with matrices and biases, an encoding, and a prompt at nodes of its own."""
    weights = rng.uniform(0.5, 1.0, nodes)
    nu = auxiliary.Auxiliary(rng.permutation(np.linspace(0.0, 1.0, nodes)), weights / weights.sum())
    matrices = rng.standard_normal((6, dimension, dimension)) / np.sqrt(dimension)
    heads = (
        Head(1.5, *matrices[:3], Causal()),
        Head(0.8, *matrices[3:], Alibi(2.0)),
        Head.plain(2.0, dimension, Table(rng.standard_normal((nodes, nodes)), nu.nodes)),
    )
    shifts = 0.4 * rng.standard_normal((nodes, dimension))
    frequencies = rng.uniform(-4.0, 4.0, dimension // 2)
    code = encodings.additive(shifts) if kind == "additive" else encodings.rotary(nu.nodes, frequencies)
    rows = rng.integers(nodes, size=3)
    prompt = Prompt(unit(rng, 1, 3, dimension), np.array([0.2, 0.3, 0.5]), 0.3, nu.nodes[rows], code.at(rows))
    return Attention(heads, nu, code, normalization, values, prompt)


def cloud_of(problem):
    return EmbeddedCharacteristics.start(problem).cloud


# Row 6


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("count", [3, 8, 64])
def test_orthonormal_tokens_meet(count, beta, normalization):
    """Equal inner products obey a scalar equation; without normalisation its divisor is n.

    There 1/N = 1 and masses are 1/n: ρ' = 2 e^{βρ} (1 − ρ) ((n − 1)ρ + 1) / n.
    """
    final = 6.0 if normalization == "softmax" else 1.0
    depths = np.linspace(0.0, final, 5)
    problem = problem_of(attention_of(beta, count, normalization), depths, np.eye(count)[None])
    running, states = travelled(problem)

    def rate(_, rho):
        divisor = np.exp(beta) + (count - 1) * np.exp(beta * rho) if normalization == "softmax" else count
        return 2.0 * np.exp(beta * rho) * (1.0 - rho) * ((count - 1) * rho + 1.0) / divisor

    exact = solve_ivp(rate, (0.0, final), [0.0], "DOP853", depths, rtol=1e-13, atol=1e-14).y[0]
    assert exact[-1] > 0.09  # from zero
    positions = places_of(states)[:, 0]
    products = positions @ np.swapaxes(positions, 1, 2)
    off = ~np.eye(count, dtype=bool)
    assert np.abs(products[:, off] - exact[:, None]).max() < PROMISED  # observed 1e-11
    # One root and one division leave a rounding or two of the length.
    assert np.abs(np.linalg.norm(positions, axis=-1) - 1.0).max() < 4e-16 * 2.0
    assert 0.0 < running.left < 1e-9  # what a step leaves the sphere by: no more than its error
    order = np.sqrt((1.0 + (count - 1) * exact) / count)
    assert np.abs(diagnostics_of(states, "order_parameter") - order).max() < PROMISED
    energy = (np.exp(beta) + (count - 1) * np.exp(beta * exact)) / (2.0 * beta * count)
    assert diagnostics_of(states, "interaction_energy") == pytest.approx(energy, rel=beta * PROMISED)


# The definition


@pytest.mark.parametrize("compiled", [0, 10**9])
@pytest.mark.parametrize("kind", ["additive", "rotary"])
@pytest.mark.parametrize("values", ["encoded", "token"])
@pytest.mark.parametrize("dimension", [2, 5, 8])
def test_products_and_compiled_loop_are_the_definition(dimension, values, kind, compiled, monkeypatch):
    """Every option at once; relative to vectors of about the length one, sums of thirty terms."""
    monkeypatch.setattr(blocks, "COMPILED", compiled)
    monkeypatch.setattr(blocks, "CACHED", 1)
    monkeypatch.setattr(blocks, "FEWEST", 7)
    rng = np.random.default_rng(dimension)
    for normalization in ("softmax", "none"):
        layer = everything(rng, dimension, normalization=normalization, values=values, kind=kind)
        places, masses = unit(rng, 4, 7, dimension), rng.uniform(0.1, 1.0, (4, 7))
        cloud = cloud_of(problem_of(layer, [0.0, 1.0], places, masses))
        own = blocks.TokenAttention(Hypersphere(dimension, 8), layer, cloud.rows, cloud.atom_masses)
        dense, entropy = definition(layer, cloud)
        assert np.abs(own.vectors(cloud.positions) - dense).max() < 1e-13 * np.abs(dense).max()
        assert own.entropy(cloud.positions) == pytest.approx(entropy, abs=1e-13)
        energy = pair_energy(Hypersphere(dimension, 8), layer, cloud.atoms)
        assert own.energy(cloud.positions) == pytest.approx(energy, rel=1e-13)


def rotation(angles, dimension):
    """One turn in every plane (e_1, e_2), (e_3, e_4), …, written out."""
    matrix, angles = np.eye(dimension), np.broadcast_to(angles, dimension // 2)
    for plane, angle in enumerate(angles):
        i, j = 2 * plane, 2 * plane + 1
        matrix[i, i] = matrix[j, j] = np.cos(angle)
        matrix[j, i], matrix[i, j] = np.sin(angle), -np.sin(angle)
    return matrix


def definition(layer, cloud):
    """Attention vectors and mean of −Σ m a log a over tokens and heads: MODEL.md, section 2."""
    dimension, nodes, prompt = cloud.positions.shape[1], layer.auxiliary.nodes, layer.prompt
    tokens = [(x, layer.encoding, row) for x, row in zip(cloud.positions, cloud.rows, strict=True)]
    fixed = [(x, prompt.encoding, k) for k, x in enumerate(prompt.points[0])]
    places = np.concatenate([nodes[cloud.rows], prompt.positions])
    shares = layer.auxiliary.weights[cloud.rows] * cloud.atom_masses
    masses = np.concatenate([layer.density_share * shares, prompt.fraction * prompt.weights])

    def encoded(x, code, row):
        moved = x if code.angles is None else rotation(code.angles[row], dimension) @ x
        return moved if code.shifts is None else moved + code.shifts[row]

    keys = np.array([encoded(*token) for token in tokens + fixed])
    bare = np.array([token[0] for token in tokens + fixed])
    vectors, entropy = np.zeros_like(cloud.positions), 0.0
    for head in layer.heads:
        for n, row in enumerate(cloud.rows):
            score = head.beta * keys @ head.key.T @ (head.query @ keys[n])
            score = (
                score
                + head.bias.log_weights(nodes, nodes)[row, [np.flatnonzero(nodes == z)[0] for z in places]]
            )
            weight = masses * np.exp(score)
            a = np.exp(score) / weight.sum()
            entropy -= shares[n] * (masses @ (a * np.log(np.where(a > 0.0, a, 1.0)))) / len(layer.heads)
            values = keys if layer.values == "encoded" else bare
            if layer.values == "encoded" and layer.encoding.angles is not None:
                values = keys @ rotation(layer.encoding.angles[row], dimension)
            scale = 1.0 / weight.sum() if layer.normalization == "softmax" else 1.0
            vectors[n] += scale * head.value @ (weight @ values)
    return vectors, entropy


def test_an_attention_kernel_of_ones_own():
    """κ(s) = (1 + s)² in the place of e^{βs}: dense sums; where it is zero nothing is attended to."""
    rng = np.random.default_rng(3)
    head = Head(1.0, *np.eye(4)[None].repeat(3, axis=0), Causal(), kernel=lambda s: (1.0 + s) ** 2)
    nu = auxiliary.uniform(3)
    layer = Attention((head,), nu, encodings.none(), "none")
    cloud = cloud_of(problem_of(layer, [0.0, 1.0], unit(rng, 3, 5, 4)))
    own = blocks.TokenAttention(Hypersphere(4, 8), layer, cloud.rows, cloud.atom_masses)
    dense = reference.token_velocity(Hypersphere(4, 8), layer, cloud.atoms)
    assert np.abs(own.vectors(cloud.positions) - dense).max() < 1e-14
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    deaf = replace(layer.heads[0], query=np.eye(2), key=-np.eye(2), value=np.eye(2), bias=Causal())
    pair = Attention((deaf,), auxiliary.uniform(2), encodings.none(), "none")
    own = blocks.TokenAttention(Hypersphere(2, 8), pair, np.arange(2), np.ones(2))
    assert own.vectors(opposite) == pytest.approx(np.array([[0.0, 0.0], [2.0, 0.0]]))


def test_the_energy_without_temperature():
    rng = np.random.default_rng(4)
    layer = everything(rng, 3)
    layer = replace(layer, heads=tuple(replace(head, beta=0.0) for head in layer.heads))
    cloud = cloud_of(problem_of(layer, [0.0, 1.0], unit(rng, 4, 6, 3)))
    own = blocks.TokenAttention(Hypersphere(3, 8), layer, cloud.rows, cloud.atom_masses)
    exact = pair_energy(Hypersphere(3, 8), layer, cloud.atoms)
    assert own.energy(cloud.positions) == pytest.approx(exact, rel=1e-13)


# The circle


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(problem=problems(sigmas=(0.0,)), seed=SEEDS)
def test_the_circle_is_the_sphere_of_two_dimensions(problem, seed):
    """Every option: angles by the flow map of the circle, vectors here, and all diagnostics of both."""
    rng = np.random.default_rng(seed)
    nodes, count = problem.auxiliary.nodes.size, int(rng.integers(1, 5))
    angles, masses = rng.uniform(0.0, 6.0, (nodes, count)), rng.uniform(0.1, 1.0, (nodes, count))
    turns = problem.initial.turns
    fine = replace(problem, drift=None, accuracy=Accuracy(1e-11, 1e-12), depths=2.0 * problem.depths)
    line = replace(fine, initial=Initial(initial.uniform, turns, tokens=Tokens(angles, masses)))
    vectors = Tokens(unit_vectors(angles), masses)
    plane = replace(fine, space=Hypersphere(2, 16), initial=Initial(initial.uniform, turns, tokens=vectors))
    _, expected = travelled(line, Characteristics)
    _, found = travelled(plane)
    shifted = (angles + 2.0 * np.pi * turns * problem.auxiliary.nodes[:, None]) % (2.0 * np.pi)
    order = np.argsort(shifted, axis=1)[..., None]
    for own, other in zip(found, expected, strict=True):
        places = np.take_along_axis(own.cloud.places, order, axis=1)
        assert np.abs(places.reshape(-1, 2) - unit_vectors(other.cloud.places)).max() < 1e-9
        for name in ("interaction_energy", "dissipation", "order_parameter", "attention_entropy"):
            # The circle interpolates on a grid where tokens are many, to 1e-12 of the largest sum.
            # Unnormalised weights exp(X) of places right to 1e-9 are right to X times that: |E| reaches e^X.
            scale = max(1.0, abs(other.diagnostics[name]))
            bound = 1e-8 * (1.0 + np.log(scale)) * scale
            assert own.diagnostics[name] == pytest.approx(other.diagnostics[name], abs=bound)
        assert np.abs(own.moments() - other.moments()).max() < 1e-9


# Spheres with a grid, and the torus


@pytest.mark.parametrize("values", ["encoded", "token"])
def test_a_torus_of_two_circles(values):
    """Softmax and a product law: both angles move as on circles of their own, tokens and prompts included."""
    rng = np.random.default_rng(5)
    first, second = rng.uniform(0.0, 6.0, 4), rng.uniform(0.0, 6.0, 3)
    depths, accuracy = np.array([0.0, 1.0, 3.0]), Accuracy(1e-11, 1e-12)
    square = np.concatenate(
        [np.repeat(unit_vectors(first), 3, axis=0), np.tile(unit_vectors(second), (4, 1))], axis=1
    )
    layer = attention_of(2.0, 4, values=values)
    _, states = travelled(problem_of(layer, depths, square[None], space=Torus(16), accuracy=accuracy))
    found = places_of(states)[:, 0].reshape(3, 4, 3, 4)
    for angles, part in ((first, found[:, :, 0, :2]), (second, found[:, 0, :, 2:])):
        tokens = Tokens(np.sort(angles)[None], np.ones((1, angles.size)))
        circle = Problem(
            Circle(32),
            attention_of(2.0, 2),
            depths,
            Initial(initial.uniform, tokens=tokens),
            accuracy=accuracy,
        )
        _, alone = travelled(circle, Characteristics)
        exact = np.stack([unit_vectors(state.cloud.places) for state in alone])
        assert np.abs(part[:, np.argsort(angles)] - exact).max() < 1e-9
    lengths = np.linalg.norm(found.reshape(3, 12, 2, 2), axis=-1)
    assert np.abs(lengths - 1.0).max() < 1e-15
    shown = states[-1].joint(Torus(16))
    assert np.abs(shown @ Torus(16).weights - 1.0).max() < 1e-14


def test_the_sphere_of_three_dimensions_agrees_with_the_general_one():
    rng = np.random.default_rng(6)
    layer, places = everything(rng, 3, kind="rotary"), unit(rng, 4, 5, 3)
    depths = np.array([0.0, 0.5, 2.0])
    found = [travelled(problem_of(layer, depths, places, space=space))[1] for space in (Sphere(8), None)]
    # Roundings of lengths, which the flow does not amplify here.
    assert np.abs(places_of(found[0]) - places_of(found[1])).max() < 1e-13
    assert np.abs(found[0][1].joint(Sphere(8)) @ Sphere(8).weights - 1.0).max() < 1e-14
    own, other = (states[-1].comparison(layer.auxiliary) for states in found)
    assert np.abs(own.positions - other.positions).max() < 1e-13
    assert own.w2 == pytest.approx(other.w2, abs=1e-12)


def test_smooth_densities_on_the_sphere():
    """Labels on a quadrature against the spectral method, by moments, while both resolve the density."""
    center = np.array([0.6, 0.0, 0.8])
    start = Initial(initial.mixture([(0.6, initial.vonmises(center, 1.0), 2.0), (0.4, initial.uniform, 4.0)]))
    layer = attention_of(1.0, 3)
    problem = Problem(Sphere(8), layer, np.array([0.0, 0.5]), start, accuracy=Accuracy(1e-9, 1e-10))
    running, states = travelled(problem)
    assert running.facts()["labels"] > 300
    _, smooth = travelled(replace(problem, space=Sphere(8)), Spectral)
    for own, other in zip(states, smooth, strict=True):
        assert np.abs(own.moments() - other.moments()).max() < PROMISED
        for name in ("interaction_energy", "attention_entropy", "dissipation"):
            assert own.diagnostics[name] == pytest.approx(other.diagnostics[name], abs=PROMISED)
        assert own.diagnostics["mass_error"] < 1e-13
    # The histogram is the density itself at the start.
    grid = Sphere(running.problem.space.resolution)
    assert np.abs(states[0].joint(grid) @ grid.weights - 1.0).max() < 1e-13


def test_many_labels_on_the_torus_are_summed_through_a_grid(monkeypatch):
    """Rotary encoding, a prompt, turns and a drift: the grid against pairs, to rounding of sums."""
    nu = auxiliary.uniform(3)
    code = encodings.rotary(nu.nodes, (2.0, -1.0))
    prompt = Prompt(np.array([[[1.0, 0.0, 0.0, 1.0]]]), np.ones(1), 0.3)
    layer = attention_of(0.5, 4, aux=nu, encoding=code, prompt=prompt)
    angles = np.random.default_rng(13).vonmises(0.0, 1.0, (1, 40, 2))
    tokens = Tokens(unit_vectors(angles).reshape(1, 40, 4), np.ones((1, 40)))
    start = Initial(initial.uniform, turns=0.4, tokens=tokens)

    def drift(space):
        waves = np.stack(
            [np.sin(space.angles[:, 0] + space.angles[:, 1]), np.cos(space.angles[:, 1])], axis=1
        )
        return 0.3 * waves

    problem = Problem(Torus(16), layer, np.array([0.0, 0.5]), start, drift=drift)
    method = EmbeddedCharacteristics.start(problem)
    pairs, by_pairs = method.rate(0.0, method.cloud.positions), method.state()
    monkeypatch.setattr(embedded_field, "MANY", 100)
    grid, by_grid = method.rate(0.0, method.cloud.positions), method.state()
    assert not np.array_equal(grid, pairs)
    assert np.abs(grid - pairs).max() < 1e-13
    for name in ("interaction_energy", "attention_entropy", "dissipation", "order_parameter"):
        assert by_grid.diagnostics[name] == pytest.approx(by_pairs.diagnostics[name], rel=1e-12)
    moved = unit_vectors(angles + 2.0 * np.pi * 0.4 * nu.nodes[:, None, None]).reshape(3, 40, 4)
    assert np.abs(method.cloud.places - moved).max() < 1e-14


# Steps


def test_projected_steps_are_of_order_eight(monkeypatch):
    """Steps of equal length, whatever their error: 2⁸ for every halving."""
    monkeypatch.setattr(embedded, "STEP_SHARE", 1e12)
    monkeypatch.setattr(embedded, "TOGETHER", 0.0)
    rng = np.random.default_rng(7)
    layer, places = everything(rng, 5), unit(rng, 4, 3, 5)
    found = []
    for steps in (4, 8, 16, 128):
        method = EmbeddedCharacteristics.start(problem_of(layer, [0.0, 4.0], places))
        for k in range(steps):
            method.step = 4.0 / steps
            assert method.advance(4.0 * (k + 1) / steps, 1) == "reached"
        assert method.counts[:2] == (steps, 0)
        found.append(method.cloud.positions)
    errors = [np.abs(positions - found[-1]).max() for positions in found[:-1]]
    assert errors[-1] < 1e-6
    orders = [np.log2(before / after) for before, after in pairwise(errors)]
    assert orders[-1] == pytest.approx(8.0, abs=0.3), (orders, errors)


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_the_energy_ascends_as_the_dissipation_says(normalization):
    """dE/dt = Σ m |v|² without normalisation (row 4 of MODEL.md); roundings of energies of about one."""
    rng = np.random.default_rng(8)
    nu = auxiliary.uniform(5)
    code = encodings.additive(0.1 * rng.standard_normal((5, 12)))
    layer = attention_of(2.0, 12, normalization, aux=nu, encoding=code)
    step = 1e-3
    depths = np.concatenate([[0.0, step, 2.0 * step], np.linspace(0.5, 12.0, 24)])
    _, states = travelled(problem_of(layer, depths, unit(rng, 5, 8, 12)))
    energy = diagnostics_of(states, "interaction_energy")
    assert np.diff(energy).min() > -1e-13 * energy.max()
    if normalization == "none":
        slope = (energy[2] - energy[0]) / (2.0 * step)
        assert slope == pytest.approx(states[1].diagnostics["dissipation"], rel=1e-5)  # step² E'''/6E'


@pytest.mark.parametrize("kind", ["additive", "rotary"])
def test_rotating_data_and_encodings_rotates_the_tokens(kind):
    """Any rotation for additive encodings, one that commutes with the planes for rotary ones."""
    rng = np.random.default_rng(9)
    dimension, nodes = 6, 3
    rotation = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
    if kind == "rotary":
        rotation = Hypersphere(dimension, 8).rotations(rng.uniform(0.0, 6.0, (1, 3)))[0]
    nu, shifts = auxiliary.uniform(nodes), 0.5 * rng.standard_normal((nodes, dimension))
    matrices, prompt = rng.standard_normal((3, dimension, dimension)) / 3.0, unit(rng, 1, 2, dimension)
    places, found = unit(rng, nodes, 4, dimension), []
    for turn in (np.eye(dimension), rotation):
        code = (
            encodings.rotary(nu.nodes, (3.0, 1.0, 0.2))
            if kind == "rotary"
            else encodings.additive(shifts @ turn.T)
        )
        heads = (Head.plain(2.0, dimension, Causal()), Head(1.0, *(turn @ m @ turn.T for m in matrices)))
        layer = Attention(
            heads, nu, code, "softmax", "encoded", Prompt(prompt @ turn.T, np.full(2, 0.5), 0.2)
        )
        found.append(places_of(travelled(problem_of(layer, [0.0, 1.0, 4.0], places @ turn.T))[1]))
    # Both runs keep what is promised; the steps are the same up to roundings, and so are the errors.
    assert np.abs(found[1] - found[0] @ rotation.T).max() < 1e-11


# Long runs


def test_tokens_that_have_met_move_as_one(monkeypatch):
    """Contraction at rate e^β would limit explicit steps to 4e-2; places are the same without joining."""
    rng = np.random.default_rng(10)
    problem = problem_of(attention_of(5.0, 4, "none"), [0.0, 2.0, 500.0], unit(rng, 1, 24, 4))
    method, states = travelled(problem)
    assert len(method.cloud.positions) <= 3
    assert sum(method.counts[:2]) < 1500  # observed 300; 500 e⁵ / 6 otherwise
    assert states[-1].diagnostics["mass_error"] < 1e-14
    monkeypatch.setattr(embedded, "TOGETHER", 0.0)
    _, alone = travelled(replace(problem, depths=problem.depths[:2]))
    assert np.abs(places_of(alone) - places_of(states[:2])).max() < PROMISED


# Resumption


@pytest.mark.parametrize("pause", [1, 9, 16])
@pytest.mark.parametrize(("joined", "final"), [(False, 5.0), (True, 80.0)])
def test_a_resumed_run_is_the_same_to_the_last_bit(pause, joined, final):
    """Amid smooth motion, and where atoms are joined (the search is every 16 steps)."""
    rng, pause = np.random.default_rng(11), 12 * pause if joined else pause
    problem = problem_of(everything(rng, 5), [0.0, final], unit(rng, 4, 6, 5))
    if joined:
        problem = problem_of(attention_of(5.0, 4, "none"), [0.0, final], unit(rng, 1, 24, 4))
    method, direct = EmbeddedCharacteristics.start(problem), EmbeddedCharacteristics.start(problem)
    assert method.advance(final, pause) == "paused"
    content = checkpoint.unpack(
        checkpoint.pack({"memory": method.memory(), "state": method.state().content()})
    )
    resumed = EmbeddedCharacteristics.restored(problem, content["memory"])
    for running in (direct, method, resumed):
        assert running.advance(final, 10**9) == "reached"
        assert np.array_equal(running.cloud.places, direct.cloud.places)
    assert (resumed.counts, resumed.step, resumed.left) == (direct.counts, direct.step, direct.left)
    assert sum(resumed.counts[:2]) > pause
    assert (len(direct.cloud.positions) < direct.cloud.masses.size) == joined
    saved = restored_state(problem, content["state"])
    again = EmbeddedCharacteristics.restored(problem, content["memory"]).state()
    assert saved.diagnostics == pytest.approx(dict(again.diagnostics), nan_ok=True, rel=0.0, abs=0.0)
    for name in ("density", "first", "waves"):
        assert np.array_equal(getattr(saved, name), getattr(again, name))
    assert np.array_equal(saved.cloud.places, again.cloud.places)


# Sizes and input


def test_tokens_of_a_language_model():
    """d = 768, 50 positions, causal rotary attention with bare values: what is seen stays what it was."""
    rng = np.random.default_rng(12)
    nu = auxiliary.uniform(50)
    frequencies = 50.0 * 10000.0 ** (-np.arange(384) / 384.0)
    layer = Attention(
        (Head.plain(1.0, 768, Causal()),), nu, encodings.rotary(nu.nodes, frequencies), "softmax", "token"
    )
    places = unit(rng, 50, 1, 768)
    problem = problem_of(layer, [0.0, 2.0, 20.0], places)
    method, states = travelled(problem)
    found = places_of(states)
    assert np.abs(np.linalg.norm(found, axis=-1) - 1.0).max() < 1e-15
    assert np.abs(found[:, 0, 0] - places[0, 0]).max() < 1e-14  # the first token sees but itself
    rising = diagnostics_of(states, "order_parameter")
    assert rising[0] < 0.3
    assert rising[-1] > 0.9
    own = method.variables(states)
    assert own["position"].values.shape == (3, 50, 1, 768)
    assert own["position"].dims == ("time", "aux", "label", "component")
    assert own["label_weight"].values.shape == (50, 1)
    assert np.abs(own["label_start"].values - places).max() < 1e-16  # their lengths are one to rounding
    comparison = states[-1].comparison(nu)
    assert comparison.w1 < 1e-7  # one token a node: it is its mean
    assert method.change() < 1.0


def test_wrong_tokens_and_sizes_are_refused():
    layer = attention_of(1.0, 4)
    with pytest.raises(InputError, match=r"places must be \(1 or 1, tokens, 4\)"):
        EmbeddedCharacteristics.start(problem_of(layer, [0.0, 1.0], np.eye(3)[None], space=Hypersphere(4, 8)))
    with pytest.raises(InputError, match=r"one is 0\.5 off"):
        EmbeddedCharacteristics.start(problem_of(layer, [0.0, 1.0], 1.5 * np.eye(4)[None]))
    with pytest.raises(InputError, match="must lie on the space"):
        EmbeddedCharacteristics.start(problem_of(layer, [0.0, 1.0], np.zeros((1, 2, 4))))
    with pytest.raises(InputError, match="may overflow, its exponents reach 800"):
        EmbeddedCharacteristics.start(problem_of(attention_of(800.0, 4, "none"), [0.0, 1.0], np.eye(4)[None]))
    with pytest.raises(InputError, match="circle: places are angles here"):
        EmbeddedCharacteristics.start(
            problem_of(attention_of(1.0, 2), [0.0, 1.0], np.eye(2)[None], space=Circle(8))
        )
