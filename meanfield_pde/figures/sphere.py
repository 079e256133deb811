"""One solution, or one limit, on the sphere S²: equal-area maps, and a globe with the conditional means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.patheffects
import numpy as np
from matplotlib.patches import Ellipse

from meanfield_pde.figures import heat, places, style
from meanfield_pde.figures.projections import Mollweide, Orthographic, Projection, Sampler, View, vectors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = [
    "Paper",
    "equator_view",
    "frame",
    "globe_view",
    "last_cloud",
    "limit",
    "marks",
    "means",
    "overview",
    "seen",
    "shading",
    "tokens",
]

_PIXELS = 700  # across a panel: somewhat finer than it is printed
_STEP = 30  # degrees between two lines of the graticule
_LINE: dict[str, Any] = {"color": "#8b929c", "linewidth": 0.35, "alpha": 0.55, "zorder": 2}
_DIRECTED = 1e-6  # means shorter than this have a direction by rounding only
_CANDIDATES = 600  # directions of view: 8 degrees from each other
_SEAM = 2.0  # concentration of the kernel about the edge of a map, which no mass is to lie near


@dataclass(frozen=True, eq=False)
class Paper:
    """A projection of the grid of a record in pixels."""

    projection: Projection
    sampler: Sampler

    @classmethod
    def of(cls, record: Record, projection: Projection) -> Paper:
        """Prepare the interpolation to all pixels."""
        across, up = projection.half_axes
        height = round(_PIXELS * up / across)
        x = across * ((2 * np.arange(_PIXELS) + 1) / _PIXELS - 1)
        y = up * ((2 * np.arange(height) + 1) / height - 1)
        points = projection.lift(*np.meshgrid(x, y))
        return cls(projection, Sampler.at(record["colatitude"], record["longitude"], points))

    def image(self, values: NDArray[np.float64], shade: heat.Shade) -> NDArray[np.float64]:
        """Return the pixels of a density (colatitude, longitude), none below what the scale can show."""
        return np.maximum(self.sampler(values), shade.lowest)

    def draw(self, ax: Axes, values: NDArray[np.float64], shade: heat.Shade) -> AxesImage:
        """Draw a density with a graticule."""
        across, up = self.projection.half_axes
        image = ax.imshow(
            self.image(values, shade),
            cmap=style.DENSITY,
            norm=shade.norm,
            extent=(-across, across, -up, up),
            origin="lower",
            interpolation="antialiased",
        )
        image.set_clip_path(frame(ax, self.projection))  # which sets the limits as well
        return image


def overview(record: Record) -> Figure:
    """Draw the marginal at three depths above; the last state on a globe, order parameter, energy below."""
    states = places.chosen_depths(record)
    page = style.page(4.1, style.title(record))
    top, bottom = style.halves(page, 0.54)
    axes = list(np.ravel(top.subplots(1, len(states))))
    letters = "abcdef"
    shade = _maps(axes, record, states)
    for ax, letter, state in zip(axes, letters, states, strict=False):
        style.head(ax, letter, places.depth_heading(record, state))
    globe, *others = bottom.subplots(1, 3, width_ratios=(1.15, 1, 1))
    style.head(globe, letters[len(states)], places.depth_heading(record, -1))
    _globe(globe, record, shade)
    places.series(others, record, letters[len(states) + 1 : len(states) + 3])
    return page


def limit(record: Record) -> Figure:
    """Draw the marginal as an equal-area map, and on a globe with T(z); below, what T rests on.

    Raises
    ------
    InputError
        There is no group ``limit``, or no limit law.
    """
    law = places.LimitLaw.of(record)
    low = bool(places.supports(law))
    page = style.page(4.8 if low else 2.6, style.title(record), law.verdict)
    top, bottom = style.halves(page, 1.0) if low else (page, None)
    left, right = top.subplots(1, 2, width_ratios=(1.5, 1))
    cloud = _points(record), (law.marginal * record["token_weight"]).ravel()
    whole, view = Mollweide(equator_view(*cloud)), Orthographic(globe_view(*cloud))
    if law.is_atomic:
        frame(left, whole)
        frame(right, view)
        for place, mass in law.atoms:
            means(left, record, whole, place, mass, mass > 0)
    else:
        shade = heat.Shade.of(law.marginal)
        image = Paper.of(record, whole).draw(left, law.marginal, shade)
        Paper.of(record, view).draw(right, law.marginal, shade)
        heat.scale(image, left, places.labelled(r"$\mu(x)$", record, shade), heat.Shade(shade.norm, ""))
    marks(left, whole)
    style.head(left, "a", law.heading)
    shading(right)
    marks(right, view)
    hidden = [means(right, record, view, place, mass, mass > 0) for place, mass in law.atoms]
    if law.is_known:
        places.point_key(right, law.name, behind=any(hidden))
        places.node_bar(right, record)
    style.head(right, "b")
    if bottom is not None:
        places.stability(bottom, law, "cde")
    return page


def frame(ax: Axes, projection: Projection) -> Ellipse:
    """Draw the graticule and the outline of a projection, and return the outline."""
    ax.set_aspect("equal")
    ax.set_axis_off()
    across, up = projection.half_axes
    edge = Ellipse(
        (0, 0), 2 * across, 2 * up, facecolor="none", edgecolor=style.BLACK, linewidth=0.6, zorder=3
    )
    ax.add_patch(edge)
    for line in _graticule():
        x, y = projection.project(line)
        jump = np.abs(np.diff(x, prepend=x[0])) > projection.half_axes[0]
        ax.plot(np.where(projection.in_view(line) & ~jump, x, np.nan), y, **_LINE)
    ax.set(xlim=(-1.02 * across, 1.02 * across), ylim=(-1.02 * up, 1.02 * up))
    return edge


def means(
    ax: Axes,
    record: Record,
    projection: Projection,
    place: NDArray[np.float64],
    length: NDArray[np.float64],
    defined: NDArray[np.bool_],
) -> bool:
    """Draw directions (aux, 3) coloured by z; those behind a globe are hollow. Tell whether there are any."""
    at = np.where(defined[:, None], np.stack(projection.project(place), axis=-1), np.nan)
    front, colors = projection.in_view(place)[:, None], places.node_colors(record)
    places.nodes(ax, np.where(front, at, np.nan), length, colors)
    back, size = np.where(front, np.nan, at), np.clip(350 / len(at), 3.0, 10.0)
    edges = places.solid_colors(record)
    look: dict[str, Any] = {"facecolors": "none", "edgecolors": edges, "linewidths": 0.6}
    ax.scatter(back[:, 0], back[:, 1], s=size, zorder=3.5, clip_on=False, **look)
    return bool((defined & ~front[:, 0]).any())


def tokens(ax: Axes, record: Record, projection: Projection, state: int) -> PathCollection:
    """Draw the labelled tokens that are seen."""
    drawn = places.tokens(record, state)
    return places.dots(ax, record, seen(projection, drawn.places), drawn)


def seen(projection: Projection, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates (n, 2) on paper of points (n, 3), NaN for those that are not seen."""
    at = np.stack(projection.project(points), axis=-1)
    return np.where(projection.in_view(points)[:, None], at, np.nan)


