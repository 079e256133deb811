"""Spheres of any dimension against the circle, explicit rotations and closed forms."""

import math

import numpy as np
import pytest

from meanfield_pde.attention.blocks import turned
from meanfield_pde.errors import InputError
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.hypersphere import Hypersphere

DIMENSIONS = [2, 3, 4, 7, 64, 768]


def unit(rng, count, dimension):
    vectors = rng.standard_normal((count, dimension))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def atoms_at(places, rows=1):
    count = len(places) // rows
    return Atoms(places, np.full(len(places), 1.0 / count), count * np.arange(rows + 1, dtype=np.intp))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_retraction_and_projection(dimension):
    rng = np.random.default_rng(dimension)
    space, vectors = Hypersphere(dimension, 8), 3.0 * rng.standard_normal((40, dimension))
    places = space.retract(vectors)
    assert np.abs(np.linalg.norm(places, axis=1) - 1.0).max() < 1e-15  # a root and a division
    assert np.abs(np.einsum("nd,nd->n", places, vectors) - np.linalg.norm(vectors, axis=1)).max() < 1e-13
    tangent = space.project(places, vectors[::-1])
    assert np.abs(np.einsum("nd,nd->n", places, tangent)).max() < 1e-14  # roundings of vectors of length 3√d
    dense = vectors[::-1] - np.einsum("ne,ne,nd->nd", places, vectors[::-1], places)
    assert np.abs(tangent - dense).max() < 1e-14
    assert np.abs(space.locate(vectors) - places).max() < 1e-15
    assert np.abs(space.locate(np.zeros((2, dimension))) - np.eye(1, dimension)).max() == 0.0


@pytest.mark.parametrize("dimension", [2, 3, 5, 16])
def test_frames_are_orthonormal_and_bend_as_normals_say(dimension):
    rng = np.random.default_rng(dimension)
    space, places = Hypersphere(dimension, 8), unit(rng, 30, dimension)
    places[:3] = np.eye(dimension)[[0, 0, 1]]
    places[1] *= -1.0
    frame = space.frame_at(places)
    full = np.concatenate([places[:, None], frame], axis=1)
    assert np.abs(full @ np.swapaxes(full, 1, 2) - np.eye(dimension)).max() < 2e-15
    step = 1e-4
    moves = np.zeros((30, dimension - 1))
    moves[:, -1] = step
    ahead, behind = space.moved(places, moves), space.moved(places, -moves)
    assert np.abs((ahead - behind) / (2.0 * step) - frame[:, -1]).max() < step**2  # second order
    bend = (ahead - 2.0 * places + behind) / step**2
    assert np.abs(bend + space.normals_at(places)[:, -1]).max() < 1e-7  # step² and rounding over step²


@pytest.mark.parametrize("dimension", [2, 3, 6, 9])
def test_rotations_turn_planes(dimension):
    rng = np.random.default_rng(dimension)
    space, vectors = Hypersphere(dimension, 8), unit(rng, 5, dimension)
    for angles in (rng.uniform(-9.0, 9.0, 5), rng.uniform(-9.0, 9.0, (5, dimension // 2))):
        matrices = space.rotations(angles)
        dense = np.einsum("nde,ne->nd", matrices, vectors)
        assert np.abs(turned(vectors, angles.reshape(5, -1)) - dense).max() < 1e-15
        assert np.abs(matrices @ np.swapaxes(matrices, 1, 2) - np.eye(dimension)).max() < 1e-15
    if dimension == 2:
        assert np.array_equal(matrices, Circle(8).rotations(angles[:, 0]))
    if dimension % 2:
        assert np.array_equal(dense[:, -1], vectors[:, -1])


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 0.3, math.pi / 2, math.pi - 1e-7, math.pi])
def test_distances_of_near_and_antipodal_points(angle):
    """Roundings of the places themselves: a few units of the last digit of one."""
    space, first = Hypersphere(50, 8), np.eye(2, 50)
    second = np.cos(angle) * first[0] + np.sin(angle) * first[1]
    assert space.distance(first[0], second) == pytest.approx(angle, abs=5e-16)


def test_transport_and_mean_on_the_circle():
    """d = 2: W₁ of the circle is exact; its Fréchet mean too; W₂ by POT's plan of the same angles."""
    rng = np.random.default_rng(3)
    space, circle = Hypersphere(2, 8), Circle(8)
    first, second = rng.uniform(0.0, 6.0, 12), rng.uniform(0.0, 6.0, 7)
    masses, weights = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(7))
    for order in (1, 2):
        own = space.wasserstein_atoms(circle.embed(first), masses, circle.embed(second), weights, order)
        assert own == pytest.approx(circle.wasserstein_atoms(first, masses, second, weights, order), abs=1e-9)
    centre, far = space.nearest_dirac(circle.embed(first), masses)
    angle, exact = circle.nearest_dirac(first, masses)
    assert circle.distance(circle.locate(centre), angle) < 1e-8  # where steps end
    assert far == pytest.approx(exact, rel=1e-12)


