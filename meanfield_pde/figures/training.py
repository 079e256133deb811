"""A training: how the optimiser came down, and what the trained drift does to the tokens along the depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.errors import InputError
from meanfield_pde.figures import places, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = ["training"]

#: Trained and untrained: colour, dashes and name.
LOOKS = {
    "": (style.BLUE, "-", "trained"),
    "untrained_": (style.VERMILION, (0, (4, 1.5)), "untrained"),
}


def training(record: Record) -> Figure:
    """Draw loss and gradient over the iterations, |θ(t)|, free energy, order, and densities over depth."""
    if record.attributes["status"] == "running":
        raise InputError("the training is not finished: go on with --resume, then draw")
    page = style.page(6.3, style.title(record), _verdict(record))
    upper, lower = style.halves(page, 1.55)
    axes = np.asarray(upper.subplots(2, 2)).ravel()
    for ax, draw, letter in zip(axes, (_descent, _control, _energies, _order), "abcd", strict=True):
        draw(ax, record, letter)
    _densities(lower, record)
    return page


def _verdict(record: Record) -> str:
    found = record.attributes
    if "escape" in found:
        return f"escape at depth {float(found['escape']):.3g}"
    return "no escape" if float(found.get("plateau_share", 0.0)) > 0.0 else "no plateau"


def _descent(ax: Axes, record: Record, letter: str) -> None:
    """Draw what the optimiser reached: J and ℓ on the left, the norm of the gradient on the right."""
    steps = record["iteration"]
    for name, label, color, dashes in (
        ("loss", "$J$", style.BLUE, "-"),
        ("terminal_loss", r"$\ell$", style.GREEN, (0, (4, 1.5))),
    ):
        ax.plot(steps, record[name], color=color, linestyle=dashes, label=label)
    positive = bool((record["loss"] > 0.0).all() and (record["terminal_loss"] > 0.0).all())
    if positive:
        ax.set_yscale("log")
        style.decades(ax.yaxis)
    ax.set_xlabel("Iteration")
    ax.set_ylabel("Objective and loss")
    beside = ax.twinx()
    beside.semilogy(steps, np.maximum(record["gradient_norm"], 1e-300), color=style.GREY, linewidth=0.7)
    beside.set_ylabel(r"Gradient $\|\partial J/\partial\theta\|$", color=style.GREY)
    beside.tick_params(axis="y", colors=style.GREY)
    style.head(ax, letter)
    style.key(ax)


def _control(ax: Axes, record: Record, letter: str) -> None:
    depths, norms = record["interval"], record["parameter_norm"]
    ax.fill_between(depths, norms, step="mid", color=style.BLUE, alpha=0.15, linewidth=0)
    ax.step(depths, norms, where="mid", color=style.BLUE)
    ax.set_ylim(0.0, 1.05 * float(norms.max()) or 1.0)
    ax.set_ylabel(r"Control $|\theta(t)|$")
    _depth(ax, record)
    energy = float(record.attributes["control_energy"])
    style.head(ax, letter, rf"$\frac{{1}}{{2}}\int|\theta|^2\,dt = {style.number(energy, 3)}$")


def _energies(ax: Axes, record: Record, letter: str) -> None:
    """Draw F with its two parts, attention −E and entropy, relative to the start, and F untrained."""
    depths = record["time"]
    color, dashes, name = LOOKS["untrained_"]
    ax.plot(depths, record["untrained_free_energy"], color=color, linestyle=dashes, label=rf"$F$, {name}")
    ax.plot(depths, record["free_energy"], color=style.BLUE, linewidth=1.6, label="$F$")
    ax.plot(depths, -record["interaction_energy"], color=style.GREEN, linewidth=0.9, label="$-E$")
    ax.plot(
        depths, record["confinement"], color=style.PURPLE, linewidth=0.9, label=r"$\sigma\int\rho\log\rho$"
    )
    ax.set_ylabel("Free energy and parts")
    _depth(ax, record)
    style.head(ax, letter)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.02), ncols=4, columnspacing=0.7, handlelength=1.1)


def _order(ax: Axes, record: Record, letter: str) -> None:
    """Draw R, with the plateau shaded; clusters as steps on the right where they are counted."""
    depths, found = record["time"], record.attributes
    if "arrival" in found:
        last = float(found.get("escape", depths[-1]))
        ax.axvspan(float(found["arrival"]), last, color=style.SHADE, linewidth=0)
    for prefix, (color, dashes, name) in LOOKS.items():
        ax.plot(depths, record[f"{prefix}order_parameter"], color=color, linestyle=dashes, label=name)
    ax.set_ylim(0.0, 1.02)
    ax.set_ylabel("Order parameter $R$")
    _depth(ax, record)
    style.head(ax, letter)
    style.key(ax)
    if "clusters" in record:
        beside = ax.twinx()
        for prefix, (color, dashes, _) in LOOKS.items():
            beside.step(
                depths, record[f"{prefix}clusters"], where="mid", color=color, linestyle=dashes, linewidth=0.6
            )
        most = int(max(record["clusters"].max(), record["untrained_clusters"].max(), 1))
        beside.set_ylim(0.0, 3 * most + 0.3)
        beside.set_yticks(range(1, most + 1))
        beside.set_ylabel("Clusters (thin)", color=style.GREY)
        beside.tick_params(axis="y", colors=style.GREY)


def _depth(ax: Axes, record: Record) -> None:
    ax.set_xlim(float(record["time"][0]), float(record["time"][-1]))
    ax.set_xlabel("Depth $t$")


def _densities(figure: Any, record: Record) -> None:
    """Draw the token marginal over depth, trained and untrained, on one scale."""
    axes = np.asarray(figure.subplots(1, 2, sharey=True)).ravel()
    profiles = [_profile(record, f"{prefix}marginal") for prefix in LOOKS]
    largest = max(float(values.max()) for _, values, _, _ in profiles)
    for ax, profile, (_, _, name), letter in zip(axes, profiles, LOOKS.values(), "ef", strict=True):
        at, values, _, ticks = profile
        mesh = ax.pcolormesh(
            record["time"],
            at,
            values.T,
            cmap=style.DENSITY,
            vmin=0.0,
            vmax=largest,
            shading="nearest",
            rasterized=True,
        )
        ax.set_xlim(float(record["time"][0]), float(record["time"][-1]))
        ax.set_xlabel("Depth $t$")
        if ticks is not None:
            ax.set_yticks(*ticks)
        style.head(ax, letter, name)
    axes[0].set_ylabel(profiles[0][2])
    bar = figure.colorbar(mesh, ax=list(axes), pad=0.01, fraction=0.04)
    bar.set_label(r"Token marginal $\mu$")
    bar.outline.set_linewidth(0.6)


def _profile(record: Record, name: str) -> tuple[FloatArray, FloatArray, str, Any]:
    """Coordinate, marginal over it (time, coordinate), its label and ticks."""
    values, space = np.asarray(record[name]), places.space_of(record)
    if space == "zonal":
        angles: NDArray[Any] = np.arccos(np.clip(record["cosine"], -1.0, 1.0))
        order = np.argsort(angles)
        return angles[order], values[:, order], r"Polar angle $\alpha$", _quarters(np.pi)
    if space == "sphere":
        rows = record["token_weight"].sum(axis=1)
        around = np.einsum("tcl,c->tl", values, rows) / (2 * np.pi)
        return record["longitude"], around, "Longitude", _quarters(2 * np.pi)
    if values.ndim == 3:
        return record["angle_1"], values.mean(axis=2) * 2 * np.pi, r"Angle $\theta_1$", _quarters(2 * np.pi)
    return record["token"], values, r"Angle $\theta$", _quarters(2 * np.pi)


def _quarters(length: float) -> tuple[list[float], list[str]]:
    names = {np.pi: ["0", r"$\pi/2$", r"$\pi$"]}.get(length, ["0", r"$\pi$", r"$2\pi$"])
    return [0.0, 0.5 * length, length], names