def equator_view(points: NDArray[np.float64], masses: NDArray[np.float64]) -> View:
    """Return the view for a map with as little mass as possible near the edge where it is cut open."""
    middles = np.deg2rad(np.arange(0, 360, 15))
    longitude = np.arctan2(points[:, 1], points[:, 0])
    kernel = np.exp(_SEAM * (-np.cos(longitude - middles[:, None]) - 1))
    near = kernel @ (masses * np.hypot(points[:, 0], points[:, 1]))
    best = middles[np.argmin(np.round(near / max(near.max(), 1e-300), 6))]
    return View.upright(np.array([np.cos(best), np.sin(best), 0.0]))


def globe_view(points: NDArray[np.float64], masses: NDArray[np.float64]) -> View:
    """Return the direction of view n with the largest mass in front, ∫ max(0, ⟨x, n⟩) μ(dx)."""
    count = np.arange(_CANDIDATES) + 0.5
    spiral = vectors(np.arccos(1 - 2 * count / _CANDIDATES), np.pi * (1 + np.sqrt(5)) * count)
    usual = np.array([1.0, 0.6, 0.6]) / np.sqrt(1.72)  # where all directions are equal
    front = np.array([np.maximum(points @ direction, 0.0) @ masses for direction in spiral])
    return View.along(spiral[np.argmax(front + 1e-3 * front.max() * (spiral @ usual))])


