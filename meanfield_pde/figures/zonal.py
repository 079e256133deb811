"""One solution, or one limit, of densities that are symmetric about an axis, by the angle to that axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.collections import LineCollection

from meanfield_pde.figures import heat, panels, places, style
from meanfield_pde.figures.axes import Axis, auxiliary_axis, depth_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["angular", "folded", "limit", "mark", "overview", "paths", "polar_axis", "profiles", "uniform"]

_SYMBOL = r"\vartheta"
_UNIFORM: dict[str, Any] = {"color": style.GREY, "linewidth": 0.8, "linestyle": ":"}
_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": style.GREEN, "dashes": (4, 1.5)},
    {"color": style.VERMILION, "dashes": (6, 1.5, 1.5, 1.5)},
    {"color": style.BLUE},
)
_LINES = 60  # trajectories: more run together in a panel
_RUG = 0.2  # of the highest density: the height of the heaviest atom
_DIRECTED = 1e-6  # means shorter than this have a direction by rounding only


def overview(record: Record) -> Figure:
    """Draw the law of the polar angle over depth, over z and in profile, order parameter and energy."""
    several = len(record["aux"]) > 1
    page = style.page(4.6, style.title(record))
    top, bottom = style.halves(page, 1.15)
    left, right = top.subplots(1, 2)
    _over_depth(left, record, "a")
    below = bottom.subplots(1, 3 if several else 2)
    if several:
        _joint(right, record, "b")
    profile = below[0] if several else right
    style.head(profile, "c" if several else "b")
    profiles(profile, record)
    places.series(below[-2:], record, "de" if several else "cd")
    return page


def limit(record: Record) -> Figure:
    """Draw the conditional laws with T(z) in them, and the law of the polar angle with T_#ν.

    Raises
    ------
    InputError
        There is no group ``limit``, or no limit law.
    """
    law = places.LimitLaw.of(record)
    low = bool(places.supports(law))
    page = style.page(4.8 if low else 2.7, style.title(record), law.verdict)
    top, bottom = style.halves(page, 1.0) if low else (page, None)
    left, right = top.subplots(1, 2)
    _conditionals(left, record, law.density)
    style.head(left, "a", law.heading)
    for place, mass in law.atoms:
        panels.points(left, record, folded(place), area=mass if law.is_map else 2 * mass)
        left.collections[-1].set(clip_on=False, zorder=4)  # at a pole they are on the edge
    if law.is_known:
        style.key(left, [panels.map_key()], [law.name], handlelength=0.6, handletextpad=0.3)
    _against(right, law)
    style.head(right, "b", "" if low else law.distances)
    if bottom is not None:
        places.stability(bottom, law, "cde")
    return page


def polar_axis(record: Record) -> Axis:
    """Return the axis of the polar angle, from the axis of symmetry at 0 to its other end at π."""
    angle = np.arccos(np.clip(record["cosine"], -1.0, 1.0))
    order = np.argsort(angle, kind="stable")
    return Axis(angle[order], order, (0.0, math.pi), rf"Polar angle ${_SYMBOL}$", _SYMBOL)


def mark(ax: Axes, x: Axis, side: Literal["x", "y"]) -> None:
    """Put the polar angle on a side of a panel, in quarters of a turn."""
    x.mark(ax, side)
    ruler = ax.xaxis if side == "x" else ax.yaxis
    ruler.set_ticks([0.0, math.pi / 2, math.pi], ["$0$", r"$\pi/2$", r"$\pi$"])


def uniform(record: Record) -> NDArray[np.float64]:
    """Law of the polar angle of the uniform law, sin^{d−2}θ / ∫ sin^{d−2}, at the points of the grid."""
    power = int(record.attributes.get("dimension", 3)) - 2
    whole = math.log(math.pi) / 2 + math.lgamma((power + 1) / 2) - math.lgamma(power / 2 + 1)
    cosine = np.asarray(record["cosine"], dtype=float)
    return np.asarray(np.exp(power / 2 * np.log((1 - cosine) * (1 + cosine)) - whole))


def angular(record: Record, density: NDArray[np.float64]) -> NDArray[np.float64]:
    """Densities (..., cosine) on the sphere as those of the polar angle, which integrate to 1 over (0, π)."""
    return np.asarray(density * record["token_weight"].sum() * uniform(record))


def folded(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Polar angles from 0 to π of places: angles of any turn, or vectors (..., d)."""
    if place.ndim > 1:
        return np.asarray(np.arctan2(np.linalg.norm(place[..., 1:], axis=-1), place[..., 0]))
    return np.asarray(np.arccos(np.clip(np.cos(place), -1.0, 1.0)))


