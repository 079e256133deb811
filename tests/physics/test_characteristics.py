"""Characteristics (σ = 0): exact results, dense integrations of the definition, long runs, invariants."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from scipy.integrate import solve_ivp

from meanfield_pde import auxiliary, encodings, evolution, initial, plateaus
from meanfield_pde.attention import Alibi, Attention, Causal, Head, Prompt, Table, reference
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.methods import characteristics
from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.circle import Circle
from tests.cases import SEEDS, dense_solution, problems, turned, unit_vectors

# What is promised with default tolerances: modes of every conditional, or unit vectors, at every saved depth.
PROMISED = 1e-8

RANDOM = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

#: Three clusters at β = 5, and small asymmetries by which they merge in the end.
THREE = Initial(initial.fourier([(3, 0.05, 0.9), (1, 0.01, 2.0), (2, 0.01, 1.0)]), degree=3)


def attention_of(beta, normalization="softmax", *, aux=None, encoding=None, **options):
    nu = auxiliary.none() if aux is None else aux
    return Attention((Head.plain(beta, 2),), nu, encoding or encodings.none(), normalization, **options)


def problem_of(attention, depths, start, resolution=64, **options):
    depths = np.asarray(depths, dtype=float)
    return Problem(Circle(resolution), attention, depths, start, method="characteristics", **options)


def solve(*arguments, **options):
    return evolution.solve(problem_of(*arguments, **options))


def modes(solution, count=9):
    """Σ weight e^{−imX} over the labels of every conditional, (time, aux, mode)."""
    waves = np.exp(-1j * np.arange(count) * solution.position[..., None])
    return (solution.label_weight[None, ..., None] * waves).sum(axis=2)


# Row 5


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_kuramoto_keeps_poisson_kernels_all_the_way(normalization):
    """c_m = r^m with r' = r(1 − r²)/2, far beyond what a grid resolves: 1 − r falls to rounding error."""
    start, depths = 0.3, np.array([0.0, 1.0, 3.0, 8.0, 20.0, 60.0])
    order = 1.0 / np.sqrt(1.0 + (1.0 / start**2 - 1.0) * np.exp(-depths))

    def poisson(points):
        return (1.0 - start**2) / (1.0 - 2.0 * start * points[:, 0] + start**2)

    solution = solve(attention_of(0.0, normalization, values="token"), depths, Initial(poisson))
    assert np.abs(modes(solution)[:, 0] - order[:, None] ** np.arange(9)).max() < PROMISED
    assert np.abs(solution.order_parameter - order).max() < PROMISED


# Row 6


@pytest.mark.parametrize(("beta", "gap", "final"), [(0.0, 2.6, 30.0), (1.0, 2.6, 40.0), (4.0, 2.2, 600.0)])
def test_two_tokens_meet(beta, gap, final):
    """The inner product obeys a scalar equation; at the last depth both tokens are one to rounding."""
    depths = np.linspace(0.0, final, 13)
    tokens = Tokens(np.array([[0.4, 0.4 - gap]]), np.ones((1, 2)))
    solution = solve(attention_of(beta), depths, Initial(initial.uniform, tokens=tokens))

    def rate(_, rho):
        return 2.0 * np.exp(beta * rho) * (1.0 - rho) * (rho + 1.0) / (np.exp(beta) + np.exp(beta * rho))

    exact = solve_ivp(rate, (0.0, final), [np.cos(gap)], "DOP853", depths, rtol=1e-13, atol=1e-14).y[0]
    assert exact[0] < -0.5
    assert exact[-1] > 1.0 - 1e-10
    between = solution.position[:, 0, 1] - solution.position[:, 0, 0]
    assert np.abs(np.cos(between) - exact).max() < PROMISED
    assert solution.attributes["atoms"] == 1


# Any tokens


