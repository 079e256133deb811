"""What is measured at the points of a branch: order, energies, distance to the pushforward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.linearised import pair_energy
from meanfield_pde.bifurcations.densities import DensityFamily
from meanfield_pde.energies import entropy_functional, interaction_energy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.bifurcations.maps import MapFamily
    from solvers.continuation import Point

__all__ = ["Measured", "measured"]

#: Curvature of a chord between two points of a branch: states between them agree to this share of it.
CHORD = 0.2


@dataclass(frozen=True)
class Measured:
    """Order parameter, conditional concentration, free energy, and whether nearby tokens stay together.

    ``curvature`` is the smallest κ of a limit map, NaN for densities.
    """

    order_parameter: float
    conditional_concentration: float
    free_energy: float
    curvature: float

    @property
    def _row(self) -> FloatArray:
        return np.array([self.order_parameter, self.conditional_concentration, self.free_energy])

    def agrees(self, other: Measured, tolerance: float) -> bool:
        """Whether both are the same to a tolerance, relative for the energy."""
        scale = np.array([1.0, 1.0, max(1.0, abs(self.free_energy))])
        return bool((np.abs(self._row - other._row) <= tolerance * scale).all())

    def between(self, first: Measured, second: Measured, tolerance: float) -> bool:
        """Whether it lies between two others, as far as a chord can tell."""
        rows = np.stack([first._row, second._row])
        slack = CHORD * np.abs(rows[1] - rows[0]) + tolerance * np.maximum(1.0, np.abs(rows[0]))
        return bool(((self._row >= rows.min(axis=0) - slack) & (self._row <= rows.max(axis=0) + slack)).all())


def measured(family: DensityFamily | MapFamily, points: Sequence[Point]) -> list[Measured]:
    """Measure all points of a branch."""
    if isinstance(family, DensityFamily):
        return [_density(family, point) for point in points]
    return [_map(family, point) for point in points]


def _density(family: DensityFamily, point: Point) -> Measured:
    system = family.system(point.state, point.value)
    coefficients, equation = system.coefficients(point.state), system.equation
    space, auxiliary = equation.space, equation.attention.attention.auxiliary
    moments = space.first_moment(coefficients)
    density = space.synthesise(coefficients)
    energy = -interaction_energy(equation.attention, coefficients)
    return Measured(
        float(np.linalg.norm(auxiliary.mean(moments))),
        float(auxiliary.mean(np.linalg.norm(moments, axis=-1))),
        energy + equation.sigma * entropy_functional(space, auxiliary, density),
        math.nan,
    )


def _map(family: MapFamily, point: Point) -> Measured:
    system = family.system(point.value)
    atoms, problem = system.atoms(family.places(point.state)), system.problem
    moments = problem.space.embed(atoms.places)
    return Measured(
        float(np.linalg.norm(problem.auxiliary.mean(moments))),
        float(problem.auxiliary.mean(np.linalg.norm(moments, axis=-1))),
        -pair_energy(problem.space, problem.attention, atoms),
        float(system.curvature(atoms.places).min()),
    )
