"""Grids are refined as the density asks; a solve that cannot go on says so and keeps what it has."""

import time

import numpy as np
import pytest
from scipy import optimize, special

from meanfield_pde import auxiliary, encodings, evolution, initial
from meanfield_pde.attention import Attention, Head
from meanfield_pde.drift import harmonics
from meanfield_pde.errors import ComputationError
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import modes_of, unit_vectors

BUMP = initial.fourier([(1, 0.4, 0.3), (2, 0.3, 1.0)])


def problem_of(resolution=64, depths=(0.0, 1.0), profile=BUMP, beta=2.0, **options):
    kind = options.pop("encoding", "none")
    nu = auxiliary.none() if kind == "none" else auxiliary.uniform(3)
    code = encodings.none() if kind == "none" else encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    layer = Attention((Head.plain(beta, 2),), nu, code, options.pop("normalization", "softmax"))
    start = Initial(profile, degree=options.pop("degree", 1))
    return Problem(Circle(resolution), layer, np.asarray(depths), start, method="spectral", **options)


@pytest.mark.parametrize("encoding", ["none", "ring"])
@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_the_first_grid_does_not_matter(encoding, sigma):
    """Refinement comes before the tail reaches atol = 1e-10: measured 5e-11."""
    solutions = [
        evolution.solve(problem_of(resolution, (0.0, 0.5, 2.0), encoding=encoding, sigma=sigma))
        for resolution in (16, 256)
    ]
    modes = [modes_of(solution.density) for solution in solutions]
    assert np.abs(modes[0] - modes[1]).max() < 1e-9
    assert solutions[0].grid_size[-1] > 16
    assert (np.diff(solutions[0].grid_size) >= 0).all()
    assert max(solution.spectral_tail.max() for solution in solutions) <= 1e-10


@pytest.mark.parametrize("order", [7, 8, 9, 12, 16])
def test_symmetric_densities_are_refined_like_others(order):
    """Data with m-fold symmetry fill every m-th mode only; what a grid cuts off must not go unseen."""
    profile, worst = initial.fourier([(order, 0.5, 0.0)]), 0.0
    options = {"profile": profile, "degree": order, "beta": 20.0, "sigma": 0.002}
    exact = modes_of(evolution.solve(problem_of(512, (0.0, 4.0), **options)).density, order + 1)
    for resolution in range(48 + order % 3, 160, 3):
        solution = evolution.solve(problem_of(resolution, (0.0, 4.0), **options))
        worst = max(worst, np.abs(modes_of(solution.density, order + 1) - exact).max())
    assert worst < 1e-8  # promised accuracy


@pytest.mark.parametrize(
    "resolution",
    [64, 128, 512],
)
def test_a_density_that_only_turns_stays_on_its_grid(resolution):
    """No attention, no noise, constant drift: ρ(t, θ) = ρ(0, θ − t), two modes on any grid."""
    off = Attention((Head(0.0, np.eye(2), np.eye(2), np.zeros((2, 2))),), auxiliary.none())
    depths = np.linspace(0.0, 10.0, 3)
    start = Initial(initial.fourier([(1, 0.3, 0.0)]))
    problem = Problem(Circle(resolution), off, depths, start, 0.0, harmonics((1.0,)), method="spectral")
    solution = evolution.solve(problem)
    modes = modes_of(solution.density)[:, 0]
    assert np.abs(modes - modes[0] * np.exp(-1j * np.arange(9) * depths[:, None])).max() < 1e-8
    assert solution.grid_size.max() == resolution


@pytest.mark.parametrize("resolution", [32, 128, 1024])
def test_weak_noise_is_resolved_on_any_grid(resolution):
    """Kuramoto at σ = 3e-4: a cluster of width √σ = 0.017 needs √(46/σ) = 390 modes, 1200 angles.

    R is that of the stationary state, to the promised accuracy.
    """
    problem = problem_of(resolution, (0.0, 5.0, 10.0, 40.0), beta=0.0, sigma=3e-4)
    solution = evolution.solve(problem)
    ratio = optimize.brentq(
        lambda r: special.ive(1, r / 3e-4) / special.ive(0, r / 3e-4) - r, 0.5, 1.0, xtol=1e-15
    )
    assert solution.order_parameter[-1] == pytest.approx(ratio, abs=1e-8)
    assert solution.grid_size.max() <= 2000


