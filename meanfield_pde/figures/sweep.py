"""Sweeps: phase diagrams with their boundary, curves, small multiples, and points of random designs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from meanfield_pde.contents.sweep import MEASURES, dims_of, parameters_of
from meanfield_pde.figures import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = ["sweep"]

#: Parameters as they are written on axes; others by their key.
SYMBOLS = {
    "noise.sigma": r"Noise $\sigma$",
    "attention.beta": r"Inverse temperature $\beta$",
    "encoding.kind": "Encoding",
    "encoding.amplitude": "Amplitude $a$",
    "encoding.frequency": r"Frequency $\omega$",
    "encoding.corruption": "Corruption of the encoding",
    "prompt.fraction": r"Prompt fraction $\omega$",
    "auxiliary.nodes": "Nodes",
    "time.final": "Final depth",
    "token.dimension": "Dimension $d$",
    "training.regularization": r"Penalty $\lambda$",
}
_SHORT = {"attention.beta": r"$\beta$", "noise.sigma": r"$\sigma$", "encoding.amplitude": "$a$"}
#: Measures in the order in which they are shown, with their names on axes.
SHOWN = {
    "order_parameter": "Order parameter $R$",
    "plateau_share": "Plateau, share of depth",
    "escape": "Depth of escape",
    "nearest_dirac": r"$W_2(\mu, \mathrm{nearest}\ \delta)$",
    "attention_entropy": "Attention entropy",
    "w2": r"$W_2(\mu, T_{\#}\nu)$",
    "effective_rank": "Effective rank",
    "conditional_concentration": r"Concentration $\langle R_z \rangle_\nu$",
    "entropy": r"Entropy of $\mu$",
    "free_energy": r"Free energy $F_\sigma$",
    "loss": "Objective $J$",
    "terminal_loss": r"Loss $\ell$",
    "gradient_norm": "Norm of the gradient",
    "iterations": "Iterations",
}
_UNIT = frozenset({"order_parameter", "conditional_concentration"})
_PANELS, _MULTIPLES = 4, 12
_BOUNDARY: dict[str, Any] = {"colors": style.VERMILION, "linewidths": 1.3}
_FAILED: dict[str, Any] = {"marker": "x", "color": style.BLACK, "s": 11, "linewidths": 0.7, "zorder": 4}
_VISIBLE = 1e-6  # measures that vary less are constant but for rounding


@dataclass(frozen=True, eq=False)
class _Ruler:
    """A parameter along an axis: its values, or the places of words, and the cells around them."""

    name: str
    key: str
    values: FloatArray
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: Record, name: str) -> _Ruler:
        """Take a parameter of a sweep."""
        values, key = record[name], parameters_of(record)[name]
        if values.dtype.kind == "U":
            return cls(name, key, np.arange(len(values), dtype=float), tuple(values.tolist()))
        return cls(name, key, values.astype(float))

    @property
    def label(self) -> str:
        """What is written along the axis."""
        return SYMBOLS.get(self.key, self.key)

    @property
    def is_logarithmic(self) -> bool:
        """Whether the values are rather a geometric progression than an arithmetic one."""
        values = np.unique(self.values)
        if self.words or len(values) < 3 or values[0] <= 0:
            return False
        ratios, steps = np.diff(np.log(values)), np.diff(values)
        return bool(np.ptp(ratios) / ratios.mean() < 0.5 * np.ptp(steps) / steps.mean())

    @property
    def edges(self) -> FloatArray:
        """Ends of cells whose middles are the values."""
        values = np.log(self.values) if self.is_logarithmic else self.values
        if len(values) == 1:
            return np.array([self.values[0] - 0.5, self.values[0] + 0.5])
        middles = (values[1:] + values[:-1]) / 2
        ends = np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])
        return np.exp(ends) if self.is_logarithmic else ends

    def spoken(self, place: int) -> str:
        """Name one of the values."""
        value = self.words[place] if self.words else f"${style.number(float(self.values[place]), 3)}$"
        name = _SHORT.get(self.key, self.key.rpartition(".")[2])
        return f"{name} = {value}" if not self.words else value

    def along(self, ax: Axes, *, vertical: bool = False, named: bool = True) -> None:
        """Scale, ticks and label of an axis of a panel."""
        axis = ax.yaxis if vertical else ax.xaxis
        if self.is_logarithmic:
            (ax.set_yscale if vertical else ax.set_xscale)("log")
        if self.words:
            axis.set_ticks(self.values, [style.fold(word, 14, 1) for word in self.words])
        elif self.is_logarithmic:
            style.decades(axis)
        else:
            style.ticks(axis)
            style.plain(axis)
        if named:
            (ax.set_ylabel if vertical else ax.set_xlabel)(self.label)


def sweep(record: Record) -> Figure:
    """Draw what suits the parameters: a plane, curves, small multiples, or random points."""
    names = list(parameters_of(record))
    if dims_of(record) == ("point",):
        return _scattered(record, names)
    rulers = [_Ruler.of(record, name) for name in names]
    numbers = [ruler for ruler in rulers if not ruler.words]
    if len(numbers) < 2:
        return _curves(record, rulers)
    if len(rulers) == 2:
        return _plane(record, rulers)
    return _multiples(record, rulers, numbers[:2])


def _page(record: Record, height: float, part: str = "") -> Figure:
    """Return an empty page, with the title, which part is shown, and how many points failed."""
    failed, points = record.attributes["failed"], record.attributes["points"]
    remarks = [part, f"{failed} of {points} points failed" if failed else ""]
    return style.page(height, style.title(record), ", ".join(remark for remark in remarks if remark))


def _shown(record: Record) -> list[str]:
    """Measures that are known and vary, the most telling first; one in any case."""
    of = str(record.attributes["of"])
    names = [name for name in SHOWN if name in MEASURES[of]]
    varied = [name for name in names if np.ptp(_known(record, name)) > _VISIBLE]
    return (varied or names[:1])[:_PANELS]


def _known(record: Record, name: str) -> FloatArray:
    values = record[name][np.isfinite(record[name])]
    return values if values.size else np.zeros(1)


def _scale(record: Record, name: str) -> Normalize:
    """Scale from a measure to its colour; from zero where the measure nearly comes to it."""
    if name in _UNIT:
        return Normalize(0.0, max(1.0, float(_known(record, name).max())))
    low, high = float(_known(record, name).min()), float(_known(record, name).max())
    if 0.0 < low < 0.2 * high:
        low = 0.0
    return Normalize(low, high if high > low else low + 1.0)


def _bar(ax: Axes | list[Axes], drawn: ScalarMappable, name: str) -> None:
    """Put the scale of a measure beside its panel."""
    place = ax[0] if isinstance(ax, list) else ax
    bar = place.figure.colorbar(drawn, ax=ax, pad=0.02, aspect=26)
    bar.set_label(SHOWN[name])
    bar.outline.set_linewidth(0.6)
    style.ticks(bar.ax.yaxis)
    style.plain(bar.ax.yaxis)


# A plane of two parameters


def _plane(record: Record, rulers: Sequence[_Ruler]) -> Figure:
    """Draw the measures as maps over two parameters, with the boundary R = 1/2 on each."""
    shown = _shown(record)
    page = _page(record, 2.9 if len(shown) < 3 else 5.3)
    panels = np.ravel(page.subplots(-(-len(shown) // 2), min(len(shown), 2), squeeze=False))
    has_boundary = False
    for ax, name, letter in zip(panels, shown, "abcd", strict=False):
        has_boundary = _map(ax, record, (name, ...), rulers) or has_boundary
        _bar(ax, ax.collections[0], name)
        style.head(ax, letter)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    _map_key(page, record, has_boundary=has_boundary)
    return page


def _map(
    ax: Axes, record: Record, what: tuple[Any, ...], rulers: Sequence[_Ruler], *, named: bool = True
) -> bool:
    """Draw a measure, at a place in the other dimensions, over two parameters; tell whether R crosses 1/2."""
    name, place = what
    x, y = rulers
    values = record[name][place]
    ax.set_facecolor(style.SHADE)
    mesh = ax.pcolormesh(
        x.edges,
        y.edges,
        np.ma.masked_invalid(values.T),
        cmap=style.DENSITY,
        norm=_scale(record, name),
        rasterized=True,
    )
    mesh.set_edgecolor("face")  # no seams between cells
    x.along(ax, named=named)
    y.along(ax, vertical=True, named=named)
    ax.set_xlim(x.edges[0], x.edges[-1])
    ax.set_ylim(y.edges[0], y.edges[-1])
    rows, columns = np.nonzero(record["status"][place] == "failed")
    ax.scatter(x.values[rows], y.values[columns], **_FAILED)
    return _boundary(ax, record, place, rulers)


def _boundary(ax: Axes, record: Record, place: Any, rulers: Sequence[_Ruler]) -> bool:
    """Draw where R = 1/2, between the middles of cells; tell whether there is such a place."""
    if "order_parameter" not in record:
        return False
    order = record["order_parameter"][place]
    known = order[np.isfinite(order)]
    if min(order.shape) < 2 or not known.size or not known.min() < 0.5 < known.max():
        return False
    # What lies beyond the outermost middles is as they are.
    ends = [np.concatenate([one.edges[:1], one.values, one.edges[-1:]]) for one in rulers]
    ax.contour(*ends, np.ma.masked_invalid(np.pad(order, 1, mode="edge").T), [0.5], **_BOUNDARY)
    return True


def _map_key(page: Figure, record: Record, *, has_boundary: bool) -> None:
    """Name the boundary, and the marks of points without a result, below everything."""
    entries: dict[str, Any] = {}
    if has_boundary:
        entries["$R = 1/2$"] = Line2D([], [], color=style.VERMILION, linewidth=1.3)
    if record.attributes["failed"]:
        entries["failed"] = _cross()
    if record.attributes["pending"]:
        entries["not computed yet"] = Patch(color=style.SHADE)
    if entries:
        page.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=len(entries))


def _cross() -> Line2D:
    return Line2D(
        [], [], linestyle="none", marker="x", color=style.BLACK, markersize=3.5, markeredgewidth=0.7
    )


# Small multiples


def _multiples(record: Record, rulers: Sequence[_Ruler], plane: Sequence[_Ruler]) -> Figure:
    """Draw the first measure over two parameters for each combination of the others."""
    others = [ruler for ruler in rulers if ruler not in plane]
    places = list(itertools.product(*(range(len(ruler.values)) for ruler in others)))
    chosen = np.unique(np.linspace(0, len(places) - 1, min(len(places), _MULTIPLES)).round().astype(int))
    columns = min(len(chosen), 4 if len(chosen) > 6 else 3)
    rows = -(-len(chosen) // columns)
    part = f"{len(chosen)} of {len(places)} planes" if len(chosen) < len(places) else ""
    page = _page(record, 0.8 + (4.6 / columns + 0.5) * rows, part)
    panels = page.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    name, has_boundary = _shown(record)[0], False
    for ax, number in zip(panels.ravel(), chosen, strict=False):
        at = dict(zip(others, places[number], strict=True))
        place = tuple(at.get(ruler, slice(None)) for ruler in rulers)
        has_boundary = _map(ax, record, (name, place), plane, named=False) or has_boundary
        ax.set_title(", ".join(ruler.spoken(at[ruler]) for ruler in others))
    for ax in panels.ravel()[len(chosen) :]:
        ax.set_axis_off()
    for column in range(columns):
        last = max(row for row in range(rows) if row * columns + column < len(chosen))
        panels[last, column].set_xlabel(plane[0].label)
        panels[last, column].tick_params(labelbottom=True)
    for ax in panels[:, 0]:
        ax.set_ylabel(plane[1].label)
    _bar(list(panels.ravel()), panels[0, 0].collections[0], name)
    _map_key(page, record, has_boundary=has_boundary)
    return page


# Curves


def _curves(record: Record, rulers: Sequence[_Ruler]) -> Figure:
    """Draw the measures over one parameter, one curve for each combination of the others, which are words."""
    along = next((ruler for ruler in rulers if not ruler.words), rulers[0])
    others = [ruler for ruler in rulers if ruler is not along]
    shown = _shown(record)
    page = _page(record, 2.7 if len(shown) < 3 else 4.8)
    panels = np.ravel(page.subplots(-(-len(shown) // 2), min(len(shown), 2), squeeze=False))
    entries: dict[str, Any] = {}
    for number, place in enumerate(itertools.product(*(range(len(ruler.values)) for ruler in others))):
        at = dict(zip(others, place, strict=True))
        index = tuple(at.get(ruler, slice(None)) for ruler in rulers)
        look = _look(number, along)
        for ax, name in zip(panels, shown, strict=False):
            ax.plot(along.values, record[name][index], **look)
        failed = along.values[record["status"][index] == "failed"]
        panels[0].scatter(
            failed, np.full(len(failed), 0.03), **_FAILED | {"color": look["color"]}, clip_on=False
        )
        if others:
            entries[", ".join(ruler.spoken(at[ruler]) for ruler in others)] = Line2D([], [], **look)
    for ax, name, letter in zip(panels, shown, "abcd", strict=False):
        _measure_axis(ax, name, record)
        along.along(ax)
        style.head(ax, letter)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    if record.attributes["failed"]:
        entries["failed"] = _cross()
    if entries:
        page.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=min(len(entries), 4)
        )
    return page


def _look(number: int, along: _Ruler) -> dict[str, Any]:
    """Look of a curve: of words and of few values the points, without a line between words."""
    turn, color = divmod(number, len(style.CYCLE))
    few = len(along.values) <= 40
    return {
        "color": style.CYCLE[color],
        "linestyle": "none" if along.words else style.DASHES[turn % len(style.DASHES)],
        "marker": "o" if few else None,
        "markersize": 4.0 if along.words else 2.4,
    }


def _measure_axis(ax: Axes, name: str, record: Record) -> None:
    if name in _UNIT:
        ax.set_ylim(-0.03, 1.03 * max(1.0, float(_known(record, name).max())))
    if name == "order_parameter":
        ax.axhline(0.5, color=style.GREY, linewidth=0.6, dashes=(3, 2), zorder=0.5)
    style.ticks(ax.yaxis)
    style.plain(ax.yaxis)
    ax.set_ylabel(SHOWN[name])


# Random designs


def _scattered(record: Record, names: Sequence[str]) -> Figure:
    """Draw random points: in the plane of two parameters by colour, else the first measure over each."""
    rulers = [_Ruler.of(record, name) for name in names]
    if len(rulers) == 2 and not any(ruler.words for ruler in rulers):
        return _scattered_plane(record, rulers)
    shown = rulers[: 2 * _PANELS]
    columns = min(len(shown), 2)
    page = _page(record, 0.5 + 2.3 * -(-len(shown) // columns))
    panels = np.ravel(page.subplots(-(-len(shown) // columns), columns, squeeze=False))
    name = _shown(record)[0]
    for ax, ruler, letter in zip(panels, shown, "abcdefgh", strict=False):
        _points_over(ax, record, ruler, name)
        style.head(ax, letter)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    _map_key(page, record, has_boundary=False)
    return page


def _points_over(ax: Axes, record: Record, ruler: _Ruler, name: str) -> None:
    """Draw a measure of random points over one parameter."""
    places = ruler.values
    if ruler.words:
        distinct = sorted(set(ruler.words))
        places = np.array([distinct.index(word) for word in ruler.words], dtype=float)
        ruler = _Ruler(ruler.name, ruler.key, np.arange(len(distinct), dtype=float), tuple(distinct))
    ax.scatter(places, record[name], s=8, color=style.BLUE, alpha=0.7, linewidths=0)
    failed = places[record["status"] == "failed"]
    low = float(_known(record, name).min())
    ax.scatter(failed, np.full(len(failed), low), **_FAILED)
    _measure_axis(ax, name, record)
    ruler.along(ax)


def _scattered_plane(record: Record, rulers: Sequence[_Ruler]) -> Figure:
    """Draw the measures of random points by colour in the plane of two parameters."""
    x, y = rulers
    shown = _shown(record)
    page = _page(record, 2.9 if len(shown) < 3 else 5.3)
    panels = np.ravel(page.subplots(-(-len(shown) // 2), min(len(shown), 2), squeeze=False))
    finished, failed = (record["status"] == end for end in ("finished", "failed"))
    for ax, name, letter in zip(panels, shown, "abcd", strict=False):
        drawn = ax.scatter(
            x.values[finished],
            y.values[finished],
            c=record[name][finished],
            s=np.clip(6000 / len(x.values), 6, 40),
            cmap=style.DENSITY,
            norm=_scale(record, name),
            edgecolors=style.GREY,
            linewidths=0.4,
        )
        ax.scatter(x.values[failed], y.values[failed], **_FAILED)
        x.along(ax)
        y.along(ax, vertical=True)
        _bar(ax, drawn, name)
        style.head(ax, letter)
    for ax in panels[len(shown) :]:
        ax.set_axis_off()
    _map_key(page, record, has_boundary=False)
    return page
