"""Which tokens of a law have come together, where places are vectors: groups about their heaviest tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.spaces import Atoms

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.spaces import Space

__all__ = ["gathered"]

#: Tokens within this distance, radians, of the leader of a group belong to it.
WITHIN = 0.5
#: Masses below this are stragglers of rounding.
SMALLEST = 1e-13


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