def profiles(ax: Axes, record: Record) -> None:
    """Draw the law of the polar angle at three depths, the uniform one in grey."""
    x, states = polar_axis(record), places.chosen_depths(record)
    ax.plot(x.points, uniform(record)[x.index], label="uniform", **_UNIFORM)
    steps: dict[str, Any] = {"drawstyle": "steps-mid"} if panels.is_histogram(record) else {}
    for state, look in zip(states, _LOOKS[-len(states) :], strict=True):
        curve = angular(record, record["marginal"][state])[x.index]
        ax.plot(x.points, curve, label=places.depth_heading(record, state), **steps, **look)
    density(ax, x, panels.named(rf"$\mu(t,{_SYMBOL})$ per radian", record))
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.02), ncols=2)


def paths(ax: Axes, record: Record) -> None:
    """Draw polar angles of the tokens of one node over depth; of many tokens some that share the mass."""
    x, y = depth_axis(record), polar_axis(record)
    angles = np.stack([folded(places.tokens(record, state).places) for state in range(len(x.points))])
    order = np.argsort(angles[0], kind="stable")
    mass = np.cumsum(places.tokens(record, 0).shares[order])
    count = min(_LINES, len(order))
    chosen = np.unique(order[np.searchsorted(mass, (np.arange(count) + 0.5) / count * mass[-1])])
    lines = [np.column_stack([x.points, path]) for path in angles[:, chosen].T]
    ax.add_collection(LineCollection(lines, colors=style.BLUE, linewidths=0.7, alpha=0.75, capstyle="butt"))
    style.note(ax, f"all {count} tokens" if count == len(order) else f"{len(chosen)} tokens of equal mass")
    x.mark(ax, "x")
    mark(ax, y, "y")


def density(ax: Axes, x: Axis, label: str) -> None:
    """Set up the axes for densities of the polar angle."""
    panels.density(ax, x, label)
    mark(ax, x, "x")


def _over_depth(ax: Axes, record: Record, letter: str) -> None:
    style.head(ax, letter, "Tokens over depth")
    if places.has_tokens(record) and len(record["aux"]) == 1:
        paths(ax, record)
        return
    x, y = depth_axis(record), polar_axis(record)
    image = heat.raster(angular(record, record["marginal"]), x, y)
    shade = heat.Shade.of(image)
    drawn = heat.heat(ax, image, shade, x, y)
    x.mark(ax, "x")
    mark(ax, y, "y")
    heat.scale(drawn, ax, panels.named(rf"$\mu(t,{_SYMBOL})$ per radian", record), shade)


def _conditionals(ax: Axes, record: Record, values: NDArray[np.float64]) -> None:
    """Draw conditional densities (aux, cosine) over the auxiliary variable."""
    x, y = auxiliary_axis(record), polar_axis(record)
    image = heat.raster(angular(record, values), x, y)
    shade = heat.Shade.of(image)
    drawn = heat.heat(ax, image, shade, x, y)
    panels.auxiliary(ax, x)
    mark(ax, y, "y")
    heat.scale(drawn, ax, panels.named(rf"$\rho({_SYMBOL}\,|\,z)$ per radian", record), shade)


def _joint(ax: Axes, record: Record, letter: str) -> None:
    """Draw the last conditional densities with the map of conditional means in them."""
    _conditionals(ax, record, record["density"][-1])
    style.head(ax, letter, f"Last state, {places.depth_heading(record, -1)}")
    length = places.lengths(record)
    if "conditional_mean" in record and (length > _DIRECTED).any():
        opacity = np.clip(length / 0.3, 0.1, 1.0) * (length > _DIRECTED)
        panels.points(ax, record, folded(record["conditional_mean"][-1]), opacity=opacity)
        style.key(ax, [panels.map_key()], ["mean $T(z)$"], handlelength=0.6, handletextpad=0.3)


def _against(ax: Axes, law: places.LimitLaw) -> None:
    """Draw the marginal, and below it the atoms at their polar angles, as high as their masses say."""
    record, x = law.record, polar_axis(law.record)
    curve = angular(record, law.marginal)[x.index]
    ax.fill_between(x.points, curve, color=style.BLUE, alpha=0.15, linewidth=0)
    ax.plot(x.points, curve, color=style.BLUE, label=r"$\mu$")
    if law.is_known:
        angles = np.concatenate([folded(place) for place, _ in law.atoms])
        shares = np.concatenate([mass * record["aux_weight"] for _, mass in law.atoms])
        heights = _RUG * curve.max() * shares / shares.max()
        name = r"$T_{\#}\nu$" if law.is_map else "atoms"
        look: dict[str, Any] = {"color": style.VERMILION, "linewidth": 1.2, "zorder": 3, "clip_on": False}
        ax.vlines(angles, 0.0, heights, label=f"{name}, by mass", **look)  # at a pole over the edge
    density(ax, x, rf"$\mu({_SYMBOL})$ per radian")
    style.key(ax)
