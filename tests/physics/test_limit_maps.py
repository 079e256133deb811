"""Limit maps (σ = 0): long runs of characteristics, exact results, several atoms, stability, refusals."""

from dataclasses import replace

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import auxiliary, encodings, evolution, initial
from meanfield_pde.attention import Alibi, Attention, Head, Prompt, Within
from meanfield_pde.drift import harmonics
from meanfield_pde.errors import ComputationError
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.limits import runs, tokens
from meanfield_pde.limits.basins import lone
from meanfield_pde.limits.flow import COARSE, follow
from meanfield_pde.limits.law import polished
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import unit_vectors

#: What is promised: residuals, and places and masses against long runs.
RESIDUAL, PROMISED = 1e-12, 1e-8

SMOOTH = Initial(initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0), (3, -0.2, 0.0)]))
#: Few tokens in one basin of attraction: their limit is a map.
TOGETHER = Initial(initial.uniform, tokens=Tokens(np.array([[0.2, 0.5, 0.9]]), np.ones((1, 3))))
SINGLE = Initial(initial.uniform, tokens=Tokens(np.array([[0.1]]), np.ones((1, 1))))
FIRST, SECOND = np.array([[0.9, 0.2], [0.2, 0.5]]), np.array([[0.3, -0.4], [-0.4, 1.0]])


def problem_of(attention, start=TOGETHER, resolution=64, drift=None):
    return Problem(Circle(resolution), attention, [0.0, 1.0], start, drift=drift, method="characteristics")


def plain(beta, nu, code=None, normalization="softmax", bias=None, **options):
    return Attention((Head.plain(beta, 2, bias),), nu, code or encodings.none(), normalization, **options)


def table(count, size, seed):
    return encodings.additive(size * np.random.default_rng(seed).standard_normal((count, 2)))


def ring(nu, size):
    return encodings.additive(encodings.ring(nu.nodes, size, 2))


def line(nu, size):
    return encodings.additive(encodings.line(nu.nodes, size, 2))


def per_node(angles, fraction=0.5):
    return Prompt(unit_vectors(np.asarray(angles))[:, None], np.ones(1), fraction)


def distance(first, second):
    """Largest distance of angles, as points."""
    return np.abs(np.exp(1j * np.asarray(first)) - np.exp(1j * np.asarray(second))).max()


def symmetric_heads(scale):
    return (
        Head(2.0 * scale, FIRST, np.eye(2), FIRST),
        Head(0.7 * scale, np.eye(2), SECOND, SECOND, Alibi(1.0)),
    )


def configurations():
    uniform, legendre = auxiliary.uniform, auxiliary.legendre
    turned = replace(TOGETHER, turns=1.0)
    yield "table of 2", problem_of(plain(2.0, uniform(2), table(2, 1.0, 1)), SMOOTH)
    yield "table of 7, unnormalised", problem_of(plain(0.5, uniform(7), table(7, 0.5, 2), "none"))
    yield "table of 33", problem_of(plain(5.0, legendre(33), table(33, 0.15, 3)))
    yield "ring of 24", problem_of(plain(6.0, uniform(24), ring(uniform(24), 1.0)), turned)
    yield "ring of 9, beta 50", problem_of(plain(50.0, uniform(9), ring(uniform(9), 1.0)), turned)
    yield "line of 12", problem_of(plain(2.0, uniform(12), line(uniform(12), 1.0)))
    yield "line of 12, unnormalised", problem_of(plain(1.0, uniform(12), line(uniform(12), 0.5), "none"))
    rotary = encodings.rotary(legendre(8).nodes, 4.0)
    yield "rotary of 8", problem_of(plain(1.0, legendre(8), rotary), SINGLE)
    prompt = per_node(np.linspace(0.0, 1.5, 6))
    yield "prompts of 6", problem_of(plain(3.0, uniform(6), ring(uniform(6), 0.5), prompt=prompt))
    heads, few = symmetric_heads(1.0), uniform(5)
    yield "two heads", problem_of(Attention(heads, few, table(5, 0.3, 5)))
    heads = symmetric_heads(0.5)
    yield "two heads, unnormalised", problem_of(Attention(heads, few, table(5, 0.3, 5), "none"))


