"""The branches of stationary states over a parameter: order, eigenvalues, distances, free energy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from meanfield_pde.figures import panels, style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["bifurcation", "runs"]

_POINT = ("point",)
_NEEDED = dict.fromkeys(("parameter", "branch", "stable", "order_parameter", "leading_eigenvalue"), _POINT)
_VERDICTS = {
    "continuous": "continuous transition",
    "discontinuous": "discontinuous transition",
    "none": "no transition",
}
_SYMBOLS = {
    "noise.sigma": r"Noise $\sigma$",
    "attention.beta": r"$\beta$",
    "encoding.amplitude": "Amplitude $a$",
    "encoding.frequency": "Frequency of the encoding",
    "encoding.corruption": "Corruption of the encoding",
    "prompt.fraction": r"Prompt fraction $\omega$",
}
_STABLE: dict[str, Any] = {"linestyle": "-", "linewidth": 1.4}
_UNSTABLE: dict[str, Any] = {"linestyle": (0, (3, 1.5)), "linewidth": 1.0}
_ALONE: dict[str, Any] = {"marker": "o", "markersize": 2.5}
_MARKS: dict[str, dict[str, Any]] = {
    "fold": {"marker": "D", "markersize": 4.0},
    "branch_point": {"marker": "s", "markersize": 4.5},
}
_OPEN: dict[str, Any] = {
    "linestyle": "none",
    "markerfacecolor": "white",
    "markeredgecolor": style.BLACK,
    "markeredgewidth": 0.9,
}
_VISIBLE = 0.2  # order parameters below cannot be read between 0 and 1
_SPREAD = 100  # the largest number over the median: beyond, a linear axis shows one number only


def bifurcation(record: Record) -> Figure:
    """Draw the order parameter R of all branches, and below it what there is of λ, W₂ and F_σ.

    Stable parts are solid, unstable ones dashed; where two stable states coexist is shaded.

    Raises
    ------
    InputError
        A dataset is missing, or has other dimensions.
    """
    record.require(_NEEDED)
    verdict = _VERDICTS.get(str(record.attributes.get("transition", "")), "")
    choices = (("leading_eigenvalue", _eigenvalue), ("w2", _distance), ("free_energy", _energy))
    below = [draw for name, draw in choices if name in record and np.isfinite(record[name]).any()]
    page = style.page(3.0 if len(below) < 2 else 5.0, style.title(record), verdict)
    if len(below) < 2:
        place: Figure | SubFigure = page
        first, *others = np.ravel(page.subplots(1, 1 + len(below)))
    else:
        top, place = style.halves(page, 1.1)
        first, others = top.subplots(), list(np.ravel(place.subplots(1, len(below))))
    _order(first, record)
    for draw, ax in zip(below, others, strict=True):
        draw(ax, record)
    for ax, letter in zip((first, *others), "abcd", strict=False):
        style.head(ax, letter)
        _parameter(ax, record)
    _legend(place, record)
    return page


def runs(stable: NDArray[np.int64]) -> list[slice]:
    """Return the parts of a branch of one stability; each ends with the point where the next one begins."""
    starts = [0, *(np.flatnonzero(np.diff(stable)) + 1).tolist()]
    ends = [start + 1 for start in starts[1:]] + [len(stable)]
    return [slice(*pair) for pair in zip(starts, ends, strict=True)]


def _branches(record: Record) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield the number of every branch, and its points."""
    for number in np.unique(record["branch"]).tolist():
        yield number, np.flatnonzero(record["branch"] == number)


def _look(branch: int) -> dict[str, Any]:
    """Return the colour of a branch: paler where the colours are used again."""
    turn, color = divmod(branch, len(style.CYCLE))
    return {"color": style.CYCLE[color], "alpha": 0.5**turn}


def _curves(ax: Axes, record: Record, name: str) -> None:
    """Draw a quantity along all branches over the parameter."""
    shaded = _coexistence(record)
    if shaded is not None:
        ax.axvspan(*shaded, color=style.SHADE, linewidth=0, zorder=0)
    for branch, points in _branches(record):
        for part in runs(record["stable"][points]):
            run = points[part]
            solid = bool(record["stable"][run[0]])
            look = _look(branch) | (_STABLE if solid else _UNSTABLE) | (_ALONE if len(points) == 1 else {})
            ax.plot(record["parameter"][run], record[name][run], **look)


