r"""What a design may turn: directions of additive encodings, or of prompts; velocities and their derivatives.

The map T is given, and v_i(T; ψ) = 0 is asked for, with one place ψ_k of the token space as unknown at every
node: as many unknowns as equations. The encoding is p(z_k) = (a/r) ψ_k with |p| = a and r the length of all
points of the space, the prompt of node k is ψ_k itself. With weights a_ik over their normaliser, ξ_i = βB u_i
and g_ik = ⟨τ_i, V v_ik⟩ as in ``attention.linearised``, moving p(z_k) along t_k changes the velocity by

.. math::

    \partial_k v_i &= a_{ik}\bigl[\langle\xi_i, t_k\rangle (g_{ik} - \bar v_i)
        + \langle\tau_i, V t_k\rangle\bigr], \\
    \partial_i v_i &= \sum_k a_{ik} \langle\beta B t_i, u_k\rangle (g_{ik} - \bar v_i)

(the last term of the first line for encoded values only, the sum over prompt tokens, too). The prompt of
node i, of weight b_i, changes v_i alone, by b_i [⟨ξ_i, t_i⟩(g_i − v̄_i) + ⟨τ_i, V t_i⟩].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from meanfield_pde import encodings
from meanfield_pde.attention.layer import Prompt
from meanfield_pde.attention.operators import Setting
from meanfield_pde.attention.prompt import prompt_keys

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.layer import Attention, Head
    from meanfield_pde.problem import Problem

__all__ = ["Directions", "Prompts", "Unknown"]


class Unknown(Protocol):
    """One place of the token space at every node that the design is free to choose."""

    def start(self, problem: Problem, target: FloatArray) -> FloatArray:
        """Places (aux, *place) from which Newton's method begins."""

    def applied(self, problem: Problem, places: FloatArray) -> Problem:
        """Return the problem with what these places say."""

    def derivative(self, problem: Problem, target: FloatArray, places: FloatArray) -> FloatArray:
        """Differentiate the velocity at tokens ``target`` by the places, (aux · tangents, aux · tangents)."""


@dataclass(frozen=True)
class Directions:
    """Additive encoding of fixed length: p(z) = (a/r) ψ(z) with ψ on the token space."""

    amplitude: float

    def start(self, problem: Problem, target: FloatArray) -> FloatArray:  # noqa: ARG002
        """T itself: where a is large, tokens see theirs alone, and rest where they point."""
        return target

    def shifts(self, problem: Problem, places: FloatArray) -> FloatArray:
        """p(z_k), (aux, d)."""
        return self.amplitude / problem.space.radius * problem.space.embed(places)

    def applied(self, problem: Problem, places: FloatArray) -> Problem:
        """Encode additively."""
        encoding = encodings.additive(self.shifts(problem, places))
        return replace(problem, attention=replace(problem.attention, encoding=encoding))

    def derivative(self, problem: Problem, target: FloatArray, places: FloatArray) -> FloatArray:
        """Sum over heads, pair by pair."""
        moves = self.amplitude / problem.space.radius * problem.space.frame_at(places)
        designed = self.applied(problem, places).attention
        count, tangents = moves.shape[:2]
        total = np.zeros((count, tangents, count, tangents))
        for head in designed.heads:
            _Pairs.of(problem, designed, head, target).add(total, moves)
        return total.reshape(count * tangents, count * tangents)


@dataclass(frozen=True)
class Prompts:
    """One prompt token a node, at ψ(z), with a share ``fraction`` of the attended mass."""

    fraction: float

    def start(self, problem: Problem, target: FloatArray) -> FloatArray:
        """Begin with what a token at T is seen as: all that the node sees then lies in one direction."""
        space, attention = problem.space, problem.attention
        seen = space.embed(target)
        if attention.values == "token":
            return target
        if attention.encoding.angles is not None:
            seen = np.einsum("nde,ne->nd", space.rotations(attention.encoding.angles), seen)
        return space.locate(seen)

    def applied(self, problem: Problem, places: FloatArray) -> Problem:
        """Give every node its prompt."""
        prompt = Prompt(problem.space.embed(places)[:, None], np.ones(1), self.fraction)
        return replace(problem, attention=replace(problem.attention, prompt=prompt))

    def derivative(self, problem: Problem, target: FloatArray, places: FloatArray) -> FloatArray:
        """Blocks on the diagonal."""
        moves = problem.space.frame_at(places)
        designed = self.applied(problem, places).attention
        count, tangents = moves.shape[:2]
        total = np.zeros((count, tangents, count, tangents))
        everyone = np.arange(count)
        for head in designed.heads:
            total[everyone, :, everyone] += _Pairs.of(problem, designed, head, target).by_prompt(moves)
        return total.reshape(count * tangents, count * tangents)


