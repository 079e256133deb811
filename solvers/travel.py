"""The loop over depths: any stepper, in chunks that are short enough to be interrupted and to report."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from solvers.compiled import FloatArray
    from solvers.system import Reason

__all__ = ["SECONDS_PER_CHUNK", "Stepper", "checked_depths", "travel"]

SECONDS_PER_CHUNK = 0.15
#: Largest growth of a chunk of steps.
GROWTH = 8.0


class Stepper(Protocol):
    """A system under way; what it does must not depend on where it is paused."""

    @property
    def depth(self) -> float:
        """Depth of the last accepted state."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """Accepted steps, rejected steps, and evaluations of the rate."""

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``, with at most about ``most_steps`` attempts; "paused" says: go on."""


@dataclass
class _Pace:
    """How many steps fit in a chunk of wall time."""

    most_steps: int = 8

    def measure(self, seconds: float, attempts: int) -> None:
        """Adapt to what the last chunk took."""
        if attempts > 0:
            fitting = SECONDS_PER_CHUNK * attempts / max(seconds, 1e-9)
            self.most_steps = max(1, int(min(fitting, GROWTH * self.most_steps)))


def checked_depths(depths: Sequence[float] | FloatArray) -> list[float]:
    """Depths as floats.

    Raises
    ------
    ValueError
        When they are not finite or do not increase.
    """
    targets = [float(depth) for depth in depths]
    if not targets or not np.all(np.isfinite(targets)) or not np.all(np.diff(targets) > 0.0):
        raise ValueError(f"integrate: depths must be finite and increase, got {depths!r}")
    return targets


def travel(
    stepper: Stepper,
    depths: Sequence[float],
    observe: Callable[[int, float], bool | None],
    between: Callable[[], None] | None = None,
) -> Reason:
    """Step through all ``depths``; each is hit exactly, without influence on the result from the wall clock.

    Parameters
    ----------
    observe
        ``observe(index, depth)``, called at every depth; a true result ends the journey there.
    between
        Called after every chunk of steps, a few times a second, unless the stepper gave up; it may raise to
        end the journey.

    Returns
    -------
    Reason
        "reached" at the last depth or where ``observe`` ends, else what stopped the stepper.
    """
    pace = _Pace()
    for index, target in enumerate(depths):
        reason: Reason = "paused"
        while reason == "paused":
            attempts, started = sum(stepper.counts[:2]), perf_counter()
            reason = stepper.advance(target, pace.most_steps)
            pace.measure(perf_counter() - started, sum(stepper.counts[:2]) - attempts)
            if between is not None and reason in {"paused", "reached"}:
                between()
        if reason != "reached":
            return reason
        if observe(index, target):
            break
    return "reached"
