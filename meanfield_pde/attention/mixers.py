"""Sums over the key nodes, Σ_ζ e^{b(z_j, ζ)} a_ζ, for each bias: in O(N_z) where its structure allows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfield_pde.attention import kernels

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["Decay", "Mixer", "Prefixes", "Product", "Ranges", "Total"]


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

    def spread(self, mixed: FloatArray) -> FloatArray:
        """Σ_j e^{b(z_j, ζ) − peak_j} mixed_j for every key node ζ: the transpose of ``mix``.

        Rows as ``mix`` gives them; where that is one for all query nodes, the sum of theirs, and one row is
        given back that is the same for every key node.
        """


class _Unpeaked:
    """Mixers whose largest bias is 0 and, unless they say otherwise, whose other biases are −∞."""

    shared = False

    @property
    def peak(self) -> FloatArray:
        """Zero."""
        return np.zeros((1, 1))

    def mix_bias(self, features: FloatArray) -> FloatArray | None:  # noqa: ARG002 - as all mixers are called
        """Return None: b is 0 or −∞."""
        return None


class Total(_Unpeaked):
    """One sum over all nodes."""

    shared = True

    def mix(self, features: FloatArray) -> FloatArray:
        """Sum, (1, features)."""
        return np.asarray(features.sum(axis=0, keepdims=True))

    def spread(self, mixed: FloatArray) -> FloatArray:
        """Give every node the same."""
        return mixed


@dataclass(frozen=True)
class Prefixes(_Unpeaked):
    """Sums over the first ``counts_j`` nodes in ``order``."""

    order: IntArray
    counts: IntArray

    def mix(self, features: FloatArray) -> FloatArray:
        """Accumulate along the order."""
        return kernels.prefix_sum(features, self.order, self.counts, self.order)

    @cached_property
    def _sources(self) -> tuple[IntArray, IntArray]:
        """Queries from the latest to the earliest, and how many of them attend to each node."""
        reach = self.counts[self.order]  # non-decreasing
        first = np.searchsorted(reach, np.arange(reach.size), side="right")
        counts = np.empty_like(first)
        counts[self.order] = reach.size - first
        return np.ascontiguousarray(self.order[::-1]), counts

    def spread(self, mixed: FloatArray) -> FloatArray:
        """Accumulate from the last query on."""
        queries, counts = self._sources
        return kernels.prefix_sum(mixed, queries, counts, queries)


@dataclass(frozen=True)
class Ranges(_Unpeaked):
    """Sums over index ranges [first_j, last_j) of the nodes in ``order``, both non-decreasing in j."""

    order: IntArray
    first: IntArray
    last: IntArray

    def mix(self, features: FloatArray) -> FloatArray:
        """Slide along the order."""
        result = np.empty_like(features)
        result[self.order] = kernels.sliding_sum(features[self.order], self.first, self.last)
        return result

    @cached_property
    def _attending(self) -> tuple[IntArray, IntArray]:
        """Ranges of the queries whose ranges a node lies in."""
        places = np.arange(self.first.size)
        return np.searchsorted(self.last, places, side="right"), np.searchsorted(
            self.first, places, side="right"
        )

    def spread(self, mixed: FloatArray) -> FloatArray:
        """Slide along the order."""
        result = np.empty_like(mixed)
        result[self.order] = kernels.sliding_sum(mixed[self.order], *self._attending)
        return result


@dataclass(frozen=True)
class Decay(_Unpeaked):
    """Two recursions along ``order`` for b = −slope |z − ζ|; ``gaps`` lie between neighbours there."""

    order: IntArray
    gaps: FloatArray
    slope: float

    def mix(self, features: FloatArray) -> FloatArray:
        """Weigh by e^{−slope |z − ζ|}."""
        return self._sum(features, 0)

    def mix_bias(self, features: FloatArray) -> FloatArray | None:
        """Weigh by −slope |z − ζ| e^{−slope |z − ζ|}."""
        return -self.slope * self._sum(features, 1)

    def spread(self, mixed: FloatArray) -> FloatArray:
        """Mix: the weights are symmetric."""
        return self._sum(mixed, 0)

    def _sum(self, features: FloatArray, which: int) -> FloatArray:
        result = np.empty_like(features)
        result[self.order] = kernels.decaying_sum(features[self.order], self.gaps, self.slope)[which]
        return result


@dataclass(frozen=True)
class Product:
    """The matrix of any bias, (aux, aux), times the features."""

    bias: FloatArray
    shared: bool = False

    @cached_property
    def peak(self) -> FloatArray:
        """Largest entry of every row, (aux, 1)."""
        return np.asarray(self.bias.max(axis=1, keepdims=True))

    @cached_property
    def _weights(self) -> FloatArray:
        return np.exp(self.bias - self.peak)

    @cached_property
    def _biased(self) -> FloatArray:
        return np.where(np.isfinite(self.bias), self.bias, 0.0) * self._weights

    def mix(self, features: FloatArray) -> FloatArray:
        """Weigh by e^{b − peak}."""
        return np.asarray(self._weights @ features)

    def mix_bias(self, features: FloatArray) -> FloatArray | None:
        """Weigh by b e^{b − peak}."""
        return np.asarray(self._biased @ features)

    def spread(self, mixed: FloatArray) -> FloatArray:
        """Weigh by e^{b − peak}, transposed."""
        return np.asarray(self._weights.T @ mixed)
