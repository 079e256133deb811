"""The circle against quadrature and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from meanfield_pde.spaces.circle import Circle
from tests.cases import SEEDS, random_coefficients, unit_vectors

SIZES = st.sampled_from([8, 9, 16, 31, 64, 97])


def vonmises(space, center, concentration):
    """Coefficients I_m(κ)/I_0(κ) e^{−imμ} of a von Mises density."""
    modes = np.arange(space.modes + 1)
    spectrum = (
        special.ive(modes, concentration) / special.ive(0, concentration) * np.exp(-1j * modes * center)
    )
    return spectrum.view(float)


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_analysis_inverts_synthesis(resolution, seed):
    space = Circle(resolution)
    coefficients = random_coefficients(space, 3, np.random.default_rng(seed))
    # One transform there and back of numbers of order one.
    assert np.abs(space.analyse(space.synthesise(coefficients)) - coefficients).max() < 1e-14


@given(resolution=SIZES)
@settings(max_examples=10, deadline=None)
def test_a_mode_is_what_it_says(resolution):
    """c_m = ∫e^{−imθ}ρ: ρ = (1 + 2a cos(mθ − φ))/2π has c_m = a e^{−iφ}. Roundings of order one."""
    space = Circle(resolution)
    for mode in range(1, space.modes + 1):
        density = (1.0 + 0.6 * np.cos(mode * space.angles - 0.4)) / (2.0 * np.pi)
        expected = space.uniform()
        expected[2 * mode : 2 * mode + 2] = 0.3 * np.cos(0.4), -0.3 * np.sin(0.4)
        assert np.abs(space.analyse(density) - expected).max() < 1e-14
        assert np.abs(space.synthesise(expected) - density).max() < 1e-14


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_products_are_not_aliased(resolution, seed):
    """Flux of two functions with all modes: its coefficients are those of a grid three times as fine."""
    space, fine = Circle(resolution), Circle(3 * resolution)
    rng = np.random.default_rng(seed)
    a, b = (rng.standard_normal(2 * space.modes + 2) for _ in range(2))
    a[1] = b[1] = 0.0
    products = [grid.synthesise(a) * grid.synthesise(b) for grid in (space, fine)]
    expected = fine.analyse(products[1])[: a.size]
    # Sums of up to 2K products of order one, in the scale of the largest.
    assert np.abs(space.analyse(products[0]) - expected).max() < 1e-13 * np.abs(expected).max()


def test_derivatives_and_the_laplacian():
    """ρ = e^{κ cos(θ − μ)}: ρ' = −κ sin(θ − μ) ρ; derivatives of K = 42 modes lose a factor of at most K."""
    space = Circle(128)
    coefficients = vonmises(space, 0.7, 4.0)
    density = space.synthesise(coefficients)
    slope = -4.0 * np.sin(space.angles - 0.7) * density
    assert np.abs(space.gradient(coefficients)[:, 0] - slope).max() < 1e-14 * 42
    divergence = space.divergence(density[:, None])
    assert np.abs(divergence - space.analyse(slope)).max() < 1e-14 * 42
    second = space.divergence(space.gradient(coefficients))
    assert np.abs(second + space.eigenvalues * coefficients).max() < 1e-14 * 42**2


def test_geometry():
    space = Circle(24)
    assert space.weights.sum() == pytest.approx(2.0 * np.pi, rel=1e-15)
    assert np.abs((space.frame[:, 0] * space.points).sum(axis=1)).max() < 1e-16
    # The frame points along growing angles.
    step = unit_vectors(space.angles + 1e-6) - space.points
    assert ((space.frame[:, 0] * step).sum(axis=1) > 0).all()
    vectors = 3.0 * unit_vectors(np.array([0.0, 1.0, 4.0]))
    assert np.abs(space.locate(vectors) - [0.0, 1.0, 4.0]).max() < 1e-15


@given(seed=SEEDS, angle=st.floats(-10.0, 10.0))
@settings(max_examples=20, deadline=None)
def test_rotation_of_functions_and_of_points_agree(seed, angle):
    """(Rρ)(x) = ρ(R⁻¹x): the mean turns by the matrix. Phases m·angle of up to 200 radians round to 1e-14."""
    space = Circle(64)
    coefficients = random_coefficients(space, 2, np.random.default_rng(seed))
    angles = np.array([angle, -0.3])
    turned = space.rotate(coefficients, angles)
    expected = np.einsum("zde,ze->zd", space.rotations(angles), space.first_moment(coefficients))
    assert np.abs(space.first_moment(turned) - expected).max() < 1e-14
    back = space.rotate(turned, -angles)
    assert np.abs(back - coefficients).max() < 1e-13


