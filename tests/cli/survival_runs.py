"""Runs of the command line in other processes, to be killed, interrupted or put on a full disk."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 120.0
#: What differs between two runs of the same configuration.
OWN = {"created", "command", "seconds"}


class Nursery:
    """Starts commands within milliseconds; see ``survival_nursery.py``."""

    def __init__(self):
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("survival_nursery.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path},
            start_new_session=True,  # an interrupt of the tests is none of the runs
        )
        self._answer()

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, "the nursery has ended"
        return json.loads(line)

    def close(self):
        self.process.communicate(timeout=MOST_SECONDS)


@dataclass
class Child:
    """A command under way."""

    nursery: Nursery
    number: int
    out: Path
    err: Path
    handle: int = field(init=False)

    def __post_init__(self):
        self.handle = os.pidfd_open(self.number)

    def ended(self, seconds=0.0):
        """Tell whether it ends within some seconds."""
        return bool(select.select([self.handle], [], [], seconds)[0])

    def send(self, number):
        """Send a signal, if it is still there."""
        signal.pidfd_send_signal(self.handle, number)

    def status(self):
        """Wait for the exit status, negative for a signal."""
        os.close(self.handle)
        return self.nursery.ask(wait=self.number, seconds=MOST_SECONDS)

    def said(self):
        """Return what it wrote to standard error."""
        return self.err.read_text()


@dataclass
class Place:
    """A folder in which a configuration is solved, as often as need be, into one file."""

    nursery: Nursery
    folder: Path
    output: Path

    def start(self, *flags, events=(), ignore=(), out="out.txt", err="err.txt"):
        """Start a solve; ``out`` and ``err``: files of the folder, "pipe", or a terminal."""
        streams = [Path(self.folder, name) if name.endswith(".txt") else Path(name) for name in (out, err)]
        for stream in streams:
            if stream.suffix == ".txt":
                stream.write_text("")
        number = self.nursery.ask(
            arguments=["solve", "case.toml", "-o", str(self.output), *flags],
            folder=str(self.folder),
            out=str(streams[0]),
            err=str(streams[1]),
            ignore=list(ignore),
            events=list(events),
        )
        return Child(self.nursery, number, *streams)

    def run(self, *flags, **how):
        """Solve, and return the child with its exit status."""
        child = self.start(*flags, **how)
        return child, child.status()

    def version(self):
        """Say which version of the output there is: every checkpoint is a new file."""
        try:
            found = self.output.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def after_checkpoints(self, child, count, meanwhile=lambda: None):
        """Wait until the child has written some checkpoints; false if it ended before."""
        seen, version = 0, self.version()
        until = time.monotonic() + MOST_SECONDS
        while seen < count:
            assert time.monotonic() < until, "no checkpoint"
            if child.ended(0.001):
                return False
            meanwhile()
            if self.version() != version:
                seen, version = seen + 1, self.version()
        return True

    def leftovers(self):
        """Temporary files."""
        return [path.name for path in self.output.parent.iterdir() if path.name.endswith(".partial")]


def differences(first, second):
    """Names of all datasets and attributes in which two files differ by a bit, but for their own."""
    with h5py.File(first) as ours, h5py.File(second) as theirs:
        return list(_differences(ours, theirs))


def _differences(ours, theirs):
    yield from _attribute_differences(ours, theirs)
    if isinstance(ours, h5py.Dataset):
        same = ours.dtype == theirs.dtype and ours.shape == theirs.shape and _scales(ours) == _scales(theirs)
        if not same or ours[()].tobytes() != theirs[()].tobytes():
            yield ours.name
        return
    if list(ours) != list(theirs):
        yield f"{ours.name}: {sorted(set(ours) ^ set(theirs)) or 'order'}"
        return
    for name in ours:
        if name != "integrity":
            yield from _differences(ours[name], theirs[name])


def _attribute_differences(ours, theirs):
    if list(ours.attrs) != list(theirs.attrs):
        yield f"{ours.name}: attributes {sorted(set(ours.attrs) ^ set(theirs.attrs)) or 'in order'}"
        return
    for name in ours.attrs:
        if name.endswith(("_LIST", "REFERENCE")) or (ours.name == "/" and name in OWN):
            continue
        values = [_plain(name, item.attrs[name]) for item in (ours, theirs)]
        if values[0] != values[1]:
            yield f"{ours.name}: attribute {name}"


def _plain(name, value):
    """An attribute as type and bytes; the configuration without the interval of checkpoints."""
    if name == "configuration":
        tables = tomllib.loads(value)
        del tables["output"]["checkpoint"]
        return tables
    array = np.asarray(value)
    return (
        type(value),
        array.dtype,
        array.shape,
        array.tobytes() if array.dtype.kind in "fiub" else str(value),
    )


def _scales(dataset):
    return [[scale.name for scale in dimension.values()] for dimension in dataset.dims]


def one_line(text):
    """Return whether a message is one line of the program."""
    return re.fullmatch(r"meanfield-pde: [^\n]+\n", text) is not None
