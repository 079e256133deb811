"""Initial densities that no grid resolves: constant on equal cells, with jumps between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.rings import are_rings
from meanfield_pde.errors import ComputationError
from meanfield_pde.methods.labels import Labels

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space

__all__ = ["Steps"]

TURN = 2.0 * math.pi


@dataclass(frozen=True)
class Steps:
    """Masses (aux, cells) of equal cells about the angles 2πi/cells, all turned by ``shifts`` (aux,)."""

    masses: FloatArray
    shifts: FloatArray

    @classmethod
    def of(cls, problem: Problem) -> Steps:
        """Cells of the table; of any other density those of the finest grid, with its values there.

        Raises
        ------
        ComputationError
            When the finest grid misses all of the density; on zonal spheres, whose cells are not equal.
        """
        if are_rings(problem.space):
            raise ComputationError(
                f"the initial density is too rough for {problem.accuracy.max_resolution} "
                f"{problem.space.counted}; raise solver.max_resolution, choose a smoother one, "
                'or give single tokens (initial.kind = "points")'
            )
        rough, auxiliary = problem.initial, problem.auxiliary
        count = max(problem.accuracy.max_resolution, 2 * rough.degree)
        if rough.table is not None:
            count = rough.table.shape[1]
        values = rough.grid_values(problem.space.resized(count), auxiliary)
        total = values.sum(axis=1, keepdims=True)
        if not (total > 0.0).all():
            raise ComputationError(
                f"the initial density is zero at all {count} points of the finest grid; "
                'raise solver.max_resolution, or give single tokens (initial.kind = "points")'
            )
        return cls(values / total, TURN * rough.turns * auxiliary.nodes)

    def labels(self, most: int) -> Labels:
        """Tokens of equal mass in every cell, as many as there may be ``most`` of in a row."""
        rows, cells = self.masses.shape
        pieces = max(1, most // cells)
        within = (np.arange(pieces) + 0.5) / pieces - 0.5
        places = (np.arange(cells)[:, None] + within).ravel() * (TURN / cells)
        starts = places.size * np.arange(rows + 1, dtype=np.intp)
        masses = np.repeat(self.masses / pieces, pieces, axis=1)
        return Labels.of_tokens((places + self.shifts[:, None]).ravel(), masses.ravel(), starts)

    def means(self, space: Space) -> FloatArray:
        """Means over the cells of a space, (aux, points)."""
        cells, points = self.masses.shape[1], len(space.weights)
        result = np.empty((len(self.masses), points))
        for row, (masses, shift) in enumerate(zip(self.masses, self.shifts, strict=True)):
            edges = TURN / points * (np.arange(points + 1) - 0.5) - shift + 0.5 * TURN / cells
            turns, below = np.floor(edges / TURN), np.concatenate([[0.0], np.cumsum(masses)])
            places = TURN / cells * np.arange(cells + 1)
            result[row] = np.diff(turns * below[-1] + np.interp(edges - TURN * turns, places, below))
        return np.maximum(result, 0.0) * (points / TURN)  # differences have rounding errors