def last_cloud(record: Record) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the mass of the last state is: points (n, 3) and their masses."""
    if places.has_tokens(record, always=False):
        drawn = places.tokens(record, -1)
        return drawn.places, drawn.shares
    return _points(record), (record["marginal"][-1] * record["token_weight"]).ravel()


def _maps(axes: list[Axes], record: Record, states: list[int]) -> heat.Shade | None:
    """Draw the marginals of some states with one scale, which is returned, or the tokens."""
    view = Mollweide(equator_view(*last_cloud(record)))
    if places.has_tokens(record):
        for ax, state in zip(axes, states, strict=True):
            frame(ax, view)
            tokens(ax, record, view, state)
            marks(ax, view)
        return None
    paper = Paper.of(record, view)
    shade = heat.Shade.of(*(paper.sampler(record["marginal"][state]) for state in states))
    for ax, state in zip(axes, states, strict=True):
        image = paper.draw(ax, record["marginal"][state], shade)
        marks(ax, view)
    heat.scale(image, axes, places.labelled(r"$\mu(t,x)$", record, shade), heat.Shade(shade.norm, ""))
    return shade


def _globe(ax: Axes, record: Record, shade: heat.Shade | None) -> None:
    """Draw the last state on a globe, its tokens where it has no scale, with the map of conditional means."""
    view = Orthographic(globe_view(*last_cloud(record)))
    if shade is None:
        frame(ax, view)
        tokens(ax, record, view, -1)
    else:
        Paper.of(record, view).draw(ax, record["marginal"][-1], shade)
    shading(ax)
    marks(ax, view)
    length = places.lengths(record)
    if "conditional_mean" in record and (length > _DIRECTED).any():
        place = record["conditional_mean"][-1]
        behind = means(ax, record, view, place, length, length > _DIRECTED)
        places.point_key(ax, "mean $T(z)$", behind=behind)
        places.node_bar(ax, record)


def _points(record: Record) -> NDArray[np.float64]:
    """Return the points of the grid, (points, 3)."""
    return vectors(record["colatitude"][:, None], record["longitude"][None, :]).reshape(-1, 3)


def _graticule() -> Iterator[NDArray[np.float64]]:
    """Yield meridians and parallels as points (n, 3)."""
    along, around = np.linspace(0.0, np.pi, 181), np.linspace(0.0, 2 * np.pi, 361)
    for degrees in range(0, 360, _STEP):
        yield vectors(along, np.full_like(along, np.deg2rad(degrees)))
    for degrees in range(_STEP, 180, _STEP):
        yield vectors(np.full_like(around, np.deg2rad(degrees)), around)


def marks(ax: Axes, projection: Projection) -> None:
    """Mark the points where the axes leave the sphere."""
    halo = [matplotlib.patheffects.withStroke(linewidth=1.6, foreground="white")]
    for axis in range(3):
        for sign in (1, -1):
            point = sign * np.eye(3)[axis]
            x, y = (float(part) for part in projection.project(point))
            across, up = projection.half_axes
            if not projection.in_view(point) or np.hypot(x / across, y / up) > 0.97:
                continue
            ax.plot(x, y, marker="+", color=style.BLACK, markersize=3, markeredgewidth=0.5, zorder=3)
            text = f"${'' if sign > 0 else '-'}e_{axis + 1}$"
            look: dict[str, Any] = {"fontsize": 6.5, "path_effects": halo, "zorder": 5}
            left = x > 0.6 * across  # the name stays inside
            offset, side = ((-2, 3.5), "right") if left else ((2, 3.5), "left")
            ax.annotate(text, (x, y), offset, textcoords="offset points", ha=side, **look)


def shading(ax: Axes) -> None:
    """Darken the limb of a globe a little, so that it looks round."""
    side = np.linspace(-1, 1, 300)
    distance = np.minimum(np.hypot(*np.meshgrid(side, side)), 1.0)
    dark = np.zeros((300, 300, 4))
    dark[..., 3] = 0.22 * (1 - np.sqrt(1 - distance**2)) ** 2
    shadow = ax.imshow(dark, extent=(-1, 1, -1, 1), origin="lower", interpolation="bilinear", zorder=1.5)
    shadow.set_clip_path(ax.patches[0])  # the outline
    ax.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02))
