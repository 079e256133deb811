"""Bifurcation diagrams: exact results, independent solutions, stability in depth, refusals."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import optimize, special

import meanfield_pde as mf
from meanfield_pde.cli import main
from meanfield_pde.initial import Initial

#: Zeros of growth rates, to roundings.
EXACT = 1e-12
#: What is promised of folds and branches.
PROMISED = 1e-6
#: Residuals, by the continuation's own tolerance.
RESIDUAL = 1e-10

COLLAPSE = {"token.resolution": 64, "noise.sigma": 1.0}
CHANGE = optimize.brentq(lambda beta: special.iv(2, beta) / special.iv(1, beta) - 0.5, 1.0, 4.0, xtol=1e-14)


def critical(beta, normalization):
    """Row 3: I₁(β)/β, over I₀(β) for softmax."""
    return special.iv(1, beta) / beta / (special.iv(0, beta) if normalization == "softmax" else 1.0)


def over_noise(beta, normalization, low, high):
    """Diagram in the noise, between shares of the critical noise."""
    problem = mf.load(
        "mode-collapse", {**COLLAPSE, "attention.beta": beta, "attention.normalization": normalization}
    )
    noise = critical(beta, normalization)
    return mf.bifurcation(problem, "noise.sigma", low * noise, high * noise)


@cache
def folding():
    """Unnormalised attention at β = 4."""
    return over_noise(4.0, "none", 0.95, 1.1)


@cache
def ring(nodes):
    """Limit maps of an additive ring as its amplitude grows."""
    settings = {"token.resolution": 64, "auxiliary.nodes": nodes, "noise.sigma": 0.0}
    return mf.bifurcation(mf.load("additive-ring", settings), "encoding.amplitude", 0.1, 1.2)


# Rows 3, 4 and 5


@pytest.mark.parametrize("normalization", ["none", "softmax"])
def test_the_uniform_law_branches_at_the_critical_noise(normalization):
    """Row 3, and stable on the one side only."""
    found = over_noise(2.0, normalization, 0.9, 1.1)
    (point,) = found.branch_points
    exact = critical(2.0, normalization)
    assert abs(point["value"] - exact) < EXACT
    assert point["mode"] == 1
    assert found.transition == "continuous"
    uniform = found.branch == point["branch"]
    away = np.abs(found.parameter - exact) > EXACT
    above = found.parameter > exact
    assert np.array_equal(found.stable[uniform & away] == 1, above[uniform & away])
    assert np.abs(found.residual).max() < RESIDUAL


def turning_noise():
    """Largest noise with an ordered state at β = 4: ρ ∝ exp(Σ 2 I_m c_m cos(mθ)/(βσ)), by scipy alone."""
    beta, modes = 4.0, np.arange(1, 21)
    theta = 2.0 * np.pi * np.arange(256) / 256
    waves = np.cos(modes[:, None] * theta)
    known = np.zeros(modes.size)

    def noise(order):
        def gap(unknown):
            sigma, own = unknown[0], np.append(order, unknown[1:])
            weight = np.exp(2.0 / (beta * sigma) * (special.iv(modes, beta) * own) @ waves)
            return waves @ weight / weight.sum() - own

        start = np.append(2.55, 0.5 ** (modes[1:] ** 1.5))
        found = optimize.root(gap, known if known[0] else start, tol=1e-14)
        assert np.abs(gap(found.x)).max() < 1e-12
        known[:] = found.x
        return found.x[0]

    top = optimize.minimize_scalar(lambda order: -noise(order), bounds=(0.4, 0.7), method="bounded")
    return -top.fun, top.x


def test_the_clustered_branch_folds():
    """Row 4 against an independent solution; R at the fold is as good as a maximiser, the root of that."""
    found = folding()
    (fold,) = found.folds
    sigma, order = turning_noise()
    assert abs(fold["value"] - sigma) < PROMISED
    assert abs(fold["order_parameter"] - order) < math.sqrt(PROMISED)
    assert fold["value"] == pytest.approx(2.5835, abs=5e-5)  # the digits of MODEL.md
    assert fold["order_parameter"] == pytest.approx(0.55, abs=5e-3)
    assert found.transition == "discontinuous"
    assert found.attributes["spinodal_low"] == pytest.approx(critical(4.0, "none"), abs=PROMISED)
    assert found.attributes["spinodal_high"] == pytest.approx(sigma, abs=PROMISED)
    assert np.abs(found.residual).max() < RESIDUAL


@pytest.mark.parametrize(("beta", "transition"), [(-1.0, "continuous"), (1.0, "discontinuous")])
def test_the_transition_changes_at_the_known_beta(beta, transition):
    """Row 4: I₂(β)/I₁(β) = 1/2 at 2.4469184; the promised 1e-6 below and above."""
    assert pytest.approx(2.44692, abs=5e-6) == CHANGE
    assert over_noise(CHANGE + PROMISED * beta, "none", 0.99, 1.01).transition == transition


def test_kuramoto_branches_as_known():
    """Row 5: critical noise 1/2; r = I₁(r/σ)/I₀(r/σ) at all points, the residual over the restoring force."""
    settings = {"token.resolution": 64, "attention.values": "token"}
    found = mf.bifurcation(mf.load("kuramoto", settings), "noise.sigma", 0.25, 0.6)
    (point,) = found.branch_points
    assert abs(point["value"] - 0.5) < EXACT
    ordered = found.order_parameter > 0.0
    assert np.count_nonzero(ordered) > 5
    r, sigma = found.order_parameter[ordered], found.parameter[ordered]
    assert np.abs(special.ive(1, r / sigma) / special.ive(0, r / sigma) - r).max() < PROMISED
    exact = [
        optimize.brentq(
            lambda x, s=s: special.ive(1, x / s) / special.ive(0, x / s) - x, 1e-3, 1.0, xtol=1e-14
        )
        for s in sigma
    ]
    assert np.abs(r - exact).max() < PROMISED
    assert found.stable[ordered].all()


def test_branches_in_noise_and_beta_meet():
    """At β = 2 and σ = 3/4 both find one state; residuals over a restoring rate of 0.1."""
    plain = {"token.resolution": 64, "attention.normalization": "none"}
    over_beta = mf.bifurcation(
        mf.load("mode-collapse", {**plain, "noise.sigma": 0.75}), "attention.beta", 1.8, 2.0
    )
    in_noise = mf.bifurcation(
        mf.load("mode-collapse", {**plain, "attention.beta": 2.0}), "noise.sigma", 0.75, 0.82
    )
    ends = []
    for found, value in ((over_beta, 2.0), (in_noise, 0.75)):
        (place,) = np.flatnonzero((found.parameter == value) & (found.order_parameter > 0.1))
        names = ("order_parameter", "free_energy", "leading_eigenvalue")
        ends.append([getattr(found, name)[place] for name in names])
    assert np.abs(np.subtract(*ends)).max() < 1e-8
    (point,) = over_beta.branch_points
    assert abs(critical(point["value"], "none") - 0.75) < EXACT


# Stability


@pytest.mark.parametrize("stable", [0, 1])
def test_stability_is_what_tokens_do(stable):
    """Mixed with the uniform law, states of R from 0.25 to 0.75 come back, or go away, in depth."""
    found = folding()
    middle = (found.order_parameter > 0.25) & (found.order_parameter < 0.75) & (found.parameter < 2.58)
    chosen = np.flatnonzero(middle & (found.stable == stable))
    assert chosen.size > 0
    for place in chosen[[0, -1]]:
        growth = found.leading_eigenvalue[place]
        assert (growth < 0.0) == bool(stable)
        problem = mf.load(
            "mode-collapse",
            {
                **COLLAPSE,
                "attention.beta": 4.0,
                "attention.normalization": "none",
                "noise.sigma": float(found.parameter[place]),
            },
        )
        space = problem.space.resized(found.token.size)
        share = 1e-3
        table = (1.0 - share) * found.marginal[place] + share / (2.0 * np.pi)
        start = Initial.tabulated(space, table[None])
        # The uniform law is no eigenvector: its part of slower modes is gone after the first half.
        depths = np.array([0.0, 1.5, 3.0]) / abs(growth)
        solution = mf.solve(replace(problem, space=space, initial=start, depths=depths))
        off = np.abs(solution.order_parameter - found.order_parameter[place])
        # e^{±1.5} between both depths; the square of what is left changes it by less than a fifth.
        assert np.log(off[2] / off[1]) == pytest.approx(1.5 * np.sign(growth), rel=0.2)


# Other parameters


def test_a_prompt_breaks_the_symmetry():
    """The uniform law is nowhere stationary: one stable branch without branch points."""
    problem = mf.load("prompt-steering", {"token.resolution": 64, "noise.sigma": 0.3})
    found = mf.bifurcation(problem, "prompt.fraction", 0.02, 0.4)
    assert found.branch_points == []
    assert found.folds == []
    assert found.transition == "none"
    assert found.stable.all()
    assert np.ptp(found.order_parameter) > 0.01
    assert np.abs(found.residual).max() < RESIDUAL


def velocity(places, amplitude, nodes, beta=2.0):
    """Velocities of one token a node by the definition, softmax."""
    keys = np.exp(1j * places) + amplitude * np.exp(2j * np.pi * nodes)
    share = special.softmax(beta * (keys[:, None] * keys.conj()).real, axis=1)
    return (share @ keys * np.conj(1j * np.exp(1j * places))).real


def slopes(places, amplitude, nodes):
    """Jacobian of the velocities by differences of fourth order, good to 1e-11."""
    step = 1e-3

    def central(column, reach):
        return velocity(places + reach * column, amplitude, nodes) - velocity(
            places - reach * column, amplitude, nodes
        )

    columns = [(8.0 * central(c, step) - central(c, 2.0 * step)) / (12.0 * step) for c in np.eye(places.size)]
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("nodes", [8, 16])
def test_the_collapsed_branch_of_a_ring_folds(nodes):
    """The largest amplitude of a collapsed state, by scipy among maps odd about a node or a gap."""
    found = ring(nodes)
    (fold,) = [one for one in found.folds if one["order_parameter"] > 0.9]
    (place,) = np.flatnonzero(
        (found.parameter == fold["value"]) & (found.order_parameter == fold["order_parameter"])
    )
    half, towards = nodes // 2, np.angle(np.exp(1j * found.map_position[place]).mean())
    z = found.aux - towards / (2.0 * np.pi)

    def mirrored(free):
        order = np.argsort(z % 1.0)
        places = np.empty(nodes)
        places[order] = np.concatenate([free, -free[::-1]])
        return places

    def gap(unknown, first):
        free = np.append(first, unknown[1:])
        return velocity(mirrored(free), unknown[0], z)[np.argsort(z % 1.0)[:half]]

    start = np.angle(np.exp(1j * (found.map_position[place] - towards)))[np.argsort(z % 1.0)[:half]]
    known = np.append(fold["value"], start[1:])

    def amplitude(first):
        root = optimize.root(gap, known, args=(first,), tol=1e-14)
        assert np.abs(gap(root.x, first)).max() < 1e-12
        return root.x[0]

    ends = (0.9 * start[0], 1.1 * start[0])
    top = optimize.minimize_scalar(lambda x: -amplitude(x), bounds=ends, method="bounded")
    assert -top.fun == pytest.approx(fold["value"], abs=PROMISED)
    assert found.transition == "discontinuous"


@pytest.mark.parametrize("nodes", [8, 16])
def test_the_spread_state_of_a_ring_is_stable_above(nodes):
    """Row 11: T(z) = 2πz, up to where the definition's Jacobian has a positive eigenvalue."""
    found = ring(nodes)
    (point,) = [one for one in found.branch_points if one["value"] > 0.6 and one["order_parameter"] < 1e-8]
    exact = optimize.brentq(
        lambda a: np.linalg.eigvals(slopes(2.0 * np.pi * found.aux, a, found.aux)).real.max(), 0.6, 1.2
    )
    assert abs(point["value"] - exact) < PROMISED
    spread = found.branch == point["branch"]
    turn = np.exp(1j * (found.map_position[spread] - 2.0 * np.pi * found.aux))
    assert np.abs(turn - turn[:, :1]).max() < 1e-9
    away = np.abs(found.parameter - exact) > PROMISED
    assert np.array_equal(found.stable[spread & away] == 1, found.parameter[spread & away] > exact)


