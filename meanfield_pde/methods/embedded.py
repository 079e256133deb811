r"""Characteristics where places are vectors, for σ = 0: tokens on spheres of any dimension and on tori.

.. math:: \dot x_i = P_{x_i} A[f_t](x_i, z_i) + F(x_i), \qquad
    f_t = \sum_j w_j \delta_{z_j} \otimes \sum_k m_{jk} \delta_{x_{jk}}

in the embedding, P_x the projection onto the tangent space. Steps are those of DOP853, and after each the
state is put back onto the space (projected methods keep their order: Hairer, Lubich & Wanner, Geometric
Numerical Integration, IV.4). The velocity at a vector is that at the nearest point of the space: the last
stage of a step is then that at the state put back, and no evaluation is spent on it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.integrate import DOP853

from meanfield_pde.methods.base import STEADY_DEGREE
from meanfield_pde.methods.embedded_cloud import EmbeddedCloud, initial_cloud
from meanfield_pde.methods.embedded_field import EmbeddedField
from meanfield_pde.methods.embedded_state import observe, saved, trajectories
from meanfield_pde.methods.saved_labels import LabelState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.methods.base import State
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Variable
    from solvers.system import Reason

__all__ = ["EmbeddedCharacteristics"]

#: Tolerance of a step, in the mean square of distances, as a share of rtol; below the second is rounding.
STEP_SHARE, FINEST_STEP = 0.002, 1e-14
#: Least relative tolerance that scipy accepts; distances are controlled absolutely.
ROUNDING = 2.5e-14
#: Atoms that have come closer than so many tolerances of a step move as one, a tenth of what is asked of
#: places (what others feel of it is of second order).
TOGETHER = 50.0
#: Steps from one search for such atoms to the next.
SEARCH = 4
#: Stages of a step.
STAGES = 12


class EmbeddedCharacteristics:
    """The method of characteristics under way, where places are vectors."""

    name = "characteristics"

    def __init__(self, problem: Problem, cloud: EmbeddedCloud, depth: float) -> None:
        self.problem = problem
        self.cloud = cloud
        self.depth = depth
        self.step = 0.0
        self.counts = (0, 0, 0)
        self.left = 0.0
        self.field = EmbeddedField.of(problem, cloud)
        self._velocity: FloatArray | None = None
        self._stepper: DOP853 | None = None

    @classmethod
    def start(cls, problem: Problem) -> EmbeddedCharacteristics:
        """Begin at the first depth.

        Raises
        ------
        InputError
            When the tokens are not on the space, or unnormalised attention might overflow.
        ComputationError
            When the finest grid does not resolve the initial densities.
        """
        method = cls(problem, initial_cloud(problem), float(problem.depths[0]))
        method.rate(method.depth, method.cloud.positions.ravel())
        return method

    @property
    def size(self) -> int:
        """Labels per node."""
        return int(self.cloud.masses.shape[1])

    @property
    def _step_tolerance(self) -> float:
        """Error that a step may make in a place, in the root mean square."""
        return max(STEP_SHARE * self.problem.accuracy.rtol, FINEST_STEP)

    def rate(self, depth: float, flat: FloatArray) -> FloatArray:  # noqa: ARG002 (as scipy calls it)
        """Velocity of all atoms, one after the other."""
        return self.field.velocity(flat.reshape(self.cloud.positions.shape)).ravel()

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``; atoms are joined on the way."""
        if self._stepper is not None:
            self._stepper.t_bound = stop
        attempts = sum(self.counts[:2])
        while self.depth < stop:
            if sum(self.counts[:2]) - attempts >= most_steps:
                return "paused"
            if not self._one_step(stop):
                return "underflow"
        return "reached"

    def _one_step(self, stop: float) -> bool:
        """Make one step; false when there is no going on."""
        stepper = self._stepper or self._started(stop)
        proposed, before = stepper.h_abs, stepper.nfev
        cut = proposed > stop - self.depth
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            stepper.step()
        if stepper.status == "failed":
            return False
        stepper.status = "running"
        tried = (stepper.nfev - before) // STAGES
        accepted, rejected, evaluations = self.counts
        self.counts = (accepted + 1, rejected + tried - 1, evaluations + STAGES * tried)
        self.depth = float(stepper.t)
        self.step = float(max(stepper.h_abs, proposed) if cut else stepper.h_abs)
        stepper.h_abs = self.step
        self._put_back(stepper)
        return True

    def _put_back(self, stepper: DOP853) -> None:
        """Accept the state of the stepper, at the nearest points of the space."""
        free = stepper.y.reshape(self.cloud.positions.shape)
        positions = self.field.surface.retract(free)
        self.left = max(self.left, float(np.abs(positions - free).max()))
        stepper.y = positions.ravel()
        self._velocity = stepper.f
        cloud = self.cloud.at(positions)
        if self.counts[0] % SEARCH == 0:
            cloud = cloud.merged(TOGETHER * self._step_tolerance, self.field.surface)
        if len(cloud.positions) != len(positions):
            self._stepper = self._velocity = None
            self.field = self.field.on(cloud)
        self.cloud = cloud

    def _started(self, stop: float) -> DOP853:
        """Set up scipy's stepper at the present state."""
        stepper = DOP853(
            self.rate,
            self.depth,
            self.cloud.positions.ravel(),
            stop,
            rtol=ROUNDING,
            # Of every component: its mean square is that of distances over d.
            atol=self._step_tolerance / math.sqrt(self.cloud.positions.shape[1]),
            first_step=min(self.step, stop - self.depth) if self.step > 0.0 else None,
        )
        if self.step > 0.0:
            stepper.h_abs = self.step
        if self._velocity is not None:
            stepper.f = self._velocity
        self._stepper = stepper
        return stepper

    def state(self) -> LabelState[EmbeddedCloud]:
        """Return the labels and their diagnostics."""
        return saved(self.problem, self.cloud, self.depth, observe(self.field.on(self.cloud)))

    def change(self) -> float:
        """Largest mean speed of a node, times 8: of the waves cos kα of angles α to any point, k up to 8."""
        speed = np.linalg.norm(self.field.velocity(self.cloud.positions), axis=1)
        return float(STEADY_DEGREE * self.cloud.atoms.sums(speed).max())

    def memory(self) -> dict[str, Any]:
        """Labels, atoms, the last stage, step and counts."""
        return {
            "cloud": self.cloud.content(),
            "velocity": self._velocity,
            "depth": self.depth,
            "step": self.step,
            "left": self.left,
            "counts": list(self.counts),
        }

    @classmethod
    def restored(cls, problem: Problem, memory: Mapping[str, Any]) -> EmbeddedCharacteristics:
        """Invert ``memory``."""
        method = cls(problem, EmbeddedCloud.restored(memory["cloud"]), float(memory["depth"]))
        method.step, method.left = float(memory["step"]), float(memory["left"])
        method._velocity = memory["velocity"]
        accepted, rejected, evaluations = memory["counts"]
        method.counts = (int(accepted), int(rejected), int(evaluations))
        return method

    def variables(self, states: Sequence[State]) -> dict[str, Variable]:
        """Trajectories of the labels."""
        own = [state for state in states if isinstance(state, LabelState)]
        return trajectories(own, every=self.problem.keep_density)

    def facts(self) -> dict[str, str | float | int]:
        """Say that the density is a histogram, how many labels and atoms there are, how far steps led off."""
        return {
            "density_kind": "histogram",
            "labels": self.cloud.masses.size,
            "atoms": len(self.cloud.positions),
            "retraction": self.left,
        }
