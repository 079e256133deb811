"""The script that meanfield-pde is compared with solves the right equations, and is tuned without luck."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

# The benchmarks are not installed. Last on the path, so that the clone does not hide the installed packages.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import peers, scipy_script, tuning
from benchmarks.problems import HIGHEST_MODE, PROBLEMS
from benchmarks.tuning import Trial, cheapest

SHORT = [
    replace(PROBLEMS[0], final=0.2),
    replace(PROBLEMS[1], final=0.5),
    replace(PROBLEMS[2], final=0.5, nodes=3),
]


def modes_by_definition(problem, resolution):
    """Integrate the definition: sums over all pairs, derivatives of trigonometric polynomials."""
    angles = 2 * np.pi * np.arange(resolution) / resolution
    m = np.fft.fftfreq(resolution, 1 / resolution) * (np.arange(resolution) != resolution // 2)
    point = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[None]
    tangent = np.stack([-np.sin(angles), np.cos(angles)], axis=-1)
    turn = 2 * np.pi * problem.positions[:, None]
    encoded = point + problem.ring * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    scores = np.exp(problem.beta * np.einsum("jad,kbd->jakb", encoded, encoded))

    def rate(_, state):
        density = state.reshape(problem.nodes, resolution)
        mass = density * (2 * np.pi / resolution / problem.nodes)
        field = np.einsum("jakb,kb,kbd->jad", scores, mass, encoded)
        if problem.softmax:
            field /= np.einsum("jakb,kb->ja", scores, mass)[..., None]
        velocity = np.einsum("jad,ad->ja", field, tangent)
        flux = density * velocity - problem.sigma * derivative(density)
        return -derivative(flux).ravel()

    def derivative(values):
        return np.fft.ifft(1j * m * np.fft.fft(values)).real

    start = problem.density(angles).ravel()
    end = solve_ivp(rate, (0, problem.final), start, method="RK45", rtol=1e-10, atol=1e-11).y[:, -1]
    return np.fft.fft(end.reshape(problem.nodes, -1))[:, : HIGHEST_MODE + 1] * (2 * np.pi / resolution)


@pytest.mark.parametrize("problem", SHORT, ids=lambda problem: problem.name)
def test_script_solves_the_definition(problem):
    resolution = 96 if problem.nodes == 1 else 40
    modes = scipy_script.prepare(problem, resolution, 1e-11)()
    assert modes.shape == (problem.nodes, HIGHEST_MODE + 1)
    # RK45 at rtol = 1e-10 takes some hundred steps: a few 1e-9 at most.
    assert np.max(np.abs(modes - modes_by_definition(problem, resolution))) < 5e-9


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_initial_modes(problem):
    modes = scipy_script.prepare(replace(problem, final=1e-12), 48, 1e-3)()
    assert np.allclose(modes[:, 0], 1, rtol=0, atol=1e-14)
    # cos m(theta) with amplitude a has c_m = a/2; over 1e-12 of depth nothing moves by more than 1e-10.
    first = sum(
        wave.cosine / 2 * np.exp(-2j * np.pi * wave.turns * problem.positions)
        for wave in problem.waves
        if wave.mode == 1
    )
    assert np.max(np.abs(modes[:, 1] - first)) < 1e-10


def test_a_lucky_tolerance_does_not_count():
    trials = [
        Trial(32, 1e-2, 1e-9, 1.0),  # lucky at 1e-6: the next tolerance misses
        Trial(32, 1e-3, 1e-4, 2.0),
        Trial(32, 1e-4, 1e-7, 4.0),
        Trial(32, 1e-5, 1e-8, 3.0),
        Trial(64, 1e-2, np.inf, 1.0),
        Trial(64, 1e-3, 1e-9, 5.0),
    ]
    assert cheapest(trials, 1e-6) == trials[3]
    assert cheapest(trials, 1e-3) == trials[0]
    assert cheapest(trials, 1e-12) is None


def test_failed_run_has_infinite_error():
    assert tuning.error(np.full((1, 9), np.nan + 0j), np.zeros((1, 9), dtype=complex)) == np.inf


def test_reference_of_the_smooth_problem_and_a_tuned_setting():
    problem = PROBLEMS[1]
    assert tuning.reference(problem)[0, 0] == pytest.approx(1, abs=1e-13)
    modes = scipy_script.prepare(problem, 45, 1e-10)()
    assert tuning.error(modes, tuning.reference(problem)) < 1e-10  # the setting of the published table


def instant(problem, resolution, rtol):
    """Give the exact answer, for a table without waiting."""
    return lambda: tuning.reference(problem) + rtol / resolution


def test_table_of_both_contenders(monkeypatch):
    monkeypatch.setitem(tuning.RESOLUTIONS, "P2", (34,))
    monkeypatch.setattr(tuning, "TOLERANCES", (1e-4, 1e-5))
    monkeypatch.setattr(peers, "LEAST_SECONDS", 0.0)
    contenders = {"scipy": instant, "meanfield-pde": instant}
    rows = peers.compare(PROBLEMS[1], contenders, repetitions=3)
    lines = peers.table(rows, contenders).splitlines()
    assert len(lines) == 2 + len(peers.TARGETS)
    assert len({line.count("|") for line in lines}) == 1
    assert "not reached" in lines[-1]
    assert lines[0].endswith("times less CPU |")


def test_report_stands_between_the_markers(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- peers:begin -->\nold\n<!-- peers:end -->\nafter\n", encoding="utf-8")
    peers.write("new", page)
    assert (
        page.read_text(encoding="utf-8") == "before\n<!-- peers:begin -->\nnew\n<!-- peers:end -->\nafter\n"
    )
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(ValueError, match="peers:begin"):
        peers.write("new", page)
