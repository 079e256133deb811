"""Damaged, foreign and contradictory files: one line and exit status 2 from every command, and no figure.

The file is that of a real solve. What happens to it is drawn once with a fixed seed, so that a failure comes
again. Where the checksum is made to fit, only what the file holds can give it away.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from meanfield_pde.cli import main
from tests.damage import CONTENTS, EDITS, edit, rewrite

CASE = """
title = "Two nodes"
[token]
resolution = 16
[auxiliary]
kind = "uniform"
nodes = 4
[encoding]
kind = "additive"
amplitude = 0.5
[attention]
beta = 1.0
[noise]
sigma = 0.2
[initial]
kind = "fourier"
modes = [[1, 0.3, 0.0]]
[time]
final = 0.5
save = 3
[solver]
rtol = 1e-4
atol = 1e-6
"""

NAME = "out.h5"
COMMANDS = {
    "info": ["info", NAME],
    "configuration": ["info", NAME, "--configuration"],
    "plot": ["plot", NAME],
    "compare": ["compare", NAME],
    "resume": ["solve", "case.toml", "--resume", "-o", NAME],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("solved")
    (folder / "case.toml").write_text(CASE)
    assert main(["solve", str(folder / "case.toml"), "-o", str(folder / NAME), "--quiet"]) == 0
    return (folder / NAME).read_bytes()


@pytest.fixture
def case(folder, original):
    (folder / "case.toml").write_text(CASE)
    (folder / NAME).write_bytes(original)
    return folder


def check(status, out, err, command):
    """One line on standard error that names the file, nothing on standard output."""
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    # --resume may be refused as such, in a version that cannot resume.
    assert err.startswith(f"meanfield-pde: {NAME}: ") or (
        command == "resume" and "--resume: is not available" in err
    )


def refused(run, case):
    """All commands refuse the file; the folder stays as it is, so that there is no figure."""
    before = {path.name: path.read_bytes() for path in case.iterdir()}
    for command, arguments in COMMANDS.items():
        outcome = run(*arguments)
        check(outcome.status, outcome.out, outcome.err, command)
    assert {path.name: path.read_bytes() for path in case.iterdir()} == before


def test_the_file_is_accepted_as_it_is(run, case):
    """Otherwise all refusals below would say nothing."""
    for arguments in (COMMANDS["info"], COMMANDS["configuration"], COMMANDS["plot"], COMMANDS["compare"]):
        outcome = run(*arguments)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out
    assert (case / "out.png").exists()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [1, 10, 1000])
def test_flipped_bytes(run, case, original, count, seed):
    random = np.random.default_rng([count, seed])
    changed = np.frombuffer(original, np.uint8).copy()
    places = random.choice(changed.size, count, replace=False)
    changed[places] ^= random.integers(1, 256, count, dtype=np.uint8)
    (case / NAME).write_bytes(changed.tobytes())
    refused(run, case)


LENGTHS = [0, 1, 7, 8, 48, 511, 512, 4096, -1, -4096]


@pytest.mark.parametrize("length", [*LENGTHS, *np.random.default_rng(0).random(20).round(4).tolist()])
def test_cut_files(run, case, original, length):
    size = int(length * len(original)) if isinstance(length, float) else length
    (case / NAME).write_bytes(original[:size])
    refused(run, case)


OTHERS = {
    "text": lambda _: b"time,density\n0.0,1.0\n",
    "zeros": lambda content: bytes(len(content)),
    "noise": lambda content: np.random.default_rng(0).bytes(len(content)),
    "noise after the signature": lambda content: content[:8] + np.random.default_rng(0).bytes(10_000),
    "something added": lambda content: content + b"\n",
    "a hole": lambda content: (
        content[: len(content) // 2] + bytes(4096) + content[len(content) // 2 + 4096 :]
    ),
    "lines ended as on Windows": lambda content: content.replace(b"\n", b"\r\n"),
    "written twice": lambda content: content + content,
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_other_bytes(run, case, original, other):
    (case / NAME).write_bytes(other(original))
    refused(run, case)


@pytest.mark.parametrize("sealed", [False, True], ids=["as it is", "checksum made to fit"])
@pytest.mark.parametrize("change", [change for change, _ in EDITS.values()], ids=EDITS)
def test_edited_files(run, case, change, sealed):
    edit(case / NAME, change, sealed=sealed)
    refused(run, case)


@pytest.mark.parametrize("change", [change for change, _ in CONTENTS.values()], ids=CONTENTS)
def test_contradictory_files(run, case, change):
    rewrite(case / NAME, change)
    refused(run, case)


@pytest.mark.parametrize("command", COMMANDS)
def test_interpreters_do_not_crash(case, original, command):
    """Alone in a process, warnings and all: a fault within a library would end it by a signal."""
    random = np.random.default_rng(5)
    changed = np.frombuffer(original, np.uint8).copy()
    changed[random.choice(changed.size, 1000, replace=False)] ^= 0x55
    changed[:8] = np.frombuffer(original[:8], np.uint8)
    (case / NAME).write_bytes(changed.tobytes())
    before = sorted(case.iterdir())
    script = "import sys; from meanfield_pde.cli import main; sys.exit(main())"
    program = [sys.executable, "-W", "always", "-c", script]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*program, *COMMANDS[command]], capture_output=True, text=True, check=False, cwd=case, env=environment
    )
    check(done.returncode, done.stdout, done.stderr, command)
    assert sorted(case.iterdir()) == before
