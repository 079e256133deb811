"""The errors that users see, and the exit status of each."""

from __future__ import annotations

__all__ = ["ComputationError", "InputError"]


class InputError(ValueError):
    """The input is wrong: *where* (file, table, key), what was found, what is allowed. Exit status 2."""

    exit_status = 2


class ComputationError(RuntimeError):
    """The computation could not be finished: what was reached, why, what to change. Exit status 3."""

    exit_status = 3
