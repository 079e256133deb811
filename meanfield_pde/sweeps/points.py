"""One point of a sweep, a failure domain of its own: what is sent to a worker, and what comes back."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from meanfield_pde.errors import ComputationError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Base", "Outcome", "Point", "compute", "failed", "known"]


@dataclass(frozen=True)
class Base:
    """What all points have in common: the configuration as TOML, its file and name, what is computed, how."""

    text: str
    source: Path | None
    label: str
    of: str
    threads: int = 1


@dataclass(frozen=True)
class Point:
    """A point that is to be computed: its place in the flattened cube, and the values of its parameters."""

    index: int
    base: Base
    overrides: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a point ended: ``finished`` with its measures, or ``failed`` with the reason; seconds it took."""

    index: int
    status: str
    reason: str = ""
    measures: Mapping[str, float | str] = field(default_factory=dict)
    seconds: float = 0.0

    def content(self) -> dict[str, Any]:
        """All of it as JSON knows it."""
        return asdict(self)


def compute(point: Point) -> Outcome:
    """Compute a point, in a worker; whatever happens is the outcome of this point alone."""
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nobody watches a worker
            found = _measured(point)
    except Exception as error:  # noqa: BLE001 (one failure domain)
        return failed(point.index, _reason(error), time.perf_counter() - started)
    return Outcome(point.index, "finished", "", found, time.perf_counter() - started)


def failed(index: int, reason: str, seconds: float = 0.0) -> Outcome:
    """Outcome of a point that could not be computed, with the reason in one line."""
    text = " ".join(reason.replace("\0", " ").split())
    return Outcome(index, "failed", text or "unknown", {}, seconds)


def _measured(point: Point) -> dict[str, float | str]:
    from meanfield_pde import config
    from meanfield_pde.building import build
    from meanfield_pde.sweeps.measures import measured

    base = point.base
    configuration = config.loads(base.text, point.overrides, source=base.source, label=base.label)
    return measured(base.of, build(configuration), base.threads)


def _reason(error: Exception) -> str:
    """Say in one line why a point failed."""
    if isinstance(error, MemoryError):
        return "not enough memory: lower auxiliary.nodes or token.resolution"
    if isinstance(error, ComputationError | InputError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def known(content: Mapping[str, Any]) -> Outcome:
    """Invert ``Outcome.content``.

    Raises
    ------
    ValueError, TypeError, KeyError
        It is none.
    """
    outcome = Outcome(**content)
    if outcome.status not in {"finished", "failed"} or not math.isfinite(outcome.seconds):
        raise ValueError(f"no outcome of a point: {outcome.status}")
    return outcome
