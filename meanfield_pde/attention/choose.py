"""Which operator evaluates a head: the cheapest that keeps the promised accuracy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.dense import Dense
from meanfield_pde.attention.operators import Convolution, Operator, Plain, Setting
from meanfield_pde.attention.shifted import Factored, Pairwise
from meanfield_pde.errors import InputError
from solvers.lowrank import Skeleton, fit, support

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["operator"]

#: Error of the factored kernel, relative to the largest kernel entry of a query, that is aimed at.
KERNEL_TOLERANCE = 2e-15
#: Error that is accepted after biases have hidden the largest keys from a query.
ACCEPTED_ERROR = 1e-11
#: Exponents beyond which the factors of the kernel would underflow.
EXPONENT_RANGE = 600.0
#: Least extent of the region of exponents in which the kernel is reproduced, in every direction.
THICKNESS = 1.0
#: Shifts that stand for all where the largest exponent is asked for: a scale, not a result.
HULL = 128
#: Candidates for the skeleton, as a multiple of the rank that is expected.
CANDIDATES = 2
#: Factor by which candidates reach beyond the keys.
MARGIN = 1.05
#: About how many candidates are keys of spread shifts with all their points.
GRID = 2000
#: Ranks above this take longer to find than they save.
LARGEST_RANK = 1500


def operator(setting: Setting, tolerance: float = KERNEL_TOLERANCE) -> Operator:
    """Return the operator for one head on one grid.

    Raises
    ------
    InputError
        When an encoding both shifts and rotates.
    """
    encoding = setting.attention.encoding
    if setting.head.kernel is not None:
        return Dense(setting)
    if encoding.shifts is not None and encoding.is_shifted:
        if encoding.is_rotated:
            raise InputError("encoding: shifts and angles together are not supported, use one of them")
        return _shifted(setting, encoding.shifts, tolerance)
    multipliers = setting.space.convolution(setting.head.beta, setting.head.metric, setting.head.value)
    if multipliers is not None and (setting.encoded or not encoding.is_rotated):
        return Convolution(setting, *multipliers)
    return Plain(setting)


def _shifted(setting: Setting, shifts: FloatArray, tolerance: float) -> Operator:
    pairwise = Pairwise(setting, shifts)
    if not _worthwhile(setting, shifts):
        return pairwise
    accepted = max(ACCEPTED_ERROR, 100.0 * tolerance)
    loss = _hidden(setting, shifts)
    if loss > math.log(accepted / (20.0 * tolerance)):
        return pairwise
    factored = _factored(setting, shifts, tolerance, accepted * math.exp(-loss))
    return pairwise if factored is None else factored


def _worthwhile(setting: Setting, shifts: FloatArray) -> bool:
    """Whether the factored kernel, of the rank that is to be expected, beats all pairs of nodes."""
    nodes, points = len(shifts), len(setting.space.points)
    reach = 1.0 + float(np.linalg.norm(shifts, axis=1).max())
    largest = float(np.linalg.norm(setting.metric, 2)) * reach
    width = setting.space.width(setting.degree(largest))
    rank = _expected_rank(setting, largest * reach)
    factored = nodes * rank * (width + 2 * points) + 2 * rank * rank
    return rank <= LARGEST_RANK and factored < nodes * nodes * points * width


def _expected_rank(setting: Setting, exponent: float) -> float:
    """Observed growth of the rank with the largest exponent in the plane, generalised by dimension."""
    return float((75.0 * max(exponent, 0.1) ** 0.6) ** (setting.space.points.shape[1] / 2.0))


def _hidden(setting: Setting, shifts: FloatArray) -> float:
    """Largest gap between the best placed key of all and the best placed that a query may attend to."""
    nodes = setting.attention.auxiliary.nodes
    if setting.mixer.shared:
        return 0.0
    chosen = np.unique(np.linspace(0, nodes.size - 1, min(nodes.size, 64)).astype(np.int64))
    bias = setting.head.bias.log_weights(nodes[chosen], nodes)
    bias = bias - bias.max(axis=1, keepdims=True)
    points = setting.space.points[:: max(1, len(setting.space.points) // 32)]
    inner = ((points[None] + shifts[chosen][:, None]) @ setting.metric.T) @ shifts.T
    gap = inner.max(axis=-1) - (inner + bias[:, None, :]).max(axis=-1)
    return float(gap.max())


def _factored(setting: Setting, shifts: FloatArray, tolerance: float, accepted: float) -> Factored | None:
    """Return the factored operator, None where its kernel is not accurate enough or its factors underflow."""
    cover = _Cover(setting.metric, shifts, _cover_points(setting, shifts))
    skeleton = _skeleton(cover, _expected_rank(setting, cover.exponent), tolerance, accepted)
    if skeleton is None:
        return None
    factored = Factored(setting, skeleton, shifts)
    lowest = support(cover.queries(np.random.default_rng(4), 512), spread(shifts, HULL)).min()
    return factored if lowest - factored.offset.max() > -EXPONENT_RANGE else None


def _cover_points(setting: Setting, shifts: FloatArray) -> FloatArray:
    """Points of a grid that resolves the kernel, whatever the grid of the equation."""
    reach = 1.0 + float(np.linalg.norm(shifts, axis=1).max())
    degree = setting.space.degree(float(np.linalg.norm(setting.metric, 2)) * reach, 1e-15)
    points = setting.space.resized(8).at_least(degree).points
    return points[:: max(1, len(points) // (2 * degree + 1))]


@dataclass(frozen=True, eq=False)
class _Cover:
    """The keys p_ζ + y and the queries βB(x + p_z) that a skeleton must serve; equal by content."""

    metric: FloatArray
    shifts: FloatArray
    points: FloatArray

    @property
    def exponent(self) -> float:
        """Bound of the exponents |ξ||w|."""
        return (
            float(np.linalg.norm(self.metric, 2))
            * (1.0 + float(np.linalg.norm(self.shifts, axis=1).max())) ** 2
        )

    def keys(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Draw keys: a third extreme in a random direction, a third about spread shifts, a third about any.

        The kernel is largest, and inter- turns into extrapolation, at the extreme ones.
        """
        outer = self.shifts[self._outer]
        third = count // 3
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
        if np.linalg.svd(self.metric, compute_uv=False)[-1] >= THICKNESS:
            return queries
        direction = rng.standard_normal(queries.shape)
        direction *= THICKNESS / np.linalg.norm(direction, axis=1, keepdims=True)
        return np.asarray(queries + direction * rng.integers(0, 2, (len(queries), 1)))

    @cached_property
    def _outer(self) -> IntArray:
        return spread_rows(self.shifts, HULL)

    @cached_property
    def _content(self) -> bytes:
        return b"".join(array.tobytes() for array in (self.metric, self.shifts, self.points))

    def __hash__(self) -> int:
        return hash(self._content)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Cover) and self._content == other._content


