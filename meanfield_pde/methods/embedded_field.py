"""Velocity of labels whose places are vectors: tangential part of the attention vector, and the drift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.blocks import TokenAttention
from meanfield_pde.energies import scattered_energy
from meanfield_pde.spaces.base import surface

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.methods.embedded_cloud import EmbeddedCloud
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces.base import Surface

__all__ = ["EmbeddedField"]

#: More atoms are summed on a grid, where the space has one: it is quicker then. With additive encodings only
#: far more, as operators may take all pairs of nodes on the grid; between many nodes they do not.
MANY, MANY_SHIFTED, MANY_OF_MANY = 3000, 20_000, 6000
#: Nodes that are many.
NODES = 64


class Grid:
    """Attention through a grid, and the drift there, set up when first asked for."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @cached_property
    def field(self) -> ScatteredField:
        """Attention and drift between scattered tokens."""
        return self.problem.scattered()


@dataclass(frozen=True, eq=False)
class EmbeddedField:
    """V[f] + F at the atoms of a cloud, wherever they move."""

    problem: Problem
    cloud: EmbeddedCloud
    grid: Grid

    @staticmethod
    def of(problem: Problem, cloud: EmbeddedCloud) -> EmbeddedField:
        """Return the field of a problem at a cloud."""
        return EmbeddedField(problem, cloud, Grid(problem))

    def on(self, cloud: EmbeddedCloud) -> EmbeddedField:
        """Return the field at a cloud of other atoms."""
        return replace(self, cloud=cloud)

    @cached_property
    def surface(self) -> Surface:
        """The space."""
        return surface(self.problem.space)

    @cached_property
    def _pairs(self) -> TokenAttention:
        cloud, problem = self.cloud, self.problem
        return TokenAttention(problem.space, problem.attention, cloud.rows, cloud.atom_masses)

    @property
    def _through_grid(self) -> bool:
        least = MANY
        if self.problem.attention.encoding.is_shifted:
            least = MANY_OF_MANY if self.problem.auxiliary.nodes.size >= NODES else MANY_SHIFTED
        return len(self.problem.space.points) > 0 and len(self.cloud.positions) > least

    def velocity(self, positions: FloatArray) -> FloatArray:
        """Velocity (atoms, d) at the points of the space nearest to positions (atoms, d)."""
        places = self.surface.retract(positions)
        if self._through_grid:
            return self._along(places, self.grid.field.velocity(self.cloud.at(places).atoms))
        velocity = self.surface.project(places, self._pairs.vectors(places))
        if self.problem.drift is None:
            return velocity
        return velocity + self._along(places, self.grid.field.drift_at(self.cloud.at(places).atoms))

    def _along(self, places: FloatArray, components: FloatArray) -> FloatArray:
        """Vectors with these components along the frame."""
        return np.asarray(np.einsum("np,npd->nd", components, self.problem.space.frame_at(places)))

    def energy(self) -> float:
        """Interaction energy E of the cloud."""
        if self._through_grid:
            return scattered_energy(self.grid.field, self.cloud.atoms)
        return self._pairs.energy(self.cloud.positions)

    def attention_entropy(self) -> float:
        """Mean entropy of attention relative to uniform attention."""
        if self._through_grid:
            return self.grid.field.attention_entropy(self.cloud.atoms)
        return self._pairs.entropy(self.cloud.positions)