def token_rate(problem, masses, starts):
    """dX/dt of all tokens by sums over all pairs."""

    class Places:
        def __init__(self, places):
            self.angles = places

        def features(self, degree):
            phases = np.outer(np.arange(1, degree + 1), self.angles)
            waves = np.stack([np.cos(phases), np.sin(phases)], axis=1).reshape(-1, self.angles.size)
            return np.concatenate([np.ones((1, self.angles.size)), waves])[..., None]

    def rate(_, places):
        field = reference.token_velocity(Circle(8), problem.attention, Atoms(places, masses, starts))
        along = np.cos(places) * field[:, 1] - np.sin(places) * field[:, 0]
        return along if problem.drift is None else along + problem.drift(Places(places))[:, 0]

    return rate


@RANDOM
@given(problem=problems(sigmas=(0.0,)), seed=SEEDS)
def test_tokens_anywhere_obey_the_definition(problem, seed):
    """Every option, other tokens and masses at every node: each token is where the dense sums put it."""
    rng = np.random.default_rng(seed)
    nodes, count = problem.auxiliary.nodes.size, int(rng.integers(1, 5))
    places, masses = rng.uniform(-9.0, 9.0, (nodes, count)), rng.uniform(0.1, 1.0, (nodes, count))
    start = Initial(initial.uniform, problem.initial.turns, tokens=Tokens(places, masses))
    problem = replace(problem, initial=start, depths=2.0 * problem.depths, method="auto")
    solution = evolution.solve(problem)
    shifted = places + 2.0 * np.pi * start.turns * problem.auxiliary.nodes[:, None]
    order = np.argsort(shifted % (2.0 * np.pi), axis=1)
    first = np.take_along_axis(shifted, order, axis=1) % (2.0 * np.pi)
    shares = np.take_along_axis(masses / masses.sum(axis=1, keepdims=True), order, axis=1)
    assert np.abs(solution.label_start - first).max() < 1e-14 * 50.0  # roundings of angles up to 50
    assert np.abs(solution.label_weight - shares).max() < 1e-15
    rate = token_rate(problem, shares.ravel(), count * np.arange(nodes + 1))
    span = (0.0, problem.depths[-1])
    dense = solve_ivp(rate, span, first.ravel(), "DOP853", problem.depths, rtol=1e-12, atol=1e-13).y.T
    found = solution.position.reshape(problem.depths.size, -1)
    assert np.abs(np.exp(1j * found) - np.exp(1j * dense)).max() < PROMISED


@RANDOM
@given(problem=problems(sigmas=(0.0,)))
def test_densities_obey_the_definition(problem):
    """Moments by the labels against those of dense sums on a grid that resolves the densities."""
    solution = evolution.solve(replace(problem, method="auto"))
    assert solution.attributes["method"] == "characteristics"
    assert np.abs(solution.label_weight.sum(axis=1) - 1.0).max() < 1e-14  # roundings of one sum
    assert (solution.label_weight >= 0.0).all()
    assert solution.mass_error.max() < 1e-14
    expected, dropped = dense_solution(problem, 160)
    assume(dropped < 0.01 * PROMISED)
    assert np.abs(modes(solution) - expected).max() < PROMISED


# Row 9


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_rotary_tokens_end_at_the_pushforward(normalization):
    """T(z) = R(−ωz)u_∞: exactly one place a node, and R = |Σ_j w_j e^{iωz_j}|, the sinc for many nodes."""
    turns, nu = 0.75, auxiliary.legendre(4)
    frequency = 2.0 * np.pi * turns
    layer = attention_of(1.0, normalization, aux=nu, encoding=encodings.rotary(nu.nodes, frequency))
    start = Initial(initial.fourier([(1, 0.3, 0.4), (2, 0.2, 1.0)]))
    solution = solve(layer, [0.0, 1.0, 90.0], start, resolution=32)
    common = np.exp(1j * (solution.conditional_mean[-1] + frequency * nu.nodes))
    assert np.abs(common - common[0]).max() < PROMISED
    assert 1.0 - solution.conditional_concentration[-1] < PROMISED
    sinc = np.abs(np.sin(np.pi * turns) / (np.pi * turns))
    exact = np.abs(nu.weights @ np.exp(1j * frequency * nu.nodes))
    assert exact == pytest.approx(sinc, abs=2e-4)  # four Gauss nodes: ω⁸ 4!⁴ / (9 · 8!³)
    assert solution.order_parameter[-1] == pytest.approx(exact, abs=PROMISED)
    assert solution.attributes["w1"] < PROMISED
    assert solution.attributes["w2"] < 1e-6  # its square is what falls below 1e-12


