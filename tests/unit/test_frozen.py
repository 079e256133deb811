"""Stationary densities of a frozen field: formula against linear systems, exact laws, differences."""

from dataclasses import replace

import numpy as np
import pytest

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Causal, Head, Prompt
from meanfield_pde.drift import harmonics
from meanfield_pde.initial import Initial, uniform
from meanfield_pde.limits.frozen import Gibbs, Solved, drift_potential, frozen
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import random_coefficients, unit_vectors

SPACE = Circle(128)
SYMMETRIC = np.array([[0.8, 0.3], [0.3, -0.5]])
#: Drifts by their harmonics; a constant has no potential on a circle.
GRADIENT, CIRCULATION = (0.0, 0.4, -0.3, 0.2, 0.1), (0.7, 0.3, -0.5)


def equation_of(attention, drift=None, sigma=None, space=SPACE):
    """With noise by which the grid resolves the laws of these layers."""
    if sigma is None:
        sigma = 0.4 if attention.normalization == "softmax" else 6.0
    own = None if drift is None else harmonics(drift)
    return Problem(space, attention, [0.0, 1.0], Initial(uniform), sigma, own).equation(space)


def attention_of(kind, normalization="softmax"):
    """Layers that are gradients, (first three), and layers that are not."""
    nu = auxiliary.legendre(3)
    ring = encodings.additive(encodings.ring(nu.nodes, 0.8, 2))
    plain = (Head.plain(2.0, 2),)
    shared = Prompt(unit_vectors(np.array([[0.3, 2.0]])), np.array([0.4, 0.6]), 0.3)
    symmetric = Head(1.5, SYMMETRIC, np.eye(2), SYMMETRIC, Alibi(1.0))
    return {
        "no variable": Attention(plain, auxiliary.none(), encodings.none(), normalization),
        "rings, prompt": Attention(plain, nu, ring, normalization, prompt=shared),
        "two heads": Attention((*plain, symmetric), nu, ring, normalization),
        "bare rotary": Attention(plain, nu, encodings.rotary(nu.nodes, 4.0), normalization, "token"),
        "causal": Attention((Head(2.0, np.eye(2), np.eye(2), 0.7 * SYMMETRIC, Causal()),), nu, ring),
    }[kind]


def densities(equation, seed=0):
    """Coefficients of random densities, and a change of mass zero."""
    rng, nodes = np.random.default_rng(seed), equation.attention.attention.auxiliary.nodes.size
    coefficients, other = (random_coefficients(equation.space, nodes, rng, 0.8) for _ in range(2))
    return coefficients, other - equation.space.uniform()


GRADIENTS = ["no variable", "rings, prompt", "two heads"]
OTHERS = ["bare rotary", "causal"]


@pytest.mark.parametrize("drift", [None, GRADIENT])
@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("kind", GRADIENTS)
def test_the_formula_solves_the_linear_system(kind, normalization, drift):
    """Linear systems: roundings times the condition of σΔ, 42² here, and both leave out modes above 42."""
    equation = equation_of(attention_of(kind, normalization), drift=drift)
    coefficients, change = densities(equation)
    formula, solved = frozen(equation, coefficients), Solved(equation, coefficients)
    assert isinstance(formula, Gibbs)
    assert formula.density.shape == solved.density.shape == coefficients.shape
    assert np.abs(formula.density[:, 0] - 1.0).max() < 1e-14
    assert np.abs(formula.density - solved.density).max() < 1e-12
    assert np.abs(formula.change(change) - solved.change(change)).max() < 1e-12
    assert np.abs(formula.change(change)[:, :2]).max() < 1e-15  # no mass


@pytest.mark.parametrize("drift", [None, GRADIENT, CIRCULATION])
@pytest.mark.parametrize("kind", [*GRADIENTS, *OTHERS])
def test_the_density_rests_in_the_frozen_field(kind, drift):
    """σΔS = div(S(V + F)): roundings of modes up to 42, their squares 1e3 times as large."""
    equation = equation_of(attention_of(kind), drift=drift)
    coefficients, _ = densities(equation)
    found, space = frozen(equation, coefficients), equation.space
    assert isinstance(found, Gibbs) == (kind in GRADIENTS and drift is not CIRCULATION)
    flux = space.synthesise(found.density)[..., None] * equation.velocity(coefficients)
    rate = -equation.sigma * space.eigenvalues * found.density - space.divergence(flux)
    assert np.abs(found.density[:, 2:]).max() > 0.02
    assert np.abs(rate).max() < 2e-12
    assert space.synthesise(found.density).min() > 0.0


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_a_drift_that_circulates_keeps_the_known_law(sigma):
    r"""ρ ∝ e^{ψ(θ)} ∫_θ^{θ+2π} e^{−ψ}, σψ = ωθ + a sin θ − b cos θ for F = ω + a cos θ + b sin θ.

    The integral by Gauss quadrature with 200 nodes: exact to roundings.
    """
    speed, cosine, sine = 0.2, 0.3, -0.5
    still = Attention((Head(0.0, np.eye(2), np.eye(2), np.zeros((2, 2))),), auxiliary.none())
    space = Circle(192)
    equation = equation_of(still, (speed, cosine, sine), sigma, space)
    found = frozen(equation, space.uniform()[None])
    angles = space.angles

    def psi(theta):
        return (speed * theta + cosine * np.sin(theta) - sine * np.cos(theta)) / sigma

    nodes, weights = np.polynomial.legendre.leggauss(200)
    ahead = np.pi * (nodes + 1.0)
    law = np.exp(psi(angles)[:, None] - psi(angles[:, None] + ahead)) @ weights
    law /= law @ space.weights
    # Roundings times the condition of the system, 63²; observed 1e-14.
    assert np.abs(space.synthesise(found.density)[0] - law).max() < 1e-12
    flux = law * (speed + cosine * np.cos(angles) + sine * np.sin(angles))
    flux -= sigma * space.gradient(space.analyse(law))[:, 0]
    assert flux.min() > 1e-4  # it does circulate: evenly, to the roundings of a derivative
    assert np.ptp(flux) < 1e-11


@pytest.mark.parametrize("drift", [None, CIRCULATION])
@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("kind", [*GRADIENTS, *OTHERS])
def test_changes_are_those_of_differences(kind, normalization, drift):
    """Fourth order: S changes by factors e^{h…}, with (2h)⁴ of them left out; roundings 1e-14/h."""
    attention = replace(attention_of(kind), normalization=normalization)
    equation = equation_of(attention, drift=drift)
    coefficients, change = densities(equation, 1)
    found = frozen(equation, coefficients).change(change)
    step = 1e-3

    def moved(part):
        return frozen(equation, coefficients + part * step * change).density

    near, far = moved(1.0) - moved(-1.0), moved(2.0) - moved(-2.0)
    expected = (8.0 * near - far) / (12.0 * step)
    assert np.abs(found).max() > 1e-3
    assert np.abs(found - expected).max() < 1e-10 * max(1.0, np.abs(found).max())


def test_what_has_a_potential_among_drifts():
    """None without one; else its slope is the drift, to roundings of a derivative of 42 modes."""
    layer = attention_of("no variable")
    assert drift_potential(equation_of(layer, drift=CIRCULATION)) is None
    assert np.array_equal(drift_potential(equation_of(layer)), np.zeros(SPACE.resolution))
    equation = equation_of(layer, drift=GRADIENT)
    slope = SPACE.gradient(SPACE.analyse(drift_potential(equation)))
    assert np.abs(slope - equation.drift).max() < 1e-13
