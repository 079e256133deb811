"""Finite-volume steps: kernels against plain twins; positivity, mass, dissipation, Gibbs states, pauses."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import special

from solvers import cells as on
from solvers.cells import Cells, circle
from solvers.finite_volume import FiniteVolumeStepper, Transport
from solvers.scharfetter_gummel import bernoulli, implicit_euler, jump_rates
from solvers.upwind import explicit_euler, half_rises, longest_step

EPS = np.finfo(np.float64).eps


def random_cells(rng, count, periodic):
    faces = count if periodic else count - 1
    return Cells(rng.uniform(0.2, 2.0, count), rng.uniform(0.2, 5.0, faces), periodic)


def differences(cells, potential):
    """Work of a gradient: Φ_{i+1} − Φ_i over every face."""
    rise = np.roll(potential, -1, axis=-1) - potential
    return rise if cells.periodic else rise[..., :-1]


def rates_of(cells, sigma, work):
    right, left = np.empty((2, work.shape[0], cells.count))
    jump_rates(cells.conductances, sigma, work, right, left)
    return right, left


def masses(cells, density):
    return np.array([on.mass_of(cells.volumes, row) for row in density])


def normalised(cells, density):
    return density / (density @ cells.volumes)[:, None]


def rough(cells, rows, rng):
    """Densities with cells at exactly 0, next to Dirac masses and over many decades."""
    count = cells.count
    density = rng.random((rows, count)) ** rng.choice([1.0, 8.0, 60.0])
    density[rng.random((rows, count)) < rng.choice([0.0, 0.5])] = 0.0
    density[np.arange(rows), rng.integers(count, size=rows)] += rng.choice([1e-3, 1.0, 1e6])
    return normalised(cells, density)


def attention(cells, sigma, rng, rows=3, beta=None):
    """Φ_j(x) = Σ_k w_k ∫e^{β cos(x + s_j − y − s_k)}ρ_k(y) dy / β: a Gram matrix, positive semidefinite."""
    beta = rng.choice([0.1, 1.0, 5.0, 15.0]) if beta is None else beta
    angles = (
        2.0 * np.pi * np.arange(cells.count) / cells.count + rng.choice([0.0, 1.0]) * np.arange(rows)[:, None]
    )
    flat = angles.ravel()
    kernel = np.exp(beta * (np.cos(flat[:, None] - flat) - 1.0)) / beta
    weights = rng.uniform(0.2, 1.0, rows)
    weights /= weights.sum()
    quadrature = (weights[:, None] * cells.volumes).ravel()
    return quadratic(cells, sigma, kernel, quadrature, rows)


def quadratic(cells, sigma, kernel, quadrature, rows):
    """Transport by Φ = Gρ, with its free energy −½⟨ρ, Gρ⟩ + σ⟨1, ρ log ρ⟩, ⟨·, ·⟩ weighted by rows."""

    def potential(density):
        return (kernel @ (quadrature * density.ravel())).reshape(rows, -1)

    def free_energy(density):
        entropy = quadrature @ special.xlogy(density, density).ravel()
        return -0.5 * quadrature @ (density * potential(density)).ravel() + sigma * entropy

    return Transport(sigma, lambda density: differences(cells, potential(density)), free_energy)


def energy_rounding(cells, transport, density, energy):
    """Magnitude of the terms of the free energy: each is known to some roundings of it."""
    return abs(energy) + 2.0 * transport.sigma * on.entropy_size(cells.volumes, density)


# Kernels against plain twins


def test_bernoulli_is_accurate_everywhere():
    ratios = np.concatenate([[0.0], np.geomspace(1e-300, 700.0, 500), [1e3, 1e6, 1e300]])
    for ratio in ratios:
        with np.errstate(over="ignore"):
            wide = np.longdouble(ratio)
            expected = float(wide / np.expm1(wide)) if ratio > 0.0 else 1.0
            mirrored = float(wide / -np.expm1(-wide)) if ratio > 0.0 else 1.0
        downhill, uphill = bernoulli(float(ratio))
        # B(P) is expm1, exp, a quotient and a product: four roundings; below 1e-300 only the last bits exist.
        assert uphill == pytest.approx(expected, rel=4 * EPS, abs=1e-300)
        assert downhill == pytest.approx(mirrored, rel=2 * EPS)
        assert bernoulli(-float(ratio)) == (uphill, downhill)


def plain_rates(cells, sigma, work):
    """Scharfetter–Gummel rates, at σ = 0 upwind ones, with a closing face of rate 0 on a line."""
    if sigma > 0.0:
        ratio = work / sigma
        right = sigma * cells.conductances * (ratio / -np.expm1(-ratio))
        left = sigma * cells.conductances * (ratio / np.expm1(ratio))
    else:
        right, left = cells.conductances * np.maximum(work, 0.0), cells.conductances * np.maximum(-work, 0.0)
    closing = ((0, 0), (0, cells.count - cells.faces))
    return np.pad(right, closing), np.pad(left, closing)


def divergence_matrix(right, left):
    """J_i − J_{i−1} as a matrix acting on ρ, for one row of rates."""
    count = right.size
    shift = np.roll(np.eye(count), 1, axis=1)  # (shift ρ)_i = ρ_{i+1}
    flux = np.diag(right) - left[:, None] * shift
    return flux - shift.T @ flux


def plain_implicit(cells, rates, density, step):
    rows = []
    for j, row in enumerate(density):
        matrix = divergence_matrix(*(rate[min(j, len(rate) - 1)] for rate in rates))
        rows.append(np.linalg.solve(np.diag(cells.volumes) + step * matrix, cells.volumes * row))
    return np.array(rows)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_rates_and_implicit_step_agree_with_dense_solve(periodic, shared, sigma):
    rng = np.random.default_rng(1)
    for count in (3, 4, 5, 17):
        cells = random_cells(rng, count, periodic)
        work = rng.normal(size=(1 if shared else 3, cells.faces))
        rates = rates_of(cells, sigma, work)
        # The same few operations: exp, expm1, a quotient, two products.
        np.testing.assert_allclose(rates, plain_rates(cells, sigma, work), rtol=8 * EPS)
        density = normalised(cells, rng.random((3, count)))
        out = np.empty_like(density)
        lost = implicit_euler(cells.volumes, rates, density, masses(cells, density), 0.7, out)
        # Condition number of the dense solve below 100, of LAPACK's order of 1 rounding each.
        np.testing.assert_allclose(out, plain_implicit(cells, rates, density, 0.7), rtol=200 * EPS)
        assert lost <= 2 * count * EPS


def exact_solution(cells, rates, density, step):
    """The implicit step in rational arithmetic."""
    right, left = ([Fraction(float(value)) for value in rate[0]] for rate in rates)
    count, step = cells.count, Fraction(float(step))
    volumes = [Fraction(float(volume)) for volume in cells.volumes]
    rows = [[Fraction(0)] * count + [volumes[i] * Fraction(float(density[i]))] for i in range(count)]
    for i in range(count):
        following = (i + 1) % count
        rows[i][i] += volumes[i] + step * right[i]
        rows[following][i] -= step * right[i]
        rows[i][following] -= step * left[i]
        rows[following][following] += step * left[i]
    for k in range(count):
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(count):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return np.array([float(row[-1]) for row in rows])


def test_implicit_step_is_accurate_entry_by_entry_for_rates_over_forty_decades():
    rng = np.random.default_rng(2)
    for _ in range(40):
        cells = random_cells(rng, int(rng.integers(3, 8)), bool(rng.integers(2)))
        rates = tuple(10.0 ** rng.uniform(-20.0, 20.0, (1, cells.count)) for _ in range(2))
        if not cells.periodic:
            rates[0][0, -1] = rates[1][0, -1] = 0.0
        density = normalised(
            cells, rng.random((1, cells.count)) * 10.0 ** rng.uniform(-20.0, 0.0, cells.count)
        )
        step, out = 10.0 ** rng.uniform(-4.0, 4.0), np.empty_like(density)
        implicit_euler(cells.volumes, rates, density, masses(cells, density), step, out)
        expected = exact_solution(cells, rates, density[0], step)
        # Nothing is subtracted: about six roundings for each of at most seven eliminations, there and back.
        np.testing.assert_allclose(out[0], expected, rtol=2 * 6 * 7 * EPS)


def plain_explicit(cells, rates, density, step):
    """Monotonised central slopes in the cumulative volume, upwind fluxes."""
    volumes = cells.volumes
    below, above = density - np.roll(density, 1, axis=1), np.roll(density, -1, axis=1) - density
    near, far = np.roll(volumes, 1) + volumes, volumes + np.roll(volumes, -1)
    central = (below * far / near + above * near / far) * volumes / (near + far)
    size = np.minimum(np.minimum(np.abs(below), np.abs(above)), np.abs(central))
    rises = np.where(below * above > 0.0, np.sign(below) * size, 0.0)
    if not cells.periodic:
        rises[:, [0, -1]] = 0.0
    right, left = rates
    flux = right * (density + rises) - left * np.roll(density - rises, -1, axis=1)
    return density - step * (flux - np.roll(flux, 1, axis=1)) / volumes, rises


@pytest.mark.parametrize("periodic", [True, False])
def test_explicit_step_agrees_with_plain_one(periodic):
    rng = np.random.default_rng(3)
    cells = random_cells(rng, 40, periodic)
    work = rng.normal(size=(3, cells.faces))
    rates = rates_of(cells, 0.0, work)
    np.testing.assert_array_equal(rates, plain_rates(cells, 0.0, work))
    density = normalised(cells, rng.random((3, 40)))
    step = longest_step(cells.volumes, *rates)
    out, rises = np.empty((2, *density.shape))
    lost = explicit_euler(cells.volumes, rates, density, masses(cells, density), step, periodic, out)
    expected, expected_rises = plain_explicit(cells, rates, density, step)
    for row, rise in zip(density, rises, strict=True):
        half_rises(cells.volumes, row, periodic, rise)
    # Differences of numbers below 1, times numbers below 1, in a different order of summation.
    np.testing.assert_allclose(rises, expected_rises, rtol=0.0, atol=8 * EPS)
    np.testing.assert_allclose(out, expected, rtol=0.0, atol=32 * EPS)
    assert lost <= 2 * 40 * EPS


def test_longest_step_lets_less_than_half_a_cell_pass_a_face():
    rng = np.random.default_rng(4)
    cells = random_cells(rng, 9, periodic=True)
    right, left = rates = rates_of(cells, 0.0, rng.normal(size=(2, 9)))
    crossing = np.maximum(right / cells.volumes, np.roll(left, 1, axis=1) / cells.volumes)
    assert longest_step(cells.volumes, *rates) == pytest.approx(0.45 / crossing.max(), rel=2 * EPS)
    assert longest_step(cells.volumes, 0.0 * right, 0.0 * left) == np.inf


def test_extrapolation_is_exact_where_it_can_be_and_positive_elsewhere():
    rng = np.random.default_rng(5)
    cells = random_cells(rng, 30, periodic=True)
    half = normalised(cells, rng.uniform(0.5, 1.5, (2, 30)))
    full = normalised(cells, half * rng.uniform(0.9, 1.1, (2, 30)))
    half[1], full[1] = normalised(cells, rng.random((2, 30)) ** 20)
    out, mass = np.empty_like(half), masses(cells, half)
    moved, lost = on.extrapolate(cells.volumes, mass, full, half, out)
    # Two sums, and the factor that mends the rounding of the mass.
    np.testing.assert_allclose(out[0], 2.0 * half[0] - full[0], rtol=64 * EPS)
    assert (2.0 * half[1] - full[1]).min() < 0.0
    assert np.all(out[1] >= 0.5 * half[1] * (1.0 - 64 * EPS))
    short = np.maximum(full - 1.5 * half, 0.0) @ cells.volumes
    assert moved == pytest.approx(short.max(), rel=64 * EPS)
    assert lost <= 64 * EPS  # 30 products and sums, twice
    np.testing.assert_allclose(masses(cells, out), 1.0, rtol=64 * EPS)


def test_sums_over_cells_agree_with_plain_ones():
    rng = np.random.default_rng(6)
    cells = random_cells(rng, 50, periodic=True)
    first, second = rng.random((2, 3, 50))
    mass, count = masses(cells, first), 50
    rates = rates_of(cells, 0.1, rng.normal(size=(3, 50)))
    changes = [divergence_matrix(*rate) @ row for *rate, row in zip(*rates, first, strict=True)]
    # Sums of 50 non-negative terms in another order.
    for value, expected in (
        (
            on.distance(cells.volumes, mass, first, second),
            (np.abs(first - second) @ cells.volumes / mass).max(),
        ),
        (on.entropy_size(cells.volumes, first), (np.abs(special.xlogy(first, first)) @ cells.volumes).max()),
        (on.total_rate(cells.volumes, mass, rates, first), (np.abs(changes).sum(axis=1) / mass).max()),
    ):
        assert value == pytest.approx(expected, rel=2 * count * EPS)
    assert on.distance(cells.volumes, mass, first, np.full_like(first, np.nan)) == np.inf


# Theorems


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("steepest", [0.1, 5.0, 50.0])
def test_gibbs_states_stay(periodic, steepest):
    rng = np.random.default_rng(7)
    for step in (1e-4, 1.0, 1e8):
        cells = random_cells(rng, 60, periodic)
        exponent = steepest * rng.uniform(
            -0.5, 0.5, (2, 60)
        )  # differs by up to ``steepest`` from cell to cell
        sigma = 10.0 ** rng.uniform(-4.0, 1.0)
        density = normalised(cells, np.exp(exponent))
        rates = rates_of(cells, sigma, differences(cells, sigma * exponent))
        out = np.empty_like(density)
        implicit_euler(cells.volumes, rates, density, masses(cells, density), step, out)
        # e^x of an x known to a rounding is known to |x| of them, on both sides of a face; and what one cell
        # has too much may come from all others: the 60 ratios of neighbours add up.
        np.testing.assert_allclose(out, density, rtol=60 * (4.0 + steepest) * EPS)


def test_a_hundred_thousand_random_steps_keep_mass_positivity_and_dissipation():
    rng = np.random.default_rng(8)
    worst_mass = worst_energy = 0.0
    for _ in range(1000):
        cells = circle(int(rng.choice([3, 8, 24])))
        sigma = 10.0 ** rng.uniform(-4.0, 1.0)
        transport = attention(cells, sigma, rng)
        density = rough(cells, 3, rng)
        mass, energy = masses(cells, density), transport.free_energy(density)
        for step in 10.0 ** rng.uniform(-5.0, 3.0, 100):
            new = np.empty_like(density)
            rates = rates_of(cells, sigma, transport.work(density))
            implicit_euler(cells.volumes, rates, density, mass, step, new)
            after = transport.free_energy(new)
            scale = energy_rounding(cells, transport, density, energy)
            assert new.min() >= 0.0
            worst_mass = max(worst_mass, np.abs(new @ cells.volumes - 1.0).max())
            worst_energy = max(worst_energy, (after - energy) / scale)
            density, energy = new, after
    # Sums of 24 products, here and there: no growth with the number of steps.
    assert worst_mass <= 24 * EPS
    # Two free energies: sums of 72 terms, each with a sum of 72, known to some ten roundings; and the state,
    # to some ten more for each cell.
    assert worst_energy <= 64 * EPS


def test_mass_does_not_drift_in_a_hundred_thousand_steps():
    rng = np.random.default_rng(9)
    cells = random_cells(rng, 16, periodic=True)
    density = rough(cells, 1, rng)
    mass, out = masses(cells, density), np.empty_like(density)
    rates = rates_of(cells, 0.1, rng.normal(size=(1, 16)))
    lost = 0.0
    for _ in range(100_000):
        lost = max(lost, implicit_euler(cells.volumes, rates, density, mass, 0.03, out))
        density, out = out, density
    # What is put back is a rounding error of a sum of 16, and of an elimination of 16.
    assert lost <= 2 * 16 * EPS
    assert masses(cells, density) == pytest.approx(mass, rel=16 * EPS)


def test_explicit_steps_keep_positivity_and_let_the_energy_rise():
    rng = np.random.default_rng(10)
    for _ in range(200):
        cells = circle(int(rng.choice([3, 8, 24])))
        transport = attention(cells, 0.0, rng)
        density = rough(cells, 3, rng)
        mass, energy = masses(cells, density), transport.free_energy(density)
        for share in rng.uniform(0.0, 1.0 / 0.9, 50):  # up to half a cell: the bound of the theorem
            rates = rates_of(cells, 0.0, transport.work(density))
            step, new = share * longest_step(cells.volumes, *rates), np.empty_like(density)
            assert explicit_euler(cells.volumes, rates, density, mass, step, True, new) <= 2 * 24 * EPS
            after = transport.free_energy(new)
            assert new.min() >= 0.0
            assert after - energy <= 64 * EPS * abs(energy)  # as above
            density, energy = new, after


# The stepper


def every_step(stepper, stop, most):
    """Advance by single attempts; yield after each accepted one."""
    accepted = 0
    for _ in range(most):
        reason = stepper.advance(stop, 1)
        if stepper.counts[0] > accepted:
            accepted = stepper.counts[0]
            yield stepper.density
        if reason != "paused":
            assert reason == "reached"
            return


@pytest.mark.parametrize("sigma", [0.0, 1e-3, 0.03, 1.0])
def test_accepted_steps_keep_mass_positivity_and_dissipation(sigma):
    rng = np.random.default_rng(11)
    for _ in range(6):
        cells = circle(24)
        transport = attention(cells, sigma, rng, beta=rng.choice([0.5, 3.0, 8.0]))
        stepper = FiniteVolumeStepper(cells, transport, 10.0 ** rng.uniform(-5.0, -1.0), rough(cells, 3, rng))
        energy = transport.free_energy(stepper.density)
        for density in every_step(stepper, 100.0, 400):
            after = transport.free_energy(density)
            assert density.min() >= 0.0
            assert np.abs(density @ cells.volumes - 1.0).max() <= 24 * EPS
            # The allowance that the stepper makes.
            assert after - energy <= 64 * EPS * energy_rounding(cells, transport, density, energy)
            energy = after
        # As in a single step: sums of 24, eliminations of 24.
        assert stepper.rounding <= 2 * 24 * EPS
        assert stepper.counts[0] > 10
        assert stepper.fallbacks <= 0.1 * stepper.counts[0]  # the second order is the rule


def test_indefinite_kernels_descend_by_shorter_steps():
    """Repulsion, G = −e^{β cos}: −E is convex, so an explicit step may overshoot; it is halved then."""
    rng = np.random.default_rng(12)
    cells, sigma = circle(24), 1e-3
    angles = 2.0 * np.pi * np.arange(24) / 24
    kernel = -np.exp(5.0 * np.cos(angles[:, None] - angles))
    transport = quadratic(cells, sigma, kernel, cells.volumes, 1)
    stepper = FiniteVolumeStepper(cells, transport, 10.0, rough(cells, 1, rng), step=1.0)
    energy = transport.free_energy(stepper.density)
    for density in every_step(stepper, 2.0, 5000):
        after = transport.free_energy(density)
        assert density.min() >= 0.0
        assert after - energy <= 64 * EPS * energy_rounding(cells, transport, density, energy)
        energy = after
    assert stepper.depth == 2.0
    assert stepper.counts[1] > 0


@pytest.mark.parametrize("periodic", [True, False])
def test_long_runs_end_at_rest_and_with_long_steps(periodic):
    """Rounding at a stationary state neither rejects steps nor makes them short."""
    rng = np.random.default_rng(13)
    cells = random_cells(rng, 30, periodic)
    potential = 0.2 * rng.normal(size=(1, 30))

    def free_energy(density):
        terms = 0.2 * special.xlogy(density, density) - potential * density
        return float((terms @ cells.volumes)[0])

    transport = Transport(0.2, lambda _: differences(cells, potential), free_energy)
    stepper = FiniteVolumeStepper(cells, transport, 1e-4, rough(cells, 1, rng))
    assert stepper.advance(1e5, 10_000) == "reached"
    accepted, rejected, _ = stepper.counts
    assert stepper.advance(1e9, 100) == "reached"
    # Steps of 1e4 and more grow fivefold: at most 8 to 1e9.
    assert stepper.counts[0] - accepted < 10
    assert stepper.counts[1] == rejected
    # Gibbs, as above: ratios of 30 neighbours, known to max|Φ|/σ < 3 roundings and 4 more each.
    expected = normalised(cells, np.exp(potential / 0.2))
    np.testing.assert_allclose(stepper.density, expected, rtol=30 * 7 * EPS)


def test_clusters_of_attention_come_to_rest():
    """A nonlinear stationary state: Gibbs for its own potential, and reached with long steps."""
    rng = np.random.default_rng(16)
    cells, sigma = circle(32), 0.05
    transport = attention(cells, sigma, rng, beta=3.0)
    stepper = FiniteVolumeStepper(cells, transport, 1e-3, rough(cells, 3, rng))
    assert stepper.advance(1e8, 3000) == "reached"
    assert stepper.counts[1] <= 0.05 * stepper.counts[0]
    density = stepper.density
    ratio = np.log(np.roll(density, -1, axis=1) / density)
    # Values up to 1. Turning the cluster changes the energy by next to nothing, only as much as the grid is
    # coarse: this alone is still under way (4e-10 observed).
    np.testing.assert_allclose(ratio, transport.work(density) / sigma, rtol=0.0, atol=1e-8)


def test_limiting_saves_the_order_of_steps_from_dirac_masses():
    """The tails fall by factors in a step there; what is moved to keep them positive is next to nothing."""
    cells, tolerance = circle(128), 1e-3
    density = normalised(cells, np.eye(128)[[3, 40, 64]])
    transport = attention(cells, 0.01, np.random.default_rng(17), beta=4.0)
    stepper = FiniteVolumeStepper(cells, transport, tolerance, density)
    assert stepper.advance(10.0, 10_000) == "reached"
    assert stepper.fallbacks == 0
    assert 0.0 < stepper.conceded < 1e-3 * tolerance


@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_pause_export_restore_is_bit_identical(sigma):
    rng = np.random.default_rng(14)
    cells = circle(24)
    transport = attention(cells, sigma, rng, beta=3.0)
    start = rough(cells, 3, rng)
    whole = FiniteVolumeStepper(cells, transport, 1e-4, start)
    assert whole.advance(0.7, 100_000) == "reached"
    assert whole.advance(3.0, 100_000) == "reached"
    parts = FiniteVolumeStepper(cells, transport, 1e-4, start)
    for stop in (0.7, 3.0):
        reason = "paused"
        while reason == "paused":
            reason = parts.advance(stop, int(rng.integers(1, 4)))
            numbers = {name: np.asarray(value) for name, value in parts.memory().items()}  # as from a file
            parts = FiniteVolumeStepper.restored(cells, transport, 1e-4, numbers)
    for name, value in whole.memory().items():
        np.testing.assert_array_equal(parts.memory()[name], value, err_msg=name)
    assert (parts.depth, parts.step, parts.counts) == (whole.depth, whole.step, whole.counts)


def test_memory_is_a_copy_and_the_start_is_not_changed():
    cells = circle(8)
    start = normalised(cells, np.arange(8.0)[None])
    kept = start.copy()
    stepper = FiniteVolumeStepper(cells, Transport(0.1, lambda _: np.ones((1, 8))), 1e-3, start)
    memory = stepper.memory()
    stepper.advance(1.0, 1000)
    np.testing.assert_array_equal(start, kept)
    np.testing.assert_array_equal(memory["density"], kept)
    assert memory["depth"] == 0.0


def test_a_step_cut_to_hit_a_depth_does_not_shorten_the_next():
    cells = circle(32)
    density = normalised(cells, 1.0 + 0.5 * np.cos(2.0 * np.pi * np.arange(32.0) / 32)[None])
    stepper = FiniteVolumeStepper(cells, Transport(0.1, lambda _: np.full((1, 32), 0.1)), 1e-4, density)
    stepper.advance(5.0, 10_000)
    step = stepper.step
    stepper.advance(5.0 + 1e-6 * step, 10)
    assert stepper.step >= step


def test_velocity_that_is_not_finite_ends_the_run_where_it_stands():
    cells = circle(8)

    def work(density):
        return np.full((1, 8), np.nan if density[0, 0] > 0.16 else 1.0)

    density = normalised(cells, np.array([[0.5, 1, 1, 1, 1, 1, 1, 2.0]]))
    for sigma in (0.0, 0.1):
        stepper = FiniteVolumeStepper(cells, Transport(sigma, work), 1e-3, density)
        assert stepper.advance(10.0, 10_000) == "underflow"
        assert 0.0 < stepper.depth < 10.0
        assert stepper.density[0, 0] <= 0.16 + 1e-3


# Wrong input


def build(**changes):
    cells = circle(4)
    given = {
        "tolerance": 1e-3,
        "density": np.ones((2, 4)),
        "work": np.zeros((2, 4)),
        "energy": 0.0,
        "sigma": 0.1,
    }
    given |= changes
    transport = Transport(given["sigma"], lambda _: given["work"], lambda _: given["energy"])
    stepper = FiniteVolumeStepper(
        cells, transport, given["tolerance"], given["density"], 0.0, given.get("step", 0.0)
    )
    stepper.advance(given.get("stop", 1.0), 10)


def test_right_input_passes():
    build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"density": np.ones((2, 5))}, r"density must be \(rows, 4\), got \(2, 5\)"),
        ({"density": np.ones(4)}, r"density must be \(rows, 4\), got \(4,\)"),
        ({"density": -np.ones((1, 4))}, "density must be finite and not negative"),
        ({"density": np.full((1, 4), np.nan)}, "density must be finite and not negative"),
        ({"density": np.eye(4)[:2] * np.array([[1.0], [0.0]])}, "got zeros in row 1"),
        ({"tolerance": 0.0}, "tolerance must be positive"),
        ({"step": -1.0}, "step must be finite and not negative"),
        ({"sigma": -1.0}, "sigma must be finite and not negative"),
        ({"work": np.zeros((2, 3))}, r"work must be \(2 or 1, 4\), one number a face, got \(2, 3\)"),
        ({"energy": -np.inf}, "free_energy must be finite"),
        ({"stop": -1.0}, "stop must be finite and not before 0.0"),
        ({"stop": np.inf}, "stop must be finite"),
    ],
)
def test_wrong_input_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("volumes", "conductances", "periodic", "message"),
    [
        (np.ones(2), np.ones(2), True, "three or more"),
        (np.ones((3, 1)), np.ones(3), True, "three or more"),
        (np.ones(4), np.ones(4), False, r"conductances must be \(3,\)"),
        (np.ones(4), np.ones(3), True, r"conductances must be \(4,\)"),
        (np.array([1.0, 0.0, 1.0]), np.ones(2), False, "volumes must be positive"),
        (np.ones(3), np.array([1.0, np.inf, 1.0]), True, "conductances must be positive"),
    ],
)
def test_wrong_cells_are_named(volumes, conductances, periodic, message):
    with pytest.raises(ValueError, match=message):
        Cells(volumes, conductances, periodic)
