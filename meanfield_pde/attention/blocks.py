r"""Attention between single tokens in any dimension, pair by pair, by products of matrices.

For a query token i, with the scores s_ik of all tokens k, those of the prompt as well, and their masses m_k,

.. math:: A_i = \sum_h V_h \frac{1}{N_i}\sum_k m_k e^{s_{ik}} v_k, \qquad N_i = \sum_k m_k e^{s_{ik}}
    \text{ (softmax) or } 1.

Rotations of encodings turn planes in the place of multiplying by matrices, and identities are not multiplied
by, so that what is left of the cost of a token is its products with the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.kernels import pair_sums
from meanfield_pde.attention.operators import LARGEST_EXPONENT, Setting
from meanfield_pde.attention.prompt import prompt_keys
from meanfield_pde.errors import InputError
from meanfield_pde.parallel import each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.layer import Attention, Head, Prompt
    from meanfield_pde.spaces import Space

__all__ = ["TokenAttention", "TokenHead", "block_sums", "turned"]

#: Scores that are held at once, so that they stay in the cache, and the fewest queries of a product.
CACHED, FEWEST = 2**15, 64
#: The compiled loop is the quicker for pairs · (8 + d) below this (``python -m benchmarks tokens``).
COMPILED = 25_000
#: Pairs whose biases are held from one evaluation to the next.
HELD = 2**22


def turned(vectors: FloatArray, angles: FloatArray) -> FloatArray:
    """Rotate vectors (..., d) by angles (..., planes), or (..., 1) for all, in (e_1, e_2), (e_3, e_4), ….

    The last axis stays where d is odd: what ``Space.rotations`` does with matrices.
    """
    return _turned(vectors, np.cos(angles), np.sin(angles))


def _turned(vectors: FloatArray, cosine: FloatArray, sine: FloatArray) -> FloatArray:
    planes = vectors.shape[-1] // 2
    first, second = vectors[..., 0 : 2 * planes : 2], vectors[..., 1 : 2 * planes : 2]
    result = np.array(np.broadcast_to(vectors, np.broadcast_shapes(vectors.shape, (*cosine.shape[:-1], 1))))
    result[..., 0 : 2 * planes : 2] = cosine * first - sine * second
    result[..., 1 : 2 * planes : 2] = sine * first + cosine * second
    return result


def block_sums(
    queries: FloatArray, keys: FloatArray, values: FloatArray, weights: FloatArray, bias: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Largest score, Σ w e^{score − largest} and Σ w e^{score − largest} value: twin of ``pair_sums``."""
    score = queries @ keys.T
    score += bias
    largest = score.max(axis=1)
    score -= largest[:, None]
    np.exp(score, out=score)
    score *= weights
    return largest, score.sum(axis=1), score @ values


@dataclass(frozen=True)
class Sums:
    """∫ e^{s − offset} dm and ∫ e^{s − offset} v dm of every query, (queries,), (queries,), (queries, d)."""

    offset: FloatArray
    total: FloatArray
    vector: FloatArray

    def with_other(self, other: Sums) -> Sums:
        """Add the sums over other keys, brought to the larger offset."""
        offset = np.maximum(self.offset, other.offset)
        own, more = np.exp(self.offset - offset), np.exp(other.offset - offset)
        vector = own[:, None] * self.vector + more[:, None] * other.vector
        return Sums(offset, own * self.total + more * other.total, vector)


