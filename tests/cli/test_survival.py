"""Runs that are killed, interrupted or out of disk space lose little, and are resumed to the last bit."""

import itertools
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import h5py
import numpy as np
import pytest

from meanfield_pde import api, checkpoint, evolution, shipped
from meanfield_pde.config import parse_assignments
from meanfield_pde.errors import InputError
from meanfield_pde.files import remove_leftovers, replacing
from meanfield_pde.records import read

from .survival_runs import Nursery, Place, differences, one_line

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are watched as Linux does")

#: Kills of a run by a method, and of one that is about something else.
KILLS, FEWER_KILLS = 20, 8

CASE = """
title = "Survival"
[token]
resolution = 32
[auxiliary]
kind = "uniform"
nodes = 4
[encoding]
kind = "additive"
amplitude = 0.5
[attention]
beta = 4.0
[noise]
sigma = 0.02
[initial]
kind = "fourier"
modes = [[1, 0.3, 0.0], [2, 0.2, 1.0]]
[time]
final = 3.0
save = 25
[solver]
rtol = 1e-6
atol = 1e-8
[output]
checkpoint = 0
"""


def setting(**values):
    """Flags; a table and its key are separated by two underscores."""
    return [part for key, value in values.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


#: What each run does on its way, so that checkpoints before, amid and after it are gone on from.
CASES = {
    "spectral": setting(solver__method="spectral"),  # refines its grid
    "finite-volume": setting(solver__method="finite-volume"),
    "switching": setting(solver__max_resolution=128),
    "characteristics": setting(  # adds labels, and joins them
        noise__sigma=0,
        auxiliary__nodes=3,
        encoding__amplitude=0.2,
        time__final=20,
        time__save=17,
        solver__rtol=1e-3,
    ),
    "steady": setting(
        noise__sigma=0.1, time__stop="steady", time__tolerance=1e-3, time__final=200, time__save=401
    ),
}
SMALL = setting(auxiliary__nodes=2, time__final=0.5, time__save=6, solver__method="finite-volume")

#: What is called for the result, but not for a checkpoint; and what is called at every step of SMALL.
SAVING = "meanfield_pde.solution:Solution.save"
STEPPING = "solvers.transport:Scheme.trial"


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


@pytest.fixture
def place(nursery, folder):
    (folder / "case.toml").write_text(CASE)
    return Place(nursery, folder, folder / "out.h5")


@pytest.fixture(scope="module")
def uninterrupted(nursery, tmp_path_factory):
    """Give the file of a run without a stop and without a checkpoint."""
    known = {}

    def solved(flags):
        if tuple(flags) not in known:
            folder = tmp_path_factory.mktemp("uninterrupted")
            (folder / "case.toml").write_text(CASE)
            reference = Place(nursery, folder, folder / "out.h5")
            child, status = reference.run(*flags, *setting(output__checkpoint=1e6))
            assert status == 0, child.said()
            known[tuple(flags)] = reference.output
        return known[tuple(flags)]

    return solved


@pytest.fixture
def completes(place, uninterrupted):
    """Resume, and compare with the uninterrupted run."""

    def complete(flags, *more, output=None):
        path = output or place.output
        child, status = replace(place, output=path).run(*flags, "--resume", *more)
        assert (status, child.said()) == (0, "")
        assert differences(uninterrupted(flags), path) == []
        assert "checkpoint" not in read(path).groups
        assert not place.leftovers()

    return complete


@pytest.fixture
def state(run, place):
    """Return the status in the file, None without a file; it opens cleanly in any case."""

    def found():
        if not place.output.exists():
            return None
        described = run("info", place.output, "--json")
        assert (described.status, described.err) == (0, ""), described
        status = json.loads(described.out)["status"]
        assert (checkpoint.GROUP in read(place.output).groups) == (status not in {"finished", "steady"})
        return status

    return found


# Kills


def test_what_the_cases_are_about(uninterrupted):
    """The events that a resumed run must not stumble over do occur."""
    spectral, volumes, switching, labels, steady = (read(uninterrupted(CASES[name])) for name in CASES)
    assert len(set(spectral["grid_size"])) > 2
    assert volumes.attributes["method"] == "finite-volume"
    assert 1.0 < switching.attributes["switched_at"] < 3.0
    assert len(set(labels["grid_size"])) > 2
    assert labels.attributes["atoms"] < labels.attributes["labels"] / 2
    assert steady.attributes["status"] == "steady"
    assert 10 < steady["time"].size < 401


@pytest.mark.parametrize("name", CASES)
def test_killed_at_random_moments(place, state, uninterrupted, name):
    """A while after a few more checkpoints: anywhere within the work and the writing."""
    rng = np.random.default_rng(sorted(CASES).index(name))
    flags, kills, useful = CASES[name], 0, 0
    enough = FEWER_KILLS if name in {"switching", "steady"} else KILLS
    while kills < enough or state() == "unfinished":
        before = place.version()
        child = place.start(*flags, "--resume")
        if kills < enough:
            place.after_checkpoints(child, rng.integers(3))
            child.ended(rng.uniform(0.0, 0.08))
            child.send(signal.SIGKILL)
        status = child.status()
        assert status in {0, -signal.SIGKILL}, child.said()
        assert len(place.leftovers()) <= 1
        kills += status != 0
        useful += status != 0 and place.version() != before
        if state() not in {None, "unfinished"}:
            assert differences(uninterrupted(flags), place.output) == []
            place.output.unlink()
    assert kills == enough
    assert useful > enough / 4


@pytest.mark.parametrize(
    ("name", "function", "call"),
    [
        ("spectral", "meanfield_pde.methods.spectral:refined", 3),
        ("switching", "meanfield_pde.methods.finite_volume:FiniteVolume.following", 1),
        ("characteristics", "meanfield_pde.methods.labels:Cloud.halved", 4),
        ("characteristics", "meanfield_pde.methods.labels:_gathered", 30),
    ],
)
def test_killed_when_the_method_adapts(place, state, completes, name, function, call):
    _, status = place.run(*CASES[name], events=[(function, call, "SIGKILL")])
    assert status == -signal.SIGKILL
    assert state() == "unfinished"
    completes(CASES[name])


#: In the order in which they are passed by a write.
WRITING = {
    "before the file is there": "meanfield_pde.files:secrets.token_hex",
    "before room is reserved": "meanfield_pde.hdf5.writing:_reserve",
    "amid the datasets": "meanfield_pde.hdf5.writing:_write_group",
    "before the seal": "meanfield_pde.integrity:seal",
    "before the file is moved": "meanfield_pde.files:_move",
    "after the file was moved": "meanfield_pde.files:suppress",
}


@pytest.mark.parametrize("when", WRITING)
@pytest.mark.parametrize("call", [1, 3])
def test_killed_while_writing(place, state, completes, when, call):
    function = WRITING[when]
    number = 3 * call - 1 if function.endswith("_group") else call  # of the file, checkpoint, and seal
    _, status = place.run(*SMALL, events=[(function, number, "SIGKILL")])
    assert status == -signal.SIGKILL
    moved = call - 1 + function.endswith("suppress")
    assert state() == ("unfinished" if moved else None)
    assert len(place.leftovers()) == (0 if function.endswith(("token_hex", "suppress")) else 1)
    completes(SMALL)


@pytest.mark.parametrize(
    ("function", "status"), [(SAVING, "unfinished"), ("meanfield_pde.cli.report:Report.result", "finished")]
)
def test_killed_at_the_end(place, state, completes, function, status):
    """Before the result is written, and when it is written and about to be told."""
    assert place.run(*SMALL, events=[(function, 1, "SIGKILL")])[1] == -signal.SIGKILL
    assert state() == status
    completes(SMALL)


def test_leftovers_of_others_are_let_be(tmp_path):
    with replacing(tmp_path / "out.h5") as temporary:
        computer, number, _ = temporary.name.rsplit("-", 2)
    assert int(number) == os.getpid()
    (tmp_path / "out.h5").unlink()
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {
        "gone": f"{computer}-{gone.pid}-{'0' * 16}.partial",
        "alive": f"{computer}-{os.getppid()}-{'1' * 16}.partial",
        "own": f"{computer}-{os.getpid()}-{'2' * 16}.partial",
        "elsewhere": f".meanfield-pde-another.computer-{gone.pid}-{'3' * 16}.partial",
        "elsewhere, long ago": f".meanfield-pde-another.computer-{gone.pid}-{'4' * 16}.partial",
        "foreign": ".another-program.partial",
    }
    for name in names.values():
        (tmp_path / name).write_bytes(b"x")
    yesterday = time.time() - 25 * 3600
    os.utime(tmp_path / names["elsewhere, long ago"], (yesterday, yesterday))
    remove_leftovers(tmp_path)
    kept = {what for what, name in names.items() if (tmp_path / name).exists()}
    assert kept == {"alive", "own", "elsewhere", "foreign"}


# Full disks


FULL = {
    "first checkpoint": ("meanfield_pde.records:Record.save", 1),
    "later checkpoint": ("meanfield_pde.records:Record.save", 4),
    "result": (SAVING, 1),
}


@pytest.mark.parametrize(
    ("when", "name"),
    [
        *itertools.product(FULL, ["spectral"]),
        ("later checkpoint", "switching"),
        ("later checkpoint", "characteristics"),
    ],
)
def test_files_may_not_grow(place, state, completes, when, name):
    function, call = FULL[when]
    child, status = place.run(*CASES[name], events=[(function, call, "limit")])
    assert status == 3
    assert one_line(child.said())
    assert f"{place.output}: could not be written" in child.said()
    assert ("--resume goes on from the last checkpoint" in child.said()) == (when != "first checkpoint")
    assert state() == (None if when == "first checkpoint" else "unfinished")
    assert not place.leftovers()
    completes(CASES[name])


@pytest.fixture
def disk(place):
    """A small disk for the output."""
    mount, name = shutil.which("mount"), place.folder / "disk"
    name.mkdir()
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(name)]
    if os.geteuid() != 0 or mount is None or subprocess.run(command, check=False).returncode != 0:
        pytest.skip("only the administrator may mount a small disk")
    place.output = name / "out.h5"
    yield name
    subprocess.run(["umount", str(name)], check=True)


