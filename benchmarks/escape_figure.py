"""Draw the study of escape: optima over λ, the plateau over depth, and where escape exists."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from meanfield_pde.figures import style

Records = Sequence[dict[str, Any]]
COLOURS = {"clustered": style.BLUE, "escape": style.VERMILION, "avoids": style.GREEN}
NAMES = {"clustered": "stays clustered", "escape": "escapes", "avoids": "avoids the cluster"}
SYMBOLS = {"clustered": "o", "escape": "D", "avoids": "^"}
#: What training from θ = 0 finds.
OPEN: dict[str, Any] = {"linestyle": "none", "markersize": 4.2, "markerfacecolor": "white"}


def draw(records: Records, path: Path) -> None:
    """Draw four panels from the numbers in the file."""
    with style.applied():
        page = style.page(4.9)
        axes = page.subplots(2, 2)
        over_regularization(axes[0, 0], records, "final_order_parameter")
        style.head(axes[0, 0], "a", "Order at the end, $T = 12$")
        axes[0, 0].set(ylabel="$R$ at the end", ylim=(-0.04, 1.0))
        over_regularization(axes[0, 1], records, "loss")
        style.head(axes[0, 1], "b", "Objective, $T = 12$")
        axes[0, 1].set(ylabel="$J$", ylim=(0.0, 0.24))
        plateau(axes[1, 0], series(records, "over depth"))
        phases(axes[1, 1], series(records, "phases"))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        page.legend(handles, labels, loc="outside lower center", ncols=4)
        page.savefig(path, dpi=style.RESOLUTION, metadata={"Title": "Escape from clusters by training"})


def series(records: Records, name: str) -> Records:
    """Return the records of one series."""
    return [record for record in records if record.get("series") == name]


def column(records: Records, name: str) -> np.ndarray[Any, Any]:
    """Return a column; NaN where there is no value."""
    return np.array([np.nan if record[name] is None else record[name] for record in records], dtype=float)


def over_regularization(ax: Axes, records: Records, name: str) -> None:
    """Three branches over λ, what training from θ = 0 finds, and λ*."""
    for kind, colour in COLOURS.items():
        branch = series(records, kind)
        ax.plot(column(branch, "regularization"), column(branch, name), color=colour, label=NAMES[kind])
    for kind, colour in COLOURS.items():
        found = [record for record in series(records, "from zero") if record["kind"] == kind]
        label = r"from $\theta = 0$" if kind == "clustered" else None
        look = {**OPEN, "marker": SYMBOLS[kind], "markeredgecolor": colour}
        ax.plot(column(found, "regularization"), column(found, name), label=label, **look)
    equal = next(row["equal"] for row in series(records, "phases") if row["depth"] == 12.0)
    if equal is not None:
        ax.axvline(equal, color=style.GREY, linewidth=0.7, dashes=(3, 2), zorder=0)
        ax.annotate(r"$\lambda^*$", (equal, 1.0), (3, -9), xycoords=("data", "axes fraction"),
                    textcoords="offset points", color=style.GREY)  # fmt: skip
    regularization_axis(ax, 0.02)


def regularization_axis(ax: Axes, low: float) -> None:
    """λ on a logarithmic axis."""
    ax.set(xscale="log", xlim=(low, 1.0), xlabel=r"Regularization $\lambda$")
    style.decades(ax.xaxis)


def plateau(ax: Axes, found: Records) -> None:
    """Share of the plateau over depth, beside a depth outside of it that stays the same."""
    depths, shares = column(found, "depth"), column(found, "plateau_share")
    outside = depths[-1] * (1.0 - shares[-1])
    fine = np.linspace(outside, 70.0, 300)
    ax.plot(fine, 1.0 - outside / fine, color=style.GREY, dashes=(3, 2), linewidth=0.9)
    ax.plot(depths, shares, "D", color=COLOURS["escape"], markersize=3.4)
    ax.annotate(rf"$1 - {outside:.2f} / T$", (34.0, 1.0 - outside / 34.0), (6, -14),
                textcoords="offset points", color=style.GREY)  # fmt: skip
    style.head(ax, "c", r"Plateau on the way to escape, $\lambda = 0.05$")
    ax.set(xlim=(0.0, 70.0), ylim=(0.0, 1.0), xlabel="Depth $T$", ylabel="Share of depth on the plateau")


def phases(ax: Axes, found: Records) -> None:
    """Where escape exists, where tokens can stay clustered, and which is better."""
    there = [row for row in found if row["escape"] is not None]
    depths = column(found, "depth")
    low, high = 0.05, 1.0
    middle = {
        name: np.array([np.sqrt(row[name][0] * max(row[name][1], 1e-9)) for row in rows])
        for name, rows in (("escape", there), ("clustered", found))
    }
    deep = column(there, "depth")
    ax.fill_between(deep, low, middle["escape"], color=COLOURS["escape"], alpha=0.16, linewidth=0)
    ax.fill_between(depths, middle["clustered"], high, color=COLOURS["clustered"], alpha=0.13, linewidth=0)
    ax.plot(deep, middle["escape"], "D-", color=COLOURS["escape"], markersize=2.8)
    ax.plot(depths, middle["clustered"], "o-", color=COLOURS["clustered"], markersize=2.8)
    ax.plot(deep, column(there, "equal"), color=style.GREY, dashes=(3, 2))
    ax.set(yscale="log", ylim=(low, high), xlim=(depths[0], depths[-1]))
    ax.set(xlabel="Depth $T$", ylabel=r"Regularization $\lambda$")
    style.decades(ax.yaxis)
    style.head(ax, "d", "Optima that exist")
