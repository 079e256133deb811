"""Every shipped configuration runs, at a small size, with one number that is known."""

import numpy as np
import pytest
from scipy import special

import meanfield_pde as mf
from meanfield_pde import shipped

# R(0) = |c₁| of the initial marginal: a/2 for a mode [1, a, φ] that is the same at every node, I₁(κ)/I₀(κ)
# for a von Mises density. Causal attention turns its mode a = 0.6 by πz: over 8 midpoints a Dirichlet kernel.
# On the sphere coth κ − 1/κ, on zonal spheres a/d for 1 + a t; n orthonormal tokens have a mean of length
# n^(−1/2); on the torus a/2 in both planes.
ORDER = {
    "additive-ring": 0.15,
    "causal-attention": 0.3 / (8.0 * np.sin(np.pi / 16.0)),
    "classification": 0.25,
    "design-arc": 0.2,
    "design-mixture": special.iv(1, 1.0) / special.iv(0, 1.0),
    "escape-circle": 0.4,
    "escape-sphere": 1.0 / np.tanh(2.0) - 0.5,
    "kuramoto": 0.025,
    "metastable-clusters": 0.005,
    "minilm-natural": 0.1,
    "minilm-removed": 0.1,
    "minilm-scaled": 0.1,
    "mode-collapse": 0.2,
    "orthonormal-tokens": 8.0**-0.5,
    "phase-diagram": 0.15,
    "prompt-steering": special.iv(1, 0.5) / special.iv(0, 0.5),
    "ring-transition": special.iv(1, 3.0) / special.iv(0, 3.0),
    "rotary-bare": 0.2,
    "rotary-encoded": 0.2,
    "sphere-positions": 1.0 / np.tanh(0.5) - 2.0,
    "sphere-ring": 1.0 / np.tanh(1.0) - 1.0,
    "starter": 0.15,
    "three-clusters": 0.0005,
    "torus": np.hypot(0.15, 0.1),
    "zonal-collapse": 0.06,
}


def path_of(name):
    return shipped.configurations()[name]


def test_every_shipped_configuration_is_here():
    assert sorted(shipped.configurations()) == sorted(ORDER)


@pytest.mark.parametrize("name", sorted(ORDER))
def test_it_runs(name):
    overrides = {"time.final": 0.2, "time.save": 3, "token.resolution": 64}
    if "sphere" in name:
        overrides |= {"token.resolution": 12, "solver.rtol": 1e-4, "solver.atol": 1e-5}
    if "\nnodes =" in path_of(name).read_text(encoding="utf-8"):
        overrides["auxiliary.nodes"] = 8
    solution = mf.solve(mf.load(path_of(name), overrides))
    assert solution.attributes["status"] == "finished"
    assert solution.order_parameter[0] == pytest.approx(ORDER[name], abs=1e-13)  # a few roundings
    assert solution.mass_error.max() <= 1e-13
    assert solution.minimum.min() > 0.0 or "position" in solution.record  # single tokens: a histogram


def test_real_positions_collapse_unless_they_are_scaled_up():
    """Removed and natural positions gain order with depth, scaled ones lose it."""
    overrides = {
        "time.final": 4.0,
        "time.save": 2,
        "token.resolution": 96,
        "solver.rtol": 1e-5,
        "solver.atol": 1e-7,
    }
    order = {
        scale: mf.solve(mf.load(path_of(f"minilm-{scale}"), overrides)).order_parameter[-1]
        for scale in ("removed", "natural", "scaled")
    }
    # Read off the shipped runs at depth 4: 0.318, 0.277 and 0.014.
    assert order["removed"] > order["natural"] > 0.2
    assert order["scaled"] < 0.05
