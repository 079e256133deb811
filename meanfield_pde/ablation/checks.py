r"""Quantitative predictions of the equation, each confirmed or refuted by a number.

* Rotary encodings with encoded values: u = R(ωz)x obeys the equation without positions, so that tokens end as
  R(−ωz) of one point, and with a turns over the context R = |sin(πa)/(πa)|.
* Rotary encodings with bare values: R = 1, whatever a.
* Additive rings: the spread state ends at one amplitude, the collapsed one at another, above it: a
  first-order transition, with jumps of R at both ends.
* One prompt token a position: below a share of attention tokens collapse in spite of it.

Without noise; stationary states are followed by the flow, from each to the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import auxiliary as auxiliaries
from meanfield_pde.ablation.runs import carried
from meanfield_pde.ablation.schemes import SHARE, Scheme
from meanfield_pde.ablation.token_field import TokenField
from meanfield_pde.encodings import additive, ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention import Attention

__all__ = ["CHECKS", "Threshold", "checked", "thresholds"]

#: Turns of rotary encodings, and nodes by which Σ w e^{−2πiaz} is the integral to rounding.
TURNS, NODES = (0.25, 0.75, 1.25, 1.5, 2.5), 48
#: Depth at which tokens have come together to rounding error, from random directions at β = 1.
FINAL = 200.0
#: Error of a step, which tokens that have come together stay apart by, and of R, which is of its square.
STEP, EXACT = 1e-10, 1e-12
#: Depth for which a state is followed at every trial, size of what is added to it before.
SETTLED, NUDGE = 400.0, 1e-3
#: Halvings of an interval of the strength, and nodes of what is followed.
HALVINGS, POSITIONS = 10, 64
#: R that tells collapsed states from spread ones, between all that were seen of either.
BETWEEN = 0.6
#: Inverse temperatures of thresholds; at larger ones several clusters last, without positions too.
BETAS = (0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Threshold:
    """Where a state ends as the strength changes: the strengths around it, R there, R beyond."""

    kept: float
    lost: float
    before: float
    after: float

    @property
    def value(self) -> float:
        """The threshold."""
        return 0.5 * (self.kept + self.lost)


def followed(
    attention: Callable[[float], Attention], start: FloatArray, kept: float, lost: float, seed: int = 0
) -> Threshold:
    """Follow a state from the strength ``kept``, where it is, towards ``lost``, where it is none.

    It is kept as long as R stays on its side of `BETWEEN`.
    """
    collapsed = _order(start) > BETWEEN
    state = _settled(attention(kept), start, seed)
    before, after = _order(state), math.nan
    for _ in range(HALVINGS):
        middle = 0.5 * (kept + lost)
        tried = _settled(attention(middle), state, seed)
        if (_order(tried) > BETWEEN) == collapsed:
            kept, state, before = middle, tried, _order(tried)
        else:
            lost, after = middle, _order(tried)
    return Threshold(kept, lost, before, after)


def _order(angles: FloatArray) -> float:
    return float(abs(np.exp(1j * angles).mean()))


def _settled(attention: Attention, start: FloatArray, seed: int) -> FloatArray:
    nudge = NUDGE * np.random.default_rng(seed).standard_normal(start.size)
    depths = np.array([0.0, SETTLED])
    return np.asarray(carried(TokenField(attention), start + nudge, depths)[-1])


def thresholds(kind: str, beta: float) -> tuple[Threshold, Threshold]:
    """Where the spread state ends from above, and the collapsed one from below: rings, or prompts."""
    nodes = auxiliaries.uniform(POSITIONS)
    spread = 2.0 * math.pi * nodes.nodes
    plain = Scheme("none", 0.0).attention(nodes, beta, POSITIONS)

    def attention(strength: float) -> Attention:
        if kind == "ring":
            return replace(plain, encoding=additive(ring(nodes.nodes, strength, 2)))
        return Scheme("prompt", strength / SHARE).attention(nodes, beta, POSITIONS)

    highest = 3.0 if kind == "ring" else 0.99
    low = followed(attention, spread, highest, 0.0)
    return low, followed(attention, np.full(POSITIONS, 0.1), 0.0, highest)


def _rotary(bare: bool) -> dict[str, float]:
    """Largest deviation of R from its prediction over turns."""
    rule = auxiliaries.legendre(NODES)
    start = np.random.default_rng(0).uniform(0.0, 2.0 * math.pi, NODES)
    worst = 0.0
    for turns in TURNS:
        scheme = Scheme("rotary_bare" if bare else "rotary_encoded", turns)
        field = TokenField(scheme.attention(rule, 1.0, None))
        end = carried(field, start, np.array([0.0, FINAL]), STEP)[-1]
        order = float(abs(rule.weights @ np.exp(1j * end)))
        worst = max(worst, abs(order - (1.0 if bare else abs(float(np.sinc(turns))))))
    return {"found": worst, "error": EXACT, "confirmed": float(worst <= EXACT)}


def _interval(kind: str, beta: float) -> dict[str, float]:
    """Return the ends of both states, and whether they say what was predicted beyond their errors.

    Rings: both last on an interval, a transition of first order. Prompts: there is a least share.
    """
    low, high = thresholds(kind, beta)
    error = abs(low.kept - low.lost) + abs(high.kept - high.lost)
    found = high.value - low.value if kind == "ring" else low.value
    return {
        "spread_ends": low.value,
        "collapsed_ends": high.value,
        "spread_order": low.before,
        "spread_order_beyond": low.after,
        "collapsed_order": high.before,
        "collapsed_order_beyond": high.after,
        "found": found,
        "error": error,
        "confirmed": float(found > error),
    }


CHECKS: dict[str, tuple[str, Callable[[], dict[str, float]]]] = {
    "rotary_encoded": (
        "rotary, values encoded: R = |sin(πa)/(πa)|, largest deviation",
        lambda: _rotary(bare=False),
    ),
    "rotary_bare": ("rotary, values bare: R = 1, largest deviation", lambda: _rotary(bare=True)),
    **{
        f"ring_{beta:g}": (
            f"additive ring, β = {beta:g}: interval of a on which both states last (first order)",
            lambda beta=beta: _interval("ring", beta),  # type: ignore[misc]
        )
        for beta in BETAS
    },
    **{
        f"prompt_{beta:g}": (
            f"prompt, β = {beta:g}: least share of attention that spreads tokens",
            lambda beta=beta: _interval("prompt", beta),  # type: ignore[misc]
        )
        for beta in BETAS
    },
}


def checked(name: str) -> dict[str, float]:
    """Return what is found, its error, and whether that confirms what is predicted."""
    return CHECKS[name][1]()
