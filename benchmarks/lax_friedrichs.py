"""The published scheme for densities (arXiv:2410.23228), written anew: Lax–Friedrichs on the circle.

Unnormalised attention without encoding and noise: ∂ρ/∂t + ∂(ρV)/∂θ = 0 with
V(θ) = −∫ sin(θ − φ) e^{β cos(θ − φ)} ρ(φ) dφ. As there, steps are of first order, their length is
fixed in advance, and in every step the convolution is a dense sum over all pairs of cells.
The scheme there also stores every step (`stored_bytes`); here none is stored, and that costs no time.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.problems import HIGHEST_MODE, FloatArray, Modes, Problem

COURANT = 0.8  # with this, 10,000 cells need about 40,000 steps to depth 0.5 at beta = 5, as published

Velocity = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Grid:
    """Cells and steps for a problem."""

    problem: Problem
    cells: int

    @property
    def width(self) -> float:
        """Width of a cell."""
        return 2.0 * math.pi / self.cells

    @property
    def angles(self) -> FloatArray:
        """Centres of the cells."""
        return np.linspace(0.0, 2.0 * math.pi, self.cells, endpoint=False)

    @property
    def steps(self) -> int:
        """Steps to the final depth: none crosses more than ``COURANT`` cells, whatever the density does."""
        return math.ceil(self.problem.final * largest_velocity(self.problem.beta) / (COURANT * self.width))

    @property
    def step(self) -> float:
        """Length of a step."""
        return self.problem.final / self.steps

    @property
    def stored_bytes(self) -> int:
        """Memory of all states in double precision."""
        return 8 * self.cells * (self.steps + 1)

    @property
    def kernel(self) -> FloatArray:
        """Velocity at every distance per density of a cell, (cells,)."""
        scores = np.exp(self.problem.beta * np.cos(self.angles))
        return np.asarray(-self.width * np.sin(self.angles) * scores)


@dataclass(frozen=True)
class Outcome:
    """Modes 0..8 after some steps, shape (1, 9), and CPU seconds of these steps."""

    modes: Modes
    seconds: float


def largest_velocity(beta: float) -> float:
    """Largest value of sin(θ) e^{β cos θ}: no law moves a token faster."""
    cosine = (math.sqrt(1.0 + 4.0 * beta**2) - 1.0) / (2.0 * beta)
    return math.sqrt(1.0 - cosine**2) * math.exp(beta * cosine)


def dense(grid: Grid) -> Velocity:
    """Sum over all pairs of cells; `numpy.convolve` is quicker than a matrix, too large for the cache."""
    both_sides = np.concatenate([grid.kernel[1:], grid.kernel])
    return lambda density: np.convolve(both_sides, density, mode="valid")


def transformed(grid: Grid) -> Velocity:
    """Give the same by FFT, to rounding error: for errors, where the time of the dense sum is not asked."""
    spectrum = np.fft.rfft(grid.kernel)
    return lambda density: np.fft.irfft(spectrum * np.fft.rfft(density), grid.cells)


def run(grid: Grid, velocity: Velocity, steps: int | None = None) -> Outcome:
    """Take all steps, or the first few."""
    density = grid.problem.density(grid.angles)[0]
    share = grid.step / (2.0 * grid.width)
    started = time.process_time()
    for _ in range(grid.steps if steps is None else steps):
        flux = density * velocity(density)
        density = 0.5 * (np.roll(density, -1) + np.roll(density, 1)) - share * (
            np.roll(flux, -1) - np.roll(flux, 1)
        )
    seconds = time.process_time() - started
    return Outcome(grid.width * np.fft.fft(density)[None, : HIGHEST_MODE + 1], seconds)
