"""What is solved, how accurately, and what came out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from solvers.compiled import FloatArray, Rate, Tables
from solvers.control import ESTIMATE_EXPONENT

Reason = Literal["reached", "guard", "paused", "underflow"]


@dataclass(frozen=True)
class Semilinear:
    """The system du/dt = linear * u + N(u).

    Parameters
    ----------
    linear
        One entry a column, (columns,).
    rate
        ``rate(state, out, tables)`` writes N(state) into ``out``: made by `compiled_rate`, or any callable.
    tables
        Up to 16 two-dimensional arrays, handed to ``rate`` followed by empty ones.
    compiled
        Whether ``rate`` is made by `compiled_rate`; the time loop is then compiled too.
    """

    linear: FloatArray
    rate: Rate
    tables: Tables = ()
    compiled: bool = False


@dataclass(frozen=True)
class Control:
    """Accuracy of a step, and when to give up.

    Parameters
    ----------
    rtol, atol
        Error that a run may make in row j, about: atol + rtol * max_k |u_jk|; rtol is positive. A step is
        accepted when its estimate is at most (atol / rtol + max_k |u_jk|) * rtol^(4/5) in every row.
        Estimates fall as h^4 where errors add up to h^5: errors are proportional to rtol, and below it where
        they do not grow.
    guard
        One entry a column: the run stops before a step after which max_jk |u_jk| * guard_k > 1.
    weights
        One entry a column: errors count so many times. Above one where values should be small, they keep
        the noise small that grows in stiff columns at the edge of stability before an error shows it.
    smallest_step
        A run that needs smaller steps ends with reason "underflow" (at latest at 16 roundings of the depth).
    """

    rtol: float = 1e-8
    atol: float = 1e-12
    guard: FloatArray | None = None
    weights: FloatArray | None = None
    smallest_step: float = 0.0

    def __post_init__(self) -> None:
        """Refuse tolerances that no step can meet."""
        for name in ("rtol", "atol", "smallest_step"):
            value = getattr(self, name)
            if not 0.0 <= value < np.inf:
                raise ValueError(f"control: {name} must be finite and not negative, got {value!r}")
        if self.rtol == 0.0:
            raise ValueError("control: rtol must be positive, got 0.0")

    @property
    def estimate(self) -> tuple[float, float]:
        """Relative and absolute tolerance of the estimate of one step."""
        relative = float(self.rtol) ** ESTIMATE_EXPONENT
        return relative, float(self.atol) / float(self.rtol) * relative


@dataclass(frozen=True)
class Outcome:
    """Where a run ended, and what it cost.

    Parameters
    ----------
    state, depth
        The last accepted state and its depth.
    step
        Proposal for the next step.
    accepted, rejected, evaluations
        Numbers of steps and of evaluations of the rate.
    reason
        "reached", or what stopped the run before: "guard", "paused" (``most_steps``), "underflow" (the step).
    """

    state: FloatArray
    depth: float
    step: float
    accepted: int
    rejected: int
    evaluations: int
    reason: Reason
