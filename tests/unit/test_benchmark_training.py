"""The benchmarks of training at small size: JAX beside the adjoint, ways of keeping, branches of optima."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

# The benchmarks are not installed. Last on the path, so that the clone does not hide the installed packages.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import adjoint, escape_branches, escape_figure
from benchmarks.escape_branches import Optimum
from solvers.adjoint import Run, Tape


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is a development-only peer")
def test_gradients_agree_with_jax():
    record = adjoint.with_jax(64, "softmax", "fft", "states", 1)
    # Rounding of a thousand stages; the multipliers and weights of steps are computed in different ways.
    assert record["gradient_difference"] < 1e-12
    assert record["loss_difference"] < 1e-12


def test_without_jax_there_is_no_comparison(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert adjoint.beside_jax(1) == []
    assert "jax is not installed" in capsys.readouterr().out


@pytest.mark.parametrize(("memory", "every"), [("tape", None), ("states", 1), ("two levels", 12)])
def test_gradients_are_kept_as_the_table_says(memory, every):
    """Of 200 steps 17 states 12 steps apart, and 12 in between: 29, twice the root of 200."""
    objective = adjoint.keeping(adjoint.escape(64, "none"), memory)
    parameters = np.zeros(objective.shape)
    prepared = objective._prepared(parameters, lambda state, _: (np.zeros_like(state), np.zeros_like))
    kept = getattr(prepared[1], "func", prepared[1]).__self__
    assert isinstance(kept, Tape if every is None else Run)
    if every is not None:
        assert kept.every == every


def optimum(regularization, loss, energy, orders, depth=12.0):
    return Optimum(depth, regularization, np.zeros((30, 7)), loss, 0.0, energy, np.array(orders), 0.5, 1, 0.0)


@pytest.mark.parametrize(
    ("orders", "kind"), [([0.4, 0.9, 0.8], "clustered"), ([0.4, 0.8, 0.1], "escape"), ([0.4, 0.1], "avoids")]
)
def test_kinds_of_optima(orders, kind):
    assert optimum(1.0, 0.0, 0.0, orders).kind == kind


def test_branches_cross_where_their_objectives_are_equal():
    """J = λ e/2 + ℓ: cubics are exact."""
    first = [optimum(value, 0.5 * value, 1.0, [0.1]) for value in (0.1, 0.2, 0.5)]
    second = [optimum(value, 0.1 + 0.05 * value, 0.1, [0.9]) for value in (0.15, 0.3, 1.0)]
    assert escape_branches.crossing(first, second) == pytest.approx(0.1 / 0.45, rel=1e-12)
    assert np.isnan(escape_branches.crossing(first[:2], second))


def test_ends_of_branches_are_halved(monkeypatch):
    def known(depth, regularization, _):
        return optimum(regularization, 0.0, 0.0, [0.9, 0.1 if regularization < 0.3 else 0.9], depth)

    monkeypatch.setattr(escape_branches, "optimum", known)
    last, beyond = escape_branches.end(known(12.0, 0.1, None), 1.0, 6)
    assert last.regularization < 0.3 <= beyond
    assert beyond / last.regularization == pytest.approx(10.0 ** (1.0 / 64.0), rel=1e-9)
    found = escape_branches.followed(known(12.0, 0.1, None), [0.2, 0.29, 0.4, 0.2])
    assert [point.regularization for point in found] == [0.1, 0.2, 0.29]


def test_a_short_optimum_and_a_longer_one():
    short = escape_branches.optimum(4.0, 1.0)
    longer = escape_branches.lengthened(short, 4.8)
    assert short.parameters.shape == (10, 7)
    assert longer.parameters.shape == (12, 7)
    assert short.loss == pytest.approx(short.terminal_loss + 0.5 * short.energy, rel=1e-12)
    assert escape_branches.lengthened(longer, 4.0).loss == pytest.approx(short.loss, rel=1e-5)


def test_the_figure_is_drawn(tmp_path):
    point = {
        "depth": 12.0,
        "regularization": 0.1,
        "loss": 0.1,
        "final_order_parameter": 0.2,
        "plateau_share": 0.3,
    }
    points = [
        {**point, "series": series, "kind": kind, "regularization": value}
        for series in ("clustered", "escape", "avoids", "from zero", "over depth")
        for kind in ("clustered", "escape")
        for value in (0.1, 0.2)
    ]
    phases = [
        {"series": "phases", "depth": 8.0, "escape": None, "clustered": (0.1, 0.0), "equal": None},
        {"series": "phases", "depth": 12.0, "escape": (0.2, 0.3), "clustered": (0.1, 0.08), "equal": 0.2},
    ]
    escape_figure.draw([*points, *phases], tmp_path / "escape.png")
    assert (tmp_path / "escape.png").stat().st_size > 10_000
