"""One solution on a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meanfield_pde.figures import heat, panels, style
from meanfield_pde.figures.axes import token_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from meanfield_pde.records import Record

__all__ = ["overview"]


def overview(record: Record) -> Figure:
    """Draw marginal and final state above, pushforward, order parameter and free energy below."""
    page = style.page(4.6, style.title(record))
    top, bottom = style.halves(page, 1.15)
    left, right = top.subplots(1, 2)
    _marginal(left, record)
    if len(record["aux"]) == 1:
        _ends(right, record, "b")
        curves = bottom.subplots(1, 2)
    else:
        _joint(right, record)
        curves = bottom.subplots(1, 3)
        _pushforward(curves[0], record)
    _curves(curves[-2], curves[-1], record, "cd" if len(record["aux"]) == 1 else "de")
    return page


def _marginal(ax: Axes, record: Record) -> None:
    image = panels.marginal_image(record)
    shade = heat.Shade.of(image)
    style.head(ax, "a", "Tokens over depth")
    heat.scale(panels.marginal(ax, record, image, shade), ax, rf"$\mu(t,{token_axis(record).symbol})$", shade)


def _joint(ax: Axes, record: Record) -> None:
    image = panels.final_image(record)
    shade = heat.Shade.of(image)
    style.head(ax, "b", f"Last state, $t = {style.number(record['time'][-1])}$")
    heat.scale(
        panels.joint(ax, record, image, shade), ax, rf"$\rho({token_axis(record).symbol}\,|\,z)$", shade
    )
    if ax.collections:
        style.key(ax, [panels.map_key()], ["conditional mean $T(z)$"], handlelength=0.6, handletextpad=0.3)


def _ends(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter, "First and last state")
    panels.ends(ax, record)
    style.key(ax)


def _pushforward(ax: Axes, record: Record) -> None:
    distance = float(record.attributes.get("w2", math.nan))
    defined = panels.pushforward(ax, record) and math.isfinite(distance)
    style.head(ax, "c", f"$W_2 = {distance:.2g}$" if defined else "")
    style.key(ax)


def _curves(left: Axes, right: Axes, record: Record, letters: str) -> None:
    style.head(left, letters[0])
    panels.order(left, record)
    style.key(left)
    style.head(right, letters[1])
    panels.energy(right, record)
    style.key(right)