@lru_cache(maxsize=32)
def _skeleton(cover: _Cover, rank: float, tolerance: float, accepted: float) -> Skeleton | None:
    """Keep skeletons: they do not depend on the grid, which a run may refine many times."""
    rng = np.random.default_rng(5)
    outer = spread(cover.shifts, max(8, GRID // len(cover.points)))
    # Slightly too large, so that the keys themselves are a matter of interpolation.
    grid = MARGIN * (outer[:, None] + cover.points).reshape(-1, outer.shape[1])
    count = int(CANDIDATES * rank) + 64
    start = (
        np.concatenate([cover.thickened(grid @ cover.metric.T, rng), cover.queries(rng, count)]),
        np.concatenate([grid, cover.keys(rng, count)]),
    )
    return fit(start, (cover.queries, cover.keys), spread(cover.shifts, HULL), tolerance, accepted)


def spread(shifts: FloatArray, count: int) -> FloatArray:
    """Choose at most ``count`` rows that cover the others (farthest point first)."""
    return np.asarray(shifts[spread_rows(shifts, count)])


def spread_rows(shifts: FloatArray, count: int) -> IntArray:
    """Choose the indices of ``spread``."""
    chosen = [int(np.linalg.norm(shifts, axis=1).argmax())]
    distance = np.linalg.norm(shifts - shifts[chosen[0]], axis=1)
    while len(chosen) < min(count, len(shifts)) and distance.max() > 0.0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(shifts - shifts[chosen[-1]], axis=1))
    return np.array(chosen)
