"""What concerns the process: how many threads it may use, and that it was interrupted."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["Interrupted", "limit_threads", "stop_signals"]

MOST = 1024
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Interrupted(Exception):  # noqa: N818 (an interrupt is no error)
    """The user stopped a computation; says what was kept of it."""


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

    The computation then ends at its next step. A second interrupt ends it at once. A signal that is ignored
    (as by ``nohup``) stays ignored.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    watched = [getattr(signal, name) for name in names if hasattr(signal, name)]
    noted = False

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (as signal calls it)
        nonlocal noted
        if noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        noted = True

    before = {number: signal.getsignal(number) for number in watched}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, note)
        yield lambda: noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
