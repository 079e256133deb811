"""One solution on a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meanfield_pde.figures import heat, metastability, panels, style
from meanfield_pde.figures.axes import token_axis
from meanfield_pde.figures.trajectories import has_trajectories, trajectories

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from meanfield_pde.records import Record

__all__ = ["overview"]


def overview(record: Record) -> Figure:
    """Draw marginal and final state above, pushforward, clusters, order parameter and free energy below."""
    below = [_pushforward] if len(record["aux"]) > 1 else []
    below += [_clusters] if metastability.has_clusters(record) else []
    below += [_order, _energy]
    rows = 2 if len(below) > 3 else 1
    page = style.page(4.6 if rows == 1 else 6.4, style.title(record))
    top, bottom = style.halves(page, 1.15 / rows)
    left, right = top.subplots(1, 2)
    _tokens(left, record, "a")
    (_ends if len(record["aux"]) == 1 else _joint)(right, record, "b")
    places = bottom.subplots(rows, len(below) // rows).ravel()
    for draw, ax, letter in zip(below, places, "cdef", strict=False):
        draw(ax, record, letter)
    return page


def _tokens(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter, "Tokens over depth")
    if has_trajectories(record):
        style.note(ax, trajectories(ax, record))
        return
    image = panels.marginal_image(record, panels.smoothing(record))
    shade = heat.Shade.of(image)
    label = panels.named(rf"$\mu(t,{token_axis(record).symbol})$", record, smoothed=True)
    heat.scale(panels.marginal(ax, record, image, shade), ax, label, shade)
    if panels.is_switched(record):
        style.key(ax, [panels.switch_key()], ["to finite volumes"])


def _joint(ax: Axes, record: Record, letter: str) -> None:
    image = panels.final_image(record)
    shade = heat.Shade.of(image)
    style.head(ax, letter, f"Last state, $t = {style.number(record['time'][-1])}$")
    label = panels.named(rf"$\rho({token_axis(record).symbol}\,|\,z)$", record)
    heat.scale(panels.joint(ax, record, image, shade), ax, label, shade)
    if ax.collections:
        style.key(ax, [panels.map_key()], ["conditional mean $T(z)$"], handlelength=0.6, handletextpad=0.3)


def _ends(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter, "First and last state")
    panels.ends(ax, record)
    style.key(ax)


def _pushforward(ax: Axes, record: Record, letter: str) -> None:
    distance = float(record.attributes.get("w2", math.nan))
    defined = panels.pushforward(ax, record) and math.isfinite(distance)
    style.head(ax, letter, f"$W_2 = {distance:.2g}$" if defined else "")
    style.key(ax)


def _clusters(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter)
    metastability.clusters(ax, record)
    panels.switch(ax, record)
    if "plateau_start" in record:
        style.key(ax, [metastability.plateau_key()], ["plateau, number of clusters"])


def _order(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter)
    panels.order(ax, record)
    style.key(ax)


def _energy(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter)
    panels.energy(ax, record)
    style.key(ax)
