"""The definition: dense sums over all pairs, in plain numpy. Test oracle, never the production path.

Also the twins in plain numpy of the loops in ``kernels.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.layer import Attention, Head, Prompt
    from meanfield_pde.encodings import Encoding
    from meanfield_pde.spaces import Atoms, Space

__all__ = [
    "PairSums",
    "attention_field",
    "decaying_sum",
    "pair_sums",
    "prefix_sum",
    "sliding_sum",
    "velocity",
]


@dataclass(frozen=True)
class PairSums:
    """∫ e^{s − offset} dm, its vector ∫ e^{s − offset} v dm, and ∫ s e^{s − offset} dm of one head."""

    offset: FloatArray
    total: FloatArray
    vector: FloatArray
    scored: FloatArray


def encoded(
    space: Space, shifts: FloatArray | None, angle: FloatArray | None, points: FloatArray
) -> FloatArray:
    """E_z(x) = R(angle) x + p(z) for one node."""
    moved = points if angle is None else points @ space.rotations(np.atleast_1d(angle))[0].T
    return moved if shifts is None else moved + shifts


def pair_sums(space: Space, attention: Attention, head: Head, density: FloatArray) -> PairSums:
    """Sum over every pair of a query (z_j, x_i) and a key (ζ, y), prompt tokens included.

    Parameters
    ----------
    density
        ρ on the grid, (aux, points).

    Returns
    -------
    PairSums
        Arrays (aux, points), the vector with a last axis d, before V_h is applied.
    """
    nodes, shares = attention.auxiliary.nodes, attention.auxiliary.weights
    encoding, prompt = attention.encoding, attention.prompt
    count, (points, dimension) = nodes.size, space.points.shape
    inverse = np.broadcast_to(np.eye(dimension), (count, dimension, dimension))
    if encoding.angles is not None:
        inverse = np.swapaxes(space.rotations(encoding.angles), 1, 2)
    lift = [
        encoded(
            space,
            None if encoding.shifts is None else encoding.shifts[j],
            None if encoding.angles is None else encoding.angles[j],
            space.points,
        )
        for j in range(count)
    ]
    keys = np.concatenate(lift)
    tokens = np.tile(space.points, (count, 1))
    mass = attention.density_share * (shares[:, None] * density * space.weights).ravel()
    bias = np.repeat(head.bias.log_weights(nodes, nodes), points, axis=1)
    sums = PairSums(*(np.empty((count, points, *more)) for more in ((), (), (dimension,), ())))
    for j in range(count):
        row = [(keys, tokens, mass, bias[j])]
        if prompt is not None:
            row.append(_prompt_keys(space, attention, head, prompt, j))
        key, token, weight, extra = (np.concatenate(parts) for parts in zip(*row, strict=True))
        inner = (lift[j] @ head.query.T) @ (key @ head.key.T).T
        score = head.beta * inner + extra if head.kernel is None else extra + _log(head.kernel(inner))
        offset = score.max(axis=1)
        weighted = np.exp(score - offset[:, None]) * weight
        value = key @ inverse[j].T if attention.values == "encoded" else token
        sums.offset[j] = offset
        sums.total[j] = weighted.sum(axis=1)
        sums.vector[j] = weighted @ value
        sums.scored[j] = (weighted * np.where(np.isfinite(score), score, 0.0)).sum(axis=1)
    return sums


def _log(weight: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return np.log(weight)


def _prompt_keys(
    space: Space, attention: Attention, head: Head, prompt: Prompt, j: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    tokens = prompt.points[j if prompt.points.shape[0] > 1 else 0]
    keys, extra = tokens, np.zeros(len(tokens))
    if prompt.positions is not None:
        extra = head.bias.log_weights(attention.auxiliary.nodes[j : j + 1], prompt.positions)[0]
        code = prompt.encoding
        keys = np.stack(
            [
                encoded(
                    space,
                    None if code.shifts is None else code.shifts[k],
                    None if code.angles is None else code.angles[k],
                    tokens[k],
                )
                for k in range(len(tokens))
            ]
        )
    return keys, tokens, prompt.fraction * prompt.weights, extra


def token_velocity(space: Space, attention: Attention, atoms: Atoms) -> FloatArray:
    """Attention field (atoms, d) of tokens on themselves, not yet tangential, by the definition."""
    nodes, shares, rows = attention.auxiliary.nodes, attention.auxiliary.weights, atoms.rows
    tokens, encoding = space.embed(atoms.places), attention.encoding
    keys = np.array(
        [encoded(space, *_code(encoding, j), x[None])[0] for j, x in zip(rows, tokens, strict=True)]
    )
    mass = attention.density_share * shares[rows] * atoms.masses
    field = np.zeros_like(tokens)
    for head in attention.heads:
        bias = head.bias.log_weights(nodes, nodes)
        for n, j in enumerate(rows):
            key, token, weight, extra = keys, tokens, mass, bias[j, rows]
            if attention.prompt is not None:
                more = _prompt_keys(space, attention, head, attention.prompt, int(j))
                key, token, weight, extra = (
                    np.concatenate(pair) for pair in zip((key, token, weight, extra), more, strict=True)
                )
            inner = (key @ head.key.T) @ (head.query @ keys[n])
            score = head.beta * inner + extra if head.kernel is None else extra + _log(head.kernel(inner))
            offset = score.max()
            weighted = np.exp(score - offset) * weight
            angle = None if encoding.angles is None else -encoding.angles[j]
            value = encoded(space, None, angle, key) if attention.values == "encoded" else token
            scale = np.exp(offset) if attention.normalization == "none" else 1.0 / weighted.sum()
            field[n] += scale * (head.value @ (weighted @ value))
    return field


def _code(encoding: Encoding, j: int) -> tuple[FloatArray | None, FloatArray | None]:
    return (
        None if encoding.shifts is None else encoding.shifts[j],
        None if encoding.angles is None else encoding.angles[j],
    )


def attention_field(space: Space, attention: Attention, density: FloatArray) -> FloatArray:
    """Attention field A[f](x, z), (aux, points, d), by the definition."""
    field = np.zeros((*density.shape, space.points.shape[1]))
    for head in attention.heads:
        sums = pair_sums(space, attention, head, density)
        scale = np.exp(sums.offset) if attention.normalization == "none" else 1.0 / sums.total
        field += scale[..., None] * (sums.vector @ head.value.T)
    return field


def velocity(space: Space, attention: Attention, density: FloatArray) -> FloatArray:
    """Tangential components (aux, points, d − 1) of the attention field, by the definition."""
    field = attention_field(space, attention, density)
    return np.asarray(np.einsum("ipd,jid->jip", space.frame, field))


def prefix_sum(features: FloatArray, order: IntArray, counts: IntArray) -> FloatArray:
    """Σ_{k < counts_j} features of order_k."""
    return np.stack([features[order[:count]].sum(axis=0) for count in counts])


def sliding_sum(features: FloatArray, first: IntArray, last: IntArray) -> FloatArray:
    """Σ_{first_j ≤ k < last_j} features_k."""
    return np.stack([features[a:b].sum(axis=0) for a, b in zip(first, last, strict=True)])


def decaying_sum(features: FloatArray, gaps: FloatArray, slope: float) -> tuple[FloatArray, FloatArray]:
    """Σ_k e^{−slope |z_j − z_k|} features_k, and the same with the further factor |z_j − z_k|."""
    place = np.concatenate([[0.0], np.cumsum(gaps)])
    distance = np.abs(place[:, None] - place[None, :])
    weight = np.exp(-slope * distance)
    return weight @ features, (distance * weight) @ features
