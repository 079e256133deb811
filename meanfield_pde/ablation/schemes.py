r"""Positional encodings of the study, whole or corrupted: each with one number that says how strong it is.

On the circle, for positions z_j in [0, 1], j = 0, …, n − 1, and a strength a:

=================  =====================================================================================
none               u = x
sinusoidal         u = x + a (sin fj, cos fj): the two fastest components of Vaswani et al. 2017
learned            u = x + p(z): two leading principal components of the 512 positions of all-MiniLM-L6-v2
                   over [0, 1], a spline between them, of mean square a²; a = 0.22 is as in the model
rotary             u = R(2πaz) x: a turns over the context, values encoded (u) or bare (x)
ALiBi              b = −8a |z − ζ|
causal             b = −∞ where ζ > z
prompt             a token of direction 2πz for every position, with the share a/2 of what it attends to
=================  =====================================================================================

Encodings named ``…_each`` keep the angle (slope) of every position as contexts grow: a is that of n = 64.

Corruptions: Gaussian noise of relative size s (p + a s ξ with E|ξ|² = 1; angles + s ξ), a share of positions
without encoding, a share of them in random order, frequencies times f.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import interpolate

from meanfield_pde import shipped
from meanfield_pde.attention import Alibi, Attention, Bias, Causal, Head, NoBias, Prompt
from meanfield_pde.config.files import read_table
from meanfield_pde.encodings import Encoding, principal_components
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary

__all__ = ["CURVES", "ENCODINGS", "TURNED", "Scheme", "learned_curve"]

#: Encodings by name, as people say them.
ENCODINGS = {
    "none": "none",
    "sinusoidal": "sinusoidal",
    "learned": "learned table",
    "rotary_encoded": "rotary, values encoded",
    "rotary_bare": "rotary, values bare",
    "alibi": "ALiBi",
    "causal": "causal",
    "prompt": "prompt",
    "rotary_encoded_each": "rotary, values encoded, angle per position",
    "alibi_each": "ALiBi, slope per position",
}
#: Those that shift tokens, and those that turn them.
CURVES = ("sinusoidal", "learned")
TURNED = ("rotary_encoded", "rotary_bare", "rotary_encoded_each")
#: The shipped table of positions.
TABLE, DATASET = "minilm-l6-v2-positions.h5", "position_embeddings"
#: Positions of the context for which strengths of encodings of every single position hold.
REFERENCE = 64
#: Slope of ALiBi, and share of the prompt, at strength 1.
SLOPE, SHARE = 8.0, 0.5


@cache
def learned_curve() -> FloatArray:
    """Two leading principal components (512, 2) of the learned table, as the model adds them.

    Raises
    ------
    InputError
        When the shipped file is missing.
    """
    path = shipped.data_file(TABLE)
    if path is None:
        raise InputError(f"ablation: the data file {TABLE} is missing from the installation")
    return principal_components(read_table(path, DATASET, "ablation"), [0, 1])


def _size(curve: FloatArray) -> float:
    return float(np.sqrt((curve**2).sum(axis=1).mean()))


@dataclass(frozen=True)
class Scheme:
    """An encoding, its strength, and what is wrong with it.

    Parameters
    ----------
    encoding
        One of `ENCODINGS`.
    strength
        a.
    noise, zeroed, shuffled, frequency
        Corruptions: relative size, share, share, factor.
    seed
        Of the corruptions.
    """

    encoding: str
    strength: float
    noise: float = 0.0
    zeroed: float = 0.0
    shuffled: float = 0.0
    frequency: float = 1.0
    seed: int = 0

    def attention(self, auxiliary: Auxiliary, beta: float, context: int | None = None) -> Attention:
        """Attention of one head with Q = K = V = I at these nodes.

        ``context`` is the number of positions that the nodes stand for, None for the continuum.
        """
        nodes = auxiliary.nodes
        curve, angles = self._curve(nodes, context), self._angles(nodes, context)
        return Attention(
            (Head.plain(beta, 2, self._bias(context)),),
            auxiliary,
            Encoding(
                None if curve is None else self._damaged(curve, self.strength / math.sqrt(2.0)),
                None if angles is None else self._damaged(angles[:, None], 1.0)[:, 0],
            ),
            values="token" if self.encoding == "rotary_bare" else "encoded",
            prompt=self._prompt(nodes),
        )

    def prescribed(self, auxiliary: Auxiliary, context: int | None = None) -> FloatArray:
        """T(z): angles where the whole encoding would put tokens, (aux,), up to one turn of them all.

        Additive: the direction of p(z); rotary with encoded values: −2πaz; prompt: the direction of its token
        (their limits where they are strong). All others prescribe one point.
        """
        nodes = auxiliary.nodes
        curve, angles = self._curve(nodes, context), self._angles(nodes, context)
        if curve is not None and self.strength > 0.0:
            return np.asarray(np.arctan2(curve[:, 1], curve[:, 0]))
        if angles is not None and self.encoding != "rotary_bare":
            return -angles
        if self.encoding == "prompt" and self.strength > 0.0:
            return 2.0 * math.pi * nodes
        return np.zeros(nodes.size)

    def codes(self, auxiliary: Auxiliary, context: int | None = None) -> FloatArray:
        """Smooth functions of z and what the encoding makes of it, (aux, codes), to tell positions by."""
        nodes = auxiliary.nodes
        waves = np.cos(np.pi * np.outer(nodes, np.arange(1, 5)))
        curve, angles = self._curve(nodes, context), self._angles(nodes, context)
        if angles is not None:
            curve = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        elif self.encoding == "prompt":
            curve = np.stack([np.cos(2.0 * np.pi * nodes), np.sin(2.0 * np.pi * nodes)], axis=1)
        return waves if curve is None else np.concatenate([waves, curve], axis=1)

    def _strength(self, context: int | None) -> float:
        """Strength over a context of so many positions."""
        if self.encoding.endswith("_each"):
            if context is None:
                raise InputError(f"ablation: {ENCODINGS[self.encoding]} has no continuum")
            return self.strength * context / REFERENCE
        return self.strength

    def _curve(self, nodes: FloatArray, context: int | None) -> FloatArray | None:
        """p(z) before it is damaged, (aux, 2)."""
        if self.encoding == "sinusoidal":
            # every radian is as frequent as any other in the long run: so it is in the continuum
            rates = 2.0 * math.pi if context is None else float(context)
            phase = self.frequency * rates * (nodes - nodes.min())
            return self.strength * np.stack([np.sin(phase), np.cos(phase)], axis=1)
        if self.encoding == "learned":
            table = learned_curve()
            # positions are 61 degrees from each other on a ring: chords would be a tenth too short
            through = interpolate.CubicSpline(np.arange(len(table)), table)
            curve = through(self.frequency * nodes * (len(table) - 1))
            return np.asarray(self.strength / _size(table) * curve)
        return None

    def _angles(self, nodes: FloatArray, context: int | None) -> FloatArray | None:
        if self.encoding not in TURNED:
            return None
        return np.asarray(2.0 * math.pi * self.frequency * self._strength(context) * nodes)

    def _bias(self, context: int | None) -> Bias:
        if self.encoding == "causal":
            return Causal()
        return Alibi(SLOPE * self._strength(context)) if self.encoding.startswith("alibi") else NoBias()

    def _prompt(self, nodes: FloatArray) -> Prompt | None:
        if self.encoding != "prompt" or self.strength == 0.0:
            return None
        angles = 2.0 * math.pi * nodes
        points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return Prompt(points[:, None], np.ones(1), SHARE * self.strength)

    def _damaged(self, rows: FloatArray, scale: float) -> FloatArray:
        """Reorder, add noise, leave out: rows (aux, columns)."""
        count = len(rows)
        orders, noises, losses = (np.random.default_rng([self.seed, 1, k]) for k in range(3))
        order = np.arange(count)
        moved = orders.permutation(count)[: round(self.shuffled * count)]
        order[np.sort(moved)] = moved
        noisy = rows[order] + scale * self.noise * noises.standard_normal(rows.shape)
        noisy[losses.permutation(count)[: round(self.zeroed * count)]] = 0.0
        return noisy