def test_first_moment_by_quadrature():
    space = Circle(64)
    coefficients = vonmises(space, 2.0, 3.0)
    expected = (space.weights * space.synthesise(coefficients)) @ space.points
    assert np.abs(space.first_moment(coefficients) - expected).max() < 1e-15 * 64  # a sum of 64 terms


@pytest.mark.parametrize("length", [0.0, 1e-9, 1.0, 30.0, 200.0])
def test_plane_waves_by_quadrature(length):
    """∫e^{⟨ξ,y⟩ − |ξ|}ρ and the same with y inside; the sum over 1024 points is exact to rounding."""
    space, fine = Circle(256), Circle(1024)
    rng = np.random.default_rng(1)
    coefficients = random_coefficients(space, 1, rng, decay=0.1)[0]
    exponents = length * unit_vectors(rng.uniform(0.0, 6.0, 5))
    mass = fine.weights * fine.synthesise(coefficients)
    kernel = np.exp(exponents @ fine.points.T - length)
    degree = space.modes
    found = space.plane_wave(exponents, degree) @ coefficients
    assert np.abs(found - kernel @ mass).max() < 1e-14
    vectors = space.plane_wave_gradient(exponents, degree) @ coefficients
    assert np.abs(vectors - np.einsum("ni,id,i->nd", kernel, fine.points, mass)).max() < 1e-14


@pytest.mark.parametrize("beta", [0.0, 0.3, 5.0, 100.0])
def test_convolution_by_quadrature(beta):
    """Multipliers of e^{β⟨Bx,y⟩ − β|B|} and of its tangential field, for scaled rotations B and V."""
    space = Circle(300)
    metric = 0.8 * space.rotations(np.array([0.7]))[0]
    value = 1.3 * space.rotations(np.array([-0.4]))[0]
    coefficients = random_coefficients(space, 1, np.random.default_rng(2))[0]
    mass = space.weights * space.synthesise(coefficients)
    kernel = np.exp(beta * (space.points @ metric.T @ space.points.T) - beta * 0.8)
    for multipliers, expected in zip(
        space.convolution(beta, metric, value),
        (kernel @ mass, ((space.frame[:, 0] @ value @ space.points.T) * kernel) @ mass),
        strict=True,
    ):
        found = space.synthesise(space.apply_multipliers(coefficients, multipliers))
        assert np.abs(found - expected).max() < 1e-14  # 300 terms of one at most with total mass one


def test_only_scaled_rotations_are_convolutions():
    space = Circle(32)
    assert space.convolution(1.0, np.array([[1.0, 0.1], [0.0, 1.0]]), np.eye(2)) is None
    assert space.convolution(1.0, np.eye(2), np.diag([1.0, -1.0])) is None
    assert space.convolution(1.0, np.zeros((2, 2)), np.zeros((2, 2))) is not None


def test_the_degree_that_a_kernel_feels():
    space = Circle(32)
    for exponent in (0.0, 1.0, 6.0, 30.0, 100.0, 600.0):
        degree = space.degree(exponent, 1e-16)
        ratio = special.ive(np.arange(degree + 40), exponent) / special.ive(0, exponent)
        assert ratio[degree + 1 :].max() <= 1e-16
    # MODEL.md, section 4: below 1e-16 from m = 15, 27, 51, 89 at X = 1, 6, 30, 100.
    assert [space.degree(x, 1e-16) for x in (1.0, 6.0, 30.0, 100.0)] == [15, 27, 51, 89]


