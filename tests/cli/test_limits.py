"""The commands limit, compare and bifurcation: what they write, what they print, and how they end."""

import json
import math
import os
import signal
import sys

import h5py
import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import api
from meanfield_pde.checkpoint import Checkpoint
from meanfield_pde.errors import ComputationError
from meanfield_pde.results import Bifurcation, Limit
from tests.unit.example_results import diagram, limit, several_atoms, stationary

NODES = 4
SMALL = f"""
title = "Small"
[token]
resolution = 32
[auxiliary]
kind = "uniform"
nodes = {NODES}
[encoding]
kind = "additive"
amplitude = 1.0
[attention]
beta = 1.0
[noise]
sigma = 0.0
[initial]
kind = "vonmises"
concentration = 1.0
center = 0.3
[time]
final = 0.5
save = 3
[solver]
rtol = 1e-5
atol = 1e-7
"""
NOISE = ("--set", "noise.sigma=0.05")
KEYS = {"w1", "w2", "atoms", "stable", "residual", "order_parameter"}
PITCHFORK = ("--parameter", "noise.sigma", "--from", "2.3", "--to", "2.7", "-o", "out.h5")
UNNORMALISED = ("--set", "attention.beta=4", "--set", "attention.normalization=none")


@pytest.fixture
def case(folder):
    (folder / "case.toml").write_text(SMALL)
    return folder


@pytest.fixture
def solved(run, case):
    assert run("solve", "case.toml", "-o", "out.h5", "--quiet").status == 0
    return case


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def table(text):
    """Rows of a printed table by their first column, the text of the others."""
    rows = [line.strip().split("   ", 1) for line in text.splitlines()[1:]]
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}


# limit


def test_limit_writes_the_map(run, case):
    outcome = run("limit", "case.toml", "-o", "out.h5")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("Small → out.h5\n")
    rows = table(outcome.out)
    assert rows["verdict"] == "pushforward of ν by the limit map T"
    assert rows["stable"] == "yes"
    assert rows["W₂ to the pushforward"] == "0"
    assert rows.keys() >= {"W₁ to the pushforward", "atoms per z", "leading eigenvalue", "spectral gap"}
    assert rows.keys() >= {"residual", "order parameter R", "W₂ to the nearest Dirac mass", "free energy"}
    assert rows.keys() >= {"effective rank", "attention entropy", "conditional concentration"}
    found = mf.open(case / "out.h5")
    assert isinstance(found, Limit)
    assert found.attributes["command"]
    assert found.pushforward_map.shape == (NODES,)
    assert names(case) == ["case.toml", "out.h5"]


def test_limit_prints_its_summary_as_json(run, case):
    outcome = run("limit", "case.toml", "-o", "out.h5", "--json", *NOISE)
    assert (outcome.status, outcome.err, outcome.out.count("\n")) == (0, "", 1)
    found = json.loads(outcome.out)
    assert found.keys() >= KEYS
    assert found.keys() == mf.open(case / "out.h5").summary().keys()
    assert found["atoms"] == 1
    assert found["stable"] is True


def test_without_encoding_the_limit_map_is_constant(run, case):  # noqa: ARG001
    rows = table(run("limit", "case.toml", "-o", "out.h5", "--set", "encoding.amplitude=0").out)
    assert rows["verdict"] == "collapsed: the limit map is constant"
    # Without encoding the field is linear about the uniform law: I_1(β)/I_0(β)/β = 0.4464 for mode 1.
    assert float(rows["growth of modes 1 to 6"].split(",")[0]) == pytest.approx(0.4464, abs=1e-4)
    assert rows["clusters predicted"] == "1"


def test_noise_is_halved_as_often_as_asked(run, case):  # noqa: ARG001
    assert len(halved(run, "--halvings", "1")) == 2
    printed = table(run("limit", "case.toml", "-o", "out.h5", "--overwrite", "--halvings", "1", *NOISE).out)
    assert printed["at σ = 0.05"].startswith("mean W₂² to T(z)")
    assert "at σ = 0.025" in printed
    assert float(printed["rate as σ → 0"].removeprefix("σ^")) == pytest.approx(1.0, abs=0.1)  # 1 + O(σ)


