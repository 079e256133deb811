"""Zonal densities without noise: characteristics of rings and their limit laws, against exact results."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import meanfield_pde as mf
from meanfield_pde import config
from meanfield_pde.building import build
from meanfield_pde.limits.basins import attracted
from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.methods.label_state import histogram
from meanfield_pde.spaces import Atoms

ZONAL = '[token]\nspace = "zonal"\nresolution = 32\ndimension = {}\n'
CIRCLE = '[token]\nspace = "circle"\nresolution = 64\n'
LINE = """
[auxiliary]
kind = "uniform"
nodes = 5
[encoding]
kind = "additive"
shape = "line"
amplitude = {}
"""
#: Before densities grow too sharp for the spectral method; velocities without softmax are some e^β larger.
DEPTHS = {"softmax": 0.6, "none": 0.15}
SHORT = """
[attention]
beta = 2.0
normalization = "{}"
[initial]
kind = "vonmises"
concentration = 1.0
[time]
final = {}
save = 4
[solver]
rtol = 1e-9
atol = 1e-11
method = "{}"
"""


def problem(*tables):
    return build(config.loads("".join(tables)))


def measures(solution):
    """All that is said of a law of labels as of a density."""
    names = (
        "order_parameter",
        "conditional_concentration",
        "interaction_energy",
        "attention_entropy",
        "dissipation",
    )
    return np.stack([np.asarray(getattr(solution, name)) for name in names])


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("encoding", ["", LINE.format(0.8)])
def test_the_sphere_of_two_dimensions_is_the_circle(encoding, normalization):
    """Laws that are symmetric about e₁ by both ways: to the tolerance of both (observed: 2e-13)."""
    short = SHORT.format(normalization, DEPTHS[normalization], "characteristics")
    found = [
        mf.solve(problem(token, encoding, "[prompt]\nfraction = 0.3\n" + prompt, short))
        for token, prompt in (
            (ZONAL.format(2), "points = [[-1.0, 0.0]]\n"),
            (CIRCLE, "angles = [3.141592653589793]\n"),
        )
    ]
    assert np.abs(measures(found[0]) - measures(found[1])).max() < 1e-9
    assert found[0].position.min() >= 0.0
    assert found[0].position.max() <= np.pi + 1e-15


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("dimension", [3, 5])
def test_densities_are_those_of_the_spectral_method(dimension, normalization):
    """To the tolerance of both (observed: 1e-13); energies rise, for attention ascends them."""
    labels, density = (
        mf.solve(
            problem(
                ZONAL.format(dimension),
                LINE.format(0.5),
                SHORT.format(normalization, DEPTHS[normalization], method),
            )
        )
        for method in ("characteristics", "spectral")
    )
    assert np.abs(measures(labels) - measures(density)).max() < 1e-9
    assert np.diff(labels.interaction_energy).min() > 0.0
    assert np.diff(labels.interaction_energy) == pytest.approx(np.diff(density.interaction_energy), rel=1e-7)


@pytest.mark.parametrize("dimension", [2, 3, 64])
def test_histograms_are_conservative_and_never_negative(dimension):
    """Mass is spread evenly between 65 places of every panel, π/4 wide at most: (ρ'/ρ)(π/256)² / 8 of it."""
    short = SHORT.format("softmax", 0.5, "characteristics")
    solved = problem(ZONAL.format(dimension), short)
    solution = mf.solve(solved)
    assert np.abs(solution.density @ solution.token_weight - 1.0).max() < 1e-13
    assert solution.density.min() >= 0.0
    cloud = Characteristics.start(solved).cloud
    expected = solved.space.cell_means(solved.initial.coefficients(solved.space, solved.auxiliary))
    masses = (histogram(cloud, solved.space) - expected) * solved.space.weights
    # In high dimensions ρ'/ρ is that of sin^{d−2} α in its width 1/√d, so √d times as large.
    assert np.abs(masses).max() < 1e-4 * np.sqrt(dimension)


def test_rings_of_tokens_are_tokens_on_rings():
    """Two rings of 24 tokens each on S², pair by pair in three dimensions: their sums are exact to 1e-14."""
    solved = problem(
        ZONAL.format(3),
        '[attention]\nbeta = 2.0\n[initial]\nkind = "points"\nangles = [0.7, 4.0]\nweights = [1.0, 2.0]\n',
        "[time]\nfinal = 2.0\nsave = 3\n",
    )
    turns = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)

    def points(angles):
        rings = np.broadcast_to(angles[:, None], (2, 24))
        return np.stack(
            [np.cos(rings), np.sin(rings) * np.cos(turns), np.sin(rings) * np.sin(turns)], axis=-1
        ).reshape(-1, 3)

    masses = np.repeat([1.0 / 72.0, 2.0 / 72.0], 24)

    def rate(_, angles):
        tokens = points(angles)
        weight = masses * np.exp(2.0 * tokens[::24] @ tokens.T)
        field = weight @ tokens / weight.sum(axis=1, keepdims=True)
        return np.cos(angles) * field[:, 1] - np.sin(angles) * field[:, 0]

    start = np.array([0.7, 2.0 * np.pi - 4.0])
    dense = solve_ivp(rate, (0.0, 2.0), start, "DOP853", [0.0, 1.0, 2.0], rtol=1e-12, atol=1e-13)
    found = mf.solve(solved)
    assert np.abs(found.position[:, 0] - dense.y.T).max() < 1e-9  # rtol = 1e-8 of a step: 2e-11
    assert np.asarray(found.label_weight)[0] == pytest.approx([1.0 / 3.0, 2.0 / 3.0], abs=1e-15)


