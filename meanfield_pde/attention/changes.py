"""How velocities and potentials of densities change with the densities, to first order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.energies import linear_potential

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.field import AttentionField, HeadField, HeadSums

__all__ = ["FieldChange"]


@dataclass(frozen=True)
class FieldChange:
    r"""The derivative of V[f] and of Φ[f] at f, for changes δf of mass zero.

    .. math:: \delta V = \frac{\int e^s v\,d\delta m - V \int e^s\,d\delta m}{\int e^s\,dm}, \qquad
        \delta\Phi = \frac{1}{\beta}\,\frac{\int e^s\,d\delta m}{\int e^s\,dm}

    for softmax, and without the normaliser and the second term for unnormalised attention.

    Parameters
    ----------
    field, coefficients
        Attention on a grid, and the densities there, (aux, coefficients).
    """

    field: AttentionField
    coefficients: FloatArray

    @property
    def _softmax(self) -> bool:
        return self.field.attention.normalization == "softmax"

    @cached_property
    def _sums(self) -> tuple[HeadSums, ...]:
        return tuple(head.sums(self.coefficients) for head in self.field.heads)

    def velocity(self, change: FloatArray) -> FloatArray:
        """δV, (aux or 1, points, d − 1)."""
        parts = [
            self._head_velocity(head, sums, change)
            for head, sums in zip(self.field.heads, self._sums, strict=True)
        ]
        return np.asarray(sum(parts[1:], parts[0]))

    def _head_velocity(self, head: HeadField, sums: HeadSums, change: FloatArray) -> FloatArray:
        moved = head.token_sums(change)
        if not self._softmax:
            return moved.field * np.exp(moved.offset)[..., None]
        total = np.maximum(sums.total, head.floor)[..., None]
        by_total = moved.total * (sums.total >= head.floor)  # the floor itself does not change
        return np.asarray((moved.field - sums.field / total * by_total[..., None]) / total)

    def potential(self, change: FloatArray) -> FloatArray:
        """δΦ, (aux or 1, points), where there is a potential."""
        parts = [
            self._head_potential(head, sums, change)
            for head, sums in zip(self.field.heads, self._sums, strict=True)
        ]
        return np.asarray(sum(parts[1:], parts[0]))

    def _head_potential(self, head: HeadField, sums: HeadSums, change: FloatArray) -> FloatArray:
        beta = head.setting.head.beta
        if beta == 0.0:  # linear in f but for a constant, that of the shifts and of the prompt
            return linear_potential(head, self.coefficients + change) - linear_potential(
                head, self.coefficients
            )
        moved = head.token_sums(change)
        if not self._softmax:
            return moved.total * np.exp(moved.offset) / beta
        return moved.total / np.maximum(sums.total, head.floor) / beta
