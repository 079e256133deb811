"""What concerns the process: its threads, its standard streams, and that it was interrupted."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = [
    "AtOnce",
    "Interrupted",
    "Lasting",
    "finish_streams",
    "limit_threads",
    "open_streams",
    "stop_signals",
    "stopped_at_once",
]

MOST = 1024
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO})
"""What writing to a closed pipe or a lost terminal fails with."""


class Interrupted(Exception):  # noqa: N818 (an interrupt is no error)
    """The user stopped a computation; says what was kept of it."""


class AtOnce(BaseException):
    """The user wants an end at once. No KeyboardInterrupt: nobody is to save anything first."""


def limit_threads(count: int | None) -> None:
    """Tell the libraries through their environment variables, which they read once, when they are loaded.

    Raises
    ------
    InputError
        The number is not between 1 and 1024.
    """
    if count is None:
        return
    if not 1 <= count <= MOST:
        raise InputError(f"--threads: must be an integer from 1 to {MOST}, got {count}")
    if "numba" not in sys.modules:  # once loaded, numba refuses that its variable changes
        os.environ.update(dict.fromkeys(VARIABLES, str(count)))


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Note an interrupt, a request to terminate, and a lost terminal, and give the function that tells of it.

    Nothing is cut short by them: who computes asks between steps. After any of them, an interrupt raises
    `AtOnce` wherever the process is. A signal that is ignored (as by ``nohup``) stays ignored. Only the main
    thread can note signals.
    """
    noted = False

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (as signal calls it)
        nonlocal noted
        if noted and number == signal.SIGINT:
            raise AtOnce
        noted = True

    with _handling(note):
        yield lambda: noted


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """End the block with `AtOnce` at the first of these signals: for work of which nothing could be saved."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (as signal calls it)
        raise AtOnce

    with _handling(stop):
        yield


@contextmanager
def _handling(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals that ask a process to end, but those that are ignored, in the main thread."""
    names = ("SIGINT", "SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    watched = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in watched}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class Lasting:
    """A standard stream that fails nobody: a result is not lost because a line about it cannot be shown.

    What could not be written stays in the buffer, for `finish_streams` to judge.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if possible."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if possible."""
        with suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        """Encoding of the stream."""
        return self._stream.encoding or "utf-8"


def open_streams() -> None:
    """Give a process that was started with closed standard streams the null device for them.

    Else the next file that is opened, the result perhaps, takes the place of standard error.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def finish_streams() -> None:
    """Flush the standard streams, and point those whose reader is gone to the null device.

    Raises
    ------
    OSError
        What was printed could not be written though there is a reader: a file on a full disk.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            _silence(stream)
            if error.errno not in GONE:
                raise


def _silence(stream: TextIO) -> None:
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
