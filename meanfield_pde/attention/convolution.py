"""No encoding or a rotary one, with a kernel that is a function of x − y: diagonal in the eigenbasis of Δ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import NOISE, Setting, Sums
from meanfield_pde.attention.plain import Plain

if TYPE_CHECKING:
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
        space, mixed = self.setting.space, self._turned(self.mixed(coefficients))
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

    def _turned(self, mixed: FloatArray) -> FloatArray:
        """Rotate what was mixed into the frame of every query node."""
        angles = self.setting.attention.encoding.angles
        if angles is None:
            return mixed
        count = (len(angles), mixed.shape[1])
        return self.setting.space.rotate(np.broadcast_to(mixed, count), -angles)

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
