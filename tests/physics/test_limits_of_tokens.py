"""Limits of single tokens on spheres of any dimension, where there is no grid for densities."""

import math

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import auxiliary, encodings, initial
from meanfield_pde.attention import Attention, Head, Prompt
from meanfield_pde.bifurcations.diagram import explore
from meanfield_pde.errors import InputError
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.limits import tokens as systems
from meanfield_pde.limits.directions import directed
from meanfield_pde.limits.tokens import TokenSystem
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.hypersphere import Hypersphere
from meanfield_pde.spaces.sphere import Sphere


def unit(shape, seed=0):
    vectors = np.random.default_rng(seed).standard_normal(shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def problem_of(space, attention, places, final=1.0):
    start = Initial(initial.uniform, tokens=Tokens(places, np.ones(places.shape[:2])))
    return Problem(space, attention, np.array([0.0, final]), start)


def on_a_ring(dimension, nodes, amplitude=2.0):
    nu = auxiliary.uniform(nodes)
    code = encodings.additive(encodings.ring(nu.nodes, amplitude, dimension))
    return Attention((Head.plain(1.0, dimension),), nu, code)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_orthonormal_tokens_meet_in_the_middle(beta):
    """MODEL.md, exact result 6: ρ → 1, at Σ e_i/√n; 1 − ρ decays as e^{−2t} there, angles as e^{−t}."""
    problem = mf.load("orthonormal-tokens", {"attention.beta": beta})
    found = mf.limit(problem)
    assert found.verdict == "collapsed"
    assert found.stable
    assert found.residual < 1e-14
    # Newton's method starts where the flow has joined the tokens, within 1e-7 of their mean, and has no
    # reason to move along the sphere of limits.
    assert found.pushforward_map[0] == pytest.approx(np.full(8, math.sqrt(1 / 8)), abs=1e-7)
    assert found.attributes["leading_eigenvalue"] == pytest.approx(-1.0, abs=1e-12)
    assert found.attributes["interaction_energy"] == pytest.approx(math.exp(beta) / (2 * beta), rel=1e-14)
    assert found.attributes["attention_entropy"] == pytest.approx(0.0, abs=1e-14)


def test_the_flow_ends_at_the_limit():
    """On S⁴ positions on a ring spread the tokens; far down the flow is what Newton's method finds."""
    problem = problem_of(Hypersphere(5, 8), on_a_ring(5, 8), unit((1, 4, 5)), 60.0)
    found = mf.limit(problem)
    assert found.verdict == "pushforward"
    assert found.stable
    solution = mf.solve(problem)
    # The slowest rate is 0.5 or more: e^{−30}; the solver's own tolerance is 1e-9 a step.
    assert found.attributes["spectral_gap"] > 0.5
    assert np.abs(solution.conditional_mean[-1] - found.pushforward_map).max() < 1e-7
    assert mf.compare(solution)["w2"] < 1e-7
    again = mf.limit(problem, start=solution)
    assert np.abs(again.pushforward_map - found.pushforward_map).max() < 1e-10


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_three_dimensions_are_the_sphere(normalization):
    """The same limit, rates and energies with a grid of densities and without."""
    nu = auxiliary.uniform(5)
    code = encodings.additive(encodings.ring(nu.nodes, 0.7, 3))
    prompt = Prompt(unit((1, 2, 3), 1), np.array([0.3, 0.7]), 0.2)
    attention = Attention((Head.plain(1.5, 3),), nu, code, normalization, prompt)
    places = unit((5, 2, 3), 2)
    one, other = (mf.limit(problem_of(space, attention, places)) for space in (Hypersphere(3, 8), Sphere(8)))
    assert np.abs(one.pushforward_map - other.pushforward_map).max() < 1e-10
    for name in ("leading_eigenvalue", "interaction_energy", "attention_entropy", "order_parameter"):
        # On S² the energy is read off a grid of degree 8 and more, refined to 1e-9.
        assert one.attributes[name] == pytest.approx(other.attributes[name], rel=1e-8)


def test_many_tokens_need_no_matrix(monkeypatch):
    """Beyond some number derivatives are differences of velocities: of the same operator."""
    problem = problem_of(Hypersphere(4, 4), on_a_ring(4, 6), unit((1, 2, 4), 3))
    system, rest = TokenSystem.of_maps(problem), mf.limit(problem).pushforward_map
    along = np.random.default_rng(5).standard_normal(18)
    for places in (unit((6, 4), 3), rest):
        paired = system.linearised(places, jacobian=True)
        assert np.abs(paired.velocity.ravel() - system.velocity(places)).max() < 1e-14
        monkeypatch.setattr(systems, "DENSE", 1)
        # Differences of fourth order: 1e-11, as DIFFERENCE says.
        assert np.abs(system.jacobian(places).matvec(along) - paired.jacobian @ along).max() < 1e-10
        monkeypatch.undo()
    # At rest, where the turning of the frames does not matter.
    assert np.abs(system._frozen_slope(rest) - paired.local).max() < 1e-10


def test_limits_in_many_dimensions():
    """Tokens of S^767 that collapse, without a matrix of all pairs of their frames."""
    nu = auxiliary.uniform(1)
    found = mf.limit(
        problem_of(Hypersphere(768, 4), Attention((Head.plain(1.0, 768),), nu), unit((1, 3, 768)))
    )
    assert found.verdict == "collapsed"
    assert found.attributes["leading_eigenvalue"] == pytest.approx(-1.0, abs=1e-10)


def test_starts_are_places():
    problem = problem_of(Hypersphere(5, 4), on_a_ring(5, 3), unit((1, 2, 5)))
    with pytest.raises(InputError, match=r"one finite vector of 5 numbers per node, 3, got shape \(3,\)"):
        mf.limit(problem, start=np.zeros(3))


def test_branches_of_tokens_are_refused():
    problem = mf.load("orthonormal-tokens")
    with pytest.raises(InputError, match="branches of single tokens on a sphere of dimension 8"):
        explore(problem, lambda _: problem, "attention.beta", (0.5, 2.0))
    with pytest.raises(InputError, match="branches of single tokens"):
        mf.bifurcation(problem, "attention.beta", 0.5, 2.0)


def test_a_direction_needs_a_length():
    """On lines 0.9 of the radius, on surfaces 0.7, √2 times that on the torus."""
    from meanfield_pde.spaces.torus import Torus

    for space, least in ((Circle(8), 0.9), (Sphere(4), 0.7), (Torus(8), 0.7 * math.sqrt(2.0))):
        assert directed(space, np.array([space.radius, 1.01 * least]))
        assert not directed(space, np.array([space.radius, 0.99 * least]))


def test_a_drift_on_the_sphere_turns_with_the_tokens(monkeypatch):
    """Fields are smooth where frames are not: a grid of moderate size, derivatives that are covariant."""
    overrides = {"noise.sigma": 0.0, "auxiliary.nodes": 4, "drift.degree": 1, "solver.rtol": 1e-6}
    problem = mf.load("sphere-ring", overrides | {"drift.parameters": [0.3, 0.2, -0.5, 0.1, 0.4, 0.2]})
    system, places = TokenSystem.of_maps(problem), unit((4, 3), 7)
    assert system.field.space.resolution < 150  # 24 points in the shortest wave, of degree 2 at most
    along = np.random.default_rng(8).standard_normal(8)
    product = system.jacobian(places) @ along
    monkeypatch.setattr(systems, "DENSE", 1)
    # Interpolation of the drift to 1e-12 over steps of 4e-3/(1 + |ξ|).
    assert np.abs(system.jacobian(places).matvec(along) - product).max() < 1e-8
