"""Finite volumes: cell means, positive and conservative, whose free energy descends, for any σ ≥ 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from meanfield_pde.attention.operators import MODE_TOLERANCE
from meanfield_pde.attention.scattered import largest_exponent
from meanfield_pde.clusters import DEGREE
from meanfield_pde.energies import entropy_functional, interaction_energy
from meanfield_pde.errors import ComputationError
from meanfield_pde.methods.base import STEADY_DEGREE
from meanfield_pde.methods.spectral import resolved_start
from meanfield_pde.methods.steps import Steps
from meanfield_pde.observables import Comparison, attention_entropy, compare_state
from meanfield_pde.potential import descends, has_potential, potential
from meanfield_pde.spaces.base import on_line
from solvers.finite_volume import Cells, FiniteVolumeStepper, Transport
from solvers.scharfetter_gummel import jump_rates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.drift import Drift
    from meanfield_pde.equation import Equation
    from meanfield_pde.methods.base import State
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Variable
    from meanfield_pde.spaces import Space
    from solvers.system import Reason

__all__ = ["CellState", "FiniteVolume"]

#: Tolerance of the time steps relative to the square of the cells' width: they add little to the error.
TIME_SHARE = 0.02
#: Grid on which the drift is integrated from centre to centre, relative to the cells.
DRIFT_REFINEMENT = 16
#: Negative mass of an initial density that interpolation may leave and that is cut off, per node.
UNDERSHOOT = 1e-2


@dataclass(frozen=True)
class CellState:
    """Cell means (aux, cells) at a depth."""

    depth: float
    space: Space
    density: FloatArray
    diagnostics: Mapping[str, float]

    @property
    def size(self) -> int:
        """Cells."""
        return self.space.resolution

    def lighter(self, states: int) -> CellState:  # noqa: ARG002
        """Nothing can be spared."""
        return self

    def joint(self, space: Space) -> FloatArray:
        """Cell means as they are; on another grid, that of the modes which the cells keep."""
        if space.resolution == self.space.resolution:
            return self.density
        return space.synthesise(space.pad(self.space.analyse(self.density)))

    def marginal(self, auxiliary: Auxiliary, space: Space, joint: FloatArray | None = None) -> FloatArray:
        """Mean over the nodes."""
        return auxiliary.mean(self.joint(space) if joint is None else joint)

    def moments(self) -> FloatArray:
        """Return sums over the cells."""
        return self.space.first_moment(self.space.analyse(self.density))

    def spectrum(self, auxiliary: Auxiliary) -> FloatArray:
        """Coefficients of the mean."""
        return self.space.analyse(auxiliary.mean(self.density))[: self.space.width(DEGREE)]

    def comparison(self, auxiliary: Auxiliary) -> Comparison:
        """By the quantiles of the density."""
        return compare_state(self.space, auxiliary, self.space.analyse(self.density))

    def content(self) -> dict[str, Any]:
        """Cells and means."""
        return {
            "method": "finite-volume",
            "depth": self.depth,
            "resolution": self.space.resolution,
            "density": self.density,
            "diagnostics": dict(self.diagnostics),
        }

    @classmethod
    def restored(cls, problem: Problem, content: Mapping[str, Any]) -> CellState:
        """Invert ``content``."""
        space = problem.space.resized(int(content["resolution"]))
        return cls(content["depth"], space, content["density"], content["diagnostics"])


class FiniteVolume:
    """The finite-volume method under way.

    Where attention has a potential, the work of a face is its difference, so that Gibbs states
    ρ ∝ exp(Φ/σ) are exactly stationary; elsewhere it is an integral of the velocity, of fourth order.
    """

    name = "finite-volume"

    def __init__(self, problem: Problem, space: Space, cut: float = 0.0) -> None:
        self.problem = problem
        self.equation: Equation = problem.equation(space)
        self.line = on_line(space)
        self.cut = cut
        self.stepper: FiniteVolumeStepper
        self._gradient = has_potential(problem.attention)
        self._drift = _drift_work(problem.drift, space)

    @classmethod
    def start(cls, problem: Problem) -> FiniteVolume:
        """Begin at the first depth, with as many cells as asked for, or as the kernel needs."""
        return cls._from(problem, *_initial_cells(problem), float(problem.depths[0]))

    @classmethod
    def following(
        cls, problem: Problem, space: Space, coefficients: FloatArray, depth: float
    ) -> FiniteVolume:
        """Go on where a spectral run ends."""
        return cls._from(problem, space, on_line(space).cell_means(coefficients), depth)

    @classmethod
    def _from(cls, problem: Problem, space: Space, density: FloatArray, depth: float) -> FiniteVolume:
        cut = float((-np.minimum(density, 0.0) @ space.weights).max())
        if cut > UNDERSHOOT:
            raise ComputationError(
                f"finite volumes: the density must not be negative, got a mass of {-cut:.3g} below zero; "
                "choose a smoother initial density or a larger resolution"
            )
        density = np.maximum(density, 0.0)
        density /= (density @ space.weights)[:, None]
        method = cls(problem, space, cut)
        method.stepper = FiniteVolumeStepper(
            Cells(*method.line.line()), method.transport(), method.tolerance, density, depth
        )
        return method

    @classmethod
    def restored(cls, problem: Problem, memory: Mapping[str, Any]) -> FiniteVolume:
        """Invert ``memory``."""
        method = cls(problem, problem.space.resized(int(memory["resolution"])), float(memory["cut"]))
        method.stepper = FiniteVolumeStepper.restored(
            Cells(*method.line.line()), method.transport(), method.tolerance, memory["stepper"]
        )
        return method

    def memory(self) -> dict[str, Any]:
        """Cells, and what the stepper remembers."""
        return {"resolution": self.size, "cut": self.cut, "stepper": self.stepper.memory()}

    @property
    def space(self) -> Space:
        """The cells lie about the points of its grid."""
        return self.equation.space

    @property
    def tolerance(self) -> float:
        """Error that the time steps may make."""
        places = self.space.locate(self.space.points)
        width = float(self.space.distance(places[:-1], places[1:]).max())
        return float(min(max(self.problem.accuracy.rtol, TIME_SHARE * width**2), 0.1))

    @property
    def depth(self) -> float:
        """Depth reached."""
        return self.stepper.depth

    @property
    def step(self) -> float:
        """Size of the next step."""
        return self.stepper.step

    @property
    def size(self) -> int:
        """Cells."""
        return self.space.resolution

    @property
    def counts(self) -> tuple[int, int, int]:
        """Accepted steps, rejected steps, evaluations of the velocity."""
        return self.stepper.counts

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self.stepper.advance(stop, most_steps)

    def transport(self) -> Transport:
        """Return what moves the content of the cells."""
        falls = descends(self.problem.attention) and not self._circulates()
        return Transport(self.problem.sigma, self.work, self.free_energy if falls else None)

    def work(self, density: FloatArray) -> FloatArray:
        """∫(V + F) from centre to centre, (aux or 1, faces)."""
        coefficients = self.space.analyse(density)
        if self._gradient:
            phi = potential(self.equation.attention, coefficients)
            faces = self.line.line()[1].size
            return np.asarray((np.roll(phi, -1, axis=-1) - phi)[..., :faces] + self._drift)
        velocity = self.equation.attention.velocity(coefficients)[..., 0]
        return np.asarray(self.line.work(velocity) + self._drift)

    def free_energy(self, density: FloatArray) -> float:
        """F_σ of the cell means, less the potential of the drift."""
        auxiliary = self.problem.auxiliary
        energy = interaction_energy(self.equation.attention, self.space.analyse(density))
        disorder = entropy_functional(self.space, auxiliary, density)
        outer = 0.0
        if self.equation.drift is not None:
            outside = np.concatenate([[0.0], np.cumsum(self._drift[0])])[: density.shape[-1]]
            outer = float(auxiliary.mean(density @ (outside * self.space.weights)))
        return -energy - outer + self.problem.sigma * disorder

    def _circulates(self) -> bool:
        """Whether the drift has no potential: its integral around the circle is not zero."""
        around = np.abs(self._drift.sum())
        return self.line.line()[2] and bool(around > 1e-12 * np.abs(self._drift).sum())

    def flux(self, density: FloatArray) -> FloatArray:
        """Mass that passes every face per unit of depth, (aux, faces), positive to the right."""
        work = np.ascontiguousarray(self.work(density))
        right, left = np.empty((2, len(work), density.shape[-1]))
        jump_rates(self.line.line()[1], self.problem.sigma, work, right, left)
        return np.asarray(right * density - left * np.roll(density, -1, axis=-1))

    def state(self) -> CellState:
        """Return cell means and diagnostics."""
        density = self.stepper.density
        return CellState(self.depth, self.space, density, self.observe(density))

    def observe(self, density: FloatArray) -> dict[str, float]:
        """All diagnostics, by the names of ``observables.DESCRIPTIONS``."""
        space, auxiliary, attention = self.space, self.problem.auxiliary, self.equation.attention
        coefficients = space.analyse(density)
        moments = space.first_moment(coefficients)
        marginal = auxiliary.mean(density)
        energy = interaction_energy(attention, coefficients)
        disorder = entropy_functional(space, auxiliary, density)
        between = (density + np.roll(density, -1, axis=-1)) / 2.0
        flux, areas = self.flux(density), self.line.line()[1]
        rate = np.where(between > 0.0, flux**2 / np.where(between > 0.0, between, 1.0), 0.0)
        return {
            "mass_error": float(np.abs(density @ space.weights - 1.0).max()),
            "minimum": float(density.min()),
            "interaction_energy": energy,
            "free_energy": -energy + self.problem.sigma * disorder,
            "dissipation": float(auxiliary.mean((rate[..., : areas.size] / areas).sum(axis=-1))),
            "entropy": float(-special.xlogy(marginal, marginal) @ space.weights),
            "order_parameter": float(np.linalg.norm(auxiliary.mean(moments))),
            "conditional_concentration": float(auxiliary.mean(np.linalg.norm(moments, axis=-1))),
            "attention_entropy": attention_entropy(attention, coefficients, density),
            "spectral_tail": np.nan,
        }

    def change(self) -> float:
        """Largest rate of a low coefficient."""
        flux = self.flux(self.stepper.density)
        rate = self.space.analyse((np.roll(flux, 1, axis=-1) - flux) / self.space.weights)
        return float(np.abs(rate[:, : self.space.width(STEADY_DEGREE)]).max())

    def variables(self, states: Sequence[State]) -> dict[str, Variable]:  # noqa: ARG002
        """Nothing of its own."""
        return {}

    def facts(self) -> dict[str, str | float | int]:
        """Return what its steps conceded, and what was cut off at its start."""
        return {
            "first_order_steps": self.stepper.fallbacks,
            "conceded": self.stepper.conceded,
            "negative_mass_cut": self.cut,
        }


def _drift_work(drift: Drift | None, space: Space) -> FloatArray:
    """∫F from centre to centre, (1, faces): to rounding error for drifts that the cells resolve."""
    if drift is None:
        return np.zeros((1, 1))
    line = on_line(space)
    if not line.line()[2]:
        return line.work(np.asarray(drift(space), dtype=np.float64).T)
    fine = space.resized(DRIFT_REFINEMENT * space.resolution)
    pieces = on_line(fine).work(np.asarray(drift(fine), dtype=np.float64).T)
    return np.asarray(pieces.reshape(1, -1, DRIFT_REFINEMENT).sum(axis=-1))


def _initial_cells(problem: Problem) -> tuple[Space, FloatArray]:
    """Cells and initial means on them: of the resolved density, or of the masses of a rough one."""
    exponents = [largest_exponent(problem.space, problem.attention, head) for head in problem.attention.heads]
    degrees = [problem.space.degree(exponent, MODE_TOLERANCE) for exponent in exponents]
    space = problem.space.at_least(max(degrees))
    try:
        _, coefficients = resolved_start(problem)
    except ComputationError:
        return space, Steps.of(problem).means(space)
    return space, on_line(space).cell_means(coefficients)
