r"""Characteristics: the flow map of labels, for σ = 0.

.. math:: \partial_t X(t, \ell, z) = (V[f_t] + F)(X(t, \ell, z), z), \qquad
    f_t = \sum_j w_j \delta_{z_j} \otimes \sum_k m_{jk} \delta_{X(t, \ell_k, z_j)}

with labels ℓ and masses m that are a Gauss quadrature of the initial densities on panels. The steps are those
of DOP853 (Hairer, Nørsett & Wanner), which at errors of 1e-10 and below needs 1.3 to 4 times fewer rates than
the fifth-order scheme of ``solvers`` (``python -m benchmarks integrators``).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import DOP853

from meanfield_pde.methods.base import STEADY_DEGREE
from meanfield_pde.methods.label_state import observe, saved, trajectories
from meanfield_pde.methods.labels import Cloud
from meanfield_pde.methods.quadrature import initial_labels
from meanfield_pde.methods.saved_labels import LabelState
from solvers.panels import ORDER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import BoolArray, FloatArray
    from meanfield_pde.methods.base import State
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Variable
    from solvers.system import Reason

__all__ = ["Characteristics"]

TURN = 2.0 * math.pi
#: Tolerance of a step, and of what a panel may leave out, as shares of rtol.
STEP_SHARE, PANEL_SHARE = 0.002, 0.03
#: The same share where the law alone matters: by a jump in a panel the masses of two atoms are wrong by a
#: twentieth of its mass, half the largest Gauss weight; its polynomial leaves out up to `WIDEST` times it.
LAW_SHARE = 0.9
#: Share of the tolerance of a panel from which it is halved in advance: else a step is rejected for it later.
EARLY = 0.03
#: Tolerances below these are rounding error.
FINEST_STEP, FINEST_PANEL = 1e-14, 1e-12
#: What the polynomial of a panel leaves out at most, about: a jump between two clusters.
WIDEST = 3.0
#: Least relative tolerance that scipy accepts; angles are controlled absolutely.
ROUNDING = 2.5e-14
#: Labels that have come closer than so many tolerances of a step move as one: the noise of steps, limited by
#: stability once labels are contracted, keeps them about one tolerance apart.
TOGETHER = 10.0
#: Mass relative to the mean below which the errors of an atom count no less.
LIGHTEST = 1e-8
#: Stages of a step.
STAGES = 12


class Characteristics:
    """The method of characteristics under way."""

    name = "characteristics"

    def __init__(self, problem: Problem, cloud: Cloud, depth: float) -> None:
        self.problem = problem
        self.cloud = cloud
        self.depth = depth
        self.step = 0.0
        #: Distance below which labels of panels that have contracted move as one, for those whom the law
        #: matters, not where each label is.
        self.together = 0.0
        self.counts = (0, 0, 0)
        self.field = problem.scattered()
        self._stepper: DOP853 | None = None

    @classmethod
    def start(cls, problem: Problem) -> Characteristics:
        """Begin at the first depth with labels that resolve the initial densities."""
        return cls(problem, Cloud.start(initial_labels(problem)), float(problem.depths[0]))

    @property
    def size(self) -> int:
        """Labels per node, the most of any."""
        return int(np.diff(self.cloud.labels.starts).max())

    @property
    def tolerance(self) -> float:
        """Mass times error that a panel may have."""
        rounding = 1e2 * np.finfo(float).eps * float(np.abs(self.cloud.positions).max())
        share = LAW_SHARE if self.together else PANEL_SHARE
        return max(share * self.problem.accuracy.rtol, FINEST_PANEL, rounding)

    @property
    def step_tolerance(self) -> float:
        """Error of an angle that a step may make."""
        return max(STEP_SHARE * self.problem.accuracy.rtol, FINEST_STEP)

    @property
    def _tolerances(self) -> float | FloatArray:
        """Error of every atom that a step may make; of the law alone, light atoms count less."""
        if not self.together:
            return self.step_tolerance
        share = np.abs(self.cloud.masses) / np.abs(self.cloud.masses).mean()
        return np.asarray(self.step_tolerance / np.sqrt(np.clip(share, LIGHTEST, 1.0)))

    def rate(self, depth: float, positions: FloatArray) -> FloatArray:  # noqa: ARG002 (as scipy calls it)
        """Velocity of every atom."""
        return self.field.velocity(self.cloud.moved(positions))[:, 0]

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``; labels are added and joined on the way."""
        if self._stepper is not None:
            self._stepper.t_bound = stop
        attempts = sum(self.counts[:2])
        while self.depth < stop:
            if sum(self.counts[:2]) - attempts >= most_steps:
                return "paused"
            reason = self._one_step(stop)
            if reason is not None:
                return reason
        return "reached"

    def _one_step(self, stop: float) -> Reason | None:
        """Make one step, or halve panels; a reason says that there is no going on."""
        stepper = self._stepper or self._started(stop)
        cut = stepper.h_abs > stop - self.depth
        proposed = stepper.h_abs
        before = stepper.nfev
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            stepper.step()
        if stepper.status == "failed":
            return "underflow"
        stepper.status = "running"
        tried = (stepper.nfev - before) // STAGES
        accepted, rejected, evaluations = self.counts
        moved = self.cloud.at(stepper.y)
        unresolved = self._unresolved(moved)
        if unresolved.max(initial=0.0) > 1.0:
            self.counts = (accepted, rejected + tried, evaluations + STAGES * tried)
            return self._refined(self.cloud, unresolved > 1.0)
        self.counts = (accepted + 1, rejected + tried - 1, evaluations + STAGES * tried)
        self.depth = float(stepper.t)
        self.step = float(max(stepper.h_abs, proposed) if cut else stepper.h_abs)
        stepper.h_abs = self.step
        merged = self._merged(moved)
        early = self._early(moved, unresolved)
        if early.any():
            return self._refined(merged, early)
        self._go_on_with(merged)
        return None

    def _merged(self, cloud: Cloud) -> Cloud:
        """Join labels that have come together for good."""
        least = TOGETHER * self.step_tolerance
        if cloud.labels.panels is None:
            return cloud.merged(max(least, self.together))
        merged = cloud.merged(least)
        return merged.condensed(self.together) if self.together > least else merged

    def _early(self, cloud: Cloud, unresolved: FloatArray) -> BoolArray:
        """Tell which panels to halve before they must be: those heavy enough for it to come to that."""
        if not unresolved.size:
            return np.zeros(0, dtype=bool)
        heavy = WIDEST * cloud.panel_masses > self.tolerance
        return np.asarray(heavy & (unresolved > max(EARLY, 0.1 * FINEST_PANEL / self.tolerance)))

    def _started(self, stop: float) -> DOP853:
        """Set up scipy's stepper at the present state."""
        stepper = DOP853(
            self.rate,
            self.depth,
            self.cloud.positions,
            stop,
            rtol=ROUNDING,
            atol=self._tolerances,
            first_step=min(self.step, stop - self.depth) if self.step > 0.0 else None,
        )
        if self.step > 0.0:
            stepper.h_abs = self.step
        self._stepper = stepper
        return stepper

    def _go_on_with(self, cloud: Cloud) -> None:
        """Accept a cloud; the stepper starts anew when its atoms are others."""
        if cloud.positions.size != self.cloud.positions.size:
            self._stepper = None
        self.cloud = cloud

    def _unresolved(self, cloud: Cloud) -> FloatArray:
        """Return what every panel leaves out, relative to what it may."""
        if cloud.labels.panels is None:
            return np.zeros(0)
        unresolved = cloud.unresolved() / self.tolerance
        if self.together > 0.0:  # by up to three intervals the atoms of a contracted panel may differ
            unresolved[cloud.contracted(3.0 * self.together)] = 0.0
        return unresolved

    def _refined(self, cloud: Cloud, chosen: BoolArray) -> Reason | None:
        """Halve the chosen panels; "guard" when there would be more atoms than allowed."""
        finer = cloud.halved(chosen)
        allowed = self.problem.accuracy.max_resolution
        if int(np.diff(finer.atoms.starts).max()) > max(allowed, 2 * ORDER):
            return "guard"
        self._stepper = None
        self.cloud = finer
        return None

    def state(self) -> LabelState[Cloud]:
        """Return the labels and their diagnostics."""
        diagnostics = observe(self.problem, self.field, self.cloud)
        return saved(self.problem, self.cloud, self.depth, diagnostics)

    def change(self) -> float:
        """Largest rate of a low Fourier coefficient."""
        atoms = self.cloud.atoms
        velocity = self.field.velocity(atoms)[:, 0]
        degrees = np.arange(1, STEADY_DEGREE + 1)
        waves = np.exp(-1j * atoms.places[:, None] * degrees)
        return float(np.abs(atoms.sums(degrees * velocity[:, None] * waves)).max())

    def memory(self) -> dict[str, Any]:
        """Labels, atoms, step and counts."""
        return {
            "cloud": self.cloud.content(),
            "depth": self.depth,
            "step": self.step,
            "counts": list(self.counts),
        }

    @classmethod
    def restored(cls, problem: Problem, memory: Mapping[str, Any]) -> Characteristics:
        """Invert ``memory``."""
        method = cls(problem, Cloud.restored(memory["cloud"]), float(memory["depth"]))
        method.step = float(memory["step"])
        accepted, rejected, evaluations = memory["counts"]
        method.counts = (int(accepted), int(rejected), int(evaluations))
        return method

    def variables(self, states: Sequence[State]) -> dict[str, Variable]:
        """Trajectories of the labels, all on the labels of the last state."""
        own = [state for state in states if isinstance(state, LabelState)]
        return trajectories(own, every=self.problem.keep_density)

    def facts(self) -> dict[str, str | float | int]:
        """Say that the density is a histogram, and how many labels and atoms there are."""
        return {
            "density_kind": "histogram",
            "labels": self.cloud.labels.places.size,
            "atoms": self.cloud.positions.size,
        }
