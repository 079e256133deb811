"""One solution, or one limit, on the torus T²: heat maps over both angles, with the conditional means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.signal import resample

from meanfield_pde.figures import heat, panels, places, style
from meanfield_pde.figures.axes import Axis, auxiliary_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["angle_axes", "angles", "heat_map", "limit", "mark", "overview", "tokens"]

_DIRECTED = 1e-6  # means shorter than this have a direction by rounding only
_FINE = 360  # points of an angle at which waves are evaluated: about as fine as they are printed
TURN = 2 * np.pi


def overview(record: Record) -> Figure:
    """Draw the marginal at three depths above; conditional means, order parameter and energy below."""
    states = places.chosen_depths(record)
    several = len(record["aux"]) > 1 and "conditional_mean" in record
    page = style.page(4.9, style.title(record))
    top, bottom = style.halves(page, 1.15)
    axes = list(np.ravel(top.subplots(1, len(states))))
    letters = "abcdef"
    _maps(axes, record, states)
    for ax, letter, state in zip(axes, letters, states, strict=False):
        style.head(ax, letter, places.depth_heading(record, state))
    below = bottom.subplots(1, 3 if several else 2)
    if several:
        _means_over_nodes(below[0], record, letters[len(states)])
    first = len(states) + several
    places.series(below[-2:], record, letters[first : first + 2])
    return page


def limit(record: Record) -> Figure:
    """Draw the marginal with T(z) in it, and both angles of T over z.

    Raises
    ------
    InputError
        There is no group ``limit``, or no limit law.
    """
    law = places.LimitLaw.of(record)
    low = bool(places.supports(law))
    page = style.page(5.0 if low else 3.0, style.title(record), law.verdict)
    top, bottom = style.halves(page, 1.0) if low else (page, None)
    left, right = top.subplots(1, 2)
    image = heat_image(record, law.marginal)
    shade = heat.Shade.of(image)
    drawn = heat_map(left, record, image, shade)
    heat.scale(drawn, left, places.labelled(r"$\mu(x)$", record, shade), heat.Shade(shade.norm, ""))
    style.head(left, "a", law.heading)
    for place, mass in law.atoms:
        shown = np.where(mass[:, None] > 0, angles(record, place), np.nan)
        places.nodes(left, shown, mass)
        _over_nodes(right, record, shown)
    if law.is_known:
        places.point_key(left, law.name)
    # Further atoms look as the first ones do.
    handles, names = right.get_legend_handles_labels()
    style.key(right, handles[:2], names[:2], handlelength=0.6, handletextpad=0.3)
    style.head(right, "b", "" if low else law.distances)
    if bottom is not None:
        places.stability(bottom, law, "cde")
    return page


def angle_axes(record: Record) -> tuple[Axis, Axis]:
    """Return the axes of both angles, each of a full turn."""
    first, second = (_closed(record[f"angle_{number}"], number) for number in (1, 2))
    return first, second


def mark(ax: Axes, record: Record) -> None:
    """Put both angles on a square panel."""
    for axis, side in zip(angle_axes(record), ("x", "y"), strict=True):
        axis.mark(ax, "x" if side == "x" else "y")
    ax.set_aspect("equal")


def angles(record: Record, place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles (..., 2), within the limits of the axes, of vectors (cos θ1, sin θ1, cos θ2, sin θ2)."""
    turns = [np.arctan2(place[..., 2 * plane + 1], place[..., 2 * plane]) for plane in (0, 1)]
    return np.stack([axis.wrap(turn) for axis, turn in zip(angle_axes(record), turns, strict=True)], axis=-1)


def heat_image(record: Record, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels of a density (angle_1, angle_2): cells of a histogram, waves of what is smooth."""
    axes = angle_axes(record)
    if panels.is_histogram(record):
        return heat.raster(values, *axes)
    fine = [max(len(record[f"angle_{number}"]), _FINE) for number in (1, 2)]
    for side, count in enumerate(fine):
        values = resample(values, count, axis=side)
    starts = (float(record[f"angle_{number}"][0]) for number in (1, 2))
    waves = [start + TURN * np.arange(count) / count for start, count in zip(starts, fine, strict=True)]
    return heat.raster(values, _closed(waves[0], 1), _closed(waves[1], 2))


def heat_map(ax: Axes, record: Record, image: NDArray[np.float64], shade: heat.Shade) -> AxesImage:
    """Draw the pixels of a density over both angles."""
    drawn = heat.heat(ax, image, shade, *angle_axes(record))
    mark(ax, record)
    return drawn


def tokens(ax: Axes, record: Record, state: int) -> PathCollection:
    """Draw labelled tokens, coloured by z where there are several nodes."""
    drawn = places.tokens(record, state)
    return places.dots(ax, record, angles(record, drawn.places), drawn)


def _closed(points: NDArray[np.float64], number: int) -> Axis:
    """Return the axis of one angle; the first and the last point are repeated beyond the ends."""
    points = np.asarray(points, dtype=float)
    start = float(round(points[0] / (TURN / 4)) * TURN / 4)
    index = np.arange(-1, len(points) + 1) % len(points)
    around = np.concatenate([points[-1:] - TURN, points, points[:1] + TURN])
    symbol = rf"\theta_{number}"
    return Axis(around, index, (start, start + TURN), f"Angle ${symbol}$", symbol, TURN)


def _maps(axes: list[Axes], record: Record, states: list[int]) -> None:
    """Draw the marginals, or the tokens, of some states with one scale, and the means into the last."""
    if places.has_tokens(record):
        for ax, state in zip(axes, states, strict=True):
            tokens(ax, record, state)
            mark(ax, record)
        places.node_bar(axes[-1], record)
    else:
        images = [heat_image(record, record["marginal"][state]) for state in states]
        shade = heat.Shade.of(*images)
        for ax, image in zip(axes, images, strict=True):
            drawn = heat_map(ax, record, image, shade)
        heat.scale(drawn, axes, places.labelled(r"$\mu(t,x)$", record, shade), heat.Shade(shade.norm, ""))
    for ax in axes[1:]:
        ax.set_ylabel("")
        ax.tick_params(labelleft=False)
    if "conditional_mean" in record:
        places.nodes(axes[-1], _means(record), places.lengths(record))
        places.point_key(axes[-1], "mean $T(z)$")


def _means(record: Record) -> NDArray[np.float64]:
    """Return the angles of the last conditional means (aux, 2), NaN where they have none."""
    directed = places.lengths(record) > _DIRECTED
    return np.where(directed[:, None], angles(record, record["conditional_mean"][-1]), np.nan)


def _means_over_nodes(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter, "Mean $T(z)$")
    _over_nodes(ax, record, _means(record))
    style.key(ax, handlelength=0.6, handletextpad=0.3)


def _over_nodes(ax: Axes, record: Record, shown: NDArray[np.float64]) -> None:
    """Draw both angles (aux, 2) over the auxiliary variable."""
    x, (axis, _) = auxiliary_axis(record), angle_axes(record)
    for column, color, marker, number in zip(shown.T, (style.BLUE, style.ORANGE), "os", (1, 2), strict=True):
        look: dict[str, Any] = {"color": color, "marker": marker, "linestyle": "none", "markeredgewidth": 0}
        look |= {"clip_on": False, "zorder": 4}  # whole at the seam
        size = float(np.clip(20 / len(x.points) ** 0.5, 1.0, 3.0))
        ax.plot(x.points, column[x.index], markersize=size, label=rf"$\theta_{number}$", **look)
    panels.auxiliary(ax, x)
    axis.mark(ax, "y")
    ax.set_ylabel("Angle")
