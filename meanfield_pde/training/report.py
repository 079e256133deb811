r"""What training does along the depth: arrival in the clusters, plateau, escape, control energy.

With E the interaction energy of the state and E_0 that of the uniform law, the *clustering*

.. math:: c(t) = \frac{E(\rho_t) - E_0}{\max_s E(\rho_s) - E_0}

is 0 where tokens are spread and 1 where they are most clustered. The plateau is the longest stretch of depth
with c ≥ 0.9; it is entered at *arrival* and left at *escape* (turnpike: its share of the depth grows to one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray

__all__ = ["CLUSTERED", "Report", "clustering", "report"]

#: Clustering from which the tokens are on the plateau.
CLUSTERED = 0.9
#: Gain of interaction energy, relative to its size, below which there is no clustering to speak of.
NOTHING = 1e-9


@dataclass(frozen=True)
class Report:
    """Depths of arrival and escape, NaN where there is none, and the share of the depth between them.

    Parameters
    ----------
    arrival, escape
        Where the plateau begins and ends; without escape the tokens end on the plateau.
    plateau
        Share of the depth that it takes.
    control_energy
        ½ ∫|θ|² dt.
    late_control
        Share of that which is spent after the plateau, 0 without escape.
    """

    arrival: float
    escape: float
    plateau: float
    control_energy: float
    late_control: float

    @property
    def escapes(self) -> bool:
        """Whether tokens leave the plateau again."""
        return math.isfinite(self.escape)


def clustering(energy: FloatArray, uniform: float) -> FloatArray:
    """Clustering of every state, from energies (states,); zero where none exceeds the uniform one."""
    gain = float(energy.max()) - uniform
    if gain <= NOTHING * max(abs(uniform), float(np.abs(energy).max())):
        return np.zeros_like(energy)
    return np.asarray((energy - uniform) / gain)


def report(depths: FloatArray, clustered: FloatArray, edges: FloatArray, parameters: FloatArray) -> Report:
    """Find arrival, plateau and escape.

    Parameters
    ----------
    depths, clustered
        Depths of the states and their clustering, (states,).
    edges, parameters
        Ends of the intervals, (intervals + 1,), and θ, (intervals, features).
    """
    energies = 0.5 * np.diff(edges) * (parameters**2).sum(axis=1)
    total = float(energies.sum())
    found = _longest(depths, clustered)
    if found is None:
        return Report(math.nan, math.nan, 0.0, total, 0.0)
    first, last = found
    escape = math.nan if last >= depths[-1] else last
    late = 0.0
    if math.isfinite(escape) and total > 0.0:
        shares = np.clip((edges[1:] - escape) / np.diff(edges), 0.0, 1.0)
        late = float(shares @ energies) / total
    return Report(first, escape, (last - first) / float(depths[-1] - depths[0]), total, late)


def _longest(depths: FloatArray, clustered: FloatArray) -> tuple[float, float] | None:
    """Longest stretch on which the clustering, interpolated between the depths, is large enough."""
    above = clustered >= CLUSTERED
    stretches = []
    index = 0
    while index < above.size:
        if not above[index]:
            index += 1
            continue
        first = index
        while index + 1 < above.size and above[index + 1]:
            index += 1
        stretches.append((_crossing(depths, clustered, first, -1), _crossing(depths, clustered, index, 1)))
        index += 1
    return max(stretches, key=lambda ends: ends[1] - ends[0]) if stretches else None


def _crossing(depths: FloatArray, clustered: FloatArray, index: int, side: int) -> float:
    """Depth beside a state on the plateau where the plateau ends, by linear interpolation."""
    other = index + side
    if not 0 <= other < depths.size:
        return float(depths[index])
    part = (clustered[index] - CLUSTERED) / (clustered[index] - clustered[other])
    return float(depths[index] + part * (depths[other] - depths[index]))
