"""The ablation in a trained model: measures over layers with confidence bands, texts, mean-field limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.figures import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from meanfield_pde.records import Record

__all__ = ["trained"]

_SERIES = ("order_parameter", "effective_rank", "attention_entropy", "information")
_NEEDED = {
    "layer": ("layer",),
    **dict.fromkeys(_SERIES, ("sequence", "variant", "layer")),
    **{f"{name}_{part}": ("variant", "layer") for name in _SERIES for part in ("mean", "half", "count")},
}
_LABELS = {
    "order_parameter": r"Order parameter $R$",
    "effective_rank": "Effective rank",
    "attention_entropy": r"Attention entropy / $\log n$",
    "information": r"$I$(token; position), nats",
}
#: Colours of variants by title; those of other factors are grey, the larger the darker.
_COLORS = {
    "present": style.BLUE,
    "removed": style.VERMILION,
    "shuffled": style.BLACK,
    "added at every pass": style.GREEN,
}
_GREYS = ("#c9b3d6", "#a98bbd", "#84609d", "#5b3773")
_TEXTS = (style.PURPLE, style.ORANGE, style.BLACK)


def trained(record: Record) -> Figure:
    """Draw means over random sequences with 95 % bands, R of each text, and R over the factor of positions.

    Raises
    ------
    InputError
        A dataset is missing, or has other dimensions.
    """
    record.require(_NEEDED)
    page = style.page(7.4, style.title(record))
    top, bottom = style.halves(page, 2.0)
    panels = np.ravel(top.subplots(2, 2, sharex=True))
    for ax, name, letter in zip(panels, _SERIES, "abcd", strict=True):
        _bands(ax, record, name)
        style.head(ax, letter)
    for ax in panels[2:]:
        ax.set_xlabel("Layer")
    _legend(top, panels[0])
    left, right = np.ravel(bottom.subplots(1, 2))
    _texts(left, record)
    _factors(right, record)
    return page


def _variants(record: Record) -> list[str]:
    return [str(record.attributes[f"variant_{number}"]) for number in range(record.sizes["variant"])]


def _looks(titles: Sequence[str]) -> list[dict[str, Any]]:
    """Return the line of every variant; shuffled ones dashed, as they lie on others."""
    greys = iter(_GREYS)
    return [
        {
            "color": _COLORS[title] if title in _COLORS else next(greys, style.GREY),
            "linestyle": (0, (4, 2)) if title == "shuffled" else "-",
            "linewidth": 1.2 if title in _COLORS else 0.8,
            "zorder": 3 if title in _COLORS else 2,
        }
        for title in titles
    ]


def _bands(ax: Axes, record: Record, name: str) -> None:
    """Draw means and bands of all variants, where every random sequence has the measure."""
    layers, total = record["layer"], int(record.attributes["random_sequences"])
    titles = _variants(record)
    for number, (title, look) in enumerate(zip(titles, _looks(titles), strict=True)):
        known = record[f"{name}_count"][number] == total
        mean = np.where(known, record[f"{name}_mean"][number], np.nan)
        half = np.where(known, record[f"{name}_half"][number], np.nan)
        ax.plot(layers, mean, label=title, **look)
        if title in _COLORS:
            ax.fill_between(layers, mean - half, mean + half, color=look["color"], alpha=0.18, linewidth=0)
    ax.set_xlim(float(layers[0]), float(layers[-1]))
    ax.set_ylabel(_LABELS[name])
    if name == "effective_rank":
        ax.set_yscale("log")
        style.decades(ax.yaxis)
    elif name == "information":
        ax.set_yscale("symlog", linthresh=0.1)
        ax.axhline(0.0, color=style.GREY, linewidth=0.5, zorder=0)
    else:
        style.ticks(ax.yaxis)


def _legend(place: SubFigure, ax: Axes) -> None:
    place.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _texts(ax: Axes, record: Record) -> None:
    """Draw R of every text, with positions and without."""
    titles, first = _variants(record), int(record.attributes["random_sequences"])
    texts = record["order_parameter"][first:]
    for row, color in zip(range(len(texts)), _TEXTS, strict=False):
        words, name = int(record["length"][first + row]), str(record.attributes[f"text_{row}"])
        for title, line in (("present", "-"), ("removed", (0, (4, 2)))):
            if title in titles:
                label = (
                    f"{style.fold(name.partition(',')[0], 28, 1)} ({words})" if title == "present" else None
                )
                ax.plot(
                    record["layer"], texts[row, titles.index(title)], color=color, linestyle=line, label=label
                )
    ax.set(
        xlim=(0.0, float(record["layer"][-1])),
        ylim=(0.0, 1.03),
        xlabel="Layer",
        ylabel=_LABELS["order_parameter"],
    )
    style.ticks(ax.yaxis)
    style.head(ax, "e", "Texts; dashed: positions removed")
    if len(texts):
        ax.legend(loc="lower right", fontsize=7, borderaxespad=0.6)


def _factors(ax: Axes, record: Record) -> None:
    """Draw R at the end over the factor of the positions: of the model, and of the mean-field limits."""
    total, titles = int(record.attributes["random_sequences"]), _variants(record)
    once = {"removed": 0.0, "present": 1.0} | {
        title: float(title.split()[1]) for title in titles if title.startswith("times ")
    }
    chosen = sorted((factor, titles.index(title)) for title, factor in once.items() if title in titles)
    mean, half = (record[f"order_parameter_{part}"][:, -1] for part in ("mean", "half"))
    rows = [row for _, row in chosen]
    ax.errorbar(
        [factor for factor, _ in chosen],
        mean[rows],
        half[rows],
        color=style.BLUE,
        label="model, added once",
        **_MARK,
    )
    if "added at every pass" in titles:
        row = titles.index("added at every pass")
        ax.errorbar(
            [1.0],
            mean[row : row + 1],
            half[row : row + 1],
            color=style.GREEN,
            label="model, every pass",
            **_MARK,
        )
    if "mean_field" in record.groups:
        _limits(ax, record.groups["mean_field"])
    ax.set(
        ylim=(-0.03, 1.06),
        xlabel="Factor of the positions",
        ylabel=f"{_LABELS['order_parameter']} at the end",
    )
    ax.set_xscale("symlog", linthresh=0.25, linscale=0.5)
    ax.set_xticks([0, 0.25, 0.5, 1, 2, 4], ["0", "0.25", "0.5", "1", "2", "4"])
    ax.minorticks_off()
    style.ticks(ax.yaxis)
    style.head(ax, "f", f"{total} sequences, and limits")
    ax.legend(loc="center", bbox_to_anchor=(0.64, 0.42), fontsize=7)


_MARK: dict[str, Any] = {"marker": "o", "markersize": 3, "capsize": 2, "elinewidth": 0.8, "linewidth": 1.0}


def _limits(ax: Axes, group: Record) -> None:
    """Draw the median over starts of every case."""
    lines = zip((style.VERMILION, style.ORANGE, style.PURPLE, style.BLACK), style.DASHES[1:], strict=False)
    for row, (color, dash) in zip(range(group.sizes["case"]), lines, strict=False):
        values = group["order_parameter"][row]
        known = np.isfinite(values).any(axis=1)
        middle = [float(np.nanmedian(line)) for line in values[known]]
        label = "limit: " + _short(str(group.attributes[f"case_{row}"]))
        ax.plot(
            group["scale"][known],
            middle,
            color=color,
            linestyle=dash,
            marker="s",
            markersize=2.5,
            label=label,
        )


def _short(title: str) -> str:
    """Shorten the title of a case: space, length of tokens, matrices."""
    space, length, heads = title.split(", ")
    whose = "Q = K = V = I" if "identity" in heads or "I of" in heads else "head"
    return f"{space}, {whose}{', whole length' if 'whole' in length else ''}"