@dataclass(frozen=True)
class _Pairs:
    """One head between single tokens, one a node, and their prompt tokens.

    Parameters
    ----------
    keys, queries
        u_k and ξ_i, (aux, d).
    weights, prompted
        Normalised weights of tokens (aux, aux) and of prompt tokens (aux, tokens).
    prompt
        Keys of the prompt tokens, (1 or aux, tokens, d).
    directions
        Vᵀτ_i as encoded values see it, (aux, tangents, d).
    along, prompt_along
        g − v̄ of tokens (aux, tangents, aux) and of prompt tokens (aux, tangents, tokens).
    """

    setting: Setting
    keys: FloatArray
    queries: FloatArray
    weights: FloatArray
    prompted: FloatArray
    prompt: FloatArray
    directions: FloatArray
    along: FloatArray
    prompt_along: FloatArray

    @staticmethod
    def of(problem: Problem, attention: Attention, head: Head, target: FloatArray) -> _Pairs:
        """Weights and values at tokens ``target``."""
        space = problem.space
        setting = Setting(space, attention, head)
        tokens = space.embed(target)
        turns = None if attention.encoding.angles is None else space.rotations(attention.encoding.angles)
        keys = tokens if turns is None else np.einsum("nde,ne->nd", turns, tokens)
        keys = keys if attention.encoding.shifts is None else keys + attention.encoding.shifts
        queries = keys @ setting.metric.T
        prompt, score = _prompt(setting, queries)
        weights, prompted = _weights(setting, queries @ keys.T, score)
        directions = space.frame_at(target) @ head.value
        if setting.encoded and turns is not None:
            directions = np.einsum("nde,npe->npd", turns, directions)
        values = keys if setting.encoded else tokens
        seen = prompt if setting.encoded or attention.prompt is None else attention.prompt.points
        along = np.einsum("npd,kd->npk", directions, values)
        beside = np.einsum("npd,nkd->npk", directions, np.broadcast_to(seen, (len(keys), *seen.shape[1:])))
        if attention.normalization == "softmax":
            mean = np.einsum("nk,npk->np", weights, along) + np.einsum("nk,npk->np", prompted, beside)
            along, beside = along - mean[..., None], beside - mean[..., None]
        return _Pairs(setting, keys, queries, weights, prompted, prompt, directions, along, beside)

    def add(self, total: FloatArray, moves: FloatArray) -> None:
        """Add the derivative by shifts of the nodes along ``moves`` (aux, tangents, d)."""
        felt = self.weights[:, None, :] * self.along
        total += np.einsum("npk,nd,kqd->npkq", felt, self.queries, moves, optimize=True)
        if self.setting.encoded:
            total += np.einsum("nk,npd,kqd->npkq", self.weights, self.directions, moves, optimize=True)
        pulled = felt @ self.keys + np.einsum(
            "nk,npk,nkd->npd", self.prompted, self.prompt_along, self._prompts
        )
        turned = moves @ self.setting.metric.T
        everyone = np.arange(len(self.keys))
        total[everyone, :, everyone] += np.einsum("npd,nqd->npq", pulled, turned)

    def by_prompt(self, moves: FloatArray) -> FloatArray:
        """Differentiate by the prompt of the own node, (aux, tangents, tangents)."""
        score = np.einsum("nd,nqd->nq", self.queries, moves)
        value = np.einsum("npd,nqd->npq", self.directions, moves)
        change = self.prompt_along[:, :, 0, None] * score[:, None, :] + value
        return np.asarray(self.prompted[:, 0, None, None] * change)

    @property
    def _prompts(self) -> FloatArray:
        return np.broadcast_to(self.prompt, (len(self.keys), *self.prompt.shape[1:]))


def _prompt(setting: Setting, queries: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Keys of the prompt tokens, (1 or aux, tokens, d), and their scores with log mass, (aux, tokens)."""
    prompt, dimension = setting.attention.prompt, queries.shape[1]
    if prompt is None or prompt.fraction == 0.0:
        return np.empty((1, 0, dimension)), np.empty((len(queries), 0))
    keys, bias = prompt_keys(setting, prompt)
    score = np.einsum("nd,nkd->nk", queries, np.broadcast_to(keys, (len(queries), *keys.shape[1:])))
    return keys, score + bias + np.log(prompt.fraction * prompt.weights)


def _weights(setting: Setting, inner: FloatArray, prompted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights of tokens and of prompt tokens, over their sum for softmax."""
    attention = setting.attention
    nodes, shares = attention.auxiliary.nodes, attention.auxiliary.weights
    score = inner + setting.head.bias.log_weights(nodes, nodes) + np.log(attention.density_share * shares)
    if attention.normalization == "none":
        return np.exp(score), np.exp(prompted)
    offset = np.maximum(score.max(axis=1), prompted.max(axis=1, initial=-np.inf))[:, None]
    weights, others = np.exp(score - offset), np.exp(prompted - offset)
    total = weights.sum(axis=1)[:, None] + others.sum(axis=1)[:, None]
    return weights / total, others / total