@pytest.mark.parametrize("when", FULL)
def test_a_disk_fills(place, disk, state, completes, when):
    function, call = FULL[when]
    child, status = place.run(*SMALL, events=[(function, call, str(disk / "others"))])
    assert status == 3
    assert one_line(child.said())
    assert "No space left on device" in child.said()
    assert "the result is in out-1.h5 instead" in child.said()
    assert state() == (None if when == "first checkpoint" else "unfinished")
    spare, size = place.folder / "out-1.h5", (disk / "others").stat().st_size
    assert size > 2**20
    (disk / "others").unlink()
    completes(SMALL)
    completes(SMALL, output=spare)


def test_a_disk_fills_amid_a_checkpoint(place, disk, state, completes):
    """Room was reserved: this checkpoint is written, the next one is not. HDF5 would end the process."""
    events = [("meanfield_pde.hdf5.writing:_write_group", 1, str(disk / "others"))]
    child, status = place.run(*SMALL, events=events)
    assert status == 3
    assert one_line(child.said())
    assert state() == "unfinished"
    (disk / "others").unlink()
    completes(SMALL)


# Signals


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGINT, "spectral"),
        (signal.SIGTERM, "finite-volume"),
        (signal.SIGHUP, "characteristics"),
        (signal.SIGINT, "switching"),
        (signal.SIGTERM, "steady"),
    ],
)
def test_a_signal_ends_a_run_so_that_it_can_go_on(place, state, completes, number, name):
    child = place.start(*CASES[name])
    assert place.after_checkpoints(child, 3)
    child.send(number)
    assert child.status() == 130
    message = f"interrupted; what was reached is in {place.output}; --resume goes on from there"
    assert child.said() == f"meanfield-pde: {message}\n"
    assert state() == "interrupted"
    assert "interrupted" in child.out.read_text()
    completes(CASES[name])


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_before_the_solve_begins(place, number):
    child, status = place.run(*SMALL, events=[("meanfield_pde.building:build", 1, number)])
    assert (status, child.said()) == (130, "meanfield-pde: interrupted; nothing was written\n")
    assert sorted(path.name for path in place.folder.iterdir()) == ["case.toml", "err.txt", "out.txt"]


