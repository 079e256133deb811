"""The axes of a solution: depth, auxiliary variable and token, each with its cells, limits and ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["Axis", "auxiliary_axis", "depth_axis", "token_axis"]


@dataclass(frozen=True)
class Axis:
    """Points on a line or a closed curve; each stands for the cell up to the middle to its neighbours.

    Parameters
    ----------
    points
        In increasing order. On a closed curve the first and last are repeated beyond the ends.
    index
        Which node each point stands for: ``values[..., axis.index]`` are the values at the points.
    limits
        What is shown. One period of a closed curve.
    label
        For people.
    symbol
        The letter of the coordinate.
    period
        The length of a closed curve, or None.
    """

    points: NDArray[np.float64]
    index: NDArray[np.intp]
    limits: tuple[float, float]
    label: str
    symbol: str
    period: float | None = None

    @property
    def edges(self) -> NDArray[np.float64]:
        """The ends of the cells."""
        return _edges(self.points) if len(self.points) > 1 else np.array(self.limits)

    def wrap(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring values of the coordinate into the limits."""
        start = self.limits[0]
        return values if self.period is None else start + (values - start) % self.period

    def mark(self, ax: Axes, side: Literal["x", "y"]) -> None:
        """Put limits, ticks and label on a side of a panel: quarters of a turn on a closed curve."""
        ruler = ax.xaxis if side == "x" else ax.yaxis
        ax.set(**{f"{side}lim": self.limits})
        ruler.set_label_text(self.label)
        if self.period is not None:
            first, last = (4 * limit / self.period for limit in self.limits)
            ticks = np.arange(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1) * self.period / 4
            ruler.set_ticks(ticks, [_in_turns(tick, self.period) for tick in ticks])
        else:
            style.ticks(ruler)
            style.plain(ruler)


def depth_axis(record: Record) -> Axis:
    """Return the axis of the depths that were saved."""
    time = np.asarray(record["time"], dtype=float)
    last = time[-1] if len(time) > 1 else time[0] + 1
    return Axis(time, np.arange(len(time)), (float(time[0]), float(last)), "Depth $t$", "t")


def auxiliary_axis(record: Record) -> Axis:
    """Return the axis of the auxiliary variable; nodes that are all equal are counted."""
    z = np.asarray(record["aux"], dtype=float)
    index = np.argsort(z, kind="stable")
    if len(z) == 1:
        return Axis(z, index, (float(z[0]) - 0.5, float(z[0]) + 0.5), "One node", "z")
    if z[index[0]] == z[index[-1]]:
        return Axis(np.arange(0.5, len(z)), index, (0.0, float(len(z))), "Node", "z")
    return _open(z[index], index, "Auxiliary variable $z$", "z")


def token_axis(record: Record) -> Axis:
    """Return the axis of the token, closed if the record gives its `period`."""
    token = np.asarray(record["token"], dtype=float)
    angle = record.variables["token"].units == "rad"
    symbol = r"\theta" if angle else "x"
    label = rf"{'Angle' if angle else 'Token'} ${symbol}$"
    period = float(record.attributes.get("period", 0.0))
    if not period > token[-1] - token[0]:
        return _open(token, np.arange(len(token)), label, symbol)
    start = float(round(token[0] / (period / 4)) * period / 4)
    points = np.concatenate([token[-1:] - period, token, token[:1] + period])
    index = np.arange(-1, len(token) + 1) % len(token)
    return Axis(points, index, (start, start + period), label, symbol, period)


def _open(points: NDArray[np.float64], index: NDArray[np.intp], label: str, symbol: str) -> Axis:
    """Return an axis that shows all cells of its points."""
    edges = _edges(points) if len(points) > 1 else points[0] + np.array([-0.5, 0.5])
    return Axis(points, index, (float(edges[0]), float(edges[-1])), label, symbol)


def _edges(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ends of the cells; the outer cells are as wide as their inner half says."""
    middle = (points[1:] + points[:-1]) / 2
    return np.concatenate([[2 * points[0] - middle[0]], middle, [2 * points[-1] - middle[-1]]])


def _in_turns(value: float, period: float) -> str:
    """Write a multiple of a quarter of the period, with pi where the period is 2 pi."""
    if not math.isclose(period, 2 * math.pi):
        return f"{value:.3g}"
    quarters = round(2 * value / math.pi)
    if quarters % 2:
        return rf"${quarters if abs(quarters) != 1 else '-'[: quarters < 0]}\pi/2$"
    halves = quarters // 2
    return "$0$" if halves == 0 else rf"${halves if abs(halves) != 1 else '-'[: halves < 0]}\pi$"
