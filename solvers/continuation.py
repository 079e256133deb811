r"""Pseudo-arclength continuation of stationary states :math:`r(u, \lambda) = 0`.

From a point with the unit tangent (u', λ') a step of length h solves, with neutral directions left out,

.. math::

    r(u, \lambda) = 0, \qquad
    \langle u', u - u_p \rangle + \lambda' (\lambda - \lambda_p) / \text{span}^2 = 0, \qquad
    (u_p, \lambda_p) = (u_0, \lambda_0) + h (u', \lambda')

(Keller 1977; Allgower & Georg 2003), span being the width of the limits. It passes folds, where λ' changes
sign, and simple branch points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from solvers.branches import Branch, Control, Family, Limits, Point, Tangent
from solvers.newton import StalledError
from solvers.segments import RejectedError
from solvers.steps import Path, Step
from solvers.switching import leaving, switch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from solvers.compiled import FloatArray

__all__ = [
    "Branch",
    "Control",
    "Family",
    "Limits",
    "Point",
    "RejectedError",
    "Tangent",
    "follow",
    "leaving",
    "switch",
]


@dataclass
class _Record:
    """The points so far, shown to the caller one by one."""

    observe: Callable[[Point], str | None] | None
    points: list[Point] = field(default_factory=list)
    folds: list[Point] = field(default_factory=list)
    branch_points: list[Point] = field(default_factory=list)
    ended: str = ""

    def add(self, points: Iterable[Point]) -> None:
        """Take points until the caller stops."""
        for point in points:
            if not self.ended:
                self.points.append(point)
                reason = self.observe(point) if self.observe is not None else None
                self.ended = f"stopped: {reason}" if reason is not None else ""

    def take(self, step: Step) -> None:
        """Take what a step found."""
        self.folds += step.folds
        self.branch_points += step.branch_points
        self.add(step.points)
        if step.closed and not self.ended:
            self.ended = "closed"

    def branch(self) -> Branch:
        """Return the branch; what lies beyond the point where the caller stopped is no part of it."""
        end = self.points[-1].arclength
        folds, branch_points = (
            tuple(point for point in points if point.arclength <= end)
            for points in (self.folds, self.branch_points)
        )
        return Branch(tuple(self.points), folds, branch_points, self.ended)


def follow(
    family: Family,
    state: FloatArray,
    value: float,
    *,
    towards: int | Tangent,
    limits: Limits,
    control: Control,
    observe: Callable[[Point], str | None] | None = None,
) -> Branch:
    r"""Follow a branch from a state at a value of the parameter.

    Arclength is :math:`ds^2 = \sum_i w_i du_i^2 + (d\lambda / \text{span})^2`, with the weights of the
    family, and the width of the limits as span. Folds are located to rounding, branch points (a change of
    sign of the leading eigenvalue) to the accuracy of that eigenvalue; both are points of the branch.

    Parameters
    ----------
    state, value
        (n,) near a stationary state. It is corrected at this value, or across a given tangent.
    towards
        Sign of the first change of the parameter; or a tangent, (n,) and a number, to start at a fold or a
        branch point.
    limits
        Lowest and highest value; a branch that leaves ends on them.
    observe
        Called with every point; a text that it returns ends the branch there.

    Returns
    -------
    Branch
        Its points, and why it ended.

    Raises
    ------
    ValueError
        If the value is not within the limits, or ``towards`` is neither a sign nor a tangent.
    StalledError, numpy.linalg.LinAlgError, RejectedError
        If there is no stationary state near the start, or it has no tangent that changes the parameter, or no
        finite leading eigenvalue.
    """
    if not limits[0] <= value <= limits[1] or not limits[0] < limits[1]:
        raise ValueError(f"follow: value must lie within limits, got {value!r} and {limits!r}")
    if not isinstance(towards, tuple) and towards not in {-1, 1}:
        raise ValueError(f"follow: towards must be -1, +1 or a tangent (state, value), got {towards!r}")
    path, record = Path(family, limits, control), _Record(observe)
    with np.errstate(all="ignore"):  # what is not finite fails, and shortens the step
        record.add([path.begin(state, value, towards)])
        _walk(path, record)
    return record.branch()


def _walk(path: Path, record: _Record) -> None:
    """Step until the record has an end."""
    step = path.control.first
    while not record.ended:
        last = record.points[-1]
        if path.leaves(last):
            record.ended = "limits"
        elif len(record.points) >= path.control.most:
            record.ended = "points"
        else:
            step = _tried(path, record, step)


def _tried(path: Path, record: _Record, step: float) -> float:
    """Try a step; return the next one."""
    try:
        found, factor = path.advance(record.points[0], record.points[-1], step)
    except (StalledError, RejectedError, np.linalg.LinAlgError) as error:
        if 0.5 * step < path.control.smallest:
            record.ended = f"stalled: {error}"
        return 0.5 * step
    record.take(found)
    return min(factor * step, path.control.largest)