def test_an_interrupt_before_signals_are_noted(place):
    child, status = place.run(*SMALL, events=[("meanfield_pde.cli.solving:run", 1, "SIGINT")])
    assert status == 130
    assert one_line(child.said())
    assert "nothing was written" in child.said()


@pytest.mark.parametrize(("number", "call"), [("SIGINT", 1), ("SIGINT", 3), ("SIGTERM", 3), ("SIGHUP", 1)])
def test_a_signal_while_a_checkpoint_is_written(place, state, completes, number, call):
    events = [("meanfield_pde.hdf5.writing:_reserve", call, number)]
    child, status = place.run(*SMALL, events=events)
    assert status == 130
    assert one_line(child.said())
    assert state() == "interrupted"
    completes(SMALL)


def test_a_signal_while_the_result_is_written_comes_too_late(place, state, completes):
    events = [(SAVING, 1, "SIGTERM")]
    child, status = place.run(*SMALL, events=events)
    assert (status, child.said()) == (0, "")
    assert state() == "finished"
    completes(SMALL)


TWICE = {
    "amid a step": [(STEPPING, 20, "SIGINT SIGINT")],
    "amid a checkpoint": [("meanfield_pde.hdf5.writing:_write_dataset", 100, "SIGTERM SIGINT")],
    "at the result": [(SAVING, 1, "SIGINT SIGINT")],
    "saving what was reached": [
        (STEPPING, 20, "SIGINT"),
        (SAVING, 1, "SIGINT"),
    ],
}


