r"""Laws on a closed line as pieces of constant density, and their Wasserstein distances.

A law is what its quantile function Q says, which is linear on every piece (constant where the piece is an
atom) and goes on as Q(t + 1) = Q(t) + period. Between two laws on a circle

.. math:: W_p^p = \min_s \int_0^1 |Q(t) - Q'(t - s)|^p \, dt,

a convex function of s for p >= 1 (Delon, Salomon & Sobolevskii, SIAM J. Appl. Math. 70, 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray

__all__ = ["LineLaw", "line_distance"]

TURN = 2.0 * np.pi
#: Levels that differ by less are the same: sums of weights leave so much.
SAME_LEVEL = 1e-13
#: Shifts that differ by less are the same.
SAME_SHIFT = 1e-12
#: Steps of golden sections: they shorten an interval of length 2 to 1e-9.
GOLDEN_STEPS = 45
GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)
#: Shifts beside the one that they end at that are tried.
NEARBY = 8
#: Pairs of atoms up to which the best shift is looked for among all of them.
PAIRS = 4 * 10**6


@dataclass(frozen=True)
class LineLaw:
    """Law on a circle of circumference 2π: pieces one after the other within one turn.

    Parameters
    ----------
    left, right
        Ends of the pieces, (pieces,), radians, not decreasing; equal for an atom.
    masses
        (pieces,), positive.

    Raises
    ------
    InputError
        When pieces overlap, span more than one turn, or have no mass.
    """

    left: FloatArray
    right: FloatArray
    masses: FloatArray

    def __post_init__(self) -> None:
        ordered = np.stack([self.left, self.right], axis=1).ravel()
        # Ends are sums of roundings: pieces that touch may overlap by them.
        if not (self.masses.size and (self.masses > 0).all() and (np.diff(ordered) >= -1e-12).all()):
            raise InputError("target: pieces must follow each other and have positive masses")
        if ordered[-1] - ordered[0] > TURN * (1.0 + 1e-12):
            raise InputError("target: pieces must lie within one turn")

    @staticmethod
    def uniform(center: float = np.pi, width: float = TURN) -> LineLaw:
        """Constant density on an arc, by default on the whole circle from 0 on."""
        return LineLaw(np.array([center - width / 2.0]), np.array([center + width / 2.0]), np.ones(1))

    @staticmethod
    def of_atoms(angles: FloatArray, masses: FloatArray) -> LineLaw:
        """Atoms at angles, in [0, 2π)."""
        kept = masses > 0.0
        wrapped = angles[kept] % TURN
        order = np.argsort(wrapped, kind="stable")
        return LineLaw(wrapped[order], wrapped[order], masses[kept][order])

    @staticmethod
    def of_density(values: FloatArray) -> LineLaw:
        """Density with these values at the angles 2πi/N, constant about each, cut where it is least."""
        spacing = TURN / values.size
        first = int(np.argmin(values))
        centers = spacing * (first + np.arange(values.size))
        rolled = np.roll(values, -first)
        kept = rolled > 0.0
        left, right = (np.asarray(centers[kept] + side * spacing / 2.0) for side in (-1.0, 1.0))
        return LineLaw(left, right, rolled[kept])

    @cached_property
    def levels(self) -> FloatArray:
        """Mass up to the end of every piece, from 0 to 1, (pieces + 1,)."""
        found = np.concatenate([[0.0], np.cumsum(self.masses)])
        return np.asarray(found / found[-1])

    def breaks(self, first: float, last: float) -> FloatArray:
        """Levels in (first, last) at which Q is not linear, those of all turns."""
        turns = np.arange(np.floor(first), np.ceil(last) + 1.0)
        every = (turns[:, None] + self.levels[:-1]).ravel()
        return every[(every > first) & (every < last)]

    def ends(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Q at both ends of intervals of levels that lie within one piece each."""
        middle = (low + high) / 2.0
        turn = np.floor(middle)
        piece = np.searchsorted(self.levels, middle - turn, side="right") - 1
        piece = np.clip(piece, 0, self.masses.size - 1)
        begin, share = self.levels[piece] + turn, np.diff(self.levels)[piece]
        slope = (self.right - self.left)[piece] / share
        start = self.left[piece] + TURN * turn
        return start + slope * (low - begin), start + slope * (high - begin)

    def cell_means(self, bounds: FloatArray) -> tuple[FloatArray, float]:
        """Means of Q over the cells between increasing levels, and Σ ∫ (Q − mean)² dt over all cells."""
        inner = self.breaks(float(bounds[0]), float(bounds[-1]))
        levels = np.union1d(bounds, inner)
        low, high = levels[:-1], levels[1:]
        widths = high - low
        first, last = self.ends(low, high)
        cell = np.clip(np.searchsorted(bounds, (low + high) / 2.0, side="right") - 1, 0, bounds.size - 2)
        sums = np.bincount(cell, weights=widths * (first + last) / 2.0, minlength=bounds.size - 1)
        means = sums / np.bincount(cell, weights=widths, minlength=bounds.size - 1)
        one, other = first - means[cell], last - means[cell]
        return means, float(widths @ (one * one + one * other + other * other)) / 3.0

    def on_cells(self, edges: FloatArray) -> FloatArray:
        """Mass between consecutive edges that cover one turn, (edges − 1,)."""
        begin = self.left[0]
        turn = np.floor((edges - begin) / TURN)
        within = edges - begin - TURN * turn
        return np.asarray(np.diff(turn + self._below(begin + within)))

    def _below(self, angles: FloatArray) -> FloatArray:
        """Mass up to angles within the turn that begins with the first piece, an atom there included."""
        piece = np.clip(np.searchsorted(self.left, angles, side="right") - 1, 0, None)
        length = (self.right - self.left)[piece]
        inside = np.where(length > 0.0, angles - self.left[piece], 1.0) / np.where(length > 0.0, length, 1.0)
        return np.asarray(self.levels[piece] + np.clip(inside, 0.0, 1.0) * np.diff(self.levels)[piece])

    @property
    def is_atomic(self) -> bool:
        """Whether there are atoms alone."""
        return bool((self.left == self.right).all())


