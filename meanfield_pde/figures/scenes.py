"""What moves in an animation, on every token space: panels that are drawn once and then updated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.figures import heat, panels, places, sphere, style, torus, zonal
from meanfield_pde.figures.axes import Axis, auxiliary_axis, depth_axis, token_axis
from meanfield_pde.figures.projections import Mollweide, Orthographic
from meanfield_pde.figures.trajectories import has_trajectories, trajectories

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.figures.projections import Projection
    from meanfield_pde.records import Record

    Update = Callable[[int], None]

__all__ = ["scene"]

_DIRECTED = 1e-6  # means shorter than this have a direction by rounding only
_HEIGHTS = {"sphere": 3.4, "torus": 4.2}  # inches; 4 elsewhere
_SHARP = 12.0  # times the mean: profiles whose peaks stand out more are shown on a square-root scale


def scene(record: Record) -> tuple[Figure, Update]:
    """Return a page and the function that shows a saved state in it.

    Above, the state; below, the order parameter over depth with a mark where the state is.
    """
    space = places.space_of(record)
    page = style.page(_HEIGHTS.get(space, 4.0), style.title(record))
    top, bottom = style.halves(page, 2.6)
    choices = {"sphere": _sphere, "zonal": _zonal, "torus": _torus}
    updates = choices.get(space, _circle)(top, record)
    updates.append(_order(bottom.subplots(), record))

    def update(state: int) -> None:
        for one in updates:
            one(state)

    return page, update


def _circle(place: Any, record: Record) -> list[Update]:
    """Conditionals over z, tokens, or the marginal over depth; beside them the marginal on the same axis."""
    left, right = place.subplots(1, 2, width_ratios=(1.6, 1))
    y, several = token_axis(record), len(record["aux"]) > 1
    label = panels.named(rf"$\mu(t,{y.symbol})$", record, smoothed=True)
    if has_trajectories(record):
        trajectories(left, record)
        first = _moving_tokens(left, record, y.wrap)
    elif several and places.has_tokens(record):
        first = _positions(left, record, y, y.wrap)
    elif _has_conditionals(record):
        first = _conditionals(left, record, y, lambda state: record["density"][state])
    else:
        image = panels.marginal_image(record, panels.smoothing(record))
        first = _over_depth(
            left, record, y, image, panels.named(rf"$\mu(t,{y.symbol})$", record, smoothed=True)
        )
    values = _smooth_marginals(record) if panels.is_histogram(record) else record["marginal"]
    label = panels.named(rf"$\mu(t,{y.symbol})$", record, smoothed=True)
    return [first, _profile(right, y, values[:, y.index], label)]


def _zonal(place: Any, record: Record) -> list[Update]:
    """Conditionals over z, or the marginal over depth; beside them the law of the polar angle."""
    left, right = place.subplots(1, 2, width_ratios=(1.6, 1))
    y, marginal = zonal.polar_axis(record), zonal.angular(record, record["marginal"])
    label = panels.named(rf"$\mu(t,{y.symbol})$ per radian", record)
    if places.has_tokens(record) and len(record["aux"]) == 1:
        zonal.paths(left, record)
        first = _moving_tokens(left, record, zonal.folded)
    elif places.has_tokens(record):
        first = _positions(left, record, y, zonal.folded)
    elif _has_conditionals(record):
        first = _conditionals(left, record, y, lambda state: zonal.angular(record, record["density"][state]))
    else:
        first = _over_depth(left, record, y, heat.raster(marginal, depth_axis(record), y), label)
    second = _profile(right, y, marginal[:, y.index], label)
    for ax in (left, right):
        zonal.mark(ax, y, "y")
    right.set_ylabel("")
    return [first, second]


def _sphere(place: Any, record: Record) -> list[Update]:
    """Globe with the map of conditional means, and equal-area map."""
    left, right = place.subplots(1, 2, width_ratios=(1, 1.9))
    cloud = sphere.last_cloud(record)
    globe, whole = Orthographic(sphere.globe_view(*cloud)), Mollweide(sphere.equator_view(*cloud))
    draw = _sphere_tokens if places.has_tokens(record) else _sphere_density
    updates = [draw(left, record, globe), draw(right, record, whole)]
    sphere.shading(left)
    if right.images:
        shade = heat.Shade.of(record["marginal"])
        label = places.labelled(r"$\mu(t,x)$", record, shade)
        heat.scale(right.images[0], right, label, heat.Shade(shade.norm, ""))
    if "conditional_mean" in record:
        colors = places.node_colors(record)
        updates.append(_moving_means(left, record, lambda means: sphere.seen(globe, means), colors))
    if "conditional_mean" in record or places.has_tokens(record):
        places.node_bar(left, record)
    return updates


def _sphere_tokens(ax: Axes, record: Record, view: Projection) -> Update:
    """Tokens on a projection."""
    sphere.frame(ax, view)
    sphere.marks(ax, view)
    drawn = sphere.tokens(ax, record, view, 0)
    return lambda state: drawn.set_offsets(sphere.seen(view, places.tokens(record, state).places))


def _sphere_density(ax: Axes, record: Record, view: Projection) -> Update:
    """Token marginal on a projection."""
    paper, shade = sphere.Paper.of(record, view), heat.Shade.of(record["marginal"])
    image = paper.draw(ax, record["marginal"][0], shade)
    sphere.marks(ax, view)
    return lambda state: image.set_data(paper.image(record["marginal"][state], shade))


def _torus(place: Any, record: Record) -> list[Update]:
    """Heat map over both angles, or the tokens, with the conditional means; the laws of each angle."""
    left, right = place.subplots(1, 2, width_ratios=(1, 1.1))
    updates = [(_torus_tokens if places.has_tokens(record) else _torus_density)(left, record)]
    if "conditional_mean" in record:
        updates.append(_moving_means(left, record, lambda means: torus.angles(record, means)))
    return [*updates, _angles(right, record)]


def _torus_tokens(ax: Axes, record: Record) -> Update:
    """Tokens at both angles."""
    drawn = torus.tokens(ax, record, 0)
    torus.mark(ax, record)
    places.node_bar(ax, record)
    return lambda state: drawn.set_offsets(torus.angles(record, places.tokens(record, state).places))


def _torus_density(ax: Axes, record: Record) -> Update:
    """Token marginal over both angles."""
    shade = heat.Shade.of(record["marginal"])
    image = torus.heat_map(ax, record, torus.heat_image(record, record["marginal"][0]), shade)
    heat.scale(image, ax, places.labelled(r"$\mu(t,x)$", record, shade), heat.Shade(shade.norm, ""))
    return lambda state: image.set_data(_shown(torus.heat_image(record, record["marginal"][state]), shade))


def _angles(ax: Axes, record: Record) -> Update:
    """Laws of both angles, each the marginal summed over the other one."""
    masses = record["marginal"] * record["token_weight"]
    axes, lines, curves = torus.angle_axes(record), [], []
    for axis, other, look in zip(axes, (2, 1), (style.BLUE, style.ORANGE), strict=True):
        curves.append(masses.sum(axis=other)[:, axis.index] / np.diff(axis.edges))
        lines += ax.plot(axis.points, curves[-1][0], color=look, label=f"${axis.symbol}$")
    axes[0].mark(ax, "x")
    ax.set_ylim(0, 1.06 * max(float(curve.max()) for curve in curves))
    ax.set(xlabel="Angle", ylabel=panels.named("Density of the angle", record))
    style.ticks(ax.yaxis)
    style.key(ax)

    def update(state: int) -> None:
        for line, curve in zip(lines, curves, strict=True):
            line.set_ydata(curve[state])

    return update


def _has_conditionals(record: Record) -> bool:
    """Tell whether there are conditional densities of several nodes at all depths."""
    return len(record["aux"]) > 1 and record.variables["density"].dims[0] == "time"


def _conditionals(ax: Axes, record: Record, y: Axis, density: Callable[[int], FloatArray]) -> Update:
    """Heat map of conditional densities over z, with the conditional means as points."""
    x = auxiliary_axis(record)
    shade = heat.Shade.of(*(density(state) for state in range(len(record["time"]))))
    image = heat.heat(ax, heat.raster(density(0), x, y), shade, x, y)
    panels.auxiliary(ax, x)
    y.mark(ax, "y")
    unit = " per radian" if places.space_of(record) == "zonal" else ""
    heat.scale(image, ax, panels.named(rf"$\rho(t,{y.symbol}\,|\,z)${unit}", record), shade)
    means = _means_over_nodes(ax, record, y) if "conditional_mean" in record else lambda _: None

    def update(state: int) -> None:
        image.set_data(_shown(heat.raster(density(state), x, y), shade))
        means(state)

    return update


def _means_over_nodes(ax: Axes, record: Record, y: Axis) -> Update:
    """Conditional means at their angles over z."""
    x = auxiliary_axis(record)
    size = float(np.clip(18 / len(x.points) ** 0.5, 1.2, 3.0))
    look: dict[str, Any] = {"color": style.VERMILION, "markersize": size, "markeredgewidth": 0}
    (points,) = ax.plot([], [], linestyle="none", marker="o", **look)
    places.point_key(ax, "mean $T(z)$")

    def update(state: int) -> None:
        place = record["conditional_mean"][state]
        angle = zonal.folded(place) if places.space_of(record) == "zonal" else y.wrap(place)
        points.set_data(x.points, np.where(places.lengths(record, state) > _DIRECTED, angle, np.nan)[x.index])

    return update


def _over_depth(ax: Axes, record: Record, y: Axis, image: FloatArray, label: str) -> Update:
    """Heat map of the marginal over depth, with a line at the state."""
    x, shade = depth_axis(record), heat.Shade.of(image)
    drawn = heat.heat(ax, image, shade, x, y)
    x.mark(ax, "x")
    y.mark(ax, "y")
    heat.scale(drawn, ax, label, shade)
    line = ax.axvline(x.points[0], color=style.VERMILION, linewidth=1.0)
    return lambda state: line.set_xdata([x.points[state]] * 2)


def _moving_tokens(ax: Axes, record: Record, angle: Callable[[FloatArray], FloatArray]) -> Update:
    """Tokens of one node on their trajectories over depth."""
    look: dict[str, Any] = {"color": style.VERMILION, "markersize": 2.5, "markeredgewidth": 0}
    (points,) = ax.plot([], [], linestyle="none", marker="o", clip_on=False, zorder=4, **look)

    def update(state: int) -> None:
        angles = angle(places.tokens(record, state).places)
        points.set_data(np.full(len(angles), record["time"][state]), angles)

    return update


def _positions(ax: Axes, record: Record, y: Axis, angle: Callable[[FloatArray], FloatArray]) -> Update:
    """Tokens of all nodes at their angles over z."""
    drawn = places.tokens(record, 0)
    points = places.dots(ax, record, np.column_stack([drawn.z, angle(drawn.places)]), drawn)
    panels.auxiliary(ax, auxiliary_axis(record))
    y.mark(ax, "y")

    def update(state: int) -> None:
        points.set_offsets(np.column_stack([drawn.z, angle(places.tokens(record, state).places)]))

    return update


def _profile(ax: Axes, y: Axis, curves: FloatArray, label: str) -> Update:
    """Marginal as a curve along the vertical axis of the panel beside it, (time, points)."""
    (line,) = ax.plot(curves[0], y.points, color=style.BLUE)
    peak = float(curves.max())
    if peak > _SHARP * float(curves.mean()):
        ax.set_xscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0.0)), np.square))
        label = f"{label}, square-root scale"
    ax.set_xlim(0, 1.06 * max(peak, 1e-300))
    y.mark(ax, "y")
    ax.set_ylabel("")
    ax.tick_params(labelleft=False)
    if ax.get_xscale() == "linear":
        style.ticks(ax.xaxis, 4)
    else:
        ax.set_xticks(_roots(peak))
    ax.set_xlabel(label)
    return lambda state: line.set_xdata(curves[state])


def _roots(peak: float) -> FloatArray:
    """Ticks at round numbers that lie apart where their square roots are drawn."""
    unit = 10.0 ** np.floor(np.log10(peak))
    steps = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 5.0]) * unit
    return np.asarray(steps[steps <= peak])


def _order(ax: Axes, record: Record) -> Update:
    """Order parameters over depth with a point at the state, whose depth stands above."""
    panels.order(ax, record)
    most = float(max(record["order_parameter"].max(), record["conditional_concentration"].max(), 1.0))
    ax.set_ylim(-0.05 * most, 1.05 * most)
    style.key(ax)
    (mark,) = ax.plot([], [], marker="o", markersize=4, color=style.VERMILION, clip_on=False, zorder=5)
    ax.set_ylabel("$R$")

    def update(state: int) -> None:
        mark.set_data([record["time"][state]], [record["order_parameter"][state]])
        style.head(ax, "", places.depth_heading(record, state))

    return update


def _moving_means(
    ax: Axes,
    record: Record,
    project: Callable[[FloatArray], FloatArray],
    colors: dict[str, Any] | None = None,
) -> Update:
    """Conditional means as points whose areas go with their lengths."""
    count = len(record["aux"])
    points = places.nodes(ax, np.zeros((count, 2)), np.ones(count), colors)  # NaN would have no colour
    places.point_key(ax, "mean $T(z)$")

    def update(state: int) -> None:
        length = places.lengths(record, state)
        at = project(record["conditional_mean"][state])
        points.set_offsets(np.where(length[:, None] > _DIRECTED, at, np.nan))
        points.set_sizes(places.areas(length))

    return update


def _shown(pixels: FloatArray, shade: heat.Shade) -> FloatArray:
    """Return pixels none of which is below what the scale can show: rounding leaves some."""
    return np.maximum(pixels, shade.lowest)


def _smooth_marginals(record: Record) -> FloatArray:
    """Return the marginals (time, token) of a histogram, smoothed, at the points of the grid."""
    width = panels.smoothing(record)
    curves = [panels.curve(record, state, width) for state in range(len(record["time"]))]
    return np.stack([np.interp(record["token"], at, curve) for at, curve in curves])