def test_noise_is_halved_three_times_by_default(run, case):  # noqa: ARG001
    assert [one["sigma"] for one in halved(run)] == [0.05, 0.025, 0.0125, 0.00625]


def halved(run, *flags):
    outcome = run("limit", "case.toml", "-o", "out.h5", "--overwrite", "--json", *NOISE, *flags)
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)["noise"]


def test_several_starts_are_counted(run, case):  # noqa: ARG001
    flags = ("case.toml", "-o", "out.h5", "--overwrite", "--starts", "3", "--seed", "7")
    found = json.loads(run("limit", *flags, "--json").out)
    assert sum(one["starts"] for one in found["maps"]) == 3
    rows = table(run("limit", *flags).out)
    assert rows[f"limit 1 of {len(found['maps'])}"].startswith("share ")


def test_limit_starts_from_a_file(run, solved, monkeypatch):
    """What a file holds reaches the search, with all flags."""
    calls = []
    compute = api.limit

    def spy(problem, **flags):
        calls.append(flags)
        return compute(problem, **flags)

    monkeypatch.setattr(api, "limit", spy)
    assert run("limit", "case.toml", "-o", "a.h5", "--from", "out.h5", "--quiet").status == 0
    assert run("limit", "case.toml", "-o", "b.h5", "--from", "a.h5", "--threads", "1").status == 0
    assert isinstance(calls[0]["start"], mf.Solution)
    assert isinstance(calls[1]["start"], mf.Limit)
    assert calls[1]["threads"] == 1
    first, second = (mf.open(solved / name).pushforward_map for name in ("a.h5", "b.h5"))
    assert np.abs(first - second).max() < 1e-12  # both solve V[T] = 0 to rounding


