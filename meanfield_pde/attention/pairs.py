"""Attention between scattered tokens, pair by pair: for few, and for queries that see no key of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.kernels import pair_sums
from meanfield_pde.attention.prompt import prompt_keys

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.layer import Prompt
    from meanfield_pde.attention.operators import Setting
    from meanfield_pde.spaces import Atoms

__all__ = ["PairSums", "Pairs"]

#: Pairs that are held at once.
BLOCK = 2**22


@dataclass(frozen=True)
class PairSums:
    """∫ e^{s − offset} dm and ∫ e^{s − offset} V v dm of chosen tokens, (chosen,), (chosen,), (chosen, d)."""

    offset: FloatArray
    total: FloatArray
    vector: FloatArray


@dataclass(frozen=True)
class Pairs:
    """One head between all tokens, without any truncation."""

    setting: Setting

    @cached_property
    def _rotations(self) -> FloatArray | None:
        angles = self.setting.attention.encoding.angles
        return None if angles is None else self.setting.space.rotations(angles)

    @cached_property
    def _prompt_keys(self) -> tuple[FloatArray, FloatArray]:
        return (np.empty(0), np.empty(0)) if self._prompt is None else prompt_keys(self.setting, self._prompt)

    @property
    def _prompt(self) -> Prompt | None:
        prompt = self.setting.attention.prompt
        return None if prompt is None or prompt.fraction == 0.0 else prompt

    def sums(self, atoms: Atoms, chosen: IntArray) -> PairSums:
        """Sum over all tokens and the prompt, for the chosen tokens."""
        size = max(1, BLOCK // max(1, atoms.masses.size))
        parts = [self._block(atoms, chosen[first : first + size]) for first in range(0, chosen.size, size)]
        return PairSums(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _block(self, atoms: Atoms, chosen: IntArray) -> tuple[FloatArray, ...]:
        setting, rows = self.setting, atoms.rows
        tokens = setting.space.embed(atoms.places)
        keys = self._encoded(tokens, rows)
        mass = setting.attention.density_share * setting.attention.auxiliary.weights[rows] * atoms.masses
        values = keys if setting.encoded else tokens
        queries = keys[chosen] @ setting.metric.T
        offset, total, vector = pair_sums(queries, keys, values, mass, self._bias(rows, rows[chosen]))
        if self._prompt is not None:
            prompted = self._prompted(self._prompt, queries, rows[chosen])
            offset, total, vector = _joined((offset, total, vector), prompted)
        if setting.encoded and self._rotations is not None:
            vector = np.einsum("ned,ne->nd", self._rotations[rows[chosen]], vector)
        return offset, total, vector @ setting.head.value.T

    def _encoded(self, tokens: FloatArray, rows: IntArray) -> FloatArray:
        shifts = self.setting.attention.encoding.shifts
        if self._rotations is not None:
            tokens = np.einsum("nde,ne->nd", self._rotations[rows], tokens)
        return tokens if shifts is None else tokens + shifts[rows]

    def _bias(self, rows: IntArray, chosen: IntArray) -> FloatArray:
        nodes = self.setting.attention.auxiliary.nodes
        if self.setting.mixer.shared:
            return np.zeros((1, rows.size))
        own, place = np.unique(chosen, return_inverse=True)
        table = self.setting.head.bias.log_weights(nodes[own], nodes)
        return np.ascontiguousarray(table[place][:, rows])

    def _prompted(self, prompt: Prompt, queries: FloatArray, rows: IntArray) -> tuple[FloatArray, ...]:
        """Sum over the prompt tokens: they are few."""
        keys, bias = (part[rows if len(part) > 1 else np.zeros_like(rows)] for part in self._prompt_keys)
        values = keys
        if not self.setting.encoded:
            values = prompt.points[rows if len(prompt.points) > 1 else np.zeros_like(rows)]
        score = np.einsum("nd,nkd->nk", queries, keys) + bias
        offset = score.max(axis=1)
        finite = np.where(np.isfinite(offset), offset, 0.0)
        weight = prompt.fraction * prompt.weights * np.exp(score - finite[:, None])
        return offset, weight.sum(axis=1), np.einsum("nk,nkd->nd", weight, values)


def _joined(first: tuple[FloatArray, ...], second: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
    """Add sums over two sets of keys, brought to the larger offset."""
    offset = np.maximum(first[0], second[0])
    scales = [np.exp(part[0] - offset) for part in (first, second)]
    total = scales[0] * first[1] + scales[1] * second[1]
    return offset, total, scales[0][:, None] * first[2] + scales[1][:, None] * second[2]