def line_distance(first: LineLaw, second: LineLaw, order: int) -> float:
    """W₁ or W₂ by arc length between two laws on the circle."""

    def cost(shift: float) -> float:
        return _cost(first, second, shift, order)

    few = first.masses.size * second.masses.size <= PAIRS
    if first.is_atomic and second.is_atomic and few:
        least = _least_kink(first, second, order)
    else:
        shift = _golden(cost)
        nearby = _kinks_near(first, second, shift) if few else np.empty(0)
        least = min(map(cost, [shift, *nearby.tolist()]))
    return float(max(least, 0.0) ** (1.0 / order))


def _cost(first: LineLaw, second: LineLaw, shift: float, order: int) -> float:
    """∫ |Q(t) − Q'(t − s)|^p dt: exactly, since the difference is linear between the levels of both."""
    levels = np.concatenate([first.breaks(0.0, 1.0), shift + second.breaks(-shift, 1.0 - shift), [0.0, 1.0]])
    levels.sort()
    low, high = levels[:-1], levels[1:]
    kept = high - low > SAME_LEVEL
    low, high = low[kept], high[kept]
    one, other = (
        a - b for a, b in zip(first.ends(low, high), second.ends(low - shift, high - shift), strict=True)
    )
    if order == 2:
        return float((high - low) @ (one * one + one * other + other * other)) / 3.0
    size = np.abs(one) + np.abs(other)
    crossing = one * other < 0.0
    mean = np.where(crossing, (one * one + other * other) / np.where(size > 0.0, size, 1.0), size) / 2.0
    return float((high - low) @ mean)


def _least_kink(first: LineLaw, second: LineLaw, order: int) -> float:
    """Between atoms the cost is convex and linear between shifts at which two levels meet: one is best."""
    shifts = np.sort(np.subtract.outer(first.levels[:-1], second.levels[:-1]).ravel() % 1.0)
    # Shifts that differ by roundings have costs that do: their order would be an accident.
    shifts = shifts[np.diff(shifts, prepend=-1.0) > SAME_SHIFT]
    shifts = np.concatenate([shifts - 2.0, shifts - 1.0, shifts, shifts + 1.0])
    low, high = 0, shifts.size - 1
    while high - low > 2:
        middle = (low + high) // 2
        here, after = (_cost(first, second, float(shifts[k]), order) for k in (middle, middle + 1))
        low, high = (low, middle + 1) if here <= after else (middle, high)
    return min(_cost(first, second, float(shifts[k]), order) for k in range(low, high + 1))


def _kinks_near(first: LineLaw, second: LineLaw, shift: float) -> FloatArray:
    """Shifts at which two levels meet, next to one that is nearly the best: the cost may have an edge."""
    beside = np.subtract.outer(first.levels[:-1], second.levels[:-1]).ravel() - shift
    beside -= np.round(beside)
    return np.asarray(shift + beside[np.argsort(np.abs(beside))[:NEARBY]])


def _golden(cost: Callable[[float], float]) -> float:
    """Shift of the least value of a convex function, between −2 and 2 turns."""
    low, high = -2.0, 2.0
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(GOLDEN_STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = cost(right)
    return float(left if at_left <= at_right else right)
