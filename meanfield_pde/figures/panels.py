"""The panels of which the pages are made, each drawn into given axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from meanfield_pde.figures import heat, metastability, style
from meanfield_pde.figures.axes import Axis, auxiliary_axis, depth_axis, token_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = [
    "against",
    "auxiliary",
    "conditionals",
    "curve",
    "density",
    "ends",
    "energy",
    "final_image",
    "image_of",
    "is_histogram",
    "is_switched",
    "joint",
    "map_key",
    "marginal",
    "marginal_image",
    "named",
    "order",
    "points",
    "pushforward",
    "smoothed",
    "smoothing",
    "switch",
    "switch_key",
    "unit_interval",
]

_SWITCH: dict[str, Any] = {"color": style.BLACK, "linewidth": 0.8, "dashes": (3, 2)}
_DIRECTED = 1e-6  # conditional means shorter than this have a direction by rounding only


def is_histogram(record: Record) -> bool:
    """Tell whether the densities are histograms of tokens: Dirac masses have no density."""
    return record.attributes.get("density_kind") == "histogram"


def named(symbol: str, *records: Record, smoothed: bool = False) -> str:
    """Return the label of a density, which says so where one of them is a histogram."""
    kind = "smoothed histogram" if smoothed else "histogram"
    return f"{symbol}, {kind}" if any(is_histogram(record) for record in records) else symbol


def is_switched(record: Record) -> bool:
    """Tell whether the solver went over to finite volumes, at a depth that is shown."""
    low, high = depth_axis(record).limits
    return low <= float(record.attributes.get("switched_at", np.nan)) <= high


def switch(ax: Axes, record: Record) -> None:
    """Mark the depth at which the solver went over to finite volumes, if it did, in a panel over depth."""
    if is_switched(record):
        ax.axvline(float(record.attributes["switched_at"]), **_SWITCH)


def switch_key() -> Line2D:
    """Return what stands for the mark of `switch` in a legend."""
    return Line2D([], [], **_SWITCH)


def smoothing(*records: Record) -> float | None:
    """Return the width by which all marginals are smoothed where one is a histogram, else None.

    Dirac masses would hide all else, and be thinner than what is printed.
    """
    if not any(is_histogram(record) for record in records):
        return None
    return max(_width(token_axis(record), record) for record in records)


def marginal_image(record: Record, width: float | None) -> NDArray[np.float64]:
    """Return the pixels of the token marginal over depth, smoothed by a width."""
    x = token_axis(record)
    image = heat.raster(record["marginal"], depth_axis(record), x)
    if width is None:
        return image
    pixel = (x.limits[1] - x.limits[0]) / len(image)
    middles = np.asarray(x.limits[0] + pixel * (np.arange(len(image)) + 0.5), dtype=np.float64)
    return _smooth(middles, middles, pixel * image.T, x, width).T


def marginal(ax: Axes, record: Record, image: NDArray[np.float64], shade: heat.Shade) -> AxesImage:
    """Draw the token marginal over depth."""
    x, y = depth_axis(record), token_axis(record)
    drawn = heat.heat(ax, image, shade, x, y)
    x.mark(ax, "x")
    y.mark(ax, "y")
    switch(ax, record)
    return drawn


def final_image(record: Record) -> NDArray[np.float64]:
    """Return the pixels of the last conditional densities over the auxiliary variable."""
    return image_of(record, record["density"][-1])


def image_of(record: Record, density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels of conditional densities (aux, token) on the axes of a record."""
    return heat.raster(density, auxiliary_axis(record), token_axis(record))


def joint(ax: Axes, record: Record, image: NDArray[np.float64], shade: heat.Shade) -> AxesImage:
    """Draw the last conditional densities with the map of conditional means in them."""
    drawn = conditionals(ax, record, image, shade)
    if "conditional_mean" in record:
        _map(ax, record)
    return drawn


def conditionals(ax: Axes, record: Record, image: NDArray[np.float64], shade: heat.Shade) -> AxesImage:
    """Draw the pixels of conditional densities over the auxiliary variable."""
    x, y = auxiliary_axis(record), token_axis(record)
    drawn = heat.heat(ax, image, shade, x, y)
    auxiliary(ax, x)
    y.mark(ax, "y")
    return drawn


