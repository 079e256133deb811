"""Velocity of labels whose places are vectors: tangential part of the attention vector, and the drift."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.blocks import TokenAttention
from meanfield_pde.methods.embedded_cloud import surface

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.methods.embedded_cloud import EmbeddedCloud, Surface
    from meanfield_pde.problem import Problem

__all__ = ["EmbeddedField"]


@dataclass(frozen=True, eq=False)
class EmbeddedField:
    """V[f] + F at the atoms of a cloud, wherever they move."""

    problem: Problem
    cloud: EmbeddedCloud

    @cached_property
    def surface(self) -> Surface:
        """The space."""
        return surface(self.problem.space)

    @cached_property
    def attention(self) -> TokenAttention:
        """All heads between the atoms."""
        cloud, problem = self.cloud, self.problem
        return TokenAttention(problem.space, problem.attention, cloud.rows, cloud.atom_masses)

    @cached_property
    def _drift(self) -> ScatteredField | None:
        return None if self.problem.drift is None else self.problem.scattered()

    def velocity(self, positions: FloatArray) -> FloatArray:
        """Velocity (atoms, d) at the points of the space nearest to positions (atoms, d)."""
        places = self.surface.retract(positions)
        velocity = self.surface.project(places, self.attention.vectors(places))
        if self._drift is None:
            return velocity
        atoms = self.cloud.at(places).atoms
        frame = self._drift.space.frame_at(places)
        return np.asarray(velocity + np.einsum("np,npd->nd", self._drift.drift_at(atoms), frame))
