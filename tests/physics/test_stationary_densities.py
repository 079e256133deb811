"""Stationary densities (σ > 0): exact results, long runs, the linearised flow and its spectrum."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg, optimize, special

from meanfield_pde import auxiliary, encodings, initial
from meanfield_pde.attention import Alibi, Attention, Causal, Head, Prompt
from meanfield_pde.drift import harmonics
from meanfield_pde.initial import Initial
from meanfield_pde.limits import densities, stability
from meanfield_pde.limits.densities import DensitySystem
from meanfield_pde.limits.frozen import Gibbs, Solved, frozen
from meanfield_pde.limits.stability import Linearisation
from meanfield_pde.limits.stationary import neutral_border
from meanfield_pde.methods.spectral import Spectral
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from solvers.newton import newton
from tests.cases import unit_vectors

#: What is promised: residuals in coefficients, and coefficients against long runs.
RESIDUAL, PROMISED = 1e-12, 1e-8
SMOOTH = Initial(initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0), (3, -0.2, 0.0)]))


def problem_of(attention, sigma, drift=None, start=SMOOTH, resolution=64):
    own = None if drift is None else harmonics(drift)
    return Problem(Circle(resolution), attention, [0.0, 1.0], start, sigma, own, method="spectral")


def plain(beta, nu, code=None, normalization="softmax", bias=None, **options):
    return Attention((Head.plain(beta, 2, bias),), nu, code or encodings.none(), normalization, **options)


def run(problem, depth):
    """The spectral method at a depth."""
    method = Spectral.start(problem)
    while method.advance(depth, 1000) == "paused":
        pass
    assert method.depth == depth
    return method


def stationary(problem, depth=8.0):
    """Newton's method from where a run has come to: system and state."""
    method = run(problem, depth)
    system = DensitySystem(method.equation)
    root = newton(
        system.residual,
        system.jacobian,
        system.flat(method.coefficients),
        tolerance=RESIDUAL,
        border=neutral_border(system),
    )
    assert root.residual <= RESIDUAL
    return system, root.state


def linearised(system, state):
    return Linearisation(system.equation, system.coefficients(state))


def cases():
    three, four = auxiliary.legendre(3), auxiliary.uniform(4)
    ring = encodings.additive(encodings.ring(four.nodes, 0.8, 2))
    prompt = Prompt(unit_vectors(np.array([[0.3, 2.0]])), np.array([0.4, 0.6]), 0.3)
    yield "no variable", problem_of(plain(2.0, auxiliary.none(), normalization="none"), 0.5)
    yield "ring", problem_of(plain(2.0, four, ring), 0.15)
    yield "ring, prompt, drift", problem_of(plain(2.0, four, ring, prompt=prompt), 0.2, (0.0, 0.2, 0.1))
    yield (
        "bare rotary",
        problem_of(plain(2.0, three, encodings.rotary(three.nodes, 2.0), values="token"), 0.1),
    )
    yield "causal", problem_of(plain(1.5, three, bias=Causal(), normalization="none", prompt=prompt), 0.6)
    turning = np.array([[0.8, -0.4], [0.5, 0.6]])
    heads = (Head.plain(1.0, 2), Head(1.0, np.eye(2), np.eye(2), turning, Alibi(1.0)))
    yield "two heads", problem_of(Attention(heads, four, ring, "softmax", "encoded", prompt), 0.4)
    yield "circulation", problem_of(plain(1.0, four, ring), 0.8, (0.5, 0.4, -0.3))


CASES = dict(cases())
#: Frozen fields that are gradients: those of causal attention are, node by node.
GRADIENTS = {"no variable", "ring", "ring, prompt, drift", "causal"}


@pytest.mark.parametrize("name", list(CASES))
def test_newton_ends_where_long_runs_do(name):
    """The run goes on until e^{−23} of a perturbation is left; rotations are neutral without variable."""
    problem = CASES[name]
    system, state = stationary(problem)
    about = frozen(system.equation, system.coefficients(state))
    assert isinstance(about, Gibbs if name in GRADIENTS else Solved)
    neutral = system.neutral(state)
    assert len(neutral) == (1 if name in {"no variable", "bare rotary"} else 0)
    leading = linearised(system, state).spectrum(neutral).eigenvalues[0].real
    assert leading < 0.0
    end = run(problem, 8.0 + 23.0 / abs(leading))
    found, expected = system.coefficients(state), system.equation.space.pad(end.coefficients)
    if len(neutral):  # rotated to the same place
        first, last = (np.angle(complex(*c[0, 2:4])) for c in (found, expected))
        found = system.equation.space.rotate(found, np.full(len(found), first - last))
    assert np.abs(found - expected).max() < PROMISED


