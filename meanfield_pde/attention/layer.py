"""Heads, prompt and the attention layer: what attends, and to which measure.

The measure that is attended to is m = (1 − ω) f + ω π, with f the joint law of tokens and auxiliary
variable and π the prompt. The field is one vector of R^d for every token x and node z,

    A(x, z) = Σ_h V_h (1/N_h) ∫ e^{s_h} v dm,   N_h = ∫ e^{s_h} dm (softmax) or 1 (none).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde.arrays import FloatArray
from meanfield_pde.attention.bias import Bias, NoBias
from meanfield_pde.encodings import Encoding
from meanfield_pde.errors import InputError, require_nonnegative

if TYPE_CHECKING:
    from meanfield_pde.auxiliary import Auxiliary

__all__ = ["Attention", "Head", "Normalization", "Prompt", "Values"]

Normalization = Literal["softmax", "none"]
Values = Literal["encoded", "token"]
Kernel = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Head:
    """One head: score s = β⟨Q E_z(x), K E_ζ(y)⟩ + b(z, ζ), value matrix V; Q, K, V are (d, d).

    A ``kernel`` of one's own replaces the exponential: its weight is κ(⟨Q E_z(x), K E_ζ(y)⟩) e^{b}.
    """

    beta: float
    query: FloatArray
    key: FloatArray
    value: FloatArray
    bias: Bias = field(default_factory=NoBias)
    kernel: Kernel | None = None

    def __post_init__(self) -> None:
        require_nonnegative("attention head: beta", self.beta)
        shape = self.query.shape
        for name, matrix in (("query", self.query), ("key", self.key), ("value", self.value)):
            if matrix.shape != shape or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
                raise InputError(
                    f"attention head: {name} must be a d x d matrix like the others, got shape {matrix.shape}"
                )
            if not np.isfinite(matrix).all():
                raise InputError(f"attention head: {name} must be finite")

    @property
    def metric(self) -> FloatArray:
        """B = KᵀQ: the score is β⟨B u, w⟩ for an encoded query u and an encoded key w."""
        return self.key.T @ self.query

    @staticmethod
    def plain(beta: float, dimension: int, bias: Bias | None = None) -> Head:
        """Return the head with Q = K = V = I."""
        identity = np.eye(dimension)
        return Head(beta, identity, identity, identity, bias or NoBias())


@dataclass(frozen=True)
class Prompt:
    """Fixed tokens that attend to nothing: π = Σ_k π_k δ_{y_k}, with share ω of all attended mass.

    Parameters
    ----------
    points
        Unit vectors y_k, (1, tokens, d), or (aux, tokens, d) for a prompt that depends on z.
    weights
        π_k, (tokens,), positive with sum 1.
    fraction
        ω in [0, 1).
    positions, encoding
        Optionally z of every token, (tokens,), with the encoding of these positions; without them the
        tokens are plain (encoding identity, bias 0).
    """

    points: FloatArray
    weights: FloatArray
    fraction: float
    positions: FloatArray | None = None
    encoding: Encoding = field(default_factory=Encoding)

    def __post_init__(self) -> None:
        if not 0.0 <= self.fraction < 1.0:
            raise InputError(f"prompt: fraction must be in [0, 1), got {self.fraction!r}")
        if self.points.ndim != 3 or self.points.shape[1] != self.weights.size:
            raise InputError(
                "prompt: points must be (1 or aux, tokens, d) with one weight a token, "
                f"got shapes {self.points.shape} and {self.weights.shape}"
            )
        if not (self.weights > 0).all() or abs(self.weights.sum() - 1.0) > 1e-12:
            raise InputError("prompt: weights must be positive with sum 1")


@dataclass(frozen=True)
class Attention:
    """All heads, with the normalisation, the values and the prompt that they share."""

    heads: tuple[Head, ...]
    auxiliary: Auxiliary
    encoding: Encoding = field(default_factory=Encoding)
    normalization: Normalization = "softmax"
    values: Values = "encoded"
    prompt: Prompt | None = None

    def __post_init__(self) -> None:
        count = self.auxiliary.nodes.size
        for name, array in (("shifts", self.encoding.shifts), ("angles", self.encoding.angles)):
            if array is not None and array.shape[0] != count:
                raise InputError(
                    f"encoding: {name} must have one row per node ({count}), got {array.shape[0]}"
                )
        if self.prompt is not None and self.prompt.points.shape[0] not in {1, count}:
            raise InputError(
                f"prompt: points must be shared or one row per node ({count}), "
                f"got {self.prompt.points.shape[0]}"
            )

    @property
    def density_share(self) -> float:
        """1 − ω, the share of the tokens in the measure that is attended to."""
        return 1.0 if self.prompt is None else 1.0 - self.prompt.fraction
