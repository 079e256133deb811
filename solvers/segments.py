"""The piece of a branch between two of its points, and the folds and branch points on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from solvers.branches import Point
from solvers.constrained import Condition, constrained, inner, tangent_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from solvers.branches import Family, Tangent, Vector
    from solvers.constrained import Solution

__all__ = ["RejectedError", "Segment", "landmarks", "zero"]

#: Accuracy of a location, in lengths of the segment; rounding ends the search before.
ACCURACY = 1e-12
#: Half a chord that gives the tangent at a branch point, where no linear system does.
CHORD = 1e-2
#: Half a bracket of a branch point: 50 times shorter than the segment, with errors 50⁴ times smaller.
BRACKET = 1e-2
#: A fold with a leading eigenvalue below this part of those around it is where that eigenvalue crosses zero.
CRITICAL = 1e-4
#: What is smaller than this part of the next value is zero at the first point of a branch.
NOTHING = 1e-6


class RejectedError(Exception):
    """A step that must be shorter; the message says why."""


@dataclass(frozen=True)
class Segment:
    """The branch between two points, whose states are of one size.

    A place on it is a distance s from its start, between 0 and its length: the point of the branch in the
    plane across the cubic (Hermite) interpolation of both ends at s.
    """

    family: Family
    start: Point
    end: Point
    span: float
    tolerance: float

    @property
    def length(self) -> float:
        """Length of the chord."""
        chord = (self.end.state - self.start.state, self.end.value - self.start.value)
        return math.sqrt(inner(self.family.weights(self.start.state), self.span, chord, chord))

    def guess(self, s: float) -> Vector:
        """Interpolate between the ends."""
        t = s / self.length
        state, value = self._mixed((1.0 - t) ** 2 * (1.0 + 2.0 * t), t * (1.0 - t) ** 2, t * t * (t - 1.0))
        return self.end.state + state, self.end.value + value

    def direction(self, s: float) -> Vector:
        """Differentiate the interpolation, with respect to s / length."""
        t = s / self.length
        return self._mixed(-6.0 * t * (1.0 - t), (1.0 - t) * (1.0 - 3.0 * t), t * (3.0 * t - 2.0))

    def _mixed(self, back: float, leaving: float, arriving: float) -> Vector:
        """Add parts of the way back to the start, and of the tangents there and at the end."""
        first, last = self.start, self.end
        state, value = (
            back * (a - b) + self.length * (leaving * c + arriving * d)
            for a, b, c, d in (
                (first.state, last.state, first.tangent[0], last.tangent[0]),
                (first.value, last.value, first.tangent[1], last.tangent[1]),
            )
        )
        return np.asarray(state), float(value)

    def at(self, s: float) -> Solution:
        """Solve for the point at s."""
        guess, (state, value) = self.guess(s), self.direction(s)
        row = self.family.weights(guess[0]) * state
        return constrained(self.family, Condition(row, value / self.span**2, guess), guess, self.tolerance)

    def tangent(self, s: float) -> Tangent:
        """Return the tangent of the branch at s."""
        return tangent_of(self.family, self.at(s), self.span, self.direction(s))

    def chord(self, s: float) -> Tangent:
        """Return the direction from shortly before s to shortly after it."""
        before, after = (self.at(s + sign * CHORD * self.length) for sign in (-1.0, 1.0))
        state, value = after.state - before.state, after.value - before.value
        weights = self.family.weights(before.state)
        size = math.sqrt(inner(weights, self.span, (state, value), (state, value)))
        return state / size, value / size

    def leading(self, s: float) -> float:
        """Return the leading eigenvalue at s."""
        solution = self.at(s)
        return self.family.leading(solution.state, solution.value)

    def point(self, s: float, tangent: Tangent) -> Point:
        """Return the point at s, which has this tangent."""
        found = self.at(s)
        leading = self.family.leading(found.state, found.value)
        return Point(found.state, found.value, tangent, self.start.arclength + s, leading, found.residual)

    def crossed(self, before: float, after: float) -> bool:
        """Tell whether a quantity changes sign; branches may start at a zero of it."""
        starts = self.start.arclength == 0.0 and abs(before) <= NOTHING * abs(after)
        return (before < 0.0) != (after < 0.0) and not starts


def zero(
    function: Callable[[float], float],
    segment: Segment,
    ends: tuple[float, float],
    accuracy: float = ACCURACY,
) -> float:
    """Return where a function vanishes on a segment, its values at the ends being known."""
    known = dict(zip((0.0, segment.length), ends, strict=True))

    def value(s: float) -> float:
        return known[s] if s in known else function(s)

    return float(brentq(value, 0.0, segment.length, xtol=accuracy * segment.length))


def fold(segment: Segment) -> Point | None:
    """Return where the parameter turns: its part of the tangent vanishes."""
    ends = segment.start.tangent[1], segment.end.tangent[1]
    if not segment.crossed(*ends):
        return None

    def turning(s: float) -> float:
        try:
            return segment.tangent(s)[1]
        except np.linalg.LinAlgError:  # at a branch point
            return 0.0

    s = zero(turning, segment, ends)
    try:
        return segment.point(s, segment.tangent(s))
    except np.linalg.LinAlgError:
        return segment.point(s, segment.chord(s))


def branch_point(segment: Segment) -> Point | None:
    """Return where the leading eigenvalue changes its sign.

    Newton's method cannot improve on a guess there. So the place is bracketed first by two points where it
    can, and which are so near that the interpolation between them has errors of rounding only.
    """
    ends = segment.start.leading, segment.end.leading
    if not segment.crossed(*ends):
        return None
    s, half = zero(segment.leading, segment, ends, 0.2 * BRACKET), BRACKET * segment.length
    start, end = (segment.point(place, segment.tangent(place)) for place in (s - half, s + half))
    if segment.crossed(start.leading, end.leading):
        segment = replace(segment, start=start, end=end)
        ends = start.leading, end.leading
    s = zero(segment.leading, segment, ends)
    return segment.point(s, segment.chord(s))  # the tangent's linear system is singular here


def landmarks(segment: Segment, *, alone: bool) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return the folds and the branch points of a segment.

    The eigenvalue that crosses zero at a fold makes no branch point. Where the parameter turns and the
    leading eigenvalue touches zero but keeps its sign, the branch meets another one: a branch point, no fold.

    Parameters
    ----------
    alone
        Whether the segment is too short to hold a fold and a branch point apart.

    Raises
    ------
    RejectedError
        If it seems to hold both, of one eigenvalue, and is not that short.
    """
    turn = fold(segment)
    if turn is None:
        found = [branch_point(segment)]
    elif abs(turn.leading) > CRITICAL * max(abs(segment.start.leading), abs(segment.end.leading)):
        found = [branch_point(replace(segment, end=turn)), branch_point(replace(segment, start=turn))]
    elif segment.crossed(segment.start.leading, segment.end.leading):
        found = []
    elif alone:
        return (), (turn,)
    else:
        raise RejectedError("a fold and a branch point lie within one step")
    return () if turn is None else (turn,), tuple(point for point in found if point is not None)
