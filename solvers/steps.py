"""One step along a branch: predict, correct, and refuse what may be another branch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from solvers.branches import Point
from solvers.constrained import Condition, Solution, at_value, constrained, inner, tangent_of
from solvers.segments import RejectedError, Segment, landmarks, zero

if TYPE_CHECKING:
    from solvers.branches import Control, Family, Limits, Tangent, Vector
    from solvers.compiled import FloatArray

__all__ = ["Path", "Step"]

#: Angle between tangents that steps aim at, and the largest that they may have.
ANGLE, LARGEST_ANGLE = 0.12, 0.35
#: Part of a step, beyond what the angle explains, by which the predictor may be off: more is another branch.
STRAY = 0.02
#: Newton steps, polishing included, that steps aim at; two more halve the step.
CORRECTIONS = 5
#: Part of the first step at which a fold and a branch point are taken for one.
CLOSE = 0.125
#: Part of a segment by which a branch may pass its first point and be closed.
CLOSED = 1e-3
#: Least cosine of the tangents there: branches may also cross themselves.
ALIGNED = 0.9
#: Change of the state that shows how a tangent is carried to another resolution.
NUDGE = 1e-6


@dataclass(frozen=True)
class Step:
    """An accepted step: its end, what lies on the way, and whether it closes the branch."""

    point: Point
    folds: tuple[Point, ...]
    branch_points: tuple[Point, ...]
    closed: bool

    @property
    def points(self) -> list[Point]:
        """All of them in order."""
        return [*sorted(self.folds + self.branch_points, key=lambda point: point.arclength), self.point]


@dataclass(frozen=True)
class Path:
    """What stays the same along a branch."""

    family: Family
    limits: Limits
    control: Control

    @property
    def span(self) -> float:
        """Width of the limits, by which the parameter is divided."""
        return self.limits[1] - self.limits[0]

    def begin(self, state: FloatArray, value: float, towards: int | Tangent) -> Point:
        """Solve for the first point; a given tangent is taken as it is."""
        family, tolerance = self.family, self.control.tolerance
        state = family.fitted(state, value)
        if isinstance(towards, tuple):
            along = towards
            solution = constrained(family, self._across(along, (state, value)), (state, value), tolerance)
            length = math.sqrt(inner(family.weights(state), self.span, along, along))
            tangent = along[0] / length, along[1] / length
        else:
            solution = at_value(family, state, value, tolerance)
            tangent = tangent_of(family, solution, self.span, (np.zeros_like(state), float(towards)))
        return self._point(solution, tangent, 0.0)

    def advance(self, first: Point, last: Point, step: float) -> tuple[Step, float]:
        """Step from the last point; return what was found, and the factor by which the step may change."""
        point, factor = self._corrected(last, step)
        point, closed = self._closed(first, last, point)
        if not closed:
            point = self._clipped(last, point)
        folds, branch_points = self._landmarks(last, point, step)
        outside = [fold for fold in folds if not self._inside(fold.value)]
        if outside:
            point, closed = self._clipped(last, outside[0]), False
            folds, branch_points = self._landmarks(last, point, step)
        return Step(self._refitted(point), folds, branch_points, closed), factor

    def leaves(self, point: Point) -> bool:
        """Tell whether the point is on a limit and the branch goes out there."""
        low, high = self.limits
        return (point.value <= low and point.tangent[1] < 0.0) or (
            point.value >= high and point.tangent[1] > 0.0
        )

    def _inside(self, value: float) -> bool:
        return self.limits[0] <= value <= self.limits[1]

    def _across(self, along: Vector, place: Vector) -> Condition:
        row = self.family.weights(place[0]) * along[0]
        return Condition(row, along[1] / self.span**2, place)

    def _point(self, solution: Solution, tangent: Tangent, arclength: float) -> Point:
        leading = self.family.leading(solution.state, solution.value)
        if not math.isfinite(leading):
            raise RejectedError(f"the leading eigenvalue is {leading!r} at {solution.value!r}")
        return Point(solution.state, solution.value, tangent, arclength, leading, solution.residual)

    def _segment(self, last: Point, point: Point) -> Segment:
        return Segment(self.family, last, point, self.span, self.control.tolerance)

    def _landmarks(
        self, last: Point, point: Point, step: float
    ) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
        alone = step <= max(CLOSE * self.control.first, 4.0 * self.control.smallest)
        return landmarks(self._segment(last, point), alone=alone)

    def _corrected(self, last: Point, step: float) -> tuple[Point, float]:
        """Predict and correct; refuse what turns too far or may be on another branch."""
        family, tangent, weights = self.family, last.tangent, self.family.weights(last.state)
        guess = last.state + step * tangent[0], last.value + step * tangent[1]
        solution = constrained(family, self._across(tangent, guess), guess, self.control.tolerance)
        turned = tangent_of(family, solution, self.span, tangent)
        angle = math.acos(max(-1.0, min(1.0, inner(weights, self.span, tangent, turned))))
        stray = solution.state - guess[0], solution.value - guess[1]
        distance = math.sqrt(inner(weights, self.span, stray, stray))
        if not (angle <= LARGEST_ANGLE and distance <= step * (angle + STRAY)):
            raise RejectedError(
                f"the branch turns by {angle:.2f} and strays by {distance / step:.2f} of the step"
            )
        factor = min(ANGLE / max(angle, 1e-3), 2.0 ** (0.5 * (CORRECTIONS - solution.iterations)))
        length = math.hypot(step, distance)  # the correction is across the tangent
        point = Point(
            solution.state, solution.value, turned, last.arclength + length, math.nan, solution.residual
        )
        return point, min(2.0, max(0.5, factor))

    def _closed(self, first: Point, last: Point, point: Point) -> tuple[Point, bool]:
        """Replace the point by the first one if the branch passes that on the way."""
        if last.arclength <= 2.0 * self.control.first or first.state.shape != point.state.shape:
            return point, False
        segment, weights = self._segment(last, point), self.family.weights(last.state)
        chord = point.state - last.state, point.value - last.value
        way = first.state - last.state, first.value - last.value
        s = inner(weights, self.span, way, chord) / segment.length
        if not 0.0 < s <= segment.length or inner(weights, self.span, first.tangent, last.tangent) < ALIGNED:
            return point, False
        state, value = segment.guess(s)
        miss = first.state - state, first.value - value
        if math.sqrt(inner(weights, self.span, miss, miss)) > CLOSED * segment.length:
            return point, False
        return replace(first, arclength=last.arclength + s), True

    def _clipped(self, last: Point, point: Point) -> Point:
        """Move a point outside of the limits back to where the branch left them; find its eigenvalue."""
        tangent, solution = point.tangent, Solution(point.state, point.value, point.residual, 0)
        arclength = point.arclength
        if not self._inside(point.value):
            segment = self._segment(last, point)
            limit = self.limits[0] if point.value < self.limits[0] else self.limits[1]
            ends = last.value - limit, point.value - limit
            s = zero(lambda s: segment.guess(s)[1] - limit, segment, ends)
            if not s > 0.0:
                raise RejectedError(f"the branch leaves the limits where it is on one, at {limit!r}")
            solution = at_value(self.family, segment.guess(s)[0], limit, self.control.tolerance)
            tangent = tangent_of(self.family, solution, self.span, segment.direction(s))
            arclength = last.arclength + s
        return self._point(solution, tangent, arclength)

    def _refitted(self, point: Point) -> Point:
        """Put a point on the resolution that it needs."""
        family, value = self.family, point.value
        state = family.fitted(point.state, value)
        if state.shape == point.state.shape and np.array_equal(state, point.state):
            return point
        nudged = family.fitted(point.state + NUDGE * point.tangent[0], value)
        along = np.zeros_like(state), math.copysign(1.0, point.tangent[1])
        if nudged.shape == state.shape:
            along = (nudged - state) / NUDGE, point.tangent[1]
        if value in self.limits:
            solution = at_value(family, state, value, self.control.tolerance)
        else:
            condition = self._across(along, (state, value))
            solution = constrained(family, condition, (state, value), self.control.tolerance)
        tangent = tangent_of(family, solution, self.span, along)
        return replace(
            point,
            state=solution.state,
            value=solution.value,
            tangent=tangent,
            residual=solution.residual,
        )