def test_limit_can_be_quiet_and_replaces_only_when_asked(run, case):
    (case / "out.h5").write_bytes(b"old")
    assert run("limit", "case.toml", "-o", "out.h5").status == 2
    assert (case / "out.h5").read_bytes() == b"old"
    outcome = run("limit", "case.toml", "-o", "out.h5", "--overwrite", "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_limit_that_is_not_found_leaves_what_was_reached(run, case):
    """The uniform law without noise does not move, and is no sum of atoms."""
    uniform = ("--set", "initial.kind=uniform", "--set", "encoding.amplitude=0")
    outcome = run("limit", "case.toml", "-o", "out.h5", *uniform)
    assert outcome.status == 3
    assert outcome.err.startswith("meanfield-pde: limit: ")
    assert "perturb it" in outcome.err
    assert outcome.err.endswith("; what was reached is in out.h5\n")
    assert table(outcome.out)["verdict"] == "there is no limit map"
    assert "W₂ to the pushforward" not in outcome.out
    assert mf.open(case / "out.h5").attributes["status"] == "stopped"
    assert "no limit map" in run("info", "out.h5").out


def test_computation_that_reached_nothing(run, case, monkeypatch):
    def fails(*_, **__):
        raise ComputationError("the initial density needs more grid points")

    monkeypatch.setattr(api, "limit", fails)
    outcome = run("limit", "case.toml", "-o", "out.h5")
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err == "meanfield-pde: the initial density needs more grid points; nothing was written\n"
    assert names(case) == ["case.toml"]


def interrupts(*_, **__):
    """Stand for a long computation that is interrupted, and does not tell of its progress meanwhile."""
    os.kill(os.getpid(), signal.SIGINT)
    pytest.fail("the computation went on")


def test_interrupt_of_a_search_writes_nothing(run, case, monkeypatch):
    monkeypatch.setattr(api, "limit", interrupts)
    monkeypatch.setattr(api, "bifurcation", interrupts)
    for command in (("limit", "case.toml", "-o", "out.h5"), ("bifurcation", "case.toml", *PITCHFORK)):
        outcome = run(*command)
        assert (outcome.status, outcome.out) == (130, "")
        assert outcome.err == "meanfield-pde: interrupted; nothing was written\n"
        assert names(case) == ["case.toml"]


def test_result_goes_elsewhere_when_the_output_cannot_be_written(run, case, monkeypatch):
    compute = api.limit

    def outrun(*arguments, **flags):
        found = compute(*arguments, **flags)
        (case / "out.h5").write_bytes(b"of another process")
        return found

    monkeypatch.setattr(api, "limit", outrun)
    outcome = run("limit", "case.toml", "-o", "out.h5")
    assert outcome.status == 3
    assert "the result is in out-1.h5 instead" in outcome.err
    assert (case / "out.h5").read_bytes() == b"of another process"
    assert isinstance(mf.open(case / "out-1.h5"), Limit)


def test_progress_is_a_line_on_a_terminal_only(run, case, monkeypatch):  # noqa: ARG001
    monkeypatch.setattr("meanfield_pde.cli.progress.REDRAW", 0.0)
    assert run("limit", "case.toml", "-o", "piped.h5").err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert "limit map: depth" in run("limit", "case.toml", "-o", "watched.h5").err
    assert run("limit", "case.toml", "-o", "quiet.h5", "--quiet").err == ""


def test_interrupt_of_a_comparison_writes_nothing(run, solved, monkeypatch):
    before = (solved / "out.h5").read_bytes()
    monkeypatch.setattr(api, "compared", interrupts)
    outcome = run("compare", "out.h5")
    assert (outcome.status, outcome.out) == (130, "")
    assert (solved / "out.h5").read_bytes() == before


def test_interrupt_while_the_result_is_written_comes_too_late(run, case, monkeypatch):
    save = Limit.save

    def interrupting(*arguments, **flags):
        os.kill(os.getpid(), signal.SIGINT)
        save(*arguments, **flags)

    monkeypatch.setattr(Limit, "save", interrupting)
    assert run("limit", "case.toml", "-o", "out.h5").status == 0
    monkeypatch.undo()
    monkeypatch.chdir(case)
    assert isinstance(mf.open(case / "out.h5"), Limit)


# compare


def contents(path, leave_out=("limit", "integrity")):
    """All datasets and attributes of a file as plain bytes, but those of some groups."""
    found = {}

    def visit(name, item):
        if name.split("/")[0] not in leave_out:
            found[name] = {key: repr(value) for key, value in item.attrs.items() if "LIST" not in key}
            if isinstance(item, h5py.Dataset):
                found[name]["bytes"] = item[()].tobytes()

    with h5py.File(path) as file:
        file.visititems(visit)
        found["/"] = {key: repr(value) for key, value in file.attrs.items()}
    return found


def test_compare_keeps_the_comparison_in_the_file(run, solved):
    before = contents(solved / "out.h5")
    assert not hasattr(mf.open(solved / "out.h5"), "pushforward_map")
    outcome = run("compare", "out.h5", "--json")
    assert (outcome.status, outcome.err, outcome.out.count("\n")) == (0, "", 1)
    found = json.loads(outcome.out)
    assert found.keys() >= KEYS | {"depth", "verdict"}
    assert found["depth"] == 0.5
    assert found["w1"] <= found["w2"] * (1 + 1e-12)  # Jensen's inequality, up to rounding
    assert contents(solved / "out.h5") == before
    kept = mf.open(solved / "out.h5")
    assert kept.pushforward_map.shape == (NODES,)
    assert Limit(kept.record).w2 == found["w2"]
    assert run("info", "out.h5").status == 0
    assert names(solved) == ["case.toml", "out.h5"]


def test_compare_prints_a_table(run, solved):  # noqa: ARG001
    rows = table(run("compare", "out.h5").out)
    assert rows["verdict"].startswith("pushforward")
    assert rows["depth compared"] == "0.5"
    assert float(rows["W₂ to the pushforward"]) > 0
    assert run("compare", "out.h5", "--quiet").out == ""


def test_compare_says_collapsed(run, case):  # noqa: ARG001
    run("solve", "case.toml", "-o", "out.h5", "--quiet", "--set", "encoding.amplitude=0")
    assert table(run("compare", "out.h5").out)["verdict"] == "collapsed: the limit map is constant"


def test_compare_can_leave_the_file_alone(run, solved):
    before = (solved / "out.h5").read_bytes()
    assert run("compare", "out.h5", "--no-save", "--quiet").status == 0
    assert (solved / "out.h5").read_bytes() == before


def test_compare_with_a_limit(run, solved):
    run("limit", "case.toml", "-o", "limit.h5", "--quiet")
    before = (solved / "limit.h5").read_bytes()
    beside = json.loads(run("compare", "out.h5", "limit.h5", "--json").out)
    alone = json.loads(run("compare", "out.h5", "--json").out)
    # Both maps are Newton's method's, of residual 1e-12; distances inherit that over the spectral gap.
    assert beside["w2"] == pytest.approx(alone["w2"], abs=1e-9)
    assert (solved / "limit.h5").read_bytes() == before


def test_compare_with_a_limit_on_a_torus_of_one_angle(run, case):  # noqa: ARG001
    """Files tell the dimension of the embedding, which for one angle is that of the circle."""
    torus = ("--set", 'token.space="torus"', "--set", "token.dimension=1", "--quiet", "-o")
    assert run("solve", "case.toml", *torus, "torus.h5").status == 0
    assert run("limit", "case.toml", *torus, "limit.h5").status == 0
    beside = json.loads(run("compare", "torus.h5", "limit.h5", "--json").out)
    alone = json.loads(run("compare", "torus.h5", "--json").out)
    assert beside["w2"] == pytest.approx(alone["w2"], abs=1e-9)  # as on the circle


def test_compare_refuses_another_space(run, case):
    """Tokens on a sphere of many dimensions and zonal laws there share a grid, not their places."""
    assert run("solve", "orthonormal-tokens", "--quiet", "-o", "tokens.h5").status == 0
    zonal = ("--set", "token.dimension=8", "--set", "token.resolution=31", "--quiet", "-o", "zonal.h5")
    assert run("limit", "zonal-collapse", *zonal).status == 0
    before = (case / "tokens.h5").read_bytes()
    outcome = run("compare", "tokens.h5", "zonal.h5")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == (
        "meanfield-pde: compare: solution and limit must live on the same space, "
        "got sphere in R^8 and zonal in R^8\n"
    )
    assert (case / "tokens.h5").read_bytes() == before


def test_single_tokens_have_no_branches(run, case):
    flags = ("--parameter", "attention.beta", "--from", "0.5", "--to", "2", "-o", "branches.h5")
    outcome = run("bifurcation", "orthonormal-tokens", *flags)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "branches of single tokens on a sphere of dimension 8 are not available" in outcome.err
    assert not (case / "branches.h5").exists()


def test_compare_says_which_data_it_misses(run, solved):
    """The configuration in a file names data files; those are not in it."""
    solution = mf.open(solved / "out.h5").record
    text = str(solution.attributes["configuration"]).replace(
        '"uniform"\nnodes = 4', '"table"\nfile = "z.csv"'
    )
    attributes = dict(solution.attributes) | {"configuration": text}
    type(solution)(solution.variables, attributes).save(solved / "moved.h5")
    outcome = run("compare", "moved.h5")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    for words in ("moved.h5: its limit cannot be computed", "z.csv", "give LIMIT.h5"):
        assert words in outcome.err


def test_compare_draws(run, solved):
    assert run("compare", "out.h5", "-o", "fig.png", "--quiet").status == 0
    assert (solved / "fig.png").read_bytes().startswith(b"\x89PNG")
    assert run("compare", "out.h5", "-o", "fig.png").status == 2
    assert run("compare", "out.h5", "-o", "fig.png", "--overwrite", "--quiet").status == 0
    run("limit", "case.toml", "-o", "limit.h5", "--quiet")
    assert run("compare", "limit.h5", "-o", "limit.pdf", "--quiet").status == 0
    assert (solved / "limit.pdf").read_bytes().startswith(b"%PDF")


def test_compare_shows_a_limit_as_it_is(run, folder):
    several_atoms().save(folder / "atoms.h5")
    before = (folder / "atoms.h5").read_bytes()
    outcome = run("compare", "atoms.h5")
    rows = table(outcome.out)
    assert rows["verdict"] == "several atoms per z: no pushforward"
    assert rows.keys() >= {"W₁ to the atoms of the limit", "W₂ to the atoms of the limit"}
    assert outcome.out.count("pushforward") == 1
    assert json.loads(run("compare", "atoms.h5", "--json").out).keys() >= KEYS
    assert (folder / "atoms.h5").read_bytes() == before


def test_compare_with_no_limit_map(run, solved):
    """What there is is kept and printed, and the status says that there was nothing to compare with."""
    nowhere = stationary()
    file = mf.open(solved / "out.h5")
    group = nowhere.groups["limit"]
    grid = {name: file.record.variables[name] for name in ("aux", "aux_weight", "component", "encoding")}
    mf.Limit(type(nowhere)(nowhere.variables | grid, nowhere.attributes, {"limit": group})).save(
        solved / "nowhere.h5"
    )
    outcome = run("compare", "out.h5", "nowhere.h5", "--no-save")
    assert outcome.status == 3
    assert outcome.err == "meanfield-pde: nowhere.h5: there is no limit map\n"
    assert table(outcome.out)["verdict"] == "there is no limit map"


def test_solution_without_configuration(run, solved):
    """Of a problem made in Python: compared by its conditional means, and left as it was."""
    solution = mf.open(solved / "out.h5")
    attributes = dict(solution.record.attributes) | {"configuration": ""}
    type(solution.record)(solution.record.variables, attributes).save(solved / "python.h5")
    before = (solved / "python.h5").read_bytes()
    assert "conditional means" in run("compare", "python.h5").out
    assert json.loads(run("compare", "python.h5", "--json").out)["atoms"] is None
    refused = run("compare", "python.h5", "-o", "fig.png")
    assert (refused.status, refused.out) == (2, "")
    assert "give LIMIT.h5" in refused.err
    assert (solved / "python.h5").read_bytes() == before


def test_read_only_file_is_compared_and_left(run, solved):
    (solved / "out.h5").chmod(0o444)
    before = (solved / "out.h5").read_bytes()
    outcome = run("compare", "out.h5")
    assert outcome.status == 3
    assert outcome.err.count("\n") == 1
    assert "out.h5: no permission to write it; the comparison is not kept" in outcome.err
    assert table(outcome.out)["stable"] == "yes"
    assert (solved / "out.h5").read_bytes() == before
    assert run("compare", "out.h5", "--no-save", "--quiet").status == 0


def test_permissions_of_the_file_stay(run, solved):
    (solved / "out.h5").chmod(0o600)
    assert run("compare", "out.h5", "--quiet").status == 0
    assert (solved / "out.h5").stat().st_mode & 0o777 == 0o600


def test_a_solve_that_goes_on_keeps_its_file(run, solved, monkeypatch):
    """The states that were written during the comparison are not replaced by those that it read."""
    compute = api.compared

    def outrun(*arguments, **flags):
        found = compute(*arguments, **flags)
        (solved / "out.h5").write_bytes(b"newer states")
        return found

    monkeypatch.setattr(api, "compared", outrun)
    outcome = run("compare", "out.h5")
    assert outcome.status == 3
    assert "out.h5: was written by another process meanwhile; compare again" in outcome.err
    assert (solved / "out.h5").read_bytes() == b"newer states"


def test_a_solve_resumes_after_a_comparison(run, case, monkeypatch):
    """The checkpoint stays: a run that was stopped ends as if nobody had looked at it."""
    flags = ("solve", "case.toml", "-o", "part.h5", "--quiet", *NOISE, "--set", "output.checkpoint=0")
    write = Checkpoint.write

    def interrupting(checkpoint, make):
        write(checkpoint, make)
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "write", interrupting)
        assert run(*flags, "--set", "time.final=200.0").status == 130
    assert run("compare", "part.h5", "--quiet").status == 0
    with h5py.File(case / "part.h5") as file:
        assert {"limit", "checkpoint"} <= set(file)
    assert run(*flags, "--set", "time.final=200.0", "--resume").status == 0
    assert mf.open(case / "part.h5").attributes["status"] == "finished"