@pytest.mark.parametrize("when", TWICE)
def test_a_second_interrupt_ends_at_once(place, state, completes, when):
    child, status = place.run(*SMALL, events=TWICE[when])
    assert status == 130
    message = f"interrupted; --resume goes on from the last checkpoint in {place.output}"
    assert child.said() == f"meanfield-pde: {message}\n"
    assert state() == "unfinished"
    assert not place.leftovers()
    completes(SMALL)


def test_a_second_interrupt_before_the_first_checkpoint(place):
    events = [("meanfield_pde.hdf5.writing:_reserve", 1, "SIGINT SIGINT")]
    child, status = place.run(*SMALL, events=events)
    assert (status, child.said()) == (130, "meanfield-pde: interrupted; nothing was written\n")
    assert not place.output.exists()


def test_a_lost_terminal_that_is_to_be_ignored(place, uninterrupted):
    """As under nohup."""
    events = [(STEPPING, 20, "SIGHUP")]
    child, status = place.run(*SMALL, events=events, ignore=["SIGHUP"])
    assert (status, child.said()) == (0, "")
    assert differences(uninterrupted(SMALL), place.output) == []


def test_a_terminal_is_lost(place, state, completes):
    """The system sends SIGHUP, and nothing can be printed any more: no progress, table or message."""
    ours, theirs = pty.openpty()
    child = place.start(*CASES["finite-volume"], out=os.ttyname(theirs), err=os.ttyname(theirs))
    os.set_blocking(ours, False)
    shown = []

    def look():
        with suppress(BlockingIOError):
            shown.append(os.read(ours, 2**16))

    assert place.after_checkpoints(child, 3, look)
    assert b"depth" in b"".join(shown)
    os.close(theirs)
    os.close(ours)
    assert child.status() == 130
    assert state() == "interrupted"
    completes(CASES["finite-volume"])


