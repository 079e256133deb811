"""What moves densities on cells, and a step of it: the better result, and the safe one of first order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from solvers.cells import Cells, distance, entropy_size, extrapolate, total_rate
from solvers.compiled import FloatArray
from solvers.scharfetter_gummel import implicit_euler, jump_rates
from solvers.upwind import explicit_euler, longest_step

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Rates", "Scheme", "Transport", "Trial"]

Rates = tuple[FloatArray, FloatArray]

ROUNDING = float(np.finfo(np.float64).eps)
#: Accuracy asked of a free energy, in roundings of its terms: what differs by less counts as equal.
ENERGY_ROUNDINGS = 64.0
#: Share of mass, in roundings a cell, that a step may lose and that is put back; more is a failure.
MASS_ROUNDINGS = 16.0


@dataclass(frozen=True)
class Transport:
    """What moves the densities.

    Parameters
    ----------
    sigma
        Noise, not negative.
    work
        ``work(density)`` of an array (rows, cells): the integral of the velocity from centre i to centre
        i + 1, (rows or 1, faces); for a gradient Φ_{i+1} − Φ_i. A function of the density alone.
    free_energy
        ``free_energy(density)``, which is to descend: a mean over rows, to be accurate to 64 roundings of
        |F| + 2σ max_j Σ_i V_i ρ_ji |log ρ_ji|. None for velocities that are no gradient.

    Raises
    ------
    ValueError
        If sigma is negative or not finite.
    """

    sigma: float
    work: Callable[[FloatArray], FloatArray]
    free_energy: Callable[[FloatArray], float] | None = None

    def __post_init__(self) -> None:
        """Refuse negative noise."""
        if not 0.0 <= self.sigma < np.inf:
            raise ValueError(
                f"Transport: sigma must be finite and not negative, got {self.sigma!r}; change it"
            )


class Trial(NamedTuple):
    """Outcome of a step.

    refined, safe: the states of second and of first order, (rows, cells).
    error: share of mass that the safe one misplaces, estimated; infinite when neither is of use.
    moved: share of mass that extrapolation moved to stay positive.
    lost: share of mass that was lost to rounding and put back.
    """

    refined: FloatArray
    safe: FloatArray
    error: float
    moved: float
    lost: float


@dataclass(frozen=True)
class Scheme:
    """A transport on cells, for rows of given masses (rows,)."""

    cells: Cells
    transport: Transport
    mass: FloatArray

    def work(self, density: FloatArray) -> FloatArray:
        """Evaluate the work, (rows or 1, faces).

        Raises
        ------
        ValueError
            If it has another shape.
        """
        work = np.array(self.transport.work(density), dtype=np.float64, order="C")
        if work.shape not in {(1, self.cells.faces), (self.mass.size, self.cells.faces)}:
            raise ValueError(
                f"Transport: work must be ({self.mass.size} or 1, {self.cells.faces}), one number a face, "
                f"got {work.shape}; return it so"
            )
        return work

    def energy(self, density: FloatArray) -> float:
        """Evaluate the free energy; 0 when there is none.

        Raises
        ------
        ValueError
            If it is not finite.
        """
        if self.transport.free_energy is None:
            return 0.0
        energy = float(self.transport.free_energy(density))
        if not math.isfinite(energy):
            raise ValueError(
                f"Transport: free_energy must be finite, got {energy!r}; scale it or leave it out"
            )
        return energy

    def descends(self, before: float, density: FloatArray, energy: float) -> bool:
        """Tell whether ``energy``, that of ``density``, does not exceed the one before, but for rounding."""
        if self.transport.free_energy is None:
            return True
        entropy = self.transport.sigma * entropy_size(self.cells.volumes, density)
        return energy <= before + ENERGY_ROUNDINGS * ROUNDING * (abs(before) + 2.0 * entropy)

    def rates(self, work: FloatArray) -> Rates:
        """Return the jump rates to the right and to the left, (rows or 1, cells)."""
        right, left = np.empty((2, work.shape[0], self.cells.count))
        jump_rates(self.cells.conductances, self.transport.sigma, work, right, left)
        return right, left

    def longest(self, rates: Rates) -> float:
        """Return the longest step that `trial` may be asked for."""
        return math.inf if self.transport.sigma > 0.0 else longest_step(self.cells.volumes, *rates)

    def speed(self, rates: Rates, density: FloatArray) -> float:
        """Return the share of mass that changes place per unit of depth."""
        return total_rate(self.cells.volumes, self.mass, rates, density)

    def trial(self, rates: Rates, density: FloatArray, step: float) -> Trial:
        """Step from ``density``, whose rates are given; evaluates the work once."""
        trial = (self._implicit if self.transport.sigma > 0.0 else self._explicit)(rates, density, step)
        usable = trial.lost <= MASS_ROUNDINGS * self.cells.count * ROUNDING
        return trial if usable else trial._replace(error=math.inf)

    def _implicit(self, rates: Rates, density: FloatArray, step: float) -> Trial:
        """Two implicit half steps, and Richardson extrapolation of these and a full one."""
        volumes, mass = self.cells.volumes, self.mass
        full, middle, half, refined = np.empty((4, *density.shape))
        losses = [
            implicit_euler(volumes, rates, density, mass, step, full),
            implicit_euler(volumes, rates, density, mass, 0.5 * step, middle),
        ]
        halfway = self.rates(self.work(middle))
        losses.append(implicit_euler(volumes, halfway, middle, mass, 0.5 * step, half))
        moved, lost = extrapolate(volumes, mass, full, half, refined)
        return Trial(refined, half, distance(volumes, mass, half, full), moved, max(lost, *losses))

    def _explicit(self, rates: Rates, density: FloatArray, step: float) -> Trial:
        """Explicit Euler, and Heun's method: the mean of the states before and after two such steps."""
        volumes, mass, periodic = self.cells.volumes, self.mass, self.cells.periodic
        euler, twice = np.empty((2, *density.shape))
        lost = explicit_euler(volumes, rates, density, mass, step, periodic, euler)
        after = self.rates(self.work(euler))
        lost = max(lost, explicit_euler(volumes, after, euler, mass, step, periodic, twice))
        heun = 0.5 * (density + twice)
        return Trial(heun, euler, distance(volumes, mass, heun, euler), 0.0, lost)
