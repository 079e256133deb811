r"""Attention operators: analyse → mix → synthesise.

With ξ = β B E_z(x), B = KᵀQ, one head needs, at every grid point x and node z,

.. math:: G = \sum_\zeta w_\zeta e^{b(z,\zeta)} \int e^{\langle\xi, E_\zeta(y)\rangle} \rho_\zeta(y)\,dy

and the same integral with the value v inside. Each operator returns them divided by e^{offset}, where
offset(z, x) is (a bound of) the largest exponent of that query: nothing overflows, and the largest term
of every query is near one, so that truncation is relative to it.

Only mixing couples nodes. What follows is done for blocks of query nodes, each of which stays in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from meanfield_pde.parallel import each
from meanfield_pde.spaces.base import transposable

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.layer import Attention, Head
    from meanfield_pde.attention.mixers import Mixer
    from meanfield_pde.spaces import Space
    from meanfield_pde.spaces.base import Transposable
    from solvers.compiled import Tables

__all__ = ["LARGEST_EXPONENT", "Compilable", "Operator", "Setting", "Sums", "assembled"]

#: Normalisers below this share of the largest kernel entry are rounding noise of the density's coefficients.
NOISE = 1e-16
#: Modes of ρ are dropped once their weight falls below this share of the largest (rounding error).
MODE_TOLERANCE = 1e-17
#: Exponents above this overflow where they are not divided out.
LARGEST_EXPONENT = 690.0


@dataclass(frozen=True)
class Sums:
    """∫ e^{s − offset} df, (aux or 1, points), and its tangential vector V∫ e^{s − offset} v df."""

    total: FloatArray
    field: FloatArray


def assembled(block: Callable[[slice], Sums], count: int) -> Sums:
    """Join the sums of blocks that make up so many query nodes."""
    parts = each(block, count)
    if len(parts) == 1:
        return parts[0]
    return Sums(np.concatenate([one.total for one in parts]), np.concatenate([one.field for one in parts]))


class Operator(Protocol):
    """One head on one grid."""

    @property
    def offset(self) -> FloatArray:
        """Exponent divided out of every query, (aux or 1, points)."""

    @property
    def largest(self) -> FloatArray:
        """Largest exponent that a query may meet, (aux or 1, points), where ``offset`` is but a bound."""

    def sums(self, coefficients: FloatArray) -> Sums:
        """Sum over all keys for the densities with these coefficients, (aux, coefficients)."""

    def block_sums(self, coefficients: FloatArray) -> Callable[[slice], Sums]:
        """Sum for blocks of query nodes; where all share the sums, their one row for any block."""

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """∫ s e^{s − offset} df, (aux or 1, points): what the attention entropy needs."""

    @property
    def shared(self) -> bool:
        """Whether all query nodes see the same sums, of which there is but one row then."""

    def transposed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """Transpose of ``sums`` under plain dot products, (aux, coefficients).

        Takes what multiplies its total (None for zero), (aux or 1, points), and its field,
        (aux or 1, points, d − 1), with the rows that ``sums`` gives: where there is one that all query nodes
        share, the sum over them.
        """


@runtime_checkable
class Compilable(Protocol):
    """An operator that a compiled rate may serve."""

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:
        """Name and tables of the compiled rate, None where it does not cover the case."""


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

    def raised(self, low: FloatArray, weights: FloatArray | float = 1.0) -> FloatArray:
        """Transpose of ``low`` times weights: leading coefficients (aux or 1, …), zeros beyond them."""
        result = np.zeros((len(self.weights), self.space.eigenvalues.size))
        np.multiply(low, weights, out=result[:, : low.shape[1]])
        return result

    @cached_property
    def transposes(self) -> Transposable:
        """Transposes of the transforms of the space."""
        return transposable(self.space)

    def degree(self, exponent: float) -> int:
        """Degree that a kernel of this exponent feels, at most that of the grid."""
        wanted = self.space.degree(exponent, MODE_TOLERANCE)
        while wanted > 1 and self.space.width(wanted) > self.space.eigenvalues.size:
            wanted -= 1
        return wanted
