"""The commands: what they write, what they print, and how they end when a computation does not."""

import builtins
import json
import math
import subprocess
import sys
import types

import numpy as np
import pytest

from meanfield_pde import config, shipped
from meanfield_pde.cli import process
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.records import read

SMALL = """
title = "Small"
[token]
resolution = 32
[auxiliary]
kind = "uniform"
nodes = 3
[encoding]
kind = "additive"
amplitude = 0.5
[attention]
beta = 1.0
[noise]
sigma = 0.1
[initial]
kind = "fourier"
modes = [[1, 0.3, 0.0]]
[time]
final = 0.5
save = 3
[solver]
rtol = 1e-5
atol = 1e-7
"""

CLOSING = {"mass_error", "minimum", "free_energy", "order_parameter", "resolution", "steps", "seconds"}


@pytest.fixture
def case(folder):
    (folder / "case.toml").write_text(SMALL)
    return folder


class FakeSolution:
    """Stands for what a solve leaves; saving it may fail, by file name."""

    def __init__(self, fails=()):
        self.fails = fails

    def summary(self):
        return {"status": "stopped", "depth": np.float64(0.25), "free_energy": math.nan, "steps": np.int64(7)}

    def save(self, path, overwrite=False):  # noqa: ARG002
        if path.name in self.fails:
            raise InputError(f"{path}: was written by another process in the meantime")
        path.write_bytes(b"result")


@pytest.fixture
def solve_ends(monkeypatch):
    """Replace the solve by one that returns, or raises, what is given; keeps what it was called with."""
    calls = []

    def install(end):
        def solve(problem, progress=None, threads=None, **_):
            calls.append((problem, progress, threads))
            if isinstance(end, BaseException):
                raise end
            return end

        evolution = types.ModuleType("meanfield_pde.evolution")
        evolution.solve = solve
        monkeypatch.setitem(sys.modules, "meanfield_pde.evolution", evolution)
        return calls

    return install


def with_solution(error, solution):
    error.solution = solution
    return error


