"""Designs reach their targets: confirmed by solving the configurations that they write."""

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import api
from meanfield_pde.attention.reference import token_velocity
from meanfield_pde.building import build
from meanfield_pde.config import loads
from meanfield_pde.designs.find import Wanted
from meanfield_pde.designs.line_laws import LineLaw
from meanfield_pde.designs.targets import LineTarget
from meanfield_pde.limits.tokens import TokenSystem

CIRCLE = """
title = "Design"
[token]
resolution = 32
[auxiliary]
kind = "uniform"
nodes = 12
[attention]
beta = 2.0
[initial]
kind = "points"
angles = [0.3, 1.9, 2.2, 4.1, 5.5]
[time]
final = 5.0
save = 2
[design]
target = { kind = "uniform" }
"""
SPHERE = """
[token]
space = "sphere"
resolution = 8
[auxiliary]
kind = "uniform"
nodes = 8
[attention]
beta = 2.0
[initial]
kind = "points"
points = [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [-0.6, 0.64, -0.48]]
[time]
final = 5.0
save = 2
[design]
encoding = "prompt"
target = { kind = "vonmises", center = [0.0, 0.6, 0.8], concentration = 2.0 }
"""
TORUS = """
[token]
space = "torus"
resolution = 16
[auxiliary]
kind = "uniform"
nodes = 6
[attention]
beta = 2.0
[initial]
kind = "points"
points = [[0.6, 0.8, 1.0, 0.0], [0.0, 1.0, -0.8, 0.6], [-0.6, 0.8, 0.0, -1.0]]
[time]
final = 5.0
save = 2
[design]
amplitude = 3.0
target = { kind = "fourier", modes = [[1, 1, 0.9, 0.0]] }
"""
TARGETS = {
    "uniform": {"kind": "uniform"},
    "arc": {"kind": "arc", "center": 0.5, "width": 2.0},
    "von Mises": {"kind": "vonmises", "center": 2.0, "concentration": 2.0},
    "mixture": {
        "kind": "mixture",
        "components": [
            {"center": 1.0, "concentration": 4.0, "weight": 0.6},
            {"center": 4.0, "concentration": 8.0, "weight": 0.4},
        ],
    },
    "points": {"kind": "points", "angles": [0.2, 1.5, 4.4], "weights": [0.25, 0.25, 0.5]},
}
WITHIN = {"design.encoding": "prompt", "attention.bias": "within"}
ROTARY = {"design.encoding": "rotary", "attention.beta": 1.0}
#: W₂ of exact constructions, and of those by Newton's method, to the atoms of the target.
EXACT, ADDITIVE = 1e-8, 1e-4


def designed(text, **overrides):
    return mf.design(build(loads(text, overrides)))


def solved(design, folder):
    """Solution of the configuration that the design writes, read from its files as a user's would be."""
    design.save(folder / "design.h5")
    (folder / "designed.toml").write_text(design.toml("design.h5"), encoding="utf-8")
    return mf.load(folder / "designed.toml")


def apart(design, problem):
    """Root mean square angle between the last tokens of a run and the targets of their nodes: W₂ at most."""
    solution = mf.solve(problem)
    far = np.angle(np.exp(1j * (solution.position[-1] - design.target_map[:, None])))
    return np.sqrt(problem.auxiliary.weights @ (solution.label_weight * far**2).sum(axis=1))


def at_rest(design, problem):
    """Largest speed of a token at the limit map, by the sum over all pairs that is the definition."""
    system = TokenSystem.of_maps(problem)
    field = token_velocity(problem.space, problem.attention, system.atoms(design.limit_map))
    frame = problem.space.frame_at(design.limit_map)
    return np.abs(np.einsum("npd,nd->np", frame, field)).max()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ({"design.amplitude": 2.5}, ADDITIVE),
        (WITHIN, EXACT),
        (ROTARY, EXACT),
    ],
    ids=["additive", "prompt", "rotary"],
)
def test_targets_are_reached(name, kind, tolerance, tmp_path):
    design = designed(CIRCLE, **{**kind, "design.target": TARGETS[name]})
    assert design.reached
    # Rotated tokens of a uniform target are spread evenly: from there the flow goes nowhere for long.
    spread = name == "uniform" and kind is ROTARY
    assert design.attributes["verified_from"] == ("near" if spread else "initial")
    assert design.attributes["verified_w2"] <= tolerance
    assert design.w2 <= EXACT
    problem = solved(design, tmp_path)
    assert at_rest(design, problem) <= 1e-12  # some roundings of sums over a dozen tokens
    assert spread or apart(design, problem) <= tolerance


@pytest.mark.parametrize(
    "overrides",
    [
        {"attention.bias": "causal", "design.amplitude": 3.0},
        {"attention.normalization": "none", "attention.beta": 1.0, "design.amplitude": 2.0},
        {"design.encoding": "prompt", "encoding": {"kind": "additive", "amplitude": 0.3}},
        {**ROTARY, "prompt": {"angles": [1.0], "fraction": 0.2}},
    ],
    ids=["causal", "unnormalised", "prompts beside a ring", "rotary with a prompt"],
)
def test_other_equations_are_designed_for(overrides, tmp_path):
    design = designed(CIRCLE, **overrides, **{"design.target": TARGETS["von Mises"]})
    assert design.reached
    problem = solved(design, tmp_path)
    # Relative to the longest attention vector, e^{β(1 + a)²} = e⁹ without normalisation.
    scale = TokenSystem.of_maps(problem).scale(design.limit_map)
    assert at_rest(design, problem) <= 1e-12 * scale


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        (SPHERE, {"attention.bias": "within"}),
        (SPHERE, {"design.encoding": "additive", "design.amplitude": 3.0}),
        (TORUS, {}),
    ],
    ids=["prompts on the sphere", "additive on the sphere", "additive on the torus"],
)
def test_surfaces(text, overrides, tmp_path):
    design = designed(text, **overrides)
    assert design.reached
    problem = solved(design, tmp_path)
    assert at_rest(design, problem) <= 1e-12
    solution = mf.solve(problem)
    away = problem.space.distance(solution.conditional_mean[-1], design.target_map)
    assert away.max() <= ADDITIVE
    assert design.w2 <= EXACT
    assert design.attributes["w2_continuous"] == pytest.approx(design.attributes["quantization"])


