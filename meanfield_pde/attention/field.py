"""The attention layer on a grid: heads and prompt together, from densities to velocities."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.choose import KERNEL_TOLERANCE, operator
from meanfield_pde.attention.operators import LARGEST_EXPONENT, NOISE, Operator, Setting, Sums
from meanfield_pde.attention.prompt import PromptSums, prompt_sums
from meanfield_pde.errors import InputError
from meanfield_pde.parallel import EVERY, each, own

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.layer import Attention
    from meanfield_pde.spaces import Space

__all__ = ["AttentionField", "HeadField", "HeadSums"]


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
    def prompted(self) -> PromptSums | None:
        """Sums over the prompt tokens (they never change), None without prompt."""
        prompt = self.setting.attention.prompt
        return None if prompt is None or prompt.fraction == 0.0 else prompt_sums(self.setting, prompt)

    @cached_property
    def offset(self) -> FloatArray:
        """Exponent divided out of every query: the larger of the tokens' and the prompt's."""
        offset = self.operator.offset
        return offset if self.prompted is None else np.maximum(offset, self.prompted.offset)

    @cached_property
    def floor(self) -> FloatArray:
        """Normalisers below this are rounding noise, (aux or 1, points)."""
        return np.asarray(NOISE * np.exp(self.operator.largest - self.offset))

    @cached_property
    def _joined(self) -> tuple[FloatArray, PromptSums] | None:
        """Factor of the tokens' sums and the sums of the prompt, both at the common offset."""
        if self.prompted is None:
            return None
        share = self.setting.attention.density_share * np.exp(self.operator.offset - self.offset)
        return share, self.prompted.at(self.offset)

    @property
    def shared(self) -> bool:
        """Whether all query nodes see the same sums, of which there is but one row then."""
        return self.operator.shared and len(self.offset) == 1

    def token_sums(self, coefficients: FloatArray) -> HeadSums:
        """Sum over the tokens alone, divided by e^{offset}: linear in the coefficients."""
        return self._weighed(self.operator.sums(coefficients), EVERY)

    def _weighed(self, sums: Sums, rows: slice) -> HeadSums:
        """Bring the operator's sums for a block of query nodes to the common offset."""
        offset = own(self.offset, rows)
        if self._joined is None:
            return HeadSums(offset, sums.total, sums.field)
        share = own(self._joined[0], rows)
        return HeadSums(offset, share * sums.total, share[..., None] * sums.field)

    def transposed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """Transpose of ``token_sums``, as of ``Operator.sums``: (aux, coefficients)."""
        if self._joined is not None:
            share = self._joined[0]
            total, field = None if total is None else share * total, share[..., None] * field
        if self.operator.shared and len(field) > 1:  # the prompt has a row for every node
            total = None if total is None else total.sum(axis=0, keepdims=True)
            field = field.sum(axis=0, keepdims=True)
        return self.operator.transposed(total, field)

    def sums(self, coefficients: FloatArray) -> HeadSums:
        """Sum over tokens and prompt, divided by e^{offset}."""
        return self._completed(self.operator.sums(coefficients), EVERY)

    def block_sums(self, coefficients: FloatArray) -> Callable[[slice], HeadSums]:
        """Sum over tokens and prompt for blocks of query nodes."""
        sums = self.operator.block_sums(coefficients)
        return lambda rows: self._completed(sums(rows), rows)

    def _completed(self, sums: Sums, rows: slice) -> HeadSums:
        """Add the prompt to the operator's sums for a block of query nodes."""
        found = self._weighed(sums, rows)
        if self._joined is None:
            return found
        prompted = self._joined[1]
        return HeadSums(
            found.offset,
            found.total + own(prompted.total, rows),
            found.field + own(prompted.field, rows),
        )

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """∫ s e^{s − offset} dm, tokens and prompt."""
        scored = self.operator.scored(coefficients)
        if self._joined is None:
            return scored
        share, prompted = self._joined
        return share * scored + prompted.scored


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
        velocity = self.block_velocity(coefficients)
        return velocity(EVERY) if self._shared else np.concatenate(each(velocity, len(coefficients)))

    @cached_property
    def _shared(self) -> bool:
        """Whether all nodes see the same velocity."""
        return all(head.shared for head in self.heads)

    def block_velocity(self, coefficients: FloatArray) -> Callable[[slice], FloatArray]:
        """Tangential components V[f] at blocks of nodes, (block or 1, points, d − 1)."""
        sums = [head.block_sums(coefficients) for head in self.heads]

        def velocity(rows: slice) -> FloatArray:
            parts = [
                self.head_velocity(head, found(rows), rows)
                for head, found in zip(self.heads, sums, strict=True)
            ]
            return np.asarray(sum(parts[1:], parts[0]))

        if self._shared:
            same = velocity(EVERY)
            return lambda rows: same  # noqa: ARG005 - all see the same
        return velocity

    def head_velocity(self, head: HeadField, sums: HeadSums, rows: slice = EVERY) -> FloatArray:
        """Divide the sums of one head for a block of nodes, (block or 1, points, d − 1)."""
        if self.attention.normalization == "none":
            return sums.field * np.exp(sums.offset)[..., None]
        # Below the noise of the coefficients the sign of the normaliser is unknown, and so is the field;
        # there the density itself is below rounding error, and the bound keeps the velocity finite.
        return np.asarray(sums.field / np.maximum(sums.total, own(head.floor, rows))[..., None])
