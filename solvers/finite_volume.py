r"""Structure-preserving steps of :math:`\partial_t\rho + \mathrm{div}(\rho v) = \sigma\Delta\rho` on cells.

Every row of the state is a density of its own; rows act on each other through the velocity only. One step of
first order is implicit with noise (`implicit_euler`) and explicit without (`explicit_euler`). Both keep the
density non-negative, and where the velocity is the gradient of δE/δρ with E = ½⟨ρ, Gρ⟩, G positive
semidefinite, the free energy −E + σ∫ρ log ρ descends: theorems, proved where the steps are. A second
evaluation of the velocity gives the second order, and the difference of the two estimates the error.

The state of second order is *checked* for both properties, and the first-order one is taken where it fails;
where even that raises the energy (G indefinite), the step is halved. So both hold after every accepted step.
What this costs in accuracy is summed up in ``conceded``.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from solvers.cells import Cells, mass_of
from solvers.control import divided
from solvers.transport import ROUNDING, Rates, Scheme, Transport, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from solvers.compiled import FloatArray
    from solvers.system import Reason

__all__ = ["Cells", "FiniteVolumeStepper", "Transport"]

#: Estimate that a step may have, in tolerances: errors of runs are then below the tolerance (tests/order).
ESTIMATE_SHARE = 0.25
SAFETY, LARGEST_GROWTH, SMALLEST_SHRINK = 0.9, 5.0, 0.2


@dataclass
class _Memory:
    """All that a run carries from step to step."""

    density: FloatArray
    work: FloatArray
    mass: FloatArray
    depth: float
    step: float
    last_error: float = 1.0
    energy: float = math.nan
    conceded: float = 0.0
    rounding: float = 0.0
    work_known: int = 0
    held_back: int = 0
    accepted: int = 0
    rejected: int = 0
    evaluations: int = 0
    fallbacks: int = 0


class FiniteVolumeStepper:
    """A run under way, with error control.

    Parameters
    ----------
    cells, transport
        Where, and what.
    tolerance
        Share of the mass of a row that the time steps of a whole run may misplace, about: errors of runs of
        depth of order one are proportional to it and below it, but for what `conceded` reports.
    density
        (rows, cells), cell means; none negative, each row of positive mass. Not changed.
    depth, step
        Where to start; the first step to try, chosen if 0.

    Raises
    ------
    ValueError
        If shapes do not fit, or values are not as said.
    """

    def __init__(
        self,
        cells: Cells,
        transport: Transport,
        tolerance: float,
        density: FloatArray,
        depth: float = 0.0,
        step: float = 0.0,
    ) -> None:
        _check(cells, tolerance, density, step)
        own = np.array(density, dtype=np.float64, order="C")
        mass = np.array([mass_of(cells.volumes, row) for row in own])
        self.tolerance = float(tolerance)
        self._scheme = Scheme(cells, transport, mass)
        self._memory = _Memory(own, np.zeros((1, cells.faces)), mass, float(depth), float(step))

    @classmethod
    def restored(
        cls,
        cells: Cells,
        transport: Transport,
        tolerance: float,
        memory: Mapping[str, FloatArray | float | int],
    ) -> FiniteVolumeStepper:
        """Return a run that goes on, to the last bit, as the one would whose `memory` this is."""
        run = cls(cells, transport, tolerance, np.asarray(memory["density"]))
        for name, current in vars(run._memory).items():
            value = memory[name]
            own = np.array(value, order="C") if isinstance(current, np.ndarray) else type(current)(value)
            setattr(run._memory, name, own)
        run._scheme = Scheme(cells, transport, run._memory.mass)
        return run

    def memory(self) -> dict[str, FloatArray | float | int]:
        """Return copies of all that the run carries, for `restored`."""
        return asdict(self._memory)

    @property
    def depth(self) -> float:
        """Depth of the last accepted state."""
        return self._memory.depth

    @property
    def step(self) -> float:
        """The next step to try; 0 before it is chosen."""
        return self._memory.step

    @property
    def density(self) -> FloatArray:
        """A copy of the last accepted state, (rows, cells)."""
        return np.copy(self._memory.density)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Steps accepted and rejected, and evaluations of the velocity."""
        return self._memory.accepted, self._memory.rejected, self._memory.evaluations

    @property
    def fallbacks(self) -> int:
        """Accepted steps of first order, for the sake of the two properties."""
        return self._memory.fallbacks

    @property
    def conceded(self) -> float:
        """Share of mass that limiting and first-order steps have misplaced so far: the sum of estimates."""
        return self._memory.conceded

    @property
    def rounding(self) -> float:
        """The largest share of mass that rounding took from a row in a step, and that was put back."""
        return self._memory.rounding

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``, with at most ``most_steps`` attempts; the result does not depend on pauses.

        Returns
        -------
        str
            "reached"; "paused" after ``most_steps``; "underflow" where no step, however small, is acceptable.

        Raises
        ------
        ValueError
            If ``stop`` lies before the depth, or the work has the wrong shape.
        """
        if not self.depth <= stop < np.inf:
            raise ValueError(f"advance: stop must be finite and not before {self.depth!r}, got {stop!r}")
        for _ in range(most_steps):
            if self.depth >= stop:
                return "reached"
            if not self._attempt(stop):
                return "underflow"
        return "reached" if self.depth >= stop else "paused"

    def _attempt(self, stop: float) -> bool:
        """Try one step; return whether there was one to try."""
        now, remaining = self._memory, stop - self.depth
        rates = self._prepare(remaining)
        step = min(now.step, self._scheme.longest(rates))
        if not step >= 16.0 * ROUNDING * max(abs(now.depth), abs(stop)) or not np.all(np.isfinite(now.work)):
            return False
        tried = divided(remaining, step)
        trial = self._scheme.trial(rates, now.density, tried)
        now.evaluations += 1
        error = trial.error / (ESTIMATE_SHARE * self.tolerance)
        if not (error <= 1.0 and self._take(trial)):
            now.step, now.held_back = _shrunk(tried, error), 1
            now.rejected += 1
            return True
        now.depth = stop if tried == remaining else now.depth + tried
        now.step = _proposal(now, tried, error)
        now.last_error, now.rounding = max(error, 1e-2), max(now.rounding, trial.lost)
        now.work_known, now.held_back = 0, 0
        now.accepted += 1
        return True

    def _prepare(self, remaining: float) -> Rates:
        """Return the rates of the current state; evaluate its work and choose the first step if need be."""
        now = self._memory
        if not now.work_known:
            now.work, now.work_known = self._scheme.work(now.density), 1
            now.evaluations += 1
        if math.isnan(now.energy):
            now.energy = self._scheme.energy(now.density)
        rates = self._scheme.rates(now.work)
        if now.step <= 0.0:
            speed = self._scheme.speed(rates, now.density)
            now.step = min(remaining, 0.1 * math.sqrt(self.tolerance) / speed) if speed > 0.0 else remaining
        return rates

    def _take(self, trial: Trial) -> bool:
        """Go to the state of the highest order that keeps both properties; return whether there is one."""
        now = self._memory
        for state, conceded, fallback in (
            (trial.refined, 2.0 * trial.moved, 0),
            (trial.safe, trial.error, 1),
        ):
            if state.min() < 0.0:
                continue
            energy = self._scheme.energy(state)
            if self._scheme.descends(now.energy, state, energy):
                now.density, now.energy = state, energy
                now.conceded += conceded
                now.fallbacks += fallback
                return True
        return False


def _check(cells: Cells, tolerance: float, density: FloatArray, step: float) -> None:
    """Refuse what cannot be stepped."""
    if density.ndim != 2 or density.shape[1] != cells.count:
        raise ValueError(f"FiniteVolumeStepper: density must be (rows, {cells.count}), got {density.shape}")
    bad = density[~((density >= 0.0) & (density < np.inf))]
    if bad.size:
        raise ValueError(f"FiniteVolumeStepper: density must be finite and not negative, got {bad[0]!r}")
    if not np.all(density.any(axis=1)):
        row = int(np.argmin(density.any(axis=1)))
        raise ValueError(
            f"FiniteVolumeStepper: every row must have mass, got zeros in row {row}; leave it out"
        )
    if not 0.0 < tolerance < np.inf:
        raise ValueError(f"FiniteVolumeStepper: tolerance must be positive and finite, got {tolerance!r}")
    if not 0.0 <= step < np.inf:
        raise ValueError(
            f"FiniteVolumeStepper: step must be finite and not negative, got {step!r}; 0 chooses it"
        )


def _proposal(memory: _Memory, tried: float, error: float) -> float:
    """Return the next step after an accepted one: proportional-integral control of estimates ~ step^2."""
    factor = SAFETY * math.pow(memory.last_error, 0.2) * math.pow(max(error, 1e-10), -0.35)
    factor = min(1.0 if memory.held_back else LARGEST_GROWTH, max(SMALLEST_SHRINK, factor))
    # A step cut short, to hit a depth or to stay positive, says nothing against the longer one before.
    return max(factor * tried, memory.step) if tried < memory.step and factor >= 1.0 else factor * tried


def _shrunk(tried: float, error: float) -> float:
    """Return the step to try after a rejected one: half, if it was the free energy that rejected it."""
    if error <= 1.0:
        return 0.5 * tried
    return max(SMALLEST_SHRINK, SAFETY / math.sqrt(error)) * tried
