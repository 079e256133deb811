"""Sweeps: what varies, the journal, points that fail, the cube, its file and its figures."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import figures
from meanfield_pde.building import build
from meanfield_pde.config import loads
from meanfield_pde.contents.sweep import MEASURES, WORDS, check_sweep
from meanfield_pde.errors import InputError
from meanfield_pde.records import read
from meanfield_pde.sweeps import dask_cluster, points
from meanfield_pde.sweeps.axes import Axis, Span, parse
from meanfield_pde.sweeps.checking import Checked, checked
from meanfield_pde.sweeps.cube import cube, outcomes_of
from meanfield_pde.sweeps.dask_cluster import Farm
from meanfield_pde.sweeps.journal import Journal
from meanfield_pde.sweeps.measures import measured
from meanfield_pde.sweeps.plan import Draw, Plan, planned
from meanfield_pde.sweeps.points import Base, Outcome, Point, compute
from meanfield_pde.sweeps.result import Sweep
from meanfield_pde.sweeps.store import Store

TEXT = """
title = "Case"
[auxiliary]
kind = "uniform"
nodes = 4
[encoding]
kind = "additive"
amplitude = 0.5
[attention]
beta = 2.0
[noise]
sigma = 0.4
[time]
final = 1.0
save = 2
"""

# What varies


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("attention.beta=1:2:5", (1.0, 1.25, 1.5, 1.75, 2.0)),
        ("attention.beta=1:8:6", (1.0, 2.4, 3.8, 5.2, 6.6, 8.0)),
        ("attention.beta=8:1:2", (1, 8)),
        ("auxiliary.nodes=16:256:5:log", (16, 32, 64, 128, 256)),
        ("noise.sigma=1e-3:1e1:5:log", (0.001, 0.01, 0.1, 1.0, 10.0)),
        ("encoding.amplitude=0, 1 ,0.5", (0, 0.5, 1)),
        ("encoding.kind=none,rotary", ("none", "rotary")),
        ('encoding.file="a,b.h5","c.h5"', ("a,b.h5", "c.h5")),
        ("initial.modes=[[1, 0.3, 0.0]],[[2, 0.3, 0.0]]", ([[1, 0.3, 0.0]], [[2, 0.3, 0.0]])),
    ],
)
def test_grids_and_lists(text, values):
    axis = parse(text)
    assert axis == Axis(text.partition("=")[0], values)
    assert [type(value) for value in axis.values] == [type(value) for value in values]


def test_ranges():
    assert parse("attention.beta=1:8") == Span("attention.beta", 1, 8)
    assert parse("noise.sigma=1e-3:1:log") == Span("noise.sigma", 1e-3, 1, logarithmic=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("attention.beta", "table.key=values"),
        ("=1,2", "must begin with a key"),
        ("a b=1,2", "'a b'"),
        ("attention.beta=1,1.0", "1.0 twice"),
        ("encoding.kind=none,none", "none twice"),
        ("encoding.kind=none,,x", "between commas"),
        ("attention.beta=1:8:1", "2 to 100000 values, got 1"),
        ("attention.beta=1:1:3", "a < b, got 1:1"),
        ("attention.beta=0:1:3:log", "must be of positive numbers, got 0:1"),
        ("attention.beta=-1:1:log", "must be of positive numbers, got -1:1"),
    ],
)
def test_what_cannot_vary_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        parse(text)


def test_the_last_parameter_varies_fastest():
    plan = Plan("limit", (parse("attention.beta=1,2"), parse("encoding.kind=none,rotary")))
    assert (plan.dims, plan.shape) == (("attention_beta", "encoding_kind"), (2, 2))
    assert plan.rows == ((1, "none"), (1, "rotary"), (2, "none"), (2, "rotary"))
    assert plan.overrides(2) == {"attention.beta": 2, "encoding.kind": "none"}


@pytest.mark.parametrize("sampler", ["sobol", "latin"])
def test_random_designs_fill_every_range_evenly(sampler):
    over = [parse("attention.beta=1:5"), parse("noise.sigma=0.01:1:log"), parse("auxiliary.nodes=1:8")]
    over.append(parse("encoding.kind=none,additive"))
    plan = planned(loads(TEXT), "limit", over, Draw(8, 3, sampler))
    beta, sigma, nodes, kind = zip(*plan.rows, strict=True)
    # Eight points of either design: one in each eighth of every range.
    assert sorted(math.floor((value - 1) * 2) for value in beta) == list(range(8))
    assert sorted(math.floor((2 + math.log10(value)) * 4) for value in sigma) == list(range(8))
    assert sorted(nodes) == list(range(1, 9))
    assert (kind.count("none"), plan.shape, plan.dims) == (4, (8,), ("point",))
    again = replace(plan, draw=Draw(8, 3, sampler)), replace(plan, draw=Draw(8, 4, sampler))
    assert [other.rows == plan.rows for other in again] == [True, False]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Plan("plot", (parse("a.b=1,2"),)), "--of"),
        (lambda: Plan("limit", ()), "nothing varies"),
        (lambda: Plan("limit", (parse("a.b=1:2"),)), "random designs"),
        (lambda: Plan("limit", (parse("a.b=1,2"), parse("a_b=1,2"))), "twice"),
        (lambda: Plan("limit", tuple(Axis(key, range(200)) for key in "abc")), "at most 1000000 points"),
        (lambda: Draw(0), "--random"),
        (lambda: Draw(1, -1), "--seed"),
        (lambda: Draw(1, 0, "grid"), "--sampler"),
        (lambda: Farm(workers=0), "--workers"),
        (lambda: Farm(workers=2, scheduler="tcp://x:1"), "--workers"),
    ],
)
def test_plans_that_are_none(make, words):
    with pytest.raises(InputError, match=words):
        make()


def swept(*over, of="limit", **settings):
    configuration = loads(TEXT, settings)
    return checked(configuration, planned(configuration, of, [parse(one) for one in over]))


def test_every_point_is_checked_before_any_is_computed():
    with pytest.raises(
        InputError, match=r"\[noise\] sigma.*got -1 \(at attention.beta = 2, noise.sigma = -1"
    ):
        swept("attention.beta=2", "noise.sigma=-1,0.1")
    with pytest.raises(InputError, match=r"\[training\] is required"):
        swept("attention.beta=1,2", of="train")


def test_workers_do_not_take_more_than_there_is():
    farm = Farm(threads=1)
    assert farm.processes(points=1, bytes_each=1, available=10**9) == 1
    assert farm.processes(points=100, bytes_each=10**9, available=10**9) == 1
    assert Farm(workers=3).processes(points=1, bytes_each=10**9, available=1) == 3


# Points


def test_a_point_is_measured_as_it_is_computed_alone():
    found = compute(Point(5, Base(TEXT, None, "case", "solve"), {"attention.beta": 1.5}))
    assert (found.index, found.status, found.reason) == (5, "finished", "")
    assert set(found.measures) == {*MEASURES["solve"], *WORDS["solve"]}
    solution = mf.solve(build(loads(TEXT, {"attention.beta": 1.5})), threads=1)
    for name, value in solution.summary().items():
        assert found.measures.get(name, value) == value, name


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (mf.ComputationError("no\nlimit"), "no limit"),
    ],
)
def test_whatever_happens_at_a_point_is_its_outcome(monkeypatch, error, reason):
    def fail(_):
        raise error

    monkeypatch.setattr(points, "_measured", fail)
    found = compute(Point(0, Base(TEXT, None, "case", "limit"), {}))
    assert (found.status, dict(found.measures)) == ("failed", {})
    assert found.reason.startswith(reason)
    assert "\n" not in found.reason


def test_a_measure_that_cannot_be_is_a_failure(monkeypatch):
    from meanfield_pde.sweeps import measures

    monkeypatch.setitem(measures._COMPUTED, "limit", lambda *_: {"w2": -1.0})
    found = compute(Point(0, Base(TEXT, None, "case", "limit"), {}))
    assert (found.status, found.reason) == ("failed", "sweep: w2 must be >= 0, got -1")


def test_a_worker_that_dies_takes_one_point_with_it(monkeypatch):
    """The point that kills its worker fails; those that were on the same worker are computed again."""
    pytest.importorskip("distributed")

    def deadly(point):
        if point.index == 2:
            os._exit(1)
        return Outcome(point.index, "finished", "", {}, 0.0)

    monkeypatch.setattr(dask_cluster, "compute", deadly)
    wanted = [Point(index, Base(TEXT, None, "case", "limit"), {}) for index in range(8)]
    with dask_cluster.connected(Farm(), 1) as client:
        found = [outcome for batch in dask_cluster.outcomes(client, wanted) for outcome in batch]
    assert sorted(outcome.index for outcome in found) == list(range(8))
    (failure,) = [outcome for outcome in found if outcome.status == "failed"]
    assert (failure.index, failure.reason) == (2, dask_cluster.KILLED)


# The journal

OUTCOMES = [
    Outcome(3, "finished", "", {"order_parameter": 0.1 + 0.2, "w1": math.nan, "verdict": "collapsed"}, 1.5),
    Outcome(0, "failed", "no limit: größer", {}, 0.25),
]


def test_a_journal_gives_back_what_was_written(tmp_path):
    journal = Journal.created(tmp_path / "j", {"plan": 1})
    journal.append(OUTCOMES[:1])
    with pytest.raises(InputError, match="another process is writing"):
        Journal.opened(tmp_path / "j")
    journal.append(OUTCOMES[1:])
    journal.close()
    again = Journal.opened(tmp_path / "j")
    assert again.identity == {"plan": 1}
    assert repr(again.outcomes) == repr(tuple(OUTCOMES))  # repr: NaN is not equal to itself
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_cut_anywhere_loses_no_whole_line(tmp_path):
    path = tmp_path / "j"
    journal = Journal.created(path, {"plan": 1})
    journal.append(OUTCOMES)
    journal.close()
    data = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(data) if byte == ord("\n")]
    for cut in range(ends[0], len(data)):
        path.write_bytes(data[:cut])
        journal = Journal.opened(path)
        whole = sum(end <= cut for end in ends) - 1
        assert len(journal.outcomes) == whole
        journal.append(OUTCOMES[whole:])
        journal.close()
        assert path.read_bytes() == data


@pytest.mark.parametrize("place", [3, 40, -30])
def test_a_damaged_journal_is_refused(tmp_path, place):
    path = tmp_path / "j"
    journal = Journal.created(path, {"plan": 1})
    journal.append([*OUTCOMES, Outcome(9, "failed", "x")])
    journal.close()
    data = bytearray(path.read_bytes())
    lines = data.splitlines(keepends=True)
    data[place if place > 0 else sum(map(len, lines[:-1])) + place] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="is damaged"):
        Journal.opened(path)


def test_a_journal_that_is_left_is_neither_lost_nor_taken_for_another(tmp_path):
    sweep, output = swept("attention.beta=1,2"), tmp_path / "out.h5"
    store = Store.fresh(output, sweep, overwrite=False)
    store.begin()
    store.keep([OUTCOMES[1]], {0: OUTCOMES[1]}, 1.0)
    store.close(complete=False)
    output.unlink()
    with pytest.raises(InputError, match="holds the finished points of an interrupted sweep"):
        Store.fresh(output, sweep, overwrite=False)
    with pytest.raises(InputError, match=r"attention.beta was 2.0, now it is 3.0"):
        Store.resumed(output, swept("noise.sigma=1,2", **{"attention.beta": 3.0}))
    with pytest.raises(InputError, match="--over was"):
        Store.resumed(output, swept("attention.beta=1,3"))
    again = Store.resumed(output, sweep)
    assert again.known == {0: OUTCOMES[1]}
    anew = Store.fresh(output, sweep, overwrite=True)
    with pytest.raises(InputError, match="another process is writing"):
        anew.begin()
    again.close(complete=False)
    anew.begin()
    anew.close(complete=False)
    assert Store.resumed(output, sweep).known == {}


# The cube


def example(*over, failed=(), pending=(), draw=None, **settings):
    """Sweep of formulas: R falls from 1 to 0 as the sum of the shares of all numbers passes 1."""
    configuration = loads(TEXT, settings)
    plan = planned(configuration, "limit", [parse(one) for one in over], draw)
    sweep = Checked(plan, configuration, {}, 0)
    numbers = [index for index, value in enumerate(plan.rows[0]) if not isinstance(value, str)]
    table = np.array([[row[index] for index in numbers] for row in plan.rows], dtype=float)
    table = table.reshape(plan.size, len(numbers))
    shares = (table / np.abs(table).max(axis=0)).sum(axis=1) if numbers else np.linspace(0, 2, plan.size)
    order = 0.5 - 0.5 * np.tanh(4 * (shares - 1))
    found = {}
    for index in range(plan.size):
        if index in failed:
            found[index] = Outcome(index, "failed", "no limit", {}, 0.1)
        elif index not in pending:
            measures = dict.fromkeys(MEASURES["limit"], math.nan) | {"order_parameter": float(order[index])}
            measures |= {"stable": 1.0, "nearest_dirac": 1.8 * (1 - float(order[index]))}
            found[index] = Outcome(index, "finished", "", {**measures, "verdict": "pushforward"}, 0.5)
    return sweep, found


def record_of(*over, **how):
    sweep, found = example(*over, **how)
    return cube(sweep, found, 1.0)


PLANE = ("attention.beta=1:4:7", "encoding.amplitude=0:1:6")


def test_a_cube_is_the_same_in_whatever_order_its_points_came(tmp_path):
    sweep, found = example(*PLANE, failed={4}, pending={7, 30})
    record = cube(sweep, found, 1.0)
    check_sweep(record)
    shuffled = np.random.default_rng(0).permutation(list(found)).tolist()
    other = cube(sweep, {index: found[index] for index in shuffled}, 1.0)
    assert all(record[name].tobytes() == other[name].tobytes() for name in record.variables)
    record.save(tmp_path / "a.h5")
    again = outcomes_of(read(tmp_path / "a.h5"))
    assert repr(again) == repr(dict(sorted(found.items())))
    assert json.loads(str(record.attributes["plan"])) == sweep.plan.content()
    sweep = Sweep(record)
    assert sweep.failures == [{"attention.beta": 1.0, "encoding.amplitude": 0.8, "reason": "no limit"}]
    assert (sweep.summary()["failed"], sweep.summary()["pending"]) == (1, 2)


def changed(record, name, values):
    variable = record.variables[name]
    return replace(record, variables={**record.variables, name: replace(variable, values=values)})


def at_first(record, name, value):
    values = record[name].copy()
    values.flat[0] = value
    return changed(record, name, values)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda r: at_first(r, "status", "lost"), "finished, failed, pending"),
        (lambda r: at_first(r, "status", "failed"), "attribute 'failed' must be 1"),
        (lambda r: at_first(r, "reason", "why"), "'reason' must be there where"),
        (lambda r: at_first(r, "seconds", math.nan), "'seconds' must be known"),
        (lambda r: at_first(r, "w2", -1.0), "'w2' must be >= 0"),
        (lambda r: at_first(r, "order_parameter", 2.0), "longest points"),
        (lambda r: at_first(r, "stable", 0.5), "0 or 1"),
        (lambda r: at_first(r, "free_energy", math.inf), "not finite"),
        (
            lambda r: changed(r, "attention_beta", r["attention_beta"][::-1]),
            "must hold distinct texts or increase",
        ),
        (lambda r: changed(r, "verdict", np.zeros(r["status"].shape)), "'verdict' must hold texts"),
        (lambda r: replace(r, attributes={**r.attributes, "points": 3}), "'points' must be"),
        (lambda r: replace(r, attributes={**r.attributes, "of": "plot"}), "'of'"),
        (lambda r: replace(r, attributes={**r.attributes, "plan": "[1]"}), "'plan' must be a table"),
        (lambda r: replace(r, attributes={**r.attributes, "parameters": "x.y"}), "the parameters"),
    ],
)
def test_a_cube_that_contradicts_itself_is_refused(damage, words):
    record = record_of("attention.beta=1,2", "encoding.kind=none,additive")
    check_sweep(record)
    with pytest.raises(InputError, match=words):
        check_sweep(damage(record))


# Figures


def drawn(record):
    page = figures.figure([record])
    page.draw_without_rendering()
    return page


def test_a_phase_diagram_has_its_boundary_where_r_is_one_half(tmp_path):
    record = record_of(*PLANE, failed={3}, pending={40})
    page = drawn(record)
    ax = page.axes[0]
    (boundary,) = [item for item in ax.collections if item.__class__.__name__ == "QuadContourSet"]
    along = np.concatenate([path.vertices for path in boundary.get_paths()])
    inner = along[(along[:, 1] > 0) & (along[:, 1] < 0.74)]  # within the middles of cells; β >= 1
    # R = 1/2 where β/4 + a = 1; linear interpolation between cells of width 1/8 and 1/5 of tanh 4(s − 1),
    # which is odd about the boundary: within a tenth of a cell.
    assert len(inner) > 5
    assert np.abs(inner[:, 0] / 4 + inner[:, 1] - 1).max() < 0.02
    assert "1 of 42 points failed" in page.get_suptitle()
    assert [text.get_text() for text in page.legends[0].get_texts()] == [
        "$R = 1/2$",
        "failed",
        "not computed yet",
    ]
    figures.draw([record], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("over", "how", "panels"),
    [
        (("attention.beta=1:8:15",), {"failed": {2}}, 2),
        (("attention.beta=1:8:5", "encoding.kind=none,additive"), {}, 2),
        (("encoding.kind=none,additive",), {}, 2),
        (("noise.sigma=0.001:1:4:log", "attention.beta=1:4:3"), {}, 2),
        (("attention.beta=1:4:4", "noise.sigma=0.1,0.2", "encoding.amplitude=0:1:3"), {"pending": {5}}, 3),
        (
            ("attention.beta=1:4:2", "noise.sigma=0.1,0.2", "time.final=1:5:5", "encoding.amplitude=0:1:4"),
            {},
            12,
        ),
        (("attention.beta=1:4", "noise.sigma=0.1:1:log"), {"draw": Draw(16), "failed": {1}}, 2),
        (("attention.beta=1:4", "noise.sigma=0.1:1", "encoding.kind=none,additive"), {"draw": Draw(8)}, 3),
        (("attention.beta=1,2",), {"failed": {0, 1}}, 1),
    ],
)
def test_every_sweep_has_a_figure(over, how, panels):
    page = drawn(record_of(*over, **how))
    shown = [
        ax for ax in page.axes if ax.axison and (ax.get_xlabel() or ax.get_title() or ax.get_title("left"))
    ]
    assert len(shown) == panels


def test_a_training_is_measured_as_it_reports_itself():
    """Point by point with ``mf.train``; a target that can be reached is nearer with a smaller penalty."""
    short = {"training.intervals": 6, "time.final": 2.0, "training.tolerance": 1e-2}
    losses = []
    for penalty in (1.0, 0.05):
        problem = mf.load("escape-circle", {**short, "training.regularization": penalty})
        found = measured("train", problem, 1)
        summary = mf.train(problem).summary()
        assert sorted(found) == sorted([*MEASURES["train"], *WORDS["train"]])
        for name in ("loss", "terminal_loss", "untrained_order_parameter", "control_energy"):
            assert found[name] == summary[name]
        assert found["order_parameter"] == summary["final_order_parameter"]
        losses.append(found["terminal_loss"])
    assert losses[1] < 0.9 * losses[0]
