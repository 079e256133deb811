"""No encoding or a rotary one, with a kernel that is a function of x − y: diagonal in the eigenbasis of Δ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import NOISE, Setting, Sums, assembled
from meanfield_pde.attention.plain import Plain
from meanfield_pde.parallel import EVERY, own

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from solvers.compiled import Tables

__all__ = ["Convolution"]

#: Entries of a table, times the rows that it is multiplied by, up to which it beats transforms.
TABLE = 2**17


@dataclass(frozen=True)
class Convolution:
    """No encoding, or a rotary one with encoded values, when the kernel is a function of x − y alone.

    In the rotating frame u = R(ωz)x attention is a convolution: diagonal in the eigenbasis of Δ.
    """

    setting: Setting
    multipliers: ComplexArray
    field_multipliers: ComplexArray

    @cached_property
    def offset(self) -> FloatArray:
        """β|B| + peak of the bias."""
        exponent = self.setting.space.support(self.setting.metric @ self.setting.space.points[0])
        return np.asarray(exponent + self.setting.mixer.peak)

    @property
    def largest(self) -> FloatArray:
        """The offset itself."""
        return self.offset

    def sums(self, coefficients: FloatArray) -> Sums:
        """Rotate, mix, multiply, rotate back."""
        block = self.block_sums(coefficients)
        return block(EVERY) if self.shared else assembled(block, len(coefficients))

    def block_sums(self, coefficients: FloatArray) -> Callable[[slice], Sums]:
        """Rotate and mix all; multiply and rotate back a block."""
        mixed = self.mixed(coefficients)
        if self.shared:
            sums = self._multiplied(mixed)
            return lambda rows: sums  # noqa: ARG005 - all see the same
        return lambda rows: self._multiplied(self._turned(own(mixed, rows), rows))

    def _multiplied(self, mixed: FloatArray) -> Sums:
        space = self.setting.space
        total = space.synthesise(space.apply_multipliers(mixed, self.multipliers))
        return Sums(total, space.convolved_field(mixed, self.field_multipliers))

    @property
    def shared(self) -> bool:
        """Without rotation, and with one sum over all keys."""
        return self.setting.mixer.shared and self.setting.attention.encoding.angles is None

    def transposed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """Multiply, rotate, mix and rotate back, in the opposite order."""
        space, mixer = self.setting.space, self.setting.mixer
        dual, angles = self._dual(total, field), self.setting.attention.encoding.angles
        if angles is None:
            return self.setting.raised(mixer.spread(dual), self.setting.weights)
        dual = space.rotate(dual, angles)
        if mixer.shared:
            dual = dual.sum(axis=0, keepdims=True)
        return self.setting.raised(space.rotate(mixer.spread(dual), -angles), self.setting.weights)

    @property
    def _count(self) -> int:
        """Coefficients of a density that are felt."""
        space = self.setting.space
        return min(space.width(self.multipliers.shape[-1] - 1), space.eigenvalues.size)

    @cached_property
    def _conjugate(self) -> ComplexArray:
        return np.conj(self.multipliers)

    def _dual(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """Transpose of the multiplications and syntheses: by tables where these are small."""
        points, tangents = field.shape[1:]
        flat = field.reshape(len(field), -1)
        if len(flat) * points * (1 + tangents) * self._count <= TABLE:
            if total is None:
                return np.asarray(flat @ self._table[points:])
            return np.asarray(np.concatenate([total, flat], axis=1) @ self._table)
        return self._transformed(total, field)

    def _transformed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        back, count = self.setting.transposes, self._count
        dual = back.convolved_field_transposed(field, self.field_multipliers, count)
        if total is None:
            return dual
        values = back.synthesise_transposed(total, count)
        return dual + self.setting.space.apply_multipliers(values, self._conjugate)

    @cached_property
    def _table(self) -> FloatArray:
        """Of every value of the normaliser and the field, (points · d, coefficients)."""
        points, tangents = self.setting.space.frame.shape[:2]
        total, field = np.eye(points), np.eye(points * tangents).reshape(-1, points, tangents)
        none = np.zeros((points, points, tangents))
        return np.concatenate([self._transformed(total, none), self._transformed(None, field)])

    def mixed(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients, in the rotating frame, of the measure that each node attends to."""
        setting = self.setting
        low = setting.weights * setting.low(coefficients, self.multipliers.shape[-1] - 1)
        angles = setting.attention.encoding.angles
        if angles is not None:
            low = setting.space.rotate(low, angles)
        return setting.mixer.mix(low)

    def _turned(self, mixed: FloatArray, rows: slice) -> FloatArray:
        """Rotate what was mixed into the frames of a block of query nodes."""
        angles = self.setting.attention.encoding.angles
        if angles is None:
            return mixed
        angles = angles[rows]
        return self.setting.space.rotate(np.broadcast_to(mixed, (len(angles), mixed.shape[1])), -angles)

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:
        """Node weights, multipliers of the field and (softmax) of the normaliser."""
        if self.setting.attention.encoding.is_rotated or not self.setting.mixer.shared:
            return None
        scale = 1.0 if softmax else float(np.exp(self.offset).max())
        field = scale * np.stack([self.field_multipliers.real, self.field_multipliers.imag])
        normaliser = np.stack([self.multipliers.real, self.multipliers.imag]) if softmax else np.empty((2, 0))
        return "convolution", (self.setting.weights.T, field, normaliser, np.array([[NOISE]]))

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """As for the general kernel, of which this is a special case."""
        plain = Plain(self.setting)
        scale = np.exp(plain.offset - self.offset)
        return plain.scored(coefficients) * scale
