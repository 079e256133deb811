"""What ends a run early, and what it reports of clusters and plateaus."""

import numpy as np
import pytest

from meanfield_pde import auxiliary, encodings, evolution, initial, plateaus
from meanfield_pde.attention import Attention, Head
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import modes_of

BUMPS = Initial(initial.fourier([(1, 0.4, 0.7), (2, 0.3, 2.0)]))
THREE = Initial(initial.fourier([(3, 0.05, 0.9), (1, 0.01, 2.0), (2, 0.01, 1.0)]), degree=3)
SLOW = np.concatenate([[0.0], np.geomspace(0.05, 1e4, 100)])


def solve(beta, normalization, depths, start, sigma=0.0, **options):
    layer = Attention((Head.plain(beta, 2),), auxiliary.none(), encodings.none(), normalization)
    return evolution.solve(Problem(Circle(64), layer, np.asarray(depths, float), start, sigma, **options))


def low_modes(solution):
    """Modes 0 … 8 of the marginal: of the labels, where there are any."""
    if "position" not in solution.record.variables:
        return modes_of(solution.density[:, 0])
    waves = np.exp(-1j * np.arange(9) * solution.position[:, 0, :, None])
    return (solution.label_weight[0][:, None] * waves).sum(axis=1)


@pytest.mark.parametrize(
    ("method", "sigma"),
    [("spectral", 0.1), ("finite-volume", 0.1), ("finite-volume", 0.0), ("characteristics", 0.0)],
)
def test_a_steady_state_ends_the_run(method, sigma):
    """At the first saved depth at which no mode up to the eighth changes faster than the tolerance."""
    depths, tolerance = np.arange(0.0, 200.5, 0.5), 1e-5
    run = solve(1.0, "softmax", depths, BUMPS, sigma, method=method, steady=tolerance)
    assert run.attributes["status"] == "steady"
    assert 4.0 < run.time[-1] < 100.0
    assert np.array_equal(run.time, depths[: run.time.size])
    modes = low_modes(run)
    # Rates fall at 0.5 a depth or faster here, so that differences are between these multiples of them.
    change = np.abs(np.diff(modes, axis=0)).max(axis=1) / 0.5
    assert change[-2] > 0.5 * tolerance
    assert change[-1] < 4.0 * tolerance
    whole = solve(1.0, "softmax", [0.0, 200.0], BUMPS, sigma, method=method)
    assert whole.attributes["status"] == "finished"
    # What is left to change at a rate below 1e-5 that falls with time constants of order one.
    assert np.abs(low_modes(whole)[-1] - modes[-1]).max() < 10.0 * tolerance


def test_the_start_is_never_taken_for_a_steady_state():
    run = solve(1.0, "softmax", [0.0, 1.0, 2.0, 3.0], Initial(initial.uniform), 0.1, steady=1e-8)
    assert run.attributes["status"] == "steady"
    assert list(run.time) == [0.0, 1.0]


def test_a_plateau_is_not_steady_unless_its_velocities_are_tolerated():
    """USA, β = 5: three clusters move at 1e-3 or faster before they merge, one Dirac mass not at all."""
    merged = solve(5.0, "none", SLOW, THREE, steady=1e-8)
    assert merged.attributes["status"] == "steady"
    assert merged.time[-1] < 1e4
    assert merged.cluster_count[-1] == 1
    assert [p["clusters"] for p in plateaus.describe(merged.record)] == [3, 2]  # one is but just reached
    assert merged.order_parameter[-1] == pytest.approx(1.0, abs=1e-12)
    waiting = solve(5.0, "none", SLOW, THREE, steady=0.2)
    assert waiting.attributes["status"] == "steady"
    assert waiting.cluster_count[-1] == 3
    shared = waiting.time.size
    assert np.abs(waiting.order_parameter - merged.order_parameter[:shared]).max() < 1e-8


@pytest.mark.parametrize(("method", "sigma"), [("spectral", 0.02), ("finite-volume", 0.02)])
def test_clusters_and_plateaus_with_noise(method, sigma):
    """SA, β = 5: three clusters at 0.9 + 2πk/3, as mode 3 of the start, then two, one of two thirds."""
    depths = np.concatenate([np.linspace(0.0, 120.0, 61), np.geomspace(150.0, 400.0, 8)])
    run = solve(5.0, "softmax", depths, THREE, sigma, method=method)
    (three, two) = plateaus.describe(run.record)
    assert (three["clusters"], two["clusters"]) == (3, 2)
    assert not three["final"]
    assert two["final"]
    assert three["lifetime"] > 20.0
    assert list(run.plateau_clusters) == [3, 2]
    during = (run.time >= run.plateau_start[0]) & (run.time <= run.plateau_end[0])
    assert (run.cluster_count[during] == 3).all()
    first = int(np.flatnonzero(during)[0])
    assert np.abs(run.cluster_mass[first] - 1.0 / 3.0).max() < 0.03
    places = np.sort(run.cluster_position[first])
    # Modes 1 and 2 of the start, of a fifth of its size, move them by about as much of a third of a turn.
    assert np.abs(places - 0.9 - 2.0 * np.pi * np.arange(3) / 3.0).max() < 0.3
    assert np.isnan(run.cluster_mass[-1, 2])
    assert run.cluster_mass[-1, :2] == pytest.approx([2.0 / 3.0, 1.0 / 3.0], abs=0.04)


def test_clusters_of_tokens_are_counted_exactly():
    """Three tokens apart, of masses 1, 2 and 4; the space between is far wider than clusters are smoothed."""
    tokens = Tokens(np.array([[0.5, 2.5, 4.5]]), np.array([[1.0, 2.0, 4.0]]))
    run = solve(1.0, "softmax", [0.0, 1e-6, 2e-6], Initial(initial.uniform, tokens=tokens))
    assert (run.cluster_count == 3).all()
    # The kernel of width 0.05 is integrated between valleys a radian away.
    assert run.cluster_mass[0] == pytest.approx(np.array([4.0, 2.0, 1.0]) / 7.0, abs=1e-10)
    assert run.cluster_position[0] == pytest.approx([4.5, 2.5, 0.5], abs=1e-10)
    assert plateaus.describe(run.record)[0]["lifetime"] == pytest.approx(2e-6)
