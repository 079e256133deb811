"""Measures of token marginals: effective rank, nearest Dirac mass, distances."""

import math

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meanfield_pde import auxiliary
from meanfield_pde.limits.measures import Tokens, distances, effective_rank, spread
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.circle import Circle

SPACE = Circle(64)
SEEDS = st.integers(0, 2**32 - 1)
#: Roundings of sums of few terms.
ROUNDING = 1e-13


def few(seed, count):
    """Places and masses of few tokens, in some cases close to one another."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.0, 2.0 * np.pi) + rng.choice([0.3, 3.0, 20.0]) * rng.random(count)
    masses = rng.uniform(0.05, 1.0, count)
    return places % (2.0 * np.pi), masses / masses.sum()


def arcs(first, second):
    return np.abs((first[:, None] - second + np.pi) % (2.0 * np.pi) - np.pi)


@pytest.mark.parametrize("dimension", [1, 2, 3, 7])
def test_isotropic_tokens_have_full_rank(dimension):
    assert effective_rank(0.3 * np.eye(dimension)) == pytest.approx(dimension, rel=ROUNDING)


def test_tokens_on_a_line_have_rank_one():
    direction = np.array([0.6, -0.8])
    assert effective_rank(np.outer(direction, direction)) == pytest.approx(1.0, abs=1e-12)  # ε log ε


def test_a_point_has_no_rank():
    assert math.isnan(effective_rank(np.zeros((2, 2))))
    alone = spread(SPACE, Tokens(np.array([0.7, 0.7]), np.array([0.5, 0.5])))
    assert math.isnan(alone["effective_rank"])
    assert alone["order_parameter"] == pytest.approx(1.0, abs=ROUNDING)
    assert alone["nearest_dirac"] < 1e-7  # root of a rounding


def test_rank_is_that_of_the_entropy():
    """exp of −Σ p log p of three eigenvalues, in any basis and size."""
    shares = np.array([0.5, 0.3, 0.2])
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(7.0 * basis @ np.diag(shares) @ basis.T) == pytest.approx(expected, rel=1e-12)


@given(SEEDS, st.integers(2, 9))
@settings(deadline=None, max_examples=40)
def test_the_nearest_dirac_mass_is_the_best_of_all(seed, count):
    """Brute force: no angle of 20,000 is better, and the best of them is as good as its step, squared."""
    places, masses = few(seed, count)
    centre, found = SPACE.nearest_dirac(places, masses)
    angles = 2.0 * np.pi * np.arange(20000) / 20000
    best = np.sqrt((arcs(angles, places) ** 2 @ masses).min())
    at_centre = np.sqrt((arcs(np.array([centre]), places) ** 2 @ masses)[0])
    assert found == pytest.approx(at_centre, abs=1e-7)
    assert found <= best + 1e-7
    assert best**2 - found**2 < (np.pi / 20000) ** 2 + 1e-12
    assert spread(SPACE, Tokens(places, masses))["nearest_dirac"] == pytest.approx(found, abs=1e-7)


@given(SEEDS, st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_distances_are_those_of_optimal_plans(seed, first, second):
    """A linear program over all plans; W₁ to roundings, POT's search for W₂ stops at 1e-6 of a turn."""
    here, there = few(seed, first), few(seed + 1, second)
    with np.errstate(divide="ignore", invalid="ignore"):  # POT, where two slopes agree; it then bisects
        found = distances(SPACE, Tokens(*here), Tokens(*there))
    for order, tolerance in ((1, 1e-12), (2, 4e-5)):
        cost = ot.emd2(here[1], there[1], arcs(here[0], there[0]) ** order)
        assert found[f"w{order}"] ** order == pytest.approx(cost, abs=tolerance)


@pytest.mark.parametrize("seed", [432, 522])
def test_distances_of_tokens_far_from_the_cut(seed):
    """POT 0.9.7 leaves out the arc before the first token, and then chooses wrong flows."""
    first, second = np.random.default_rng(seed + 10**6).integers(1, 7, 2)
    here, there = few(seed, first), few(seed + 1, second)
    cost = ot.emd2(here[1], there[1], arcs(here[0], there[0]))
    assert distances(SPACE, Tokens(*here), Tokens(*there))["w1"] == pytest.approx(cost, abs=1e-12)


def test_a_density_becomes_its_quantiles():
    """W₂ of a von Mises density to its own centre, against the integral; quantiles leave out 1/points."""
    space = Circle(256)
    density = np.exp(3.0 * np.cos(space.angles - 1.0))
    density /= density @ space.weights
    found = distances(space, Tokens.of_density(space, space.analyse(density)), Tokens(np.ones(1), np.ones(1)))
    exact = np.sqrt(density * arcs(space.angles, np.ones(1))[:, 0] ** 2 @ space.weights)
    assert found["w2"] == pytest.approx(exact, abs=1e-3)


def test_atoms_of_all_nodes_are_gathered():
    """Masses are those of the nodes times those at the nodes."""
    nu = auxiliary.Auxiliary(np.array([0.0, 1.0]), np.array([0.25, 0.75]))
    atoms = Atoms(np.array([0.1, 0.2, 3.0]), np.array([0.4, 0.6, 1.0]), np.array([0, 2, 3]))
    found = Tokens.of_atoms(nu, atoms)
    assert np.array_equal(found.places, atoms.places)
    assert found.masses == pytest.approx([0.1, 0.15, 0.75], abs=ROUNDING)
