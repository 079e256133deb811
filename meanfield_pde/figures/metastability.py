"""Panels of metastability: the masses of clusters over depth, and where the state hardly changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from meanfield_pde.figures import style
from meanfield_pde.figures.axes import depth_axis
from meanfield_pde.plateaus import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from meanfield_pde.records import Record

__all__ = ["clusters", "has_clusters", "plateau_key", "spans"]

_STRIP = 1.25  # the upper end of the panel, when plateaus are marked above the masses
_LINE: dict[str, Any] = {"color": style.BLACK, "linewidth": 1.6, "solid_capstyle": "butt"}
_APART = 0.07  # of the width of the panel: numbers of plateaus nearer to each other would touch


def has_clusters(record: Record) -> bool:
    """Tell whether there are clusters to be drawn."""
    return "cluster_mass" in record


def clusters(ax: Axes, record: Record) -> None:
    """Draw the masses of the clusters over depth, stacked, the heaviest lowest; above them the plateaus."""
    x = depth_axis(record)
    masses = np.nan_to_num(record["cluster_mass"])
    tops = np.cumsum(masses, axis=1)
    shades = style.DENSITY(np.linspace(0.62, 0.18, masses.shape[1]))
    for rank, shade in enumerate(shades):
        bottom = tops[:, rank] - masses[:, rank]
        ax.stairs(tops[:, rank], x.edges, baseline=bottom, fill=True, color=shade)
        inner = np.where(masses[:, rank] > 0, bottom, np.nan)
        if rank > 0:
            ax.stairs(inner, x.edges, baseline=None, color="white", linewidth=0.7)
    x.mark(ax, "x")
    ax.set_ylim(0, _STRIP if describe(record) else 1.03)
    ax.set_yticks([0.0, 0.5, 1.0])
    style.plain(ax.yaxis)
    ax.set_ylabel("Masses of clusters")
    _plateaus(ax, record, *x.limits)


def _plateaus(ax: Axes, record: Record, first: float, last: float) -> None:
    """Mark the plateaus above the masses, each with its number of clusters where there is room for it."""
    numbered, room = -np.inf, _APART * (last - first)
    for plateau in describe(record):
        ax.plot([plateau["start"], plateau["end"]], [1.06, 1.06], **_LINE)
        middle = np.clip((plateau["start"] + plateau["end"]) / 2, first + room / 2, last - room / 2)
        if middle - numbered > room:
            numbered = middle
            ax.text(middle, 1.09, str(plateau["clusters"]), ha="center", va="bottom", fontsize=7.5)


def plateau_key() -> Line2D:
    """Return what stands for a plateau in a legend."""
    return Line2D([], [], **_LINE)


def spans(ax: Axes, record: Record) -> None:
    """Shade the plateaus in a panel over depth."""
    for number, plateau in enumerate(describe(record)):
        label = "plateau" if number == 0 else None
        ax.axvspan(plateau["start"], plateau["end"], color=style.SHADE, linewidth=0, zorder=0, label=label)
