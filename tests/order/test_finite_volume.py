"""Finite volumes: second order in space and time, with noise and without; errors below the tolerance."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from solvers.cells import Cells, circle
from solvers.finite_volume import FiniteVolumeStepper, Transport

WHOLE = 2.0 * np.pi


def solved(cells, transport, density, depth, tolerance=4e-7):
    stepper = FiniteVolumeStepper(cells, transport, tolerance, density)
    assert stepper.advance(depth, 1_000_000) == "reached"
    return stepper.density


def misplaced(cells, density, expected):
    """Largest share of a row's mass in the wrong place: the error in L1."""
    return (np.abs(density - expected) @ cells.volumes).max()


def slope(sizes, errors):
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def means_of_modes(cells, coefficients):
    """Cell means of Σ_m c_m e^{imθ} + c.c. (m > 0) + 1/(2π), centres at iΔ on equal cells."""
    modes = np.arange(1, len(coefficients) + 1)
    centres, width = WHOLE * np.arange(cells.count) / cells.count, WHOLE / cells.count
    averaged = coefficients * np.sinc(modes * width / WHOLE)
    return 1.0 / WHOLE + 2.0 * np.real(np.exp(1j * np.outer(centres, modes)) @ averaged)[None]


# In space


def test_order_in_space_with_noise_and_constant_velocity():
    """Mode m decays as e^{−σm²t} and turns with v."""
    sigma, speed, depth = 0.3, 0.8, 1.0
    start = np.array([0.06, 0.02j])
    modes = np.array([1, 2])
    end = start * np.exp(-sigma * modes**2 * depth - 1j * modes * speed * depth)
    counts, errors = np.array([32, 64, 128, 256]), []
    for count in counts:
        cells = circle(count)
        transport = Transport(sigma, lambda _, n=count: np.full((1, n), speed * WHOLE / n))
        result = solved(cells, transport, means_of_modes(cells, start), depth)
        errors.append(misplaced(cells, result, means_of_modes(cells, end)))
    assert slope(counts, errors) == pytest.approx(2.0, abs=0.1)
    # With P = vh/σ the flux is the centred one with noise σ(P/2)coth(P/2), and modes stay modes.
    h = WHOLE / counts[0]
    noise = 0.5 * speed * h / np.tanh(0.5 * speed * h / sigma)
    growth = -noise * (2.0 * np.sin(0.5 * modes * h) / h) ** 2 - 1j * speed * np.sin(modes * h) / h
    predicted = misplaced(
        circle(counts[0]),
        means_of_modes(circle(counts[0]), start * np.exp(growth * depth)),
        means_of_modes(circle(counts[0]), end),
    )
    assert errors[0] == pytest.approx(predicted, abs=4e-7)  # the tolerance


STRENGTHS = np.array([1.2, 0.6])


def spectral_modes(sigma, start, depth, count=48):
    """The circle with kernel G(x) = Σ_m g_m cos mx, by its Fourier modes c_m = ∫e^{−imθ}ρ dθ / 2π."""
    modes = np.arange(-count, count + 1)
    strengths = np.zeros(modes.size)
    for m, strength in enumerate(STRENGTHS, 1):
        strengths[np.abs(modes) == m] = 0.5 * strength

    def rate(_, flat):
        c = flat.view(complex)
        velocity = 1j * modes * strengths * WHOLE * c
        flux = np.convolve(c, velocity)[count : 3 * count + 1]
        return (-1j * modes * flux - sigma * modes**2 * c).view(float)

    c = np.zeros(modes.size, complex)
    c[count] = 1.0 / WHOLE
    c[count + 1 : count + 1 + len(start)] = start
    c[count - len(start) : count] = np.conj(start)[::-1]
    run = solve_ivp(rate, (0.0, depth), c.view(float), "DOP853", rtol=1e-11, atol=1e-13)
    end = np.ascontiguousarray(run.y[:, -1]).view(complex)[count + 1 :]
    assert abs(end[-1]) < 1e-12  # resolved
    return end


def interacting(count, sigma):
    """The same on cells, by the midpoint rule: Φ_i = Σ_k G(x_i − x_k) V ρ_k."""
    cells = circle(count)
    angles = WHOLE * np.arange(count) / count
    kernel = sum(g * np.cos(m * (angles[:, None] - angles)) for m, g in enumerate(STRENGTHS, 1))

    def potential(density):
        return density * cells.volumes @ kernel

    def work(density):
        rise = potential(density)
        return np.roll(rise, -1, axis=1) - rise

    def free_energy(density):
        return float((cells.volumes * density @ (sigma * np.log(density) - 0.5 * potential(density)).T)[0, 0])

    return cells, Transport(sigma, work, free_energy)


START = np.array([0.04, 0.01 - 0.02j])


def test_order_in_space_with_noise_and_interaction():
    sigma, depth = 0.15, 2.0
    end = spectral_modes(sigma, START, depth)
    assert np.abs(end).max() > 2.0 * np.abs(START).max()  # instability at work: the nonlinear term matters
    counts, errors = np.array([32, 64, 128, 256]), []
    for count in counts:
        cells, transport = interacting(count, sigma)
        result = solved(cells, transport, means_of_modes(cells, START), depth)
        errors.append(misplaced(cells, result, means_of_modes(cells, end)))
    assert slope(counts, errors) == pytest.approx(2.0, abs=0.1)
    assert errors[0] < 2.4e-2  # observed, times 1.5