@pytest.mark.parametrize("nodes", [8, 16])
def test_points_of_a_ring_rest(nodes):
    """Velocities and eigenvalues by the definition; a neutral rotation beside the leading one."""
    found = ring(nodes)
    for place in range(found.parameter.size):
        places, amplitude = found.map_position[place], found.parameter[place]
        assert np.abs(velocity(places, amplitude, found.aux)).max() < 2.0 * RESIDUAL
        values = np.linalg.eigvals(slopes(places, amplitude, found.aux)).real
        assert np.abs(values - found.leading_eigenvalue[place]).min() < 1e-7


# Limit maps on surfaces

SURFACES = {"sphere": (8, [1.0, 0.0, 0.0]), "torus": (12, [1.0, 0.0, 1.0, 0.0])}


@pytest.mark.parametrize("space", SURFACES)
def test_tokens_on_a_great_circle_branch_as_on_the_circle(space, tmp_path):
    """A ring of keys in a plane of the embedding; on the torus the other angles are all the same."""
    resolution, start = SURFACES[space]
    settings = {
        "token.space": space,
        "token.resolution": resolution,
        "auxiliary.nodes": 8,
        "noise.sigma": 0.0,
    }
    problem = mf.load("additive-ring", {**settings, "initial": {"kind": "points", "points": [start]}})
    found, known = mf.bifurcation(problem, "encoding.amplitude", 0.1, 1.2), ring(8)
    for ours, theirs in ((found.folds, known.folds), (found.branch_points, known.branch_points)):
        assert [one["value"] for one in ours] == pytest.approx([one["value"] for one in theirs], abs=1e-8)
    assert found.transition == known.transition
    assert np.abs(found.residual).max() < RESIDUAL
    assert found.map_position.shape == (found.parameter.size, 8, len(start))
    assert np.abs(found.map_position[..., 2:] - start[2:]).max() < 1e-8
    found.save(tmp_path / "found.h5")
    again = mf.open(tmp_path / "found.h5")
    assert np.array_equal(again.map_position, found.map_position)
    assert main(["plot", str(tmp_path / "found.h5")]) == 0