# Metastability


@pytest.fixture(scope="module")
def collapse():
    depths = np.concatenate([[0.0], np.geomspace(0.02, 1e4, 120)])
    return solve(attention_of(5.0, "none"), depths, THREE, resolution=128)


def test_three_clusters_live_long_and_collapse(collapse):
    """Row 2: mode 3 grows fastest, and forms clusters at depth 0.1 that live thirty times as long."""
    found = plateaus.describe(collapse.record)
    assert [plateau["clusters"] for plateau in found] == [3, 2, 1]
    assert [plateau["final"] for plateau in found] == [False, False, True]
    three = found[0]
    assert three["lifetime"] > 3.0
    assert three["lifetime"] == pytest.approx(collapse.plateau_end[0] - collapse.plateau_start[0], rel=1e-15)
    during = (collapse.time >= three["start"]) & (collapse.time <= three["end"])
    assert (collapse.cluster_count[during] == 3).all()
    masses = collapse.cluster_mass[during]
    assert np.abs(masses - 1.0 / 3.0).max() < 0.02  # as unequal as the start, whose modes 1 and 2 are 0.01
    assert np.abs(masses.sum(axis=1) - 1.0).max() < 1e-12  # sums over 4,096 angles
    assert abs(1.0 - collapse.order_parameter[-1]) < PROMISED
    assert collapse.cluster_count[-1] == 1
    assert collapse.attributes["atoms"] == 1


def test_mass_and_energy_in_the_long_run(collapse):
    """Mass: roundings of sums over labels. Energy, up to 15 here: dE/dt = Σ w ∫ρ|∇Φ|² ≥ 0 up to roundings."""
    assert collapse.mass_error.max() < 1e-13
    assert np.diff(collapse.interaction_energy).min() > -1e-13
    assert collapse.interaction_energy[-1] == pytest.approx(np.exp(5.0) / 10.0, rel=1e-12)


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_steps_grow_on_plateaus(normalization):
    """Labels that have come together move as one atom: only the slow rate of clusters limits the steps."""
    accuracy = Accuracy(1e-5, 1e-7)
    method = Characteristics.start(
        problem_of(attention_of(5.0, normalization), [0.0, 1e4], THREE, accuracy=accuracy)
    )
    attempts = []
    for depth in (100.0, 1e4):
        assert method.advance(depth, 10**9) == "reached"
        attempts.append(sum(method.counts[:2]))
    assert method.cloud.positions.size <= 2
    assert attempts[1] - attempts[0] < 200  # observed 100 and 120; explicit steps of Dirac masses: 1e5


# Errors


def test_errors_fall_with_the_tolerance_as_deep_tails_form():
    """At depth 40 all mass is in three clusters with tails e^{−40}: errors of modes stay below rtol."""
    depths = [0.0, 5.0, 10.0, 20.0, 40.0]

    def run(rtol):
        return modes(
            solve(attention_of(5.0), depths, THREE, accuracy=Accuracy(rtol, max(1e-2 * rtol, 1e-14)))
        )

    exact, tolerances = run(1e-11), [1e-3, 1e-5, 1e-7, 1e-9]
    errors = np.array([np.abs(run(rtol) - exact).max() for rtol in tolerances])
    assert (errors < tolerances).all()  # observed: 1e-2 of them
    assert (errors[1:] < 0.1 * errors[:-1]).all()


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_joining_labels_changes_no_moment(normalization, monkeypatch):
    """Labels are joined at a distance of 10 step tolerances, 1e-9: moments move by far less than promised."""
    start = Initial(initial.fourier([(1, 0.5, 0.7), (2, 0.3, 2.0)]), turns=0.3)
    nu = auxiliary.uniform(2)
    depths = np.linspace(0.0, 24.0, 7)
    problem = problem_of(attention_of(1.0, normalization, aux=nu), depths, start, resolution=32)
    joined = evolution.solve(problem)
    monkeypatch.setattr(characteristics, "TOGETHER", 0.0)
    single = evolution.solve(problem)
    assert single.attributes["atoms"] == single.attributes["labels"]
    assert joined.attributes["atoms"] < 0.8 * joined.attributes["labels"]
    assert np.abs(modes(joined) - modes(single)).max() < PROMISED