# bifurcation


@pytest.fixture
def pitchfork(folder):
    """Row 4 of section 7 of the model: USA at β = 4, first order."""
    (folder / "case.toml").write_text(
        '[token]\nresolution = 64\n[attention]\nbeta = 4.0\nnormalization = "none"\n'
        "[noise]\nsigma = 2.5\n[time]\nfinal = 1.0\n"
    )
    return folder


def test_bifurcation_finds_the_first_order_transition(run, pitchfork):
    outcome = run("bifurcation", "case.toml", *PITCHFORK, "--json")
    assert (outcome.status, outcome.err, outcome.out.count("\n")) == (0, "", 1)
    found = json.loads(outcome.out)
    assert found["transition"] == "discontinuous"
    (fold,), (point,) = found["folds"], found["branch_points"]
    # σ_c = I_1(4)/4 and the fold of MODEL.md to all digits given there.
    assert point["value"] == pytest.approx(2.439866, rel=1e-6)
    assert point["mode"] == 1
    assert fold["value"] == pytest.approx(2.5835, abs=5e-5)
    assert fold["order_parameter"] == pytest.approx(0.55, abs=5e-3)
    saved = mf.open(pitchfork / "out.h5")
    assert isinstance(saved, Bifurcation)
    assert saved.summary().keys() == found.keys()
    assert names(pitchfork) == ["case.toml", "out.h5"]


