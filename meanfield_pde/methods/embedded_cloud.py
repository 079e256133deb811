"""Labels of the flow map where places are vectors: what they were, and what has become of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.attention.blocks import turned
from meanfield_pde.attention.scattered import largest_exponent
from meanfield_pde.errors import InputError
from meanfield_pde.methods.spectral import resolved_start
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.base import surface

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import BoolArray, FloatArray, IntArray
    from meanfield_pde.initial import Tokens
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces.base import Surface

__all__ = ["EmbeddedCloud", "initial_cloud"]

#: Error of the length of a vector, as written by hand.
LENGTH = 1e-6
#: Atoms of a node are joined only when they are closer by this factor than they were at the start.
CONTRACTION = 1e-3
#: Products of unit vectors find atoms to within this distance of each other, and no less; differences decide.
FOUND = 1e-7
#: Weight of modes of the kernel that quadrature of the initial density leaves out, relative to the largest.
MODE_TOLERANCE = 1e-15
#: Numbers in the positions of all states that are kept; beyond, those of the last state alone.
MOST_NUMBERS = 2**25


@dataclass(frozen=True, eq=False)
class EmbeddedCloud:
    """Labels at a depth, as many at every node.

    Parameters
    ----------
    start
        What they were at the start, (aux, labels, d).
    masses
        (aux, labels); those of a node sum to one.
    group
        Atom that every label belongs to, (aux · labels,); atoms are ordered by node.
    positions
        Places of the atoms, (atoms, d).
    """

    start: FloatArray
    masses: FloatArray
    group: IntArray
    positions: FloatArray

    @staticmethod
    def begin(start: FloatArray, masses: FloatArray) -> EmbeddedCloud:
        """Every label by itself, at its place."""
        return EmbeddedCloud(start, masses, np.arange(masses.size), start.reshape(-1, start.shape[-1]).copy())

    @cached_property
    def _first(self) -> IntArray:
        """A label of every atom."""
        return np.asarray(np.unique(self.group, return_index=True)[1], dtype=np.intp)

    @cached_property
    def rows(self) -> IntArray:
        """Auxiliary node of every atom."""
        return np.asarray(self._first // self.masses.shape[1])

    @cached_property
    def atom_masses(self) -> FloatArray:
        """Masses of the atoms."""
        summed = np.bincount(self.group, weights=self.masses.ravel(), minlength=len(self.positions))
        return np.asarray(summed, dtype=np.float64)

    @cached_property
    def starts(self) -> IntArray:
        """First atom of every node, and the number of atoms."""
        counts = np.bincount(self.rows, minlength=len(self.masses))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)

    @property
    def atoms(self) -> Atoms:
        """The atoms."""
        return Atoms(self.positions, self.atom_masses, self.starts)

    @property
    def places(self) -> FloatArray:
        """Places of the labels, (aux, labels, d)."""
        return self.positions[self.group].reshape(self.start.shape)

    def at(self, positions: FloatArray) -> EmbeddedCloud:
        """Move the atoms."""
        return replace(self, positions=positions)

    def merged(self, distance: float, space: Surface) -> EmbeddedCloud:
        """Join atoms of a node that have come closer than ``distance``, and much closer than at the start."""
        target = np.arange(len(self.positions))
        for first, last in zip(self.starts[:-1], self.starts[1:], strict=True):
            target[first:last] = first + self._leaders(slice(int(first), int(last)), distance)
        if (target == np.arange(target.size)).all():
            return self
        weights = np.abs(self.atom_masses) + 1e-300
        kept, atom = np.unique(target, return_inverse=True)
        total = np.bincount(atom, weights=weights)
        # Relative to one of them: atoms that coincide stay where they are to the last bit.
        offsets = np.zeros((kept.size, self.positions.shape[1]))
        np.add.at(offsets, atom, weights[:, None] * (self.positions - self.positions[target]))
        moved = self.positions[kept] + offsets / total[:, None]
        joined = np.bincount(atom) > 1
        moved[joined] = space.retract(moved[joined])
        return EmbeddedCloud(self.start, self.masses, atom[self.group], moved)

    def _leaders(self, chosen: slice, distance: float) -> IntArray:
        """For every atom of a node the first one that it joins, itself if none."""
        places = self.positions[chosen]
        first = self.start.reshape(-1, places.shape[1])[self._first[chosen]]
        leader = np.arange(len(places))
        for index in np.flatnonzero(_with_neighbour(places, distance)):
            if leader[index] != index:
                continue
            separation = np.linalg.norm(places - places[index], axis=1)
            before = np.linalg.norm(first - first[index], axis=1)
            near = (
                (separation < distance)
                & (separation <= CONTRACTION * before)
                & (leader == np.arange(leader.size))
            )
            near[: index + 1] = False
            leader[near] = index
        return leader

    def stored(self, states: int) -> EmbeddedCloud | None:
        """Return the same cloud, None where so many of them would take too much memory."""
        return None if self.start.size * states > MOST_NUMBERS else self

    def content(self) -> dict[str, Any]:
        """Arrays that make it up."""
        return {"start": self.start, "masses": self.masses, "group": self.group, "positions": self.positions}

    @staticmethod
    def restored(content: Mapping[str, Any]) -> EmbeddedCloud:
        """Invert ``content``."""
        group = content["group"].astype(np.intp)
        return EmbeddedCloud(content["start"], content["masses"], group, content["positions"])


def _with_neighbour(places: FloatArray, distance: float) -> BoolArray:
    """Whether another point lies within a distance or hardly beyond, by blocks of products."""
    result = np.zeros(len(places), dtype=np.bool_)
    square, reach = float(places[0] @ places[0]), max(distance, FOUND) ** 2
    size = max(1, 2**20 // len(places))
    for first in range(0, len(places), size):
        block = slice(first, min(first + size, len(places)))
        near = places[block] @ places.T > square - 0.5 * reach - 1e-14
        result[block] = near.sum(axis=1) > 1
    return result


def initial_cloud(problem: Problem) -> EmbeddedCloud:
    """Labels for the initial laws: tokens one by one, or the points of a quadrature of smooth densities.

    Raises
    ------
    InputError
        When tokens do not lie on the space, or the space has no grid for densities.
    ComputationError
        When the finest grid does not resolve the densities.
    """
    if problem.initial.tokens is not None:
        return _tokens(problem, problem.initial.tokens)
    space, coefficients = resolved_start(problem)
    exponents = [largest_exponent(space, problem.attention, head) for head in problem.attention.heads]
    fine = space.at_least(max(space.degree(exponent, MODE_TOLERANCE) for exponent in exponents))
    masses = fine.synthesise(fine.pad(coefficients)) * fine.weights
    masses = masses / masses.sum(axis=1, keepdims=True)  # the sum differs from one by rounding
    return EmbeddedCloud.begin(np.tile(fine.points, (len(masses), 1, 1)), masses)


def _tokens(problem: Problem, tokens: Tokens) -> EmbeddedCloud:
    """One label a token at every node, turned by the turns."""
    nodes, space = problem.auxiliary.nodes, surface(problem.space)
    if tokens.places.shape[2:] != problem.space.place or len(tokens.places) not in {1, nodes.size}:
        raise InputError(
            f"initial tokens: places must be (1 or {nodes.size}, tokens, {problem.space.dimension}) on this "
            f"space, got shape {tokens.places.shape}"
        )
    with np.errstate(invalid="ignore", divide="ignore"):  # zero has no nearest point, and is found so
        nearest = space.retract(tokens.places)
    off = np.abs(nearest - tokens.places).max()
    if not off <= LENGTH:
        raise InputError(
            f"initial tokens: vectors must lie on the space (length {problem.space.radius:g}) to {LENGTH:g}, "
            f"one is {off:.3g} off; divide them by their lengths"
        )
    shape = (nodes.size, tokens.places.shape[1])
    start = np.array(np.broadcast_to(nearest, (*shape, nearest.shape[2])))
    if problem.initial.turns != 0.0:
        start = turned(start, 2.0 * math.pi * problem.initial.turns * nodes[:, None, None])
    masses = tokens.masses / tokens.masses.sum(axis=1, keepdims=True)
    return EmbeddedCloud.begin(start, np.array(np.broadcast_to(masses, shape)))