def test_maps_on_the_sphere_rest_and_are_as_stable_as_told(tmp_path):
    """Keys in general position: velocities and their Jacobian by the definition, unnormalised and causal."""
    rng, nodes = np.random.default_rng(3), 5
    shifts = 0.5 * rng.standard_normal((nodes, 3))
    np.savetxt(tmp_path / "shifts.txt", shifts)
    (tmp_path / "case.toml").write_text(
        """[token]
space = "sphere"
resolution = 10
[auxiliary]
kind = "uniform"
nodes = 5
[encoding]
kind = "additive"
shape = "table"
file = "shifts.txt"
[attention]
beta = 1.0
bias = "causal"
[initial]
kind = "points"
points = [[0.0, 0.6, 0.8]]
[time]
final = 1.0
""",
        encoding="utf-8",
    )
    found = mf.bifurcation(mf.load(tmp_path / "case.toml"), "attention.beta", 0.2, 3.0)
    assert found.parameter.min() == 0.2
    assert found.parameter.max() == 3.0
    hidden = np.triu(np.full((nodes, nodes), -np.inf), 1)

    def velocity(places, beta):
        share = special.softmax(beta * (places + shifts) @ (places + shifts).T + hidden, axis=1)
        vectors = share @ (places + shifts)
        return vectors - (vectors * places).sum(axis=1, keepdims=True) * places

    for point in range(0, found.parameter.size, 4):
        places, beta = found.map_position[point], found.parameter[point]
        assert np.abs(np.linalg.norm(places, axis=1) - 1.0).max() < 1e-12
        assert np.abs(velocity(places, beta)).max() < 2.0 * RESIDUAL
        tangents = [np.linalg.svd(place[None])[2][1:] for place in places]
        columns = []
        for node in range(nodes):
            for along in tangents[node]:
                ends = []
                for step in (1e-5, -1e-5):
                    moved = places.copy()
                    moved[node] = (moved[node] + step * along) / math.hypot(1.0, step)
                    ends.append(velocity(moved, beta))
                slope = (ends[0] - ends[1]) / 2e-5
                columns.append(np.concatenate([t @ row for t, row in zip(tangents, slope, strict=True)]))
        exact = np.linalg.eigvals(np.stack(columns, axis=1)).real.max()
        assert found.leading_eigenvalue[point] == pytest.approx(exact, abs=1e-7)
        assert (found.stable[point] == 1) == (exact < 0.0)


