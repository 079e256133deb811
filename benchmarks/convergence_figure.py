"""The figure of convergence: errors of every method over its resolution, one colour a space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MultipleLocator, NullLocator

from meanfield_pde.figures import style

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from benchmarks.convergence import Series

LOWEST = 1e-15  # what is below is drawn there
MARKS = "os^Dvh"
PANELS = (
    ("a", "spectral", "degree", "degree $L$"),
    ("b", "characteristics", "degree of the rule", "degree of the labels"),
    ("c", "finite-volume", "cells", "cells"),
    ("d", "steps", "steps", "equal steps"),
)


def draw(found: Sequence[Series], path: Path) -> None:
    """Draw the series and save them as PNG."""
    spaces = list(dict.fromkeys(one.space for one in found))
    with style.applied():
        figure = style.page(5.2)
        axes = figure.subplots(2, 2)
        for ax, panel in zip(axes.ravel(), PANELS, strict=True):
            _panel(ax, panel, [one for one in found if _shown(one, panel)], spaces)
        for ax in axes[:, 0]:
            ax.set_ylabel("largest error of coefficients")
        handles = [Line2D([], [], **_look(rank), label=name) for rank, name in enumerate(spaces)]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(spaces), borderaxespad=0.4)
        figure.savefig(path, dpi=style.RESOLUTION)


def _shown(one: Series, panel: tuple[str, ...]) -> bool:
    return panel[1] in one.method and one.counted == panel[2]


def _look(rank: int) -> dict[str, Any]:
    return {
        "color": style.CYCLE[rank],
        "marker": MARKS[rank],
        "markersize": 5.6 if rank == 0 else 3.2,  # the circle, which T¹ covers
        "markerfacecolor": "white",
        "markeredgewidth": 0.9,
        "linewidth": 0.9,
    }


def _panel(ax: Axes, panel: tuple[str, ...], found: Sequence[Series], spaces: Sequence[str]) -> None:
    """One method: errors without noise are drawn dashed where there are some with it."""
    letter, method, counted, label = panel
    for one in found:
        other = "σ = 0" in one.method or "DOP853" in one.method
        errors = [max(error, LOWEST) for error in one.errors]
        ax.plot(
            one.sizes, errors, linestyle=(0, (3, 1.5)) if other else "-", **_look(spaces.index(one.space))
        )
    algebraic = counted in {"cells", "steps"}
    ax.set(yscale="log", xscale="log" if algebraic else "linear", xlabel=label)
    low, high = ax.get_ylim()
    ax.set_ylim(low, min(10.0 * high, 1.0))
    ax.yaxis.set_major_locator(LogLocator(numticks=8))
    ax.yaxis.set_minor_locator(NullLocator())
    if not algebraic:
        ax.xaxis.set_major_locator(MultipleLocator(4))
    style.head(ax, letter, {"steps": "time steps", "finite-volume": "finite volumes"}.get(method, method))
    if counted == "cells":
        _slope(ax, (160.0, 640.0), 8e-3, -2.0)
        _entries(ax, "noise σ = 0.1", "no noise", "lower left")
    if counted == "steps":
        _slope(ax, (16.0, 32.0), 1e-6, -5.0)
        _slope(ax, (14.0, 20.0), 1e-10, -8.0)
        _entries(ax, "exponential", "DOP853", "upper right")
    if algebraic:
        style.decades(ax.xaxis)


def _entries(ax: Axes, first: str, second: str, place: Literal["lower left", "upper right"]) -> None:
    """Name solid and dashed lines."""
    handles: list[Artist] = [
        Line2D([], [], color=style.GREY, linewidth=0.9, label=first.replace("σ", r"$\sigma$")),
        Line2D([], [], color=style.GREY, linewidth=0.9, linestyle=(0, (3, 1.5)), label=second),
    ]
    ax.legend(handles=handles, loc=place, borderaxespad=0.8)


def _slope(ax: Axes, span: tuple[float, float], top: float, order: float) -> None:
    """Draw a line of a slope, with the slope beside it."""
    first, last = span
    bottom = top * (last / first) ** order
    ax.plot(span, (top, bottom), color=style.GREY, linewidth=0.7)
    middle = (first * last) ** 0.5, (top * bottom) ** 0.5
    ax.annotate(
        f"order {-order:g}", middle, (3, 3), textcoords="offset points", color=style.GREY, fontsize=7.5
    )
