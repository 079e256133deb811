"""Arrival, plateau, escape and control energy, of curves for which they are known."""

import math

import numpy as np
import pytest

from meanfield_pde.training.report import clustering, report

DEPTHS = np.linspace(0.0, 10.0, 101)
EDGES = np.linspace(0.0, 10.0, 6)


def trapezoid(rise, fall):
    """From 0 up to 1 between 0 and ``rise``, down to 0 between ``fall`` and 10."""
    return np.interp(DEPTHS, [0.0, rise, fall, 10.0], [0.0, 1.0, 1.0, 0.0])


def test_a_trapezoid_is_entered_and_left_where_it_passes_the_level():
    found = report(DEPTHS, trapezoid(2.0, 8.0), EDGES, np.ones((5, 2)))
    assert found.arrival == pytest.approx(1.8, abs=1e-12)
    assert found.escape == pytest.approx(8.2, abs=1e-12)
    assert found.plateau == pytest.approx(0.64, abs=1e-12)
    assert found.control_energy == pytest.approx(10.0)  # ½ · 2 · 10
    assert found.late_control == pytest.approx(0.18, abs=1e-12)
    assert found.escapes


def test_without_escape_the_plateau_lasts_to_the_end():
    found = report(DEPTHS, np.minimum(DEPTHS / 4.0, 1.0), EDGES, np.zeros((5, 1)))
    assert found.arrival == pytest.approx(3.6, abs=1e-12)
    assert math.isnan(found.escape)
    assert found.plateau == pytest.approx(0.64, abs=1e-12)
    assert (found.control_energy, found.late_control) == (0.0, 0.0)
    assert not found.escapes


def test_the_longest_of_several_stretches_counts():
    clustered = np.where((DEPTHS < 1.05) | ((DEPTHS > 4.0) & (DEPTHS < 7.0)), 1.0, 0.0)
    found = report(DEPTHS, clustered, EDGES, np.ones((5, 1)))
    assert 4.0 < found.arrival < 4.1
    assert 6.9 < found.escape < 7.0


def test_tokens_that_never_cluster_have_no_plateau():
    energy = np.full(101, 2.0)
    assert np.array_equal(clustering(energy, 2.0), np.zeros(101))
    found = report(DEPTHS, clustering(energy, 2.0), EDGES, np.ones((5, 1)))
    assert math.isnan(found.arrival)
    assert found.plateau == 0.0
    assert clustering(np.array([2.0, 3.0, 2.5]), 2.0) == pytest.approx([0.0, 1.0, 0.5])
