"""Labels of the flow map: a quadrature of the initial densities, and what has become of it.

The conditional density ρ(t, ·|z) is the image of its initial density under the flow map X(t, ·, z). Where
neighbouring labels separate, the panel that holds them is halved; labels that have come together for good
move as one *atom*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.spaces import Atoms
from solvers.panels import ORDER, Panels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import BoolArray, FloatArray, IntArray

__all__ = ["Cloud", "Labels"]

TURN = 2.0 * math.pi
#: Labels become one atom only when they are closer by this factor than they were at the start.
CONTRACTION = 1e-3
#: Labels, over all states, whose positions are kept; beyond, those of the last state alone.
MOST_LABELS = 2**23


@dataclass(frozen=True, eq=False)
class Labels:
    """Initial places and masses of labels, ordered by row (auxiliary node) and place.

    Parameters
    ----------
    places, masses
        (labels,) each; the masses of a row sum to one.
    starts
        Row j has the labels ``starts[j]`` to ``starts[j + 1]``.
    panels
        The Gauss panels whose nodes the labels are, None for tokens that are given one by one.
    density
        Initial density at the nodes of the panels, (panels, ORDER), empty without panels.
    """

    places: FloatArray
    masses: FloatArray
    starts: IntArray
    panels: Panels | None
    density: FloatArray

    @staticmethod
    def of_panels(panels: Panels, density: FloatArray, rows: int) -> Labels:
        """Gauss nodes with the masses of the initial density."""
        counts = ORDER * np.bincount(panels.row, minlength=rows)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        return Labels(panels.nodes.ravel(), (density * panels.weights).ravel(), starts, panels, density)

    @staticmethod
    def of_tokens(places: FloatArray, masses: FloatArray, starts: IntArray) -> Labels:
        """Tokens at any places; they are put in order."""
        rows = np.repeat(np.arange(starts.size - 1), np.diff(starts))
        order = np.lexsort((places % TURN, rows))
        return Labels(places[order] % TURN, masses[order], starts, None, np.empty((0, ORDER)))

    @cached_property
    def rows(self) -> IntArray:
        """Row of every label."""
        return np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))


@dataclass(frozen=True, eq=False)
class Cloud:
    """Labels at a depth.

    Parameters
    ----------
    labels
        What they were at the start.
    group
        Atom that every label belongs to, (labels,); atoms are ordered by row.
    lift
        Turns by which a label lies further than its atom on the lifted line, (labels,).
    positions
        Lifted angles of the atoms, (atoms,).
    """

    labels: Labels
    group: IntArray
    lift: FloatArray
    positions: FloatArray

    @staticmethod
    def start(labels: Labels) -> Cloud:
        """Every label by itself, at its place."""
        count = labels.places.size
        return Cloud(labels, np.arange(count), np.zeros(count), labels.places.copy())

    @cached_property
    def _first(self) -> IntArray:
        """A label of every atom."""
        return np.asarray(np.unique(self.group, return_index=True)[1], dtype=np.intp)

    @cached_property
    def _starts(self) -> IntArray:
        """First atom of every row, and the number of atoms."""
        counts = np.bincount(self.labels.rows[self._first], minlength=self.labels.starts.size - 1)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)

    @cached_property
    def masses(self) -> FloatArray:
        """Masses of the atoms."""
        masses = np.bincount(self.group, weights=self.labels.masses, minlength=self.positions.size)
        return np.asarray(masses, dtype=np.float64)

    @property
    def atoms(self) -> Atoms:
        """The atoms."""
        return self.moved(self.positions)

    def moved(self, positions: FloatArray) -> Atoms:
        """Return the atoms at other positions."""
        return Atoms(positions, self.masses, self._starts)

    @cached_property
    def places(self) -> FloatArray:
        """Lifted angles of the labels, (labels,)."""
        return np.asarray(self.positions[self.group] + TURN * self.lift)

    @property
    def panel_places(self) -> FloatArray:
        """Lifted angles at the nodes of the panels, (panels, ORDER)."""
        return self.places.reshape(-1, ORDER)

    def unresolved(self) -> FloatArray:
        """Mass of every panel times what its polynomial leaves out of the flow map, (panels,)."""
        return np.asarray(self.panel_masses * Panels.tails(self.panel_places))

    @property
    def panel_masses(self) -> FloatArray:
        """Mass of every panel, (panels,)."""
        return np.asarray(np.abs(self.labels.masses).reshape(-1, ORDER).sum(axis=1))

    def halved(self, chosen: BoolArray) -> Cloud:
        """Halve the chosen panels; their new labels are atoms of their own."""
        labels = self.labels
        if labels.panels is None:
            raise ValueError("cloud: tokens that are given one by one cannot be refined")
        density = Panels.on_halves(labels.density, chosen)
        finer = Labels.of_panels(labels.panels.halved(chosen), density, labels.starts.size - 1)
        places = Panels.on_halves(self.panel_places, chosen).ravel()
        repeats = np.where(chosen, 2, 1)
        fresh = np.repeat(np.repeat(chosen, repeats), ORDER)
        group = np.repeat(self.group.reshape(-1, ORDER), repeats, axis=0).ravel()
        group[fresh] = self.positions.size + np.arange(np.count_nonzero(fresh))
        return _gathered(finer, group, places)

    def merged(self, distance: float) -> Cloud:
        """Join atoms of a row that have come closer than ``distance``, and much closer than at the start."""
        rows, starts = self.labels.rows[self._first], self.labels.places[self._first]
        place = self.positions % TURN
        order = np.lexsort((place, rows))
        following = np.append(order[1:], order[:1])
        last = self._starts[1:] - 1
        following[last] = order[self._starts[:-1]]
        separation = _distance(place[order], place[following])
        together = (separation < distance) & (
            separation <= CONTRACTION * _distance(starts[order], starts[following])
        )
        together &= order != following
        if not together.any():
            return self
        # Runs in the order on the circle, the one that goes over the seam of a row joined with its first.
        breaks = np.ones(order.size, dtype=bool)
        breaks[1:] = ~together[:-1]
        breaks[self._starts[:-1]] = True
        run = np.cumsum(breaks) - 1
        seam = together[last] & (run[last] > run[self._starts[:-1]])
        target = np.arange(run[-1] + 1)
        target[run[last[seam]]] = run[self._starts[:-1][seam]]
        atom = np.empty(order.size, dtype=np.intp)
        atom[order] = target[run]
        return _gathered(self.labels, atom[self.group], self.places)

    def contracted(self, distance: float) -> BoolArray:
        """Tell which panels have become narrower than ``distance``, and much narrower than they were."""
        panels = self.labels.panels
        if panels is None:
            return np.zeros(0, dtype=bool)
        narrow = np.ptp(self.panel_places, axis=1)
        return np.asarray((narrow < distance) & (narrow <= CONTRACTION * (panels.right - panels.left)))

    def condensed(self, distance: float) -> Cloud:
        """Join atoms of contracted panels that lie in the same interval of length ``distance``.

        Centres of mass stay: what the others feel changes by the square of the distance.
        """
        narrow = np.repeat(self.contracted(distance), ORDER)
        if not narrow.any():
            return self
        members = np.flatnonzero(np.bincount(self.group, weights=narrow))
        interval = np.floor((self.positions[members] % TURN) / distance)
        rows = self.labels.rows[self._first[members]]
        joined = np.unique(np.stack([rows, interval]), axis=1, return_inverse=True)[1].ravel()
        if joined.max() + 1 == members.size:
            return self
        key = np.arange(self.positions.size)
        key[members] = self.positions.size + joined
        return _gathered(self.labels, key[self.group], self.places)

    def stored(self, states: int) -> Cloud | None:
        """Return the same cloud in little memory, None where so many of them would take too much."""
        if self.labels.places.size * states > MOST_LABELS:
            return None
        group: Any = self.group.astype(np.int32)
        lift: Any = self.lift.astype(np.int16)
        return Cloud(self.labels, group, lift, self.positions)

    def content(self) -> dict[str, Any]:
        """Arrays that make it up."""
        labels, panels = self.labels, self.labels.panels
        shared = {
            "starts": labels.starts,
            "group": self.group,
            "lift": self.lift,
            "positions": self.positions,
        }
        if panels is None:
            return shared | {"places": labels.places, "masses": labels.masses}
        own = {"left": panels.left, "right": panels.right, "row": panels.row, "density": labels.density}
        return shared | own

    @staticmethod
    def restored(content: Mapping[str, Any]) -> Cloud:
        """Invert ``content``."""
        starts = content["starts"].astype(np.intp)
        if "left" in content:
            panels = Panels(content["left"], content["right"], content["row"].astype(np.intp))
            labels = Labels.of_panels(panels, content["density"], starts.size - 1)
        else:
            labels = Labels(content["places"], content["masses"], starts, None, np.empty((0, ORDER)))
        return Cloud(labels, content["group"].astype(np.intp), content["lift"], content["positions"])

    def at(self, positions: FloatArray) -> Cloud:
        """Move the atoms."""
        return replace(self, positions=positions)


def _distance(first: FloatArray, second: FloatArray) -> FloatArray:
    """Arc between two angles."""
    difference = np.abs(first - second) % TURN
    return np.minimum(difference, TURN - difference)


def _gathered(labels: Labels, key: IntArray, places: FloatArray) -> Cloud:
    """Atoms of the labels with equal keys, at their centres of mass, ordered by row."""
    first, group = np.unique(key, return_index=True, return_inverse=True)[1:]
    order = np.argsort(labels.rows[first], kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    group, anchor = rank[group], places[first[order]]
    # Relative to one of the labels: labels that coincide stay where they are to the last bit.
    lift = np.round((places - anchor[group]) / TURN)
    offset = places - TURN * lift - anchor[group]
    weights = np.abs(labels.masses) + 1e-300
    total = np.bincount(group, weights=weights, minlength=order.size)
    moment = np.bincount(group, weights=weights * offset, minlength=order.size)
    return Cloud(labels, group, lift, anchor + moment / total)
