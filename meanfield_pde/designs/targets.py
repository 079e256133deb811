"""What is to be reached: a law of the tokens, and the few atoms that stand for it best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfield_pde.designs.line_laws import LineLaw, line_distance
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.initial import Initial
    from meanfield_pde.spaces import Space

__all__ = ["CloudTarget", "LineTarget", "Target", "target_of"]

#: Angles at which densities on the circle are taken: they stand for cells of 8e-4 radians.
CELLS = 8192
#: Cuts that are tried at equal distances before the best is refined, in units of the lightest node.
CUTS = 16
#: Rounds of transport and means on surfaces, and the relative fall of the cost that ends them.
ROUNDS, SETTLED = 60, 1e-4
#: Gain of the best cut over the natural one, relative, that is worth leaving it.
GAIN = 1e-6


class Target(Protocol):
    """A law of the tokens."""

    def quantised(self, auxiliary: Auxiliary) -> FloatArray:
        """Places (aux, *place), one a node, whose law is as near in W₂ as can be."""

    def distance(self, places: FloatArray, masses: FloatArray, order: int) -> float:
        """W_order between atoms and the law itself."""

    def masses_on(self, space: Space) -> FloatArray | None:
        """Masses of the cells of a grid for the figure, (points,); None where there are no cells."""


@dataclass(frozen=True)
class LineTarget:
    """A law on a circle."""

    law: LineLaw

    def quantised(self, auxiliary: Auxiliary) -> FloatArray:
        """Means of the cells of mass w_j of the law, one after the other as z increases.

        For given masses in this order the atoms nearest in W₂ are means of consecutive cells; where the
        first cell begins is chosen so that least is lost.
        """
        order = np.argsort(auxiliary.nodes, kind="stable")
        weights = auxiliary.weights[order]
        bounds = np.concatenate([[0.0], np.cumsum(weights)])
        bounds[-1] = 1.0
        means, _ = self.law.cell_means(_best_cut(self.law, bounds, weights) + bounds)
        places = np.empty(weights.size)
        places[order] = means % (2.0 * np.pi)
        return places

    def distance(self, places: FloatArray, masses: FloatArray, order: int) -> float:
        """W_order by arc length."""
        return line_distance(LineLaw.of_atoms(places, masses), self.law, order)

    def masses_on(self, space: Space) -> FloatArray:
        """Masses of the cells about the grid points."""
        edges = 2.0 * np.pi * (np.arange(space.weights.size + 1) - 0.5) / space.weights.size
        return self.law.on_cells(edges)


def _best_cut(law: LineLaw, bounds: FloatArray, weights: FloatArray) -> float:
    """Level at which the first cell begins: with equal weights within the first cell, they all are alike."""
    from scipy.optimize import minimize_scalar

    equal = bool(np.ptp(weights) <= 1e-12)
    span = float(weights[0]) if equal else 1.0
    tried = (
        np.arange(CUTS if equal else CUTS * weights.size) * span / (CUTS if equal else CUTS * weights.size)
    )

    def lost(cut: float) -> float:
        return law.cell_means(cut + bounds)[1]

    costs = np.array([lost(float(cut)) for cut in tried])
    best = int(np.argmin(costs))
    near = (float(tried[best] - tried[1]), float(tried[best] + tried[1]))
    found = minimize_scalar(lost, bounds=near, method="bounded", options={"xatol": 1e-10})
    cut, least = (float(found.x), float(found.fun)) if found.fun < costs[best] else (tried[best], costs[best])
    return 0.0 if costs[0] - least <= GAIN * costs[0] else cut


@dataclass(frozen=True)
class CloudTarget:
    """A law as weighted points of any space: tokens, or the pieces of a density.

    Parameters
    ----------
    space
        Whose distances are meant.
    places, masses
        (points, d) and (points,), the masses with sum 1.
    density
        Values on the grid of the space (points,) where the law has a density.
    """

    space: Space
    places: FloatArray
    masses: FloatArray
    density: FloatArray | None = None

    def quantised(self, auxiliary: Auxiliary) -> FloatArray:
        """One point a node, by turns the best transport to the law and the mean of what goes to each node.

        The points themselves, in their order, where there are as many of the same masses. The mean is that of
        the embedding, moved to the space; what is found is a local optimum.
        """
        weights = auxiliary.weights
        if self.masses.size == weights.size and np.allclose(self.masses, weights, rtol=1e-9, atol=0.0):
            return self.places
        points = self.space.embed(self.places)
        places = _spread(self.places, self.masses, weights)
        last = np.inf
        for _ in range(ROUNDS):
            plan, cost = self._plan(places, weights)
            if not cost < (1.0 - SETTLED) * last:
                break
            last = cost
            places = self.space.locate(plan @ points)
        return places

    def _plan(self, places: FloatArray, weights: FloatArray) -> tuple[FloatArray, float]:
        """Best transport (nodes, points) of the nodes to the law, and its cost."""
        import ot

        cost = np.stack([self.space.distance(place[None], self.places) ** 2 for place in places])
        plan = np.asarray(
            ot.emd(weights / weights.sum(), self.masses / self.masses.sum(), cost, numItermax=10**8)
        )
        return plan, float((plan * cost).sum())

    def distance(self, places: FloatArray, masses: FloatArray, order: int) -> float:
        """W_order by geodesic distance."""
        return self.space.wasserstein_atoms(places, masses, self.places, self.masses, order)

    def masses_on(self, space: Space) -> FloatArray | None:
        """Masses of the cells of the grid, where there is a density."""
        if self.density is None or self.density.size != space.weights.size:
            return None
        masses = np.maximum(self.density, 0.0) * space.weights
        return np.asarray(masses / masses.sum())


def _spread(places: FloatArray, masses: FloatArray, weights: FloatArray) -> FloatArray:
    """Start with points at the levels of the nodes, the law's points ordered along a principal axis."""
    centred = places - masses @ places / masses.sum()
    axis = np.linalg.svd(centred * np.sqrt(masses)[:, None], full_matrices=False)[2][0]
    order = np.argsort(centred @ axis, kind="stable")
    below = np.cumsum(masses[order]) / masses.sum()
    levels = np.cumsum(weights) - weights / 2.0
    return places[order[np.minimum(np.searchsorted(below, levels), order.size - 1)]]


def target_of(space: Space, initial: Initial, auxiliary: Auxiliary) -> Target:
    """Law that an initial law describes, the same at all nodes.

    Raises
    ------
    InputError
        When it depends on the node, or is no law.
    """
    if initial.tokens is not None:
        places, masses = initial.tokens.places, initial.tokens.masses
        if len(places) != 1:
            raise InputError(
                f"target: must be one law of the tokens, got one for each of {len(places)} nodes"
            )
        shares = np.broadcast_to(masses, places.shape[:2])[0]
        if not space.place:
            return LineTarget(LineLaw.of_atoms(places[0], shares))
        return CloudTarget(space, places[0], shares / shares.sum())
    if not space.place:
        fine = space.resized(CELLS)
        if initial.table is not None and not initial.interpolates(space, auxiliary):
            fine = space.resized(initial.table.shape[1])
        return LineTarget(LineLaw.of_density(initial.grid_values(fine, auxiliary)[0]))
    grown = space.at_least(3 * initial.degree)
    coefficients = initial.coefficients(grown, auxiliary)
    density = space.synthesise(coefficients)[0]
    return CloudTarget(space, *space.equivalent(coefficients[0]), density)