@pytest.mark.parametrize("name", list(CASES))
def test_densities_rest_in_the_equation(name):
    """Fixed points of S are stationary: roundings and the tails that a grid leaves out, times m² < 2000."""
    system, state = stationary(CASES[name])
    moving = state.reshape(system.nodes, -1)
    rate = system.equation.nonlinear(moving) + system.equation.linear * moving
    assert np.abs(moving).max() > 0.05
    assert np.abs(rate).max() < 1e-9
    assert system.equation.space.synthesise(system.coefficients(state)).min() > 0.0


# Rows 5 and 9


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.45])
def test_kuramoto_orders_as_known(sigma, normalization):
    """Row 5: r = I_1(r/σ)/I_0(r/σ), to roundings, which the softened restoring force near 1/2 amplifies."""
    layer = plain(0.0, auxiliary.none(), normalization=normalization, values="token")
    system, state = stationary(problem_of(layer, sigma), 30.0)
    order = np.hypot(*system.coefficients(state)[0, 2:4])

    def gap(r):
        return special.ive(1, r / sigma) / special.ive(0, r / sigma) - r

    exact = optimize.brentq(gap, 0.05, 1.0, xtol=1e-15, rtol=1e-14)
    assert order == pytest.approx(exact, abs=1e-12)
    assert len(system.neutral(state)) == 1


def test_rotary_densities_are_turned_copies():
    """Row 9: all nodes have the density without variable, turned by −ωz; modes of μ by what ν does."""
    nu, frequency = auxiliary.legendre(3), 2.0
    turned = problem_of(plain(2.0, nu, encodings.rotary(nu.nodes, frequency)), 0.15)
    system, state = stationary(turned)
    alone, single = stationary(problem_of(plain(2.0, auxiliary.none()), 0.15))
    space = system.equation.space
    found = space.rotate(system.coefficients(state), frequency * nu.nodes)
    expected = space.pad(alone.coefficients(single))
    angles = [np.angle(complex(*row[2:4])) for row in (found[0], expected[0])]
    found = space.rotate(found, np.full(3, angles[0] - angles[1]))
    assert np.abs(found - expected).max() < 1e-11  # residuals over the smallest restoring rate


# The linearised flow


@pytest.mark.parametrize("name", list(CASES))
def test_the_linearisation_is_that_of_the_rate(name):
    """Against differences of fourth order in directions whose spectra decay: 1e-13/h and (2h)⁴."""
    system, state = stationary(CASES[name])
    rng, equation = np.random.default_rng(0), system.equation
    modes = np.sqrt(equation.space.eigenvalues[equation.space.constant :])
    direction = 0.2 * rng.uniform(-1.0, 1.0, (system.nodes, modes.size)) * np.exp(-0.8 * modes)
    moving, step = state.reshape(system.nodes, -1), 1e-3

    def rate(part):
        at = moving + part * step * direction
        return equation.nonlinear(at) + equation.linear * at

    near, far = rate(1.0) - rate(-1.0), rate(2.0) - rate(-2.0)
    expected = ((8.0 * near - far) / (12.0 * step)).ravel()
    found = linearised(system, state).apply(direction.ravel())
    assert np.abs(found - expected).max() < 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("beta", [0.5, 5.0])