def auxiliary(ax: Axes, x: Axis) -> None:
    """Put the auxiliary variable below a panel."""
    x.mark(ax, "x")
    if len(x.points) == 1:
        ax.set_xticks([])


def _map(ax: Axes, record: Record) -> None:
    """Draw the map of conditional means, faded where a conditional is nearly uniform."""
    mean, length = _means(record)
    if (length > _DIRECTED).any():
        points(ax, record, mean, opacity=np.clip(length / 0.3, 0.1, 1.0) * (length > _DIRECTED))


def points(ax: Axes, record: Record, values: NDArray[np.float64], **look: Any) -> None:
    """Draw a value per auxiliary node as points: a line would cross the seam.

    `color`, `opacity` and `area` (relative to that of the points of a map) may be given per node.
    """
    x = auxiliary_axis(record)
    nodes = len(x.points)
    opacity, area = (np.broadcast_to(look.get(name, 1.0), (nodes,))[x.index] for name in ("opacity", "area"))
    shade: dict[str, Any] = {"c": look.get("color", style.VERMILION), "alpha": opacity}
    size = np.clip(250 / nodes, 0.9, 6.0) * area
    ax.scatter(x.points, values[x.index], s=size, linewidths=0, rasterized=nodes > 1000, **shade)


def map_key() -> Line2D:
    """Return what stands for the points of the map in a legend."""
    return Line2D(
        [], [], linestyle="none", marker="o", markersize=2.4, markeredgewidth=0, color=style.VERMILION
    )


def _means(record: Record) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the last conditional means, within the limits of the axis, and how long they are."""
    if "conditional_mean" not in record:
        return np.zeros(len(record["aux"])), np.zeros(len(record["aux"]))
    mean = token_axis(record).wrap(record["conditional_mean"][-1])
    length = record["conditional_length"][-1] if "conditional_length" in record else np.ones(len(mean))
    return mean, np.where(np.isfinite(mean), np.nan_to_num(length), 0.0)


def ends(ax: Axes, record: Record) -> None:
    """Draw the first and the last token marginal."""
    x, time, width = token_axis(record), record["time"], smoothing(record)
    (at, first), (_, last) = (curve(record, index, width) for index in (0, -1))
    ax.plot(at, first, color=style.GREY, dashes=(4, 1.5), label=f"$t = {style.number(time[0])}$")
    ax.fill_between(at, last, color=style.BLUE, alpha=0.15, linewidth=0)
    ax.plot(at, last, color=style.BLUE, label=f"$t = {style.number(time[-1])}$")
    density(ax, x, rf"$\mu(t,{x.symbol})$" if width is None else _smoothed_label(x, record, width))


def curve(record: Record, index: int, width: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a token marginal as a curve, smoothed by a width."""
    x, marginal = token_axis(record), record["marginal"][index]
    if width is None:
        return x.points, marginal[x.index]
    return smoothed(record, record["token"], marginal * record["token_weight"], width)


def pushforward(ax: Axes, record: Record) -> bool:
    """Draw the last token marginal against the pushforward, and return whether there is one."""
    mean, length = _means(record)
    defined = bool((length > _DIRECTED).all())
    against(ax, record, record["marginal"][-1], (mean, record["aux_weight"]) if defined else None)
    return defined


def against(
    ax: Axes,
    record: Record,
    marginal: NDArray[np.float64],
    atoms: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    name: str = r"$T_{\#}\nu$",
) -> None:
    """Draw a token marginal against a law of atoms (positions and masses); None: it is not defined.

    Both are smoothed alike, so that the curves differ only where the distributions do, atoms included.
    """
    x = token_axis(record)
    at, curve = smoothed(record, record["token"], marginal * record["token_weight"])
    ax.fill_between(at, curve, color=style.BLUE, alpha=0.15, linewidth=0)
    ax.plot(at, curve, color=style.BLUE, label=r"$\mu$")
    if atoms is not None:
        ax.plot(*smoothed(record, *atoms), color=style.VERMILION, dashes=(4, 1.5), label=name)
    else:
        ax.plot([], [], linestyle="none", label=f"{name} not defined")
    density(ax, x, _smoothed_label(x, record, _width(x, record)))


