"""Additive encodings, u = x + p(z): every pair of nodes, each ρ_ζ compressed to its low modes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import Setting, Sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray

__all__ = ["Pairwise"]

#: Rows of pairs that are worked on at once, and tables that are kept, numbers.
BLOCK, KEPT = 2**24, 2**26
#: Arrays of the size of a block that are held at once: waves, gradients, what they are made of.
BLOCKS = 4
#: Weights of keys below this share of the largest of a query are zero: products of them underflow, slowly.
NEGLIGIBLE = 1e-150


@dataclass(frozen=True)
class Pairwise:
    """Every pair of nodes, each ρ_ζ by its low modes: no truncation, whatever the range of exponents.

    The cost is O(N_z² N_x · modes): for few nodes, and for biases that hide the largest keys from a query.
    """

    setting: Setting
    shifts: FloatArray

    @cached_property
    def _exponents(self) -> FloatArray:
        """ξ of every query, (aux, points, d)."""
        queries = self.setting.space.points[None] + self.shifts[:, None]
        return np.asarray(queries @ self.setting.metric.T)

    @cached_property
    def _length(self) -> FloatArray:
        return self.setting.space.support(self._exponents)

    @cached_property
    def _degree(self) -> int:
        return self.setting.degree(float(self._length.max()))

    @cached_property
    def _bias(self) -> FloatArray:
        nodes = self.setting.attention.auxiliary.nodes
        return self.setting.head.bias.log_weights(nodes, nodes)

    @property
    def _block(self) -> int:
        """Query nodes that are worked on at once."""
        count, points = self._length.shape
        widest = max(count, 3 * self.setting.space.width(self._degree))
        return int(max(1, BLOCK // (points * widest)))

    @cached_property
    def offset(self) -> FloatArray:
        """Largest exponent of every query over the keys that it may attend to, (aux, points)."""
        return np.concatenate([self._scores(rows).max(axis=-1) for rows in self._blocks()])

    @property
    def largest(self) -> FloatArray:
        """The offset itself."""
        return self.offset

    def _blocks(self) -> list[slice]:
        return [slice(a, a + self._block) for a in range(0, len(self.shifts), self._block)]

    def _scores(self, rows: slice) -> FloatArray:
        """⟨ξ, p_ζ⟩ + |ξ| + b(z, ζ), (block, points, aux)."""
        inner = self._exponents[rows] @ self.shifts.T + self._length[rows][..., None]
        return np.asarray(inner + self._bias[rows][:, None, :])

    def _tables(self, rows: slice) -> tuple[FloatArray, FloatArray]:
        """Functionals of the kernel and of its gradient for a block of query nodes."""
        flat = self._exponents[rows].reshape(-1, self._exponents.shape[-1])
        space = self.setting.space
        return space.plane_wave(flat, self._degree), space.plane_wave_gradient(flat, self._degree)

    @cached_property
    def _kept(self) -> dict[int, tuple[FloatArray, ...]]:
        """Tables of all blocks by their first node, kept where they are not too many."""
        return {own.start: self._block_tables(own) for own in self._blocks()} if self._numbers <= KEPT else {}

    @property
    def _numbers(self) -> int:
        """Entries of all tables."""
        nodes, points = self._length.shape
        parts = (1 + self.setting.projection.shape[1]) * self.setting.space.width(self._degree) + nodes
        return int(nodes * points * parts)

    @property
    def bytes_held(self) -> int:
        """Bytes, about, of the tables that are kept, and of the blocks that are worked on."""
        kept = self._numbers if self._numbers <= KEPT else 0
        return 8 * (kept + BLOCKS * min(self._numbers, BLOCK))

    def _block_tables(self, rows: slice) -> tuple[FloatArray, ...]:
        wave, gradient = self._tables(rows)
        shape = self._length[rows].shape
        along = np.einsum(
            "ipd,zidc->zipc", self.setting.projection, gradient.reshape(*shape, *gradient.shape[1:])
        )
        share = np.exp(self._scores(rows) - self.offset[rows][..., None])
        share[share < NEGLIGIBLE] = 0.0
        return wave.reshape(*shape, -1), along, share * self.setting.weights[:, 0]

    def sums(self, coefficients: FloatArray) -> Sums:
        """For every query, Σ_ζ e^{⟨ξ,p_ζ⟩ + b} ∫ e^{⟨ξ,y⟩} ρ_ζ(y) dy from the low modes of ρ_ζ."""
        low = self.setting.low(coefficients, self._degree).T
        parts = []
        shifted = self.setting.projection @ self.shifts.T
        for rows in self._blocks():
            wave, along, weight = self._kept.get(rows.start) or self._block_tables(rows)
            inner = weight * (wave @ low)
            field = np.einsum("ziq,zipq->zip", weight, along @ low)
            if self.setting.encoded:
                field += np.einsum("ziq,ipq->zip", inner, shifted)
            parts.append((inner.sum(axis=-1), field))
        return Sums(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def block_sums(self, coefficients: FloatArray) -> Callable[[slice], Sums]:
        """Cut ``sums``: pairs couple all nodes."""
        sums = self.sums(coefficients)
        return lambda rows: Sums(sums.total[rows], sums.field[rows])

    shared = False

    def transposed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """Weigh what multiplies the sums over pairs, then apply the functionals backwards."""
        width = self.setting.space.width(self._degree)
        low = np.zeros((width, len(self.shifts)))
        shifted = self.setting.projection @ self.shifts.T
        for rows in self._blocks():
            wave, along, weight = self._kept.get(rows.start) or self._block_tables(rows)
            own = field[rows]
            felt = own[..., None] * weight[:, :, None, :]
            low += along.reshape(-1, width).T @ felt.reshape(-1, len(self.shifts))
            inner = np.zeros((1, 1, 1)) if total is None else total[rows][..., None]
            if self.setting.encoded:
                inner = inner + np.einsum("zip,ipq->ziq", own, shifted)
            if total is not None or self.setting.encoded:
                low += wave.reshape(-1, width).T @ (inner * weight).reshape(-1, len(self.shifts))
        return self.setting.raised(low.T)

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """Weigh by the score ⟨ξ, y⟩ + ⟨ξ, p_ζ⟩ + b."""
        low = self.setting.low(coefficients, self._degree).T
        parts = []
        for rows in self._blocks():
            wave, gradient = self._tables(rows)
            exponents = self._exponents[rows]
            radial = np.einsum("nd,ndc->nc", exponents.reshape(-1, exponents.shape[-1]), gradient)
            score = self._scores(rows)
            weight = np.exp(score - self.offset[rows][..., None]) * self.setting.weights[:, 0]
            shift = np.where(np.isfinite(score), score - self._length[rows][..., None], 0.0)
            shape = self._length[rows].shape
            inner = (radial @ low).reshape(*shape, -1) + shift * (wave @ low).reshape(*shape, -1)
            parts.append((weight * inner).sum(axis=-1))
        return np.concatenate(parts)