def test_transport_in_many_dimensions():
    """Orthogonal pairs are π/2 apart, turned by a small angle they are moved by that angle each."""
    rng = np.random.default_rng(4)
    space, places = Hypersphere(300, 8), unit(rng, 60, 300)
    masses = rng.dirichlet(np.ones(60))
    aside = unit(rng, 60, 300)
    aside = space.retract(aside - np.einsum("nd,nd->n", aside, places)[:, None] * places)
    moved = np.cos(1e-3) * places + np.sin(1e-3) * aside
    shuffled = rng.permutation(60)
    for order in (1, 2):
        found = space.wasserstein_atoms(places, masses, moved[shuffled], masses[shuffled], order)
        assert found == pytest.approx(1e-3, rel=1e-9)
    corners = np.eye(3, 300)
    assert space.wasserstein_atoms(corners[:1], np.ones(1), corners[1:], np.full(2, 0.5), 2) == pytest.approx(
        math.pi / 2, rel=1e-14
    )


def test_laws_that_differ_by_a_rotation_are_not_apart():
    rng = np.random.default_rng(5)
    space, places = Hypersphere(6, 8), unit(rng, 9, 6)
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    assert space.apart(places, places @ rotation.T) < 1e-14
    moved = space.moved(places, 1e-3 * np.eye(9, 5))
    assert 2e-4 < space.apart(places @ rotation.T, moved) < 1.1e-3


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_what_is_shown_keeps_the_mass(dimension):
    rng = np.random.default_rng(dimension)
    space, places = Hypersphere(dimension, 12), unit(rng, 400, dimension)
    places[0], places[-1] = np.eye(1, dimension), -np.eye(1, dimension)
    shown = space.shown(atoms_at(places, rows=2))
    assert shown.shape == (2, space.weights.size)
    assert shown.min() >= 0.0
    assert np.abs(shown @ space.weights - 1.0).max() < 1e-14  # roundings of a sum of 19
    assert shown[0, -1] > 0.0  # the pole t = 1 is in the last ring
    assert shown[1, 0] > 0.0
    mean = shown @ (space.weights * space.zonal.cosines)
    width = np.diff(space.zonal.cosines, prepend=-1.0, append=1.0).max()
    assert np.abs(mean - places[:, 0].reshape(2, -1).mean(axis=1)).max() < width


@pytest.mark.parametrize("dimension", [2, 3, 10, 768])
def test_zonal_coefficients_of_atoms(dimension):
    """e_1 = √d t and e_2 = √((d+2)/(2(d−1))) (d t² − 1)."""
    space, places = Hypersphere(dimension, 12), unit(np.random.default_rng(1), 30, dimension)
    found = space.analyse_atoms(atoms_at(places, rows=3), 2)
    cosines = places[:, 0].reshape(3, -1)
    second = math.sqrt((dimension + 2) / (2 * (dimension - 1))) * (dimension * cosines**2 - 1.0)
    expected = [np.ones(3), math.sqrt(dimension) * cosines.mean(axis=1), second.mean(axis=1)]
    assert np.abs(found - np.stack(expected, axis=1)).max() < 1e-13  # recurrences of values up to 20


def test_the_mean_of_a_cap_is_its_centre():
    rng = np.random.default_rng(6)
    space, centre = Hypersphere(40, 8), unit(rng, 1, 40)[0]
    around = space.retract(centre + 0.02 * rng.standard_normal((30, 40)))
    mirrored = 2.0 * (around @ centre)[:, None] * centre - around
    found, far = space.nearest_dirac(np.concatenate([around, mirrored]), np.full(60, 1.0 / 60.0))
    assert space.distance(found, centre) < 1e-8
    assert far == pytest.approx(np.sqrt((space.distance(around, centre) ** 2).mean()), rel=1e-12)


def test_densities_are_refused():
    space = Hypersphere(5, 8)
    empty = np.zeros((1, 9))
    for call in (
        lambda: space.analyse(empty),
        lambda: space.synthesise(empty),
        lambda: space.eigenvalues,
        lambda: space.features(2),
        lambda: space.convolution(1.0, np.eye(5), np.eye(5)),
        lambda: space.wasserstein(empty, empty, empty, 1),
        space.uniform,
        space.wider,
        space.tail_weights,
    ):
        with pytest.raises(InputError, match='kind = "points"'):
            call()
    with pytest.raises(InputError, match="dimension must be at least 2, got 1"):
        Hypersphere(1, 8)
    with pytest.raises(InputError, match="resolution must be at least 1, got 0"):
        Hypersphere(4, 0)
    assert space.points.shape == (0, 5)
    assert space.frame.shape == (0, 4, 5)
    assert space.resized(9).resolution == 9
    assert space.support(np.eye(5)[:2] * 3.0) == pytest.approx([3.0, 3.0])
