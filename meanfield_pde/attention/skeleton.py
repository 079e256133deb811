"""Skeletons of the kernel for additive encodings: keys and queries that they must serve, and their search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from solvers.lowrank import Skeleton, fit, support

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.operators import Setting
    from meanfield_pde.spaces import Space

__all__ = ["Cover", "longest_query", "reach", "search_bytes", "skeleton"]

#: Least extent of the region of exponents in which the kernel is reproduced, in every direction.
THICKNESS = 1.0
#: Shifts that stand for all where the largest exponent is asked for: a scale, not a result.
HULL = 128
#: Candidates for the skeleton, as a multiple of the rank that is expected.
CANDIDATES = 2
#: Factor by which candidates reach beyond the keys.
MARGIN = 1.05
#: About how many candidates are keys of spread shifts with all their points: in the plane, and elsewhere.
PLANE, GRID = 600, 2000
#: Matrices of all candidates that a search holds at once, as observed: the kernel, its factors, its errors.
MATRICES = 4


def reach(space: Space, shifts: FloatArray) -> float:
    """Bound of the length of an encoded token, |x| + max |p|."""
    return space.radius + float(np.linalg.norm(shifts, axis=1).max())


def _thickness(metric: FloatArray) -> float:
    """Length that is added to queries, where the metric leaves them (nearly) flat."""
    return THICKNESS if np.linalg.svd(metric, compute_uv=False)[-1] < THICKNESS else 0.0


def longest_query(metric: FloatArray, space: Space, shifts: FloatArray) -> float:
    """Bound of the length of queries, thickened."""
    return float(np.linalg.norm(metric, 2)) * reach(space, shifts) + _thickness(metric)


@dataclass(frozen=True, eq=False)
class Cover:
    """The keys p_ζ + y and the queries βB(x + p_z) that a skeleton must serve; equal by content."""

    metric: FloatArray
    shifts: FloatArray
    points: FloatArray
    space: Space

    @staticmethod
    def of(setting: Setting, shifts: FloatArray) -> Cover:
        """Return keys and queries on a grid that resolves the kernel, whatever the grid of the equation."""
        space = setting.space
        degree = space.degree(longest_query(setting.metric, space, shifts), 1e-15)
        return Cover(setting.metric, shifts, space.covering(degree), space)

    @property
    def exponent(self) -> float:
        """Bound of the exponents |ξ||w|."""
        return longest_query(self.metric, self.space, self.shifts) * reach(self.space, self.shifts)

    def largest(self, queries: FloatArray) -> FloatArray:
        """Largest exponent of queries over all keys, (n,)."""
        return support(queries, self.outer, self.space.support)

    @cached_property
    def outer(self) -> FloatArray:
        """Shifts that stand for all, (at most HULL, d)."""
        return spread(self.shifts, HULL)

    def keys(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Draw keys: a third extreme in a random direction, a third about spread shifts, a third about any.

        The kernel is largest, and inter- turns into extrapolation, at the extreme ones.
        """
        outer, third = self.outer, count // 3
        directions = rng.standard_normal((third, outer.shape[1]))
        extreme = (
            outer[(directions @ outer.T).argmax(axis=1)]
            + self.points[(directions @ self.points.T).argmax(axis=1)]
        )
        chosen = np.concatenate(
            [
                outer[rng.integers(len(outer), size=third)],
                self.shifts[rng.integers(len(self.shifts), size=count - 2 * third)],
            ]
        )
        return np.concatenate(
            [extreme, chosen + self.points[rng.integers(len(self.points), size=len(chosen))]]
        )

    def queries(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Draw queries."""
        return self.thickened(self.keys(rng, count) @ self.metric.T, rng)

    def thickened(self, queries: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Add neighbours to queries where the metric leaves them (nearly) flat.

        The field is the gradient in ξ of what the skeleton reproduces: it must do so in a neighbourhood of
        the queries, also when β is small or B is singular.
        """
        thickness = _thickness(self.metric)
        if not thickness:
            return queries
        direction = rng.standard_normal(queries.shape)
        direction *= thickness / np.linalg.norm(direction, axis=1, keepdims=True)
        return np.asarray(queries + direction * rng.integers(0, 2, (len(queries), 1)))

    @cached_property
    def _content(self) -> bytes:
        content = b"".join(array.tobytes() for array in (self.metric, self.shifts, self.points))
        return content + f"{self.space.name} {self.space.dimension}".encode()

    def __hash__(self) -> int:
        return hash(self._content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cover) and self._content == other._content


@lru_cache(maxsize=32)
def skeleton(cover: Cover, rank: float, tolerance: float, accepted: float) -> Skeleton | None:
    """Find the skeleton of about this rank, None where its errors (see `fit`) are not accepted.

    Skeletons are kept: they do not depend on the grid, which a run may refine many times.
    """
    rng = np.random.default_rng(5)
    plane = cover.points.shape[1] == 2
    outer = spread(cover.shifts, max(8, (PLANE if plane else GRID) // len(cover.points)))
    # Slightly too large, so that the keys themselves are a matter of interpolation.
    grid = MARGIN * (outer[:, None] + cover.points).reshape(-1, outer.shape[1])
    count = int(CANDIDATES * rank) + 64
    start = (
        np.concatenate([cover.thickened(grid @ cover.metric.T, rng), cover.queries(rng, count)]),
        np.concatenate([grid, cover.keys(rng, count)]),
    )
    known = 0.0 if plane else rank  # in the plane it is but a bound
    return fit(start, (cover.queries, cover.keys), cover.largest, (tolerance, accepted), known)


def search_bytes(rank: float, *, plane: bool) -> int:
    """Count the bytes that the search for a skeleton of about this rank takes: of a few square matrices."""
    candidates = (PLANE if plane else GRID) + CANDIDATES * rank + 64
    return int(8 * MATRICES * candidates**2)


def spread(shifts: FloatArray, count: int) -> FloatArray:
    """Choose at most ``count`` rows that cover the others (farthest point first)."""
    chosen = [int(np.linalg.norm(shifts, axis=1).argmax())]
    distance = np.linalg.norm(shifts - shifts[chosen[0]], axis=1)
    while len(chosen) < min(count, len(shifts)) and distance.max() > 0.0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(shifts - shifts[chosen[-1]], axis=1))
    return shifts[chosen]
