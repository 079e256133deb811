r"""Attention between tokens on the circle, one token at every position, at a cost linear in their number.

For encoded tokens u ∈ R² and values v, Q = K = V = I,

.. math:: \sum_j w_j e^{\beta⟨u_i, u_j⟩} v_j = e^{\beta|u_i|^2/2} \sum_j e^{-\beta|u_i - u_j|^2/2}
   \bigl(w_j e^{\beta|u_j|^2/2} v_j\bigr),

a sum of Gaussians, a product over the two coordinates, each of which polynomials of low degree interpolate to
rounding error. With a positional bias |u| = 1, and the kernel e^{β cos} is a short Fourier series: its terms
are mixed over positions as densities are (``attention/mixers.py``).

The operators of densities serve such tokens as well, with tables for every pair of positions where encodings
shift or turn them: at 16,384 positions one rate then takes 0.15 s (additive; tables of rotary encodings with
bare values do not fit), here 0.02 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.attention import Alibi, Causal, NoBias
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.attention import Attention
    from meanfield_pde.attention.mixers import Mixer

__all__ = ["Means", "TokenField"]

#: Error of interpolation and of the Fourier series, relative to the largest term.
ROUNDING = 1e-13
#: Degrees that are tried.
DEGREES = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128)
#: Points at which interpolation is tried.
TRIED = 301


@dataclass(frozen=True)
class Means:
    """What attention gives every token: log ∫e^s dm, and means of keys u, of values, and of the bias."""

    log_total: FloatArray
    keys: FloatArray
    values: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class TokenField:
    """Velocity of one token at every node, by its angle.

    Raises
    ------
    InputError
        When attention is none of those of the study: one head with Q = K = V = I, softmax; shifts or turns;
        without shifts ALiBi or causal; one prompt token a node.
    """

    attention: Attention

    def __post_init__(self) -> None:
        layer, head = self.attention, self.attention.heads[0]
        plain = all(np.array_equal(matrix, np.eye(2)) for matrix in (head.query, head.key, head.value))
        biased = not isinstance(head.bias, NoBias)
        if len(layer.heads) > 1 or not plain or layer.normalization != "softmax":
            raise InputError("token field: must be one head with Q = K = V = I and softmax")
        if not isinstance(head.bias, NoBias | Alibi | Causal) or (biased and layer.encoding.is_shifted):
            raise InputError("token field: bias must be none, or ALiBi or causal without shifts")
        prompt = layer.prompt
        if prompt is not None and (biased or prompt.points.shape[1] != 1 or prompt.positions is not None):
            raise InputError("token field: the prompt must be one plain token a node, without a bias")

    def velocity(self, angles: FloatArray) -> FloatArray:
        """Angular velocity of tokens at these angles, (aux,)."""
        values = self.means(angles, entropy=False).values
        turn = self.attention.encoding.angles
        if turn is not None and self.attention.values == "encoded":
            angles = angles + turn  # values are relative rotations: R(-ωz) takes them back
        return np.cos(angles) * values[:, 1] - np.sin(angles) * values[:, 0]

    def attention_entropy(self, angles: FloatArray) -> tuple[float, float]:
        """Mean over tokens of −∫a log a dm, a = e^s/∫e^s dm, and the same of uniform attention.

        Uniform attention is that to all that a token may see: all, or with a causal bias those before it.
        """
        means, layer = self.means(angles, entropy=True), self.attention
        encoded, head = self._encoded(angles), layer.heads[0]
        scores = head.beta * np.einsum("nd,nd->n", encoded, means.keys) + means.bias
        seen = 0.0
        if isinstance(head.bias, Causal):
            ones = np.ones((len(angles), 1)) * layer.auxiliary.weights[:, None]
            seen = float(layer.auxiliary.mean(np.log(self._mixer.mix(ones)[:, 0])))
        return float(layer.auxiliary.mean(means.log_total - scores)), seen

    def means(self, angles: FloatArray, *, entropy: bool) -> Means:
        """Means under attention; of keys and the bias only where the entropy asks for them."""
        layer = self.attention
        encoded, tokens = self._encoded(angles), _points(angles)
        bare = layer.values == "token"
        columns = [np.ones((len(angles), 1)), tokens if bare else encoded]
        if entropy and bare:
            columns.append(encoded)
        sources = np.concatenate(columns, axis=1)
        weighted = layer.auxiliary.weights[:, None] * sources
        sums, scale, biased = self._sums(encoded, weighted, entropy)
        sums = self._with_prompt(sums, encoded, scale)
        values = sums[:, 1:3] / sums[:, :1]
        keys = sums[:, 3:5] / sums[:, :1] if entropy and bare else values
        return Means(scale + np.log(sums[:, 0]), keys, values, biased / sums[:, 0])

    def _encoded(self, angles: FloatArray) -> FloatArray:
        encoding = self.attention.encoding
        points = _points(angles if encoding.angles is None else angles + encoding.angles)
        return points if encoding.shifts is None else points + encoding.shifts

    def _with_prompt(self, sums: FloatArray, encoded: FloatArray, scale: FloatArray) -> FloatArray:
        """Attend to the token of one's own node as well, which is a plain one."""
        prompt = self.attention.prompt
        if prompt is None:
            return sums
        points = np.broadcast_to(prompt.points[:, 0], encoded.shape)
        weight = np.exp(self.attention.heads[0].beta * np.einsum("nd,nd->n", encoded, points) - scale)
        added = np.concatenate([np.ones((len(points), 1)), points], axis=1)
        return np.asarray((1.0 - prompt.fraction) * sums + prompt.fraction * weight[:, None] * added)

    def _sums(
        self, encoded: FloatArray, weighted: FloatArray, entropy: bool
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Σ_j e^{s_ij} of columns over e^{scale}, the scale, and Σ_j b_ij e^{s_ij} w_j over it."""
        if not isinstance(self.attention.heads[0].bias, NoBias):
            return self._mixed(encoded, entropy)
        by = self._gaussian if self.attention.encoding.is_shifted else self._summed
        return *by(encoded, weighted), np.zeros(len(encoded))

    @cached_property
    def _box(self) -> tuple[FloatArray, FloatArray, float]:
        """Polynomials to interpolate by (degrees, nodes), the kernel between nodes, half the box's side."""
        shifts = self.attention.encoding.shifts
        half = 1.0 + (0.0 if shifts is None else float(np.abs(shifts).max()))
        sharp = self.attention.heads[0].beta * half**2
        tried = np.linspace(-1.0, 1.0, TRIED)
        for count in DEGREES:
            nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
            kernel = np.exp(-0.5 * sharp * (nodes[:, None] - nodes) ** 2)
            lifted = np.polynomial.chebyshev.chebvander(nodes, count - 1) * 2.0 / count
            lifted[:, 0] /= 2.0
            basis = np.polynomial.chebyshev.chebvander(tried, count - 1) @ lifted.T
            error = np.abs(basis @ kernel @ basis.T - np.exp(-0.5 * sharp * (tried[:, None] - tried) ** 2))
            if error.max() <= ROUNDING * count:
                return lifted.T, kernel, half
        raise InputError(f"token field: beta (1 + |p|)^2 = {sharp:.3g} is too large")

    def _gaussian(self, encoded: FloatArray, weighted: FloatArray) -> tuple[FloatArray, FloatArray]:
        lifted, kernel, half = self._box
        scale = 0.5 * self.attention.heads[0].beta * np.einsum("nd,nd->n", encoded, encoded)
        first, second = (
            np.polynomial.chebyshev.chebvander(encoded[:, axis] / half, len(lifted) - 1) @ lifted
            for axis in (0, 1)
        )
        largest = float(scale.max())
        sources = np.exp(scale - largest)[:, None] * weighted
        sums = np.empty_like(weighted)
        for column in range(weighted.shape[1]):
            moments = kernel @ (first.T @ (sources[:, column, None] * second)) @ kernel
            sums[:, column] = np.einsum("nk,nk->n", first @ moments, second)
        return sums, scale + largest

    @cached_property
    def _mixer(self) -> Mixer:
        return self.attention.heads[0].bias.mixer(self.attention.auxiliary.nodes)

    @cached_property
    def _factors(self) -> FloatArray:
        """Fourier coefficients of e^{β(cos − 1)} and of its product with cos, (2, degrees), by cos m."""
        beta = self.attention.heads[0].beta
        terms = special.ive(np.arange(DEGREES[-1] + 1), beta)
        count = int(np.flatnonzero(terms > ROUNDING * terms[0])[-1]) + 1
        along = 0.5 * (terms[np.abs(np.arange(count) - 1)] + terms[1 : count + 1])
        factors = 2.0 * np.stack([terms[:count], along])
        factors[:, 0] /= 2.0
        return factors

    def _waves(self, encoded: FloatArray) -> ComplexArray:
        """e^{imφ} of unit vectors, (aux, degrees)."""
        phase = np.arctan2(encoded[:, 1], encoded[:, 0])
        powers = np.ones((len(phase), self._factors.shape[1]), dtype=np.complex128)
        powers[:, 1:] = np.exp(1j * phase)[:, None]
        return np.asarray(np.cumprod(powers, axis=1))

    def _summed(self, encoded: FloatArray, weighted: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Without a bias all see the same moments of what is summed."""
        waves = self._waves(encoded)
        moments = np.conj(waves).T @ weighted
        sums = np.real(waves @ (self._factors[0][:, None] * moments))
        return sums, np.full(len(waves), self.attention.heads[0].beta)

    def _mixed(self, encoded: FloatArray, entropy: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
        """With a bias values are keys: their sums along u_i and across it have series of their own."""
        waves, (plain, along) = self._waves(encoded), self._factors
        weighted = self.attention.auxiliary.weights[:, None] * np.conj(waves)
        width = waves.shape[1]
        features = np.concatenate([weighted.real, weighted.imag], axis=1)
        mixed = self._mixer.mix(features)
        products = waves * (mixed[:, :width] + 1j * mixed[:, width:])
        total, radial = products.real @ plain, products.real @ along
        # Σ_j e^{β cos d} sin(φ_j − φ_i) = ∂_φ Σ_j e^{β cos d} / β
        across = -(products.imag @ (np.arange(width) * plain)) / self.attention.heads[0].beta
        normal = np.stack([-encoded[:, 1], encoded[:, 0]], axis=1)
        vectors = radial[:, None] * encoded + across[:, None] * normal
        biased = np.zeros(len(waves))
        found = self._mixer.mix_bias(features) if entropy else None
        if found is not None:
            biased = np.real(waves * (found[:, :width] + 1j * found[:, width:])) @ plain
        scale = np.full(len(waves), self.attention.heads[0].beta)
        return np.concatenate([total[:, None], vectors], axis=1), scale, biased


def _points(angles: FloatArray) -> FloatArray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)
