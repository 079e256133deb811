"""Several solutions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meanfield_pde.figures import heat, panels, style
from meanfield_pde.figures.axes import depth_axis, token_axis

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["comparison"]


def comparison(records: Sequence[Record]) -> Figure:
    """Draw a column for each solution, last state above marginal on common scales, and the curves of all."""
    page = style.page(6.6)
    top, bottom = style.halves(page, 2.2)
    grid = top.subplots(2, len(records), squeeze=False)
    symbol = token_axis(records[0]).symbol
    width = panels.smoothing(*records)
    last = [panels.final_image(record) for record in records]
    _row(grid[0], records, last, panels.joint, panels.named(rf"$\rho({symbol}\,|\,z)$ at the end", *records))
    marginals = [panels.marginal_image(record, width) for record in records]
    _row(
        grid[1],
        records,
        marginals,
        panels.marginal,
        panels.named(rf"$\mu(t,{symbol})$", *records, smoothed=True),
    )
    for ax, record in zip(grid[0], records, strict=True):
        heading = style.fold(style.title(record) or "Untitled", 96 // len(records), 3)
        ax.set_title(heading, parse_math=False, linespacing=1.0)
    curves = bottom.subplots(1, 2)
    _curves(curves[0], curves[1], records)
    for ax, letter in zip((grid[0, 0], grid[1, 0], *curves), "abcd", strict=True):
        style.corner(ax, letter)
    _legend(bottom, curves[0].lines, records)
    return page


def _row(
    axes: Sequence[Axes],
    records: Sequence[Record],
    images: Sequence[NDArray[np.float64]],
    draw: Callable[[Axes, Record, NDArray[np.float64], heat.Shade], AxesImage],
    label: str,
) -> None:
    """Draw the same panel of every solution with one colour scale."""
    shade = heat.Shade.of(*images)
    drawn = [draw(*panel, shade) for panel in zip(axes, records, images, strict=True)]
    heat.scale(drawn[0], list(axes), label, shade)
    for ax in axes:
        if len(axes) > 3 and "$" in ax.get_xlabel():  # narrow: only the symbol
            ax.set_xlabel(ax.get_xlabel().split()[-1])
            style.ticks(ax.xaxis, 2)
        if ax is not axes[0] and ax.get_ylim() == axes[0].get_ylim():
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)


def _curves(left: Axes, right: Axes, records: Sequence[Record]) -> None:
    """Draw the order parameters over depth and the last marginals of all solutions."""
    axes = [(depth_axis(record), token_axis(record)) for record in records]
    width = panels.smoothing(*records)
    for record, (t, _), color, dash in zip(records, axes, style.CYCLE, style.DASHES, strict=False):
        left.plot(t.points, record["order_parameter"], color=color, linestyle=dash)
        right.plot(*panels.curve(record, -1, width), color=color, linestyle=dash)
    longest, widest = max(axes, key=lambda pair: pair[0].limits[1])[0], axes[0][1]
    longest.mark(left, "x")
    panels.unit_interval(left)
    label = panels.named(rf"$\mu({widest.symbol})$ at the end", *records, smoothed=True)
    panels.density(right, widest, label.replace(", ", ",\n"))


def _legend(place: SubFigure, lines: Sequence[Line2D], records: Sequence[Record]) -> None:
    """Name the curves, and the points in the panels above, below everything."""
    names = [style.fold(style.title(record) or "Untitled", 32, 1) for record in records]
    handles: list[Artist] = list(lines)
    if any("conditional_mean" in record for record in records):
        handles.append(panels.map_key())
        names.append("conditional mean (a)")
    if any(panels.is_switched(record) for record in records):
        handles.append(panels.switch_key())
        names.append("to finite volumes (b)")
    legend = place.legend(handles, names, loc="outside lower center", ncols=min(4, len(names)))
    for text in legend.get_texts():
        text.set_parse_math(False)