def test_bifurcation_prints_a_table(run, pitchfork, monkeypatch):  # noqa: ARG001
    calls = []

    def follow(problem, parameter, low, high, **flags):
        calls.append((problem.sigma, parameter, low, high, flags["points"], flags["threads"]))
        return Bifurcation(diagram())

    monkeypatch.setattr(api, "bifurcation", follow)
    flags = ("--points", "50", "--threads", "1", "--set", "noise.sigma=2.0")
    outcome = run("bifurcation", "case.toml", *PITCHFORK, *flags)
    assert (outcome.status, outcome.err) == (0, "")
    assert calls == [(2.0, "noise.sigma", 2.3, 2.7, 50, 1)]
    rows = table(outcome.out)
    assert rows["transition"] == "discontinuous"
    assert rows["fold 1"] == "noise.sigma = 0.35, R = 0.4"
    assert rows["branch point 1"] == "noise.sigma = 0.3, R = 0, mode 1 of the uniform law"
    assert rows["two stable states"] == "from 0.3 to 0.35"
    assert rows["branch 1"] == "mode 1: 4 points, from 0.3 to 0.1"
    assert run("bifurcation", "case.toml", *PITCHFORK, "--overwrite", "--quiet").out == ""


def test_branch_that_ends_early_leaves_what_was_reached(run, pitchfork, monkeypatch):
    def ends(*_, **__):
        raise api.BifurcationError("bifurcation: steps vanish at 2.5", Bifurcation(diagram()))

    monkeypatch.setattr(api, "bifurcation", ends)
    outcome = run("bifurcation", "case.toml", *PITCHFORK, "--json")
    assert outcome.status == 3
    assert outcome.err == "meanfield-pde: bifurcation: steps vanish at 2.5; what was reached is in out.h5\n"
    assert json.loads(outcome.out)["transition"] == "discontinuous"
    assert isinstance(mf.open(pitchfork / "out.h5"), Bifurcation)