def test_the_least_amplitude_is_where_stability_ends():
    target = {"design.target": TARGETS["von Mises"]}
    design = designed(CIRCLE, **target)
    least = design.attributes["least_amplitude"]
    assert design.attributes["amplitude"] == pytest.approx(1.2 * least)
    assert designed(CIRCLE, **target, **{"design.amplitude": 1.01 * least}).stable
    with pytest.raises(mf.DesignError, match="unstable") as caught:
        designed(CIRCLE, **target, **{"design.amplitude": 0.99 * least})
    below = caught.value.design
    assert below.residual <= 1e-12
    assert below.attributes["leading"] > 0.0


def test_what_cannot_be_reached_is_told_with_the_best_found():
    with pytest.raises(mf.DesignError, match=r"raise design.amplitude to at least \d") as caught:
        designed(CIRCLE, **{"design.amplitude": 0.1, "design.target": TARGETS["von Mises"]})
    design = caught.value.design
    assert not design.reached
    assert design.attributes["status"] == "stopped"
    assert 0.0 < design.residual < np.inf
    assert np.linalg.norm(design.encoding, axis=1) == pytest.approx(np.full(12, 0.1))
    advised = float(str(caught.value).partition("at least ")[2].split()[0])
    assert designed(CIRCLE, **{"design.amplitude": advised, "design.target": TARGETS["von Mises"]}).reached


def test_bare_values_are_no_encoding():
    target = {"attention.values": "token", "design.amplitude": 3.0, "design.target": TARGETS["von Mises"]}
    with pytest.raises(mf.DesignError, match="no directions keep tokens at rest") as caught:
        designed(CIRCLE, **target)
    design = caught.value.design
    assert np.isnan(design.limit_map).all()
    assert design.w2 == pytest.approx(design.attributes["verified_w2"])


def test_scores_that_are_equal_leave_nothing_to_design():
    """At β = 0 all tokens feel the same field, whatever p(z) is."""
    with pytest.raises(mf.DesignError, match=r"no amplitude up to 32 has a stable map: raise att"):
        designed(CIRCLE, **{"attention.beta": 0.0, "design.target": TARGETS["von Mises"]})


def test_rotary_without_a_start_that_says_where_is_reached_up_to_a_rotation():
    """A uniform law stays as it is: the run near the map shows the target, turned."""
    design = designed(CIRCLE, **ROTARY, **{"design.target": TARGETS["arc"], "initial": {"kind": "uniform"}})
    assert design.attributes["verified_from"] == "near"
    assert design.attributes["verified_w2"] <= EXACT
    assert design.attributes["turned"] == 0.0
    assert design.attributes["neutral"] == 1


def test_rotary_positions_with_values_that_turn_nothing_are_refused():
    value = {"attention.value": [[1.0, 0.5], [0.0, 1.0]]}
    with pytest.raises(mf.InputError, match="value matrices"):
        designed(CIRCLE, **ROTARY, **value)


def test_problems_made_in_python_are_designed_for():
    """Without a configuration: the target and what is free are given, and there is no TOML."""
    from dataclasses import replace

    problem = replace(build(loads(CIRCLE)), configuration="")
    with pytest.raises(mf.InputError, match="wanted"):
        api.design(problem)
    wanted = Wanted("additive", LineTarget(LineLaw.uniform(1.0, 2.0)), amplitude=3.0)
    design = api.design(problem, wanted)
    assert design.reached
    assert not design.toml("x.h5")
    assert design.attributes["quantization"] == pytest.approx(2.0 / 12 / np.sqrt(12.0))


def test_unnormalised_attention_bounds_the_amplitude():
    """Exponents reach β(1 + a)², here 110 at a = 13.83: nothing is tried beyond, and nothing overflows."""
    wanted = {"kind": "uniform"}
    settings = {
        "token.resolution": 8,
        "auxiliary.nodes": 1,
        "encoding": {"kind": "none"},
        "noise.sigma": 0.0,
        "attention": {"beta": 0.5, "normalization": "none", "values": "token"},
        "initial": {"kind": "uniform"},
        "time": {"final": 0.1},
        "solver": {"rtol": 1e-3, "atol": 1e-3, "max_resolution": 32},
        "design": {"encoding": "additive", "target": wanted},
    }
    with (
        np.errstate(all="raise", under="ignore"),
        pytest.raises(mf.DesignError, match="no amplitude up to 8 has a stable map"),
    ):
        mf.design(mf.load("additive-ring", settings))
    too_long = {**settings, "design": {"encoding": "additive", "target": wanted, "amplitude": 14.0}}
    with pytest.raises(mf.InputError, match=r"amplitude: must be at most 13\.83"):
        mf.design(mf.load("additive-ring", too_long))
    steep = {**settings, "attention": {"beta": 60.0, "normalization": "none"}, "solver.max_resolution": 256}
    with pytest.raises(mf.InputError, match="overflows with an encoding"):
        mf.design(mf.load("additive-ring", steep))
