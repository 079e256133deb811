"""The benchmarks of the methods at small size: their references, the published scheme, their tables."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# The benchmarks are not installed. Last on the path, so that the clone does not hide the installed packages.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import (
    integrators,
    label_sums,
    lax_friedrichs,
    methods,
    methods_figure,
    notebook,
    results,
    scipy_script,
)
from benchmarks.lax_friedrichs import Grid
from benchmarks.problems import STEEP, Problem
from benchmarks.tuning import error

MILD = Problem("mild", "", 2.0, 0.3, softmax=False, waves=STEEP, sigma=0.0)


@pytest.fixture(scope="module")
def mild_modes():
    return label_sums.solution(MILD, 256, 1e-13)


def test_label_sums_solve_the_equation(mild_modes):
    # The script knows densities, not labels, and resolves this one to rounding; both step at 1e-13.
    assert error(mild_modes, scipy_script.prepare(MILD, 160, 1e-13)()) < 1e-12


def test_dense_sums_equal_transforms():
    grid = Grid(replace(MILD, final=0.05), 101)
    modes = [
        lax_friedrichs.run(grid, make(grid)).modes
        for make in (lax_friedrichs.dense, lax_friedrichs.transformed)
    ]
    assert error(*modes) < 1e-14  # rounding errors of sums of 101 terms
    assert modes[0][0, 0] == pytest.approx(1.0, abs=1e-13)


def test_published_scheme_is_of_first_order(mild_modes):
    cells, errors = (400, 800), []
    for count in cells:
        grid = Grid(MILD, count)
        errors.append(error(lax_friedrichs.run(grid, lax_friedrichs.transformed(grid)).modes, mild_modes))
    # Observed 0.94, 0.98, 0.99, 0.995 from 200 to 3200 cells: the distance to 1 halves as the error does.
    assert results.observed_order(cells, errors) == pytest.approx(1.0, abs=0.03)


def test_published_scheme_needs_the_published_memory():
    grid = Grid(notebook.PROBLEM, 10_000)
    assert grid.steps == pytest.approx(40_000, rel=0.03)
    assert grid.stored_bytes == 8 * 10_000 * (grid.steps + 1)
    angles = np.linspace(0.0, np.pi, 10_001)
    fastest = (np.sin(angles) * np.exp(5.0 * np.cos(angles))).max()
    assert lax_friedrichs.largest_velocity(5.0) == pytest.approx(fastest, rel=1e-6)


def test_notebook_table(monkeypatch):
    for name, value in {"CELLS": (100, 200), "TOLERANCES": (1e-3, 1e-6), "VOLUMES": (80, 160)}.items():
        monkeypatch.setattr(notebook, name, value)
    monkeypatch.setattr(notebook, "LARGEST_WHOLE", 100)
    monkeypatch.setattr(notebook, "SAMPLED_STEPS", 10)
    monkeypatch.setattr(label_sums, "LABELS", (512, 256))
    rows = list(notebook.rows(MILD, repetitions=1))
    labels, volumes, published = rows[:2], rows[2:4], rows[4:]
    assert all(row.error < rtol for row, rtol in zip(labels, (1e-3, 1e-6), strict=True))
    assert [row.size for row in volumes] == [80, 160]
    assert [row.extrapolated for row in published] == [False, True]
    lines = notebook.table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({line.count("|") for line in lines}) == 1
    assert "(extrapolated)" in lines[-1]


def test_methods_agree_and_finite_volumes_are_of_second_order(monkeypatch, tmp_path):
    monkeypatch.setattr(methods, "TOLERANCES", (1e-4, 1e-8))
    monkeypatch.setattr(methods, "VOLUMES", (160, 320))
    monkeypatch.setattr(methods, "GRIDS", (16, 64))
    rows = [row for problem in (methods.NOISY, methods.NOISELESS) for row in methods.rows(problem, 1)]
    for row in rows:
        if row.setting.startswith("rtol") and row.method != methods.ONE_GRID:
            assert row.error < float(row.setting.removeprefix("rtol = "))
    for name in ("P5", "P7"):
        coarse, fine = (row for row in rows if row.problem == name and row.method == "finite-volume")
        order = results.observed_order((coarse.resolution, fine.resolution), (coarse.error, fine.error))
        assert order == pytest.approx(2.0, abs=0.1)
    lines = methods.table(rows).splitlines()
    assert len(lines) == 2 + sum(row.seconds is not None for row in rows)
    assert len({line.count("|") for line in lines}) == 1
    methods_figure.draw(rows, methods.PROBLEMS, tmp_path / "methods.png")
    assert (tmp_path / "methods.png").stat().st_size > 0


def test_integrators_reach_their_targets(monkeypatch):
    monkeypatch.setattr(integrators, "TOLERANCES", (1e-6, 1e-8, 1e-10))
    monkeypatch.setattr(integrators, "TARGETS", (1e-6, 1e-8, 1e-30))
    problem = replace(integrators.PROBLEMS[1], final=0.5)
    rows = list(integrators.rows(problem, repetitions=1))
    assert all(row.error is not None and row.error <= row.target for row in rows[:4])
    assert all(row.error is None for row in rows[4:])
    assert "not reached" in integrators.table(rows).splitlines()[-1]


def test_a_lucky_tolerance_of_an_integrator_does_not_count():
    trials = [
        integrators.Trial(1e-4, 1e-9, 5),
        integrators.Trial(1e-6, 1e-5, 7),
        integrators.Trial(1e-8, 1e-9, 9),
    ]
    assert integrators.loosest(trials, 1e-6) == trials[2]
    assert integrators.loosest(trials, 1e-12) is None


def test_results_are_kept_as_json_and_between_markers(monkeypatch, tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text("<!-- name:begin -->\n<!-- name:end -->\n", encoding="utf-8")
    monkeypatch.setattr(results, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(results, "PAGE", page)
    results.publish("name", "a table", [{"error": 0.5}], keep=True)
    assert "a table" in page.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "results" / "name.json").read_text())["runs"] == [{"error": 0.5}]
    assert capsys.readouterr().out.startswith("a table")