# wrong input

LIMIT = ["limit", "case.toml", "-o", "out.h5"]
BIFURCATION = ["bifurcation", "case.toml", "-o", "out.h5", "--parameter"]
RANGE = ["--from", "1", "--to", "2"]
WRONG = {
    "no starts": ([*LIMIT, "--starts", "0"], ["--starts", "at least 1", "got 0"]),
    "starts a fraction": ([*LIMIT, "--starts", "1.5"], ["--starts", "integer"]),
    "seed negative": ([*LIMIT, "--seed", "-1"], ["--seed", "got -1"]),
    "halvings negative": ([*LIMIT, "--halvings", "-1"], ["--halvings", "got -1"]),
    "too many halvings": ([*LIMIT, "--halvings", "21"], ["--halvings", "20", "got 21"]),
    "threads zero": ([*LIMIT, "--threads", "0"], ["--threads", "got 0"]),
    "wrong setting": ([*LIMIT, "--set", "attention.bta=1"], ["[attention] bta", '"beta"']),
    "start not there": ([*LIMIT, "--from", "none.h5"], ["none.h5", "no such file"]),
    "start a diagram": ([*LIMIT, "--from", "diagram.h5"], ["--from", "diagram.h5", "found a bifurcation"]),
    "start of several atoms": ([*LIMIT, "--from", "atoms.h5"], ["--from", "atoms.h5", "several atoms"]),
    "start of other nodes": (
        [*LIMIT, "--from", "limit.h5", "--set", "auxiliary.nodes=3"],
        ["one finite angle per node, 3", "(4,)"],
    ),
    "output is the start": (
        ["limit", "case.toml", "-o", "limit.h5", "--from", "limit.h5", "--overwrite"],
        ["limit.h5", "is an input"],
    ),
    "output exists": (["limit", "case.toml", "-o", "limit.h5"], ["limit.h5", "--overwrite"]),
    "folder missing": (["limit", "case.toml", "-o", "no/out.h5"], ["no/out.h5", "does not exist"]),
    "compare a diagram": (["compare", "diagram.h5"], ["diagram.h5", "found a bifurcation"]),
    "compare two limits": (["compare", "limit.h5", "atoms.h5"], ["limit.h5", "found a limit"]),
    "compare with a diagram": (["compare", "solution.h5", "diagram.h5"], ["diagram.h5", "hold a limit"]),
    "compare with a solution": (["compare", "solution.h5", "solution.h5"], ["hold a limit", "solution"]),
    "compare with nothing": (["compare", "solution.h5", "none.h5"], ["none.h5", "no such file"]),
    "compare into another format": (["compare", "limit.h5", "-o", "a.gif"], ["a.gif", ".png"]),
    "unknown parameter": ([*BIFURCATION, "noise.sigm", *RANGE], ["sigm", 'did you mean "sigma"']),
    "parameter of no table": ([*BIFURCATION, "sigma", *RANGE], ["sigma", "[noise]"]),
    "parameter that is a text": ([*BIFURCATION, "title", *RANGE], ["title", "text"]),
    "parameter without effect": ([*BIFURCATION, "prompt.fraction", *RANGE], ["prompt.fraction"]),
    "value not allowed": ([*BIFURCATION, "noise.sigma", "--from", "-1", "--to", "1"], ["noise.sigma", "-1"]),
    "value not finite": ([*BIFURCATION, "noise.sigma", "--from", "nan", "--to", "1"], ["--from", "nan"]),
    "value infinite": ([*BIFURCATION, "noise.sigma", "--from", "1", "--to", "inf"], ["--to", "inf"]),
    "value a word": ([*BIFURCATION, "noise.sigma", "--from", "low", "--to", "1"], ["--from", "number"]),
    "one value": ([*BIFURCATION, "noise.sigma", "--from", "1", "--to", "1"], ["--to", "another number"]),
    "one point": ([*BIFURCATION, "noise.sigma", *RANGE, "--points", "1"], ["--points", "got 1"]),
    "no parameter": (["bifurcation", "case.toml", "-o", "out.h5", *RANGE], ["--parameter"]),
    "no end": (["bifurcation", "case.toml", "-o", "out.h5", "--parameter", "noise.sigma"], ["--from"]),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_wrong_input(run, case, solved_once, arguments, words):
    for name, record in {"limit": limit(NODES), "atoms": several_atoms(), "diagram": diagram()}.items():
        record.save(case / f"{name}.h5")
    (case / "solution.h5").write_bytes(solved_once)
    before = {path: path.read_bytes() for path in case.iterdir()}
    outcome = run(*arguments)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome
    assert outcome.err.startswith("meanfield-pde: ")
    for word in words:
        assert word in outcome.err
    assert {path: path.read_bytes() for path in case.iterdir()} == before


@pytest.fixture(scope="module")
def solved_once(tmp_path_factory):
    path = tmp_path_factory.mktemp("once") / "case.toml"
    path.write_text(SMALL)
    mf.solve(mf.load(path)).save(path.with_suffix(".h5"))
    return path.with_suffix(".h5").read_bytes()


def test_either_order_of_the_ends(run, pitchfork):  # noqa: ARG001
    flags = ("--parameter", "noise.sigma", "--from", "2.7", "--to", "2.6", "-o", "out.h5", "--json")
    found = json.loads(run("bifurcation", "case.toml", *flags).out)
    assert found["transition"] == "none"
    assert math.isclose(found["branches"][0]["from"], 2.6)
