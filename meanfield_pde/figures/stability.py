"""Panels of what a limit map rests on: small noise, other maps, the curvature of the potential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from meanfield_pde.figures import panels, style
from meanfield_pde.figures.axes import auxiliary_axis, token_axis

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from meanfield_pde.figures.law import Law

__all__ = ["curvature", "has_curvature", "has_maps", "has_noise", "maps", "noise"]

_MOST = 6  # maps in one panel: more cannot be told apart
_DOTS: dict[str, Any] = {"linestyle": "none", "markersize": 3.5, "markeredgewidth": 0}


def has_noise(law: Law) -> bool:
    """Tell whether there are distances along σ → 0."""
    return "noise" in law.group


def noise(ax: Axes, law: Law, letter: str) -> None:
    """Draw squared distances to the noise-free limit over σ, with the prediction σ Σ w_j tr K_j^{-1}."""
    rate = float(law.group.attributes.get("noise_rate", np.nan))
    style.head(ax, letter, rf"Observed $\sigma^{{{rate:.2f}}}$" if np.isfinite(rate) else "")
    _over_noise(ax, law, "noise_predicted", r"$\sigma \langle \mathrm{tr}\,K^{-1} \rangle$", color=style.GREY)
    _over_noise(ax, law, "noise_conditional", r"$\rho(\cdot|z)$", color=style.BLUE, marker="o", **_DOTS)
    _over_noise(ax, law, "noise_w2", r"$\mu$", color=style.VERMILION, marker="s", **_DOTS)
    ax.set(
        xscale="log", yscale="log", xlabel=r"Noise $\sigma$", ylabel=r"$W_2^2$ to the limit at $\sigma = 0$"
    )
    for ruler in (ax.xaxis, ax.yaxis):
        style.decades(ruler)
    ax.legend(loc="upper left", borderaxespad=0.5)  # squares grow with the noise: that corner is empty


def _over_noise(ax: Axes, law: Law, name: str, label: str, **look: Any) -> None:
    """Draw what a logarithmic axis can show: squared distances above zero, if there are any."""
    if name not in law.group or not (law.group[name] > 0).any():
        return
    sigma, values = law.group["noise"], law.group[name] ** (2 if name == "noise_w2" else 1)
    order = np.argsort(sigma)
    ax.plot(sigma[order], np.where(values > 0, values, np.nan)[order], label=label, **look)


def has_maps(law: Law) -> bool:
    """Tell whether several limit maps were found."""
    return "map_share" in law.group and len(law.group["map_share"]) > 1


def maps(ax: Axes, law: Law, letter: str) -> None:
    """Draw the limit maps that most starts led to, each with its share of them and its stability."""
    x, y, group = auxiliary_axis(law.record), token_axis(law.record), law.group
    share, order = group["map_share"], np.argsort(-group["map_share"], kind="stable")
    handles: list[Artist] = []
    names: list[str] = []
    for color, rank in reversed(list(zip(style.CYCLE, order, strict=False))):  # the commonest on top
        panels.points(ax, law.record, y.wrap(group["map_position"][rank]), color=color)
        handles.insert(0, _dot(color))
        percent = f"{share[rank]:.0%}" if share[rank] >= 0.005 else "<1%"
        names.insert(0, f"{percent}, {'stable' if group['map_stable'][rank] else 'unstable'}")
    if len(order) > _MOST:
        handles.append(_dot("none"))
        names.append(f"{len(order) - _MOST} more")
    panels.auxiliary(ax, x)
    y.mark(ax, "y")
    style.head(ax, letter, f"{len(order)} limit maps $T(z)$")
    ax.legend(handles, names, title="Share of starts", loc="center left", bbox_to_anchor=(1.03, 0.5))


def _dot(color: str) -> Line2D:
    """Return what stands for the points of one map in a legend."""
    return Line2D([], [], linestyle="none", marker="o", markersize=3.0, markeredgewidth=0, color=color)


def has_curvature(law: Law) -> bool:
    """Tell whether the curvature of the potential at the atoms is known."""
    return _curvatures(law) in law.group


def curvature(ax: Axes, law: Law, letter: str) -> None:
    """Draw κ(z) = −∂ₓV at the atoms, as points whose area goes with the mass of an atom."""
    values = law.group[_curvatures(law)].reshape(law.masses.shape)
    for column, masses in zip(values.T, law.masses.T, strict=True):
        panels.points(ax, law.record, column, color=style.BLUE, area=(1 if law.is_map else 2) * masses)
    panels.auxiliary(ax, auxiliary_axis(law.record))
    _scale(ax, values[(law.masses > 0) & np.isfinite(values)])
    ax.set_ylabel(r"Curvature $\kappa(z)$" if law.is_map else r"Curvature $\kappa$ at the atoms")
    style.head(ax, letter, r"Stability of $T(z)$" if law.is_map else "Stability of the atoms")


def _curvatures(law: Law) -> str:
    return "curvature" if law.is_map else "atom_curvature"


def _scale(ax: Axes, values: Any) -> None:
    """Show zero, where stability ends, and all values."""
    low, high = min(0.0, float(values.min(initial=0.0))), max(0.0, float(values.max(initial=0.0)))
    margin = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - margin if low < 0 else 0.0, high + margin)
    if low < 0:
        ax.axhline(0.0, color=style.GREY, linewidth=0.6, zorder=0)
    style.ticks(ax.yaxis)
