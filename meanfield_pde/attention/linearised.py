r"""Attention between single tokens and its derivative, pair by pair: what Newton's method needs.

With s_ik = ⟨ξ_i, u_k⟩ + b_ik, ξ_i = βB u_i, u = E_z(x), weights a_ik = m_k e^{s_ik} over their normaliser N_i
(softmax) or as they are (none), and g_ik = ⟨τ_i, V v_ik⟩ along the tangent τ_i, the velocity of token i is
v_i = Σ_k a_ik g_ik. Moving key k along its tangent τ_k, and query i along its own, changes it by

.. math::

    \partial_k v_i &= a_{ik}\bigl[\langle\xi_i, E'\tau_k\rangle (g_{ik} - \bar v_i)
        + \langle\tau_i, V v'_{ik}\tau_k\rangle\bigr], \\
    \partial_i v_i &= \sum_k a_{ik} \langle\beta B E'\tau_i, u_k\rangle (g_{ik} - \bar v_i)
        - \langle n_i, A_i\rangle

with v̄_i = v_i for softmax and 0 without normalisation; the last term, with the normal n_i = x_i on spheres,
is the curvature of the space. The
second line is the derivative in the frozen field, its negative the curvature κ of the potential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.operators import Setting
from meanfield_pde.attention.prompt import prompt_keys

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.layer import Attention
    from meanfield_pde.spaces import Atoms, Space

__all__ = ["Linearised", "linearised", "pair_energy"]

#: Pairs that are held at once.
BLOCK = 2**21


@dataclass(frozen=True)
class Linearised:
    """Velocity of every token and its derivatives by the places of all.

    Parameters
    ----------
    velocity
        (tokens, d − 1), along the frame.
    length
        |A| of the attention vector of every token, (tokens,): what rounding errors are relative to.
    local
        Derivative by the token's own place in the frozen field, (tokens, d − 1, d − 1).
    jacobian
        Derivative by the places of all tokens, (tokens · (d − 1), tokens · (d − 1)); None if not asked for.
    """

    velocity: FloatArray
    length: FloatArray
    local: FloatArray
    jacobian: FloatArray | None


def linearised(space: Space, attention: Attention, atoms: Atoms, *, jacobian: bool = True) -> Linearised:
    """Sum over all pairs of tokens, and tokens of the prompt; heads with a kernel of their own have none."""
    count, dimension = atoms.masses.size, space.frame.shape[1]
    full = np.zeros((count, dimension, count, dimension)) if jacobian else None
    parts = Linearised(
        np.zeros((count, dimension)), np.zeros(count), np.zeros((count, dimension, dimension)), full
    )
    vectors = np.zeros((count, space.points.shape[1]))
    size = max(1, BLOCK // max(1, count))
    for head in attention.heads:
        pairs = _HeadPairs(Setting(space, attention, head), atoms)
        for first in range(0, count, size):
            pairs.add(parts, vectors, np.arange(first, min(first + size, count)))
    parts.length[:] = np.hypot.reduce(vectors, axis=1)  # squares may overflow where lengths do not
    along = np.einsum("npd,nd->np", space.normals_at(atoms.places), vectors)
    parts.local[:] -= along[:, :, None] * np.eye(dimension)
    if full is None:
        return parts
    everyone = np.arange(count)
    full[everyone, :, everyone] += parts.local
    square = full.reshape(count * dimension, count * dimension)
    return Linearised(parts.velocity, parts.length, parts.local, square)


def pair_energy(space: Space, attention: Attention, atoms: Atoms) -> float:
    """Interaction energy E of tokens, pair by pair; infinite where e^s overflows.

    The constant 1/(2β) is left out at β = 0, as in ``energies``.
    """
    shares = attention.auxiliary.weights[atoms.rows] * atoms.masses
    with np.errstate(over="ignore"):
        return float(
            sum(_HeadPairs(Setting(space, attention, head), atoms).energy(shares) for head in attention.heads)
        )


class _HeadPairs:
    """One head between all tokens."""

    def __init__(self, setting: Setting, atoms: Atoms) -> None:
        space, code, rows = setting.space, setting.attention.encoding, atoms.rows
        self.setting, self.rows = setting, rows
        tokens, self.frame = space.embed(atoms.places), space.frame_at(atoms.places)
        keys, tangents = tokens, self.frame
        self.turns = None if code.angles is None else space.rotations(code.angles)[rows]
        if self.turns is not None:
            keys = np.einsum("nde,ne->nd", self.turns, keys)
            tangents = np.einsum("nde,npe->npd", self.turns, tangents)
        self.keys = keys if code.shifts is None else keys + code.shifts[rows]
        self.tangents = tangents
        self.values, self.moves = (self.keys, self.tangents) if setting.encoded else (tokens, self.frame)
        self.queries = self.keys @ setting.metric.T
        self.turned = self.tangents @ setting.metric.T
        share = setting.attention.density_share
        self.masses = share * setting.attention.auxiliary.weights[rows] * atoms.masses
        prompt = setting.attention.prompt
        self.prompt = None if prompt is None or prompt.fraction == 0.0 else prompt

    def _bias(self, chosen: IntArray) -> FloatArray:
        if self.setting.mixer.shared:
            return np.zeros((1, 1))
        nodes = self.setting.attention.auxiliary.nodes
        own, place = np.unique(self.rows[chosen], return_inverse=True)
        return np.asarray(self.setting.head.bias.log_weights(nodes[own], nodes)[place][:, self.rows])

    def _prompted(self, chosen: IntArray) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Keys and values (chosen, tokens, d) of the prompt, and their scores with log mass."""
        if self.prompt is None:
            return None
        rows = self.rows[chosen]
        keys, bias = prompt_keys(self.setting, self.prompt)
        keys, bias = (part[rows] if len(part) > 1 else part for part in (keys, bias))
        points = self.prompt.points
        values = keys if self.setting.encoded else points[rows] if len(points) > 1 else points
        keys = np.broadcast_to(keys, (rows.size, *keys.shape[1:]))
        score = np.einsum("nd,nkd->nk", self.queries[chosen], keys) + bias
        return (
            keys,
            np.broadcast_to(values, keys.shape),
            score + np.log(self.prompt.fraction * self.prompt.weights),
        )

    def _weights(self, chosen: IntArray, prompted: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        """Weights a_ik of all tokens, and those of the prompt (chosen, 0 or tokens)."""
        with np.errstate(divide="ignore"):
            score = self.queries[chosen] @ self.keys.T + self._bias(chosen) + np.log(self.masses)
        fixed = np.empty((chosen.size, 0)) if prompted is None else prompted
        if self.setting.attention.normalization == "none":
            return np.exp(score), np.exp(fixed)
        offset = np.maximum(score.max(axis=1), fixed.max(axis=1, initial=-np.inf))[:, None]
        weight, fixed = np.exp(score - offset), np.exp(fixed - offset)
        total = (weight.sum(axis=1) + fixed.sum(axis=1))[:, None]
        return weight / total, fixed / total

    def energy(self, shares: FloatArray) -> float:
        """Mean over tokens of half the sum over tokens, and all of that over the prompt."""
        beta, everyone = self.setting.head.beta, np.arange(shares.size)
        score, bias, prompted = self.queries @ self.keys.T, self._bias(everyone), self._prompted(everyone)
        fixed = 0.0 if prompted is None else np.exp(prompted[2]).sum(axis=1)
        if beta > 0.0:
            return float(shares @ (0.5 * np.exp(score + bias) @ self.masses + fixed)) / beta
        metric = self.setting.head.metric.T
        inner = (self.keys @ metric) @ self.keys.T * np.exp(bias)
        linear = 0.5 * inner @ self.masses
        if prompted is not None:  # at β = 0 its scores are those of bias and mass alone
            inner = np.einsum("nd,nkd->nk", self.keys @ metric, prompted[0])
            linear = linear + (np.exp(prompted[2]) * inner).sum(axis=1)
        return float(shares @ linear)

    def add(self, parts: Linearised, vectors: FloatArray, chosen: IntArray) -> None:
        """Add the velocities of the chosen tokens by this head, and their derivatives."""
        value, prompted = self.setting.head.value, self._prompted(chosen)
        weight, fixed = self._weights(chosen, None if prompted is None else prompted[2])
        vector = weight @ self.values
        if prompted is not None:
            vector = vector + np.einsum("nk,nkd->nd", fixed, prompted[1])
        direction, back = self.frame[chosen] @ value, vector  # Vᵀτ, (chosen, d − 1, d)
        if self.setting.encoded and self.turns is not None:
            direction = np.einsum("nde,npe->npd", self.turns[chosen], direction)
            back = np.einsum("ned,ne->nd", self.turns[chosen], vector)
        vectors[chosen] += back @ value.T
        velocity = np.einsum("npd,nd->np", direction, vector)
        parts.velocity[chosen] += velocity
        softmax = self.setting.attention.normalization == "softmax"
        centre = velocity if softmax else np.zeros_like(velocity)
        self._derive(parts, chosen, (weight, direction, centre))
        if prompted is not None:
            along = np.einsum("npd,nkd->npk", direction, prompted[1]) - centre[:, :, None]
            felt = np.einsum("nqd,nkd->nqk", self.turned[chosen], prompted[0])
            parts.local[chosen] += np.einsum("nk,npk,nqk->npq", fixed, along, felt)

    def _derive(
        self, parts: Linearised, chosen: IntArray, terms: tuple[FloatArray, FloatArray, FloatArray]
    ) -> None:
        """Add what the tokens themselves contribute to the derivatives."""
        weight, direction, centre = terms
        scores = None if parts.jacobian is None else _products(self.queries[chosen], self.tangents)
        moments = np.empty((*direction.shape[:2], self.keys.shape[1]))
        for p in range(direction.shape[1]):
            along = direction[:, p] @ self.values.T
            along -= centre[:, p, None]
            along *= weight
            moments[:, p] = along @ self.keys
            if parts.jacobian is not None and scores is not None:
                block = weight[:, :, None] * _products(direction[:, p], self.moves)
                block += along[:, :, None] * scores
                parts.jacobian[chosen, p] += block
        parts.local[chosen] += moments @ self.turned[chosen].swapaxes(1, 2)


def _products(vectors: FloatArray, tangents: FloatArray) -> FloatArray:
    """Inner products of vectors (n, d) with tangents (tokens, d − 1, d), (n, tokens, d − 1)."""
    flat = tangents.reshape(-1, tangents.shape[2])
    return np.asarray((vectors @ flat.T).reshape(len(vectors), *tangents.shape[:2]))