def test_rings_on_zonal_spheres_are_followed_by_differences():
    """Their velocities have no derivatives by pairs; the limits at both ends are found by themselves."""
    settings = {
        "token": {"space": "zonal", "dimension": 5, "resolution": 24},
        "auxiliary.nodes": 4,
        "noise.sigma": 0.0,
        "encoding": {"kind": "additive", "shape": "line", "amplitude": 0.5},
        "initial": {"kind": "vonmises", "concentration": 1.0},
    }
    found = mf.bifurcation(mf.load("additive-ring", settings), "attention.beta", 0.5, 1.0)
    assert np.abs(found.residual).max() < RESIDUAL
    for value in (0.5, 1.0):
        limit = mf.limit(mf.load("additive-ring", {**settings, "attention.beta": value}))
        (place,) = np.flatnonzero(found.parameter == value)
        assert np.abs(np.sort(found.map_position[place]) - np.sort(limit.atom_position.ravel())).max() < 1e-6


# Refusals


def test_too_many_nodes_for_limit_maps_are_refused():
    settings = {"auxiliary.nodes": 6001, "noise.sigma": 0.0}
    with pytest.raises(mf.InputError, match="at most 6000"):
        mf.bifurcation(mf.load("additive-ring", settings), "encoding.amplitude", 0.1, 0.2)


