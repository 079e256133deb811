"""Attention between scattered tokens against sums over all pairs, and the interpolation that it rests on."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meanfield_pde import auxiliary, encodings, energies
from meanfield_pde.attention import (
    Alibi,
    Attention,
    Causal,
    Head,
    NoBias,
    Prompt,
    Table,
    Within,
    reference,
    rings,
    scattered,
)
from meanfield_pde.attention.blocks import TokenAttention
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.scattered import ScatteredField, kernel_space
from meanfield_pde.drift import harmonics
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces import Atoms, funk_hecke, gegenbauer, zonal_kernels
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.circle_points import STENCIL
from meanfield_pde.spaces.zonal import Zonal
from tests.cases import SEEDS, attentions

TURN = 2.0 * np.pi
RANDOM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def atoms_of(nodes, rng, sharp=False, most=7):
    """Up to six atoms a node, spread over three turns or in one narrow cluster."""
    counts = rng.integers(1, most, nodes)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
    places = 1.0 + rng.uniform(-0.05, 0.05, starts[-1]) if sharp else rng.uniform(-10.0, 10.0, starts[-1])
    masses = rng.uniform(0.1, 1.0, starts[-1])
    masses /= np.repeat(np.add.reduceat(masses, starts[:-1]), counts)
    return Atoms(places, masses, starts)


def tangential(places, field):
    return np.cos(places) * field[:, 1] - np.sin(places) * field[:, 0]


@pytest.mark.parametrize("few", [0, 128])
@RANDOM
@given(attention=attentions(sizes=(1, 2, 5, 16)), seed=SEEDS, sharp=st.booleans())
def test_all_options_agree_with_the_definition(few, attention, seed, sharp):
    """Through the grid (few = 0) and pair by pair: errors relative to the largest field of any token.

    Pair by pair: roundings of exponents up to 20·1.44·(1 + 2)² = 260, that is 6e-14, and of sums of 96 terms.
    Through the grid: interpolation errs by 1e-12 of each sum, factored kernels by up to 1e-11 of the largest
    key that a bias leaves, of which a sum may be 1e-4. Observed in 1,500 examples: 3e-12, and once 7e-11.
    """
    shifts = attention.encoding.shifts
    reach = 1.0 if shifts is None else 1.0 + np.linalg.norm(shifts, axis=1).max()
    largest = max(head.beta * np.linalg.norm(head.metric, 2) for head in attention.heads) * reach**2
    assume(attention.normalization == "softmax" or largest < 500.0)  # else e^s overflows, and is refused
    atoms = atoms_of(attention.auxiliary.nodes.size, np.random.default_rng(seed), sharp)
    expected = reference.token_velocity(Circle(8), attention, atoms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scattered, "FEW", few)
        field = ScatteredField(AttentionField(kernel_space(Circle(8), attention), attention), None)
        found = field.velocity(atoms)[:, 0]
    largest = np.abs(expected).max()
    allowed = 1e-9 if few == 0 else 2e-13
    assert np.abs(found - tangential(atoms.places, expected)).max() <= allowed * largest + 1e-300


@pytest.mark.parametrize("few", [0, 128])
@RANDOM
@given(attention=attentions(sizes=(1, 2, 5, 16)), seed=SEEDS, sharp=st.booleans())
def test_entropy_and_energy_agree_with_sums_over_pairs(few, attention, seed, sharp):
    """Errors of entropies are relative to the exponents; bounds otherwise as above.

    Queries that lie opposite of all keys have normalisers of e^{−30} of the largest: grids lose them.
    """
    largest = max(head.beta * np.linalg.norm(head.metric, 2) for head in attention.heads)
    shifts = attention.encoding.shifts
    exponent = largest * (1.0 if shifts is None else 1.0 + np.linalg.norm(shifts, axis=1).max()) ** 2
    assume(exponent < 500.0)  # else the energy is infinite
    atoms = atoms_of(attention.auxiliary.nodes.size, np.random.default_rng(seed), sharp)
    tokens = Circle(8).embed(atoms.places)
    softmax = replace(attention, normalization="softmax")  # none of it depends on the normalisation
    pairs = TokenAttention(Circle(8), softmax, atoms.rows, atoms.masses)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scattered, "FEW", few)
        patch.setattr(energies, "FEW", few)
        field = ScatteredField(AttentionField(kernel_space(Circle(8), attention), attention), None)
        entropy, energy = field.attention_entropy(atoms), energies.scattered_energy(field, atoms)
    allowed = 1e-9 if few == 0 else 1e-14
    assert entropy == pytest.approx(pairs.entropy(tokens), abs=allowed * max(1.0, exponent))
    # Unnormalised sums of one head may be far below those of another query: relative to the largest.
    scale = abs(pairs.energy(tokens)) if few else np.exp(exponent)
    assert energy == pytest.approx(pairs.energy(tokens), abs=max(allowed, 2e-13) * scale)


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("kind", ["none", "ring"])
def test_kernels_of_ones_own_and_drifts(kind, normalization):
    """κ = 1/(2 − s/4)²: its modes fall to 1e-14 by degree 40 or so; interpolated as above."""
    nu = auxiliary.uniform(4)
    code = encodings.additive(encodings.ring(nu.nodes, 0.5, 2)) if kind == "ring" else encodings.none()
    rng = np.random.default_rng(3)
    head = Head(
        1.0,
        np.eye(2),
        np.eye(2),
        rng.standard_normal((2, 2)),
        Alibi(1.0),
        lambda s: 1.0 / (2.0 - s / 4.0) ** 2,
    )
    attention = Attention((head, Head.plain(2.0, 2)), nu, code, normalization)
    drift = harmonics((0.3, 0.2, -0.1, 0.5, 0.4))
    problem = Problem(Circle(8), attention, np.array([0.0, 1.0]), Initial(np.ones), drift=drift)
    atoms = atoms_of(4, rng, most=60)
    expected = tangential(atoms.places, reference.token_velocity(Circle(8), attention, atoms))
    m = np.arange(1, 3)[:, None]
    forced = (
        0.3
        + np.array([0.2, 0.5]) @ np.cos(m * atoms.places)
        + np.array([-0.1, 0.4]) @ np.sin(m * atoms.places)
    )
    found = problem.scattered().velocity(atoms)[:, 0]
    assert np.abs(found - expected - forced).max() < 1e-12 * np.abs(expected + forced).max()


def test_tokens_that_see_none_of_their_best_keys():
    """β = 300, one token opposite of all others: its sums are e^{−600} of what is possible."""
    attention = Attention((Head.plain(300.0, 2),), auxiliary.none())
    places = np.concatenate([0.05 * np.random.default_rng(0).random(200), [np.pi - 0.3]])
    atoms = Atoms(places, np.full(201, 1.0 / 201), np.array([0, 201]))
    masses = atoms.masses.copy()
    masses[-1], masses[:-1] = 1e-250, 1.0 / 200
    atoms = Atoms(places, masses, atoms.starts)
    expected = tangential(places, reference.token_velocity(Circle(8), attention, atoms))
    field = ScatteredField(AttentionField(kernel_space(Circle(8), attention), attention), None)
    # Exponents of 600 have roundings of 1e-13.
    assert np.abs(field.velocity(atoms)[:, 0] - expected).max() < 1e-12


# What it rests on


@given(seed=SEEDS, points=st.sampled_from([33, 64, 90]))
def test_coefficients_of_atoms(seed, points):
    """Sums of six waves; angles up to 10 times degrees up to 45 have roundings of 1e-13."""
    rng = np.random.default_rng(seed)
    atoms, space = atoms_of(3, rng), Circle(points)
    found = space.analyse_atoms(atoms)
    waves = np.exp(-1j * np.arange(found.shape[1] // 2) * atoms.places[:, None])
    expected = atoms.sums(waves)
    assert np.abs(found[:, ::2] + 1j * found[:, 1::2] - expected).max() < 1e-13
    assert found.shape == space.synthesise(found)[:, : found.shape[1]].shape


@given(seed=SEEDS, degree=st.integers(0, STENCIL - 1), points=st.sampled_from([32, 45]))
def test_interpolation_is_exact_for_local_polynomials(seed, degree, points):
    """Polynomials of 16 points are kept; wherever the angle is, on a grid point or next to it."""
    rng = np.random.default_rng(seed)
    width = TURN / points
    index = int(rng.integers(points))
    shift = rng.choice([0.0, 1e-300, 1e-17, -1e-17, 1e-12, 0.5, 1.0 - 1e-15, rng.random()])
    angle = (index + shift) * width
    offsets = (np.arange(points) - index + points // 2) % points - points // 2
    coefficients = rng.uniform(-1.0, 1.0, degree + 1)
    values = np.polyval(coefficients, offsets / (STENCIL / 2.0))
    atoms = Atoms(np.array([angle + TURN * rng.integers(-2, 3)]), np.ones(1), np.array([0, 1]))
    place = atoms.places[0] / width
    expected = np.polyval(coefficients, (place - index + points // 2) % points / 8.0 - points // 2 / 8.0)
    found = Circle(points).interpolate(values[None], atoms)
    # Lebesgue's constant in the middle of 16 points is below 3; angles of up to 3 turns are rounded to 4e-15,
    # and the slope of the polynomial is up to 16 · 16 / 8 of a width.
    assert found[0] == pytest.approx(expected, abs=3e-12)


@given(seed=SEEDS)
def test_scaled_interpolation_does_not_overflow(seed):
    """e^{800 cos} times trigonometric polynomials, relative to the largest of the points about the angle."""
    rng = np.random.default_rng(seed)
    space, atoms = Circle(Circle(8).interpolation_resolution(800.0, 1e-15, 1e-12)), atoms_of(2, rng)
    modes = rng.uniform(-1.0, 1.0, (2, 3, 4))

    def functions(angles, row):
        waves = np.stack([np.cos(m * angles) for m in range(4)], axis=-1)
        return 10.0 + waves @ modes[row].T

    values = np.stack([functions(space.angles, row) for row in range(2)])
    exponents = 800.0 * np.cos(space.angles - np.array([[0.3], [2.0]]))
    found, reference_exponents = space.interpolate_scaled(values, exponents, atoms)
    assert np.isfinite(found).all()
    for row in range(2):
        own = atoms.rows == row
        angles = atoms.places[own]
        scale = np.exp(800.0 * np.cos(angles - [0.3, 2.0][row]) - reference_exponents[own])
        # 1e-12 of values up to 13 times the highest mode, and roundings of exponents of 800.
        assert np.abs(found[own] - scale[:, None] * functions(angles, row)).max() < 1e-11


# Rings of zonal spheres


POLES = np.array([[1.0, 0.0], [-1.0, 0.0]])


def layer_along_the_axis(rng, beta):
    """A random layer that keeps the axis: every encoding, bias, prompt and kind of values that there is."""
    nodes = int(rng.integers(1, 6))
    nu = auxiliary.uniform(nodes)
    shifts = encodings.line(nu.nodes, rng.choice([0.3, 1.5]), 2)
    code = encodings.additive(shifts) if rng.random() < 0.6 else encodings.none()
    biases = NoBias(), Causal(), Alibi(1.3), Within(), Table(rng.standard_normal((nodes, nodes)), nu.nodes)
    heads = tuple(
        Head(
            beta * rng.random(),
            *(np.diag(rng.standard_normal(2)) for _ in range(3)),
            biases[rng.integers(len(biases))],
        )
        for _ in range(rng.integers(1, 3))
    )
    own = rng.choice(nu.nodes, 2)
    prompts = (
        None,
        Prompt(POLES[None], np.array([0.3, 0.7]), 0.4),
        Prompt(POLES[rng.integers(0, 2, (nodes, 1))], np.ones(1), 0.4),
        Prompt(
            POLES[None],
            np.array([0.3, 0.7]),
            0.4,
            own,
            encodings.additive(encodings.line(own, 0.5, 2)),
        ),
    )
    kind, values = rng.choice(["softmax", "none"]), rng.choice(["encoded", "token"])
    return Attention(heads, nu, code, kind, values, prompts[rng.integers(len(prompts))])


def rings_of(nodes, rng):
    """Up to six rings a node, the poles among them."""
    atoms = atoms_of(nodes, rng)
    atoms.places[0], atoms.places[-1] = 0.0, np.pi
    return atoms


def spread_out(atoms, dimension):
    """Points of the half-plane, row by row, that stand for rings: Gauss rules of S^{d−2}, and the query.

    The last has no mass. Sixty points integrate e^{30 s} to rounding error.
    """
    across, shares = np.array([-1.0, 1.0]), np.full(2, 0.5)
    if dimension > 2:
        across, shares = gegenbauer.gauss(60, dimension - 1)
    across, shares = np.append(across, 1.0), np.append(shares, 0.0)
    points = np.stack(
        np.broadcast_arrays(np.cos(atoms.places)[:, None], np.sin(atoms.places)[:, None] * across), axis=-1
    )
    return Atoms(points.reshape(-1, 2), np.outer(atoms.masses, shares).ravel(), across.size * atoms.starts)


@pytest.mark.parametrize("hidden", [None, 2.0])
@pytest.mark.parametrize("dimension", [2, 3, 5, 8, 64, 500])
def test_rings_agree_with_the_definition(dimension, hidden):
    """By plane waves, and (hidden = 2) ring by ring, which loses nothing.

    Exponents are up to 3·2·2²·2.5² = 150 in the worst of these layers, whose roundings are 3e-14; plane waves
    may lose four digits of rounding errors. Observed: 2e-14 and 1e-14.
    """
    for seed in range(10):
        rng = np.random.default_rng(seed)
        attention = layer_along_the_axis(rng, 3.0)
        atoms = rings_of(attention.auxiliary.nodes.size, rng)
        points = spread_out(atoms, dimension)
        own = reference.token_velocity(SimpleNamespace(embed=lambda places: places), attention, points)
        count = points.masses.size // atoms.masses.size
        expected = tangential(atoms.places, own[count - 1 :: count])
        field = ScatteredField(AttentionField(kernel_space(Zonal(8, dimension), attention), attention), None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rings, "HIDDEN", rings.HIDDEN if hidden is None else hidden)
            found = field.velocity(atoms)[:, 0]
        assert np.abs(found - expected).max() < 3e-13 * np.abs(expected).max()


@pytest.mark.parametrize("dimension", [2, 3, 8, 64])
def test_energy_and_entropy_of_rings(dimension):
    """Sums over all pairs of points that stand for the rings: 1/(2β) ∬ e^s f f, and ∫ a log a."""
    nu, rng = auxiliary.uniform(3), np.random.default_rng(5)
    bias = rng.standard_normal((3, 3))
    shifts = encodings.line(nu.nodes, 0.8, 2)
    head = Head(2.0, np.diag([1.2, 0.9]), np.eye(2), np.eye(2), Table(bias, nu.nodes))
    attention = Attention((head,), nu, encodings.additive(shifts))
    atoms = rings_of(3, rng)
    points = spread_out(atoms, dimension)
    keys, rows = points.places + shifts[points.rows], points.rows
    count = points.masses.size // atoms.masses.size
    queries, own = keys[count - 1 :: count], rows[count - 1 :: count]
    score = 2.0 * queries @ np.diag([1.2, 0.9]) @ keys.T + bias[np.ix_(own, rows)]
    weight = np.exp(score) * points.masses / 3.0
    total, mass = weight.sum(axis=1), atoms.masses / 3.0
    entropy = mass @ (np.log(total) - (weight * score).sum(axis=1) / total)
    field = ScatteredField(AttentionField(kernel_space(Zonal(8, dimension), attention), attention), None)
    # Roundings of exponents up to 10.
    assert field.rings.energy(atoms) == pytest.approx(mass @ total / 4.0, rel=1e-13)
    assert field.rings.attention_entropy(atoms) == pytest.approx(entropy, rel=1e-13)


def test_the_energy_of_rings_with_a_prompt_is_that_of_the_grid(monkeypatch):
    """In three dimensions grids serve as well: 1e-13."""
    attention = replace(
        layer_along_the_axis(np.random.default_rng(1), 2.0),
        normalization="none",
        prompt=Prompt(POLES[None], np.array([0.3, 0.7]), 0.4),
    )
    atoms = rings_of(attention.auxiliary.nodes.size, np.random.default_rng(2))
    field = ScatteredField(AttentionField(kernel_space(Zonal(8, 3), attention), attention), None)
    grid = ScatteredField(field.field, None)
    object.__setattr__(grid, "rings", None)
    monkeypatch.setattr(energies, "FEW", 0)  # so few would be summed as points
    assert field.rings.energy(atoms) == pytest.approx(energies.scattered_energy(grid, atoms), rel=1e-12)


@pytest.mark.parametrize("dimension", [2, 3, 64, 1000])
def test_compiled_plane_waves(dimension):
    """Against the recurrences in numpy, relative to the largest of every query; up to 700 steps, 1e-13."""
    rng, degree = np.random.default_rng(0), 20
    vectors = rng.standard_normal((40, 2)) * rng.choice([0.0, 0.1, 1.0, 20.0, 300.0], 40)[:, None]
    vectors[:3] = [3.0, 0.0], [-3.0, 0.0], [0.0, 0.0]
    longest = float(np.hypot(*vectors.T).max())
    found = zonal_kernels.plane_waves(
        vectors,
        dimension,
        max(degree + 1, funk_hecke.reach(longest, 1e-19, dimension)),
        gegenbauer.jacobi(degree + 1, dimension),
        gegenbauer.jacobi(degree, dimension + 2),
        *gegenbauer.climbing(degree, dimension),
    )
    space = Zonal(degree, dimension)
    waves = space.plane_wave(vectors, degree)
    expected = np.concatenate([waves[:, None], space.plane_wave_gradient(vectors, degree)], axis=1)
    assert np.abs((found - expected) / np.abs(waves).max(axis=1)[:, None, None]).max() < 1e-12


@pytest.mark.parametrize("dimension", [2, 3, 256])
def test_drifts_between_rings(dimension):
    """F = −0.7 sin α √d + …, exactly, also at the poles and beyond: its own degree alone is evaluated."""
    space = Zonal(40, dimension)
    drift = harmonics((0.7, 0.2), 2)(space)
    attention = Attention((Head(1.0, np.eye(2), np.eye(2), np.zeros((2, 2))),), auxiliary.none())
    field = ScatteredField(AttentionField(space, attention), drift)
    places = np.array([0.0, 1e-9, 0.3, 2.0, np.pi, 4.0, -0.3])
    atoms = Atoms(places, np.full(7, 1.0 / 7.0), np.array([0, 7]))
    expected = np.array([0.7, 0.2]) @ gegenbauer.slopes(np.cos(places), np.sin(places), 2, dimension)[1:]
    assert np.abs(field.velocity(atoms)[:, 0] - expected).max() < 1e-13 * np.abs(expected).max()
