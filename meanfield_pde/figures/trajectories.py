"""Trajectories of labelled tokens over depth, where a density would be a sum of Dirac masses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection

from meanfield_pde.figures import style
from meanfield_pde.figures.axes import depth_axis, token_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["has_trajectories", "trajectories"]

_LINES = 60  # more run together in a panel


def has_trajectories(record: Record) -> bool:
    """Tell whether there are the trajectories of one auxiliary node, over all depths."""
    return (
        "label_weight" in record
        and len(record["aux"]) == 1
        and "position" in record
        and record.variables["position"].dims[0] == "time"
    )


def trajectories(ax: Axes, record: Record) -> str:
    """Draw the trajectories of some labels that share the mass equally, or of all, and say which."""
    x, y = depth_axis(record), token_axis(record)
    position = np.asarray(record["position"][:, 0], dtype=float)
    weight = record["label_weight"].reshape(-1)
    chosen = _chosen(y.wrap(position[0]), weight)
    lines = [
        np.column_stack([x.points, copy])
        for path in _lifted(position[:, chosen], y.period).T
        for copy in _copies(path, y.limits, y.period)
    ]
    ax.add_collection(LineCollection(lines, colors=style.BLUE, linewidths=0.7, alpha=0.75, capstyle="butt"))
    x.mark(ax, "x")
    y.mark(ax, "y")
    return (
        f"all {weight.size} tokens" if chosen.size == weight.size else f"{chosen.size} tokens of equal mass"
    )


def _chosen(start: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.intp]:
    """Labels at the middles of equal shares of the mass, by where they start; all of them if they are few."""
    if weight.size <= _LINES:
        return np.arange(weight.size)
    order = np.argsort(start, kind="stable")
    mass = np.cumsum(weight[order])
    middles = (np.arange(_LINES) + 0.5) / _LINES * mass[-1]
    return np.unique(order[np.searchsorted(mass, middles)])


def _lifted(position: NDArray[np.float64], period: float | None) -> NDArray[np.float64]:
    """Make trajectories (time, label) continuous: from each saved state by the shorter way to the next."""
    if period is None:
        return position
    steps = np.diff(position, axis=0)
    steps -= period * np.round(steps / period)
    return np.concatenate([position[:1], position[:1] + np.cumsum(steps, axis=0)])


def _copies(
    path: NDArray[np.float64], limits: tuple[float, float], period: float | None
) -> list[NDArray[np.float64]]:
    """Return a path shifted by all periods that bring part of it within the limits, where it is cut off."""
    if period is None:
        return [path]
    turns = (math.floor((extreme - limits[0]) / period) for extreme in (path.min(), path.max()))
    first, last = turns
    return [path - turn * period for turn in range(first, last + 1)]
