"""The command animate: what it writes, prints and refuses."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from meanfield_pde.cli import animating
from tests.unit import space_records
from tests.unit.example_records import example


@pytest.fixture
def solution(folder):
    example(3, 4, 16).save(folder / "out.h5")
    return folder


def frames(path):
    with Image.open(path) as image:
        return image.n_frames


def test_a_gif_beside_the_solution(run, solution):
    outcome = run("animate", "out.h5")
    assert (outcome.status, outcome.out, outcome.err) == (0, "out.gif written: 4 frames\n", "")
    assert frames(solution / "out.gif") == 4
    again = run("animate", "out.h5")
    assert again.status == 2
    assert "out.gif: exists already" in again.err
    assert "--overwrite" in again.err


def test_json_says_what_was_written(run, solution):
    (solution / "film.gif").write_text("old")
    outcome = run("animate", "out.h5", "-o", "film.gif", "--fps", 5, "--overwrite", "--json")
    told = json.loads(outcome.out)
    assert {name: told[name] for name in ("frames", "file")} == {"frames": 4, "file": "film.gif"}
    assert 0 < told["seconds"] < 60
    with Image.open(solution / "film.gif") as image:
        assert image.info["duration"] == 200
    assert run("animate", "out.h5", "-o", "quiet.gif", "--quiet").out == ""


@pytest.mark.parametrize("make", [space_records.sphere, space_records.zonal, space_records.torus])
def test_files_of_other_spaces_are_drawn_and_animated(run, folder, make):
    make(2, 3, 8).save(folder / "out.h5")
    assert run("animate", "out.h5", "--quiet").status == 0
    assert frames(folder / "out.gif") == 3
    assert run("plot", "out.h5", "--quiet").status == 0


@pytest.mark.parametrize("make", [space_records.sphere, space_records.zonal, space_records.torus])
def test_limits_on_other_spaces_are_drawn_and_do_not_move(run, folder, make):
    space_records.limit_of(make(2, 2, 8)).save(folder / "limit.h5")
    assert run("plot", "limit.h5", "--quiet").status == 0
    outcome = run("animate", "limit.h5")
    assert outcome.status == 2
    assert "limit.h5: only solutions can be animated, found a limit" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["missing.h5"], ["missing.h5"]),
        ([], ["OUT.h5"]),
        (["one.h5"], ["one.h5", "several saved states, found 1", "time.save"]),
        (["out.h5", "-o", "a.png"], ["a.png", ".gif or .mp4"]),
        (["out.h5", "-o", "there/a.gif"], ["there", "does not exist"]),
        (["out.h5", "--fps", "0"], ["--fps", "from 1 to 50", "got 0"]),
        (["out.h5", "--fps", "fast"], ["--fps", "integer"]),
        (["same.gif", "--overwrite"], ["same.gif", "is the file to be drawn"]),
    ],
)
def test_what_cannot_be_animated(run, solution, arguments, parts):
    example(3, 1, 16).save(solution / "one.h5")
    example(3, 2, 16).save(solution / "same.gif")
    before = sorted((path.name, path.read_bytes()) for path in solution.iterdir())
    outcome = run("animate", *arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    for part in parts:
        assert part in outcome.err
    assert sorted((path.name, path.read_bytes()) for path in solution.iterdir()) == before


def test_the_bar_tells_of_frames(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with animating._bar(wanted=True) as progress:
        progress(3, 7)
        time.sleep(0.3)  # rich redraws ten times a second
    assert "frame 3/7" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(folder, stop):
    example(3, 400, 16).save(folder / "out.h5")
    program = "from meanfield_pde.cli import main; import sys; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", program, "animate", "out.h5"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not list(folder.glob(".meanfield-pde-*.partial")) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, stop)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; out.gif is complete, or as it was before" in told
    assert [path.name for path in folder.iterdir()] == ["out.h5"]
