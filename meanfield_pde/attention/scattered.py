"""Attention between scattered tokens: analyse atoms → mix on a grid → interpolate to the tokens.

The integrals ∫e^s dm of a query are entire functions of its place, and the kernel feels only low modes of the
tokens: both fit on a small grid, whatever the tokens do. The operators are those of the densities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.blocks import TokenHead
from meanfield_pde.attention.operators import MODE_TOLERANCE, NOISE
from meanfield_pde.attention.pairs import Pairs
from meanfield_pde.attention.rings import RingField, are_rings

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.field import AttentionField, HeadField
    from meanfield_pde.attention.layer import Attention, Head, Kernel
    from meanfield_pde.drift import Pointwise
    from meanfield_pde.spaces import Space
    from meanfield_pde.spaces.base import Atoms

__all__ = ["ScatteredField", "kernel_space", "largest_exponent"]

#: Error of interpolation relative to the largest value, and to the value itself where queries differ in
#: length: that of the shorter ones may be far smaller.
INTERPOLATION, NEARBY = 1e-15, 1e-12
#: Queries whose normaliser is below this, relative to the largest term possible, are summed pair by pair.
HIDDEN = 1e-4
#: So few tokens are summed pair by pair: it is quicker then, and exact to rounding error.
FEW = 80
#: Grid on which a kernel of one's own is tried, and its modes that count as rounding error there.
FINEST, SAMPLED = 2**12, 1e-14


def kernel_space(space: Space, attention: Attention) -> Space:
    """Coarsest space of this kind on which the integrals of all heads are resolved and interpolated."""
    resolutions = [_resolution(space, attention, head) for head in attention.heads]
    return space.resized(max(resolutions))


def _resolution(space: Space, attention: Attention, head: Head) -> int:
    if head.kernel is not None:
        return _sampled_resolution(space, attention, head, head.kernel)
    nearby = NEARBY if attention.encoding.is_shifted else np.inf
    return space.interpolation_resolution(largest_exponent(space, attention, head), INTERPOLATION, nearby)


def largest_exponent(space: Space, attention: Attention, head: Head) -> float:
    """Largest |ξ| = |βB E_z(x)| of a query."""
    shifts = attention.encoding.shifts
    longest = space.radius + (0.0 if shifts is None else float(np.linalg.norm(shifts, axis=1).max()))
    return head.beta * float(np.linalg.norm(head.metric, 2)) * longest


def _sampled_resolution(space: Space, attention: Attention, head: Head, kernel: Kernel) -> int:
    """Four times the degree of κ(⟨Q u, K w⟩) as a function of the token in u or in w, by sampling."""
    fine = space.resized(FINEST)
    shifts = attention.encoding.shifts
    shift = np.zeros((1, fine.points.shape[1])) if shifts is None else shifts[:: max(1, len(shifts) // 8)]
    others = (fine.points[:: FINEST // 8, None] + shift).reshape(-1, shift.shape[1])
    values = []
    for offset in shift:
        moving = fine.points + offset
        values.append(np.asarray(kernel((moving @ head.query.T) @ (others @ head.key.T).T)).T)
        values.append(np.asarray(kernel((moving @ head.key.T) @ (others @ head.query.T).T)).T)
    spectrum = np.abs(fine.analyse(np.concatenate(values)))
    large = np.flatnonzero((spectrum > SAMPLED * spectrum.max()).any(axis=0))
    degree = int(np.sqrt(fine.eigenvalues[large[-1]])) + 1
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
    pointwise
        F where it is known everywhere; else it is interpolated.
    """

    field: AttentionField
    drift: FloatArray | None
    pointwise: Pointwise | None = None

    @property
    def space(self) -> Space:
        """The grid."""
        return self.field.space

    @cached_property
    def rings(self) -> RingField | None:
        """The same between rings, where places stand for them."""
        return RingField(self.field, self.drift) if are_rings(self.space) else None

    @cached_property
    def _pairs(self) -> tuple[Pairs | None, ...]:
        return tuple(
            None if head.setting.head.kernel is not None else Pairs(head.setting) for head in self.field.heads
        )

    @cached_property
    def _degree(self) -> int | None:
        """Highest degree that any operator asks for, with the margin of skeletons; None if not known."""
        attention = self.field.attention
        if any(head.kernel is not None for head in attention.heads):
            return None
        largest = max(largest_exponent(self.space, attention, head) for head in attention.heads)
        return self.space.degree(1.1 * largest + 2.0, MODE_TOLERANCE)

    def velocity(self, atoms: Atoms) -> FloatArray:
        """Tangential velocity of every atom, (atoms, d − 1)."""
        if self.rings is not None:
            return self.rings.velocity(atoms)
        frame = None if self.space.fields_by == "frame" else self.space.frame_at(atoms.places)
        velocity = np.zeros((atoms.masses.size, self.space.frame.shape[1]))
        everyone = np.arange(atoms.masses.size)
        coefficients: FloatArray | None = None
        for head, pairs in zip(self.field.heads, self._pairs, strict=True):
            if pairs is not None and everyone.size <= FEW:
                velocity += self._paired(pairs, atoms, everyone)
                continue
            if coefficients is None:
                coefficients = self.space.analyse_atoms(atoms, self._degree)
            velocity += self._head_velocity(head, pairs, coefficients, atoms, frame)
        return velocity if self.drift is None else velocity + self.drift_at(atoms)

    def drift_at(self, atoms: Atoms) -> FloatArray:
        """F at every atom, (atoms, d − 1), zero without drift."""
        if self.rings is not None:
            return self.rings.drift_at(atoms.places)
        if self.drift is None:
            return np.zeros((atoms.masses.size, self.space.frame.shape[1]))
        if self.pointwise is not None:
            return self.pointwise.at(self.space, atoms.places)
        parts = self._frozen_parts(self.drift)
        values = np.stack([self.space.interpolate(part[None], atoms) for part in parts], axis=1)
        if self.space.fields_by == "frame":
            return values
        return np.asarray(np.einsum("npd,nd->np", self.space.frame_at(atoms.places), values))

    def _frozen_parts(self, field: FloatArray) -> FloatArray:
        """Parts of a field (points, d − 1) that may be interpolated: along the frame, or of the vector."""
        if self.space.fields_by == "frame":
            return field.T
        return np.asarray(np.einsum("ip,ipd->di", field, self.space.frame))

    def _paired(self, pairs: Pairs, atoms: Atoms, chosen: IntArray) -> FloatArray:
        """Velocity of the chosen atoms by a head, pair by pair."""
        sums = pairs.sums(atoms, chosen)
        scale = np.exp(sums.offset) if self._unnormalised else 1.0 / sums.total
        frame = self.space.frame_at(atoms.places[chosen])
        return np.asarray(np.einsum("npd,nd->np", frame, scale[:, None] * sums.vector))

    @property
    def _unnormalised(self) -> bool:
        return self.field.attention.normalization == "none"

    def _head_velocity(
        self,
        head: HeadField,
        pairs: Pairs | None,
        coefficients: FloatArray,
        atoms: Atoms,
        frame: FloatArray | None,
    ) -> FloatArray:
        """Velocity by a head through the grid; without a frame components along that of the grid."""
        sums = head.sums(coefficients)
        shape, field = (*sums.field.shape[:2], 1), sums.field
        if frame is not None:  # components along a frame that turns are not smooth
            field = np.einsum("jip,ipd->jid", field, self.space.frame)
        joined = np.concatenate([np.broadcast_to(sums.total[..., None], shape), field], axis=2)
        values, reference = self.space.interpolate_scaled(joined, sums.offset, atoms)
        total, velocity = values[:, 0], values[:, 1:]
        if frame is not None:
            velocity = np.einsum("npd,nd->np", frame, velocity)
        if self._unnormalised:
            scale = np.exp(reference)
            velocity, total = velocity * scale[:, None], total * scale
            threshold, limit = HIDDEN * scale, total.max()
        else:
            velocity = velocity / np.where(total > 0.0, total, 1.0)[:, None]
            threshold, limit = np.full(total.shape, HIDDEN), total
        chosen = self._hidden(head, limit, threshold, atoms)
        if chosen.size and pairs is not None:
            velocity[chosen] = self._paired(pairs, atoms, chosen)
        return np.asarray(velocity)

    def _hidden(
        self, head: HeadField, limit: FloatArray, threshold: float | FloatArray, atoms: Atoms
    ) -> IntArray:
        """Return the queries whose sums are below the threshold of what is possible: the grid loses them."""
        chosen = np.flatnonzero(~(limit > threshold))  # what is possible is at most one
        if chosen.size:
            chosen = np.flatnonzero(~(limit > threshold * self._possible(head, atoms)))
        return chosen

    def attention_entropy(self, atoms: Atoms) -> float:
        """Mean entropy of attention relative to uniform attention, as ``observables.attention_entropy``."""
        if self.rings is not None:
            return self.rings.attention_entropy(atoms)
        coefficients = self.space.analyse_atoms(atoms) if atoms.masses.size > FEW else None
        relative = np.sum(
            [self._head_entropy(head, coefficients, atoms) for head in self.field.heads], axis=0
        )
        return float(self.field.attention.auxiliary.mean(atoms.sums(relative))) / len(self.field.heads)

    def _head_entropy(self, head: HeadField, coefficients: FloatArray | None, atoms: Atoms) -> FloatArray:
        """−∫ a log a dm of every atom, (atoms,); pair by pair where atoms are few or see no key of theirs."""
        pairs, tokens = TokenHead(head.setting, atoms.rows, atoms.masses), self.space.embed(atoms.places)
        if coefficients is None:
            return pairs.disorders(tokens, np.arange(len(tokens)))
        sums, scored = head.sums(coefficients), head.scored(coefficients)
        shape = (self.field.attention.auxiliary.nodes.size, len(self.space.weights))
        joined = np.stack([np.broadcast_to(sums.total, shape), np.broadcast_to(scored, shape)], axis=-1)
        values, exponent = self.space.interpolate_scaled(joined, sums.offset, atoms)
        normaliser = np.maximum(values[:, 0], np.finfo(float).tiny)
        relative = exponent + np.log(normaliser) - values[:, 1] / normaliser
        hidden = self._hidden(head, values[:, 0], HIDDEN, atoms)
        if hidden.size:
            relative[hidden] = pairs.disorders(tokens, hidden)
        return np.asarray(relative)

    def _possible(self, head: HeadField, atoms: Atoms) -> FloatArray:
        """Largest sum that each query may meet, (atoms,) or (1,), to which its rounding error is relative."""
        largest = head.floor / NOISE
        return largest.ravel() if largest.size == 1 else self.space.interpolate(largest, atoms)
