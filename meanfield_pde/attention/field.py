"""The attention layer on a grid: heads and prompt together, from densities to velocities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.choose import KERNEL_TOLERANCE, operator
from meanfield_pde.attention.operators import Operator, Setting
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.layer import Attention, Head
    from meanfield_pde.spaces import Space

__all__ = ["AttentionField", "HeadField", "HeadSums", "prompt_keys", "queries"]

#: Normalisers below this share of the largest kernel entry are rounding noise of the density's coefficients.
NOISE = 1e-16
#: Exponents above this overflow in unnormalised attention.
LARGEST_EXPONENT = 690.0


@dataclass(frozen=True)
class HeadSums:
    """∫ e^{s − offset} dm and its tangential vector; ``offset`` is (aux or 1, points)."""

    offset: FloatArray
    total: FloatArray
    field: FloatArray


@dataclass(frozen=True)
class HeadField:
    """One head with its share of the prompt."""

    setting: Setting
    operator: Operator

    @cached_property
    def prompted(self) -> HeadSums | None:
        """Sums over the prompt tokens (they never change), None without prompt."""
        prompt = self.setting.attention.prompt
        return None if prompt is None or prompt.fraction == 0.0 else prompt_sums(self.setting)

    @cached_property
    def offset(self) -> FloatArray:
        """Exponent divided out of every query: the larger of the tokens' and the prompt's."""
        own = self.operator.offset
        return own if self.prompted is None else np.maximum(own, self.prompted.offset)

    @cached_property
    def _scales(self) -> tuple[FloatArray, FloatArray]:
        share = self.setting.attention.density_share
        assert self.prompted is not None  # noqa: S101 - only asked for with a prompt
        return share * np.exp(self.operator.offset - self.offset), np.exp(self.prompted.offset - self.offset)

    def sums(self, coefficients: FloatArray) -> HeadSums:
        """Sum over tokens and prompt, divided by e^{offset}."""
        own = self.operator.sums(coefficients)
        if self.prompted is None:
            return HeadSums(self.offset, own.total, own.field)
        mine, theirs = self._scales
        return HeadSums(
            self.offset,
            mine * own.total + theirs * self.prompted.total,
            mine[..., None] * own.field + theirs[..., None] * self.prompted.field,
        )

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """∫ s e^{s − offset} dm, tokens and prompt."""
        own = self.operator.scored(coefficients)
        if self.prompted is None:
            return own
        mine, theirs = self._scales
        return mine * own + theirs * prompt_scored(self.setting)


@dataclass(frozen=True)
class AttentionField:
    """Attention of a layer on one grid: V[f](x, z) from the coefficients of the densities.

    Raises
    ------
    InputError
        When unnormalised attention would overflow.
    """

    space: Space
    attention: Attention
    tolerance: float = KERNEL_TOLERANCE

    @cached_property
    def heads(self) -> tuple[HeadField, ...]:
        """Operators of all heads, chosen for this grid."""
        settings = [Setting(self.space, self.attention, head) for head in self.attention.heads]
        fields = tuple(HeadField(setting, operator(setting, self.tolerance)) for setting in settings)
        largest = max(float(field.offset.max()) for field in fields)
        if self.attention.normalization == "none" and largest > LARGEST_EXPONENT:
            raise InputError(
                f"[attention] beta: unnormalised attention overflows, its largest exponent is {largest:.4g} "
                f"(at most {LARGEST_EXPONENT:g}); lower beta or use normalization = 'softmax'"
            )
        return fields

    def velocity(self, coefficients: FloatArray) -> FloatArray:
        """Tangential components V[f], (aux or 1, points, d − 1)."""
        return np.asarray(sum(self._head_velocity(head, coefficients) for head in self.heads))

    def _head_velocity(self, head: HeadField, coefficients: FloatArray) -> FloatArray:
        sums = head.sums(coefficients)
        if self.attention.normalization == "none":
            return sums.field * np.exp(sums.offset)[..., None]
        # Below the noise of the coefficients the sign of the normaliser is unknown, and so is the field;
        # there the density itself is below rounding error, and the bound keeps the velocity finite.
        return sums.field / np.maximum(sums.total, NOISE)[..., None]


def queries(setting: Setting) -> FloatArray:
    """Encode the grid points: queries u = E_z(x), (aux or 1, points, d)."""
    encoding, points = setting.attention.encoding, setting.space.points[None]
    if encoding.angles is not None:
        points = points @ np.swapaxes(setting.space.rotations(encoding.angles), 1, 2)
    return points if encoding.shifts is None else points + encoding.shifts[:, None]


def prompt_keys(setting: Setting) -> tuple[FloatArray, FloatArray]:
    """Keys (aux or 1, tokens, d) of the prompt tokens and their bias (aux or 1, tokens)."""
    attention, head = setting.attention, setting.head
    prompt = attention.prompt
    assert prompt is not None  # noqa: S101 - only asked for with a prompt
    keys, extra = prompt.points, np.zeros((1, prompt.weights.size))
    if prompt.positions is not None:
        extra = head.bias.log_weights(attention.auxiliary.nodes, prompt.positions)
        if prompt.encoding.angles is not None:
            keys = np.einsum("kde,zke->zkd", setting.space.rotations(prompt.encoding.angles), keys)
        if prompt.encoding.shifts is not None:
            keys = keys + prompt.encoding.shifts
    return keys, extra


def _prompt_scores(setting: Setting) -> tuple[FloatArray, FloatArray]:
    """Scores (aux or 1, points, tokens) and keys (aux or 1, tokens, d) of the prompt tokens."""
    keys, extra = prompt_keys(setting)
    inner = queries(setting) @ setting.head.metric.T @ np.swapaxes(keys, 1, 2)
    return _weighted(setting.head, inner) + extra[:, None, :], keys


def _weighted(head: Head, inner: FloatArray) -> FloatArray:
    if head.kernel is None:
        return head.beta * inner
    with np.errstate(divide="ignore"):
        return np.log(head.kernel(inner))


def prompt_sums(setting: Setting) -> HeadSums:
    """Sum over the prompt's tokens, with their share ω of the mass."""
    prompt = setting.attention.prompt
    assert prompt is not None  # noqa: S101 - only asked for with a prompt
    score, keys = _prompt_scores(setting)
    offset = score.max(axis=-1)
    offset = np.where(np.isfinite(offset), offset, -LARGEST_EXPONENT)  # a bias may hide the whole prompt
    weight = prompt.fraction * prompt.weights * np.exp(score - offset[..., None])
    value = _values(setting, keys, prompt.points)
    vector = weight @ value
    return HeadSums(offset, weight.sum(axis=-1), np.einsum("ipd,zid->zip", setting.projection, vector))


def _values(setting: Setting, keys: FloatArray, tokens: FloatArray) -> FloatArray:
    """Values v: keys rotated back by E_z⁻¹, or bare tokens, (aux or 1, tokens, d)."""
    if not setting.encoded:
        return tokens
    angles = setting.attention.encoding.angles
    return keys if angles is None else keys @ setting.space.rotations(angles)


def prompt_scored(setting: Setting) -> FloatArray:
    """∫ s e^{s − offset} over the prompt's share, with the offset of ``prompt_sums``."""
    prompt = setting.attention.prompt
    assert prompt is not None  # noqa: S101 - only asked for with a prompt
    score, _ = _prompt_scores(setting)
    offset = prompt_sums(setting).offset
    weight = prompt.fraction * prompt.weights * np.exp(score - offset[..., None])
    return np.asarray((weight * np.where(np.isfinite(score), score, 0.0)).sum(axis=-1))
