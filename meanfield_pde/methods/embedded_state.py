"""Saved labels whose places are vectors: diagnostics, what is shown of their law, and trajectories."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from meanfield_pde.clusters import DEGREE
from meanfield_pde.methods.embedded_cloud import EmbeddedCloud
from meanfield_pde.observables import compare_atoms
from meanfield_pde.records import Variable
from meanfield_pde.spaces.hypersphere import Hypersphere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.methods.embedded_field import EmbeddedField
    from meanfield_pde.observables import Comparison
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms, Space

__all__ = ["EmbeddedState", "histogram", "observe", "trajectories"]

#: Numbers in the positions of all states that are kept; beyond, those of the last state alone.
MOST_NUMBERS = 2**25
#: Highest degree of the coefficients that are kept of the marginal, where they are many.
LOW = 8


@dataclass(frozen=True)
class EmbeddedState:
    """Labels at a depth, and what is shown of them.

    Parameters
    ----------
    space, density
        Grid, and histogram of every conditional law on it, (aux, points): its zonal average on hyperspheres.
    first, waves
        First moments, (aux, d), and coefficients of the marginal.
    size
        Labels per node.
    cloud
        The labels; None where they are too many to be kept at all depths.
    """

    depth: float
    space: Space
    density: FloatArray
    first: FloatArray
    waves: FloatArray
    size: int
    diagnostics: Mapping[str, float]
    cloud: EmbeddedCloud | None

    @staticmethod
    def of(
        problem: Problem, cloud: EmbeddedCloud, depth: float, diagnostics: Mapping[str, float]
    ) -> EmbeddedState:
        """Return the state of a cloud."""
        atoms, space = cloud.atoms, problem.space
        degree = min(DEGREE, space.resolution) if isinstance(space, Hypersphere) else LOW
        waves = problem.auxiliary.mean(space.analyse_atoms(atoms, degree))
        first, density = atoms.sums(atoms.places), histogram(atoms, space)
        return EmbeddedState(depth, space, density, first, waves, cloud.masses.shape[1], diagnostics, cloud)

    def lighter(self, states: int) -> EmbeddedState:
        """Leave the labels out where so many states of them would take too much memory."""
        if self.cloud is None or self.cloud.start.size * states > MOST_NUMBERS:
            return replace(self, cloud=None)
        return self

    def joint(self, space: Space) -> FloatArray:  # noqa: ARG002 (it has but one)
        """Conservative histogram."""
        return self.density

    def marginal(self, auxiliary: Auxiliary, space: Space, joint: FloatArray | None = None) -> FloatArray:  # noqa: ARG002
        """Mean histogram."""
        return auxiliary.mean(self.density)

    def moments(self) -> FloatArray:
        """Σ mass x."""
        return self.first

    def spectrum(self, auxiliary: Auxiliary) -> FloatArray:  # noqa: ARG002
        """Exact, up to a low degree."""
        return self.waves

    def comparison(self, auxiliary: Auxiliary) -> Comparison:
        """Exact, between atoms."""
        if self.cloud is None:
            raise ValueError("labels: were left out of this state")
        return compare_atoms(self.space, auxiliary, self.cloud.atoms, self.first)

    def content(self) -> dict[str, Any]:
        """Labels and atoms."""
        return {
            "method": "characteristics",
            "depth": self.depth,
            "density": self.density,
            "first": self.first,
            "waves": self.waves,
            "size": self.size,
            "diagnostics": dict(self.diagnostics),
            "cloud": None if self.cloud is None else self.cloud.content(),
        }

    @classmethod
    def restored(cls, problem: Problem, content: Mapping[str, Any]) -> EmbeddedState:
        """Invert ``content``."""
        return cls(
            content["depth"],
            problem.space,
            content["density"],
            content["first"],
            content["waves"],
            int(content["size"]),
            content["diagnostics"],
            None if content["cloud"] is None else EmbeddedCloud.restored(content["cloud"]),
        )


def observe(field: EmbeddedField) -> dict[str, float]:
    """All diagnostics, by the names of ``DESCRIPTIONS``; entropy and minimum are those of the histogram.

    There is no entropy on hyperspheres: a zonal average is not the law.
    """
    problem, atoms = field.problem, field.cloud.atoms
    auxiliary, space = problem.auxiliary, problem.space
    joint = histogram(atoms, space)
    marginal, moments = auxiliary.mean(joint), atoms.sums(atoms.places)
    energy, velocity = field.energy(), field.velocity(atoms.places)
    entropy = math.nan
    if not isinstance(space, Hypersphere):
        positive = np.maximum(marginal, 0.0)  # masses of a quadrature may be negative by rounding
        entropy = float(-special.xlogy(positive, positive) @ space.weights)
    return {
        "mass_error": float(np.abs(atoms.sums(np.ones(atoms.masses.size)) - 1.0).max()),
        "minimum": float(joint.min()),
        "interaction_energy": energy,
        "free_energy": -energy,
        "dissipation": float(auxiliary.mean(atoms.sums((velocity**2).sum(axis=1)))),
        "entropy": entropy,
        "order_parameter": float(np.linalg.norm(auxiliary.mean(moments))),
        "conditional_concentration": float(auxiliary.mean(np.linalg.norm(moments, axis=-1))),
        "attention_entropy": field.attention_entropy(),
        "spectral_tail": math.nan,
    }


def histogram(atoms: Atoms, space: Space) -> FloatArray:
    """Conditional laws on the grid, (aux, points): the mass nearest to every grid point, over its weight.

    On hyperspheres the mass in every ring over its volume. Masses times weights add up to one.
    """
    if isinstance(space, Hypersphere):
        return space.shown(atoms)
    from scipy.spatial import cKDTree

    nearest = cKDTree(space.points).query(atoms.places)[1]
    rows, points = atoms.starts.size - 1, len(space.weights)
    held = np.bincount(atoms.rows * points + nearest, weights=atoms.masses, minlength=rows * points)
    return np.asarray(held.reshape(rows, points) / space.weights)


def trajectories(states: Sequence[EmbeddedState], *, every: bool) -> dict[str, Variable]:
    """Positions of the labels at all depths, or at the last where others were left out; start and masses."""
    clouds = [state.cloud for state in states if state.cloud is not None]
    every = every and len(clouds) == len(states)
    last, kept = clouds[-1], clouds if every else clouds[-1:]
    first = "time" if every else "state"
    dims, text = ("aux", "label", "component"), "place of the label (flow map X(t, ℓ, z))"
    return {
        "position": Variable((first, *dims), np.stack([cloud.places for cloud in kept]), text, "1"),
        "label_weight": Variable(("aux", "label"), last.masses, "mass of the label in ρ(0, ·|z)"),
        "label_start": Variable(dims, last.start, "initial place ℓ of the label", "1"),
    }
