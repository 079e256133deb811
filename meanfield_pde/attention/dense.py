"""The definition as an operator, for heads with a kernel of their own: any kernel, any encoding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import Setting, Sums
from meanfield_pde.attention.reference import pair_sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense:
    """Dense sums over all pairs (N_x N_z)²; the prompt is left to the layer."""

    setting: Setting

    @cached_property
    def offset(self) -> FloatArray:
        """Largest exponent of each query; it does not depend on the densities."""
        uniform = np.tile(self.setting.space.uniform(), (self.setting.weights.size, 1))
        return self._pairs(uniform)[0]

    @property
    def largest(self) -> FloatArray:
        """The offset itself."""
        return self.offset

    def _pairs(self, coefficients: FloatArray) -> tuple[FloatArray, ...]:
        attention = replace(self.setting.attention, prompt=None)
        sums = pair_sums(
            self.setting.space, attention, self.setting.head, self.setting.space.synthesise(coefficients)
        )
        return sums.offset, sums.total, sums.vector, sums.scored

    def sums(self, coefficients: FloatArray) -> Sums:
        """By the definition."""
        _, total, vector, _ = self._pairs(coefficients)
        return Sums(total, np.einsum("ipd,zid->zip", self.setting.projection, vector))

    def block_sums(self, coefficients: FloatArray) -> Callable[[slice], Sums]:
        """Cut ``sums``: pairs couple all nodes."""
        sums = self.sums(coefficients)
        return lambda rows: Sums(sums.total[rows], sums.field[rows])

    shared = False

    @cached_property
    def _matrix(self) -> FloatArray:
        """Sums of every coefficient, (aux · coefficients, aux · points · d): totals, then fields."""
        shape = (self.setting.weights.size, self.setting.space.eigenvalues.size)
        columns = (self.sums(unit.reshape(shape)) for unit in np.eye(shape[0] * shape[1]))
        return np.stack([np.concatenate([sums.total.ravel(), sums.field.ravel()]) for sums in columns])

    def transposed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """By the matrix, whose columns are found one by one when it is first asked for: slow."""
        own = np.zeros(field.shape[:2]) if total is None else total
        flat = self._matrix @ np.concatenate([own.ravel(), field.ravel()])
        return np.asarray(flat.reshape(self.setting.weights.size, -1))

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """By the definition."""
        return self._pairs(coefficients)[3]
