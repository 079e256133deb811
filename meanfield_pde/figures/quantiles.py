"""Quantiles of a token marginal against those of a law of atoms, on a line or a circle cut open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.figures import panels, style
from meanfield_pde.figures.axes import token_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from meanfield_pde.figures.axes import Axis
    from meanfield_pde.records import Record

__all__ = ["cut", "quantiles"]

_COUNT = 256  # points that nearly touch; shares of equal nodes seldom end at one of these probabilities
_NARROW = 0.5  # of the axis: laws within less of it are shown enlarged
_LEAST = 0.05  # of the axis: the most that is enlarged, lest the cells of the grid look like a misfit
_TIED = 1e-6  # of the mean density: differences below are rounding


def quantiles(
    ax: Axes,
    record: Record,
    marginal: NDArray[np.float64],
    atoms: tuple[NDArray[np.float64], NDArray[np.float64]],
    name: str,
) -> None:
    """Draw quantiles at equal steps of probability: those of the marginal over those of the atoms."""
    x = cut(record, marginal, atoms)
    shares = (np.arange(_COUNT) + 0.5) / _COUNT
    across = _of_atoms(x.wrap(atoms[0]), atoms[1], shares)
    upward = _of_cells(record, marginal, x, shares)
    x = _enlarged(x, np.concatenate([across, upward]))
    ax.plot(x.limits, x.limits, color=style.GREY, linewidth=0.8, zorder=1)
    ax.plot(across, upward, linestyle="none", marker="o", markersize=2.2, markeredgewidth=0, color=style.BLUE)
    x.mark(ax, "x")
    x.mark(ax, "y")
    ax.set_xlabel(f"Quantile of {name}")
    ax.set_ylabel(r"Quantile of $\mu$")


def cut(
    record: Record, marginal: NDArray[np.float64], atoms: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Axis:
    """Return the axis of the token; a closed curve begins where both laws together are thinnest."""
    x = token_axis(record)
    if x.period is None:
        return x
    at, first = panels.smoothed(record, record["token"], marginal * record["token_weight"])
    both = first + panels.smoothed(record, *atoms)[1]
    thin = at[both <= both.min() + _TIED * both.mean()]
    place = float(thin[np.argmax(_distance(thin, np.sort(atoms[0]), x.period))])
    # The middle of the turn stays within the limits of the axis: quantiles are the usual angles.
    place -= x.period * (place - x.limits[0] >= x.period / 2)
    return replace(x, limits=(place, place + x.period))


def _distance(
    places: NDArray[np.float64], positions: NDArray[np.float64], period: float
) -> NDArray[np.float64]:
    """Return how far places are from the nearest of sorted positions on a circle, to nine decimals.

    Between places that rounding alone tells apart the first is to be taken.
    """
    turns = np.concatenate([positions - period, positions, positions + period])
    after = np.searchsorted(turns, places)
    after = np.clip(after, 1, len(turns) - 1)
    return np.asarray(np.round(np.minimum(places - turns[after - 1], turns[after] - places), 9))


def _of_atoms(
    positions: NDArray[np.float64], masses: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the positions below which these shares of the mass lie."""
    order = np.argsort(positions, kind="stable")
    below = np.cumsum(masses[order])
    return np.asarray(positions[order][np.searchsorted(below, shares * below[-1])])


def _of_cells(
    record: Record, marginal: NDArray[np.float64], x: Axis, shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the quantiles of a density that is constant on the cells of the grid, from the cut onwards."""
    full, masses = token_axis(record), marginal * record["token_weight"]
    edges = full.edges
    if x.period is not None:  # two turns, one of which begins at the cut
        once = edges[1:-1]
        edges, masses = np.concatenate([once, once[1:] + x.period]), np.tile(masses, 2)
    # Rounding leaves densities slightly below zero, where quantiles would go back.
    below = np.maximum.accumulate(np.concatenate([[0.0], np.cumsum(masses)]))
    if x.period is None:
        return np.asarray(np.interp(shares * below[-1], below, edges))
    turns = np.ceil((edges[0] - x.limits[0]) / x.period)
    begin = np.interp(x.limits[0] + turns * x.period, edges, below)
    return np.asarray(np.interp(begin + shares * below[-1] / 2, below, edges) - turns * x.period)


def _enlarged(x: Axis, values: NDArray[np.float64]) -> Axis:
    """Return an axis of the part where the values are, if that is a small one."""
    low, high = float(values.min()), float(values.max())
    whole = x.limits[1] - x.limits[0]
    if high - low > _NARROW * whole:
        return x
    middle, half = (low + high) / 2, max(1.1 * (high - low), _LEAST * whole) / 2
    return replace(x, limits=(middle - half, middle + half), period=None)
