"""Positional bias b(z, ζ) of the score: who may attend to whom, and how much.

A bias defines the matrix b (−∞ where attention is forbidden) and the mixer that sums over key nodes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfield_pde.attention import kernels, mixers
from meanfield_pde.errors import InputError, require_nonnegative

if TYPE_CHECKING:
    from meanfield_pde.arrays import BoolArray, FloatArray, IntArray
    from meanfield_pde.attention.mixers import Mixer

__all__ = ["Alibi", "Bias", "Causal", "NoBias", "Table", "Window", "Within"]


class Bias(Protocol):
    """A positional bias, on a fixed set of nodes."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Return b(z, ζ) for every query and key, (queries, keys); −∞ where attention is forbidden."""

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return the sum over key nodes that this bias makes of features."""


@dataclass(frozen=True)
class NoBias:
    """b = 0: all attend to all."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero everywhere."""
        return np.zeros((queries.size, keys.size))

    def mixer(self, nodes: FloatArray) -> Mixer:  # noqa: ARG002
        """One sum over all nodes."""
        return mixers.Total()


@dataclass(frozen=True)
class Within:
    """b = −∞ unless ζ = z: tokens attend to their own population only."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero where the nodes are equal."""
        return _mask(_distance(queries, keys) == 0.0)

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return the window of width zero."""
        return _ranges(nodes, 0.0)


@dataclass(frozen=True)
class Causal:
    """b = −∞ when ζ > z."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero where the key does not come later."""
        return _mask(keys[None, :] <= queries[:, None])

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return sums over prefixes of the ordered nodes."""
        order = _order(nodes)
        return mixers.Prefixes(order, np.searchsorted(nodes[order], nodes, side="right"))


@dataclass(frozen=True)
class Window:
    """b = −∞ when |z − ζ| > width."""

    width: float

    def __post_init__(self) -> None:
        require_nonnegative("window bias: width", self.width)

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero within the window."""
        return _mask(_distance(queries, keys) <= self.width)

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return sums over a window that slides along the ordered nodes."""
        return _ranges(nodes, self.width)


@dataclass(frozen=True)
class Alibi:
    """b = −slope |z − ζ| (ALiBi, Press et al. 2021)."""

    slope: float

    def __post_init__(self) -> None:
        require_nonnegative("alibi bias: slope", self.slope)

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Minus the slope times the distance."""
        return -self.slope * _distance(queries, keys)

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return two recursions along the ordered nodes."""
        order = _order(nodes)
        return mixers.Decay(order, np.diff(nodes[order]), self.slope)


@dataclass(frozen=True)
class Table:
    """b given as a matrix for the nodes, (aux, aux); −∞ forbids, every row keeps a finite entry."""

    values: FloatArray
    nodes: FloatArray

    def __post_init__(self) -> None:
        count = self.nodes.size
        if self.values.shape != (count, count):
            raise InputError(f"table bias: must have shape {(count, count)}, got {self.values.shape}")
        if np.isnan(self.values).any() or np.isposinf(self.values).any():
            raise InputError("table bias: entries must be finite or -inf")
        if not np.isfinite(self.values).any(axis=1).all():
            raise InputError(
                "table bias: every row must keep a finite entry, so that each token attends to some"
            )

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Entries of the table; queries and keys must be among its nodes."""
        return np.asarray(self.values[np.ix_(self._rows(queries), self._rows(keys))])

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return a dense matrix product."""
        return mixers.Product(self.log_weights(nodes, nodes))

    def _rows(self, wanted: FloatArray) -> IntArray:
        match = wanted[:, None] == self.nodes[None, :]
        if not match.any(axis=1).all():
            missing = wanted[~match.any(axis=1)][0]
            raise InputError(f"table bias: z = {missing!r} is not a node of the table")
        if wanted.size == self.nodes.size and np.array_equal(wanted, self.nodes):
            return np.arange(wanted.size)  # nodes may repeat: rows then go by their order
        return np.asarray(match.argmax(axis=1))


def _distance(queries: FloatArray, keys: FloatArray) -> FloatArray:
    return np.abs(queries[:, None] - keys[None, :])


def _mask(allowed: BoolArray) -> FloatArray:
    return np.where(allowed, 0.0, -np.inf)


def _order(nodes: FloatArray) -> IntArray:
    return np.argsort(nodes, kind="stable")


def _ranges(nodes: FloatArray, width: float) -> Mixer:
    """Ranges of the ordered nodes within the width, by the very comparison of the definition."""
    order = _order(nodes)
    return mixers.Ranges(order, *kernels.window_ranges(nodes[order], float(width)))
