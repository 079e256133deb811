"""Runs commands in forked processes: all is loaded once, so that a command begins within milliseconds.

A script of its own, which reads a request a line and answers with a line, both JSON. It has a single thread,
and stays as it is after warming up.
"""

import json
import os
import resource
import signal
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from meanfield_pde.cli import main

METHODS = {"spectral": 0.1, "finite-volume": 0.1, "characteristics": 0.0}
WARMING = """
title = "Warming up"
[token]
resolution = 16
[auxiliary]
kind = "uniform"
nodes = 2
[encoding]
kind = "additive"
amplitude = 0.5
[attention]
beta = 1.0
[noise]
sigma = {sigma}
[initial]
kind = "fourier"
modes = [[1, 0.3, 0.0]]
[time]
final = 0.01
save = 2
[solver]
method = "{method}"
rtol = 1e-2
atol = 1e-2
[output]
checkpoint = 0
"""


def warm_up():
    """Solve with every method, so that every compiled function is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        for method, sigma in METHODS.items():
            config, output = Path(folder, "warm.toml"), str(Path(folder, f"{method}.h5"))
            config.write_text(WARMING.format(method=method, sigma=sigma))
            for command in (["solve", str(config), "-o", output], ["info", output]):
                if main(command) != 0:
                    raise RuntimeError(f"{command} failed")


def begin(request):
    """Do in a child what the request says, and end with the exit status.

    Where the streams are files there is nothing left to do in the end, and Python need not tidy up for 0.4 s.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(stream(request, name), number)
    os.chdir(request["folder"])
    os.environ["TMPDIR"], tempfile.tempdir = request["folder"], None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN if name in request["ignore"] else signal.SIG_DFL)
    for place, call, action in request["events"]:
        arrange(place, call, action)
    status = main(request["arguments"])
    if all(Path(request[name]).is_file() for name in ("out", "err")):
        os._exit(status)
    sys.exit(status)


def stream(request, name):
    """Return the descriptor of a file, a pipe that nobody reads, or the terminal that controls the child."""
    path = request[name]
    if path == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
        return writing
    if path.startswith("/dev/pts/"):
        if name == "out":
            os.setsid()  # the first terminal that is opened then controls the process
        return os.open(path, os.O_RDWR)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)


def act(action):
    """Send this process signals, let no file grow any more, or fill a disk by a file on it."""
    if action == "limit":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    elif action.startswith("SIG"):
        for name in action.split():
            os.kill(os.getpid(), getattr(signal, name))
    else:
        with Path(action).open("ab", buffering=0) as file, suppress(OSError):
            while file.write(bytes(2**14)):
                pass


def arrange(place, call, action):
    """Let something happen just before a certain call (from 1) of a function."""
    module, name = place.split(":")
    owner, calls = import_module(module), 0
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part)
    function = getattr(owner, name.split(".")[-1])

    def counted(*given, **named):
        nonlocal calls
        calls += 1
        if calls == call:
            act(action)
        return function(*given, **named)

    setattr(owner, name.split(".")[-1], counted)


def status_of(child, seconds):
    """Wait, and return the exit status, negative for a signal, None for a process that had to be ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def serve(requests, answers):
    """Answer requests until there are no more."""
    for line in requests:
        request = json.loads(line)
        if "wait" in request:
            answer = status_of(request["wait"], request["seconds"])
        else:
            answer = os.fork()
            if answer == 0:
                requests.close()
                answers.close()
                begin(request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the warming up prints is no answer
    warm_up()
    sys.stdout.flush()  # children inherit what is buffered
    answers.write("0\n")
    answers.flush()
    serve(requests, answers)
