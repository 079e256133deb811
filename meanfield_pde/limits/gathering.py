"""Few tokens that stand for smooth laws where places are vectors, and which of them have come together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.initial import Initial, Tokens, uniform
from meanfield_pde.methods.spectral import resolved_start
from meanfield_pde.spaces import Atoms

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space

__all__ = ["gathered", "thinned"]

#: Tokens within this distance, radians, of the leader of a group belong to it.
WITHIN = 0.5
#: Masses below this are stragglers of rounding.
SMALLEST = 1e-13
#: Factor between the quadratures of a density that are tried.
COARSER = 0.8
#: Angles by which the grid is turned in its planes, in cells: points of a symmetric grid may lie on the lines
#: between basins of symmetric laws, and stay there for ever.
TURNED = (0.382, 0.236)


def thinned(problem: Problem, most: int, coarsest: int) -> Problem:
    """Begin with tokens at the points of a coarse grid, for smooth densities.

    They are at most so many in all, unless nodes are so many that each has those of the coarsest grid.
    """
    if problem.initial.tokens is not None:
        return problem
    nodes, space = problem.auxiliary.nodes.size, problem.space
    _, coefficients = resolved_start(problem)
    while len(space.points) * nodes > most and COARSER * space.resolution >= coarsest:
        space = space.resized(int(COARSER * space.resolution))
    planes = problem.space.dimension // 2
    angles = np.array(TURNED[:planes]) * 2.0 * np.pi / np.sqrt(len(space.points))
    turned = problem.space.rotate(coefficients, -np.tile(angles, (len(coefficients), 1)))
    masses = np.maximum(space.synthesise(turned), 0.0) * space.weights
    places = space.locate(space.points @ space.rotations(angles[None])[0].T)
    tokens = Tokens(np.broadcast_to(places, (nodes, *places.shape)).copy(), masses + SMALLEST * masses.max())
    return replace(problem, initial=Initial(uniform, tokens=tokens))


def gathered(space: Space, atoms: Atoms) -> tuple[Atoms, FloatArray]:
    """Centres of groups of atoms with their masses, and the distance of every atom from its centre, (atoms,).

    The heaviest atom that belongs to no group yet leads the next: groups are told from each other where
    they have contracted well below ``WITHIN``.
    """
    places, masses, starts = [], [], [0]
    distances = np.empty(atoms.masses.size)
    for row in range(atoms.starts.size - 1):
        own = slice(int(atoms.starts[row]), int(atoms.starts[row + 1]))
        group = _groups(space, atoms.places[own], atoms.masses[own])
        centres = _centres(space, atoms.places[own], atoms.masses[own], group)
        distances[own] = space.distance(atoms.places[own], centres[group])
        mass = np.bincount(group, weights=atoms.masses[own])
        kept = mass > SMALLEST
        places.append(centres[kept])
        masses.append(mass[kept] / mass[kept].sum())
        starts.append(starts[-1] + int(np.count_nonzero(kept)))
    return Atoms(np.concatenate(places), np.concatenate(masses), np.array(starts, dtype=np.intp)), distances


def _groups(space: Space, places: FloatArray, masses: FloatArray) -> IntArray:
    """Tell the number of the group of every atom of a row."""
    group = np.full(masses.size, -1, dtype=np.intp)
    order = np.argsort(-masses, kind="stable")
    count = 0
    for leader in order:
        if group[leader] >= 0:
            continue
        near = space.distance(places, np.broadcast_to(places[leader], places.shape)) < WITHIN
        group[near & (group < 0)] = count
        count += 1
    return group


def _centres(space: Space, places: FloatArray, masses: FloatArray, group: IntArray) -> FloatArray:
    """Places nearest to the centres of mass of the groups."""
    points = space.embed(places)
    sums = np.zeros((int(group.max()) + 1, points.shape[1]))
    np.add.at(sums, group, masses[:, None] * points)
    return space.locate(sums)
