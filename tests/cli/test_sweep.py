"""The command sweep: its cube, points that fail, kills, and the same cube on any workers."""

import json
import logging
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde.records import read
from meanfield_pde.sweeps.journal import Journal

distributed = pytest.importorskip("distributed")

SMALL = """
title = "Small"
[token]
resolution = 16
[auxiliary]
kind = "uniform"
nodes = 2
[encoding]
kind = "additive"
amplitude = 0.5
[attention]
beta = 2.0
[noise]
sigma = 0.4
[initial]
kind = "fourier"
modes = [[1, 0.3, 0.0]]
[time]
final = 1.0
save = 2
[solver]
method = "spectral"
rtol = 1e-6
atol = 1e-8
[output]
checkpoint = 0.3
"""
GRID = ("sweep", "case.toml", "--of", "solve", "--over", "attention.beta=1:4:6")
GRID += ("--over", "encoding.amplitude=0,0.3,0.6,1", "-o", "out.h5")
#: Steep densities fail on coarse grids.
COARSE = ("--set", "attention.beta=1", "--set", "solver.max_resolution=64")
#: Seconds for anything that takes one or two.
LONG = 60.0


@pytest.fixture(scope="module")
def cluster():
    """Give the address of a cluster of two workers."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    ) as found:
        yield found.scheduler_address


@pytest.fixture
def case(folder):
    (folder / "case.toml").write_text(SMALL)
    return folder


def assert_same_cube(one, two):
    """Compare all arrays bit by bit, but for the time that they took."""
    assert list(one.variables) == list(two.variables)
    for name in set(one.variables) - {"seconds"}:
        assert one[name].dtype == two[name].dtype, name
        assert one[name].tobytes() == two[name].tobytes(), name
        assert one.variables[name].dims == two.variables[name].dims
    own = {"created", "command", "seconds"}
    assert {k: v for k, v in one.attributes.items() if k not in own} == {
        k: v for k, v in two.attributes.items() if k not in own
    }


def test_cube_of_limits_with_words(run, case, cluster):
    arguments = ("--over", "noise.sigma=0.3,0.6", "--over", "encoding.kind=none,rotary", "-o", "out.h5")
    further = ("--set", 'encoding.kind="rotary"', "--set", "encoding.frequency=0", "--scheduler", cluster)
    outcome = run("sweep", "case.toml", *arguments, *further)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("Small → out.h5\n")
    assert not (case / "out.h5.journal").exists()
    assert run("info", "out.h5").status == 0
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset("out.h5", engine="h5netcdf") as cube:
        assert cube.sizes == {"noise_sigma": 2, "encoding_kind": 2}
        assert cube.noise_sigma.attrs == {"long_name": "noise.sigma", "units": "1"}
        assert (cube.status == "finished").all()
        bare = cube.sel(noise_sigma=0.3, encoding_kind="none")
        limit = mf.limit(mf.load("case.toml", {"noise.sigma": 0.3, "encoding.kind": "none"}), threads=1)
        assert float(bare.order_parameter) == limit.attributes["order_parameter"] > 0.5
        assert (float(bare.residual), str(bare.verdict.values)) == (limit.residual, limit.verdict)
        # Turning by nothing is no encoding. Above the critical noise of the uniform law, 0.349 for β = 2
        # (MODEL.md, 7.3), no order is left. 1e-6: the residual over the rate 0.25 at which order decays.
        order = cube.order_parameter.values
        assert order[0, 0] == pytest.approx(order[0, 1], abs=1e-6)
        assert order[1].max() < 1e-6


@pytest.mark.usefixtures("case")
def test_a_point_that_fails_is_recorded_and_the_rest_goes_on(run, cluster):
    arguments = ("--of", "solve", "--over", "noise.sigma=0.4,0.001", *COARSE, "--json")
    outcome = run("sweep", "case.toml", *arguments, "-o", "out.h5", "--scheduler", cluster)
    assert outcome.status == 0
    values = json.loads(outcome.out)
    assert (values["points"], values["failed"], values["pending"], values["computed"]) == (2, 1, 0, 2)
    sweep = mf.open("out.h5")
    assert isinstance(sweep, mf.Sweep)
    assert sweep.status.tolist() == ["failed", "finished"]
    assert np.isfinite(sweep.order_parameter).tolist() == [False, True]
    (failure,) = sweep.failures
    assert failure["noise.sigma"] == 0.001
    assert "solver.max_resolution = 64" in failure["reason"]
    # With --resume nothing is repeated, unless it is asked for.
    again = run("sweep", "case.toml", *arguments, "-o", "out.h5", "--resume", "--scheduler", cluster)
    assert json.loads(again.out)["computed"] == 0
    retried = run(
        "sweep", "case.toml", *arguments, "-o", "out.h5", "--resume", "--retry", "--scheduler", cluster
    )
    assert json.loads(retried.out)["computed"] == 1
    assert_same_cube(sweep.record, read("out.h5"))


def test_nothing_but_failures_ends_with_three(run, case, cluster):
    arguments = ("--of", "solve", "--over", "noise.sigma=0.001,0.002", *COARSE)
    outcome = run("sweep", "case.toml", *arguments, "-o", "out.h5", "--scheduler", cluster)
    assert outcome.status == 3
    assert "all 2 points failed" in outcome.err
    assert (read(case / "out.h5")["status"] == "failed").all()


def journal_lines(folder):
    path = folder / "out.h5.journal"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def stopped(folder, number, points, *flags):
    """Begin in another process, and send it and its children a signal when so many points are in the journal.

    As Ctrl-C at a terminal does. Returns the exit status.
    """
    begin = [sys.executable, "-c", "import sys; from meanfield_pde.cli import main; sys.exit(main())"]
    with (folder / "said").open("w") as said:
        command = [*begin, *GRID, "--resume", *flags]
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, start_new_session=True)
    until = time.monotonic() + LONG
    while journal_lines(folder) < points and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    assert process.poll() is None, (folder / "said").read_text()
    os.killpg(process.pid, number)
    return process.wait(LONG)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_kills_lose_and_repeat_no_point_and_any_workers_give_the_same_cube(run, case, cluster):
    """Killed twice on a cluster and interrupted with a process here, beside a run without a stop."""
    kept, remote, local = {}, ("--scheduler", cluster), ("--workers", "1")
    for number, points, expected, flags in (
        (signal.SIGKILL, 3, -9, remote),
        (signal.SIGINT, 8, 130, local),
        (signal.SIGKILL, 12, -9, remote),
    ):
        assert stopped(case, number, points, *flags) == expected
        said = [line for line in (case / "said").read_text().splitlines() if "starting from" not in line]
        assert [line.split(";")[0] for line in said] == ["meanfield-pde: interrupted"] * (expected == 130)
        journal = Journal.opened(case / "out.h5.journal")
        journal.close()
        found = {outcome.index: outcome for outcome in journal.outcomes}
        assert len(found) == len(journal.outcomes), "a point was computed twice"
        assert found.items() >= kept.items(), "a point was lost"
        kept = found
        assert read(case / "out.h5").attributes["status"] == "unfinished"
    refused = run(*GRID)
    assert refused.status == 2
    assert "out.h5: exists already" in refused.err

    finished = run(*GRID, "--resume", "--json", *remote)
    assert (finished.status, finished.err) == (0, "")
    assert json.loads(finished.out)["computed"] == 24 - len(kept) > 0
    cube = read(case / "out.h5")
    seconds = cube["seconds"].ravel()
    assert [seconds[index] for index in kept] == [one.seconds for one in kept.values()]
    assert sorted(path.name for path in case.iterdir()) == ["case.toml", "out.h5", "said"]

    assert run(*GRID[:-1], "whole.h5", "--quiet", *remote).status == 0
    assert_same_cube(cube, read(case / "whole.h5"))
    assert not np.isnan(cube["order_parameter"]).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--over", "attention.beta=1,-1"], ["[attention] beta", "-1", "at attention.beta = -1"]),
        (["--over", "attention.bet=1,2"], ["[attention] bet", 'did you mean "beta"']),
        (["--over", "auxiliary.nodes=4,8.5"], ["[auxiliary] nodes", "8.5"]),
        (["--over", "encoding.kind=none,rotary"], ["[encoding] frequency", "encoding.kind = rotary"]),
        (["--over", "attention.beta=1:4"], ["attention.beta", "1:4", "--random"]),
        (["--over", "attention.beta=1,2", "--over", "attention.beta=3"], ["attention.beta", "twice"]),
        (["--over", "attention.beta"], ["table.key=values", "attention.beta"]),
        (["--over", "attention.beta=1,2", "--of", "plot"], ["--of", "plot", "limit, solve, train"]),
        (["--over", "attention.beta=1,2", "--workers", "0"], ["--workers", "0"]),
        (["--over", "attention.beta=1:2", "--random", "0"], ["--random", "0"]),
        (["--over", "attention.beta=1,2", "--retry"], ["--retry", "--resume"]),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(run, case, arguments, words):
    outcome = run("sweep", "case.toml", *arguments, "-o", "out.h5")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert all(word in outcome.err for word in words), outcome.err
    assert [path.name for path in case.iterdir()] == ["case.toml"]


def test_another_sweep_is_not_gone_on_with(run, case, cluster):
    arguments = ("sweep", "case.toml", "--of", "solve", "-o", "out.h5", "--scheduler", cluster)
    assert run(*arguments, "--over", "attention.beta=1,2").status == 0
    before = (case / "out.h5").read_bytes()
    for flags, word in (
        (("--over", "attention.beta=1,3"), "--over"),
        (("--over", "attention.beta=1,2", "--set", "noise.sigma=0.5"), "noise.sigma was 0.4, now it is 0.5"),
        (("--over", "attention.beta=1,2", "--of", "limit"), "--of"),
    ):
        outcome = run(*arguments, *flags, "--resume")
        assert outcome.status == 2
        assert word in outcome.err
    (case / "out.h5.journal").write_bytes(b"left")
    left = run(
        *arguments[:4], "-o", "other.h5", "--over", "attention.beta=1,2", "--resume", "--scheduler", "x"
    )
    assert "--scheduler" in left.err
    assert (case / "out.h5").read_bytes() == before


def test_random_points(run, case, cluster):
    arguments = ("--of", "solve", "--over", "attention.beta=1:4", "--over", "auxiliary.nodes=1:3")
    flags = ("--random", "4", "--seed", "7", "-o", "out.h5", "--scheduler", cluster)
    assert run("sweep", "case.toml", *arguments, *flags).status == 0
    cube = read(case / "out.h5")
    assert cube.sizes == {"point": 4}
    # Four points of a Sobol' sequence: one in every quarter of each range.
    assert sorted(((cube["attention_beta"] - 1) * 4 / 3).astype(int).tolist()) == [0, 1, 2, 3]
    assert set(cube["auxiliary_nodes"].tolist()) <= {1, 2, 3}
    with h5py.File(case / "out.h5") as file:
        assert file["order_parameter"].dims[0][0].name == "/point"


@pytest.mark.usefixtures("case")
def test_sweep_in_python(cluster):
    over = {"attention.beta": np.array([1.0, 2.0]), "encoding.amplitude": "0:1:2"}
    problem = mf.load("case.toml")
    sweep = mf.sweep(problem, over, of="solve", scheduler=cluster, output="out.h5")
    assert sweep.order_parameter.shape == (2, 2)
    alone = mf.solve(mf.load("case.toml", {"attention.beta": 2.0, "encoding.amplitude": 1}), threads=1)
    assert sweep.order_parameter[1, 1] == alone.order_parameter[-1]
    assert_same_cube(sweep.record, read("out.h5"))
    with pytest.raises(mf.InputError, match="exists already"):
        mf.sweep(problem, over, output="out.h5")
