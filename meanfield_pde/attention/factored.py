r"""Additive encodings, u = x + p(z), in O(N_z): the measure that is attended to as a few equivalent charges.

With charges c_k at skeleton points w_k of R^d every query sees ∑_k c_k e^{⟨ξ, w_k⟩}, and e^{⟨ξ, w_k⟩} factors
over x and p(z): analysis and synthesis are matrix products. Skeletons come from ``skeleton.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import MODE_TOLERANCE, NOISE, Setting, Sums, assembled
from meanfield_pde.attention.skeleton import HULL, spread
from meanfield_pde.parallel import each
from solvers.lowrank import support

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.spaces import Space
    from solvers.compiled import Tables
    from solvers.lowrank import Skeleton

    Charges = Callable[[slice], FloatArray]

__all__ = ["Factored"]

#: Grid to begin with when the coarsest that resolves the kernel is asked for.
COARSEST = 8
#: Coefficients serve in the place of grid values when they are fewer than this share of the points.
FEWER = 0.7
#: Exponent by which a query's own may lie below the common one: so many digits of rounding error are lost.
LOST_EXPONENT = 10.5
#: Exponents of tokens and charges that are held at once: grids that resolve small noise have far more.
HELD = 2**21


@dataclass(frozen=True)
class Factored:
    """All pairs of nodes through the charges of a skeleton, in O(N_z)."""

    setting: Setting
    skeleton: Skeleton
    shifts: FloatArray

    @cached_property
    def _degree(self) -> int:
        return self.setting.degree(float(np.linalg.norm(self.skeleton.queries, axis=1).max()))

    def _rows(self, chosen: slice) -> FloatArray:
        """Exponents ⟨βB x_i, w_k⟩ of some points, (chosen, rank)."""
        return np.asarray((self.setting.space.points[chosen] @ self.setting.metric.T) @ self.skeleton.keys.T)

    def _blocks(self) -> Iterator[slice]:
        """Cut the points so that few exponents are held at once."""
        points, size = len(self.setting.space.points), max(1, HELD // len(self.skeleton.keys))
        for first in range(0, points, size):
            yield slice(first, min(first + size, points))

    @cached_property
    def _row_largest(self) -> FloatArray:
        """Largest exponent of every x_i, (points,)."""
        return np.concatenate([self._rows(block).max(axis=1) for block in self._blocks()])

    @cached_property
    def _columns(self) -> FloatArray:
        """Exponents ⟨βB p_z, w_k⟩, (aux, rank)."""
        return np.asarray((self.shifts @ self.setting.metric.T) @ self.skeleton.keys.T)

    @cached_property
    def offset(self) -> FloatArray:
        """Sum of the largest exponents of x_i (or of all x) and of p_z, and the peak of the bias."""
        if self._spectral is None:
            return self._pointwise
        return np.broadcast_to(
            self._columns.max(axis=1)[:, None] + self._highest + self.setting.mixer.peak,
            self._pointwise.shape,
        )

    @cached_property
    def largest(self) -> FloatArray:
        """|ξ| + max_ζ ⟨ξ, p_ζ⟩ + peak of the bias: far below the offset where x and p(z) are opposed."""
        outer, points = spread(self.shifts, HULL // 2), self.setting.space.points

        def bound(rows: slice) -> FloatArray:
            exponents = (points + self.shifts[rows][:, None]) @ self.setting.metric.T
            flat = exponents.reshape(-1, points.shape[1])
            return support(flat, outer, self.setting.space.support).reshape(-1, len(points))

        return np.asarray(np.concatenate(each(bound, len(self.shifts))) + self.setting.mixer.peak)

    @cached_property
    def _pointwise(self) -> FloatArray:
        """Offset with the largest exponent of every x_i."""
        largest = self._columns.max(axis=1)[:, None] + self._row_largest[None, :]
        return np.asarray(largest + self.setting.mixer.peak)

    @cached_property
    def _coarse(self) -> Space:
        """Coarsest grid on which e^{⟨βB x, w_k⟩} and its field are resolved."""
        space = self.setting.space
        reach = np.linalg.norm(self.skeleton.keys @ self.setting.metric, axis=1).max()
        return space.resized(COARSEST).at_least(space.degree(float(reach), MODE_TOLERANCE) + 1)

    @cached_property
    def _coarse_rows(self) -> FloatArray:
        return np.asarray((self._coarse.points @ self.setting.metric.T) @ self.skeleton.keys.T)

    @cached_property
    def _highest(self) -> float:
        return float(self._coarse_rows.max())

    @cached_property
    def _spectral(self) -> FloatArray | None:
        """Coefficients of normaliser and field, (rank, parts · coefficients), with a common exponent.

        The parts are the normaliser and the components of the field along the frame where these are smooth,
        else those of the vector; the normaliser alone where the field is its gradient. None where they are
        hardly fewer than the points of the grid, or where one exponent would cost the digits of queries whose
        own is much smaller.
        """
        space, coarse = self.setting.space, self._coarse
        if coarse.eigenvalues.size > FEWER * len(space.points) or not self.setting.encoded:
            return None
        if space.fields_by == "points":
            return None
        sample = spread(self.shifts, HULL)
        exponents = ((space.points + sample[:, None]) @ self.setting.metric.T).reshape(-1, sample.shape[1])
        own = support(exponents, sample, space.support).reshape(len(sample), -1).min(axis=1)
        columns = ((sample @ self.setting.metric.T) @ self.skeleton.keys.T).max(axis=1)
        if (columns + self._highest - own).max() > LOST_EXPONENT:
            return None
        factor = np.exp(self._coarse_rows - self._highest).T
        value = self.setting.head.value
        if self._slope is not None:
            return coarse.analyse(factor)
        if space.fields_by == "frame":
            along = np.einsum("ied,kd->eki", coarse.frame @ value, self.skeleton.keys)
        else:
            along = np.broadcast_to((self.skeleton.keys @ value.T).T[:, :, None], (len(value), *factor.shape))
        return np.concatenate([coarse.analyse(part) for part in (factor, *(factor * along))], axis=1)

    @cached_property
    def _slope(self) -> float | None:
        """Factor of ∇_x of the normaliser in the field, where V is a multiple of βBᵀ; on surfaces only."""
        metric, value = self.setting.metric, self.setting.head.value
        size = float((metric**2).sum())
        if self.setting.space.fields_by != "embedding" or size == 0.0:
            return None
        slope = float((value * metric.T).sum()) / size
        return slope if np.array_equal(value, slope * metric.T) else None

    @cached_property
    def token_factor(self) -> FloatArray:
        """e^{⟨βB x_i, w_k⟩ − …}, (points, rank), at most one."""
        result = np.empty((len(self.setting.space.points), len(self.skeleton.keys)))
        for block in self._blocks():
            np.exp(self._rows(block) - self._row_largest[block, None], out=result[block])
        return result

    @cached_property
    def node_factor(self) -> FloatArray:
        """e^{⟨βB p_z, w_k⟩ − …}, (aux, rank), at most one."""
        return np.asarray(np.exp(self._columns - self._columns.max(axis=1)[:, None]))

    @cached_property
    def field_factor(self) -> FloatArray:
        """Token factor times the component of V w_k along the tangent, (points·(d − 1), rank)."""
        along = self.setting.projection @ self.skeleton.keys.T
        return np.asarray((along * self.token_factor[:, None, :]).reshape(-1, along.shape[-1]))

    @cached_property
    def key_factor(self) -> FloatArray:
        """w_ζ e^{⟨ξ_l, p_ζ⟩ + |ξ_l| − h(ξ_l)}, (aux, rank)."""
        queries = self.skeleton.queries
        exponents = self.shifts @ queries.T + self.setting.space.support(queries) - self.skeleton.support
        return np.asarray(self.setting.weights * np.exp(exponents))

    @cached_property
    def waves(self) -> FloatArray:
        """Functionals that probe ρ_ζ at the skeleton queries, (coefficients, rank)."""
        return np.ascontiguousarray(self.setting.space.plane_wave(self.skeleton.queries, self._degree).T)

    def _charges(self, functionals: FloatArray, coefficients: FloatArray) -> Charges:
        """Charges that a block of query nodes sees, times the nodes' factors, (block, rank)."""
        low, mixer = self.setting.low(coefficients, self._degree), self.setting.mixer

        def probe(rows: slice) -> FloatArray:
            probes = (low[rows] @ functionals) * self.key_factor[rows]
            return mixer.mix(probes) if mixer.shared else probes

        mixed = mixer.mix(np.concatenate(each(probe, len(low))))
        if mixer.shared:
            charges = self.skeleton.charges(mixed)
            return lambda rows: charges * self.node_factor[rows]
        return lambda rows: self.skeleton.charges(mixed[rows]) * self.node_factor[rows]

    def _synthesised(self, charges: FloatArray, spectral: FloatArray) -> Sums:
        """Normaliser and field of a block from coefficients."""
        space, width = self.setting.space, self._coarse.eigenvalues.size
        parts = (charges @ spectral).reshape(-1, spectral.shape[1] // width, width)
        total = space.synthesise(parts[:, 0])
        if self._slope is not None:
            return Sums(total, self._slope * space.gradient(parts[:, 0]))
        if space.fields_by == "embedding":
            return Sums(total, space.tangential(parts[:, 1:]))
        components = [space.synthesise(parts[:, part]) for part in range(1, parts.shape[1])]
        return Sums(total, np.stack(components, axis=-1))

    def sums(self, coefficients: FloatArray) -> Sums:
        """Probe, mix, solve for charges, synthesise."""
        return assembled(self.block_sums(coefficients), len(self.shifts))

    def block_sums(self, coefficients: FloatArray) -> Callable[[slice], Sums]:
        """Probe and mix all; solve for charges and synthesise for a block."""
        charges, spectral = self._charges(self.waves, coefficients), self._spectral
        if spectral is not None:
            return lambda rows: self._synthesised(charges(rows), spectral)
        if self.setting.encoded:
            return lambda rows: self._pointwise_sums(charges(rows))
        bare = [self._charges(functionals, coefficients) for functionals in self._bare_waves]
        return lambda rows: Sums(
            charges(rows) @ self.token_factor.T, self._bare_field([component(rows) for component in bare])
        )

    def _pointwise_sums(self, charges: FloatArray) -> Sums:
        """Normaliser and field of a block by tables of the points."""
        total = charges @ self.token_factor.T
        return Sums(total, (charges @ self.field_factor.T).reshape(*total.shape, -1))

    shared = False

    def transposed(self, total: FloatArray | None, field: FloatArray) -> FloatArray:
        """Transposed syntheses, solve for charges, mix and probes."""
        if self._spectral is not None:
            return self._raised(self._analysed(total, field, self._spectral), self.waves)
        own = None if total is None else total @ self.token_factor
        if not self.setting.encoded:
            return self._bare_back(own, field)
        charges = field.reshape(len(field), -1) @ self.field_factor
        return self._raised(charges if own is None else charges + own, self.waves)

    def _raised(self, charges: FloatArray, functionals: FloatArray) -> FloatArray:
        """Transpose of ``_charges`` and ``_seen``: from charges (aux, rank) to (aux, coefficients)."""
        return self.setting.raised(self._probed_back(charges) @ functionals.T)

    def _probed_back(self, charges: FloatArray) -> FloatArray:
        """Transpose of factors, solve and mix: for probes (aux, rank)."""
        seen = charges * self.node_factor
        if self.setting.mixer.shared:
            seen = seen.sum(axis=0, keepdims=True)
        probes = (seen @ self.skeleton.charge) @ self.skeleton.probe
        return np.asarray(self.setting.mixer.spread(probes) * self.key_factor)

    def _analysed(self, total: FloatArray | None, field: FloatArray, spectral: FloatArray) -> FloatArray:
        """Transpose of ``_synthesised``: for the charges of every query node, (aux, rank)."""
        width = self._coarse.eigenvalues.size
        parts = spectral.shape[1] // width
        kept = spectral[:, width if total is None and parts > 1 else 0 :]

        def analyse(rows: slice) -> FloatArray:
            duals = self._component_duals(None if total is None else total[rows], field[rows], width)
            return np.asarray(duals.reshape(len(duals), -1) @ kept.T)

        return np.concatenate(each(analyse, len(field)))

    def _component_duals(self, total: FloatArray | None, field: FloatArray, width: int) -> FloatArray:
        """For the coefficients of all parts that are not zero, (block, parts, width)."""
        space, back = self.setting.space, self.setting.transposes
        if self._slope is not None:
            dual = self._slope * back.gradient_transposed(field, width)
            if total is not None:
                dual += back.synthesise_transposed(total, width)
            return dual[:, None]
        if space.fields_by == "embedding":
            components = np.moveaxis((field[:, :, None, :] @ space.frame)[:, :, 0], 2, 1)
        else:
            components = np.moveaxis(field, 2, 1)
        if total is not None:
            components = np.concatenate([total[:, None], components], axis=1)
        return back.synthesise_transposed(np.ascontiguousarray(components), width)

    def layout(self, *, softmax: bool) -> tuple[str, Tables] | None:
        """Probes, key factor, two steps of the solve, node factor, synthesis, e^{offset} or noise floor."""
        if not (self.setting.encoded and self.setting.mixer.shared):
            return None
        free = self.setting.space.constant
        factors = [self.field_factor, self.token_factor] if softmax else [self.field_factor]
        tables = (
            self.waves[:1],
            self.waves[free:],
            self.key_factor,
            self.skeleton.probe.T,
            self.skeleton.charge.T,
            self.node_factor,
            np.concatenate(factors).T,
            NOISE * np.exp(self.largest - self._pointwise) if softmax else np.exp(self._pointwise),
        )
        return "factored", tables

    def _bare_field(self, charges: list[FloatArray]) -> FloatArray:
        """Field of a block: each component of the bare token y has probes and charges of its own."""
        projection = self.setting.projection
        field = np.zeros((len(charges[0]), *projection.shape[:2]))
        for component, own in enumerate(charges):
            field += (own @ self.token_factor.T)[..., None] * projection[:, :, component]
        return field

    @cached_property
    def _bare_waves(self) -> FloatArray:
        """Functionals that probe y ρ_ζ at the skeleton queries, (d, coefficients, rank)."""
        gradients = self.setting.space.plane_wave_gradient(self.skeleton.queries, self._degree)
        return np.ascontiguousarray(gradients.transpose(1, 2, 0))

    def _bare_back(self, charges: FloatArray | None, field: FloatArray) -> FloatArray:
        """Transpose of ``_bare_field``, with what is known of the charges of the normaliser."""
        vector = np.einsum("zip,ipd->dzi", field, self.setting.projection)
        parts = [
            self._raised(own @ self.token_factor, functionals)
            for own, functionals in zip(vector, self._bare_waves, strict=True)
        ]
        if charges is not None:
            parts.append(self._raised(charges, self.waves))
        return np.asarray(sum(parts[1:], parts[0]))

    def scored(self, coefficients: FloatArray) -> FloatArray:
        """Charges weigh ⟨ξ, w_k⟩; the bias is mixed once more where it is neither 0 nor −∞."""
        probes = (self.setting.low(coefficients, self._degree) @ self.waves) * self.key_factor
        charges = self.skeleton.charges(self.setting.mixer.mix(probes)) * self.node_factor
        fixed = charges * self._columns
        biased = self.setting.mixer.mix_bias(probes)
        if biased is not None:
            fixed = fixed + self.skeleton.charges(biased) * self.node_factor
        result = np.empty_like(self._pointwise)
        for block in self._blocks():
            exponents = self._rows(block)
            factor = np.exp(exponents - self._row_largest[block, None])
            result[:, block] = charges @ (exponents * factor).T + fixed @ factor.T
        return np.asarray(result * np.exp(self._pointwise - self.offset))