def test_the_finest_grid_stops_the_solve_with_what_was_reached():
    problem = problem_of(32, np.linspace(0.0, 20.0, 41), accuracy=Accuracy(max_resolution=100))
    with pytest.raises(evolution.StoppedError, match=r"max_resolution = 100 .* raise it") as caught:
        evolution.solve(problem)
    solution = caught.value.solution
    assert solution.attributes["status"] == "stopped"
    assert solution.attributes["resolution"] == 100
    assert 1.0 < solution.time[-1] < 20.0
    assert len(solution.time) == len(solution.density)
    assert (np.diff(solution.time) > 0).all()
    # What was reached is as good as ever.
    fine = evolution.solve(problem_of(256, solution.time))
    assert np.abs(modes_of(solution.density) - modes_of(fine.density)).max() < 1e-8


@pytest.mark.parametrize("concentration", [1e5, 1e6])
def test_initial_densities_that_are_too_sharp_are_refused(concentration):
    """exp(−m²/2κ) = 1e-10 at m = √(46 κ), that is 2144 at κ = 1e5: beyond the 1365 modes of 4096 angles."""
    profile = initial.vonmises(unit_vectors(np.array(1.0)), concentration)
    with pytest.raises(ComputationError, match=r"initial density needs more than solver\.max_resolution"):
        evolution.solve(problem_of(profile=profile))


def test_initial_densities_between_the_points_of_the_first_grid_are_refused():
    profile = initial.vonmises(unit_vectors(np.array(1.0)), 1e7)
    with pytest.raises(ComputationError):
        evolution.solve(problem_of(profile=profile))


def test_the_finest_grid_is_tried_for_the_initial_density():
    """e^{−m²/2κ}, κ = 40, needs about 46 modes, 140 angles: allowed, though 1.5 · 128 is not."""
    profile = initial.vonmises(unit_vectors(np.array(1.0)), 40.0)
    problem = problem_of(128, (0.0, 0.001), profile, accuracy=Accuracy(max_resolution=180))
    assert evolution.solve(problem).attributes["resolution"] <= 180


@pytest.mark.parametrize("sigma", [0.0, 0.1])
@pytest.mark.parametrize("beta", [60.0, 300.0, 600.0])
def test_huge_velocities_stop_without_hanging(beta, sigma):
    """e^β on the circle: no step is small enough for depth 1."""
    started = time.perf_counter()
    with pytest.raises(evolution.StoppedError) as caught:
        evolution.solve(problem_of(beta=beta, normalization="none", sigma=sigma))
    assert time.perf_counter() - started < 30.0
    assert caught.value.solution.attributes["status"] == "stopped"
    assert caught.value.solution.time[0] == 0.0


def test_an_interrupt_keeps_what_was_reached(monkeypatch):
    monkeypatch.setattr("solvers.travel.SECONDS_PER_CHUNK", 0.0)  # progress after every step
    monkeypatch.setattr("meanfield_pde.evolution.SECONDS_PER_CHUNK", 0.0)

    def press(progress):
        assert 0.0 <= progress.depth <= progress.final == 20.0
        if progress.depth > 3.0:
            raise KeyboardInterrupt

    with pytest.raises(evolution.Interrupted) as caught:
        evolution.solve(problem_of(64, np.linspace(0.0, 20.0, 21), sigma=0.1), press)
    solution = caught.value.solution
    assert solution.attributes["status"] == "interrupted"
    assert 3.0 <= solution.time[-1] < 5.0
    assert solution.density.shape[0] == solution.time.size


def test_an_interrupt_before_the_first_state_is_an_interrupt(monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(evolution, "travel", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        evolution.solve(problem_of())
    assert not isinstance(caught.value, evolution.Interrupted)
