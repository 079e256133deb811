"""A design: the target and what reaches it, the map T, what was designed, and what its stability rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from meanfield_pde.figures import heat, panels, places, sphere, style, torus
from meanfield_pde.figures.axes import auxiliary_axis, token_axis
from meanfield_pde.figures.projections import Mollweide, Orthographic

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["design"]

TURN = 2 * np.pi
#: Residual below which the directions keep tokens at rest: others belong to no map onto the target.
_SOLVED = 1e-8
_HOLLOW: dict[str, Any] = {"marker": "o", "markersize": 4.2, "markerfacecolor": "none", "linestyle": "none"}


def design(record: Record) -> Figure:
    """Draw the target beside the pushforward of ν, T over z, what was designed, and its stability.

    On the circle encodings and prompts are points of the plane; on surfaces the target is a map with T(z) in
    it, and encodings are shown by their directions.
    """
    space = places.space_of(record)
    drawn = {"sphere": _on_sphere, "torus": _on_torus}.get(space, _on_circle)(record)
    stability = _trials if _has_trials(record) else _curvature if _has_curvature(record) else None
    drawn += [stability] if stability is not None else []
    page = style.page(2.75 if len(drawn) < 3 else 5.0, style.title(record), _verdict(record))
    if len(drawn) < 3:
        axes = list(np.ravel(page.subplots(1, len(drawn))))
    else:
        top, bottom = style.halves(page, 1.0)
        axes = [*np.ravel(top.subplots(1, 2)), *np.ravel(bottom.subplots(1, len(drawn) - 2))]
    for ax, draw, letter in zip(axes, drawn, "abcd", strict=False):
        draw(ax, record, letter)
    return page


def _verdict(record: Record) -> str:
    found = record.attributes
    if not found["reached"]:
        return "target not reached"
    return "target reached" + ("" if found.get("verified_from") != "near" else " from near the map")


def _on_circle(record: Record) -> list[Callable[[Axes, Record, str], None]]:
    kind = record.attributes["design"]
    shown = [_plane] if kind in {"additive", "prompt"} else []
    return [_target, _map, *shown]


def _on_sphere(record: Record) -> list[Callable[[Axes, Record, str], None]]:  # noqa: ARG001
    return [_sphere_target, _sphere_map, _sphere_designed]


def _on_torus(record: Record) -> list[Callable[[Axes, Record, str], None]]:  # noqa: ARG001
    return [_torus_target, _torus_designed]


def _target(ax: Axes, record: Record, letter: str) -> None:
    """Draw the density of the target, smoothed as that of the atoms T(z), and these below it."""
    x = token_axis(record)
    if "target_density" in record:
        at, curve = panels.smoothed(
            record, record["token"], record["target_density"] * record["token_weight"]
        )
        ax.fill_between(at, curve, color=style.BLUE, alpha=0.15, linewidth=0)
        ax.plot(at, curve, color=style.BLUE, label="target")
    found = record["limit_map"]
    if np.isfinite(found).all():
        shown = panels.smoothed(record, found, record["aux_weight"])
        ax.plot(*shown, color=style.VERMILION, dashes=(4, 1.5), label=r"$T_{\#}\nu$")
    panels.density(ax, x, "Smoothed density")
    low = -0.07 * ax.get_ylim()[1]
    ax.set_ylim(low, None)
    ax.vlines(x.wrap(found), low, 0.15 * low, color=style.VERMILION, linewidth=0.6)
    style.head(
        ax, letter, f"Quantization $W_2 = {style.number(float(record.attributes['quantization']), 2)}$"
    )
    style.key(ax, handlelength=1.3, columnspacing=0.8)


def _map(ax: Axes, record: Record, letter: str) -> None:
    """Draw the target's atoms as circles, and where tokens of the forward run came to rest as points."""
    x, y = auxiliary_axis(record), token_axis(record)
    ring: dict[str, Any] = {**_HOLLOW, "markeredgecolor": style.BLUE, "markeredgewidth": 0.7}
    ring["markersize"] = float(np.clip(40 / np.sqrt(len(x.points)), 2.6, 5.0))
    ax.plot(x.points, y.wrap(record["target_map"])[x.index], **ring)
    names = ["target"]
    handles = [Line2D([], [], **ring)]
    if "verified_map" in record:
        panels.points(ax, record, y.wrap(record["verified_map"]), opacity=record["verified_length"])
        handles.append(panels.map_key())
        names.append("end of the forward run")
    panels.auxiliary(ax, x)
    y.mark(ax, "y")
    shown = float(record.attributes.get("verified_w2", np.nan))
    style.head(ax, letter, f"$W_2 = {style.number(shown, 2)}$" if np.isfinite(shown) else "")
    style.key(ax, handles, names, handlelength=0.6, handletextpad=0.3, columnspacing=0.8)