@pytest.mark.parametrize(
    ("out", "err", "flags"),
    [("pipe", "err.txt", []), ("out.txt", "pipe", []), ("pipe", "pipe", ["--json"])],
)
def test_nobody_reads_what_is_printed(place, state, completes, out, err, flags):
    """The run does not mind."""
    events = [(STEPPING, 20, "SIGINT")]
    child, status = place.run(*SMALL, *flags, events=events, out=out, err=err)
    assert status == 130
    assert err == "pipe" or one_line(child.said())
    assert state() == "interrupted"
    completes(SMALL)


def test_closed_streams(place, uninterrupted):
    """No file takes the place of standard error: it would hold messages of libraries."""
    command = [sys.executable, "-c", "from meanfield_pde.cli import main; raise SystemExit(main())"]
    solve = [*command, "solve", "case.toml", "-o", str(place.output), *SMALL]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *solve], check=False)
    assert done.returncode == 0
    assert differences(uninterrupted(SMALL), place.output) == []


# What may be resumed, and what not


@pytest.fixture(scope="module")
def killed(nursery, tmp_path_factory):
    """The file of a run that was killed."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "case.toml").write_text(CASE)
    one = Place(nursery, folder, folder / "out.h5")
    one.run(*SMALL, events=[(SAVING, 1, "SIGKILL")])
    return one.output


@pytest.fixture
def unfinished(place, state, killed):
    shutil.copy(killed, place.output)
    assert state() == "unfinished"
    return place.output


@pytest.fixture
def refused(place, run):
    """Resume in vain; the file stays as it is to the last byte."""

    def resume(flags, *words):
        before = place.output.read_bytes()
        outcome = run("solve", "case.toml", "-o", place.output, *flags, "--resume")
        assert outcome.status == 2
        assert one_line(outcome.err)
        for word in (str(place.output), *words):
            assert word in outcome.err
        assert place.output.read_bytes() == before

    return resume


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (setting(noise__sigma=0.03), ["noise.sigma was 0.02, now it is 0.03"]),
        (setting(time__save=7), ["time.save was 6, now it is 7"]),
        (setting(solver__rtol=1e-7), ["solver.rtol was 1e-06, now it is 1e-07"]),
        (setting(solver__method="auto"), ["solver.method was 'finite-volume', now it is 'auto'"]),
        (setting(output__density="last"), ["output.density was 'all', now it is 'last'"]),
        (
            setting(attention__bias="causal", noise__sigma=0.5),
            ["attention.bias was 'none', now it is 'causal' (and 1 more)"],
        ),
    ],
)
def test_another_configuration_is_refused(unfinished, refused, completes, flags, words):  # noqa: ARG001
    refused([*SMALL, *flags], "of another configuration", *words)
    completes(SMALL)


@pytest.mark.parametrize("more", [setting(output__checkpoint=7.5), ["--threads", "2"], ["--overwrite"]])
def test_what_does_not_bear_on_the_result_may_differ(unfinished, completes, more):  # noqa: ARG001
    completes(SMALL, *more)


def test_threads_do_not_bear_on_the_result(place, state, completes):
    """Of a problem of several blocks of nodes."""
    flags = setting(auxiliary__nodes=600, time__final=0.05, time__save=3, token__resolution=16)
    place.run(*flags, "--threads", "2", events=[(SAVING, 1, "SIGKILL")])
    assert state() == "unfinished"
    completes(flags, "--threads", "1")


def test_other_data_are_refused(place, refused):
    rows = np.array([[0.0, 0.1], [0.2, 0.3]])
    flags = [*SMALL, *setting(encoding__shape="table", encoding__file="positions.h5", encoding__dataset="p")]

    def write(values):
        with h5py.File(place.folder / "positions.h5", "w") as file:
            file["p"] = values

    write(rows)
    original = (place.folder / "positions.h5").read_bytes()
    place.run(*flags, events=[(SAVING, 1, "SIGKILL")])
    write(rows + 1e-9)
    refused(flags, "computed from other data", "[encoding] file")
    (place.folder / "positions.h5").write_bytes(original)
    child, status = place.run(*flags, "--resume")
    assert (status, child.said()) == (0, "")


def test_another_version_is_refused(unfinished, refused, monkeypatch):  # noqa: ARG001
    version = shipped.version()
    monkeypatch.setattr(shipped, "version", lambda: "99.0")
    refused(SMALL, f"its checkpoint is of version {version}, this is 99.0", "--overwrite")


def test_a_finished_run_stays_as_it_is(place, run):
    first = run("solve", "case.toml", "-o", place.output, *SMALL, "--json")
    before = place.output.read_bytes()
    again = run("solve", "case.toml", "-o", place.output, *SMALL, "--json", "--resume")
    assert (again.status, again.out, again.err) == (0, first.out, "")
    told = run("solve", "case.toml", "-o", place.output, *SMALL, "--resume")
    assert "finished already" in told.out
    assert place.output.read_bytes() == before


def test_a_stopped_run_is_not_resumed(place, run, refused):
    """It would stop again."""
    flags = setting(solver__method="spectral", solver__max_resolution=64)
    stopped = run("solve", "case.toml", "-o", place.output, *flags)
    assert stopped.status == 3
    refused(flags, "holds no checkpoint (status: stopped)", "--overwrite")


def test_a_file_without_a_checkpoint_is_refused(unfinished, refused):
    record = read(unfinished)
    replace(record, groups={}).save(unfinished, overwrite=True)
    refused(SMALL, "holds no checkpoint (status: unfinished)", "--overwrite")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_damaged_file_is_refused(unfinished, refused, share):
    content = bytearray(unfinished.read_bytes())
    content[int(share * len(content))] ^= 1
    unfinished.write_bytes(content)
    refused(SMALL, "damaged")


def test_a_foreign_file_is_refused(place, refused):
    place.output.write_text("notes")
    refused(SMALL, "not an HDF5 file")


def test_without_a_file_a_run_begins(place, uninterrupted):
    child, status = place.run(*SMALL, "--resume")
    assert (status, child.said()) == (0, "")
    assert "there is no checkpoint yet; starting from the beginning" in child.out.read_text()
    assert differences(uninterrupted(SMALL), place.output) == []


def test_the_same_from_python(unfinished, uninterrupted, place, monkeypatch):
    """One file may be gone on from and hold the checkpoints; another that is there must not be replaced."""
    monkeypatch.setattr(evolution, "INTERVAL", 0.0)
    problem = api.load(place.folder / "case.toml", parse_assignments(SMALL[1::2]))
    with pytest.raises(InputError, match="exists already"):
        evolution.solve(problem, checkpoint=unfinished)
    version = place.version()
    solution = evolution.solve(problem, checkpoint=unfinished, resume=unfinished)
    assert place.version() != version
    solution.save(unfinished, overwrite=True)
    assert differences(uninterrupted(SMALL), unfinished) == []


# How often


def test_writing_takes_a_twentieth_of_the_time(tmp_path, monkeypatch):
    """And is never more frequent than asked for; 0 asks for every occasion."""
    now = 0.0

    class Slow:
        def save(self, path, overwrite):  # noqa: ARG002
            nonlocal now
            now += 2.0

    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    path = tmp_path / "out.h5"
    intervals = (60.0, 1.0, 0.0)
    seldom, often, always = (checkpoint.Checkpoint(path, interval, _written=0.0) for interval in intervals)
    assert [one.due() for one in (seldom, often, always)] == [False, False, True]
    now = 1.0
    assert [one.due() for one in (seldom, often, always)] == [False, True, True]
    for one in (seldom, often, always):
        one.write(Slow)
    now += 39.9 - 4.0
    assert [one.due() for one in (seldom, often, always)] == [False, False, True]
    now += 4.2
    assert [one.due() for one in (seldom, often, always)] == [False, True, True]
    now += 20.0
    assert seldom.due()
