r"""How tokens move: dX = (V[f] + F) dt + √(2σ) dB with the empirical law f of all of them.

A step of length h with noise is half of the noise, the drift, the other half (Strang 1968): of second order
in the law of the tokens, as both parts are.

* The drift is Heun's step, put back onto the space.
* On S^{k−1} noise moves x along a great circle by an angle r, along a Gaussian vector ξ of the tangent space,

  .. math:: \sin^2(r/2) = \tfrac{\tau}{2}|\xi|^2 \bigl(1 - \tfrac{k-1}{2}\tau\bigr), \qquad \tau = \sigma h/2.

  The mean of a harmonic of eigenvalue λ is then its value times 1 − λτ + (λτ)²/2 + O(τ³), as for the heat
  flow: a zonal harmonic of the angle r is ₂F₁(−l, l + k − 2; (k − 1)/2; sin²(r/2)), and the first two moments
  of sin²(r/2) are those that its first three terms ask for. Tori are products of circles; angles are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.integrate import solve_ivp

from meanfield_pde.errors import ComputationError
from meanfield_pde.methods.embedded_cloud import EmbeddedCloud
from meanfield_pde.methods.embedded_field import EmbeddedField
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.base import surface

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.problem import Problem

__all__ = ["LARGEST_SPREAD", "Motion", "advanced", "beside", "carried", "spread"]

#: Largest (k − 1)τ/2 of half a step: an angle that is none, sin² > 1, then has a chance below e^{−50}.
LARGEST_SPREAD = 0.02


def spread(places: FloatArray, noise: FloatArray, tau: float, factors: int) -> FloatArray:
    """Tokens after noise for a time τ = σt.

    Parameters
    ----------
    places
        Angles (n,), or vectors (n, d) on a product of so many unit spheres of equal dimension.
    noise
        Independent standard normal numbers of the same shape.
    """
    if places.ndim == 1:
        return np.asarray(places + math.sqrt(2.0 * tau) * noise)
    x, gauss = (one.reshape(len(one), factors, -1) for one in (places, noise))
    half = (x.shape[2] - 1) / 2.0
    tangent = gauss - np.einsum("nfk,nfk->nf", x, gauss)[..., None] * x
    length = np.linalg.norm(tangent, axis=2, keepdims=True)
    sine = math.sqrt(0.5 * tau * (1.0 - half * tau)) * length  # of half the angle
    along = 2.0 * sine * np.sqrt(1.0 - sine**2) / np.where(length > 0.0, length, 1.0)
    moved = (1.0 - 2.0 * sine**2) * x + along * tangent
    return np.asarray((moved / np.linalg.norm(moved, axis=2, keepdims=True)).reshape(places.shape))


@dataclass(frozen=True)
class Motion:
    """The motion of so many tokens at every node, all of the same mass there."""

    problem: Problem
    tokens: int

    @cached_property
    def _law(self) -> Atoms:
        """Masses of the tokens of every node, wherever they are."""
        nodes = self.problem.auxiliary.nodes.size
        masses = np.full(nodes * self.tokens, 1.0 / self.tokens)
        return Atoms(np.empty(0), masses, self.tokens * np.arange(nodes + 1))

    def atoms(self, places: FloatArray) -> Atoms:
        """Law of tokens at places (aux · tokens, *place)."""
        return Atoms(places, self._law.masses, self._law.starts)

    @cached_property
    def _field(self) -> ScatteredField:
        return self.problem.scattered()

    @cached_property
    def _pairs(self) -> EmbeddedField:
        """Attention pair by pair, where the space has no grid."""
        nodes = self.problem.auxiliary.nodes.size
        start = np.zeros((nodes, self.tokens, *self.problem.space.place))
        return EmbeddedField.of(self.problem, EmbeddedCloud.begin(start, self._law.masses.reshape(nodes, -1)))

    def velocity(self, places: FloatArray) -> FloatArray:
        """V[f] + F of every token, (n, *place)."""
        space = self.problem.space
        if len(space.points) == 0:
            return self._pairs.velocity(places)
        components = self._field.velocity(self.atoms(places))
        if not space.place:
            return components[:, 0]
        return np.asarray(np.einsum("np,npd->nd", components, space.frame_at(places)))

    def on_space(self, places: FloatArray) -> FloatArray:
        """Nearest points of the space."""
        return surface(self.problem.space).retract(places) if self.problem.space.place else places

    def drifted(self, places: FloatArray, step: float) -> FloatArray:
        """Heun's step without noise."""
        first = self.velocity(places)
        second = self.velocity(self.on_space(places + step * first))
        return self.on_space(places + 0.5 * step * (first + second))

    def stepped(self, places: FloatArray, step: float, noises: tuple[FloatArray, FloatArray]) -> FloatArray:
        """One step with noise in both halves."""
        tau, factors = 0.5 * step * self.problem.sigma, self.factors
        middle = self.drifted(spread(places, noises[0], tau, factors), step)
        return spread(middle, noises[1], tau, factors)

    @cached_property
    def factors(self) -> int:
        """How many unit spheres the space is a product of: the square of the length of its points."""
        return round(self.problem.space.radius**2)

    @cached_property
    def largest_step(self) -> float:
        """Longest step that noise may be spread by at once."""
        place = self.problem.space.place
        half = (place[0] // self.factors - 1) / 2.0 if place else 0.5
        return 2.0 * LARGEST_SPREAD / (max(half, 1.0) * self.problem.sigma)


def steps_of(span: float, step: float) -> int:
    """Even number of equal steps, none longer than ``step``."""
    return 2 * math.ceil(span / (2.0 * step) * (1.0 - 1e-12))


def advanced(motion: Motion, start: FloatArray, step: float, rng: np.random.Generator) -> FloatArray:
    """Tokens (depths, n, *place) at all depths of the problem, by steps no longer than ``step``."""
    found = [start]
    for first, last in pairwise(motion.problem.depths):
        places, count = found[-1], steps_of(last - first, step)
        for _ in range(count):
            noises = rng.standard_normal(start.shape), rng.standard_normal(start.shape)
            places = motion.stepped(places, (last - first) / count, noises)
        found.append(places)
    return np.stack(found)


def beside(
    motion: Motion, start: FloatArray, step: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Tokens as ``advanced`` gives them, and by steps of twice the length with the same noise."""
    fine, coarse = [start], [start]
    for first, last in pairwise(motion.problem.depths):
        own, other, count = fine[-1], coarse[-1], steps_of(last - first, step)
        length = (last - first) / count
        for _ in range(count // 2):
            noises = [rng.standard_normal(start.shape) for _ in range(4)]
            own = motion.stepped(own, length, (noises[0], noises[1]))
            own = motion.stepped(own, length, (noises[2], noises[3]))
            halves = (noises[0] + noises[1]) / math.sqrt(2.0), (noises[2] + noises[3]) / math.sqrt(2.0)
            other = motion.stepped(other, 2.0 * length, halves)
        fine.append(own)
        coarse.append(other)
    return np.stack(fine), np.stack(coarse)


def carried(motion: Motion, start: FloatArray, tolerance: float) -> FloatArray:
    """Tokens (depths, n, *place) without noise, by scipy's DOP853 with this error a step in places.

    Raises
    ------
    ComputationError
        When steps fall below rounding error.
    """

    def rate(_: float, flat: FloatArray) -> FloatArray:
        return motion.velocity(motion.on_space(flat.reshape(start.shape))).ravel()

    found = [start]
    for span in pairwise(motion.problem.depths):
        run = solve_ivp(rate, span, found[-1].ravel(), "DOP853", [span[1]], rtol=2.5e-14, atol=tolerance)
        if not run.success:
            raise ComputationError(f"particles: stopped at depth {run.t[-1]:.6g}: {run.message}")
        found.append(motion.on_space(run.y[:, -1].reshape(start.shape)))
    return np.stack(found)