@given(points=st.sampled_from([3, 4, 5, 8, 9, 16]), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_modes_beyond_the_grid_are_folded_exactly(points, seed):
    """Values of 30 modes on a coarse grid are those of the functions there."""
    rng = np.random.default_rng(seed)
    spectrum = rng.standard_normal(31) + 1j * rng.standard_normal(31)
    spectrum[0] = spectrum[0].real
    space, modes = Circle(points), np.arange(1, 31)
    waves = np.exp(1j * np.outer(space.angles, modes)) @ spectrum[1:]
    expected = (spectrum[0].real + 2.0 * waves.real) / (2.0 * np.pi)
    assert np.abs(space.synthesise(spectrum.view(float)) - expected).max() < 1e-13  # 60 terms of order one


@given(few=SIZES, many=SIZES, seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_padding_keeps_the_common_modes(few, many, seed):
    source, target = Circle(few), Circle(many)
    coefficients = random_coefficients(source, 2, np.random.default_rng(seed))
    padded = target.pad(coefficients)
    common = min(coefficients.shape[1], padded.shape[1])
    assert padded.shape == (2, target.uniform().size)
    assert (padded[:, :common] == coefficients[:, :common]).all()
    assert not padded[:, common:].any()
    assert target.at_least(source.modes).modes >= source.modes


@pytest.mark.parametrize("resolution", [8, 16, 32, 33, 64, 128, 1000, 4096])
def test_the_tail_is_the_upper_end_of_the_spectrum(resolution):
    space = Circle(resolution)
    tail = space.tail_weights().reshape(-1, 2)
    assert tail.shape == (space.modes + 1, 2)
    assert (tail[:, 0] == tail[:, 1]).all()
    assert set(np.unique(tail)) <= {0.0, 1.0}
    assert (np.diff(tail[:, 0]) >= 0).all()
    assert not tail[0].any()
    assert tail[-1].all()
    assert tail[:, 0].sum() >= min(6, space.modes)


# The density is cut into 2048 pieces of equal mass: an error of about 2π / (8 · 2048) (circle.py).
QUANTILE_ERROR = 2.0 * np.pi / (8 * 2048)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
def test_distance_between_shifted_densities(order, shift):
    """A von Mises density against a copy, as many atoms, turned by ``shift``: W₁ = W₂ = shift.

    κ = 40 is narrow enough that mass never goes the other way round.
    """
    space, count = Circle(256), 4000
    angles = 2.0 * np.pi * np.arange(count) / count
    weights = np.exp(40.0 * (np.cos(angles - 1.0 - shift) - 1.0)) + 1e-300
    found = space.wasserstein(vonmises(space, 1.0, 40.0), angles, weights / weights.sum(), order)
    # Atoms 2π/4000 apart and the quantiles; POT itself stops at 1e-6 for the squared distance.
    assert found == pytest.approx(shift, abs=np.pi / count + 2.0 * QUANTILE_ERROR + 1e-3 * (order == 2))


@pytest.mark.parametrize("order", [1, 2])
def test_distance_of_a_density_from_a_point(order):
    """(∫|θ|^p ρ)^{1/p} about the point, and π/2 and π/√3 for the uniform density."""
    space = Circle(256)
    coefficients = vonmises(space, 4.0, 3.0)
    fine = Circle(8192)
    density, arc = fine.synthesise(coefficients), np.abs((fine.angles - 4.0 + np.pi) % (2.0 * np.pi) - np.pi)
    expected = float((fine.weights * density) @ arc**order) ** (1.0 / order)
    point = (np.array([4.0]), np.ones(1))
    assert space.wasserstein(coefficients, *point, order) == pytest.approx(expected, abs=QUANTILE_ERROR)
    uniform = {1: np.pi / 2.0, 2: np.pi / np.sqrt(3.0)}[order]
    assert space.wasserstein(space.uniform(), *point, order) == pytest.approx(uniform, abs=QUANTILE_ERROR)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 7, 512])
def test_distance_of_the_uniform_density_from_a_ring(order, count):
    """n equal atoms each take an arc of 2π/n: W₁ = π/(2n), W₂ = π/(n√3)."""
    space = Circle(64)
    atoms = 2.0 * np.pi * np.arange(count) / count + 0.3
    exact = {1: np.pi / (2 * count), 2: np.pi / (count * np.sqrt(3.0))}[order]
    found = space.wasserstein(space.uniform(), atoms, np.full(count, 1.0 / count), order)
    assert found == pytest.approx(exact, abs=QUANTILE_ERROR)


@pytest.mark.parametrize("order", [1, 2])
def test_distance_across_the_origin_of_angles(order):
    """Two atoms with weights 0.3 and 0.7 on either side of θ = 0, against a narrow density at θ = 0.1."""
    space = Circle(2048)
    coefficients = vonmises(space, 0.1, 2e4)
    atoms, weights = np.array([2.0 * np.pi - 0.4, 0.6]), np.array([0.3, 0.7])
    # Normal to order 1/κ with deviation s: the lower 0.3 of the mass goes down, the rest up, which shortens
    # the mean way of 0.5 by 2 s φ(Φ⁻¹(0.3)).
    deviation = 2e4**-0.5
    shorter = 2.0 * deviation * stats.norm.pdf(stats.norm.ppf(0.3))
    exact = {1: 0.5 - shorter, 2: np.sqrt(0.25 - shorter + deviation**2)}[order]
    found = space.wasserstein(coefficients, atoms, weights, order)
    # Quantiles are spaced by the narrow density itself: its width over 2048, twice.
    assert found == pytest.approx(exact, abs=2e-5)