CASES = dict(configurations())


def laws_of_several_atoms():
    """Two prompts far from one another that share a density; tokens that stay apart at some nodes only."""
    prompt = Prompt(unit_vectors(np.array([[0.0, 2.6]])), np.array([0.5, 0.5]), 0.9)
    yield "far prompts", problem_of(plain(12.0, auxiliary.none(), prompt=prompt), SMOOTH)
    nu = auxiliary.legendre(33)
    yield "table of 33", problem_of(plain(5.0, nu, table(33, 0.3, 3)))


SEVERAL = dict(laws_of_several_atoms())


@pytest.mark.parametrize("name", list(CASES))
def test_maps_agree_with_long_runs(name):
    """The run goes on until perturbations have decayed by e^{−25}; tokens come to one place a node."""
    problem = CASES[name]
    reached = follow(problem)
    law = reached.law
    assert law.is_map
    assert law.stable
    assert law.residual <= RESIDUAL
    assert (law.curvature > 0.0).all()
    assert law.neutral == (1 if name.startswith("rotary") else 0)
    depth = reached.depth + 25.0 / abs(law.leading)
    solution = evolution.solve(replace(problem, depths=np.array([0.0, depth])))
    away = np.abs(np.exp(1j * solution.position[-1]) - np.exp(1j * law.places)[:, None])
    assert (solution.label_weight * away).sum(axis=1).max() < PROMISED


# Section 5


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_prompts_within_populations_reach_any_target(normalization):
    """Universality: T = q to roundings, at nodes of any weights."""
    rng = np.random.default_rng(4)
    target = rng.uniform(0.0, 6.0, 40)
    nu = auxiliary.legendre(40)
    layer = plain(1.0, nu, normalization=normalization, bias=Within(), prompt=per_node(target))
    law = follow(problem_of(layer)).law
    assert law.is_map
    assert law.residual <= RESIDUAL
    assert distance(law.places, target) < 1e-12


def test_prompts_reach_any_target_at_very_many_nodes():
    """More tokens than are summed pair by pair: derivatives are differences there."""
    count = tokens.DENSE + 144
    target = np.random.default_rng(5).uniform(0.0, 6.0, count)
    layer = plain(1.0, auxiliary.uniform(count), bias=Within(), prompt=per_node(target))
    law = follow(problem_of(layer, SINGLE, 16)).law
    assert not law.system.is_dense
    assert law.is_map
    assert law.stable
    assert law.residual <= RESIDUAL
    assert distance(law.places, target) < RESIDUAL / law.curvature.min()


@pytest.mark.parametrize("kind", ["ring", "rotary", "two atoms"])
def test_operators_find_what_pairs_find(kind, monkeypatch):
    """Derivatives by differences leave the law as it is; curvatures and eigenvalues are good to 1e-9."""
    nu = auxiliary.uniform(24)
    code = encodings.rotary(nu.nodes, 4.0) if kind == "rotary" else ring(nu, 1.0)
    problem = problem_of(plain(6.0 if kind == "ring" else 2.0, nu, code), replace(TOGETHER, turns=1.0))
    if kind == "two atoms":
        problem = SEVERAL["table of 33"]
    expected = follow(problem).law
    monkeypatch.setattr(tokens, "DENSE", 0)
    found = polished(problem, expected.system.atoms(expected.places + 1e-3))
    assert not found.system.is_dense
    assert found.neutral == expected.neutral
    assert found.residual <= RESIDUAL
    turned = 1e-3 * expected.neutral  # along the symmetry the law stays where it is put
    assert distance(found.places, expected.places + turned) < 1e-10
    assert np.abs(found.curvature - expected.curvature).max() < 1e-9
    count = min(found.eigenvalues.size, 4)
    assert count > 0
    assert np.abs(found.eigenvalues[:count] - expected.eigenvalues[:count]).max() < 1e-8
    assert found.stable


def test_maps_of_many_nodes():
    """512 nodes are searched for symmetries and eigenvalues by other ways than few; row 11 is exact."""
    nu = auxiliary.uniform(512)
    law = follow(problem_of(plain(6.0, nu, ring(nu, 1.0)), replace(SINGLE, turns=1.0), 16)).law
    assert law.is_map
    assert law.stable
    assert law.residual <= RESIDUAL
    assert distance(law.places - law.places[0], 2.0 * np.pi * (nu.nodes - nu.nodes[0])) < PROMISED


