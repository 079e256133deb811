"""Saved labels whose places are vectors: diagnostics, what is shown of their law, and trajectories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.clusters import DEGREE
from meanfield_pde.methods.saved_labels import LabelState
from meanfield_pde.records import Variable
from meanfield_pde.spaces.hypersphere import Hypersphere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.methods.embedded_cloud import EmbeddedCloud
    from meanfield_pde.methods.embedded_field import EmbeddedField
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms, Space

__all__ = ["histogram", "observe", "saved", "trajectories"]

#: Highest degree of the coefficients that are kept of the marginal, where they are many.
LOW = 8


def saved(
    problem: Problem, cloud: EmbeddedCloud, depth: float, diagnostics: Mapping[str, float]
) -> LabelState[EmbeddedCloud]:
    """Return the state of a cloud."""
    atoms, space = cloud.atoms, problem.space
    degree = min(DEGREE, space.resolution) if isinstance(space, Hypersphere) else LOW
    waves = problem.auxiliary.mean(space.analyse_atoms(atoms, degree))
    first, density = atoms.sums(atoms.places), histogram(atoms, space)
    return LabelState(depth, space, density, first, waves, cloud.masses.shape[1], diagnostics, cloud)


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


def trajectories(states: Sequence[LabelState[EmbeddedCloud]], *, every: bool) -> dict[str, Variable]:
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
