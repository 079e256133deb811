"""What concerns the process: how many threads it may use, and that it was interrupted."""

from __future__ import annotations

import os
import sys

from meanfield_pde.errors import InputError

__all__ = ["Interrupted", "limit_threads"]

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
