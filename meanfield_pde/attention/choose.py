"""Which operator evaluates a head: the cheapest that keeps the promised accuracy."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from meanfield_pde.arrays import FloatArray
from meanfield_pde.attention.dense import Dense
from meanfield_pde.attention.operators import Convolution, Operator, Plain, Setting
from meanfield_pde.attention.shifted import Factored, Pairwise, Skeleton, support
from meanfield_pde.errors import InputError

__all__ = ["operator"]

#: Error of the factored kernel, relative to the largest kernel entry of a query, that is aimed at.
KERNEL_TOLERANCE = 2e-15
#: Error that is accepted after biases have hidden the largest keys from a query.
ACCEPTED_ERROR = 1e-12
#: Exponents beyond which the factors of the kernel would underflow.
EXPONENT_RANGE = 600.0
#: Least extent of the region of exponents in which the kernel is reproduced, in every direction.
THICKNESS = 1.0
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
    if encoding.is_shifted:
        if encoding.is_rotated:
            raise InputError("encoding: shifts and angles together are not supported, use one of them")
        return _shifted(setting, tolerance)
    multipliers = setting.space.convolution(setting.head.beta, setting.head.metric, setting.head.value)
    if multipliers is not None and (setting.encoded or not encoding.is_rotated):
        return Convolution(setting, *multipliers)
    return Plain(setting)


def _shifted(setting: Setting, tolerance: float) -> Operator:
    shifts = setting.attention.encoding.shifts
    assert shifts is not None  # noqa: S101 - for the type checker: the caller asked is_shifted
    pairwise = Pairwise(setting, shifts)
    exponents = _sample_exponents(setting, shifts)
    if not _worthwhile(setting, shifts, exponents):
        return pairwise
    accepted = max(ACCEPTED_ERROR, 100.0 * tolerance)
    loss = _hidden(setting, shifts, exponents)
    if loss > math.log(accepted / (20.0 * tolerance)):
        return pairwise
    for nodes in (16, 64):
        factored = _factored(setting, shifts, tolerance, nodes)
        if factored is not None and _error(factored, shifts) * math.exp(loss) < accepted:
            return factored
    return pairwise


def _sample_exponents(setting: Setting, shifts: FloatArray) -> FloatArray:
    """ξ for spread nodes and all points of a coarse grid, (nodes, points, d)."""
    points = setting.space.points[:: max(1, len(setting.space.points) // 64)]
    return (points[None] + spread(shifts, 64)[:, None]) @ setting.metric.T


def _worthwhile(setting: Setting, shifts: FloatArray, exponents: FloatArray) -> bool:
    """Whether the factored kernel, of the rank that is to be expected, beats all pairs of nodes."""
    nodes, points = len(shifts), len(setting.space.points)
    reach = 1.0 + float(np.linalg.norm(shifts, axis=1).max())
    width = setting.space.width(setting.degree(float(np.linalg.norm(exponents, axis=-1).max())))
    rank = _expected_rank(setting, float(np.linalg.norm(exponents, axis=-1).max()) * reach)
    factored = nodes * rank * (width + 2 * points) + 2 * rank * rank
    return rank <= LARGEST_RANK and factored < nodes * nodes * points * width


def _expected_rank(setting: Setting, exponent: float) -> float:
    """Observed growth of the rank with the largest exponent in the plane, generalised by dimension."""
    return (75.0 * max(exponent, 0.1) ** 0.6) ** (setting.space.points.shape[1] / 2.0)


def _hidden(setting: Setting, shifts: FloatArray, exponents: FloatArray) -> float:
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


def _factored(setting: Setting, shifts: FloatArray, tolerance: float, nodes: int) -> Factored | None:
    """Skeleton from spread nodes and the coarsest grid that resolves the kernel."""
    chosen = spread(shifts, nodes)
    reach = np.linalg.norm((setting.space.points[None] + chosen[:, None]) @ setting.metric.T, axis=-1).max()
    coarse = setting.space.resized(8).at_least(setting.space.degree(float(reach), 1e-15))
    points = coarse.points[:: max(1, len(coarse.points) // (2 * setting.space.degree(float(reach), 1e-15) + 1))]
    keys = (points[None] + chosen[:, None]).reshape(-1, points.shape[1])
    queries = _thickened(keys @ setting.metric.T, setting.metric)
    factored = Factored(setting, _skeleton(*map(_Frozen, (queries, keys, shifts)), tolerance), shifts)
    exponents = (setting.space.points[None] + spread(shifts, 64)[:, None]) @ setting.metric.T
    lowest = support(exponents.reshape(-1, points.shape[1]), shifts).min() - factored.offset.max()
    return factored if lowest > -EXPONENT_RANGE else None


class _Frozen:
    """An array that is hashed by its content."""

    def __init__(self, values: FloatArray) -> None:
        self.values = values
        self._bytes = values.tobytes()

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and self._bytes == other._bytes


@lru_cache(maxsize=32)
def _skeleton(queries: _Frozen, keys: _Frozen, shifts: _Frozen, tolerance: float) -> Skeleton:
    """Keep skeletons: they do not depend on the grid, which a run may refine many times."""
    return Skeleton.build(queries.values, keys.values, shifts.values, tolerance)


def _thickened(queries: FloatArray, metric: FloatArray) -> FloatArray:
    """Queries with neighbours in every direction where the metric leaves them (nearly) flat.

    The field is the gradient in ξ of what the skeleton reproduces: it must do so in a neighbourhood of the
    queries, also when β is small or B is singular.
    """
    dimension = metric.shape[0]
    if np.linalg.svd(metric, compute_uv=False)[-1] >= THICKNESS:
        return queries
    direction = np.random.default_rng(2).standard_normal((2, len(queries), dimension))
    direction *= THICKNESS / np.linalg.norm(direction, axis=-1, keepdims=True)
    return np.concatenate([queries, queries + direction[0], queries + direction[1]])


def _error(factored: Factored, shifts: FloatArray, samples: int = 256) -> float:
    """Largest error of the factored kernel, and of the kernel times the key, at random queries and keys."""
    rng = np.random.default_rng(1)
    setting = factored.setting
    points = setting.space.points

    def draw() -> FloatArray:
        return points[rng.integers(len(points), size=samples)] + shifts[rng.integers(len(shifts), size=samples)]

    keys, exponents = draw(), draw() @ setting.metric.T
    bound = support(exponents, shifts)[:, None]
    skeleton = factored.skeleton
    charges = skeleton.charges(np.exp(keys @ skeleton.queries.T - skeleton.support))
    weights = np.exp(exponents @ skeleton.keys.T - bound)
    exact = np.exp(exponents @ keys.T - bound)
    value = np.abs(weights @ charges.T - exact).max()
    moments = [np.abs((weights * a) @ charges.T - exact * b).max() for a, b in zip(skeleton.keys.T, keys.T, strict=True)]
    return float(max(value, *moments))


def spread(shifts: FloatArray, count: int) -> FloatArray:
    """Choose at most ``count`` rows that cover the others (farthest point first)."""
    chosen = [int(np.linalg.norm(shifts, axis=1).argmax())]
    distance = np.linalg.norm(shifts - shifts[chosen[0]], axis=1)
    while len(chosen) < min(count, len(shifts)) and distance.max() > 0.0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(shifts - shifts[chosen[-1]], axis=1))
    return shifts[chosen]