def test_from_nothing_to_a_figure(run, folder):
    """The way of a new user, with the configuration that init writes made small."""
    small = ["auxiliary.nodes=2", "time.final=0.1", "time.save=3", "solver.rtol=1e-4", "solver.atol=1e-6"]
    settings = [part for setting in small for part in ("--set", setting)]
    assert run("init").status == 0
    assert run("validate", "starter.toml", *settings).status == 0
    solved = run("solve", "starter.toml", "-o", "starter.h5", *settings)
    assert solved.status == 0
    assert "order parameter" in solved.out
    assert solved.err == ""
    described = run("info", "starter.h5")
    assert described.status == 0
    assert "finished" in described.out
    assert run("plot", "starter.h5").status == 0
    assert (folder / "starter.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == ["starter.h5", "starter.png", "starter.toml"]


def test_solve_prints_one_json_object(run, case):
    outcome = run("solve", "case.toml", "-o", "out.h5", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    assert json.loads(outcome.out).keys() >= CLOSING
    assert outcome.out.count("\n") == 1
    assert (case / "out.h5").exists()


def test_solve_can_be_quiet(run, case):
    outcome = run("solve", "case.toml", "-o", "out.h5", "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    assert (case / "out.h5").exists()


def test_output_is_replaced_only_when_asked(run, case):
    (case / "out.h5").write_bytes(b"old")
    assert run("solve", "case.toml", "-o", "out.h5").status == 2
    assert (case / "out.h5").read_bytes() == b"old"
    assert run("solve", "case.toml", "-o", "out.h5", "--overwrite", "--quiet").status == 0
    assert read(case / "out.h5").attributes["title"] == "Small"


def test_the_file_holds_the_complete_configuration(run, case):
    run("solve", "case.toml", "-o", "out.h5", "--quiet", "--set", "encoding.amplitude=0.25")
    printed = run("info", "out.h5", "--configuration").out
    assert config.loads(printed) == config.load(case / "case.toml", {"encoding.amplitude": 0.25})
    again = json.loads(run("info", "out.h5", "--configuration", "--json").out)
    assert again == {"configuration": printed}


def test_compare_has_the_keys_of_limits(run, case):  # noqa: ARG001
    run("solve", "case.toml", "-o", "out.h5", "--quiet")
    found = json.loads(run("compare", "out.h5", "--json").out)
    assert found.keys() >= {"w1", "w2", "atoms", "stable", "residual", "order_parameter"}
    assert found["w1"] <= found["w2"] * (1 + 1e-12)  # Jensen's inequality, up to rounding
    assert "pushforward" in run("compare", "out.h5").out


def test_plot_puts_several_solutions_side_by_side(run, case):
    for name in ("a.h5", "b.h5"):
        run("solve", "case.toml", "-o", name, "--quiet")
    assert json.loads(run("plot", "a.h5", "b.h5", "--json").out) == {"figure": "a-comparison.png"}
    assert run("plot", "a.h5", "b.h5", "-o", "both.pdf", "--quiet").out == ""
    assert (case / "both.pdf").read_bytes().startswith(b"%PDF")


def test_validate_writes_nothing(run, case):
    found = json.loads(run("validate", "case.toml", "--json").out)
    assert found["valid"] is True
    assert found["nodes"] == 3
    assert [path.name for path in case.iterdir()] == ["case.toml"]


def test_shipped_configurations_go_by_name(run, folder):
    assert run("validate", "starter", "--quiet").status == 0
    listed = json.loads(run("init", "--list", "--json").out)["configurations"]
    assert listed.keys() == shipped.configurations().keys()
    assert all(listed.values())
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", shipped.configurations())
def test_shipped_configurations_are_valid(run, folder, name):
    assert run("init", name, "--quiet").status == 0
    assert (folder / f"{name}.toml").read_bytes() == shipped.configurations()[name].read_bytes()
    outcome = run("validate", f"{name}.toml")
    assert outcome.status == 0, outcome.err


def test_unfinished_computation_leaves_what_was_reached(run, case, solve_ends):
    solve_ends(with_solution(ComputationError("stopped at depth 0.25: raise it"), FakeSolution()))
    outcome = run("solve", "case.toml", "-o", "out.h5", "--json")
    assert outcome.status == 3
    assert json.loads(outcome.out) == {"status": "stopped", "depth": 0.25, "free_energy": None, "steps": 7}
    assert outcome.err == "meanfield-pde: stopped at depth 0.25: raise it; what was reached is in out.h5\n"
    assert (case / "out.h5").read_bytes() == b"result"


def test_unfinished_computation_that_reached_nothing(run, case, solve_ends):
    solve_ends(ComputationError("the initial density needs more grid points"))
    outcome = run("solve", "case.toml", "-o", "out.h5")
    assert outcome.status == 3
    assert outcome.err.count("\n") == 1
    assert not (case / "out.h5").exists()


def test_interrupt_leaves_what_was_reached(run, case, solve_ends):
    solve_ends(with_solution(KeyboardInterrupt(), FakeSolution()))
    outcome = run("solve", "case.toml", "-o", "out.h5")
    assert outcome.status == 130
    assert (
        "meanfield-pde: interrupted; what was reached is in out.h5; --resume goes on from there\n"
        in outcome.err
    )
    assert (case / "out.h5").read_bytes() == b"result"


def test_interrupt_before_anything_was_reached(run, case, solve_ends):
    solve_ends(KeyboardInterrupt())
    outcome = run("solve", "case.toml", "-o", "out.h5")
    assert outcome.status == 130
    assert "interrupted; nothing was written" in outcome.err
    assert not (case / "out.h5").exists()


def test_result_goes_elsewhere_when_the_output_cannot_be_written(run, case, solve_ends):
    solve_ends(FakeSolution(fails={"out.h5"}))
    outcome = run("solve", "case.toml", "-o", "out.h5")
    assert outcome.status == 3
    assert "another process" in outcome.err
    assert "the result is in out-1.h5 instead" in outcome.err
    assert (case / "out-1.h5").read_bytes() == b"result"


def test_system_errors_are_one_line(run, case, solve_ends):
    solve_ends(OSError(28, "No space left on device", "scratch"))
    outcome = run("solve", "case.toml", "-o", "out.h5")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == "meanfield-pde: scratch: No space left on device\n"
    assert [path.name for path in case.iterdir()] == ["case.toml"]


def test_exhausted_memory_is_one_line(run, case, solve_ends):  # noqa: ARG001
    solve_ends(MemoryError())
    outcome = run("solve", "case.toml", "-o", "out.h5")
    assert outcome.status == 3
    assert "lower auxiliary.nodes" in outcome.err


def test_threads_reach_the_solver_and_the_libraries(run, case, solve_ends, monkeypatch):  # noqa: ARG001
    for name in process.VARIABLES:
        monkeypatch.setenv(name, "5")
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    calls = solve_ends(FakeSolution())
    run("solve", "case.toml", "-o", "out.h5", "--threads", "3", "--quiet")
    assert calls[0][2] == 3
    assert {process.os.environ[name] for name in process.VARIABLES} == {"3"}


def test_progress_is_drawn_on_a_terminal_only(run, case, solve_ends, monkeypatch):  # noqa: ARG001
    calls = solve_ends(FakeSolution())
    run("solve", "case.toml", "-o", "piped.h5")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run("solve", "case.toml", "-o", "watched.h5")
    run("solve", "case.toml", "-o", "quiet.h5", "--quiet")
    assert [progress is not None for _, progress, _ in calls] == [False, True, False]
    state = types.SimpleNamespace(
        depth=0.1, final=0.5, step=1e-3, method="spectral", resolution=32, rejected=1, counted="angles"
    )
    calls[1][1](state)


def test_help_and_version(run, folder):  # noqa: ARG001
    for arguments in ([], ["--help"], ["-h"]):
        outcome = run(*arguments)
        assert outcome.status == 0
        for command in (
            "init",
            "validate",
            "solve",
            "limit",
            "compare",
            "bifurcation",
            "train",
            "design",
            "sweep",
            "ablation",
            "info",
            "plot",
            "animate",
        ):
            assert f"\n  {command} " in outcome.out
    assert "--overwrite" in run("solve", "--help").out
    assert run("--version").out.startswith("meanfield-pde ")


HEAVY = ("numpy", "scipy", "numba", "rocket_fft", "matplotlib", "pydantic", "h5py", "xarray", "ot")


def test_the_command_line_starts_light():
    """Help is instant because nothing heavy is imported for it."""
    script = (
        "import sys; from meanfield_pde.cli import main; assert main(['--help']) == 0; "
        f"print('imported:', *[name for name in {HEAVY} if name in sys.modules])"
    )
    path = "import sys; sys.path[:0] = " + repr([part for part in sys.path if part]) + "; "
    done = subprocess.run([sys.executable, "-c", path + script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "imported:"


def test_an_error_of_the_program_is_not_hidden(run, case, solve_ends):  # noqa: ARG001
    solve_ends(builtins.ZeroDivisionError("a defect"))
    with pytest.raises(ZeroDivisionError):
        run("solve", "case.toml", "-o", "out.h5")
