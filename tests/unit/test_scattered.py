"""Attention between scattered tokens against sums over all pairs, and the interpolation that it rests on."""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Head, reference, scattered
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.scattered import ScatteredField, kernel_space
from meanfield_pde.drift import harmonics
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.circle_points import STENCIL
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
