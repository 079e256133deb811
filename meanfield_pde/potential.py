r"""Potentials of the attention velocity, where it has one: V[f] = ∇Φ (section 4 of the model).

.. math:: \Phi = \sum_h \tfrac1{\beta_h} \int e^{s_h} dm \;\text{(none)}, \qquad
    \Phi = \sum_h \tfrac1{\beta_h} \log\int e^{s_h} dm \;\text{(softmax)}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.energies import linear_potential

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.field import AttentionField, HeadField
    from meanfield_pde.attention.layer import Attention, Head

__all__ = ["descends", "has_potential", "potential"]


def has_potential(attention: Attention) -> bool:
    """Whether every head is a gradient: QᵀK symmetric, V = QᵀK, and values that are the keys."""
    return all(_is_gradient(attention, head) for head in attention.heads)


def _is_gradient(attention: Attention, head: Head) -> bool:
    product = head.query.T @ head.key
    encoding = attention.encoding
    scalar = np.array_equal(product, product[0, 0] * np.eye(len(product)))
    return (
        head.kernel is None
        and np.array_equal(product, product.T)
        and np.array_equal(head.value, product)
        and (attention.values == "encoded" or not (encoding.is_shifted or encoding.is_rotated))
        and (scalar or not encoding.is_rotated)
        and (head.beta > 0.0 or attention.normalization == "none")
    )


def descends(attention: Attention) -> bool:
    """Whether the free energy descends along the flow: a potential that is the derivative of E."""
    if attention.normalization != "none" or not has_potential(attention):
        return False
    nodes = attention.auxiliary.nodes
    for head in attention.heads:
        shared = head.bias.mixer(nodes).shared
        if not shared:
            bias = head.bias.log_weights(nodes, nodes)
            if not np.array_equal(bias, bias.T):
                return False
    return True


def potential(attention: AttentionField, coefficients: FloatArray) -> FloatArray:
    """Φ at the grid points, (aux or 1, points), up to a constant for every node."""
    parts = [_head_potential(attention, head, coefficients) for head in attention.heads]
    return np.asarray(sum(parts[1:], parts[0]))


def _head_potential(attention: AttentionField, head: HeadField, coefficients: FloatArray) -> FloatArray:
    beta = head.setting.head.beta
    if beta == 0.0:
        return linear_potential(head, coefficients)
    sums = head.sums(coefficients)
    if attention.attention.normalization == "none":
        return np.asarray(sums.total * np.exp(sums.offset) / beta)
    return np.asarray((sums.offset + np.log(np.maximum(sums.total, head.floor))) / beta)
