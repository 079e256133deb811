"""Plateaus of series whose plateaus are known."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meanfield_pde import plateaus
from meanfield_pde.clusters import Clusters
from meanfield_pde.errors import InputError
from meanfield_pde.records import Record, Variable, read

from .example_records import example

NONE = Clusters(np.empty(0), np.empty(0))


def equal(count):
    return Clusters(np.arange(count) * 2 * np.pi / max(count, 1), np.full(count, 1 / max(count, 1)))


def spans(time, order, counts):
    """Start, end, clusters of the plateaus."""
    order, counts = (np.broadcast_to(values, time.shape) for values in (order, counts))
    found = plateaus.find(time, np.asarray(order, dtype=float), np.asarray(counts))
    assert all(p.lifetime == p.end - p.start for p in found)
    assert [p.final for p in found] == [p.end == time[-1] for p in found]
    return [(p.start, p.end, p.clusters) for p in found]


def step(time, at, width=0.3):
    """From 0 to 1."""
    return 0.5 * (1.0 + np.tanh((time - at) / width))


def test_three_two_one():
    time = np.linspace(0, 100, 401)
    order = 0.02 + 0.3 * step(time, 20) + 0.65 * step(time, 60)
    counts = np.select([time < 2, time < 20, time < 60], [0, 3, 2], 1)
    (a, b, three), (c, d, two), (e, f, one) = spans(time, order, counts)
    assert (three, two, one) == (3, 2, 1)
    # Each tanh is within 1e-3 of its ends 3.5 widths away.
    assert (a, f) == (2.0, 100.0)
    assert b == pytest.approx(20, abs=1.1)
    assert c == pytest.approx(20, abs=1.1)
    assert d == pytest.approx(60, abs=1.1)
    assert e == pytest.approx(60, abs=1.1)
    first = plateaus.find(time, order, counts)[0]
    assert first.order_parameter == pytest.approx(0.02, abs=1e-3)
    assert not first.final


def test_what_is_short_beside_the_whole_is_found():
    time = np.concatenate([np.linspace(0, 30, 301), np.geomspace(30, 1e5, 200)[1:]])
    order = 0.02 + 0.9 * step(time, 15, 0.2)
    counts = np.where(time < 15, 3, 1)
    (_, b, _), (c, d, _) = spans(time, order, counts)
    assert b == pytest.approx(15, abs=1)
    # The rest of the tanh, 1.8 e^{−2x/0.2}, falls below 0.144/1e5 per lifetime at x = 1.6.
    assert c == pytest.approx(15, abs=1.7)
    assert d == 1e5


def test_slow_drift_belongs_to_a_plateau():
    # Clusters that attract each other ever faster: R = 0.01 e^{t/30}, and merge at 1/3.
    time = np.arange(0, 150, 0.5)
    merged = 30 * np.log(30)
    order = np.where(time < merged, 0.01 * np.exp(np.minimum(time, merged) / 30), 0.5)
    counts = np.where(time < merged, 3, 2)
    (start, end, three), (begin, stop, two) = spans(time, order, counts)
    assert (three, two) == (3, 2)
    assert start == 0.0
    # The heaviest stretch ends where R grows by 0.1/log 2 per lifetime: e^{x} x = 0.144/0.01, x = 1.985.
    assert end == pytest.approx(30 * 1.985, abs=0.5)
    assert begin == pytest.approx(merged, abs=0.5)
    assert stop == time[-1]


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("power", [1.0, 2.0])
def test_a_steady_change_has_no_plateau(unit, count, power):
    share = np.linspace(0, 1, 401)
    for order in (share**power, 1 - share**power, share[::-1] ** power):
        assert spans(20 * unit * share, order, count) == []


def test_a_steady_change_that_the_number_of_clusters_cuts_has_no_plateau():
    time = np.linspace(0, 20, 401)
    counts = np.select([time < 1, time < 2, time < 5, time < 19], [1, 2, 3, 2], 1)
    assert spans(time, 0.03 * time, counts) == []


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_relaxation_has_the_final_plateau_alone(rate):
    time = np.linspace(0, 20, 201)
    ((start, end, count),) = spans(time, 1 - 0.8 * np.exp(-rate * time), 1)
    assert (end, count) == (20.0, 1)
    # R moves by 0.1/log 2 per lifetime L at the start: 0.8 rate L e^{−rate (20 − L)} = 0.144.
    lifetime = end - start
    assert 0.8 * rate * lifetime * np.exp(-rate * start) == pytest.approx(0.144, rel=0.1 * rate)


def test_symmetric_states_are_told_apart_by_their_number():
    time = np.linspace(0, 40, 401)
    counts = np.select([time < 0.5, time < 8], [0, 4], 2)
    assert [(p[2]) for p in spans(time, 1e-12 * np.sin(time), counts)] == [4, 2]


def test_clusters_that_merge_at_once_make_no_plateaus():
    time = np.linspace(0, 40, 401)
    counts = np.select([time < 10, time < 10.3, time < 10.6, time < 11], [6, 5, 4, 3], 2)
    assert [p[2] for p in spans(time, 0.0, counts)] == [6, 2]


def test_states_without_clusters_are_no_plateau():
    assert spans(np.linspace(0, 40, 401), 0.0, 0) == []


@pytest.mark.parametrize("states", [0, 1, 2, 3])
def test_three_states_make_a_plateau(states):
    expected = [(0.0, 2.0, 2)] if states == 3 else []
    assert spans(np.arange(float(states)), 0.5, 2) == expected


def test_an_oscillation_is_no_plateau():
    time = np.linspace(0, 100, 1001)
    assert spans(time, 0.5 + 0.4 * np.sin(time), 1) == []


@given(
    st.lists(st.tuples(st.floats(0.01, 3.0), st.floats(0.0, 1.0), st.integers(0, 3)), max_size=40),
    st.sampled_from([0.125, 1.0, 64.0]),
)
def test_plateaus_are_disjoint_steady_and_independent_of_the_unit_of_depth(states, unit):
    gaps, order, counts = (np.array([state[column] for state in states]) for column in range(3))
    time, counts = np.cumsum(gaps), counts.astype(int)
    found = plateaus.find(time, order, counts)
    for plateau in found:
        inside = (time >= plateau.start) & (time <= plateau.end)
        assert inside.sum() >= plateaus.STATES
        assert set(counts[inside]) == {plateau.clusters} != {0}
        # The variation is a difference of two sums: rounding of 40 terms.
        assert np.abs(np.diff(order[inside])).sum() <= plateaus.TOLERANCE + 1e-14
        assert plateau.lifetime >= plateaus.SHARE * plateau.start
    assert all(one.end < other.start for one, other in itertools.pairwise(found))
    scaled = plateaus.find(unit * time, order, counts)
    assert scaled == tuple(replace(p, start=unit * p.start, end=unit * p.end) for p in found)


@pytest.mark.parametrize(
    ("time", "order", "message"),
    [
        ([0.0, 1.0], [0.5], "shapes"),
        ([0.0, 0.0], [0.5, 0.5], "increase"),
        ([0.0, 1.0], [0.5, np.nan], "finite"),
    ],
)
def test_what_is_refused(time, order, message):
    with pytest.raises(InputError, match=message):
        plateaus.find(np.array(time), np.array(order), np.ones(2, dtype=int))


# Datasets


def test_datasets():
    time = np.arange(12.0)
    order = np.where(time < 6, 0.0, 1.0)
    clusters = [NONE] + [equal(3)] * 5 + [equal(1)] * 6
    found = plateaus.variables(list(time), order, clusters)
    assert {name: (v.dims, v.values.shape, v.units) for name, v in found.items()} == {
        "cluster_count": (("time",), (12,), "1"),
        "cluster_mass": (("time", "cluster"), (12, 3), "1"),
        "cluster_position": (("time", "cluster"), (12, 3), "rad"),
        "plateau_start": (("plateau",), (2,), "1"),
        "plateau_end": (("plateau",), (2,), "1"),
        "plateau_clusters": (("plateau",), (2,), "1"),
        "plateau_order_parameter": (("plateau",), (2,), "1"),
    }
    assert all(v.long_name for v in found.values())
    np.testing.assert_array_equal(found["cluster_count"].values, [0] + [3] * 5 + [1] * 6)
    np.testing.assert_array_equal(found["cluster_mass"].values[0], [np.nan] * 3)
    np.testing.assert_array_equal(found["cluster_position"].values[-1], [0.0, np.nan, np.nan])
    record = Record({"time": Variable(("time",), time, "depth")} | found)
    assert plateaus.describe(record) == [
        {"start": 1.0, "end": 5.0, "lifetime": 4.0, "clusters": 3, "order_parameter": 0.0, "final": False},
        {"start": 6.0, "end": 11.0, "lifetime": 5.0, "clusters": 1, "order_parameter": 1.0, "final": True},
    ]
    assert all(type(p["clusters"]) is int and type(p["final"]) is bool for p in plateaus.describe(record))


def test_datasets_are_left_out_where_there_is_nothing():
    time = np.arange(3.0)
    assert set(plateaus.variables(time, time, [NONE] * 3)) == {"cluster_count"}
    moving = plateaus.variables(time, time, [equal(2)] * 3)
    assert set(moving) == {"cluster_count", "cluster_mass", "cluster_position"}
    assert plateaus.describe(Record({"time": Variable(("time",), time, "depth")} | moving)) == []


def test_a_solution_can_be_saved_with_them(tmp_path):
    record = example(8, 5, 32)
    counts = [NONE, equal(2), equal(2), equal(2), equal(1)]
    variables = plateaus.variables(record["time"], np.zeros(5), counts)
    record = replace(record, variables=dict(record.variables) | variables)
    record.save(tmp_path / "a.h5")
    assert plateaus.describe(read(tmp_path / "a.h5")) == plateaus.describe(record) != []
