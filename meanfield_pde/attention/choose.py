"""Which operator evaluates a head: the cheapest that keeps the promised accuracy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.attention.convolution import Convolution
from meanfield_pde.attention.dense import Dense
from meanfield_pde.attention.factored import Factored
from meanfield_pde.attention.pairwise import Pairwise
from meanfield_pde.attention.plain import Plain
from meanfield_pde.attention.skeleton import Cover, longest_query, reach, search_bytes, skeleton
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.operators import Operator, Setting

__all__ = ["KERNEL_TOLERANCE", "kernel_bytes", "operator"]

#: Error of the factored kernel, relative to the largest kernel entry of a query, that is aimed at.
KERNEL_TOLERANCE = 2e-15
#: Error that is accepted after biases have hidden the largest keys from a query.
ACCEPTED_ERROR = 1e-11
#: Errors of skeletons, in pivots that are left out, as observed at worst.
AMPLIFIED = 300.0
#: Exponents beyond which the factors of the kernel would underflow.
EXPONENT_RANGE = 600.0
#: Ranks above this take longer to find than they save.
LARGEST_RANK = 2600
#: Nodes on a surface from which a skeleton pays.
FEWEST = 3
#: Observed ranks off the plane, as a share of the polynomials of the degree that the exponent asks for.
SHARE_OF_POLYNOMIALS = 0.6


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
    if not _worthwhile(setting, shifts, tolerance):
        return pairwise
    accepted = max(ACCEPTED_ERROR, AMPLIFIED * tolerance)
    loss = _hidden(setting, shifts)
    if loss > math.log(accepted / (20.0 * tolerance)):
        return pairwise
    factored = _factored(setting, shifts, tolerance, accepted * math.exp(-loss))
    return pairwise if factored is None else factored


def kernel_bytes(setting: Setting, tolerance: float = KERNEL_TOLERANCE) -> int:
    """Bytes, about, that the kernel of an additive encoding takes: its tables, the search of a skeleton."""
    shifts = setting.attention.encoding.shifts
    shifted = shifts is not None and setting.attention.encoding.is_shifted and setting.head.kernel is None
    if shifts is None or not shifted:
        return 0
    if not _worthwhile(setting, shifts, tolerance):
        return Pairwise(setting, shifts).bytes_held
    rank = _shifted_rank(setting, shifts, tolerance)
    tables = int(8 * rank * (len(setting.space.points) + len(shifts)))
    return max(search_bytes(rank, plane=setting.space.points.shape[1] == 2), tables)


def _worthwhile(setting: Setting, shifts: FloatArray, tolerance: float) -> bool:
    """Whether the factored kernel, of the rank that is to be expected, beats all pairs of nodes."""
    nodes, points = len(shifts), len(setting.space.points)
    longest = reach(setting.space, shifts)
    largest = float(np.linalg.norm(setting.metric, 2)) * longest
    width = setting.space.width(setting.degree(largest))
    rank = _shifted_rank(setting, shifts, tolerance)
    if not setting.space.is_line:  # tables of pairs are read from memory once a pass, a skeleton is not
        return rank <= LARGEST_RANK and nodes >= FEWEST
    factored = nodes * rank * (width + 2 * points) + 2 * rank * rank
    return rank <= LARGEST_RANK and factored < nodes * nodes * points * width


def _shifted_rank(setting: Setting, shifts: FloatArray, tolerance: float) -> float:
    """Expect a rank for the largest exponent of encoded tokens."""
    space = setting.space
    exponent = longest_query(setting.metric, space, shifts) * reach(space, shifts)
    return _expected_rank(setting, exponent, tolerance)


def _expected_rank(setting: Setting, exponent: float, tolerance: float) -> float:
    """Observed growth of the rank with the largest exponent: in the plane, and in more dimensions."""
    dimension = setting.space.points.shape[1]
    if dimension == 2:
        return float(75.0 * max(exponent, 0.1) ** 0.6)
    orders = np.arange(int(4.0 * exponent) + 64)
    degree = int(np.count_nonzero(special.ive(orders, exponent) > tolerance * special.ive(0, exponent)))
    return float(SHARE_OF_POLYNOMIALS * special.comb(degree + dimension, dimension))


def _hidden(setting: Setting, shifts: FloatArray) -> float:
    """Largest gap between the best placed key of all and the best placed that a query may attend to."""
    nodes = setting.attention.auxiliary.nodes
    if setting.mixer.shared:
        return 0.0
    chosen = np.unique(np.linspace(0, nodes.size - 1, min(nodes.size, 64)).astype(np.intp))
    bias = setting.head.bias.log_weights(nodes[chosen], nodes)
    bias = bias - bias.max(axis=1, keepdims=True)
    points = setting.space.points[:: max(1, len(setting.space.points) // 32)]
    inner = ((points[None] + shifts[chosen][:, None]) @ setting.metric.T) @ shifts.T
    gap = inner.max(axis=-1) - (inner + bias[:, None, :]).max(axis=-1)
    return float(gap.max())


def _factored(setting: Setting, shifts: FloatArray, tolerance: float, accepted: float) -> Factored | None:
    """Return the factored operator, None where its kernel is not accurate enough or its factors underflow."""
    cover = Cover.of(setting, shifts)
    rank = _expected_rank(setting, cover.exponent, tolerance)
    if setting.space.points.shape[1] == 2:  # it grows with the digits; elsewhere that is in the formula
        rank *= math.log(tolerance) / math.log(KERNEL_TOLERANCE)
    found = skeleton(cover, rank, tolerance, accepted)
    if found is None:
        return None
    factored = Factored(setting, found, shifts)
    lowest = cover.largest(cover.queries(np.random.default_rng(4), 512)).min()
    return factored if lowest - factored.offset.max() > -EXPONENT_RANGE else None
