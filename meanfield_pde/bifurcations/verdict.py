"""What branches say of the transition: intervals of two stable states, continuous or discontinuous."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from meanfield_pde.bifurcations.diagram import Diagram, Sheet
    from meanfield_pde.bifurcations.sheets import Measured
    from solvers.continuation import Point

__all__ = ["Verdict", "branch_points_of", "folds_of", "is_stable", "verdict"]

#: Intervals shorter than this share of the whole are rounding; states that differ by less are one.
SHORTEST, DIFFERENT = 1e-9, 1e-4
#: A turn this near to a branch point, as a share of the interval, is the branch meeting another one.
MEETING = 1e-4


@dataclass(frozen=True)
class Verdict:
    """The transition (continuous, discontinuous or none), the longest interval of two stable states."""

    transition: str
    spinodal: tuple[float, float] | None


def is_stable(point: Point, measure: Measured) -> bool:
    """Whether all perturbations decay; of limit maps also those that take nearby tokens apart."""
    return point.leading < 0.0 and not measure.curvature <= 0.0


def folds_of(diagram: Diagram, sheet: Sheet) -> list[Point]:
    """Folds of a branch, without turns where it meets another one at a branch point."""
    low, high = diagram.interval
    met = [point.value for point in sheet.branch.branch_points]
    return [
        fold
        for fold in sheet.branch.folds
        if not any(abs(fold.value - value) < MEETING * (high - low) for value in met)
    ]


def branch_points_of(diagram: Diagram, sheet: Sheet) -> list[Point]:
    """Branch points of a branch, one of those that lie together."""
    low, high = diagram.interval
    kept: list[Point] = []
    for point in sheet.branch.branch_points:
        if not any(abs(point.value - other.value) < MEETING * (high - low) for other in kept):
            kept.append(point)
    return kept


@dataclass(frozen=True)
class _Run:
    """Neighbouring stable points of a branch: values and measures, ordered by the parameter."""

    values: np.ndarray[tuple[int], np.dtype[np.float64]]
    rows: np.ndarray[tuple[int, int], np.dtype[np.float64]]

    def at(self, value: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Interpolate the measures."""
        return np.array([np.interp(value, self.values, column) for column in self.rows.T])


def _runs(sheet: Sheet) -> list[_Run]:
    """Stable parts of a branch, up to the points where stability changes, cut where the parameter turns."""
    points, measures = sheet.branch.points, sheet.measures
    stable = [is_stable(point, measure) for point, measure in zip(points, measures, strict=True)]
    marks = {id(point) for point in (*sheet.branch.folds, *sheet.branch.branch_points)}
    runs, start = [], 0
    while start < len(points):
        if not stable[start]:
            start += 1
            continue
        end = start
        while end + 1 < len(points) and stable[end + 1]:
            end += 1
        first = start - 1 if start > 0 and id(points[start - 1]) in marks else start
        last = end + 1 if end + 1 < len(points) and id(points[end + 1]) in marks else end
        chosen = slice(first, last + 1)
        values = np.array([point.value for point in points[chosen]])
        rows = np.array([[one.order_parameter, one.free_energy] for one in measures[chosen]])
        order = np.argsort(values, kind="stable")
        runs.append(_Run(values[order], rows[order]))
        start = end + 1
    return runs


def _coexistence(diagram: Diagram) -> tuple[float, float] | None:
    """Longest interval on which two different stable states are known."""
    low, high = diagram.interval
    runs = [run for sheet in diagram.sheets for run in _runs(sheet)]
    best: tuple[float, float] | None = None
    for index, first in enumerate(runs):
        for second in runs[:index]:
            overlap = max(first.values[0], second.values[0]), min(first.values[-1], second.values[-1])
            length = overlap[1] - overlap[0]
            if length <= SHORTEST * (high - low):
                continue
            middle = 0.5 * (overlap[0] + overlap[1])
            if np.abs(first.at(middle) - second.at(middle)).max() < DIFFERENT:
                continue
            if best is None or length > best[1] - best[0]:
                best = float(overlap[0]), float(overlap[1])
    return best


def _falls_off(diagram: Diagram) -> bool:
    """Whether a stable branch ends at a fold: beyond it the state must jump."""
    for sheet in diagram.sheets:
        points, folds = sheet.branch.points, {id(fold) for fold in folds_of(diagram, sheet)}
        for index in range(1, len(points) - 1):
            beside = (index - 1, index + 1)
            if id(points[index]) in folds and any(is_stable(points[k], sheet.measures[k]) for k in beside):
                return True
    return False


def verdict(diagram: Diagram) -> Verdict:
    """Say how the stable state changes over the interval."""
    spinodal = _coexistence(diagram)
    if diagram.continuous is False or spinodal is not None or _falls_off(diagram):
        return Verdict("discontinuous", spinodal)
    loses = any(
        sheet.branch.branch_points and any(point.leading < 0.0 for point in sheet.branch.points)
        for sheet in diagram.sheets
    )
    return Verdict("continuous" if diagram.continuous or loses else "none", None)
