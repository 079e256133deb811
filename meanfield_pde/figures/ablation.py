"""The ablation on a page: what removed and corrupted encodings do to tokens, and what to attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.figures import style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = ["ablation"]

#: Height of rows and of legends, in inches.
ROW, LEGEND = 1.6, 0.42
#: Place of the continuum on axes of contexts, over the largest context.
BEYOND = 4.0
_SKY = "#56b4e9"
#: Colour and dash of every encoding.
LOOKS: dict[str, tuple[str, Any]] = {
    "none": (style.BLACK, "-"),
    "sinusoidal": (style.BLUE, "-"),
    "learned": (style.GREEN, "-"),
    "rotary_encoded": (style.VERMILION, "-"),
    "rotary_bare": (style.VERMILION, (0, (4, 1.5))),
    "alibi": (style.PURPLE, "-"),
    "causal": (style.ORANGE, "-"),
    "prompt": (_SKY, "-"),
    "rotary_encoded_each": (style.VERMILION, (0, (1, 1))),
    "alibi_each": (style.PURPLE, (0, (1, 1))),
}
_LABELS = {
    "order_parameter": r"Order parameter $R$",
    "attention_entropy": r"Attn. entropy / $\log n$",
    "attention_divergence": "Attn. divergence, nats",
    "pushforward_distance": r"$W_2(\mu, T_{\#}\nu)$",
    "information": r"$I$(token; $z$), nats",
    "collapse_depth": "Depth of collapse",
}
_UNIT = frozenset({"order_parameter"})
#: Colours of inverse temperatures of rings and prompts, the larger the darker.
_BETAS = ("#9ecae1", "#4a97c9", "#0b4f86")
_VARIANTS = {
    "present": (style.BLUE, "-"),
    "removed": (style.VERMILION, "-"),
    "shuffled": (style.BLACK, (0, (4, 2))),
    "added at every pass": (style.GREEN, "-"),
}


@dataclass(frozen=True)
class _Panel:
    """A panel of a family: a measure over what varies."""

    family: str
    measure: str
    label: str
    title: str = ""
    log: bool = False


_STRENGTH = [
    _Panel("amplitude", "order_parameter", "Strength $a$", "tokens"),
    _Panel("amplitude", "attention_entropy", "Strength $a$", "attention"),
    _Panel("amplitude", "pushforward_distance", "Strength $a$", "off prediction"),
    _Panel("amplitude", "information", "Strength $a$", "positions"),
]
_CORRUPTED = [
    _Panel("noise", "order_parameter", "Noise", "Gaussian noise"),
    _Panel("zeroed", "order_parameter", "Share left out", "left out"),
    _Panel("shuffled", "pushforward_distance", "Share shuffled", "shuffled"),
    _Panel("frequency", "order_parameter", "Factor", "frequency", log=True),
    _Panel("removed", "order_parameter", "Depth of removal", "removed", log=True),
]
_CONTEXT = [
    _Panel("context", "order_parameter", "Positions $n$", r"$\beta = 1$: tokens", log=True),
    _Panel("context", "attention_entropy", "Positions $n$", r"$\beta = 1$: attention", log=True),
    _Panel("context", "attention_divergence", "Positions $n$", r"$\beta = 1$: attention", log=True),
    _Panel("context", "collapse_depth", "Positions $n$", r"$\beta = 1$: depth", log=True),
]
_GROWN = [
    _Panel("context_quarter", "order_parameter", "Positions $n$", r"$\beta = \frac{1}{4}\log n$", log=True),
    _Panel("context_quarter", "attention_entropy", "Positions $n$", r"$\beta = \frac{1}{4}\log n$", log=True),
    _Panel("context_whole", "order_parameter", "Positions $n$", r"$\beta = \log n$", log=True),
    _Panel("context_whole", "attention_entropy", "Positions $n$", r"$\beta = \log n$", log=True),
]


def ablation(record: Record) -> Figure:
    """Draw predictions and families of runs; with a trained model one row more.

    Raises
    ------
    InputError
        A dataset is missing, or has other dimensions.
    """
    rows: list[tuple[float, Callable[[SubFigure], None]]] = [
        (LEGEND, lambda place: _legend(place, record)),
        (ROW, lambda place: _row(place, record, _STRENGTH, "abcd")),
        (ROW, lambda place: _row(place, record, _CORRUPTED, "efghi")),
        (ROW, lambda place: _predictions(place, record, "jklm")),
        (ROW, lambda place: _row(place, record, _CONTEXT, "nopq")),
        (ROW, lambda place: _row(place, record, _GROWN, "rstu")),
    ]
    if "trained" in record.groups:
        rows += [(ROW + LEGEND, lambda place: _trained(place, record, "vwxy"))]
    page = style.page(0.35 + sum(height for height, _ in rows), style.title(record))
    parts = np.asarray(page.subfigures(len(rows), 1, height_ratios=[height for height, _ in rows])).ravel()
    for place, (_, draw) in zip(parts, rows, strict=True):
        draw(place)
    return page


def _legend(place: SubFigure, record: Record) -> None:
    """Name all encodings."""
    from matplotlib.lines import Line2D

    names: dict[str, str] = {}
    for group in record.groups.values():
        if "encoding" in group:
            for number, name in enumerate(group["encoding"]):
                names[str(name)] = str(group.attributes[f"encoding_{number}"])
    chosen = [name for name in LOOKS if name in names]
    handles = [
        Line2D([], [], color=LOOKS[name][0], linestyle=LOOKS[name][1], linewidth=1.2) for name in chosen
    ]
    place.legend(handles, [names[name] for name in chosen], loc="center", ncols=5, fontsize=7)


def _row(place: SubFigure, record: Record, panels: Sequence[_Panel], letters: str) -> None:
    for ax, panel, letter in zip(np.ravel(place.subplots(1, len(panels))), panels, letters, strict=True):
        if panel.family in record.groups:
            _curves(ax, record.groups[panel.family], panel)
        else:
            ax.set_axis_off()
        _finish(ax, letter, panel.title)


def _finish(ax: Axes, letter: str, title: str) -> None:
    style.head(ax, letter, title)
    ax.title.set_fontsize(7.5)
    ax.tick_params(labelsize=6.5)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_fontsize(7.5)


def _curves(ax: Axes, group: Record, panel: _Panel) -> None:
    """Draw means over seeds with their intervals for every encoding."""
    values = group[panel.family].astype(float)
    places = _places(ax, values, log=panel.log)
    seen: list[float] = []
    for row, name in enumerate(group["encoding"]):
        color, dash = LOOKS.get(str(name), (style.GREY, "-"))
        mean, half = _mean(group, panel.measure, row)
        known = np.isfinite(mean)
        inner = known & np.isfinite(values)
        seen += mean[known].tolist()
        # lines that lie on each other are seen beside each other: the later the thinner
        ax.plot(places[inner], mean[inner], color=color, linestyle=dash, linewidth=1.6 - 0.11 * row)
        ax.errorbar(
            places[known], mean[known], half[known], color=color, linestyle="none", marker="o", **_MARK
        )
    ax.set_xlabel(panel.label)
    ax.set_ylabel(_LABELS[panel.measure])
    _heights(ax, panel.measure, seen)
    style.ticks(ax.yaxis, 4)


def _heights(ax: Axes, measure: str, seen: Sequence[float]) -> None:
    """Show all means; intervals that are wider than that are cut by the frame."""
    if measure in _UNIT:
        ax.set_ylim(-0.05, 1.08)
    elif seen:
        low, high = min(seen), max(seen)
        margin = 0.08 * max(high - low, 0.05)
        ax.set_ylim(low - margin, high + margin)


_MARK: dict[str, Any] = {"markersize": 1.8, "capsize": 1.2, "elinewidth": 0.6, "capthick": 0.6}


def _mean(group: Record, measure: str, row: int) -> tuple[FloatArray, FloatArray]:
    """Means and half widths; depths of those runs alone that collapse, where most do."""
    mean = np.array(group[f"{measure}_mean"][row])
    half = np.nan_to_num(group[f"{measure}_half"][row])
    if measure == "collapse_depth":
        runs = (group["status"][row] == "finished").sum(axis=-1)
        mean[2 * group[f"{measure}_count"][row] <= runs] = np.nan
    return mean, half


def _places(ax: Axes, values: FloatArray, *, log: bool) -> FloatArray:
    """Scale the axis, and return the places of values; the continuum stands beside the largest context."""
    finite = values[np.isfinite(values)]
    places = np.where(np.isfinite(values), values, finite.max() * BEYOND)
    if not log:
        style.ticks(ax.xaxis, 4)
        style.plain(ax.xaxis)
        return places
    ax.set_xscale("log", base=2 if finite.max() <= 1.0 else 10)
    if finite.max() <= 1.0 or len(finite) <= 4:
        ax.set_xticks(finite, [f"{value:g}" for value in finite])
    elif not np.isfinite(values).all():
        ticks = [100.0, 1e3, 1e4]
        ax.set_xticks([*ticks, float(places.max())], [*(f"$10^{n}$" for n in (2, 3, 4)), r"$\infty$"])
    ax.set_xlim(places.min() / 1.25, places.max() * 1.25)
    ax.minorticks_off()
    return places


def _predictions(place: SubFigure, record: Record, letters: str) -> None:
    """Draw rotary encodings beside their prediction, both states of rings and prompts, and temperature."""
    axes = np.ravel(place.subplots(1, 4))
    _rotary(axes[0], record)
    _states(axes[1], record, "ring", "Ring amplitude $a$")
    _states(axes[2], record, "prompt", r"Prompt share $\omega$")
    panel = _Panel("temperature", "order_parameter", r"Inverse temperature $\beta$", log=True)
    if "temperature" in record.groups:
        _curves(axes[3], record.groups["temperature"], panel)
    else:
        axes[3].set_axis_off()
    spread = "dashed: from spread"
    titles = (r"rotary: $|\sin \pi a/\pi a|$", f"ring; {spread}", f"prompt; {spread}", "temperature")
    for ax, letter, title in zip(axes, letters, titles, strict=True):
        _finish(ax, letter, title)


def _rotary(ax: Axes, record: Record) -> None:
    names = [str(name) for name in record["check"]]
    turns = np.linspace(0.0, 3.0, 301)
    ax.plot(turns, np.abs(np.sinc(turns)), color=style.GREY, linewidth=0.8)
    for name, filled in (("rotary_encoded", True), ("rotary_bare", False)):
        if name in names:
            row, color = names.index(name), LOOKS["rotary_encoded"][0]
            ax.plot(
                record["strengths"][row],
                record["up"][row],
                color=color,
                linestyle="none",
                marker="o",
                markersize=2.4,
                markerfacecolor=color if filled else "white",
                markeredgewidth=0.6,
                label="values encoded" if filled else "values bare",
            )
    ax.set(xlabel="Turns $a$", ylabel=_LABELS["order_parameter"], ylim=(-0.05, 1.08))
    ax.legend(loc="center right", fontsize=6, borderaxespad=0.4, handlelength=1.0)


def _states(ax: Axes, record: Record, kind: str, label: str) -> None:
    """Draw R from both ends, and where both states end."""
    rows = [row for row, name in enumerate(record["check"]) if str(name).startswith(f"{kind}_")]
    for row, color in zip(rows, _BETAS, strict=False):
        strengths = record["strengths"][row]
        beta = str(record["check"][row]).partition("_")[2].replace("p", ".")
        ax.plot(strengths, record["up"][row], color=color, label=rf"$\beta = {beta}$", **_THIN)
        ax.plot(strengths, record["down"][row], color=color, linestyle=(0, (3, 1)), **_THIN)
        ax.plot(
            [record["spread_ends"][row], record["collapsed_ends"][row]],
            [record["spread_order"][row], record["collapsed_order"][row]],
            color=color,
            linestyle="none",
            marker="d",
            markersize=3.0,
        )
    ax.set(xlabel=label, ylabel=_LABELS["order_parameter"], ylim=(-0.05, 1.08))
    if rows:
        ax.legend(loc="center right", fontsize=6, borderaxespad=0.3, handlelength=1.0)


_THIN: dict[str, Any] = {"linewidth": 0.9}


def _trained(place: SubFigure, record: Record, letters: str) -> None:
    """Draw means of random words over layers, and shares of sequences that collapse."""
    group = record.groups["trained"]
    axes = np.ravel(place.subplots(1, 4))
    for ax, name in zip(axes, ("order_parameter", "attention_entropy", "information"), strict=False):
        _layers(ax, group, name)
    axes[2].set_yscale("symlog", linthresh=0.1)
    _shares(axes[3], record)
    titles = ("trained: tokens", "attention", "positions", "collapsed")
    for ax, letter, title in zip(axes, letters, titles, strict=True):
        _finish(ax, letter, title)
    place.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7)


def _titles(group: Record) -> list[str]:
    return [str(group.attributes[f"variant_{number}"]) for number in range(group.sizes["variant"])]


def _layers(ax: Axes, group: Record, name: str) -> None:
    layers, titles = group["layer"], _titles(group)
    for title, (color, dash) in _VARIANTS.items():
        if title not in titles:
            continue
        row = titles.index(title)
        mean, half = group[f"{name}_mean"][row], np.nan_to_num(group[f"{name}_half"][row])
        ax.plot(layers, mean, color=color, linestyle=dash, linewidth=0.9, label=f"positions {title}")
        ax.fill_between(layers, mean - half, mean + half, color=color, alpha=0.18, linewidth=0)
    ax.set(xlabel="Layer", ylabel=_LABELS[name], xlim=(0.0, float(layers[-1])))
    if name in _UNIT:
        ax.set_ylim(-0.05, 1.08)


def _shares(ax: Axes, record: Record) -> None:
    """Draw the share of sequences that have collapsed, with exact intervals; hollow between marks."""
    from meanfield_pde.contents.trained import share_interval

    shown = ("present", "removed", "added at every pass")
    for name, offset, filled in (("trained", -0.13, True), ("trained_marked", 0.13, False)):
        if name not in record.groups:
            continue
        group = record.groups[name]
        total, titles = int(group.attributes["random_sequences"]), _titles(group)
        for spot, title in enumerate(shown):
            if title in titles:
                row = titles.index(title)
                count = int((~np.isnan(group["collapse_depth"][:total, row])).sum())
                low, high = share_interval(count, total)
                share = count / total
                ax.errorbar(
                    [spot + offset],
                    [share],
                    [[share - low], [high - share]],
                    color=_VARIANTS[title][0],
                    marker="o",
                    markerfacecolor=None if filled else "white",
                    markersize=3.5,
                    capsize=2,
                    elinewidth=0.8,
                )
    ax.set(ylim=(-0.05, 1.08), ylabel="Share of sequences", xlim=(-0.5, 2.5))
    ax.set_xticks(range(3), ["present", "removed", "every pass"])
    ax.set_xlabel("hollow: between [CLS], [SEP]")