# Row 7


@pytest.mark.parametrize("kind", ["table", "rotary"])
def test_rotating_data_and_encodings_rotates_the_flow_map(kind):
    nu, turn, bumps = auxiliary.uniform(3), 1.234, [(1, 0.5, 0.2), (2, 0.3, 1.0)]
    matrix = Circle(8).rotations(np.array([0.6]))[0]  # commutes with rotations
    heads = (Head.plain(2.0, 2, Causal()), Head(1.0, matrix, np.eye(2), 0.5 * matrix.T, Alibi(1.0)))
    prompt = unit_vectors(np.array([[0.3, 2.0]]))
    shifts = 0.3 * np.random.default_rng(2).standard_normal((3, 2))
    found = []
    for angle in (0.0, turn):
        code = encodings.additive(turned(shifts, np.full(3, angle)))
        code = encodings.rotary(nu.nodes, 3.0) if kind == "rotary" else code
        moved = Prompt(turned(prompt, np.full((1, 2), angle)), np.array([0.4, 0.6]), 0.3)
        profile = initial.fourier([(mode, size, phase + angle) for mode, size, phase in bumps])
        layer = Attention(heads, nu, code, "softmax", "encoded", moved)
        found.append(modes(solve(layer, [0.0, 2.0, 5.0], Initial(profile, turns=0.2))))
    # Panels lie elsewhere relative to the density: both runs keep what is promised.
    assert np.abs(found[1] - np.exp(-1j * turn * np.arange(9)) * found[0]).max() < PROMISED


def test_relabelling_the_nodes_permutes_the_labels():
    """Sums over nodes are taken in another order: roundings, which this depth hardly amplifies."""
    rng = np.random.default_rng(8)
    order, values = rng.permutation(4), rng.standard_normal((4, 4))
    nodes, weights = rng.random(4), rng.uniform(0.5, 1.0, 4)
    weights /= weights.sum()
    found = []
    for rows in (np.arange(4), order):
        nu = auxiliary.Auxiliary(nodes[rows], weights[rows])
        bias = Table(values[np.ix_(rows, rows)], nu.nodes)
        ring = encodings.additive(encodings.ring(nu.nodes, 0.8, 2))
        layer = Attention((Head.plain(2.0, 2, bias),), nu, ring)
        found.append(modes(solve(layer, [0.0, 2.0], Initial(initial.fourier([(1, 0.5, 0.2)]), turns=0.7))))
    assert np.abs(found[1] - found[0][:, order]).max() < 1e-11


# The histogram


@pytest.mark.parametrize("depth", [0.6, 50.0])
def test_the_histogram_is_conservative_and_never_negative(depth):
    nu = auxiliary.uniform(3)
    code = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    start = Initial(initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0)]), turns=0.3)
    solution = solve(attention_of(2.0, aux=nu, encoding=code), [0.0, depth], start)
    assert solution.attributes["density_kind"] == "histogram"
    assert np.abs(solution.density @ solution.token_weight - 1.0).max() < 1e-13  # roundings of 64 cells
    assert solution.density.min() >= 0.0
    assert solution.minimum.min() == solution.density.min()
    if depth > 1.0:
        return
    smooth = evolution.solve(
        replace(problem_of(attention_of(2.0, aux=nu, encoding=code), [0.0, depth], start), method="spectral")
    )
    fine, own = Circle(smooth.token.size), Circle(64)
    means = own.cell_means(own.pad(fine.analyse(smooth.density)))
    # Mass is spread evenly between 65 places of every panel, 2π/4 wide at most: (ρ'/ρ)(π/128)² / 8 of it.
    assert np.abs(solution.density - means).max() < 2e-4