def _coexistence(record: Record) -> tuple[float, float] | None:
    """Return the ends of the interval of two stable states, if there is one."""
    low, high = (float(record.attributes.get(f"spinodal_{end}", math.nan)) for end in ("low", "high"))
    return (low, high) if low < high else None


def _order(ax: Axes, record: Record) -> None:
    _curves(ax, record, "order_parameter")
    for name, look in _MARKS.items():
        if f"{name}_value" in record:
            places = record[f"{name}_value"], record[f"{name}_order_parameter"]
            ax.plot(*places, clip_on=False, zorder=3, **_OPEN, **look)
    panels.unit_interval(ax)
    most = float(record["order_parameter"].max())
    if 0 < most < _VISIBLE:
        ax.set_ylim(-0.03 * most, 1.06 * most)
    style.plain(ax.yaxis)


def _eigenvalue(ax: Axes, record: Record) -> None:
    ax.axhline(0.0, color=style.GREY, linewidth=0.6, zorder=0.5)
    _curves(ax, record, "leading_eigenvalue")
    sizes = np.abs(record["leading_eigenvalue"])
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if sizes.size and sizes.max() > _SPREAD * np.median(sizes):
        ax.set_yscale("symlog", linthresh=float(10 ** np.floor(np.log10(np.median(sizes)))))
    else:
        style.ticks(ax.yaxis)
    ax.set_ylabel(r"Leading eigenvalue $\lambda$")


def _distance(ax: Axes, record: Record) -> None:
    _curves(ax, record, "w2")
    ax.set_ylim(0, 1.06 * float(np.nanmax(record["w2"])) or 1.0)
    style.ticks(ax.yaxis)
    ax.set_ylabel(r"$W_2(\mu, T_{\#}\nu)$")


def _energy(ax: Axes, record: Record) -> None:
    _curves(ax, record, "free_energy")
    style.ticks(ax.yaxis)
    ax.set_ylabel(r"Free energy $F_\sigma$")


def _parameter(ax: Axes, record: Record) -> None:
    """Put the parameter below a panel."""
    low, high = float(record["parameter"].min()), float(record["parameter"].max())
    margin = 0.5 * max(abs(low), 1.0) if low == high else 0.0
    ax.set_xlim(low - margin, high + margin)
    style.ticks(ax.xaxis)
    style.plain(ax.xaxis)
    name = str(record.attributes.get("parameter", "parameter"))
    ax.set_xlabel(_SYMBOLS.get(name, name))


def _legend(place: Figure | SubFigure, record: Record) -> None:
    """Name branches, kinds of lines and points, below everything."""
    entries: dict[str, Artist] = {}
    for branch, _ in _branches(record):
        name = style.fold(str(record.attributes.get(f"branch_{branch}", f"branch {branch}")), 32, 1)
        entries[name if name not in entries else f"{name} ({branch})"] = Line2D([], [], **_look(branch))
    if record["stable"].any():
        entries["stable"] = Line2D([], [], color=style.BLACK, **_STABLE)
    if not record["stable"].all():
        entries["unstable"] = Line2D([], [], color=style.BLACK, **_UNSTABLE)
    for name, look in _MARKS.items():
        if f"{name}_value" in record:
            entries[_marked(record, name)] = Line2D([], [], **_OPEN, **look)
    if _coexistence(record) is not None:
        entries["two stable states"] = Patch(color=style.SHADE)
    legend = place.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=4)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _marked(record: Record, name: str) -> str:
    """Say what a mark stands for; branch points of the uniform state with their modes."""
    modes = record[f"{name}_mode"] if f"{name}_mode" in record else np.empty(0, dtype=int)
    listed = ", ".join(map(str, np.unique(modes[modes >= 0]).tolist()))
    return name.replace("_", " ") + (f" (mode {listed})" if listed else "")
