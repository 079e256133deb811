"""How every figure looks: page, type, colours."""

from __future__ import annotations

import textwrap
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import SubFigure

    from meanfield_pde.records import Record

__all__ = [
    "CYCLE",
    "DASHES",
    "DENSITY",
    "RESOLUTION",
    "WIDTH",
    "applied",
    "corner",
    "decades",
    "fold",
    "halves",
    "head",
    "key",
    "note",
    "number",
    "page",
    "plain",
    "ticks",
    "title",
]

WIDTH = 7.0  # inches: both columns of a journal page
RESOLUTION = 300  # dots per inch

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, VERMILION, GREEN = "#0072b2", "#d55e00", "#009e73"
ORANGE, PURPLE, BLACK, GREY = "#e69f00", "#b0568a", "#000000", "#777777"
SHADE = "#ececec"  # behind curves
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, BLACK)
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1)), (0, (1, 0.6)))

# White to navy in equal steps of perceived lightness (Oklab): empty regions stay paper, and print.
DENSITY = LinearSegmentedColormap.from_list(
    "density",
    [
        "#ffffff",
        "#ceeafb",
        "#a0d4f5",
        "#73bdea",
        "#48a5dd",
        "#1f8dcc",
        "#0a74b5",
        "#165b97",
        "#1b4475",
        "#1a2f52",
        "#131c32",
    ],
)

_SETTINGS: dict[str, Any] = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "figure.titlesize": 9.5,
    "axes.linewidth": 0.6,
    "axes.labelpad": 2.5,
    "axes.titlepad": 4,
    "lines.linewidth": 1.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.0,
    "legend.borderpad": 0.0,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "pdf.fonttype": 42,  # TrueType, so that the text stays text
    "savefig.bbox": None,
    "path.simplify": True,
}


@contextmanager
def applied() -> Iterator[None]:
    """Draw in this style whatever the user has configured, and without warnings of signs that no font has."""
    with mpl.style.context(["default", _SETTINGS]), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def page(height: float, heading: str = "", verdict: str = "") -> Figure:
    """Return an empty page of this height in inches; a long heading is cut short, its verdict never."""
    figure = Figure(figsize=(WIDTH, height))
    figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.04, wspace=0.04, hspace=0.03)
    whole = ": ".join(part for part in (fold(heading, 105 - len(verdict), 2), verdict) if part)
    whole = whole if heading.strip() else whole.capitalize()
    if whole:
        figure.suptitle(whole, parse_math=False, linespacing=1.0)
    return figure


def halves(figure: Figure, ratio: float) -> tuple[SubFigure, SubFigure]:
    """Divide a page into an upper and a lower part, the upper `ratio` times as high."""
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=(ratio, 1))).ravel()
    return upper, lower


def title(record: Record) -> str:
    """Return the title of a record, and how far it came if it did not come to its end."""
    text, status = (str(record.attributes.get(name, "")) for name in ("title", "status"))
    depth = f" at t = {record['time'][-1]:.4g}" if "time" in record else ""
    reached = f" ({status}{depth})"
    return text if status in {"", "finished"} else text + reached


def number(value: float, precision: int = 4) -> str:
    """Write a number with so many digits, as mathematics."""
    digits, _, power = f"{value:.{precision}g}".partition("e")
    return rf"{digits} \times 10^{{{int(power)}}}" if power else digits


def fold(text: str, width: int, lines: int) -> str:
    """Break a text into at most so many lines of so many characters."""
    return "\n".join(textwrap.wrap(" ".join(text.split()), width, max_lines=lines, placeholder=" …"))


def head(ax: Axes, letter: str, text: str = "") -> None:
    """Put the letter of a panel and its title above it, on the left."""
    ax.set_title(rf"$\mathbf{{{letter}}}$  {text}".rstrip(), loc="left")


def corner(ax: Axes, letter: str) -> None:
    """Put the letter of a panel at its upper left, outside, where a title above it leaves room."""
    ax.annotate(
        letter,
        (0, 1),
        (-26, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        weight="bold",
        fontsize=mpl.rcParams["axes.titlesize"],
    )


def key(ax: Axes, *entries: Sequence[Any], **look: float) -> None:
    """Name the lines of a panel above it, where nothing is drawn, on the right."""
    ax.legend(*entries, loc="lower right", bbox_to_anchor=(1.0, 1.02), ncols=3, **look)


def note(ax: Axes, text: str) -> None:
    """Put a remark above a panel, on the right."""
    ax.set_title(text, loc="right", fontsize=mpl.rcParams["legend.fontsize"])


def ticks(ruler: Axis, most: int = 5) -> None:
    """Put few ticks at round numbers on an axis of a panel."""
    ruler.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))


def decades(ruler: Axis) -> None:
    """Put ticks at powers of ten on a logarithmic axis, and at 1, 2 and 5 times them where those are few."""
    low, high = ruler.get_view_interval()
    few = high < 50 * low
    ruler.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=6))
    ruler.set_minor_formatter(NullFormatter())
    if few:
        ruler.set_major_formatter(lambda value, _: f"${number(value)}$")


def plain(ruler: Axis) -> None:
    """Write the ticks of an axis as briefly as they can be: 0, 0.5, 1."""
    ruler.set_major_formatter(lambda value, _: f"{value:.6g}".replace("-", "\N{MINUS SIGN}"))