def _plane(ax: Axes, record: Record, letter: str) -> None:
    """Draw p(z), or the prompts, in the plane beside the tokens T(z) on their circle."""
    angle = np.linspace(0.0, TURN, 361)
    ax.plot(np.cos(angle), np.sin(angle), color=style.GREY, linewidth=0.6, zorder=1)
    tokens = np.stack([np.cos(record["target_map"]), np.sin(record["target_map"])], axis=1)
    additive = record.attributes["design"] == "additive"
    if additive:
        shown = record["encoding"]
        radius = float(record.attributes["amplitude"])
        ax.plot(
            radius * np.cos(angle), radius * np.sin(angle), color=style.GREY, linewidth=0.6, dashes=(4, 2)
        )
    else:
        shown = 1.25 * np.stack([np.cos(record["prompt"]), np.sin(record["prompt"])], axis=1)
    segments = np.stack([tokens, shown, np.full_like(shown, np.nan)], axis=1).reshape(-1, 2)
    ax.plot(*segments.T, color=style.GREY, linewidth=0.35, alpha=0.7, zorder=1.5)
    colors = places.node_colors(record)
    places.nodes(ax, tokens, np.full(len(tokens), 0.0), colors)
    places.nodes(ax, shown, np.ones(len(shown)), colors)
    reach = 1.12 * max(1.0, float(np.abs(shown).max()))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set_xlabel("$x_1$")
    ax.set_ylabel("$x_2$")
    for ruler in (ax.xaxis, ax.yaxis):
        style.ticks(ruler, 4)
        style.plain(ruler)
    size = style.number(float(record.attributes.get("amplitude", np.nan)), 4)
    text = rf"$p(z)$, $|p| = {size}$, from $T(z)$" if additive else "prompts, outside, from $T(z)$"
    style.head(ax, letter, text)
    places.node_bar(ax, record)


def _has_trials(record: Record) -> bool:
    """Tell whether a curve of growth rates can be drawn."""
    return "trial_leading" in record and int(np.isfinite(record["trial_leading"]).sum()) > 1


def _has_curvature(record: Record) -> bool:
    """Tell whether curvatures are known, and differ in what is shown: those of rotary designs are all one."""
    return "curvature" in record and record.attributes["design"] != "rotary"


def _trials(ax: Axes, record: Record, letter: str) -> None:
    """Draw the growth rate of the designed map over the amplitude, with the least and the chosen one."""
    amplitude, leading = record["trial_amplitude"], record["trial_leading"]
    known = np.isfinite(leading)
    ax.axhline(0.0, color=style.GREY, linewidth=0.6, zorder=0)
    ax.plot(amplitude[known], leading[known], color=style.BLUE, marker="o", markersize=2.4)
    if (~known).any():
        most = float(amplitude[~known].max())
        ax.axvspan(0.0, most, color=style.SHADE, linewidth=0, zorder=-1, label="no directions")
    least = float(record.attributes.get("least_amplitude", np.nan))
    chosen = float(record.attributes["amplitude"])
    look: dict[str, Any] = {"linestyle": "none", "markersize": 5, "zorder": 4}
    if np.isfinite(least):
        ax.plot(least, 0.0, marker="D", color=style.BLACK, label=f"least: {least:.4g}", **look)
    rate = float(record.attributes["leading"])
    if np.isfinite(rate) and float(record.attributes["residual"]) < _SOLVED:
        ax.plot(chosen, rate, marker="*", color=style.VERMILION, label="design", **look | {"markersize": 8})
    else:
        ax.axvline(chosen, color=style.VERMILION, dashes=(4, 1.5), label="asked for")
    ax.set_xlabel("Amplitude $|p|$")
    ax.set_ylabel(r"Leading growth rate $\lambda$")
    ax.set_xlim(0.0 if (~known).any() else 0.9 * min(chosen, float(amplitude[known].min())), None)
    for ruler in (ax.xaxis, ax.yaxis):
        style.ticks(ruler)
        style.plain(ruler)
    style.head(ax, letter, "Stability")
    style.key(ax, handlelength=0.8)


def _curvature(ax: Axes, record: Record, letter: str) -> None:
    """Draw κ(z) at T(z)."""
    values = record["curvature"]
    panels.points(ax, record, values, color=style.BLUE)
    panels.auxiliary(ax, auxiliary_axis(record))
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    margin = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - margin if low < 0 else 0.0, high + margin)
    if low < 0:
        ax.axhline(0.0, color=style.GREY, linewidth=0.6, zorder=0)
    style.ticks(ax.yaxis)
    ax.set_ylabel(r"Curvature $\kappa(z)$")
    leading = float(record.attributes["leading"])
    style.head(ax, letter, rf"Leading growth rate $\lambda = {style.number(leading, 3)}$")