def smoothed(
    record: Record,
    points: NDArray[np.float64],
    masses: NDArray[np.float64],
    width: float | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return masses of tokens as the curve of a density; the width follows from the record unless given."""
    x = token_axis(record)
    at = _fine(x)
    return at, _smooth(at, points, masses, x, _width(x, record) if width is None else width)


def _fine(x: Axis) -> NDArray[np.float64]:
    """Return where smoothed densities are drawn: every half degree of a circle."""
    return np.linspace(*x.limits, 721)


def _width(x: Axis, record: Record) -> float:
    """Return the width of a kernel that joins the nodes, and the points of the grid, to a density."""
    nodes, resolution = len(record["aux"]), len(record["token"])
    share = max(np.clip(1.2 / nodes if nodes > 1 else 0.0, 1 / 72, 1 / 36), 1.2 / resolution)
    return float((x.limits[1] - x.limits[0]) * share)


def _smoothed_label(x: Axis, record: Record, width: float) -> str:
    angle = f"{width / x.period * 360:.2g}°" if x.period is not None else f"{width:.2g}"
    return f"Smoothed {'histogram' if is_histogram(record) else 'density'} ({angle})"


def _smooth(
    at: NDArray[np.float64],
    points: NDArray[np.float64],
    masses: NDArray[np.float64],
    x: Axis,
    width: float,
) -> NDArray[np.float64]:
    """Return the densities of masses (..., point) under a Gaussian kernel, wrapped around a closed curve."""
    result = np.empty((*masses.shape[:-1], len(at)))
    for place, here in enumerate(at):
        distance = points - here
        if x.period is not None:
            distance -= x.period * np.round(distance / x.period)
        result[..., place] = masses @ np.exp(-((distance / width) ** 2) / 2)
    return np.asarray(result / (width * np.sqrt(2 * np.pi)))


def density(ax: Axes, x: Axis, label: str) -> None:
    """Set up the axes for densities of the token."""
    x.mark(ax, "x")
    ax.set_ylim(0, 1.06 * max(ax.dataLim.y1, 1e-300))
    style.ticks(ax.yaxis)
    ax.set_ylabel(label, linespacing=0.9)


def order(ax: Axes, record: Record) -> None:
    """Draw the order parameter and the mean length of the conditional means over depth."""
    _series(ax, record, "order_parameter", "$R$", color=style.BLUE)
    if len(record["aux"]) > 1:
        label = r"$\langle R_z \rangle_\nu$"
        _series(ax, record, "conditional_concentration", label, color=style.GREEN, dashes=(4, 1.5))
    metastability.spans(ax, record)
    switch(ax, record)
    unit_interval(ax)


def unit_interval(ax: Axes) -> None:
    """Set up the vertical axis for order parameters."""
    ax.set_ylim(-0.03, 1.03)
    style.ticks(ax.yaxis)
    ax.set_ylabel("Order parameter $R$")


def energy(ax: Axes, record: Record) -> None:
    """Draw the free energy and its interaction part over depth."""
    _series(ax, record, "free_energy", r"$F_\sigma$", color=style.BLACK)
    _series(ax, record, "interaction_energy", "$-E$", -1.0, color=style.PURPLE, dashes=(4, 1.5))
    switch(ax, record)
    ax.set_ylabel("Free energy")


def _series(ax: Axes, record: Record, name: str, label: str, factor: float = 1.0, **look: Any) -> None:
    """Draw a diagnostic over depth."""
    x = depth_axis(record)
    values = factor * record[name]
    if np.isfinite(values).any():
        alone: dict[str, Any] = {"marker": "o", "markersize": 3, "clip_on": False} if len(values) == 1 else {}
        ax.plot(x.points, values, label=label, **look, **alone)
    else:
        ax.plot([], [], linestyle="none", label=f"{label} not defined")
    x.mark(ax, "x")
    style.ticks(ax.yaxis)
