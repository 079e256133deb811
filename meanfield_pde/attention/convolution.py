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
