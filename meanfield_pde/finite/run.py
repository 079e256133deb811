"""Runs of N tokens: the same configuration as of densities, with steps whose error no sample would show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.rings import are_rings
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.evolution import fitting_threads, limited
from meanfield_pde.finite.draw import drawn
from meanfield_pde.finite.motion import Motion, advanced, beside, carried

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms

__all__ = ["Particles", "particles"]

#: Error of steps in the moments, as a share of the sampling error.
SHARE = 0.1
#: Times that the first step is halved, at most.
HALVINGS = 12
#: Way of the fastest token in the first step tried.
FIRST_WAY = 0.5
#: Error of one step without noise, as a share of 1/√tokens.
STEP_SHARE = 1e-3
#: Least sampling error of one token that counts: of laws that are narrower, and of a single token.
NARROWEST = 1e-2


@dataclass(frozen=True, eq=False)
class Particles:
    """N tokens at every auxiliary node over depth.

    Parameters
    ----------
    problem
        What they obey.
    places
        (depths, aux, tokens, *place): angles, or vectors of the embedding.
    step
        Longest step with noise; 0 without, where steps are adapted.
    step_error
        Estimated error of the first two moments of the conditional laws by steps, in the norm of
        ``sampling_error``, (depths,); NaN where the step was given.
    sampling_error
        Root of Σ_j w_j tr Cov_j / N of these moments: how far N independent tokens are off, (depths,).
    """

    problem: Problem
    places: FloatArray
    step: float
    step_error: FloatArray
    sampling_error: FloatArray

    @property
    def depths(self) -> FloatArray:
        """Depths t, (depths,)."""
        return self.problem.depths

    @property
    def tokens(self) -> int:
        """Tokens at every node."""
        return int(self.places.shape[2])

    def points(self, index: int = -1) -> FloatArray:
        """Tokens in the embedding at one of the depths, (aux, tokens, d)."""
        return self.problem.space.embed(self.places[index])

    def atoms(self, index: int = -1) -> Atoms:
        """Their conditional laws as sums of Dirac masses."""
        flat = self.places[index].reshape(-1, *self.problem.space.place)
        return Motion(self.problem, self.tokens).atoms(flat)

    def coefficients(self, degree: int, index: int = -1) -> FloatArray:
        """Coefficients (aux, coefficients) of the conditional laws up to a degree, as densities have them."""
        return self.problem.space.at_least(degree).analyse_atoms(self.atoms(index), degree)

    @property
    def order_parameter(self) -> FloatArray:
        """R = |Σ_j w_j mean_j|, (depths,)."""
        auxiliary = self.problem.auxiliary
        means = [auxiliary.mean(self.points(k).mean(axis=1)) for k in range(len(self.depths))]
        return np.asarray(np.linalg.norm(means, axis=1))

    def wasserstein(self, coefficients: FloatArray, order: int, index: int = -1) -> float:
        """W₁ or W₂ between the law of all tokens and a density with these coefficients, by geodesics.

        On the circle exact to rounding for any number of tokens; elsewhere a linear program, for thousands.
        """
        atoms, space = self.atoms(index), self.problem.space
        masses = self.problem.auxiliary.weights[atoms.rows] * atoms.masses
        grid = space.resized(1)
        while grid.eigenvalues.size < coefficients.size:
            grid = grid.resized(grid.resolution + 1)
        return grid.wasserstein(coefficients, atoms.places, masses, order)


def particles(
    problem: Problem,
    tokens: int,
    *,
    seed: int = 0,
    step: float | None = None,
    threads: int | None = None,
) -> Particles:
    r"""Move N tokens at every node, dX = (V[f_N] + F) dt + √(2σ) dB, f_N their own empirical law.

    Sums over tokens are factored: the cost of a step grows as the number of tokens (on spheres beyond S²,
    where densities have no grid, as its square). Steps with noise are of second order in law, and halved
    until their error is a tenth of the sampling error; without noise they are of eighth order and adapted.

    Parameters
    ----------
    tokens
        N: tokens at every node, drawn from ρ(0, ·|z_j), of mass w_j/N each.
    seed
        Of the initial tokens and of the noise: the same seed gives the same tokens.
    step
        Longest step with noise in the place of halving it.

    Raises
    ------
    InputError
        When a number is out of range, or tokens are rings (zonal spheres).
    ComputationError
        When the step would be halved too often.
    """
    if tokens < 1:
        raise InputError(f"particles: tokens must be at least 1, got {tokens}")
    if step is not None and not (math.isfinite(step) and step > 0.0):
        raise InputError(f"particles: step must be finite and positive, got {step!r}")
    if are_rings(problem.space):
        raise InputError('particles: tokens of a zonal space are rings; use token.space = "sphere"')
    motion = Motion(problem, tokens)
    first, second = np.random.SeedSequence(seed).spawn(2)
    with limited(threads or fitting_threads(problem)):
        start = drawn(problem, tokens, np.random.default_rng(first)).reshape(-1, *problem.space.place)
        if problem.sigma == 0.0:
            return _result(motion, carried(motion, start, STEP_SHARE / math.sqrt(tokens)), 0.0)
        if step is not None:
            length = min(step, motion.largest_step)
            return _result(motion, advanced(motion, start, length, np.random.default_rng(second)), length)
        return _halved(motion, start, second)


def _halved(motion: Motion, start: FloatArray, seed: np.random.SeedSequence) -> Particles:
    """Halve the step until its error is small beside that of the sample."""
    fastest = float(np.abs(motion.velocity(start)).max())
    step = min(motion.largest_step, FIRST_WAY / max(fastest, 1e-300), float(np.ptp(motion.problem.depths)))
    for _ in range(HALVINGS):
        step *= 0.5
        fine, coarse = beside(motion, start, step, np.random.default_rng(seed))
        # Second order: the difference is three times the error of the shorter steps.
        found = _result(motion, fine, step, _apart(motion, fine, coarse) / 3.0)
        floor = NARROWEST / math.sqrt(motion.tokens)
        if (found.step_error <= SHARE * np.maximum(found.sampling_error, floor)).all():
            return found
    raise ComputationError(f"particles: steps of {step:.3g} still err by {found.step_error.max():.3g}")


def _result(motion: Motion, places: FloatArray, step: float, error: FloatArray | None = None) -> Particles:
    problem, nodes = motion.problem, motion.problem.auxiliary.nodes.size
    shape = (len(places), nodes, motion.tokens, *problem.space.place)
    if error is None:
        error = np.full(len(places), np.nan if step else 0.0)
    return Particles(problem, places.reshape(shape), step, error, _sampling(motion, places))


def _moments(motion: Motion, places: FloatArray) -> FloatArray:
    """Coordinates and their products, token by token, (aux, tokens, d + d²)."""
    points = motion.problem.space.embed(places)
    products = points[:, :, None] * points[:, None, :]
    joined = np.concatenate([points, products.reshape(len(points), -1)], axis=1)
    return joined.reshape(-1, motion.tokens, joined.shape[1])


def _norm(motion: Motion, squares: FloatArray) -> float:
    """Root of Σ_j w_j Σ_k of squares (aux, moments)."""
    return math.sqrt(float(motion.problem.auxiliary.weights @ squares.sum(axis=1)))


def _sampling(motion: Motion, places: FloatArray) -> FloatArray:
    """Return the standard error of the moments of independent tokens, (depths,)."""
    squares = [_moments(motion, one).var(axis=1) / motion.tokens for one in places]
    return np.array([_norm(motion, one) for one in squares])


def _apart(motion: Motion, fine: FloatArray, coarse: FloatArray) -> FloatArray:
    """Difference of the mean moments, (depths,)."""
    found = []
    for own, other in zip(fine, coarse, strict=True):
        difference = (_moments(motion, own) - _moments(motion, other)).mean(axis=1)
        found.append(_norm(motion, difference**2))
    return np.array(found)