@pytest.mark.parametrize("dimension", [2, 3, 64])
def test_drifts_alone_move_rings_along_meridians(dimension):
    """F = θ ∇e₁ = −θ√d sin α: tan(α/2) = tan(ℓ/2) e^{−θ√d t}, to tens of the tolerance of a step, 2e-12."""
    off = f"value = {[[0.0] * dimension] * dimension}\n[drift]\ndegree = 1\nparameters = [0.4]\n"
    short = SHORT.format("softmax", 1.0, "characteristics").replace("[initial]", off + "[initial]")
    solution = mf.solve(problem(ZONAL.format(dimension), short))
    depths = np.asarray(solution.time)[:, None]
    shrunk = np.tan(solution.label_start[0] / 2.0) * np.exp(-0.4 * np.sqrt(dimension) * depths)
    assert np.abs(solution.position[:, 0] - 2.0 * np.arctan(shrunk)).max() < 1e-10


LIMIT = """
[initial]
kind = "vonmises"
concentration = 0.5
[time]
final = 90.0
save = 2
"""


@pytest.mark.parametrize("dimension", [2, 3, 32])
def test_collapse_to_the_pole(dimension):
    """Without encoding all tokens meet, by symmetry where the first density is largest."""
    limit = mf.limit(problem(ZONAL.format(dimension), "[attention]\nbeta = 2.0\n", LIMIT))
    assert limit.verdict == "collapsed"
    assert limit.residual <= 1e-12
    assert limit.atom_position[0, 0] == 0.0
    assert limit.stable
    # Every token at e₁: (V·e₁) turns by −β-free slope −1, with softmax whatever β.
    assert limit.atom_curvature[0, 0] == pytest.approx(1.0, abs=1e-9)
    assert np.asarray(limit.limit_density @ limit.token_weight) == pytest.approx(1.0, abs=1e-13)


def test_limit_maps_of_rings():
    """Values along the axis count less than across it: rings tend to the equator, shifted ones beside it.

    The slowest of their modes decays as e^{−0.28 t}: at depth 60 the run was 4e-8 away, at 90 it is 1e-11.
    """
    head = "[attention]\nbeta = 2.0\nvalue = [[0.4, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\n"
    flow = problem(ZONAL.format(3), head, LINE.format(0.3), LIMIT)
    limit, solution = mf.limit(flow), mf.solve(flow)
    assert limit.verdict == "pushforward"
    assert limit.residual <= 1e-12
    places = np.asarray(limit.atom_position)[:, 0]
    assert places[2] == pytest.approx(np.pi / 2.0, abs=1e-12)
    assert np.diff(places).max() < -1e-3
    assert places + places[::-1] == pytest.approx(np.pi, abs=1e-12)
    concentration = np.abs(np.cos(places)).mean()
    assert limit.attributes["conditional_concentration"] == pytest.approx(concentration, rel=1e-12)
    # Covariance of such rings: next to nothing along the axis, and half of one along e₂ and e₃ each.
    assert limit.attributes["effective_rank"] == pytest.approx(2.0, abs=1e-3)
    assert np.abs(solution.position[-1] - places[:, None]).max() < 1e-9


def test_basins_are_mirrored():
    """Tokens on either side of the axis are one ring, and the barrier of a pole belongs to all of it."""
    head = "[attention]\nbeta = 2.0\nvalue = [[0.4, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\n"
    field = problem(ZONAL.format(3), head, LIMIT).scattered()
    equator = np.pi / 2.0
    near = np.array([equator - 0.1, -equator - 0.1, np.pi, 0.0])
    atoms = Atoms(near, np.array([0.5 - 1e-3, 0.5 - 1e-3, 1e-3, 1e-3]), np.array([0, 4]))
    gathered, distances = attracted(field, atoms)
    assert gathered.places.size == 1
    assert gathered.masses == pytest.approx([1.0])
    assert abs(gathered.places[0] - equator) < 1e-9
    assert distances == pytest.approx([0.1, 0.1, equator, equator], abs=1e-9)