def test_growth_rates_about_the_uniform_law(beta, normalization):
    """Row 2: m²(I_m(β)/β − σ), over I_0 for softmax; every mode twice. Roundings of m² up to 400."""
    sigma = 0.07
    equation = problem_of(plain(beta, auxiliary.none(), normalization=normalization), sigma).equation(
        Circle(64)
    )
    modes = np.arange(1, 22)
    strength = special.iv(modes, beta) / beta / (special.iv(0, beta) if normalization == "softmax" else 1.0)
    exact = np.sort(np.repeat(modes**2 * (strength - sigma), 2))[::-1]
    uniform = Linearisation(equation, equation.space.uniform()[None])
    found = uniform.spectrum(np.empty((0, uniform.size)))
    assert found.eigenvalues.size == stability.KEPT
    assert np.abs(found.eigenvalues - exact[: stability.KEPT]).max() < 1e-10
    assert found.direction.shape == (uniform.size,)
    growing = uniform.apply(found.direction) - exact[0] * found.direction
    assert np.abs(growing).max() < 1e-10


@pytest.mark.parametrize("name", list(CASES))
def test_iterated_eigenvalues_are_those_of_the_matrix(name, monkeypatch):
    """Leading eigenvalues by ARPACK, to its tolerance relative to the distance from the shift."""
    system, state = stationary(CASES[name])
    about, neutral = linearised(system, state), system.neutral(state)
    expected = about.spectrum(neutral)
    monkeypatch.setattr(stability, "DENSE", 0)
    found = about.spectrum(neutral)
    count = min(found.eigenvalues.size, stability.FEW)
    assert count >= 1
    assert np.abs(found.eigenvalues[0].real - expected.eigenvalues[0].real) < 1e-6
    assert about.leading(neutral) == pytest.approx(expected.eigenvalues[0].real, abs=1e-6)
    value, direction = expected.eigenvalues[0], found.direction
    if abs(value.imag) == 0.0:
        assert np.abs(about.apply(direction) - value.real * direction).max() < 1e-4


@pytest.mark.parametrize("name", ["no variable", "ring", "causal", "two heads"])
def test_newton_with_operators_finds_the_same(name, monkeypatch):
    """GMRES in the place of matrices."""
    system, state = stationary(CASES[name])
    monkeypatch.setattr(densities, "DENSE", 0)
    again = newton(
        system.residual,
        system.jacobian,
        state + 1e-4 * np.sin(np.arange(state.size)) / (1.0 + state.size),
        tolerance=RESIDUAL,
        border=neutral_border(system),
    )
    moved = again.state - state
    for row in system.neutral(state):
        moved -= row * (row @ moved)
    assert np.abs(moved).max() < 1e-10


@pytest.mark.parametrize("name", ["no variable", "ring", "two heads", "circulation"])
def test_perturbations_decay_as_linearised(name):
    """1e-4 along the leading direction moves as e^{Lt} says, its square left out; by e^{λt} if λ is real."""
    problem = CASES[name]
    system, state = stationary(problem)
    about, space = linearised(system, state), system.equation.space
    spectrum = about.spectrum(system.neutral(state))
    value, small = spectrum.eigenvalues[0], 1e-4 * spectrum.direction
    table = space.synthesise(system.coefficients(state + small))
    span = 1.0 / abs(value.real)
    end = run(replace(problem, space=space, initial=Initial.tabulated(space, table)), span)
    left = system.equation.state(end.coefficients[:, : space.eigenvalues.size]).ravel() - state
    matrix = np.stack([about.apply(row) for row in np.eye(state.size)], axis=1)
    assert np.linalg.norm(left - linalg.expm(span * matrix) @ small) < 1e-3 * np.linalg.norm(small)
    assert (value.imag == 0.0) == (name in GRADIENTS)
    if value.imag == 0.0:
        assert np.log(np.linalg.norm(left) / np.linalg.norm(small)) == pytest.approx(-1.0, abs=1e-3)


def test_neutral_rotations_are_left_out():
    """With them the first eigenvalue is zero, to roundings of a matrix of norm 1e3; without, the gap."""
    system, state = stationary(CASES["no variable"])
    about, neutral = linearised(system, state), system.neutral(state)
    assert neutral.shape == (1, state.size)
    assert np.abs(about.apply(neutral[0])).max() < 1e-9
    whole = about.spectrum(np.empty((0, state.size))).eigenvalues
    rest = about.spectrum(neutral).eigenvalues
    assert abs(whole[0]) < 1e-9
    assert rest[0].real < -0.01
    assert np.abs(rest[:-1] - whole[1:]).max() < 1e-12
