"""Clusters of marginals whose clusters are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meanfield_pde import clusters
from meanfield_pde.errors import InputError
from meanfield_pde.spaces import fourier
from meanfield_pde.spaces.circle import TURN, Circle

CIRCLE = Circle(128)
MODES = np.arange(clusters.DEGREE + 1)
#: Where a valley lies between grid angles, half a step of the density there (a smoothed Dirac mass has the
#: peak 1 / (s√2π) = 8, its valley half of that at most) goes to the wrong side.
CUT = TURN / clusters.POINTS / 2 * 4.0


class Interval:
    """A space without period."""

    name = "zonal"
    period = None


def atoms(angles, masses, degree=clusters.DEGREE):
    """Coefficients of a sum of Dirac masses."""
    return fourier.interleaved(np.exp(-1j * np.outer(np.arange(degree + 1), angles)) @ masses)


def cosine(mode, amplitude, angle=0.0, degree=clusters.DEGREE):
    """Coefficients of (1 + a cos m(θ − φ)) / 2π."""
    spectrum = np.zeros(degree + 1, dtype=complex)
    spectrum[0], spectrum[mode] = 1.0, amplitude / 2 * np.exp(-1j * mode * angle)
    return fourier.interleaved(spectrum)


def turned(coefficients, angle):
    spectrum = fourier.complex_view(coefficients)
    return fourier.interleaved(spectrum * np.exp(-1j * angle * np.arange(spectrum.size)))


def find(coefficients):
    return clusters.find(CIRCLE, coefficients)


def difference(one, other):
    """Distance of angles around the circle."""
    return np.abs((np.asarray(one) - other + math.pi) % TURN - math.pi)


separated = st.integers(1, 6).flatmap(
    lambda count: st.tuples(
        st.lists(st.floats(0.05, 1.0), min_size=count, max_size=count),
        st.lists(st.floats(0.6, 2.0), min_size=count, max_size=count),
        st.floats(-10.0, 10.0),
    )
)


def placed(drawn):
    """Angles at least 0.3 apart, and masses of one in sum."""
    shares, gaps, angle = (np.asarray(part) for part in drawn)
    return (angle + np.cumsum(gaps / gaps.sum()) * TURN) % TURN, shares / shares.sum()


@given(separated)
def test_dirac_masses_are_found(drawn):
    angles, masses = placed(drawn)
    found = find(atoms(angles, masses))
    assert found.count == angles.size
    assert (np.diff(found.masses) <= clusters.EQUAL).all()
    nearest = difference(found.positions[:, None], angles).argmin(axis=1)
    # 0.3 apart at least, 20 to 1 at most: the lighter loses erfc(2) / 2 = 0.3 % of the heavier to it at most,
    # and as much mass at a distance of 0.3 moves it by 0.3 · 0.003 · 20.
    np.testing.assert_allclose(found.masses, masses[nearest], atol=0.01)
    assert difference(found.positions, angles[nearest]).max() < 0.02


@given(separated, st.floats(-10.0, 10.0))
def test_rotation_turns_the_clusters(drawn, angle):
    coefficients = atoms(*placed(drawn))
    still, moved = find(coefficients), find(turned(coefficients, angle))
    assert still.count == moved.count
    np.testing.assert_allclose(moved.masses, still.masses, atol=CUT)
    for position, mass in zip(moved.positions, moved.masses, strict=True):
        # A wrong mass of CUT, at most half a turn away, moves the mean of the others by CUT π / mass.
        gap = difference(still.positions + angle, position)
        assert gap.min() < CUT * math.pi / mass


@given(separated)
def test_masses_sum_to_one(drawn):
    found = find(atoms(*placed(drawn)))
    assert found.masses.sum() == pytest.approx(1.0, abs=1e-12)  # rounding of 4096 sums
    assert ((found.positions >= 0) & (found.positions < TURN)).all()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("angle", [0.0, 0.1, -0.1, 1e-17, -1e-17, 3.0, TURN])
def test_symmetric_states(count, angle):
    for coefficients in (
        cosine(count, 0.9, angle),
        atoms(angle + TURN * np.arange(count) / count, np.full(count, 1 / count)),
    ):
        found = find(coefficients)
        np.testing.assert_allclose(found.masses, np.full(count, 1 / count), atol=CUT)
        expected = np.sort((angle % (TURN / count)) % (TURN / count) + TURN * np.arange(count) / count)
        gaps = difference(found.positions[:, None], expected).min(axis=0)
        assert gaps.max() < CUT * math.pi * count


def test_equal_clusters_are_ordered_by_position():
    # Multiples of the grid step: valleys lie on the grid, and the masses differ by rounding only.
    found = find(atoms(TURN * np.arange(4) / 4, np.full(4, 0.25)))
    np.testing.assert_allclose(found.positions, TURN * np.arange(4) / 4, atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, TURN, 1e-16, -1e-16, -1e-12, 1e-12])
def test_no_position_is_a_full_turn(angle):
    found = find(atoms([angle], [1.0]))
    np.testing.assert_allclose(found.positions, 0.0, atol=1e-11)
    np.testing.assert_allclose(found.masses, 1.0, atol=1e-14)


def test_the_uniform_law_has_no_cluster():
    for coefficients in (CIRCLE.uniform(), np.array([1.0, 0.0]), cosine(1, 0.0)):
        found = find(coefficients)
        assert found.count == 0
        assert found.positions.shape == found.masses.shape == (0,)


@pytest.mark.parametrize("level", [1e-16, 1e-10, 1e-3])
@pytest.mark.parametrize("seed", range(5))
def test_noise_makes_no_cluster(level, seed):
    noise = level * np.random.default_rng(seed).normal(size=2 * MODES.size)
    noise[:2] = 0.0
    uniform = cosine(1, 0.0)
    assert find(uniform + noise).count == 0
    two = atoms([1.0, 4.0], [0.3, 0.7])
    found = find(two + noise)
    np.testing.assert_allclose(found.positions, [4.0, 1.0], atol=40 * level + 1e-6)


@pytest.mark.parametrize("mode", [1, 2, 7])
def test_valleys_must_be_below_half_of_the_peaks(mode):
    # (1 − a)/(1 + a) = 1/2 at a = 1/3; smoothing reduces a by exp(−m² s²/2).
    limit = math.exp(0.5 * (mode * clusters.SMOOTHING) ** 2) / 3
    assert find(cosine(mode, limit - 1e-3)).count == 0
    assert find(cosine(mode, limit + 1e-3)).count == mode


@pytest.mark.parametrize(("gap", "count"), [(3.3, 1), (3.37, 2)])
def test_the_smallest_distance_of_two_equal_masses(gap, count):
    # exp(−g²/8) to (1 + exp(−g²/2)) / 2 is 1/2 at g = 3.33.
    width = gap * clusters.SMOOTHING
    assert find(atoms([2.0, 2.0 + width], [0.5, 0.5])).count == count


def test_low_peaks_are_merged_into_the_neighbour_with_the_higher_valley():
    # A shoulder right of the first atom, nearer to it than to the second.
    found = find(atoms([1.0, 1.12, 3.0], [0.5, 0.1, 0.4]))
    np.testing.assert_allclose(found.masses, [0.6, 0.4], atol=1e-9)
    np.testing.assert_allclose(found.positions, [1.02, 3.0], atol=1e-4)


def test_levels_that_are_exactly_equal():
    # A box of width 2 between zeros, and three of them: flat peaks, flat valleys.
    grid = CIRCLE.at_least(clusters.DEGREE)
    angles = grid.angles
    one = (np.abs(angles - 3.0) < 1.0).astype(float)
    three = sum((np.abs(angles - center) < 0.3).astype(float) for center in (1.0, 3.0, 5.0))
    for values, positions in ((one, [3.0]), (three, [1.0, 3.0, 5.0])):
        found = find(grid.analyse(values / (values @ grid.weights)))
        np.testing.assert_allclose(np.sort(found.positions), positions, atol=0.02)  # a grid step


@pytest.mark.parametrize("degree", [20, 42, 85, 170, 1000])
def test_truncation_makes_no_clusters(degree):
    # Below a degree of about 60 the truncated Dirac masses have ripples that smoothing does not remove.
    found = find(atoms([1.0, 3.0, 4.5], [0.4, 0.35, 0.25], degree))
    assert found.count == 3
    np.testing.assert_allclose(found.positions, [1.0, 3.0, 4.5], atol=0.05)
    np.testing.assert_allclose(found.masses, [0.4, 0.35, 0.25], atol=0.03)


@pytest.mark.parametrize("light", [[0.002], [0.008], [0.002] * 5])
def test_stragglers_are_no_clusters(light):
    angles = [1.0, 4.0, *(1.5 + 0.35 * np.arange(len(light)))]
    found = find(atoms(angles, [0.7 - sum(light), 0.3, *light]))
    assert found.count == 2
    np.testing.assert_allclose(found.masses, [0.7, 0.3], atol=0.011)
    assert find(atoms([1.0, 4.0, 5.0], [0.5, 0.488, 0.012])).count == 3


@given(separated)
def test_no_cluster_is_lighter_than_the_lightest(drawn):
    angles, masses = placed(drawn)
    found = find(atoms(angles, masses**4 / (masses**4).sum()))
    assert found.count >= 1
    assert found.masses.min() >= clusters.LIGHTEST
    assert found.masses.sum() == pytest.approx(1.0, abs=1e-12)


def test_nothing_is_changed_and_higher_modes_are_not_felt():
    coefficients = atoms([1.0, 4.0], [0.3, 0.7], 300)
    before = coefficients.copy()
    found, cut = find(coefficients), find(coefficients[: 2 * MODES.size])
    np.testing.assert_array_equal(coefficients, before)
    np.testing.assert_array_equal(found.positions, cut.positions)


def test_positions_are_in_the_coordinate_of_the_space():
    class Unit:
        name = "unit"
        period = 1.0

    found = clusters.find(Unit(), atoms([0.25 * TURN], [1.0]))
    np.testing.assert_allclose(found.positions, [0.25], atol=1e-12)


def test_what_has_no_clusters_is_refused():
    with pytest.raises(InputError, match="closed line, got the space 'zonal'"):
        clusters.find(Interval(), CIRCLE.uniform())
    with pytest.raises(InputError, match="must be finite"):
        find(np.array([1.0, 0.0, np.nan, 0.0]))
