"""The errors that users see, and the exit status of each."""

from __future__ import annotations

import math

__all__ = ["ComputationError", "InputError", "require_nonnegative"]


class InputError(ValueError):
    """The input is wrong: *where* (file, table, key), what was found, what is allowed. Exit status 2."""

    exit_status = 2


class ComputationError(RuntimeError):
    """The computation could not be finished: what was reached, why, what to change. Exit status 3."""

    exit_status = 3


def require_nonnegative(what: str, value: float) -> None:
    """Refuse a number that is not finite and at least zero.

    Raises
    ------
    InputError
        With what the number is, and its value.
    """
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{what} must be finite and >= 0, got {value!r}")
