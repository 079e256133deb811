r"""Gauss–Legendre panels: piecewise polynomials of fixed order on intervals that are halved where need be.

A function is held by its values (panels, ``ORDER``) at the Gauss nodes of every panel. Its Legendre
coefficients a_n on a panel tell how well it is resolved: a smooth function has |a_n| falling geometrically.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    import numpy.typing as npt

    from solvers.compiled import FloatArray

    Indices = npt.NDArray[np.intp]
    Mask = npt.NDArray[np.bool_]

__all__ = ["ORDER", "Panels"]

#: Nodes of a panel.
ORDER = 16
NODES, WEIGHTS = legendre.leggauss(ORDER)
_DEGREES = np.arange(ORDER)
_BASIS = legendre.legvander(NODES, ORDER - 1)
#: Legendre coefficients from values.
_ANALYSIS = ((2 * _DEGREES[:, None] + 1) / 2.0) * (_BASIS * WEIGHTS[:, None]).T
#: Values at the nodes of both halves from values: (2, ORDER, ORDER).
_HALVES = np.stack([legendre.legvander((NODES + side) / 2.0, ORDER - 1) @ _ANALYSIS for side in (-1, 1)])


@dataclass(frozen=True, eq=False)
class Panels:
    """Intervals [left, right) of several rows, ordered by row and place.

    Parameters
    ----------
    left, right
        (panels,).
    row
        Row that each belongs to, (panels,).
    """

    left: FloatArray
    right: FloatArray
    row: Indices

    @staticmethod
    def even(rows: int, count: int, length: float) -> Panels:
        """Divide [0, length) of every row into ``count`` panels."""
        edges = length * np.arange(count + 1) / count
        return Panels(np.tile(edges[:-1], rows), np.tile(edges[1:], rows), np.repeat(np.arange(rows), count))

    @property
    def nodes(self) -> FloatArray:
        """Gauss nodes, (panels, ORDER)."""
        middle, half = (self.left + self.right) / 2.0, (self.right - self.left) / 2.0
        return middle[:, None] + half[:, None] * NODES

    @property
    def weights(self) -> FloatArray:
        """Quadrature weights at the nodes, (panels, ORDER)."""
        return ((self.right - self.left) / 2.0)[:, None] * WEIGHTS

    @staticmethod
    def tails(values: FloatArray) -> FloatArray:
        """Size of the highest two Legendre coefficients of every panel, (panels,): what the rest is about."""
        return np.asarray(np.abs(values @ _ANALYSIS[-2:].T).sum(axis=1))

    def halved(self, chosen: Mask) -> Panels:
        """Replace the chosen panels by their halves."""
        middle = (self.left + self.right) / 2.0
        repeats = np.where(chosen, 2, 1)
        left, right = np.repeat(self.left, repeats), np.repeat(self.right, repeats)
        second = np.cumsum(repeats)[chosen] - 1
        left[second], right[second - 1] = middle[chosen], middle[chosen]
        return Panels(left, right, np.repeat(self.row, repeats))

    @staticmethod
    def on_halves(values: FloatArray, chosen: Mask) -> FloatArray:
        """Values on the panels that ``halved`` gives, by interpolation on the chosen ones."""
        result = np.repeat(values, np.where(chosen, 2, 1), axis=0)
        second = np.cumsum(np.where(chosen, 2, 1))[chosen] - 1
        result[second - 1] = values[chosen] @ _HALVES[0].T
        result[second] = values[chosen] @ _HALVES[1].T
        return result

    def place(self, rows: Indices, points: FloatArray) -> tuple[Indices, FloatArray]:
        """Panel that holds each point of a row, and the place within it, in [−1, 1]."""
        span = 2.0 * float(self.right.max() - self.left.min()) + 1.0
        index = np.searchsorted(self.left + span * self.row, points + span * rows, side="right") - 1
        index = np.clip(index, 0, self.row.size - 1)
        middle, half = (self.left + self.right) / 2.0, (self.right - self.left) / 2.0
        return index, np.clip((points - middle[index]) / half[index], -1.0, 1.0)

    @staticmethod
    def evaluate(values: FloatArray, index: Indices, local: FloatArray) -> FloatArray:
        """Value of the polynomial of panel ``index`` at each ``local`` place."""
        coefficients = values @ _ANALYSIS.T
        basis = legendre.legvander(local, ORDER - 1)
        return np.asarray(np.einsum("...n,...n->...", basis, coefficients[index]))

    @staticmethod
    def sampled(values: FloatArray, places: FloatArray) -> FloatArray:
        """Values of every panel's polynomial at the same local places, (panels, places)."""
        return np.asarray(values @ (legendre.legvander(places, ORDER - 1) @ _ANALYSIS).T)

    @staticmethod
    def accumulated(values: FloatArray, places: FloatArray) -> FloatArray:
        """∫ from −1 to each local place of every panel's polynomial, (panels, places)."""
        rows = np.eye(ORDER)
        primitives = np.stack([legendre.legval(places, legendre.legint(row, lbnd=-1)) for row in rows])
        return np.asarray(values @ (primitives.T @ _ANALYSIS).T)
