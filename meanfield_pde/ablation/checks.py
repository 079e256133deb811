r"""Quantitative predictions of the equation, each confirmed or refuted by a number.

* Rotary encodings with encoded values: u = R(ωz)x obeys the equation without positions, so that tokens end as
  R(−ωz) of one point, and with a turns over the context R = |sin(πa)/(πa)|.
* Rotary encodings with bare values: R = 1, whatever a.
* Additive rings: spread states (R = 0) are stable above one amplitude, the collapsed one below another,
  which is larger: a first-order transition, with jumps of R at both ends.
* One prompt token of direction 2πz a position: below a share of attention spread states are unstable.

Without noise, one token a position. A state is followed from each strength to the next by the flow and
Newton's method, and ends between the last strength where it is stable and the first where it is not: where an
eigenvalue of ∂V/∂T has crossed zero. T(z) = 2πz is stationary at every strength, by symmetry, and may be
unstable before that, where tokens gather in opposite clusters.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from meanfield_pde import auxiliary as auxiliaries
from meanfield_pde.ablation.runs import carried
from meanfield_pde.ablation.schemes import SHARE, Scheme
from meanfield_pde.ablation.token_field import TokenField
from meanfield_pde.encodings import additive, ring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meanfield_pde.arrays import FloatArray

__all__ = ["CHECKS", "RUNGS", "End", "Ladder", "checked"]

#: Strengths of every curve; turns of rotary encodings, and nodes by which Σ w e^{−2πiaz} is the integral.
RUNGS = 25
TURNS, NODES = tuple(float(turns) for turns in np.linspace(0.0, 3.0, RUNGS)), 48
#: Depth at which tokens have come together to rounding error, from random directions at β = 1.
FINAL = 200.0
#: Error of a step, by which tokens that have come together stay apart, and of R after some such steps.
STEP, EXACT = 1e-10, 1e-9
#: Depth for which a state is followed at every trial, and for which one that ends is followed beyond.
SETTLED, BEYOND = 400.0, 2000.0
#: Size of what is added to a state before that, and how far beyond its end, relatively.
NUDGE, PAST = 1e-3, 0.25
#: Halvings of an interval of the strength, and nodes of what is followed.
HALVINGS, POSITIONS = 10, 64
#: Where all tokens are, near which they stay while they are collapsed.
TOGETHER = 0.1
#: R that tells collapsed states from spread ones, between all that were seen of either.
BETWEEN = 0.6
#: Steps of Newton's method, the velocity that it leaves, and growth that is that of turning all tokens.
STEPS, STILL, TURNING = 30, 1e-11, 1e-7
#: Inverse temperatures of thresholds; at larger ones several clusters last, without positions too.
BETAS = (0.5, 1.0, 2.0)
#: Strengths up to which rings and prompts (their share of attention) are followed.
HIGHEST: Mapping[str, float] = {"ring": 1.2, "prompt": 0.6}


@dataclass(frozen=True)
class End:
    """Where a state ends: the strength, R there and beyond, and the error of the strength."""

    strength: float
    order: float
    beyond: float
    error: float


@dataclass(frozen=True, eq=False)
class Ladder:
    """The equation at every strength of a ring or of prompts, with one token a position."""

    kind: str
    beta: float

    def field(self, strength: float) -> TokenField:
        """Velocity at this amplitude, or share of attention."""
        nodes = auxiliaries.uniform(POSITIONS)
        if self.kind == "prompt":
            return TokenField(Scheme("prompt", strength / SHARE).attention(nodes, self.beta, POSITIONS))
        plain = Scheme("none", 0.0).attention(nodes, self.beta, POSITIONS)
        return TokenField(replace(plain, encoding=additive(ring(nodes.nodes, strength, 2))))

    def settled(self, strength: float, start: FloatArray, depth: float = SETTLED) -> FloatArray:
        """Where the flow leads from angles that are disturbed a little."""
        nudge = NUDGE * np.random.default_rng(0).standard_normal(start.size)
        return np.asarray(carried(self.field(strength), start + nudge, np.array([0.0, depth]))[-1])

    def stationary(self, strength: float, start: FloatArray) -> tuple[FloatArray, float]:
        """Return the stationary state nearby (Newton), and its growth rate; infinite where there is none."""
        field, angles = self.field(strength), start
        for _ in range(STEPS):
            velocity = field.velocity(angles)
            jacobian = _jacobian(field, angles)
            if np.abs(velocity).max() <= STILL:
                return angles, _growth(jacobian)
            # a collapsed state may be turned: least squares leave its direction as it is
            angles = angles - np.linalg.lstsq(jacobian, velocity, rcond=TURNING)[0]
        return start, math.inf

    @property
    def spread(self) -> FloatArray:
        """T(z) = 2πz."""
        return np.asarray(2.0 * math.pi * auxiliaries.uniform(POSITIONS).nodes)

    def map_ends(self) -> float:
        """Return the strength below which T(z) = 2πz is unstable."""

        def growth(strength: float) -> float:
            return _growth(_jacobian(self.field(strength), self.spread))

        return float(optimize.brentq(growth, 1e-3, HIGHEST[self.kind], xtol=1e-10))

    def end(self, *, collapsed: bool) -> End:
        """Follow the collapsed state from strength zero upwards, or the spread one downwards."""
        state = np.full(POSITIONS, TOGETHER) if collapsed else self.spread
        kept, lost = (0.0, HIGHEST[self.kind])[:: 1 if collapsed else -1]
        for _ in range(HALVINGS):
            middle = 0.5 * (kept + lost)
            found, growth = self.stationary(middle, self.settled(middle, state))
            if (_order(found) > BETWEEN) == collapsed and growth <= 0.0:
                kept, state = middle, found
            else:
                lost = middle
        past = lost * (1.0 + PAST if collapsed else 1.0 - PAST)
        after = _order(self.settled(past, state, BEYOND))
        return End(0.5 * (kept + lost), _order(state), after, 0.5 * abs(lost - kept))

    def curve(self, *, up: bool) -> tuple[FloatArray, FloatArray]:
        """R at strengths that rise from the collapsed state, or fall from the spread one."""
        strengths = np.linspace(0.0, HIGHEST[self.kind], RUNGS)
        state = np.full(POSITIONS, TOGETHER) if up else self.spread
        orders = np.empty(RUNGS)
        places = range(RUNGS) if up else range(RUNGS - 1, -1, -1)
        for place in places:
            state = self.settled(float(strengths[place]), state)
            orders[place] = _order(state)
        return strengths, orders


def _order(angles: FloatArray) -> float:
    return float(abs(np.exp(1j * angles).mean()))


def _jacobian(field: TokenField, angles: FloatArray) -> FloatArray:
    """∂V/∂T by central differences, whose error is that of the square of their step."""
    step, columns = 1e-5, []
    for place in range(angles.size):
        moved = np.zeros(angles.size)
        moved[place] = step
        columns.append((field.velocity(angles + moved) - field.velocity(angles - moved)) / (2.0 * step))
    return np.stack(columns, axis=1)


def _growth(jacobian: FloatArray) -> float:
    """Return the largest growth rate but that of turning all tokens, which by symmetry is zero."""
    rates = np.sort(np.linalg.eigvals(jacobian).real)
    turning = int(np.argmin(np.abs(rates)))
    return float(np.delete(rates, turning)[-1] if abs(rates[turning]) < TURNING else rates[-1])


def _rotary(*, bare: bool) -> dict[str, float | str]:
    """Largest deviation of R from its prediction over turns."""
    rule = auxiliaries.legendre(NODES)
    start = np.random.default_rng(0).uniform(0.0, 2.0 * math.pi, NODES)
    orders = []
    for turns in TURNS:
        scheme = Scheme("rotary_bare" if bare else "rotary_encoded", turns)
        field = TokenField(scheme.attention(rule, 1.0, None))
        end = carried(field, start, np.array([0.0, FINAL]), STEP)[-1]
        orders.append(float(abs(rule.weights @ np.exp(1j * end))))
    predicted = np.ones(len(TURNS)) if bare else np.abs(np.sinc(TURNS))
    worst = float(np.abs(np.array(orders) - predicted).max())
    return {
        "found": worst,
        "error": EXACT,
        "confirmed": float(worst <= EXACT),
        "strengths": json.dumps(TURNS),
        "up": json.dumps(orders),
    }


def _threshold(kind: str, beta: float) -> dict[str, float | str]:
    """Return the ends of both states, and whether they say what was predicted beyond their errors.

    Rings: both last on an interval, at whose ends R jumps. Prompts: there is a least share, below which
    tokens that were spread collapse.
    """
    rungs = Ladder(kind, beta)
    spread, together = rungs.end(collapsed=False), rungs.end(collapsed=True)
    strengths, up = rungs.curve(up=True)
    found = together.strength - spread.strength if kind == "ring" else spread.strength
    error = spread.error + (together.error if kind == "ring" else 0.0)
    jumps = spread.order < BETWEEN < spread.beyond and together.beyond < BETWEEN < together.order
    return {
        "spread_ends": spread.strength,
        "collapsed_ends": together.strength,
        "spread_order": spread.order,
        "spread_order_beyond": spread.beyond,
        "collapsed_order": together.order,
        "collapsed_order_beyond": together.beyond,
        "map_ends": rungs.map_ends(),
        "found": found,
        "error": error,
        "confirmed": float(found > error and jumps),
        "strengths": json.dumps(strengths.tolist()),
        "up": json.dumps(up.tolist()),
        "down": json.dumps(rungs.curve(up=False)[1].tolist()),
    }


_SAID = {
    "ring": "additive ring, β = {beta:g}: interval of a on which collapsed and spread states are stable",
    "prompt": "prompt, β = {beta:g}: least share of attention at which a spread state is stable",
}

CHECKS: dict[str, tuple[str, Callable[[], dict[str, float | str]]]] = {
    "rotary_encoded": (
        "rotary, values encoded: R = |sin(πa)/(πa)|, largest deviation",
        lambda: _rotary(bare=False),
    ),
    "rotary_bare": ("rotary, values bare: R = 1, largest deviation", lambda: _rotary(bare=True)),
    **{
        f"{kind}_{beta:g}".replace(".", "p"): (
            _SAID[kind].format(beta=beta),
            lambda kind=kind, beta=beta: _threshold(kind, beta),  # type: ignore[misc]
        )
        for kind in _SAID
        for beta in BETAS
    },
}


def checked(name: str) -> dict[str, float | str]:
    """Return what is found, its error, whether that confirms what is predicted, and R over strengths."""
    return CHECKS[name][1]()
