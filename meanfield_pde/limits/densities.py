r"""Stationary densities with noise: fixed points of the stationary law of the frozen field.

.. math:: G(\rho) = \rho - S[V[\rho]] = 0

Its derivative is the identity minus a compact operator, since attention feels low modes alone:
Newton's method with GMRES needs no preconditioner. The unknowns are the coefficients of all nodes without
the constant ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from meanfield_pde.limits.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.equation import Equation
    from solvers.bordered import Jacobian

__all__ = ["DensitySystem"]

#: Unknowns up to which derivatives are matrices.
DENSE = 400
#: Rotations are symmetries where they change the residual by less, relative to their own size.
SYMMETRIC = 1e-7
#: Rotations that move a state by less than this do not move it.
UNMOVED = 1e-9
#: Part of the largest rotation below which another one, or a combination, does not move it, either.
DEPENDENT = 1e-6


@dataclass(frozen=True)
class DensitySystem:
    """G and its derivative on one grid, for flat states (aux · moving coefficients,)."""

    equation: Equation

    @property
    def nodes(self) -> int:
        """Number of auxiliary nodes."""
        return int(self.equation.attention.attention.auxiliary.nodes.size)

    def flat(self, coefficients: FloatArray) -> FloatArray:
        """State of densities with these coefficients (aux, …)."""
        return self.equation.state(coefficients).ravel()

    def coefficients(self, state: FloatArray) -> FloatArray:
        """Coefficients of a state."""
        return self.equation.coefficients(state.reshape(self.nodes, -1))

    def residual(self, state: FloatArray) -> FloatArray:
        """G, flat."""
        return np.asarray(state - self.flat(frozen(self.equation, self.coefficients(state)).density))

    def derivative(self, state: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Return the product of the derivative of G with a direction."""
        about = frozen(self.equation, self.coefficients(state))
        constants = np.zeros((self.nodes, self.equation.space.constant))

        def product(direction: FloatArray) -> FloatArray:
            moving = np.ravel(direction).reshape(self.nodes, -1)
            change = about.change(np.concatenate([constants, moving], axis=1))
            return np.asarray(np.ravel(direction) - self.flat(change))

        return product

    def jacobian(self, state: FloatArray) -> Jacobian:
        """Differentiate G: a matrix for few unknowns."""
        product = self.derivative(state)
        if state.size <= DENSE:
            return np.stack([product(row) for row in np.eye(state.size)], axis=1)
        return LinearOperator((state.size, state.size), matvec=product, dtype=np.float64)

    def weights(self, state: FloatArray) -> FloatArray:
        """Weights of an inner product: nodes by their weights, coefficients as in L²."""
        moving = state.size // self.nodes
        return np.repeat(self.equation.attention.attention.auxiliary.weights, moving)

    def neutral(self, state: FloatArray) -> FloatArray:
        """Rotations that move the state but leave the equation as it is, orthonormal rows (k, n).

        Of the rotations about the axes of the embedding some combination may do nothing, or alone be felt by
        the equation: about the axis of a state, or any but the axis of a prompt.
        """
        moved = self._generators(self.coefficients(state))[..., self.equation.space.constant :]
        moved = moved.reshape(len(moved), state.size)
        _, sizes, basis = np.linalg.svd(moved, full_matrices=False)
        basis = basis[sizes > max(UNMOVED, DEPENDENT * float(np.max(sizes, initial=0.0)))]
        if not len(basis):
            return np.empty((0, state.size))
        product = self.derivative(state)
        combinations, felt, _ = np.linalg.svd(np.stack([product(row) for row in basis]), full_matrices=False)
        return np.asarray(combinations.T[felt < SYMMETRIC] @ basis)

    def _generators(self, coefficients: FloatArray) -> FloatArray:
        """Rotations of all conditionals alike, and with rotary encodings of all u = R(ωz)x alike."""
        space, angles = self.equation.space, self.equation.attention.attention.encoding.angles
        moved = space.generators(coefficients)
        if angles is None:
            return moved
        encoded = space.generators(space.rotate(coefficients, angles))
        back = [space.rotate(one, -angles) for one in encoded]
        return np.concatenate([moved, np.stack(back)])
