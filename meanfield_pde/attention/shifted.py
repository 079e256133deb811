r"""Attention operators for additive encodings, u = x + p(z).

``Factored`` represents the measure that is attended to by a few *equivalent charges* c_k at skeleton points
w_k of R^d, so that every query sees ∑_k c_k e^{⟨ξ, w_k⟩}, and e^{⟨ξ, w_k⟩} factors over x and p(z). Analysis
and synthesis are matrix products; the cost is linear in the number of nodes.
``Pairwise`` keeps every pair of nodes and compresses each ρ_ζ to its low modes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import Setting, Sums

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from solvers.compiled import Tables
    from solvers.lowrank import Skeleton

__all__ = ["Factored", "Pairwise"]

#: Rows of pairs that are held at once, numbers.
BLOCK = 2**24


@dataclass(frozen=True)
class Factored:
    """All pairs of nodes through the charges of a skeleton, in O(N_z)."""

    setting: Setting
    skeleton: Skeleton
    shifts: FloatArray

    @cached_property
    def _degree(self) -> int:
        return self.setting.degree(float(np.linalg.norm(self.skeleton.queries, axis=1).max()))

    @cached_property
    def _rows(self) -> FloatArray:
        """Exponents ⟨βB x_i, w_k⟩, (points, rank)."""
        return np.asarray((self.setting.space.points @ self.setting.metric.T) @ self.skeleton.keys.T)

    @cached_property
    def _columns(self) -> FloatArray:
        """Exponents ⟨βB p_z, w_k⟩, (aux, rank)."""
        return np.asarray((self.shifts @ self.setting.metric.T) @ self.skeleton.keys.T)

    @cached_property
    def offset(self) -> FloatArray:
        """Sum of the largest exponents of x_i and of p_z, and the peak of the bias."""
        largest = self._columns.max(axis=1)[:, None] + self._rows.max(axis=1)[None, :]
        return np.asarray(largest + self.setting.mixer.peak)

    @cached_property
    def token_factor(self) -> FloatArray:
        """e^{⟨βB x_i, w_k⟩ − …}, (points, rank), at most one."""
        return np.asarray(np.exp(self._rows - self._rows.max(axis=1)[:, None]))

    @cached_property
    def node_factor(self) -> FloatArray:
        """e^{⟨βB p_z, w_k⟩ − …}, (aux, rank), at most one."""
        return np.asarray(np.exp(self._columns - self._columns.max(axis=1)[:, None]))

    @cached_property
    def field_factor(self) -> FloatArray:
        """Token factor times the component of V w_k along the tangent, (points·(d − 1), rank)."""
        along = self.setting.projection @ self.skeleton.keys.T
        return np.asarray((along * self.token_factor[:, None, :]).reshape(-1, along.shape[-1]))

    @cached_property
    def key_factor(self) -> FloatArray:
        """w_ζ e^{⟨ξ_l, p_ζ⟩ + |ξ_l| − h(ξ_l)}, (aux, rank)."""
        queries = self.skeleton.queries
        exponents = self.shifts @ queries.T + np.linalg.norm(queries, axis=1) - self.skeleton.support
        return np.asarray(self.setting.weights * np.exp(exponents))

    @cached_property
    def waves(self) -> FloatArray:
        """Functionals that probe ρ_ζ at the skeleton queries, (coefficients, rank)."""
        return np.ascontiguousarray(self.setting.space.plane_wave(self.skeleton.queries, self._degree).T)

    def _charges(self, functionals: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Charges that each query node sees, times its own factor, (aux, rank)."""
        probes = (self.setting.low(coefficients, self._degree) @ functionals) * self.key_factor
        return self.skeleton.charges(self.setting.mixer.mix(probes)) * self.node_factor

    def sums(self, coefficients: FloatArray) -> Sums:
        """Probe, mix, solve for charges, synthesise."""
        charges = self._charges(self.waves, coefficients)
        total = charges @ self.token_factor.T
        if self.setting.encoded:
            field = charges @ self.field_factor.T
            return Sums(total, field.reshape(*total.shape, -1))
        return Sums(total, self._bare_field(coefficients))

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:
        """Probes, key factor, two steps of the solve, node factor, synthesis; without softmax e^{offset}."""
        if not (self.setting.encoded and self.setting.mixer.shared):
            return None
        free = self.setting.space.constant
        factors = [self.field_factor, self.token_factor] if softmax else [self.field_factor]
        tables = (
            self.waves[:1],
            self.waves[free:],
            self.key_factor,
            self.skeleton.probe.T,
            self.skeleton.charge.T,
            self.node_factor,
            np.concatenate(factors).T,
            np.empty((0, 0)) if softmax else np.exp(self.offset),
        )
        return "factored", tables

    def _bare_field(self, coefficients: FloatArray) -> FloatArray:
        """Each component of the bare token y has probes and charges of its own."""
        gradients = self.setting.space.plane_wave_gradient(self.skeleton.queries, self._degree)
        projection = self.setting.projection
        field = np.zeros((len(coefficients), *projection.shape[:2]))
        for component in range(projection.shape[2]):
            charges = self._charges(np.ascontiguousarray(gradients[:, component].T), coefficients)
            field += (charges @ self.token_factor.T)[..., None] * projection[:, :, component]
        return field

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """Charges weigh ⟨ξ, w_k⟩; the bias is mixed once more where it is neither 0 nor −∞."""
        probes = (self.setting.low(coefficients, self._degree) @ self.waves) * self.key_factor
        charges = self.skeleton.charges(self.setting.mixer.mix(probes)) * self.node_factor
        result = charges @ (self._rows * self.token_factor).T
        result += (charges * self._columns) @ self.token_factor.T
        biased = self.setting.mixer.mix_bias(probes)
        if biased is not None:
            result += (self.skeleton.charges(biased) * self.node_factor) @ self.token_factor.T
        return result


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
        return np.asarray(np.linalg.norm(self._exponents, axis=-1))

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
        """Tables of all blocks, kept when there is only one."""
        rows = self._blocks()
        return {0: self._block_tables(rows[0])} if len(rows) == 1 else {}

    def _block_tables(self, rows: slice) -> tuple[FloatArray, ...]:
        wave, gradient = self._tables(rows)
        shape = self._length[rows].shape
        along = np.einsum(
            "ipd,zidc->zipc", self.setting.projection, gradient.reshape(*shape, *gradient.shape[1:])
        )
        weight = np.exp(self._scores(rows) - self.offset[rows][..., None]) * self.setting.weights[:, 0]
        return wave.reshape(*shape, -1), along, weight

    def sums(self, coefficients: FloatArray) -> Sums:
        """For every query, Σ_ζ e^{⟨ξ,p_ζ⟩ + b} ∫ e^{⟨ξ,y⟩} ρ_ζ(y) dy from the low modes of ρ_ζ."""
        low = self.setting.low(coefficients, self._degree).T
        parts = []
        shifted = self.setting.projection @ self.shifts.T
        for rows in self._blocks():
            wave, along, weight = self._kept[0] if self._kept else self._block_tables(rows)
            inner = weight * (wave @ low)
            field = np.einsum("ziq,zipq->zip", weight, along @ low)
            if self.setting.encoded:
                field += np.einsum("ziq,ipq->zip", inner, shifted)
            parts.append((inner.sum(axis=-1), field))
        return Sums(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:  # noqa: ARG002
        """No compiled rate."""
        return None

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
