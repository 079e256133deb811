"""Positional bias b(z, ζ) of the score: who may attend to whom, and how much.

A bias defines the matrix b (−∞ where attention is forbidden) and a fast way to *mix* features over
the key nodes, Σ_ζ e^{b(z_j, ζ)} a_ζ, in O(N_z) where its structure allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfield_pde.attention import kernels
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import BoolArray, FloatArray, IntArray

__all__ = ["Alibi", "Bias", "Causal", "NoBias", "Table", "Window", "Within"]


class Bias(Protocol):
    """A positional bias, on a fixed set of nodes."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Return b(z, ζ) for every query and key, (queries, keys); −∞ where attention is forbidden."""

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return the sum over key nodes that this bias makes of features."""


class Mixer(Protocol):
    """Mixing over the key nodes: rows of features (aux, features) in, mixed rows out."""

    @property
    def shared(self) -> bool:
        """Whether every query node sees the same sum."""

    @property
    def peak(self) -> FloatArray:
        """Largest bias max_ζ b(z_j, ζ) of every query node, (aux, 1) or (1, 1); it is divided out."""

    def mix(self, features: FloatArray) -> FloatArray:
        """Σ_ζ e^{b(z_j, ζ) − peak_j} features_ζ; one row when it is the same for every query node."""

    def mix_bias(self, features: FloatArray) -> FloatArray | None:
        """Σ_ζ b(z_j, ζ) e^{b(z_j, ζ) − peak_j} features_ζ, None where b is 0 or −∞ throughout."""


def _distance(queries: FloatArray, keys: FloatArray) -> FloatArray:
    return np.abs(queries[:, None] - keys[None, :])


class _Unpeaked:
    """Mixers whose largest bias is 0 and whose bias is 0 or −∞."""

    shared = False

    @property
    def peak(self) -> FloatArray:
        return np.zeros((1, 1))

    def mix_bias(self, features: FloatArray) -> FloatArray | None:  # noqa: ARG002
        return None


@dataclass(frozen=True)
class NoBias:
    """b = 0: all attend to all."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero everywhere."""
        return np.zeros((queries.size, keys.size))

    def mixer(self, nodes: FloatArray) -> Mixer:  # noqa: ARG002
        """One sum over all nodes."""
        return _Total()


class _Total(_Unpeaked):
    shared = True

    def mix(self, features: FloatArray) -> FloatArray:
        return np.asarray(features.sum(axis=0, keepdims=True))


@dataclass(frozen=True)
class Within:
    """b = −∞ unless ζ = z: tokens attend to their own population only."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero where the nodes are equal."""
        return _mask(_distance(queries, keys) == 0.0)

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return the window of width zero."""
        return _Ranges(nodes, *_window_ranges(nodes, 0.0))


@dataclass(frozen=True)
class Causal:
    """b = −∞ when ζ > z."""

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero where the key does not come later."""
        return _mask(keys[None, :] <= queries[:, None])

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return sums over prefixes of the ordered nodes."""
        ordered = np.sort(nodes)
        return _Prefixes(nodes, np.searchsorted(ordered, nodes, side="right"))


@dataclass(frozen=True)
class Window:
    """b = −∞ when |z − ζ| > width."""

    width: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.width) and self.width >= 0):
            raise InputError(f"window bias: width must be finite and >= 0, got {self.width!r}")

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Zero within the window."""
        return _mask(_distance(queries, keys) <= self.width)

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return sums over a window that slides along the ordered nodes."""
        return _Ranges(nodes, *_window_ranges(nodes, self.width))


@dataclass(frozen=True)
class Alibi:
    """b = −slope |z − ζ| (ALiBi, Press et al. 2021)."""

    slope: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and self.slope >= 0):
            raise InputError(f"alibi bias: slope must be finite and >= 0, got {self.slope!r}")

    def log_weights(self, queries: FloatArray, keys: FloatArray) -> FloatArray:
        """Minus the slope times the distance."""
        return -self.slope * _distance(queries, keys)

    def mixer(self, nodes: FloatArray) -> Mixer:
        """Return two recursions along the ordered nodes."""
        return _Decay(nodes, self.slope)


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
        return _Dense(self.log_weights(nodes, nodes))

    def _rows(self, wanted: FloatArray) -> IntArray:
        match = wanted[:, None] == self.nodes[None, :]
        if not match.any(axis=1).all():
            missing = wanted[~match.any(axis=1)][0]
            raise InputError(f"table bias: z = {missing!r} is not a node of the table")
        if wanted.size == self.nodes.size and np.array_equal(wanted, self.nodes):
            return np.arange(wanted.size)  # nodes may repeat: rows then go by their order
        return np.asarray(match.argmax(axis=1))


@dataclass(frozen=True)
class _Prefixes(_Unpeaked):
    nodes: FloatArray
    counts: IntArray

    @cached_property
    def _order(self) -> IntArray:
        return np.argsort(self.nodes, kind="stable")

    def mix(self, features: FloatArray) -> FloatArray:
        return np.asarray(np.cumsum(features[self._order], axis=0)[self.counts - 1])


@dataclass(frozen=True)
class _Ranges(_Unpeaked):
    """Sums over index ranges [first_j, last_j) of the ordered nodes, both non-decreasing in j."""

    nodes: FloatArray
    first: IntArray
    last: IntArray

    @cached_property
    def _order(self) -> IntArray:
        return np.argsort(self.nodes, kind="stable")

    def mix(self, features: FloatArray) -> FloatArray:
        result = np.empty_like(features)
        result[self._order] = kernels.sliding_sum(features[self._order], self.first, self.last)
        return result


@dataclass(frozen=True)
class _Decay:
    nodes: FloatArray
    slope: float
    shared: bool = False

    @property
    def peak(self) -> FloatArray:
        return np.zeros((1, 1))

    @cached_property
    def _order(self) -> IntArray:
        return np.argsort(self.nodes, kind="stable")

    @cached_property
    def _gaps(self) -> FloatArray:
        return np.diff(self.nodes[self._order])

    def mix(self, features: FloatArray) -> FloatArray:
        result = np.empty_like(features)
        result[self._order] = kernels.decaying_sum(features[self._order], self._gaps, self.slope)[0]
        return result

    def mix_bias(self, features: FloatArray) -> FloatArray | None:
        result = np.empty_like(features)
        result[self._order] = kernels.decaying_sum(features[self._order], self._gaps, self.slope)[1]
        return -self.slope * result


@dataclass(frozen=True)
class _Dense:
    bias: FloatArray
    shared: bool = False

    @cached_property
    def peak(self) -> FloatArray:
        return np.asarray(self.bias.max(axis=1, keepdims=True))

    @cached_property
    def _weights(self) -> FloatArray:
        return np.exp(self.bias - self.peak)

    @cached_property
    def _biased(self) -> FloatArray:
        return np.where(np.isfinite(self.bias), self.bias, 0.0) * self._weights

    def mix(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._weights @ features)

    def mix_bias(self, features: FloatArray) -> FloatArray | None:
        return np.asarray(self._biased @ features)


def _mask(allowed: BoolArray) -> FloatArray:
    return np.where(allowed, 0.0, -np.inf)


def _window_ranges(nodes: FloatArray, width: float) -> tuple[IntArray, IntArray]:
    """Index ranges of the ordered nodes within the width, by the very comparison of the definition."""
    ordered = np.sort(nodes)
    return kernels.window_ranges(ordered, float(width))