def sphere(count):
    """Zonal cells of S², equal in colatitude from pole to pole; and the edges in t = cos(colatitude)."""
    edges = np.cos(np.pi * np.arange(count + 1) / count)
    width = np.pi / count
    areas = WHOLE * np.sin(width * np.arange(1, count))
    return Cells(-WHOLE * np.diff(edges), areas / width, periodic=False), edges


def means(edges, primitive):
    """Means over cells of the function of t whose primitive is given."""
    values = primitive(edges)
    return (np.diff(values) / np.diff(edges))[None]


def test_order_in_space_on_the_sphere_with_noise():
    """P_l(t) decays as e^{−σl(l+1)t}: cell means of 1, P_1 = t and P_2 = (3t² − 1)/2 are known."""
    sigma, depth = 0.2, 1.0

    def profile(edges, depth):
        first, second = 0.5 * np.exp(-2.0 * sigma * depth), 0.3 * np.exp(-6.0 * sigma * depth)
        return means(edges, lambda t: t + first * t**2 / 2.0 + second * (t**3 - t) / 2.0) / (2.0 * WHOLE)

    counts, errors = np.array([16, 32, 64, 128]), []
    for count in counts:
        cells, edges = sphere(count)
        transport = Transport(sigma, lambda _, n=count: np.zeros((1, n - 1)))
        result = solved(cells, transport, profile(edges, 0.0), depth)
        errors.append(misplaced(cells, result, profile(edges, depth)))
    assert slope(counts, errors) == pytest.approx(2.0, abs=0.1)
    assert errors[0] < 1.3e-3  # observed, times 1.5


def test_order_in_space_without_noise():
    """Equal cells, constant velocity: the profile is carried along."""
    depth, speed = 1.0, 0.9
    start = np.array([0.06, 0.02j])
    end = start * np.exp(-1j * np.array([1, 2]) * speed * depth)
    counts, errors = np.array([32, 64, 128, 256, 512]), []
    for count in counts:
        cells = circle(count)
        transport = Transport(0.0, lambda _, n=count: np.full((1, n), speed * WHOLE / n))
        result = solved(cells, transport, means_of_modes(cells, start), depth, 1e-5)
        errors.append(misplaced(cells, result, means_of_modes(cells, end)))
    # Limiting flattens extrema, where errors are of first order, but over hardly more cells on finer grids.
    assert slope(counts, errors) == pytest.approx(2.0, abs=0.1)
    assert errors[0] < 1e-2  # observed, times 1.5


def test_order_in_space_without_noise_on_the_sphere():
    """v = ∇(κt): artanh t grows by κ times the depth; cells of very different volumes."""
    kappa, depth = 0.5, 1.0

    def profile(edges, depth):
        inside = np.clip(edges, -1.0 + 1e-15, 1.0 - 1e-15)
        before = np.tanh(np.arctanh(inside) - kappa * depth)
        before[[0, -1]] = edges[[0, -1]]
        mass = before + 0.25 * before**2  # density 1 + t/2 at the start
        return (np.diff(mass) / np.diff(edges))[None] / (2.0 * WHOLE)

    counts, errors = np.array([32, 64, 128, 256]), []
    for count in counts:
        cells, edges = sphere(count)
        height = np.cos(np.pi * (np.arange(count) + 0.5) / count)
        rise = kappa * np.diff(height)[None]
        transport = Transport(0.0, lambda _, work=rise: work)
        result = solved(cells, transport, profile(edges, 0.0), depth, 1e-5)
        errors.append(misplaced(cells, result, profile(edges, depth)))
    assert slope(counts, errors) == pytest.approx(2.0, abs=0.1)
    assert errors[0] < 1e-3  # observed, times 1.5


# In time


def in_equal_steps(cells, transport, density, depth, steps):
    """A tolerance that accepts all; every depth is hit by one step."""
    stepper = FiniteVolumeStepper(cells, transport, 1e30, density, step=depth)
    for index in range(1, steps + 1):
        assert stepper.advance(depth * index / steps, 1) == "reached"
    assert stepper.counts[:2] == (steps, 0)
    assert stepper.fallbacks == 0
    return stepper.density


@pytest.mark.parametrize(
    ("sigma", "steps", "level"),
    [(0.15, (16, 32, 64, 128), 4e-3), (0.0, (64, 96, 128, 192), 3.2e-4)],  # levels as observed, times 1.5
)
def test_order_in_time(sigma, steps, level):
    cells, transport = interacting(48, sigma)
    start, depth = means_of_modes(cells, START), 1.5
    reference = in_equal_steps(cells, transport, start, depth, 3000)
    errors = [
        misplaced(cells, in_equal_steps(cells, transport, start, depth, count), reference) for count in steps
    ]
    assert slope(np.array(steps), errors) == pytest.approx(2.0, abs=0.1)
    assert errors[0] < level


@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.3])
def test_errors_in_time_are_proportional_to_the_tolerance_and_below(sigma):
    cells, transport = interacting(48, sigma)
    start, depth = means_of_modes(cells, START), 5.0
    reference = solved(cells, transport, start, depth, 2e-8)
    # Without noise, longer steps than those for 1e-4 or so are cut for the sake of positivity.
    tolerances = np.array([1e-4, 1e-5, 1e-6]) if sigma == 0.0 else np.array([1e-2, 1e-3, 1e-4, 1e-5])
    errors = np.array(
        [
            misplaced(cells, solved(cells, transport, start, depth, tolerance), reference)
            for tolerance in tolerances
        ]
    )
    assert np.all(errors < tolerances)
    assert np.all(errors > 1e-3 * tolerances)  # and not at any price
    assert -slope(tolerances, errors) == pytest.approx(1.0, abs=0.2)
