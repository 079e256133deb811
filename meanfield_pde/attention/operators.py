r"""Attention operators: analyse → mix → synthesise.

With ξ = β B E_z(x), B = KᵀQ, one head needs, at every grid point x and node z,

.. math:: G = \sum_\zeta w_\zeta e^{b(z,\zeta)} \int e^{\langle\xi, E_\zeta(y)\rangle} \rho_\zeta(y)\,dy

and the same integral with the value v inside. Each operator returns them divided by e^{offset}, where
offset(z, x) is (a bound of) the largest exponent of that query: nothing overflows, and the largest term
of every query is near one, so that truncation is relative to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.attention.bias import Mixer
    from meanfield_pde.attention.layer import Attention, Head
    from meanfield_pde.spaces import Space
    from solvers.compiled import Tables

__all__ = ["Convolution", "Operator", "Plain", "Setting", "Sums"]

#: Modes of ρ are dropped once their weight falls below this share of the largest (rounding error).
MODE_TOLERANCE = 1e-17


@dataclass(frozen=True)
class Sums:
    """∫ e^{s − offset} df, (aux or 1, points), and its tangential vector V∫ e^{s − offset} v df."""

    total: FloatArray
    field: FloatArray


class Operator(Protocol):
    """One head on one grid."""

    @property
    def offset(self) -> FloatArray:
        """Exponent divided out of every query, (aux or 1, points)."""

    def sums(self, coefficients: FloatArray) -> Sums:
        """Sum over all keys for the densities with these coefficients, (aux, coefficients)."""

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """∫ s e^{s − offset} df, (aux or 1, points): what the attention entropy needs."""

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:
        """Name and tables of the compiled rate that serves this operator, None where none does."""


@dataclass(frozen=True)
class Setting:
    """One head of an attention layer on one grid."""

    space: Space
    attention: Attention
    head: Head

    @cached_property
    def mixer(self) -> Mixer:
        """Mixing over the key nodes."""
        return self.head.bias.mixer(self.attention.auxiliary.nodes)

    @property
    def weights(self) -> FloatArray:
        """Weights of the key nodes, as a column."""
        return self.attention.auxiliary.weights[:, None]

    @property
    def metric(self) -> FloatArray:
        """β B."""
        return self.head.beta * self.head.metric

    @property
    def encoded(self) -> bool:
        """Whether values are encoded tokens."""
        return self.attention.values == "encoded"

    @property
    def projection(self) -> FloatArray:
        """Vᵀ applied to the tangent frame, (points, d − 1, d)."""
        return self.space.frame @ self.head.value

    def low(self, coefficients: FloatArray, degree: int) -> FloatArray:
        """Leading coefficients, up to the degree that the kernel feels (or as many as there are)."""
        return coefficients[..., : self.space.width(degree)]

    def degree(self, exponent: float) -> int:
        """Degree that a kernel of this exponent feels, at most that of the grid."""
        wanted = self.space.degree(exponent, MODE_TOLERANCE)
        while wanted > 1 and self.space.width(wanted) > self.space.eigenvalues.size:
            wanted -= 1
        return wanted


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
        exponent = np.linalg.norm(self.setting.metric @ self.setting.space.points[0])
        return np.asarray(exponent + self.setting.mixer.peak)

    def sums(self, coefficients: FloatArray) -> Sums:
        """Rotate, mix, multiply, rotate back."""
        mixed = self.mixed(coefficients)
        total = self._returned(mixed, self.multipliers)
        return Sums(total, self._returned(mixed, self.field_multipliers)[..., None])

    def mixed(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients, in the rotating frame, of the measure that each node attends to."""
        setting = self.setting
        low = setting.weights * coefficients[:, : 2 * self.multipliers.size]
        angles = setting.attention.encoding.angles
        if angles is not None:
            low = setting.space.rotate(low, angles)
        return setting.mixer.mix(low)

    def _returned(self, mixed: FloatArray, multipliers: ComplexArray) -> FloatArray:
        space, angles = self.setting.space, self.setting.attention.encoding.angles
        result = space.apply_multipliers(mixed, multipliers)
        if angles is not None:
            result = space.rotate(np.broadcast_to(result, (angles.size, result.shape[1])), -angles)
        return space.synthesise(result)

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:
        """Node weights, multipliers of the field and (softmax) of the normaliser."""
        if self.setting.attention.encoding.is_rotated or not self.setting.mixer.shared:
            return None
        scale = 1.0 if softmax else float(np.exp(self.offset).max())
        field = scale * np.stack([self.field_multipliers.real, self.field_multipliers.imag])
        normaliser = np.stack([self.multipliers.real, self.multipliers.imag]) if softmax else np.empty((2, 0))
        return "convolution", (self.setting.weights.T, field, normaliser)

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """As for the general kernel, of which this is a special case."""
        plain = Plain(self.setting)
        scale = np.exp(plain.offset - self.offset)
        return plain.scored(coefficients) * scale


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
        return np.asarray(np.linalg.norm(self._exponents, axis=-1))

    @cached_property
    def _degree(self) -> int:
        return self.setting.degree(float(self._length.max()))

    @cached_property
    def offset(self) -> FloatArray:
        """|ξ| + peak of the bias."""
        return np.asarray(self._length + self.setting.mixer.peak)

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
        rotated = self._rotated(coefficients)
        mixed = self.setting.mixer.mix(rotated)
        total = self._apply(self._waves, mixed)
        if self.setting.encoded or not self.setting.attention.encoding.is_rotated:
            field = self._apply(self._fields, mixed)
            return Sums(total, field.reshape(*total.shape, -1))
        return Sums(total, self._bare_field(rotated))

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
    def _apply(table: FloatArray, mixed: FloatArray) -> FloatArray:
        """Rows of a table (aux or 1, rows, c) times mixed coefficients (aux or 1, c)."""
        if table.shape[0] == 1:
            return np.asarray(mixed @ table[0].T)
        return np.asarray((table @ mixed[..., None])[..., 0])

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:  # noqa: ARG002
        """No compiled rate."""
        return None

    def _bare_field(self, rotated: FloatArray) -> FloatArray:
        """Values are bare tokens y = R(ωζ)⁻¹ w: each component of the rotation is mixed by itself."""
        back = np.swapaxes(self._rotations, 1, 2)
        dimension = back.shape[1]
        features = (back.reshape(len(back), -1, 1) * rotated[:, None, :]).reshape(len(rotated), -1)
        mixed = self.setting.mixer.mix(features)
        mixed = mixed.reshape(mixed.shape[0], dimension, -1)
        flat = self._gradients.reshape(*self._gradients.shape[:2], -1)
        vector = flat @ np.swapaxes(mixed, 1, 2)
        return np.asarray(np.einsum("ipd,zid->zip", self.setting.projection, vector))
