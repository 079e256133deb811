r"""Linear stability of stationary densities: leading eigenvalues of the linearised flow.

.. math:: L\delta = \sigma\Delta\delta - \mathrm{div}\bigl(\delta\,(V[\rho] + F) + \rho\,\delta V\bigr)

Large problems: by ARPACK on (s − L)⁻¹, solved by GMRES after division by the part of s − L that acts on every
node by itself (a matrix a node); the rest is compact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from meanfield_pde.attention.changes import FieldChange
from meanfield_pde.limits.frozen import transport_matrices
from solvers.bordered import solve_linear
from solvers.spectrum import largest_eigenvalues, leading_eigenvalues

if TYPE_CHECKING:
    from meanfield_pde.arrays import BoolArray, ComplexArray, FloatArray
    from meanfield_pde.equation import Equation

__all__ = ["TOLERANCE", "Linearisation", "Spectrum"]

#: Unknowns up to which the linearisation is decomposed as a matrix.
DENSE = 700
#: Eigenvalues that are kept; those that are iterated, their relative error, and that of the rough search.
KEPT, FEW, TOLERANCE, ROUGH = 8, 2, 1e-6, 1e-2
#: Error of the linear systems, as a share of that of the eigenvalues.
SOLVED = 1e-2
#: Restarts of ARPACK: what has not converged then lies in a cluster, beyond the leading ones.
RESTARTS = 8
#: Distance of the shift from the rough eigenvalue, relative to the fastest stretching.
NEARBY = 0.05


@dataclass(frozen=True)
class Spectrum:
    """Leading eigenvalues (k,), largest real part first, and the first eigenvector (n,), real."""

    eigenvalues: ComplexArray
    direction: FloatArray


@dataclass(frozen=True)
class Linearisation:
    """L about densities with coefficients (aux, …), on flat states of their moving coefficients."""

    equation: Equation
    coefficients: FloatArray

    @cached_property
    def _velocity(self) -> FloatArray:
        return self.equation.velocity(self.coefficients)

    @cached_property
    def _density(self) -> FloatArray:
        return self.equation.space.synthesise(self.coefficients)[..., None]

    @cached_property
    def _field(self) -> FieldChange:
        return FieldChange(self.equation.attention, self.coefficients)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.equation.state(self.coefficients).size

    def _padded(self, state: FloatArray) -> FloatArray:
        moving = np.ravel(state).reshape(len(self.coefficients), -1)
        constants = np.zeros((len(moving), self.equation.space.constant))
        return np.concatenate([constants, moving], axis=1)

    def _own(self, change: FloatArray) -> FloatArray:
        """ρ moved by the change of the field: what couples the nodes."""
        space = self.equation.space
        return space.divergence(self._density * self._field.velocity(change))[:, space.constant :]

    def apply(self, state: FloatArray) -> FloatArray:
        """Lδ, flat."""
        space, change = self.equation.space, self._padded(state)
        flux = space.synthesise(change)[..., None] * self._velocity
        moved = space.divergence(flux)[:, space.constant :]
        spread = self.equation.linear * change[:, space.constant :]
        return np.asarray((spread - moved - self._own(change)).ravel())

    def spectrum(self, neutral: FloatArray, tolerance: float = TOLERANCE) -> Spectrum:
        """Leading eigenvalues, to a relative error, without those of neutral directions, (k, n)."""
        if self.size <= DENSE:
            matrix = np.stack([self.apply(row) for row in np.eye(self.size)], axis=1)
            values, vectors = leading_eigenvalues(matrix)
        else:
            values, vectors = self._iterated(len(neutral), tolerance)
        kept = _not_neutral(values, len(neutral))
        values, vectors = values[kept][:KEPT], vectors[:, kept][:, :KEPT]
        if not values.size:
            return Spectrum(values, np.zeros(self.size))
        direction = vectors[:, 0].real
        return Spectrum(values, np.asarray(direction / max(np.abs(direction).max(), 1e-300)))

    def leading(self, neutral: FloatArray) -> float:
        """Largest real part alone, without those of neutral directions: cheaper than all that is kept."""
        if self.size <= DENSE:
            return float(self.spectrum(neutral).eigenvalues[0].real)
        shift = NEARBY * (self._expansion() + self.equation.sigma)
        values, _ = self._separated(shift, FEW + len(neutral), TOLERANCE)
        kept = values[_not_neutral(values, len(neutral))]
        return float(kept[0].real) if kept.size else np.nan

    def _iterated(self, neutral: int, tolerance: float) -> tuple[ComplexArray, ComplexArray]:
        """Eigenvalues nearest to a shift just to the right of them all, which a rough search finds first.

        Nodes by themselves have nearly equal eigenvalues, which ARPACK separates slowly: few are asked for.
        """
        stretch = self._expansion() + self.equation.sigma
        rough, _ = self._nearest(stretch, 1 + neutral, ROUGH)
        shift = max(float(rough[0].real) if rough.size else 0.0, 0.0) + NEARBY * stretch
        return self._separated(shift, FEW + neutral, tolerance)

    def _separated(self, shift: float, count: int, tolerance: float) -> tuple[ComplexArray, ComplexArray]:
        """Ask for more where ARPACK does not separate any: equal eigenvalues of several nodes."""
        for factor in (1, 3, 8):
            values, vectors = self._nearest(shift, factor * count, tolerance)
            if values.size >= min(count, 1 + count - FEW):
                break
        return values, vectors

    def _expansion(self) -> float:
        """Largest rate at which the frozen flow stretches."""
        space = self.equation.space
        rate = space.synthesise(space.divergence(self._velocity))
        return float(np.abs(rate).max())

    def _nearest(self, shift: float, count: int, tolerance: float) -> tuple[ComplexArray, ComplexArray]:
        matrices, _ = transport_matrices(self.equation, self._velocity)
        identity = np.eye(matrices.shape[1])
        inverse = np.linalg.inv(shift * identity - matrices)

        def divided(state: FloatArray) -> FloatArray:
            if len(inverse) == 1:
                return np.asarray(state @ inverse[0].T)
            return np.asarray((inverse @ state[..., None])[..., 0])

        def compact(vector: FloatArray) -> FloatArray:
            return np.ravel(vector) + divided(self._own(self._padded(vector))).ravel()

        shape = (self.size, self.size)
        operator = LinearOperator(shape, matvec=compact, dtype=np.float64)

        def solve(vector: FloatArray) -> FloatArray:
            right = divided(np.ravel(vector).reshape(len(self.coefficients), -1)).ravel()
            return solve_linear(operator, right, tolerance=SOLVED * tolerance)[0]

        found, vectors = largest_eigenvalues(
            LinearOperator(shape, matvec=solve, dtype=np.float64), count, tolerance, restarts=RESTARTS
        )
        values = shift - 1.0 / found
        order = np.argsort(-values.real, kind="stable")
        return np.asarray(values[order]), np.asarray(vectors[:, order])


def _not_neutral(values: ComplexArray, neutral: int) -> BoolArray:
    """Tell which eigenvalues remain without so many that are nearest to zero."""
    kept = np.ones(values.size, dtype=bool)
    kept[np.argsort(np.abs(values), kind="stable")[:neutral]] = False
    return kept
