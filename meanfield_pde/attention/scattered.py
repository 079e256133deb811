"""Attention between scattered tokens: analyse atoms → mix on a grid → interpolate to the tokens.

The integrals ∫e^s dm of a query are entire functions of its place, and the kernel feels only low modes of the
tokens: both fit on a small grid, whatever the tokens do. The operators are those of the densities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import NOISE
from meanfield_pde.attention.pairs import Pairs

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.field import AttentionField, HeadField
    from meanfield_pde.attention.layer import Attention, Head
    from meanfield_pde.spaces import Space
    from meanfield_pde.spaces.base import Atoms

__all__ = ["ScatteredField", "kernel_space", "largest_exponent"]

#: Error of interpolation, relative to the largest value nearby.
INTERPOLATION = 1e-15
#: Queries whose normaliser is below this, relative to the largest term that is possible, are summed pair by pair.
HIDDEN = 1e-4
#: So few tokens are summed pair by pair: it is quicker then, and exact to rounding error.
FEW = 128
#: Largest grid on which a kernel of one's own is tried.
FINEST = 2**13


def kernel_space(space: Space, attention: Attention) -> Space:
    """Coarsest space of this kind on which all integrals of all heads are resolved and can be interpolated."""
    resolutions = [_resolution(space, attention, head) for head in attention.heads]
    return space.resized(max(resolutions))


def _resolution(space: Space, attention: Attention, head: Head) -> int:
    if head.kernel is not None:
        return _sampled_resolution(space, head)
    return space.interpolation_resolution(largest_exponent(attention, head), INTERPOLATION)


def largest_exponent(attention: Attention, head: Head) -> float:
    """Largest |ξ| = |βB E_z(x)| of a query."""
    shifts = attention.encoding.shifts
    longest = 1.0 if shifts is None else 1.0 + float(np.linalg.norm(shifts, axis=1).max())
    return head.beta * float(np.linalg.norm(head.metric, 2)) * longest


def _sampled_resolution(space: Space, head: Head) -> int:
    """Four times the degree of κ(⟨Q x, K y⟩) as a function of either argument, by sampling."""
    points = space.resized(FINEST).points
    keys = points[:: FINEST // 8] @ head.key.T
    queries = points[:: FINEST // 8] @ head.query.T
    assert head.kernel is not None
    values = np.concatenate([
        np.asarray(head.kernel((points @ head.query.T) @ keys.T)).T,
        np.asarray(head.kernel((points @ head.key.T) @ queries.T)).T,
    ])
    spectrum = np.abs(space.resized(FINEST).analyse(values))
    large = np.flatnonzero((spectrum > 1e-14 * spectrum.max()).any(axis=0))
    degree = int(np.sqrt(space.resized(FINEST).eigenvalues[large[-1]])) + 1
    return space.resized(8).at_least(4 * degree).resolution


@dataclass(frozen=True)
class ScatteredField:
    """V[f] + F at tokens, for laws f that are sums of atoms.

    Parameters
    ----------
    field
        Attention on a grid that ``kernel_space`` gives.
    drift
        F on the same grid, (points, d − 1), or None.
    """

    field: AttentionField
    drift: FloatArray | None

    @property
    def space(self) -> Space:
        """The grid."""
        return self.field.space

    @cached_property
    def _pairs(self) -> tuple[Pairs | None, ...]:
        return tuple(
            None if head.setting.head.kernel is not None else Pairs(head.setting) for head in self.field.heads
        )

    def velocity(self, atoms: Atoms) -> FloatArray:
        """Tangential velocity of every atom, (atoms, d − 1)."""
        few = atoms.masses.size <= FEW
        coefficients = None if few and None not in self._pairs else self.space.analyse_atoms(atoms)
        frame = self.space.frame_at(atoms.places)
        velocity = np.zeros(frame.shape[:2])
        for head, pairs in zip(self.field.heads, self._pairs, strict=True):
            if few and pairs is not None:
                velocity += self._paired(pairs, atoms, np.arange(atoms.masses.size), frame)
            else:
                assert coefficients is not None
                velocity += self._head_velocity(head, pairs, coefficients, atoms, frame)
        if self.drift is not None:
            velocity += self.space.interpolate(self.drift.T, atoms)[:, None]
        return velocity

    def _paired(self, pairs: Pairs, atoms: Atoms, chosen: IntArray, frame: FloatArray) -> FloatArray:
        """Velocity of the chosen atoms by a head, pair by pair."""
        sums = pairs.sums(atoms, chosen)
        scale = np.exp(sums.offset) if self._unnormalised else 1.0 / sums.total
        return np.einsum("npd,nd->np", frame[chosen], scale[:, None] * sums.vector)

    @property
    def _unnormalised(self) -> bool:
        return self.field.attention.normalization == "none"

    def _head_velocity(
        self, head: HeadField, pairs: Pairs | None, coefficients: FloatArray, atoms: Atoms, frame: FloatArray
    ) -> FloatArray:
        """Velocity by a head through the grid."""
        sums = head.sums(coefficients)
        shape = (*sums.field.shape[:2], 1)
        joined = np.concatenate([np.broadcast_to(sums.total[..., None], shape), sums.field], axis=2)
        values, reference = self.space.interpolate_scaled(joined, sums.offset, atoms)
        total, velocity = values[:, 0], values[:, 1:]
        possible = self._possible(head, atoms)
        if self._unnormalised:
            scale = np.exp(reference)
            velocity = velocity * scale[:, None]
            hidden = possible * scale * HIDDEN > (total * scale).max()
        else:
            hidden = ~(total > possible * HIDDEN)
            velocity = velocity / np.where(total > 0.0, total, 1.0)[:, None]
        chosen = np.flatnonzero(hidden)
        if chosen.size and pairs is not None:
            velocity[chosen] = self._paired(pairs, atoms, chosen, frame)
        return np.asarray(velocity)

    def _possible(self, head: HeadField, atoms: Atoms) -> FloatArray:
        """Largest sum that each query may meet, (atoms,) or (1,): its rounding error is relative to this."""
        largest = head.floor / NOISE
        return largest.ravel() if largest.size == 1 else self.space.interpolate(largest, atoms)
