"""Initial densities: mass, turns, perturbation, tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from meanfield_pde import auxiliary, initial
from meanfield_pde.errors import InputError
from meanfield_pde.initial import Initial
from meanfield_pde.spaces.circle import Circle
from tests.cases import SEEDS, random_coefficients, unit_vectors

NU = auxiliary.Auxiliary(np.array([0.0, 0.25, 0.6]), np.full(3, 1.0 / 3.0))
SPACE = Circle(96)
BUMP = initial.vonmises(unit_vectors(np.array(1.0)), 4.0)


def spectrum(start, space=SPACE, nu=NU):
    return start.coefficients(space, nu).view(complex)


@pytest.mark.parametrize(
    "profile",
    [
        initial.uniform,
        initial.fourier([(1, 0.5, 0.3), (4, 0.2, 1.0)]),
        BUMP,
        initial.mixture([(2.0, BUMP, special.ive(0, 4.0)), (1.0, initial.uniform, 1.0)]),
        lambda points: 7.0 * np.exp(points[:, 0]),
        lambda points: np.outer([1.0, 2.0, 3.0], np.exp(points[:, 1])),
    ],
)
@pytest.mark.parametrize("turns", [0.0, -1.3])
@pytest.mark.parametrize("perturbation", [0.0, 0.9])
def test_every_density_has_mass_one_and_is_positive(profile, turns, perturbation):
    coefficients = Initial(profile, turns, perturbation, 3, 4).coefficients(SPACE, NU)
    assert coefficients.shape == (3, SPACE.uniform().size)
    assert (coefficients[:, 0] == 1.0).all()
    assert (coefficients[:, 1] == 0.0).all()
    assert SPACE.synthesise(coefficients).min() > -1e-14  # the uniform profile turned by a Fourier sum rounds


def test_fourier_profile():
    """1 + Σ a cos(m(θ − φ)) has c_m = (a/2) e^{−imφ}."""
    modes = spectrum(Initial(initial.fourier([(1, 0.5, 0.3), (4, 0.2, 1.0)])))
    expected = np.zeros_like(modes)
    expected[:, 0], expected[:, 1], expected[:, 4] = 1.0, 0.25 * np.exp(-0.3j), 0.1 * np.exp(-4.0j)
    assert np.abs(modes - expected).max() < 1e-15


@pytest.mark.parametrize("concentration", [0.0, 0.5, 20.0])
def test_vonmises_profile(concentration):
    """c_m = e^{−imμ} I_m(κ)/I_0(κ), exact up to modes that alias: below rounding at 96 points."""
    modes = spectrum(Initial(initial.vonmises(unit_vectors(np.array(2.0)), concentration)))[0]
    order = np.arange(modes.size)
    exact = special.ive(order, concentration) / special.ive(0, concentration) * np.exp(-2.0j * order)
    assert np.abs(modes - exact).max() < 1e-15 * 10


def test_mixture_weights_are_masses():
    parts = [(1.0, BUMP, special.ive(0, 4.0)), (3.0, initial.uniform, 1.0)]
    mixed = spectrum(Initial(initial.mixture(parts)))[0]
    single = spectrum(Initial(BUMP))[0]
    assert np.abs(mixed[1:] - single[1:] / 4.0).max() < 1e-15


@given(turns=st.floats(-3.0, 3.0))
@settings(max_examples=20, deadline=None)
def test_turns_shift_by_two_pi_turns_z(turns):
    plain, turned = spectrum(Initial(BUMP)), spectrum(Initial(BUMP, turns=turns))
    phase = np.exp(-2j * np.pi * turns * np.outer(NU.nodes, np.arange(plain.shape[1])))
    assert np.abs(turned - plain * phase).max() < 1e-13  # phases up to 600 radians


def test_perturbations_are_seeded_and_differ_from_node_to_node():
    starts = [spectrum(Initial(BUMP, perturbation=0.3, seed=seed)) for seed in (1, 1, 2)]
    assert (starts[0] == starts[1]).all()
    assert np.abs(starts[0] - starts[2]).max() > 1e-3
    assert np.abs(starts[0][0] - starts[0][1]).max() > 1e-3


def test_a_perturbation_is_at_most_its_size():
    """|ρ/ρ₀ − 1| ≤ ε before normalisation, so the ratio of extremes is at most (1 + ε)/(1 − ε)."""
    plain = SPACE.synthesise(Initial(BUMP).coefficients(SPACE, NU))
    bumped = SPACE.synthesise(Initial(BUMP, perturbation=0.5, seed=4).coefficients(SPACE, NU))
    ratio = bumped / plain
    assert (ratio.max(axis=1) / ratio.min(axis=1)).max() < 3.0


def test_a_perturbation_is_the_same_on_every_grid():
    """Waves in the embedding of length 2 or so: smooth, resolved on both grids."""
    coarse = Initial(BUMP, perturbation=0.3, seed=5).coefficients(SPACE, NU)
    fine = Initial(BUMP, perturbation=0.3, seed=5).coefficients(Circle(192), NU)
    assert np.abs(SPACE.pad(fine) - coarse).max() < 1e-12


@given(
    points=st.sampled_from([2, 3, 8, 9, 32, 33]), seed=SEEDS, rows=st.sampled_from([1, 3]),
    resolution=st.sampled_from([97, 128]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_tables_are_interpolated_by_trigonometric_polynomials(points, seed, rows, resolution):
    """A polynomial that the table holds comes back on any grid: exact up to roundings."""
    table, space = Circle(points), Circle(resolution)
    modes = (points - 1) // 2  # below Nyquist
    given_ = random_coefficients(Circle(3 * modes + 1), rows, np.random.default_rng(seed))
    start = Initial(initial.sampled(table, table.synthesise(given_)), degree=points // 2)
    found = start.coefficients(space, NU)
    expected = np.broadcast_to(space.pad(given_), found.shape)
    assert np.abs(found - expected).max() < 1e-14


def test_even_tables_pass_through_their_values():
    """Also with a mode at N/2, which is split evenly between ±N/2."""
    table = Circle(8)
    densities = np.array([[1.0, 0.3, 1.0, 0.3, 1.0, 0.3, 1.0, 0.5]])
    densities /= densities.mean() * 2.0 * np.pi
    coefficients = Initial(initial.sampled(table, densities), degree=4).coefficients(SPACE, NU)
    assert np.abs(table.synthesise(coefficients) - densities).max() < 1e-14


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (lambda points: np.full(len(points), np.nan), "finite"),
        (lambda points: np.zeros(len(points)), "positive mass"),
        (lambda points: -np.ones(len(points)), "negative"),
        (lambda points: np.ones((2, len(points))), "shape"),
        (lambda _: np.ones(5), "shape"),
    ],
)
def test_wrong_profiles_are_refused(profile, message):
    with pytest.raises(InputError, match=message):
        Initial(profile).coefficients(SPACE, NU)


def test_negative_profiles_are_refused():
    with pytest.raises(InputError):
        Initial(lambda points: 1.0 + 3.0 * points[:, 0]).coefficients(SPACE, NU)
