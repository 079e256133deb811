"""No encoding or a rotary one, with any matrices and values: small dense tables per query node."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import Setting, Sums, assembled
from meanfield_pde.parallel import EVERY, own

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray

__all__ = ["Plain"]


@dataclass(frozen=True)
class Plain:
    """No encoding or a rotary one, with any matrices and values: small dense tables per query node.

    The table holds the functionals ρ ↦ ∫ e^{⟨ξ,w⟩ − |ξ|} ρ(w) dw for ξ = βB R(ωz) x.
    """

    setting: Setting

    @cached_property
    def _exponents(self) -> FloatArray:
        """ξ of every query, (aux or 1, points, d)."""
        points, angles = self.setting.space.points, self.setting.attention.encoding.angles
        moved = points[None] if angles is None else points @ np.swapaxes(self._rotations, 1, 2)
        return np.asarray(moved @ self.setting.metric.T)

    @cached_property
    def _rotations(self) -> FloatArray:
        angles = self.setting.attention.encoding.angles
        return self.setting.space.rotations(np.zeros(1) if angles is None else angles)

    @cached_property
    def _length(self) -> FloatArray:
        return self.setting.space.support(self._exponents)

    @cached_property
    def _degree(self) -> int:
        return self.setting.degree(float(self._length.max()))

    @cached_property
    def offset(self) -> FloatArray:
        """|ξ| + peak of the bias."""
        return np.asarray(self._length + self.setting.mixer.peak)

    @property
    def largest(self) -> FloatArray:
        """The offset itself."""
        return self.offset

    @cached_property
    def _waves(self) -> FloatArray:
        """Functionals of the kernel, (aux or 1, points, coefficients)."""
        flat = self._exponents.reshape(-1, self._exponents.shape[-1])
        table = self.setting.space.plane_wave(flat, self._degree)
        return table.reshape(*self._length.shape, -1)

    @cached_property
    def _gradients(self) -> FloatArray:
        """Functionals of the kernel times the key, (aux or 1, points, d, coefficients)."""
        flat = self._exponents.reshape(-1, self._exponents.shape[-1])
        table = self.setting.space.plane_wave_gradient(flat, self._degree)
        return table.reshape(*self._exponents.shape, -1)

    @cached_property
    def _fields(self) -> FloatArray:
        """The same along the tangent frame after V (and the rotation back), (aux or 1, points·(d − 1), c)."""
        back = np.swapaxes(self._rotations, 1, 2)
        direction = np.einsum("ipd,zde->zipe", self.setting.projection, back)
        table = np.asarray(direction @ self._gradients)
        return table.reshape(table.shape[0], -1, table.shape[-1])

    def sums(self, coefficients: FloatArray) -> Sums:
        """Mix in the rotating frame, then apply the tables."""
        block = self.block_sums(coefficients)
        return block(EVERY) if self.shared else assembled(block, len(coefficients))

    def block_sums(self, coefficients: FloatArray) -> Callable[[slice], Sums]:
        """Mix all; apply the tables to a block."""
        rotated = self._rotated(coefficients)
        mixed = self.setting.mixer.mix(rotated)
        if not self.setting.encoded and self.setting.attention.encoding.is_rotated:
            bare = self._bare_mixed(rotated)
            return lambda rows: Sums(self._apply(self._waves, mixed, rows), self._bare_field(bare, rows))

        def applied(rows: slice) -> Sums:
            total = self._apply(self._waves, mixed, rows)
            return Sums(total, self._apply(self._fields, mixed, rows).reshape(*total.shape, -1))

        if self.shared:
            sums = applied(EVERY)
            return lambda rows: sums  # noqa: ARG005 - all see the same
        return applied

    @property
    def shared(self) -> bool:
        """Without rotation, and with one sum over all keys."""
        return self.setting.mixer.shared and self.setting.attention.encoding.angles is None

    def transposed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """Apply the transposed tables, then mix in the rotating frame."""
        mixer, angles = self.setting.mixer, self.setting.attention.encoding.angles
        mixed = np.zeros((1, 1)) if total is None else self._applied_back(self._waves, total)
        if self.setting.encoded or angles is None:
            mixed = mixed + self._applied_back(self._fields, field.reshape(len(field), -1))
            rotated = mixer.spread(mixed)
        else:
            rotated = self._bare_back(field)
            if total is not None:
                rotated = rotated + mixer.spread(mixed)
        if angles is not None:
            rotated = self.setting.space.rotate(rotated, -angles)
        return self.setting.raised(rotated, self.setting.weights)

    def _applied_back(self, table: FloatArray, values: FloatArray) -> FloatArray:
        """Transpose of ``_apply``: values (aux or 1, rows) to what multiplied the mixed coefficients."""
        if table.shape[0] == 1:
            return np.asarray(values @ table[0])
        result = (values[:, None, :] @ table)[:, 0]
        return np.asarray(result.sum(axis=0, keepdims=True) if self.setting.mixer.shared else result)

    def _bare_back(self, field: FloatArray) -> FloatArray:
        """Transpose of ``_bare_field``, (aux, coefficients)."""
        back = np.swapaxes(self._rotations, 1, 2)
        vector = np.einsum("ipd,zip->zdi", self.setting.projection, field)
        mixed = vector @ self._gradients.reshape(*self._gradients.shape[:2], -1)
        mixed = mixed.reshape(len(mixed), -1)
        if self.setting.mixer.shared:
            mixed = mixed.sum(axis=0, keepdims=True)
        features = self.setting.mixer.spread(mixed)
        features = features.reshape(len(features), back.shape[1] ** 2, -1)
        return np.asarray((back.reshape(len(back), 1, -1) @ features)[:, 0])

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """⟨ξ, ∇_ξ G⟩ + Σ_ζ b e^{b} …."""
        rotated = self._rotated(coefficients)
        table = np.einsum("zid,zidc->zic", self._exponents, self._gradients)
        return self._apply(table, self.setting.mixer.mix(rotated)) + self._biased(rotated)

    def _biased(self, rotated: FloatArray) -> FloatArray:
        biased = self.setting.mixer.mix_bias(rotated)
        return np.zeros((1, 1)) if biased is None else self._apply(self._waves, biased)

    def _rotated(self, coefficients: FloatArray) -> FloatArray:
        low = self.setting.weights * self.setting.low(coefficients, self._degree)
        angles = self.setting.attention.encoding.angles
        return low if angles is None else self.setting.space.rotate(low, angles)

    @staticmethod
    def _apply(table: FloatArray, mixed: FloatArray, rows: slice = EVERY) -> FloatArray:
        """Multiply a table (aux or 1, rows, c) and mixed coefficients (aux or 1, c) for a block of nodes."""
        if table.shape[0] == 1:
            return np.asarray(own(mixed, rows) @ table[0].T)
        return np.asarray((table[rows] @ own(mixed, rows)[..., None])[..., 0])

    def _bare_mixed(self, rotated: FloatArray) -> FloatArray:
        """Values are bare tokens y = R(ωζ)⁻¹ w: each component of the rotation is mixed by itself."""
        back = np.swapaxes(self._rotations, 1, 2)
        features = (back.reshape(len(back), -1, 1) * rotated[:, None, :]).reshape(len(rotated), -1)
        mixed = self.setting.mixer.mix(features)
        return np.swapaxes(mixed.reshape(mixed.shape[0], back.shape[1], -1), 1, 2)

    def _bare_field(self, mixed: FloatArray, rows: slice) -> FloatArray:
        """Vectors of a block of query nodes along the tangent frame."""
        gradients = self._gradients[rows]
        vector = gradients.reshape(*gradients.shape[:2], -1) @ own(mixed, rows)
        return np.asarray(np.einsum("ipd,zid->zip", self.setting.projection, vector))
