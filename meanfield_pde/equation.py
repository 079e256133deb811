r"""The equation on a grid: linear part (noise) and nonlinear part (attention and drift).

.. math:: \partial_t\rho(x|z) = \sigma\Delta_x\rho - \mathrm{div}_x\bigl(\rho\,(V[f] + F)\bigr)

The state is the array (aux, modes) of the coefficients of every ρ(·|z) without the constant ones: mass is
not part of the state, so it cannot drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import Compilable
from meanfield_pde.parallel import each
from solvers.integrate import Semilinear

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.field import AttentionField
    from meanfield_pde.spaces import Space
    from solvers.compiled import Tables

__all__ = ["Equation"]

#: States with more grid values than this (nodes × points) are faster in numpy, with its threads.
COMPILED_SIZE = 2**16
#: Unnormalised attention with at most so many modes multiplies in Fourier space, without transforms.
BAND = 64


@dataclass(frozen=True)
class Equation:
    """The equation of section 3 on one grid.

    Parameters
    ----------
    attention
        Attention on this grid.
    drift
        Tangential components of F at the grid points, (points, d − 1), or None.
    sigma
        Noise σ ≥ 0.
    """

    attention: AttentionField
    drift: FloatArray | None
    sigma: float

    @property
    def space(self) -> Space:
        """Token space with its grid."""
        return self.attention.space

    @property
    def linear(self) -> FloatArray:
        """−σ times the eigenvalues of −Δ, one for each column of the state."""
        return np.asarray(-self.sigma * self.space.eigenvalues[self.space.constant :])

    def state(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients without the constant ones."""
        return np.ascontiguousarray(coefficients[:, self.space.constant :])

    @cached_property
    def _constants(self) -> FloatArray:
        return self.space.uniform()[: self.space.constant]

    def coefficients(self, state: FloatArray) -> FloatArray:
        """Coefficients of densities of mass one."""
        constants = np.broadcast_to(self._constants, (len(state), self.space.constant))
        return np.concatenate([constants, state], axis=1)

    def velocity(self, coefficients: FloatArray) -> FloatArray:
        """V[f] + F at the grid points, (aux or 1, points, d − 1)."""
        velocity = self.attention.velocity(coefficients)
        return velocity if self.drift is None else velocity + self.drift

    def nonlinear(self, state: FloatArray) -> FloatArray:
        """−div(ρ(V + F)), (aux, modes)."""
        coefficients, result = self.coefficients(state), np.empty_like(state)
        attended = self.attention.block_velocity(coefficients)

        def rate(rows: slice) -> None:
            velocity = attended(rows) if self.drift is None else attended(rows) + self.drift
            flux = self.space.synthesise(coefficients[rows])[..., None] * velocity
            np.negative(self.space.divergence(flux)[:, self.space.constant :], out=result[rows])

        each(rate, len(state))
        return result

    def system(self) -> Semilinear:
        """Return the equation as the time stepper sees it, compiled where that pays."""
        return self.compiled() or self.plain()

    def plain(self) -> Semilinear:
        """Return the equation with the rate in numpy: every configuration, every size."""

        def rate(state: FloatArray, out: FloatArray, tables: Tables) -> None:  # noqa: ARG001
            out[...] = self.nonlinear(state)

        return Semilinear(self.linear, rate)

    def compiled(self) -> Semilinear | None:
        """Return the equation with a compiled rate, None where there is none or the state is large."""
        heads, points = self.attention.heads, len(self.space.points)
        if len(heads) > 1 or heads[0].prompted is not None or not heads[0].setting.mixer.shared:
            return None
        operator, rates = heads[0].operator, self.space.compiled_rates()
        if not rates or len(heads[0].setting.weights) * points > COMPILED_SIZE:
            return None  # before tables are laid out: on fine grids of surfaces they fill gigabytes
        if not isinstance(operator, Compilable):
            return None
        laid = operator.layout(softmax=self.attention.attention.normalization == "softmax")
        if laid is None:
            return None
        name, tables = laid
        if (
            name == "convolution"
            and self.drift is None
            and tables[2].size == 0
            and tables[1].shape[1] <= BAND
        ):
            name = "banded"
        drift = np.zeros((1, points)) if self.drift is None else self.drift.T
        rate = rates.get(name)
        return None if rate is None else Semilinear(self.linear, rate, (*tables, drift), True)
