"""The prompt's part of a head: sums over fixed tokens, which never change with the densities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import LARGEST_EXPONENT

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.layer import Head, Prompt
    from meanfield_pde.attention.operators import Setting

__all__ = ["PromptSums", "prompt_keys", "prompt_sums", "queries"]


@dataclass(frozen=True)
class PromptSums:
    """ω ∫ e^{s − offset} dπ, its tangential vector, and ω ∫ s e^{s − offset} dπ, for every query."""

    offset: FloatArray
    total: FloatArray
    field: FloatArray
    scored: FloatArray

    def at(self, offset: FloatArray) -> PromptSums:
        """Return the same sums with another offset divided out."""
        scale = np.exp(self.offset - offset)
        return PromptSums(offset, scale * self.total, scale[..., None] * self.field, scale * self.scored)


def queries(setting: Setting) -> FloatArray:
    """Encode the grid points: queries u = E_z(x), (aux or 1, points, d)."""
    encoding, points = setting.attention.encoding, setting.space.points[None]
    if encoding.angles is not None:
        points = points @ np.swapaxes(setting.space.rotations(encoding.angles), 1, 2)
    return points if encoding.shifts is None else points + encoding.shifts[:, None]


def prompt_keys(setting: Setting, prompt: Prompt) -> tuple[FloatArray, FloatArray]:
    """Keys (aux or 1, tokens, d) of the prompt tokens and their bias (aux or 1, tokens)."""
    keys, bias = prompt.points, np.zeros((1, prompt.weights.size))
    if prompt.positions is not None:
        bias = setting.head.bias.log_weights(setting.attention.auxiliary.nodes, prompt.positions)
        if prompt.encoding.angles is not None:
            keys = np.einsum("kde,zke->zkd", setting.space.rotations(prompt.encoding.angles), keys)
        if prompt.encoding.shifts is not None:
            keys = keys + prompt.encoding.shifts
    return keys, bias


def prompt_sums(setting: Setting, prompt: Prompt) -> PromptSums:
    """Sum over the prompt's tokens, with their share ω of the mass."""
    keys, bias = prompt_keys(setting, prompt)
    inner = queries(setting) @ setting.head.metric.T @ np.swapaxes(keys, 1, 2)
    score = _scores(setting.head, inner) + bias[:, None, :]
    offset = score.max(axis=-1)
    offset = np.where(np.isfinite(offset), offset, -LARGEST_EXPONENT)  # a bias may hide the whole prompt
    weight = prompt.fraction * prompt.weights * np.exp(score - offset[..., None])
    vector = weight @ _values(setting, keys, prompt.points)
    return PromptSums(
        offset,
        weight.sum(axis=-1),
        np.einsum("ipd,zid->zip", setting.projection, vector),
        (weight * np.where(np.isfinite(score), score, 0.0)).sum(axis=-1),
    )


def _scores(head: Head, inner: FloatArray) -> FloatArray:
    if head.kernel is None:
        return head.beta * inner
    with np.errstate(divide="ignore"):
        return np.log(head.kernel(inner))


def _values(setting: Setting, keys: FloatArray, tokens: FloatArray) -> FloatArray:
    """Values v: keys rotated back by E_z⁻¹, or bare tokens, (aux or 1, tokens, d)."""
    if not setting.encoded:
        return tokens
    angles = setting.attention.encoding.angles
    return keys if angles is None else keys @ setting.space.rotations(angles)
