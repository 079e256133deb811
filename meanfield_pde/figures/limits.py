"""A limit law, or the last state of a solution, beside the pushforward of ν by the limit map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.figures import heat, panels, style
from meanfield_pde.figures.axes import token_axis
from meanfield_pde.figures.law import Law
from meanfield_pde.figures.quantiles import quantiles
from meanfield_pde.figures.stability import curvature, has_curvature, has_maps, has_noise, maps, noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from meanfield_pde.records import Record

__all__ = ["limit"]


def limit(record: Record) -> Figure:
    """Draw densities with T(z) in them, μ against T_#ν as curves and as quantiles, and what T rests on.

    The last panel shows the distances to T_#ν as σ → 0, else all limit maps that were found, else the
    curvature κ(z) of the potential at T(z). Several atoms per node are no map, and not called one.

    Parameters
    ----------
    record
        A limit, or a solution that was compared with its limit; both have the group ``limit``.

    Raises
    ------
    InputError
        There is no group ``limit``, it lacks a dataset, or there is no limit law.
    """
    law = Law.of(record)
    verdict = str(law.group.attributes.get("verdict", ""))
    page = style.page(4.8 if law.is_known else 2.7, style.title(record), verdict)
    if law.is_known:
        top, bottom = style.halves(page, 1.0)
        left, right = top.subplots(1, 2)
        below = _below(law)
        for draw, ax, letter in zip(below, np.ravel(bottom.subplots(1, len(below))), "cd", strict=False):
            draw(ax, law, letter)
    else:
        left, right = page.subplots(1, 2)
        reason = law.group.attributes.get("reason") or "what the noise-free limit consists of is not known"
        page.supxlabel(style.fold(f"No limit map: {reason}", 110, 2), parse_math=False, fontsize=8)
    _joint(left, law, "a")
    _marginals(right, law, "b")
    return page


def _below(law: Law) -> list[Callable[[Axes, Law, str], None]]:
    """Return the panels of the second row."""
    choices = ((has_noise, noise), (has_maps, maps), (has_curvature, curvature))
    return [_quantiles, *[draw for there_is, draw in choices if there_is(law)][:1]]


def _joint(ax: Axes, law: Law, letter: str) -> None:
    record = law.record
    image = panels.image_of(record, law.density)
    shade = heat.Shade.of(image)
    style.head(ax, letter, law.heading)
    label = panels.named(rf"$\rho({token_axis(record).symbol}\,|\,z)$", record)
    heat.scale(panels.conditionals(ax, record, image, shade), ax, label, shade)
    if law.is_known:
        for places, masses in zip(law.positions.T, law.masses.T, strict=True):
            panels.points(ax, record, places, area=masses if law.is_map else 2 * masses)
        name = "$T(z)$" if law.is_map else law.name
        style.key(ax, [panels.map_key()], [name], handlelength=0.6, handletextpad=0.3)


def _marginals(ax: Axes, law: Law, letter: str) -> None:
    short = law.name if law.is_map or not law.is_known else "atoms"  # named in full beside
    panels.against(ax, law.record, law.marginal, law.atoms, short)
    w1, w2 = (float(law.group.attributes.get(name, np.nan)) for name in ("w1", "w2"))
    # Numbers with a power of ten leave room for one digit.
    first, second = (style.number(w, 2 if w >= 1e-4 else 1) for w in (w1, w2))
    distances = f"$W_1 = {first}$, $W_2 = {second}$"
    style.head(ax, letter, distances if law.is_known and np.isfinite([w1, w2]).all() else "")
    style.key(ax, handlelength=1.3, columnspacing=0.8)


def _quantiles(ax: Axes, law: Law, letter: str) -> None:
    style.head(ax, letter, "Quantiles")
    if law.atoms is not None:
        quantiles(ax, law.record, law.marginal, law.atoms, law.name)
