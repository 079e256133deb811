"""What the pages of all token spaces share: depths to show, points of nodes and tokens, series, limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from meanfield_pde.contents import LIMIT, kind_of
from meanfield_pde.errors import InputError
from meanfield_pde.figures import panels, style
from meanfield_pde.figures.axes import auxiliary_axis

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure, SubFigure

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.figures.heat import Shade
    from meanfield_pde.records import Record

__all__ = [
    "NODES",
    "LimitLaw",
    "Tokens",
    "areas",
    "chosen_depths",
    "depth_heading",
    "dots",
    "has_tokens",
    "labelled",
    "lengths",
    "node_bar",
    "node_colors",
    "node_scale",
    "nodes",
    "point_key",
    "series",
    "solid_colors",
    "space_of",
    "stability",
    "supports",
    "tokens",
]

# Gold to plum: told apart from each other, and from white to navy, by lightness and by hue.
NODES = LinearSegmentedColormap.from_list("nodes", ["#ffd23f", "#f28e1c", "#d9481c", "#a31f53", "#5c1a5e"])

_SPACES = {
    ("token",): "circle",
    ("cosine",): "zonal",
    ("colatitude", "longitude"): "sphere",
    ("angle_1", "angle_2"): "torus",
}
_NUMBERS = {
    "w1": "$W_1$ to the pushforward",
    "w2": "$W_2$ to the pushforward",
    "order_parameter": "order parameter $R$",
    "conditional_concentration": r"concentration $\langle R_z \rangle_\nu$",
    "entropy": "entropy",
    "free_energy": r"free energy $F_\sigma$",
    "residual": "residual",
}
_ONE_COLOR: Mapping[str, Any] = {"c": style.VERMILION}
_CHANGE = 1e-6  # of the density: smaller ones are rounding, and no depth is between the ends


def space_of(record: Record) -> str:
    """Return the token space of a record, by the grid of its tokens; an interval is drawn as a circle is."""
    dims = record.variables["token_weight"].dims if "token_weight" in record else ("token",)
    return _SPACES.get(dims, "circle")


def chosen_depths(record: Record) -> list[int]:
    """Return which saved states are shown: the first, the last, and the one that is as far from both.

    Distances are those of the token marginals, ∫ |μ_t − μ_s| dx; where nothing moves: the middle depth.
    """
    time, marginal = record["time"], record["marginal"]
    if len(time) < 3:
        return list(range(len(time)))
    weight = record["token_weight"].ravel()
    flat = marginal.reshape(len(time), -1)
    first, last = (np.abs(flat[1:-1] - end) @ weight for end in (flat[0], flat[-1]))
    moved = max(first.max(), last.max()) > _CHANGE
    balance = np.abs(first - last) if moved else np.abs(time[1:-1] - (time[0] + time[-1]) / 2)
    return [0, 1 + int(np.argmin(balance)), len(time) - 1]


def depth_heading(record: Record, state: int) -> str:
    """Name the depth of a saved state."""
    return f"$t = {style.number(float(record['time'][state]), 3)}$"


def has_tokens(record: Record, *, always: bool = True) -> bool:
    """Tell whether there are positions of labelled tokens: at all depths, or (not `always`) at the last."""
    if not {"position", "label_weight"} <= set(record.variables):
        return False
    return not always or record.variables["position"].dims[0] == "time"


@dataclass(frozen=True, eq=False)
class Tokens:
    """Labelled tokens: places (n, ...), shares of the mass (n,) and auxiliary variable (n,)."""

    places: FloatArray
    shares: FloatArray
    z: FloatArray


def tokens(record: Record, state: int) -> Tokens:
    """Return all labelled tokens of a state."""
    position = np.asarray(record["position"][state], dtype=float)
    shares = record["aux_weight"][:, None] * record["label_weight"]
    z = np.broadcast_to(np.asarray(record["aux"], dtype=float)[:, None], shares.shape)
    return Tokens(position.reshape(shares.size, *position.shape[2:]), shares.ravel(), z.ravel())


def lengths(record: Record, state: int = -1) -> FloatArray:
    """Return how long the conditional means are, one where the record does not say."""
    if "conditional_length" not in record:
        return np.ones(len(record["aux"]))
    return np.asarray(np.nan_to_num(record["conditional_length"][state]))


def node_scale(record: Record) -> Normalize:
    """Return the scale from the auxiliary variable to `NODES`."""
    return Normalize(*auxiliary_axis(record).limits)


def nodes(
    ax: Axes, at: FloatArray, length: FloatArray, colors: Mapping[str, Any] | None = None
) -> PathCollection:
    """Draw a point (x, y) for every node, (aux, 2), with an area that goes with the length of its mean."""
    return ax.scatter(
        at[:, 0],
        at[:, 1],
        s=areas(length),
        **(colors or _ONE_COLOR),
        edgecolors="white",
        linewidths=0.35,
        zorder=4,
        clip_on=False,  # at the limb of a globe, or the seam of an angle
        rasterized=len(at) > 1000,
    )


def areas(length: FloatArray) -> FloatArray:
    """Return the areas of the points of nodes, in square points."""
    return np.asarray(np.clip(700 / len(length), 4.0, 26.0) * (0.15 + 0.85 * np.clip(length, 0.0, 1.0)))


def node_colors(record: Record) -> dict[str, Any]:
    """Return the colours of the nodes for a scatter plot, by z; one node has the colour of every map."""
    if len(record["aux"]) == 1:
        return dict(_ONE_COLOR)
    return {"c": np.asarray(record["aux"], dtype=float), "cmap": NODES, "norm": node_scale(record)}


def solid_colors(record: Record) -> Any:
    """Return the colours of `node_colors` as colours: one for all nodes, or (aux, 4)."""
    look = node_colors(record)
    return look["cmap"](look["norm"](look["c"])) if "cmap" in look else look["c"]


def dots(ax: Axes, record: Record, at: FloatArray, drawn: Tokens) -> PathCollection:
    """Draw tokens at (x, y), (n, 2), by area their mass, coloured by z where there are several nodes."""
    look: dict[str, Any] = {"c": style.BLUE}
    if len(record["aux"]) > 1:
        look = {"c": drawn.z, "cmap": NODES, "norm": node_scale(record)}
    area = np.clip(2000 / len(at), 1.5, 8.0) * drawn.shares / drawn.shares.mean()
    many = len(at) > 1000
    return ax.scatter(
        at[:, 0], at[:, 1], s=area, alpha=0.75, linewidths=0, zorder=2.5, rasterized=many, **look
    )


def node_bar(ax: Axes, record: Record) -> None:
    """Put the scale of z beside a panel whose points are coloured by it: where there are several nodes."""
    if len(record["aux"]) > 1:
        bar = ax.figure.colorbar(ScalarMappable(node_scale(record), NODES), ax=ax, pad=0.02, aspect=28)
        bar.set_label("Auxiliary variable $z$")
        bar.outline.set_linewidth(0.6)
        style.ticks(bar.ax.yaxis)
        style.plain(bar.ax.yaxis)


def point_key(ax: Axes, name: str, *, behind: bool = False) -> None:
    """Name the points of a map above a panel, and what hollow ones are."""
    handles, names = [panels.map_key()], [name]
    if behind:
        hollow = panels.map_key()
        hollow.set(markerfacecolor="none", markeredgecolor=style.VERMILION, markeredgewidth=0.6)
        handles.append(hollow)
        names.append("behind")
    style.key(ax, handles, names, handlelength=0.6, handletextpad=0.3, columnspacing=0.8)


def labelled(symbol: str, record: Record, shade: Shade) -> str:
    """Return the label of a colour bar beside a low panel: two lines where there are more than two parts."""
    named = panels.named(symbol, record)
    words = [part for part in (named.removeprefix(symbol).removeprefix(", "), shade.note) if part]
    between = ",\n" if len(words) > 1 else ", "
    return between.join([symbol, ", ".join(words)]) if words else symbol


def series(axes: Sequence[Axes], record: Record, letters: str) -> None:
    """Draw the order parameter and the energies over depth into two panels."""
    for ax, letter, draw in zip(axes, letters, (panels.order, panels.energy), strict=True):
        style.head(ax, letter)
        draw(ax, record)
        style.key(ax)
    most = float(max(record["order_parameter"].max(), record["conditional_concentration"].max()))
    if most > 1.03:  # points of a torus are longer than one
        axes[0].set_ylim(-0.03 * most, 1.03 * most)


@dataclass(frozen=True, eq=False)
class LimitLaw:
    """The limit law, or the last state of a solution, beside the limit map, on any token space.

    Parameters
    ----------
    record
        The coordinates.
    density, marginal
        (aux, *token) and (*token,).
    group
        The limit: its map or atoms, stability, distances.
    heading
        What is drawn, for people.
    """

    record: Record
    density: FloatArray
    marginal: FloatArray
    group: Record
    heading: str

    @property
    def is_atomic(self) -> bool:
        """Whether what is drawn is the limit law without noise: its atoms say it all."""
        return kind_of(self.record) == "limit" and self.group.attributes.get("law") in {"map", "atoms"}

    @classmethod
    def of(cls, record: Record) -> LimitLaw:
        """Take the last state of a solution, and the limit law of a limit.

        Raises
        ------
        InputError
            There is no group ``limit``, or no limit law.
        """
        if LIMIT not in record.groups:
            raise InputError("there is no group 'limit' to be drawn: compare with the limit first")
        group = record.groups[LIMIT]
        if kind_of(record) == "limit" and "limit_density" not in group:
            raise InputError(
                f"there is no limit law to be drawn: {group.attributes.get('reason', 'none found')}"
            )
        unstable = "" if bool(group["stable"]) else " (unstable)"
        if kind_of(record) == "limit":
            sigma = float(group.attributes.get("sigma", np.nan))
            noise = rf", $\sigma = {style.number(sigma)}$" if np.isfinite(sigma) else ""
            law = group["limit_density"], group["limit_marginal"]
            return cls(record, *law, group, f"Limit law{noise}{unstable}")
        depth = style.number(float(group.attributes.get("compared_depth", record["time"][-1])))
        heading = f"State, $t = {depth}$" + (" (limit unstable)" if unstable else "")
        return cls(record, record["density"][-1], record["marginal"][-1], group, heading)

    @property
    def verdict(self) -> str:
        """What the comparison with the pushforward says."""
        return str(self.group.attributes.get("verdict", ""))

    @property
    def is_map(self) -> bool:
        """Whether every node has a single atom, so that there is a map T."""
        return "pushforward_map" in self.group

    @property
    def is_known(self) -> bool:
        """Whether the limit at σ = 0 consists of atoms that are known."""
        return self.is_map or "atom_position" in self.group

    @property
    def name(self) -> str:
        """What the atoms are: values of a map only where there is a map."""
        return "$T(z)$" if self.is_map else "atoms of the limit"

    @property
    def atoms(self) -> list[tuple[FloatArray, FloatArray]]:
        """Places (aux, *place) and masses (aux,) of the atoms of all nodes, one list entry per atom."""
        if self.is_map:
            return [(self.group["pushforward_map"], np.ones(len(self.record["aux"])))]
        if not self.is_known:
            return []
        places, masses = self.group["atom_position"], self.group["atom_mass"]
        return [(places[:, atom], masses[:, atom]) for atom in range(masses.shape[1])]

    @property
    def distances(self) -> str:
        """Return the distances to the law of the atoms, where they are known."""
        w1, w2 = (float(self.group.attributes.get(name, np.nan)) for name in ("w1", "w2"))
        if not (self.is_known and np.isfinite([w1, w2]).all()):
            return ""
        first, second = (style.number(w, 2 if w >= 1e-4 else 1) for w in (w1, w2))
        return f"$W_1 = {first}$, $W_2 = {second}$"


def stability(place: SubFigure | Figure, law: LimitLaw, letters: str) -> None:
    """Draw what the limit rests on (`supports`) beside a table of its numbers."""
    choices = [*supports(law), _quantities]
    for ax, letter, draw in zip(place.subplots(1, len(choices)), letters, choices, strict=False):
        draw(ax, law, letter)


def supports(law: LimitLaw) -> list[Callable[[Axes, LimitLaw, str], None]]:
    """Return the panels that there are data for: distances as σ → 0, and the curvature at T(z)."""
    choices = {"noise": _noise, "curvature": _curvature}
    return [draw for name, draw in choices.items() if name in law.group]


def _quantities(ax: Axes, law: LimitLaw, letter: str) -> None:
    """Write the numbers of the limit as a table of names and values."""
    style.head(ax, letter, "Numbers of the limit")
    ax.set_axis_off()
    known = {name: float(law.group.attributes.get(name, np.nan)) for name in _NUMBERS}
    known["residual"] = float(law.group["residual"]) if "residual" in law.group else np.nan
    shown = [name for name, value in known.items() if np.isfinite(value)]
    rows = [(_NUMBERS[name], f"${style.number(known[name])}$") for name in shown]
    rows.append(("stable", "yes" if bool(law.group["stable"]) else "no"))
    for row, (label, value) in enumerate(rows):
        height = 1 - (row + 0.5) / max(len(rows), 8)
        ax.text(0.0, height, label, transform=ax.transAxes, va="center")
        ax.text(1.0, height, value, transform=ax.transAxes, va="center", ha="right")


def _noise(ax: Axes, law: LimitLaw, letter: str) -> None:
    from meanfield_pde.figures.law import Law
    from meanfield_pde.figures.stability import noise

    noise(ax, Law(law.record, law.density, law.marginal, law.group, law.heading), letter)


def _curvature(ax: Axes, law: LimitLaw, letter: str) -> None:
    style.head(ax, letter, "Stability of $T(z)$")
    values = law.group["curvature"]
    panels.points(ax, law.record, values, color=style.BLUE)
    panels.auxiliary(ax, auxiliary_axis(law.record))
    known = values[np.isfinite(values)]
    low, high = min(0.0, known.min(initial=0.0)), max(0.0, known.max(initial=0.0))
    margin = 0.06 * (high - low) or 1.0
    ax.set_ylim(low - margin if low < 0 else 0.0, high + margin)
    ax.set_ylabel(r"Curvature $\kappa(z)$")
    style.ticks(ax.yaxis)