# Rows 9, 10 and 11


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_rotary_tokens_collapse_in_the_turned_frame(normalization):
    """Row 9: T(z) = R(−ωz)u_∞, R = |Σ_j w_j e^{−iωz_j}|; sin(πa)/(πa) for many nodes."""
    turns, nu = 0.6, auxiliary.legendre(12)
    frequency = 2.0 * np.pi * turns
    layer = plain(1.0, nu, encodings.rotary(nu.nodes, frequency), normalization)
    law = follow(problem_of(layer, TOGETHER)).law
    assert law.is_map
    assert law.neutral == 1
    assert law.stable
    common = law.places + frequency * nu.nodes
    assert distance(common, common[0]) < 1e-12
    order = abs(nu.weights @ np.exp(1j * law.places))
    assert order == pytest.approx(abs(nu.weights @ np.exp(1j * frequency * nu.nodes)), abs=1e-12)
    assert order == pytest.approx(abs(np.sin(np.pi * turns) / (np.pi * turns)), abs=1e-12)  # 12 Gauss nodes


def test_bare_rotary_values_collapse():
    """Row 10: one point for all nodes."""
    nu = auxiliary.uniform(6)
    layer = plain(1.0, nu, encodings.rotary(nu.nodes, 1.0), values="token")
    law = follow(problem_of(layer)).law
    assert law.is_map
    assert law.residual <= RESIDUAL
    assert abs(nu.weights @ np.exp(1j * law.places)) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("amplitude", "beta", "least", "most"), [(1.0, 8.0, 0.0, 1e-8), (0.05, 1.0, 0.9, 1.0)]
)
def test_rings_keep_their_tokens_apart_or_collapse(amplitude, beta, least, most):
    """Row 11: T(z) = 2πz has R = 0 for large aβ; small a collapses to nearly one point."""
    nu = auxiliary.uniform(16)
    turns = 1.0 if most < 0.5 else 0.0
    start = replace(SINGLE if turns else TOGETHER, turns=turns)
    law = follow(problem_of(plain(beta, nu, ring(nu, amplitude)), start)).law
    assert law.is_map
    assert law.residual <= RESIDUAL
    order = abs(nu.weights @ np.exp(1j * law.places))
    assert least <= order <= most
    if turns:
        shift = law.places - 2.0 * np.pi * nu.nodes
        assert distance(shift, 0.0) < PROMISED


def test_without_encoding_the_map_is_constant():
    nu = auxiliary.uniform(5)
    law = follow(problem_of(plain(2.0, nu, ring(nu, 0.0)))).law
    assert law.is_map
    assert law.neutral == 1
    assert distance(law.places, law.places[0]) < 1e-12


# Short runs


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_labels_that_are_not_refined_find_the_same_map(seed):
    """Where short runs of different numbers of labels agree, the run that refines them does, too."""
    rng = np.random.default_rng(seed)
    nu = auxiliary.uniform(int(rng.integers(6, 40)))
    shifts = encodings.ring(nu.nodes, rng.uniform(1.0, 2.0), 2)
    shifts = shifts + 0.1 * rng.standard_normal(shifts.shape)
    code = encodings.additive(shifts)
    problem = replace(problem_of(plain(rng.uniform(0.5, 4.0), nu, code), SMOOTH), accuracy=COARSE)
    short = [runs.brief(problem, share, lambda _: None) for share in (1.0, 1.5)]
    found = [one.reached.law.places for one in short if one is not None and one.lone]
    assert len(found) == 2, "the test is of problems that short runs can decide"
    assert distance(*found) < PROMISED
    assert distance(runs.run(problem, lambda _: None).reached().law.places, found[0]) < PROMISED


@pytest.mark.parametrize("name", list(SEVERAL))
def test_short_runs_leave_several_atoms_to_others(name):
    problem = replace(SEVERAL[name], accuracy=COARSE)
    short = runs.brief(problem, 1.0, lambda _: None)
    assert short is None or (not short.lone and short.reached.by_history)
    law = follow(problem).law
    assert not lone(problem.scattered(), law.atoms)