@dataclass(frozen=True, eq=False)
class TokenHead:
    """One head between tokens, whose nodes and masses do not change.

    Parameters
    ----------
    setting
        The head; of its space nothing but what prompts with positions ask for is needed.
    rows, masses
        Auxiliary node and mass of every token, (tokens,); the masses of a node sum to one.
    """

    setting: Setting
    rows: IntArray
    masses: FloatArray

    @property
    def head(self) -> Head:
        """The head."""
        return self.setting.head

    @cached_property
    def shares(self) -> FloatArray:
        """Shares of the tokens in their law f, (tokens,)."""
        return np.asarray(self.setting.attention.auxiliary.weights[self.rows] * self.masses)

    @cached_property
    def _metric(self) -> FloatArray | float:
        """B = KᵀQ, or b where it is b I."""
        query, key = _reduced(self.head.query), _reduced(self.head.key)
        if isinstance(query, float) and isinstance(key, float):
            return query * key
        return _reduced(self.head.metric)

    @cached_property
    def _value(self) -> FloatArray | float:
        """V, or v where it is v I."""
        return _reduced(self.head.value)

    @cached_property
    def _turns(self) -> tuple[FloatArray, FloatArray] | None:
        """Cosines and sines of the angles of the tokens, (tokens, planes or 1) each."""
        angles = self.setting.attention.encoding.angles
        if angles is None:
            return None
        own = angles.reshape(len(angles), -1)[self.rows]
        return np.cos(own), np.sin(own)

    @cached_property
    def _table(self) -> FloatArray | None:
        """Bias of all nodes, (aux, aux); None where all see the same."""
        nodes = self.setting.attention.auxiliary.nodes
        return None if self.setting.mixer.shared else self.head.bias.log_weights(nodes, nodes)

    @cached_property
    def _prompted(self) -> Prompt | None:
        prompt = self.setting.attention.prompt
        return None if prompt is None or prompt.fraction == 0.0 else prompt

    @cached_property
    def _prompt_parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Keys (aux or 1, prompt tokens, d), bare tokens likewise, and bias (aux or 1, prompt tokens)."""
        if self._prompted is None:
            raise ValueError("prompt: there is none")
        keys, bias = prompt_keys(self.setting, self._prompted)
        return keys, self._prompted.points, bias

    def keys(self, tokens: FloatArray) -> FloatArray:
        """Encode the tokens: u = E_z(x), (tokens, d)."""
        shifts = self.setting.attention.encoding.shifts
        moved = tokens if self._turns is None else _turned(tokens, *self._turns)
        return moved if shifts is None else moved + shifts[self.rows]

    def vectors(self, tokens: FloatArray) -> FloatArray:
        """Attention vector A of every token at places (tokens, d) by this head, (tokens, d)."""
        sums = self._sums(tokens)
        scale = np.exp(sums.offset) if self.unnormalised else 1.0 / sums.total
        vector = scale[:, None] * sums.vector
        if self.setting.encoded and self._turns is not None:
            vector = _turned(vector, self._turns[0], -self._turns[1])
        return _multiplied(vector, self._value)

    @property
    def unnormalised(self) -> bool:
        """Whether N = 1."""
        return self.setting.attention.normalization == "none"

    def _sums(self, tokens: FloatArray) -> Sums:
        """Sum over tokens and prompt."""
        keys = self.keys(tokens)
        bare = keys if self.setting.encoded else tokens
        queries = self._queries(keys)
        sums = self._over_tokens(queries, keys, bare)
        if self._prompted is None:
            return sums
        prompt_values = self._prompt_parts[0 if self.setting.encoded else 1]
        return sums.with_other(self._over_prompt(queries, prompt_values))

    def _queries(self, keys: FloatArray) -> FloatArray:
        """ξ = β B u, (tokens, d); with a kernel of its own B u."""
        turned_keys = _multiplied(keys, self._metric)
        return turned_keys if self.head.kernel is not None else self.head.beta * turned_keys

    def _over_tokens(self, queries: FloatArray, keys: FloatArray, values: FloatArray) -> Sums:
        weights = self.setting.attention.density_share * self.shares
        few = len(queries) * len(keys) * (8 + keys.shape[1]) <= COMPILED
        if few and self.head.kernel is None:
            return Sums(*pair_sums(queries, keys, values, weights, self._bias(slice(0, len(queries)))))

        def block(rows: slice) -> list[tuple[FloatArray, ...]]:
            return [
                self._block(queries[part], keys, values, weights, part) for part in _cached(rows, len(keys))
            ]

        parts = [part for found in each(block, len(queries)) for part in found]
        return Sums(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _block(
        self, queries: FloatArray, keys: FloatArray, values: FloatArray, weights: FloatArray, rows: slice
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        if self.head.kernel is None:
            return block_sums(queries, keys, values, weights, self._bias(rows))
        score = self._own_scores(queries @ keys.T) + self._bias(rows)
        largest = score.max(axis=1)
        finite = np.where(np.isfinite(largest), largest, 0.0)  # a kernel may be zero for all keys
        weighted = np.exp(score - finite[:, None]) * weights
        return largest, weighted.sum(axis=1), weighted @ values

    def _own_scores(self, inner: FloatArray) -> FloatArray:
        """Scores from the inner products ⟨ξ, u⟩: log κ for a kernel of its own."""
        if self.head.kernel is None:
            return inner
        with np.errstate(divide="ignore"):
            return np.log(self.head.kernel(inner))

    def _bias(self, rows: slice | IntArray) -> FloatArray:
        """Bias of some queries, (queries or 1, tokens)."""
        if self._table is None:
            return np.zeros((1, self.rows.size))
        return self._pairs_of(rows) if self._held is None else self._held[rows]

    @cached_property
    def _held(self) -> FloatArray | None:
        """Bias of all pairs of tokens, where they are not too many."""
        return self._pairs_of(slice(None)) if self.rows.size**2 <= HELD else None

    def _pairs_of(self, rows: slice | IntArray) -> FloatArray:
        if self._table is None:
            raise ValueError("bias: there is none")
        return np.ascontiguousarray(self._table[self.rows[rows]][:, self.rows])

    def _over_prompt(self, queries: FloatArray, values: FloatArray) -> Sums:
        """Sum over the prompt tokens: they are few."""
        score = self._prompt_scores(queries)
        offset = score.max(axis=1)
        finite = np.where(np.isfinite(offset), offset, 0.0)  # a bias may hide the whole prompt
        weight = self._prompt_weights * np.exp(score - finite[:, None])
        return Sums(offset, weight.sum(axis=1), _paired(weight, values, self.rows))

    @property
    def _prompt_weights(self) -> FloatArray:
        if self._prompted is None:
            raise ValueError("prompt: there is none")
        return self._prompted.fraction * self._prompted.weights

    def _prompt_scores(self, queries: FloatArray) -> FloatArray:
        """Scores of the prompt tokens, (tokens, prompt tokens)."""
        keys, _, bias = self._prompt_parts
        shared = len(keys) == 1
        inner = queries @ keys[0].T if shared else np.einsum("nd,nkd->nk", queries, keys[self.rows])
        return self._own_scores(inner) + (bias if len(bias) == 1 else bias[self.rows])

    def energy(self, tokens: FloatArray) -> float:
        """Interaction energy E of this head; infinite where e^s overflows, without 1/(2β) at β = 0."""
        keys, beta = self.keys(tokens), self.head.beta
        queries = self._queries(keys)
        sums = [(0.5, self._over_tokens(queries, keys, keys))]
        if self._prompted is not None:
            sums.append((1.0, self._over_prompt(queries, self._prompt_parts[0])))
        with np.errstate(over="ignore"):
            parts = [(factor * np.exp(part.offset), part) for factor, part in sums]
            if beta > 0.0:
                return float(sum(self.shares @ (scale * part.total) for scale, part in parts) / beta)
            turned_keys = _multiplied(keys, self._metric)
            along = [scale * np.einsum("nd,nd->n", turned_keys, part.vector) for scale, part in parts]
        return float(sum(self.shares @ part for part in along))

    def disorder(self, tokens: FloatArray) -> float:
        """Mean over tokens of −∫ a log a dm, a = e^s / ∫ e^s dm."""
        return float(self.shares @ self.disorders(tokens, np.arange(len(tokens))))

    def disorders(self, tokens: FloatArray, chosen: IntArray) -> FloatArray:
        """−∫ a log a dm of the chosen tokens at places (tokens, d), (chosen,)."""
        keys = self.keys(tokens)
        queries = self._queries(keys)
        weights = self.setting.attention.density_share * self.shares
        fixed = None if self._prompted is None else self._prompt_scores(queries)

        def block(rows: slice) -> list[FloatArray]:
            found = []
            for part in _cached(rows, len(keys)):
                own = chosen[part]
                score, weight = self._own_scores(queries[own] @ keys.T) + self._bias(own), weights
                if fixed is not None:
                    score = np.concatenate([score, fixed[own]], axis=1)
                    weight = np.concatenate([weights, self._prompt_weights])
                found.append(_relative_entropy(score, weight))
            return found

        return np.concatenate([part for found in each(block, chosen.size) for part in found])


@dataclass(frozen=True, eq=False)
class TokenAttention:
    """All heads between tokens.

    Raises
    ------
    InputError
        When unnormalised attention might overflow.
    """

    space: Space
    attention: Attention
    rows: IntArray
    masses: FloatArray

    def __post_init__(self) -> None:
        if self.attention.normalization != "none":
            return
        largest = max(self._largest(head) for head in self.attention.heads)
        if largest > LARGEST_EXPONENT:
            raise InputError(
                f"[attention] beta: unnormalised attention may overflow, its exponents reach {largest:.4g} "
                f"(at most {LARGEST_EXPONENT:g}); lower beta or use normalization = 'softmax'"
            )

    def _largest(self, head: Head) -> float:
        """Bound of the exponents of a head: β ‖Q‖ ‖K‖ |u| |w|, and the largest bias."""
        if head.kernel is not None:
            return 0.0
        shifts, peak = self.attention.encoding.shifts, Setting(self.space, self.attention, head).mixer.peak
        longest, parts = self.space.radius, (_reduced(head.query), _reduced(head.key))
        if shifts is not None:
            longest += float(np.linalg.norm(shifts, axis=1).max())
        sizes = [abs(part) if isinstance(part, float) else float(np.linalg.norm(part, 2)) for part in parts]
        return head.beta * sizes[0] * sizes[1] * longest**2 + float(np.max(peak))

    @cached_property
    def heads(self) -> tuple[TokenHead, ...]:
        """The heads."""
        settings = [Setting(self.space, self.attention, head) for head in self.attention.heads]
        return tuple(TokenHead(setting, self.rows, self.masses) for setting in settings)

    def vectors(self, tokens: FloatArray) -> FloatArray:
        """Attention vectors A of the tokens at places (tokens, d), not yet tangential, (tokens, d)."""
        result = self.heads[0].vectors(tokens)
        for head in self.heads[1:]:
            result = result + head.vectors(tokens)
        return result

    def energy(self, tokens: FloatArray) -> float:
        """Interaction energy E, as ``energies`` has it."""
        return float(sum(head.energy(tokens) for head in self.heads))

    def entropy(self, tokens: FloatArray) -> float:
        """Mean entropy of attention relative to uniform attention, as ``observables`` has it."""
        return sum(head.disorder(tokens) for head in self.heads) / len(self.heads)


def _relative_entropy(score: FloatArray, weights: FloatArray) -> FloatArray:
    """−Σ w a log a with a = e^s / Σ w e^s, for scores (queries, keys), (queries,)."""
    offset = score.max(axis=1)
    score = score - offset[:, None]
    weighted = weights * np.exp(score)
    total = weighted.sum(axis=1)
    mean = (weighted * np.where(np.isfinite(score), score, 0.0)).sum(axis=1)
    return np.asarray(np.log(total) - mean / total)


def _paired(weights: FloatArray, values: FloatArray, rows: IntArray) -> FloatArray:
    """Σ_k weight_nk value_k for values (1, k, d), or (aux, k, d) one set a node."""
    if len(values) == 1:
        return np.asarray(weights @ values[0])
    return np.asarray(np.einsum("nk,nkd->nd", weights, values[rows]))


def _cached(rows: slice, keys: int) -> Iterator[slice]:
    """Cut rows so that their scores stay in the cache."""
    size = max(FEWEST, CACHED // max(1, keys))
    for first in range(rows.start, rows.stop, size):
        yield slice(first, min(first + size, rows.stop))


def _multiplied(vectors: FloatArray, matrix: FloatArray | float) -> FloatArray:
    """M v for vectors (n, d)."""
    if isinstance(matrix, float):
        return vectors if matrix == 1.0 else matrix * vectors
    return vectors @ matrix.T


def _reduced(matrix: FloatArray) -> FloatArray | float:
    """Return b where the matrix is b I, else the matrix."""
    factor, diagonal = float(matrix[0, 0]), np.diagonal(matrix)
    if (diagonal != factor).any() or np.count_nonzero(matrix) != np.count_nonzero(diagonal):
        return matrix
    return factor
