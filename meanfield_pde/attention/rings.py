r"""Attention between rings of zonal spheres, for laws that are sums of them: plane waves at every query.

A place stands for the ring of all tokens at its polar angle. Keys are expanded in the zonal eigenfunctions,
up to the degree that the kernel feels, and the integrals of a query ξ = βB E_z(x) are

.. math:: \sum_\zeta w_\zeta e^{b(z,\zeta) + \langle\xi, p_\zeta\rangle}
    \sum_l c_l(|\xi|)\,e_l(\xi_1/|\xi|)\,c_l[\rho_\zeta],

in O(atoms · degree), times the nodes where encodings shift. No grid takes part: towards the poles of spheres
of high dimension, where grids have no points, it is as accurate as elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import LARGEST_EXPONENT, Setting
from meanfield_pde.attention.prompt import prompt_keys
from meanfield_pde.errors import InputError
from meanfield_pde.spaces import funk_hecke, gegenbauer, zonal_kernels

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.field import AttentionField
    from meanfield_pde.attention.layer import Prompt
    from meanfield_pde.spaces import Space
    from meanfield_pde.spaces.base import Atoms

__all__ = ["Law", "RingField", "RingSums", "Rings", "are_rings"]

#: Queries whose sum is below this, relative to the sizes of its terms, are summed ring by ring.
HIDDEN = 1e-4
#: Numbers in the tables of queries that are worked on at once.
BLOCK = 2**21
#: Share of the largest term of a sum of positive terms below which terms are left out.
NEGLIGIBLE = 1e-19
#: Coefficients of the drift below this share of the largest are rounding errors of its values.
DRIFT_NOISE = 1e-14


def are_rings(space: Space) -> bool:
    """Whether places of a space stand for rings, not for points."""
    return space.is_line and space.fields_by == "points"


@dataclass(frozen=True, eq=False)
class Law:
    """Rings with the coefficients (rows, coefficients) that a kernel feels."""

    atoms: Atoms
    coefficients: FloatArray

    @staticmethod
    def of(space: Space, atoms: Atoms) -> Law:
        """Analyse on the space of the kernel."""
        return Law(atoms, space.analyse_atoms(atoms))


@dataclass(frozen=True)
class RingSums:
    """∫ e^{s − offset} dm, its vector ∫ e^{s − offset} v dm and ∫ s e^{s − offset} dm, for every query.

    Shapes (n,), (n,), (n, 2), (n,); before the value matrix.
    """

    offset: FloatArray
    total: FloatArray
    vector: FloatArray
    scored: FloatArray

    def scaled(self, factor: FloatArray, offset: FloatArray) -> RingSums:
        """Multiply all sums by a factor (n,), and say what offset they have then."""
        return RingSums(offset, factor * self.total, factor[:, None] * self.vector, factor * self.scored)

    def joined(self, other: RingSums) -> RingSums:
        """Add sums over other keys, both brought to the larger offset."""
        offset = np.maximum(self.offset, other.offset)
        first, second = (part.scaled(np.exp(part.offset - offset), offset) for part in (self, other))
        return RingSums(
            offset,
            first.total + second.total,
            first.vector + second.vector,
            first.scored + second.scored,
        )

    def replaced(self, chosen: IntArray, others: RingSums) -> RingSums:
        """Put others in the place of the chosen ones."""
        result = RingSums(*(part.copy() for part in self.parts))
        for part, other in zip(result.parts, others.parts, strict=True):
            part[chosen] = other
        return result

    @property
    def parts(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """All four."""
        return self.offset, self.total, self.vector, self.scored

    @staticmethod
    def concatenated(blocks: list[RingSums]) -> RingSums:
        """Put the sums of one block of queries after the other."""
        return RingSums(*(np.concatenate(own) for own in zip(*(one.parts for one in blocks), strict=True)))


@dataclass(frozen=True)
class Rings:
    """One head between rings, on the space that ``scattered.kernel_space`` gives."""

    setting: Setting

    @cached_property
    def _shifts(self) -> FloatArray | None:
        encoding = self.setting.attention.encoding
        return encoding.shifts if encoding.is_shifted else None

    @property
    def _longest(self) -> float:
        from meanfield_pde.attention.scattered import largest_exponent

        return largest_exponent(self.setting.space, self.setting.attention, self.setting.head)

    @cached_property
    def _recurrences(self) -> tuple[int, int, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Dimension, terms and coefficients for ``zonal_kernels.plane_waves``."""
        space = self.setting.space
        d, degree = space.dimension, space.resolution
        terms = max(degree + 1, funk_hecke.reach(self._longest, NEGLIGIBLE, d))
        ratios, above = gegenbauer.jacobi(degree + 1, d), gegenbauer.jacobi(degree, d + 2)
        return d, terms, ratios, above, *gegenbauer.climbing(degree, d)

    @cached_property
    def _bias(self) -> FloatArray:
        nodes = self.setting.attention.auxiliary.nodes
        return self.setting.head.bias.log_weights(nodes, nodes)

    @property
    def prompt(self) -> Prompt | None:
        """The prompt, None where it has no share."""
        prompt = self.setting.attention.prompt
        return None if prompt is None or prompt.fraction == 0.0 else prompt

    def sums(self, law: Law, places: FloatArray, rows: IntArray) -> RingSums:
        """Sum over rings and prompt for queries at these places of these rows (nodes)."""
        own = self.token_sums(law, places, rows)
        if self.prompt is None:
            return own
        share = np.full(own.offset.shape, self.setting.attention.density_share)
        return own.scaled(share, own.offset).joined(self.prompt_sums(self.prompt, places, rows))

    def token_sums(self, law: Law, places: FloatArray, rows: IntArray) -> RingSums:
        """Sum over the rings alone, as if all attended mass were theirs."""
        nodes = 1 if self._shifts is None else len(law.coefficients)
        size = max(1, BLOCK // (3 * (self.setting.space.eigenvalues.size + nodes)))
        blocks = [slice(first, first + size) for first in range(0, max(1, places.size), size)]
        return RingSums.concatenated([self._block(law, places[own], rows[own]) for own in blocks])

    def _vectors(self, places: FloatArray, rows: IntArray) -> FloatArray:
        """ξ = βB E_z(x), (n, 2)."""
        queries = self.setting.space.embed(places)
        if self._shifts is not None:
            queries = queries + self._shifts[rows]
        return np.ascontiguousarray(queries @ self.setting.metric.T)

    def _block(self, law: Law, places: FloatArray, rows: IntArray) -> RingSums:
        vectors = self._vectors(places, rows)
        waves = zonal_kernels.plane_waves(vectors, *self._recurrences)
        summed = self._mixed if self._shifts is None else self._shifted
        found = summed(law.coefficients, waves, vectors, rows)
        chosen = np.flatnonzero(~(found.total > HIDDEN))  # the sizes of all terms add up to one at most
        if chosen.size:
            sizes = summed(
                np.abs(law.coefficients), np.abs(waves[chosen]), vectors[chosen], rows[chosen]
            ).total
            chosen = chosen[~(found.total[chosen] > HIDDEN * sizes)]
        if not chosen.size:
            return found
        return found.replaced(chosen, self._paired(law.atoms, vectors[chosen], rows[chosen]))

    def _mixed(
        self, coefficients: FloatArray, waves: FloatArray, vectors: FloatArray, rows: IntArray
    ) -> RingSums:
        """Without shifts: coefficients are mixed over the nodes."""
        mixer, weighted = self.setting.mixer, self.setting.weights * coefficients
        parts = _applied(waves, mixer.mix(weighted), rows)
        scored = (vectors * parts[:, 1:]).sum(axis=1)
        biased = mixer.mix_bias(weighted)
        if biased is not None:
            scored = scored + _applied(waves[:, :1], biased, rows)[:, 0]
        peak = mixer.peak[:, 0]
        offset = self.setting.space.support(vectors) + (peak if peak.size == 1 else peak[rows])
        return RingSums(offset, parts[:, 0], parts[:, 1:], scored)

    def _shifted(
        self, coefficients: FloatArray, waves: FloatArray, vectors: FloatArray, rows: IntArray
    ) -> RingSums:
        """With shifts: every key node by itself."""
        shifts = self.setting.attention.encoding.shifts
        if shifts is None:
            raise ValueError("rings: there are no shifts")
        score = vectors @ shifts.T + self._bias[rows]
        highest = score.max(axis=1)
        weight = np.exp(score - highest[:, None]) * self.setting.weights[:, 0]
        inner = weight[:, None, :] * (waves @ coefficients.T)
        total, vector = inner[:, 0].sum(axis=1), inner[:, 1:].sum(axis=2)
        finite = np.where(np.isfinite(score), score, 0.0)
        scored = (vectors * vector).sum(axis=1) + (inner[:, 0] * finite).sum(axis=1)
        if self.setting.encoded:
            vector = vector + inner[:, 0] @ shifts
        return RingSums(self.setting.space.support(vectors) + highest, total, vector, scored)

    def _paired(self, atoms: Atoms, vectors: FloatArray, rows: IntArray) -> RingSums:
        """Ring by ring: exact where waves of both signs would cancel."""
        setting, dimension = self.setting, self.setting.space.dimension
        points = setting.space.embed(atoms.places)
        shifts = np.zeros(len(points)) if self._shifts is None else self._shifts[atoms.rows, 0]
        mass = setting.attention.auxiliary.weights[atoms.rows] * atoms.masses
        bias = np.zeros((1, len(points)))
        if not setting.mixer.shared:
            bias = self._bias[np.ix_(rows, atoms.rows)]
        terms = funk_hecke.reach(self._longest, NEGLIGIBLE, dimension - 1) if dimension > 2 else 1
        rings = np.concatenate([points, shifts[:, None], mass[:, None]], axis=1)
        offset, total, along, shift, across, scored = zonal_kernels.ring_pairs(
            vectors, rings, bias, dimension, terms
        ).T
        if not setting.encoded:
            along = along - shift
        return RingSums(offset, total, np.stack([along, across], axis=1), scored)

    def prompt_sums(self, prompt: Prompt, places: FloatArray, rows: IntArray) -> RingSums:
        """Sum over the prompt tokens, which are points at the poles, with their share ω of the mass."""
        vectors = self._vectors(places, rows)
        keys, bias = (
            part[rows if len(part) > 1 else np.zeros_like(rows)] for part in prompt_keys(self.setting, prompt)
        )
        values = keys
        if not self.setting.encoded:
            values = prompt.points[rows if len(prompt.points) > 1 else np.zeros_like(rows)]
        score = np.einsum("nd,nkd->nk", vectors, keys) + bias
        offset = score.max(axis=1)
        offset = np.where(np.isfinite(offset), offset, -LARGEST_EXPONENT)  # a bias may hide the whole prompt
        weight = prompt.fraction * prompt.weights * np.exp(score - offset[:, None])
        scored = (weight * np.where(np.isfinite(score), score, 0.0)).sum(axis=1)
        return RingSums(offset, weight.sum(axis=1), np.einsum("nk,nkd->nd", weight, values), scored)


def _applied(waves: FloatArray, mixed: FloatArray, rows: IntArray) -> FloatArray:
    """Waves (n, parts, coefficients) of the mixed coefficients (1 or aux, coefficients) of their row."""
    if len(mixed) == 1:
        return np.asarray(waves @ mixed[0])
    return np.asarray((waves @ mixed[rows][:, :, None])[..., 0])


@dataclass(frozen=True)
class RingField:
    """V[f] + F between rings; see ``scattered.ScatteredField``."""

    field: AttentionField
    drift: FloatArray | None

    @property
    def space(self) -> Space:
        """The space of the kernel."""
        return self.field.space

    @cached_property
    def heads(self) -> tuple[Rings, ...]:
        """All heads."""
        attention = self.field.attention
        if any(head.kernel is not None for head in attention.heads):
            raise InputError("attention: kernels of one's own are not known between rings of zonal spheres")
        return tuple(Rings(Setting(self.space, attention, head)) for head in attention.heads)

    def velocity(self, atoms: Atoms) -> FloatArray:
        """Along the meridian, (atoms, 1), of every atom."""
        return self.velocity_at(atoms, atoms.places, atoms.rows)

    def velocity_at(self, atoms: Atoms, places: FloatArray, rows: IntArray) -> FloatArray:
        """Along the meridian, (n, 1), of tokens of these rows at these places, in the field of the atoms."""
        law, frame = Law.of(self.space, atoms), self.space.frame_at(places)
        velocity = self.drift_at(places)
        for head in self.heads:
            sums = head.sums(law, places, rows)
            vector = sums.vector * self._scale(sums)[:, None]
            velocity += np.einsum("npd,nd->np", frame, vector @ head.setting.head.value.T)
        return velocity

    def _scale(self, sums: RingSums) -> FloatArray:
        if self.field.attention.normalization != "none":
            return 1.0 / sums.total
        largest = float(sums.offset.max())
        if largest > LARGEST_EXPONENT:
            raise InputError(
                f"[attention] beta: unnormalised attention overflows, its largest exponent is {largest:.4g} "
                f"(at most {LARGEST_EXPONENT:g}); lower beta or use normalization = 'softmax'"
            )
        return np.exp(sums.offset)

    @cached_property
    def _potential(self) -> FloatArray:
        """Coefficients of the potential whose gradient the drift is, up to the last that is not rounding."""
        if self.drift is None:
            return np.zeros(1)
        root = np.sqrt(self.space.eigenvalues[1:])
        sizes = -self.space.divergence(self.drift)[1:] / (self.space.weights.sum() * root)
        large = np.flatnonzero(np.abs(sizes) > DRIFT_NOISE * np.abs(sizes).max())
        kept = int(large[-1]) + 1 if large.size else 0
        return np.concatenate([[0.0], sizes[:kept] / root[:kept]])

    def drift_at(self, places: FloatArray) -> FloatArray:
        """F at these places, (n, 1)."""
        if self.drift is None:
            return np.zeros((places.size, 1))
        slopes = gegenbauer.slopes(
            np.cos(places), np.sin(places), self._potential.size - 1, self.space.dimension
        )
        return np.asarray(self._potential @ slopes)[:, None]

    def energy(self, atoms: Atoms) -> float:
        """Interaction energy E[f] for β > 0; infinite where e^s overflows."""
        law = Law.of(self.space, atoms)
        return float(sum(self._head_energy(head, law) for head in self.heads))

    def _head_energy(self, head: Rings, law: Law) -> float:
        atoms, attention = law.atoms, self.field.attention
        own = head.token_sums(law, atoms.places, atoms.rows)
        parts = [(0.5 * attention.density_share, own)]
        if head.prompt is not None:
            parts.append((1.0, head.prompt_sums(head.prompt, atoms.places, atoms.rows)))
        if max(float(sums.offset.max()) for _, sums in parts) > LARGEST_EXPONENT:
            return np.inf
        terms = np.stack([share * sums.total * np.exp(sums.offset) for share, sums in parts])
        return float(attention.auxiliary.mean(atoms.sums(terms.sum(axis=0) / head.setting.head.beta)))

    def attention_entropy(self, atoms: Atoms) -> float:
        """Mean entropy of attention relative to uniform attention, as ``observables.attention_entropy``."""
        law, auxiliary = Law.of(self.space, atoms), self.field.attention.auxiliary
        total = 0.0
        for head in self.heads:
            sums = head.sums(law, atoms.places, atoms.rows)
            relative = sums.offset + np.log(sums.total) - sums.scored / sums.total
            total += float(auxiliary.mean(atoms.sums(relative)))
        return total / len(self.heads)