# Several atoms


@pytest.mark.parametrize("name", list(SEVERAL))
def test_laws_of_several_atoms_agree_with_long_runs(name):
    """Masses of the atoms, and the mean distance of tokens from the nearest, at every node."""
    problem = SEVERAL[name]
    reached = follow(problem)
    law = reached.law
    assert law.counts.max() == 2
    assert not law.is_map
    assert law.stable
    assert law.residual <= RESIDUAL
    depth = reached.depth + 25.0 / abs(law.leading)
    solution = evolution.solve(replace(problem, depths=np.array([0.0, depth])))
    for node, weight in enumerate(solution.label_weight):
        atoms = slice(*law.system.starts[node : node + 2])
        pairs = np.exp(1j * solution.position[-1, node])[:, None] - np.exp(1j * law.places[atoms])
        nearest = np.abs(pairs).argmin(axis=1)
        masses = np.bincount(nearest, weights=weight, minlength=law.counts[node])
        assert np.abs(masses - law.system.masses[atoms]).max() < PROMISED
        assert weight @ np.abs(pairs).min(axis=1) < PROMISED
    assert law.system.masses.min() > 0.2


# Refusals


def test_what_does_not_move_has_no_limit():
    with pytest.raises(ComputationError, match="does not move"):
        follow(problem_of(plain(2.0, auxiliary.none()), Initial(initial.uniform)))


def test_what_rotates_has_no_limit(monkeypatch):
    """A drift that turns everything for ever: given up at a depth, lowered here, with the reason."""
    monkeypatch.setattr(runs, "LATEST", 64.0)
    problem = problem_of(plain(2.0, auxiliary.uniform(2)), drift=harmonics((3.0,)))
    with pytest.raises(ComputationError, match=r"no limit map up to depth .*: .*(attractor|rest|stall)"):
        follow(problem)


# Stability


def test_the_leading_eigenvalue_is_the_rate_of_decay():
    """A perturbation of 1e-4 along the leading direction falls as e^{λt}: its square, 1e-8, is left out."""
    nu = auxiliary.uniform(5)
    problem = problem_of(plain(2.0, nu, table(5, 0.5, 7)))
    law = follow(problem).law
    assert abs(law.eigenvalues[0].imag) == 0.0
    growth = law.eigenvalues[0].real
    places = law.places + 1e-4 * law.direction / np.abs(law.direction).max()
    start = Initial(initial.uniform, tokens=Tokens(places[:, None], np.ones((5, 1))))
    span = 1.0 / abs(growth)
    solution = evolution.solve(replace(problem, initial=start, depths=np.array([0.0, span])))
    left = np.angle(np.exp(1j * (solution.position[:, :, 0] - law.places)))
    sizes = np.linalg.norm(left, axis=1)
    assert np.log(sizes[1] / sizes[0]) == pytest.approx(growth * span, abs=1e-3)


def test_opposite_clusters_are_reported_unstable():
    """By symmetry the flow comes to two opposite halves, which attract one another: at a rate e^{−β}."""
    start = Initial(initial.fourier([(2, 0.5, 0.3)]), degree=2)
    law = follow(problem_of(plain(3.0, auxiliary.none(), normalization="none"), start)).law
    assert law.counts.tolist() == [2]
    assert np.abs(law.system.masses - 0.5).max() < PROMISED
    assert law.residual <= RESIDUAL
    assert law.leading == pytest.approx(np.exp(-3.0), rel=1e-9)
    assert not law.stable


def test_few_nodes_hardly_break_the_rotation():
    """Eight on a weak ring: torques of 1e-9 along the ring, where the flow would creep for ever."""
    asymmetric = {
        "initial.modes": [[1, 0.3, 0.0], [2, 0.2, 0.7]],
        "auxiliary.nodes": 8,
        "encoding.amplitude": 0.2,
    }
    found = mf.limit(mf.load("phase-diagram", asymmetric))
    assert found.attributes["verdict"] == "pushforward"
    assert found.attributes["order_parameter"] == pytest.approx(0.99998172, abs=1e-7)
    # What is left is the torque, not an error of the map.
    assert found.summary()["residual"] < 1e-8