def test_too_coarse_grids_are_told():
    """What was followed is kept: the uniform law, and the branch up to where 48 points do not resolve it."""
    problem = mf.load("mode-collapse", {"token.resolution": 48, "solver.max_resolution": 48})
    with pytest.raises(mf.BifurcationError, match="max_resolution = 48") as caught:
        mf.bifurcation(problem, "noise.sigma", 0.02, 0.4)
    found = caught.value.diagram
    assert found.attributes["status"] == "stopped"
    assert "max_resolution" in found.attributes["notes"]
    (point,) = [one for one in found.branch_points if one["mode"] == 1]
    assert abs(point["value"] - critical(2.0, "softmax")) < EXACT
    ordered = found.order_parameter > 0.1
    assert 0.02 < found.parameter[ordered].min() < critical(2.0, "softmax")
    assert np.abs(found.residual).max() < RESIDUAL


def test_branches_refine_their_grids():
    """From 32 points, where the ordered state needs more, the end is that from 96."""
    ends = []
    for points in (32, 96):
        problem = mf.load("mode-collapse", {"token.resolution": points})
        found = mf.bifurcation(problem, "noise.sigma", 0.2, 0.4)
        (place,) = np.flatnonzero((found.parameter == 0.2) & (found.order_parameter > 0.1))
        ends.append(found.order_parameter[place])
    assert abs(ends[0] - ends[1]) < 1e-8


@pytest.mark.parametrize(
    ("parameter", "low", "high", "message"),
    [
        ("noise.sgma", 0.1, 0.2, 'did you mean "sigma"'),
        ("noise.sigma", 0.0, 1.0, "must stay above 0"),
        ("noise.sigma", 1.0, 1.0, "ends must be two"),
        ("noise.sigma", math.nan, 1.0, "finite"),
        ("attention.beta", -1.0, 1.0, ">= 0"),
        ("prompt.fraction", 0.1, 0.2, r"there is no \[prompt\]"),
        ("encoding.amplitude", 0.1, 0.2, "not additive"),
        ("time.final", 1.0, 2.0, "does not change the equation"),
    ],
)
def test_what_cannot_vary_is_refused(parameter, low, high, message):
    with pytest.raises(mf.InputError, match=message):
        mf.bifurcation(mf.load("mode-collapse", COLLAPSE), parameter, low, high)


def test_points_are_at_least_two():
    with pytest.raises(mf.InputError, match="points must be at least 2, got 1"):
        mf.bifurcation(mf.load("mode-collapse", COLLAPSE), "noise.sigma", 0.1, 0.5, points=1)


def test_diagrams_are_read_as_they_were_saved(tmp_path):
    found = folding()
    found.save(tmp_path / "diagram.h5")
    read = mf.open(tmp_path / "diagram.h5")
    assert isinstance(read, mf.Bifurcation)
    assert read.summary() == found.summary()
    assert np.array_equal(read.marginal, found.marginal)