def _cloud(record: Record) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the atoms of the target, unit vectors (aux, 3), and their masses."""
    return record["target_map"], record["aux_weight"]


def _sphere_target(ax: Axes, record: Record, letter: str) -> None:
    """Draw the target as an equal-area map with T(z) in it."""
    view = Mollweide(sphere.equator_view(*_cloud(record)))
    if "target_density" in record:
        density = record["target_density"]
        shade = heat.Shade.of(density)
        image = sphere.Paper.of(record, view).draw(ax, density, shade)
        heat.scale(image, ax, places.labelled("target", record, shade), heat.Shade(shade.norm, ""))
    else:
        sphere.frame(ax, view)
    sphere.marks(ax, view)
    _vectors(ax, record, view, record["target_map"])
    style.head(
        ax, letter, f"Quantization $W_2 = {style.number(float(record.attributes['quantization']), 2)}$"
    )


def _sphere_map(ax: Axes, record: Record, letter: str) -> None:
    """Draw where the tokens of the forward run came to rest on a globe."""
    view = Orthographic(sphere.globe_view(*_cloud(record)))
    sphere.frame(ax, view)
    sphere.shading(ax)
    sphere.marks(ax, view)
    shown = record["verified_map" if "verified_map" in record else "limit_map"]
    hidden = _vectors(ax, record, view, shown)
    places.point_key(ax, "$T(z)$", behind=hidden)
    distance = float(record.attributes.get("verified_w2", record.attributes["w2"]))
    style.head(ax, letter, f"$W_2 = {style.number(distance, 2)}$" if np.isfinite(distance) else "")


def _sphere_designed(ax: Axes, record: Record, letter: str) -> None:
    """Draw directions of p(z), or prompts, on a globe."""
    view = Orthographic(sphere.globe_view(*_cloud(record)))
    sphere.frame(ax, view)
    sphere.shading(ax)
    sphere.marks(ax, view)
    additive = record.attributes["design"] == "additive"
    shown = record["encoding"] / float(record.attributes["amplitude"]) if additive else record["prompt"]
    hidden = _vectors(ax, record, view, shown)
    places.point_key(ax, "$p(z)/|p|$" if additive else "prompt", behind=hidden)
    size = style.number(float(record.attributes.get("amplitude", np.nan)), 4)
    style.head(ax, letter, rf"$|p| = {size}$" if additive else "")
    places.node_bar(ax, record)


def _vectors(ax: Axes, record: Record, view: Any, shown: NDArray[np.float64]) -> bool:
    known = np.asarray(np.isfinite(shown).all(axis=1))
    return sphere.means(ax, record, view, np.nan_to_num(shown), np.ones(len(shown)), known)


def _torus_target(ax: Axes, record: Record, letter: str) -> None:
    """Draw the target over both angles, with T(z) in it."""
    if "target_density" in record:
        image = torus.heat_image(record, record["target_density"])
        shade = heat.Shade.of(image)
        drawn = torus.heat_map(ax, record, image, shade)
        heat.scale(drawn, ax, places.labelled("target", record, shade), heat.Shade(shade.norm, ""))
    torus.mark(ax, record)
    places.nodes(ax, torus.angles(record, record["target_map"]), np.ones(len(record["aux"])))
    places.point_key(ax, "$T(z)$")
    style.head(
        ax, letter, f"Quantization $W_2 = {style.number(float(record.attributes['quantization']), 2)}$"
    )


def _torus_designed(ax: Axes, record: Record, letter: str) -> None:
    """Draw the angles of p(z), or of the prompts, joined to T(z)."""
    additive = record.attributes["design"] == "additive"
    tokens = torus.angles(record, record["target_map"])
    shown = torus.angles(record, record["encoding" if additive else "prompt"])
    step = (shown - tokens + np.pi) % TURN - np.pi
    segments = np.stack([tokens, tokens + step, np.full_like(step, np.nan)], axis=1).reshape(-1, 2)
    ax.plot(*segments.T, color=style.GREY, linewidth=0.5, zorder=1.5)
    places.nodes(ax, tokens, np.zeros(len(tokens)), {"c": style.GREY})
    places.nodes(ax, shown, np.ones(len(shown)), places.node_colors(record))
    torus.mark(ax, record)
    style.head(ax, letter, "angles of $p(z)$, from $T(z)$" if additive else "prompts, from $T(z)$")
    places.node_bar(ax, record)
