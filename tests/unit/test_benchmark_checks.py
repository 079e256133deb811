"""What benchmarks assert: exact results, orders, rates; misses are told; numbers beside those of before."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# The benchmarks are not installed. Last on the path, so that the clone does not hide the installed packages.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import (
    convergence,
    convergence_figure,
    exact,
    particles,
    particles_figure,
    results,
    scaling,
    verify,
)
from benchmarks.checks import Check, check
from benchmarks.convergence import Series


def test_exact_formulas_have_the_digits_of_the_model():
    assert exact.turning_beta(2) == pytest.approx(2.4469183, abs=5e-8)
    assert exact.turning_beta(3) == pytest.approx(1.8161545, abs=5e-8)
    noise, order = exact.fold(4.0, 2, (0.4, 0.7))
    assert noise == pytest.approx(2.5835, abs=5e-5)
    assert order == pytest.approx(0.55, abs=5e-3)
    assert exact.gain(1, 4.0, 2, "none") == pytest.approx(2.439866, abs=5e-7)


def test_checks_that_miss_or_are_no_numbers_fail():
    assert check(1, "", 1.0, 1.0 + 1e-10, 1e-9, "").passed
    assert not check(1, "", 1.0, 1.1, 1e-9, "").passed
    assert not check(1, "", np.nan, 1.0, 1e-9, "").passed


@pytest.mark.parametrize("group", ["6", "7"])
def test_rows_that_are_quick_to_verify(group):
    found = list(verify.GROUPS[group]())
    assert {str(one.row) for one in found} == {group}
    assert all(one.passed for one in found)


def failing():
    yield Check(1, "one", 1.0, 2.0, 1.0, 0.5, "nothing")


def broken():
    yield from failing()
    raise ValueError("no such state")


@pytest.mark.parametrize(
    ("group", "words"), [(failing, "FAIL"), (broken, "rows 1: ValueError: no such state")]
)
def test_verify_fails_where_a_row_does(group, words, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(verify, "GROUPS", {"1": group})
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    with pytest.raises(SystemExit) as caught:
        verify.main([])
    assert caught.value.code == 1
    shown = capsys.readouterr().out
    assert words in shown
    assert "row 2: nothing was checked" in shown


def series(kind, errors, **options):
    sizes = [4.0, 8.0, 16.0, 32.0]
    return Series("space", "method", "cells", kind, sizes, errors, **options)


def test_orders_are_asserted():
    quadratic = series("algebraic", [1e-2, 25e-4, 625e-6, 15625e-8], expected=2.0, within=0.1)
    assert quadratic.rate == pytest.approx(2.0, abs=1e-12)
    assert quadratic.passed
    assert not replace(quadratic, expected=3.0).passed
    geometric = [10.0 ** (-0.5 * size) for size in (4, 8, 16, 32)]
    assert series("exponential", geometric).passed
    assert series("exponential", geometric).rate == pytest.approx(0.5, abs=1e-12)
    assert not series("exponential", [1e-2, 25e-4, 625e-6, 15625e-8]).passed
    assert series("tolerance", [0.1, 0.1, 0.05, 0.03]).passed
    assert not series("tolerance", [0.1, 0.1, 0.05, 0.04]).passed


def test_convergence_of_one_space(monkeypatch, tmp_path):
    monkeypatch.setattr(convergence, "CELLS", (40, 80, 160))
    measures = (
        convergence.spectral_in_degree,
        convergence.labels_in_degree,
        lambda name: convergence.cells(name, convergence.NOISE),
        convergence.exponential_steps,
    )
    found = [measure("zonal, d = 3") for measure in measures]
    assert all(one.passed for one in found), [one.errors for one in found]
    convergence_figure.draw(found, tmp_path / "convergence.png")
    assert (tmp_path / "convergence.png").stat().st_size > 0
    assert len(convergence.table(found).splitlines()) == 2 + len(found)


def test_particles_of_one_case(monkeypatch, tmp_path):
    monkeypatch.setattr(particles, "SIZES", (50, 200, 800))
    problem = particles.cases()["circle"]
    found = particles.points("circle", problem, (50, 200, 800), (8, 8, 8))
    rates = particles.fits(found)
    assert [rate.measure for rate in rates] == ["modes", "w1", "w2"]
    assert all(rate.passed for rate in rates)
    assert not replace(rates[0], slope=-0.5 - 2.0 * rates[0].half - 0.1).passed
    over_depth = particles.curves((20, 100), 3)
    particles_figure.draw(found, rates, over_depth, tmp_path / "particles.png")
    assert (tmp_path / "particles.png").stat().st_size > 0


def test_costs_of_fresh_processes():
    found = [scaling.measured("nodes", "rotary, all to all", nodes, 32) for nodes in (256, 1024)]
    assert found[1].microseconds > found[0].microseconds > 0.0
    assert found[1].bytes >= 0.0
    slope, _ = scaling.exponent(
        [*found, replace(found[1], nodes=4096, microseconds=4.0 * found[1].microseconds)]
    )
    assert 0.3 < slope < 1.7


def test_ratios_to_the_results_before(monkeypatch, tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_text("<!-- name:begin -->\n<!-- name:end -->\n", encoding="utf-8")
    monkeypatch.setattr(results, "FOLDER", tmp_path)
    monkeypatch.setattr(results, "PAGE", page)
    before = [{"case": "a", "seconds": 2.0}, {"case": "a", "seconds": 4.0}, {"case": "b", "seconds": 1.0}]
    results.publish("name", "", before, keep=True)
    capsys.readouterr()
    now = [{"case": "a", "seconds": 3.0}, {"case": "a", "seconds": 1.0}, {"case": "c", "seconds": 1.0}]
    results.publish("name", "", now, keep=False)
    shown = capsys.readouterr().out
    assert "| a | 1.50 |" in shown
    assert "| a | 0.25 |" in shown
    assert "| c |" not in shown
    assert "| median | 0.88 |" in shown
    facts = json.loads((tmp_path / "name.json").read_text(encoding="utf-8"))["facts"]
    assert facts["packages"]["numpy"] == np.__version__
    assert {"processor", "cores", "threads", "memory_gib", "load", "system", "measured"} <= set(facts)
