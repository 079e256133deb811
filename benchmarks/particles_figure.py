"""The figure of finitely many tokens: distances to the density over N, and the order parameter over depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import NullLocator

from meanfield_pde.figures import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from benchmarks.particles import Fit, Point

MARKS = "os^DvP"
BAND = 0.15  # opacity of bands
DISTANCES = {"w1": (style.BLUE, "$W_1$"), "w2": (style.VERMILION, "$W_2$")}


def draw(found: Sequence[Point], rates: Sequence[Fit], over_depth: Mapping[str, Any], path: Path) -> None:
    """Draw three panels and save them as PNG."""
    with style.applied():
        figure = style.page(3.1)
        modes, transport, depth = figure.subplots(1, 3)
        _modes(modes, found, rates)
        _transport(transport, found, rates)
        _over_depth(depth, over_depth)
        figure.savefig(path, dpi=style.RESOLUTION)


def _modes(ax: Axes, found: Sequence[Point], rates: Sequence[Fit]) -> None:
    """Low modes in every case; a band for the first."""
    for rank, rate in enumerate([one for one in rates if one.measure == "modes"]):
        own = [one for one in found if (one.case, one.measure) == (rate.case, "modes")]
        label = f"{rate.case}: {_slope(rate)}"
        _curve(ax, own, style.CYCLE[rank], MARKS[rank], label, band=rank == 0)
    _dress(ax, "a", "low modes", "error, root mean square")


def _transport(ax: Axes, found: Sequence[Point], rates: Sequence[Fit]) -> None:
    """Exact distances on the circle."""
    for measure, (colour, name) in DISTANCES.items():
        own = [one for one in found if (one.case, one.measure) == ("circle", measure)]
        rate = next(one for one in rates if (one.case, one.measure) == ("circle", measure))
        _curve(ax, own, colour, "o", f"{name}: {_slope(rate)}", band=True)
    _dress(ax, "b", "transport, circle", "distance / rad", below=3.0)


def _slope(rate: Fit) -> str:
    return rf"${rate.slope:.2f} \pm {rate.half:.2f}$"


def _curve(ax: Axes, own: Sequence[Point], colour: str, mark: str, label: str, *, band: bool) -> None:
    sizes = [one.tokens for one in own]
    if band:
        ax.fill_between(
            sizes, [one.low for one in own], [one.high for one in own], color=colour, alpha=BAND, linewidth=0
        )
    ax.plot(
        sizes, [one.mean for one in own], color=colour, marker=mark, markersize=3.2, markerfacecolor="white",
        markeredgewidth=0.9, linewidth=0.9, label=label,
    )  # fmt: skip


def _dress(ax: Axes, letter: str, title: str, label: str, below: float = 12.0) -> None:
    """Scales, the slope that theory gives, and the names of the curves."""
    ax.set(xscale="log", yscale="log", xlabel="tokens $N$", ylabel=label)
    low, high = ax.get_ylim()
    ax.set_ylim(low / below, high)
    span = (1e3, 1e5)
    top = high * 0.45
    ax.plot(span, (top, top * (span[1] / span[0]) ** -0.5), color=style.GREY, linewidth=0.7)
    ax.annotate(r"$N^{-1/2}$", (1e4, top * 10.0**-0.5), (3, 3), textcoords="offset points", color=style.GREY)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    ax.legend(loc="lower left", borderaxespad=0.6, fontsize=6.8, labelspacing=0.3)
    style.head(ax, letter, title)


def _over_depth(ax: Axes, curves: Mapping[str, Any]) -> None:
    """Bands of tokens about the curve of the density."""
    depth = curves["depth"]
    counts = [name for name in curves if name not in {"depth", "density"}]
    for count, colour in zip(counts, (style.ORANGE, style.BLUE), strict=True):
        low, _, high = curves[count]
        name = f"$N = {int(count):,}$".replace(",", "{,}")
        ax.fill_between(depth, low, high, color=colour, alpha=0.35, linewidth=0, label=f"{name}, 95 %")
    ax.plot(depth, curves["density"], color=style.BLACK, linewidth=0.9, label="density")
    ax.set(xlabel="depth $t$", ylabel="order parameter $R$", xlim=(depth[0], depth[-1]))
    style.ticks(ax.xaxis)
    ax.legend(loc="lower right", borderaxespad=0.8)
    style.head(ax, "c", "circle over depth")
