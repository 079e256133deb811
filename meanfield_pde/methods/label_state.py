"""Saved labels: their diagnostics, the histogram that stands for their density, and their trajectories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.attention.rings import are_rings
from meanfield_pde.clusters import DEGREE
from meanfield_pde.energies import scattered_energy
from meanfield_pde.methods.saved_labels import LabelState
from meanfield_pde.records import Variable
from meanfield_pde.spaces.zonal import folded
from meanfield_pde.spaces.zonal_line import Edges
from solvers.panels import ORDER, Panels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.methods.labels import Cloud, Labels
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms, Space

__all__ = ["first_moments", "histogram", "observe", "saved", "trajectories"]

TURN = 2.0 * math.pi
#: Places on every panel between which the mass is spread evenly in the histogram.
PLACES = np.linspace(-1.0, 1.0, 4 * ORDER + 1)
NODES = np.polynomial.legendre.leggauss(ORDER)[0]
#: Panels whose polynomial leaves out more than this are spread between their labels.
ROUGH = 1e-3


def saved(
    problem: Problem, cloud: Cloud, depth: float, diagnostics: Mapping[str, float]
) -> LabelState[Cloud]:
    """Return the state of a cloud."""
    atoms, space = cloud.atoms, problem.space
    felt = space if are_rings(space) else space.resized(3 * DEGREE + 1)
    waves = problem.auxiliary.mean(felt.analyse_atoms(atoms))
    first, size = first_moments(space, atoms), int(np.diff(cloud.labels.starts).max())
    return LabelState(depth, space, histogram(cloud, space), first, waves, size, diagnostics, cloud)


def observe(problem: Problem, field: ScatteredField, cloud: Cloud) -> dict[str, float]:
    """All diagnostics, by the names of ``DESCRIPTIONS``; entropy and minimum are those of the histogram."""
    atoms, auxiliary, space = cloud.atoms, problem.auxiliary, problem.space
    joint = histogram(cloud, space)
    marginal = auxiliary.mean(joint)
    moments = first_moments(space, atoms)
    speed = (field.velocity(atoms) ** 2).sum(axis=1)
    energy = scattered_energy(field, atoms)
    return {
        "mass_error": float(np.abs(atoms.sums(np.ones(atoms.places.size)) - 1.0).max()),
        "minimum": float(joint.min()),
        "interaction_energy": energy,
        "free_energy": -energy,
        "dissipation": float(auxiliary.mean(atoms.sums(speed))),
        "entropy": float(-special.xlogy(marginal, marginal) @ space.weights),
        "order_parameter": float(np.linalg.norm(auxiliary.mean(moments))),
        "conditional_concentration": float(auxiliary.mean(np.linalg.norm(moments, axis=-1))),
        "attention_entropy": field.attention_entropy(atoms),
        "spectral_tail": math.nan,
    }


def first_moments(space: Space, atoms: Atoms) -> FloatArray:
    """∫ x ρ(x|z) dx of every row, (aux, d): that of a ring lies on the axis."""
    moments = atoms.sums(space.embed(atoms.places))
    if are_rings(space):
        moments[:, 1:] = 0.0
    return moments


def histogram(cloud: Cloud, space: Space) -> FloatArray:
    """Conditional densities as the mass in the cell about every grid point over its width, (aux, points).

    Between the labels of a panel mass is spread as its polynomials say, so that smooth densities look smooth;
    atoms fall into one cell. The masses of the cells add up to one.
    """
    if are_rings(space):
        return _ring_masses(cloud, _ring_edges(space))[:, ::-1] / space.weights
    points = len(space.weights)
    width = TURN / points
    if cloud.labels.panels is None:
        atoms = cloud.atoms
        cell = np.floor(atoms.places / width + 0.5).astype(np.intp) % points
        rows = cloud.labels.starts.size - 1
        counted = np.bincount(atoms.rows * points + cell, weights=atoms.masses, minlength=rows * points)
        return counted.reshape(rows, points) / width
    result = np.empty((cloud.labels.starts.size - 1, points))
    for row, (lifted, below_them) in enumerate(_pieces(cloud, cloud.labels.panels)):
        places = np.append(np.minimum(lifted, lifted[0] + TURN), lifted[0] + TURN)
        masses = np.append(below_them, 1.0)
        edges = width * (np.arange(points + 1) - 0.5) - places[0]
        turns = np.floor(edges / TURN)
        below = turns + np.interp(edges - TURN * turns, places - places[0], masses)
        result[row] = np.diff(below) / width
    return result


def _ring_edges(space: Space) -> FloatArray:
    """Polar angles between the cells of zonal spheres, increasing: against the order of the grid."""
    edges = Edges.between(space.weights / space.weights.sum(), space.dimension)
    return np.asarray(np.arctan2(edges.sines, edges.cosines)[::-1])


def _ring_masses(cloud: Cloud, edges: FloatArray) -> FloatArray:
    """Mass between these polar angles, (aux, edges + 1): a smooth one up to roundings of one.

    Cells at the poles of spheres of high dimension may hold less, so that roundings decide on their density.
    """
    rows, cells = cloud.labels.starts.size - 1, edges.size + 1
    if cloud.labels.panels is None:
        atoms = cloud.atoms
        cell = np.searchsorted(edges, folded(atoms.places)) + cells * atoms.rows
        counted = np.bincount(cell, weights=atoms.masses, minlength=rows * cells)
        return np.asarray(counted.reshape(rows, cells), dtype=np.float64)
    pieces = _pieces(cloud, cloud.labels.panels)
    below = np.stack([np.interp(edges, places, masses / masses[-1]) for places, masses in pieces])
    below = np.maximum.accumulate(below, axis=1)  # between two pieces roundings may let it fall
    return np.diff(np.minimum(below, 1.0), axis=1, prepend=0.0, append=1.0)


def _pieces(cloud: Cloud, panels: Panels) -> Iterator[tuple[FloatArray, FloatArray]]:
    """For every row lifted places in order, and the mass below them: linear in between."""
    values, density = cloud.panel_places, cloud.labels.density
    places = Panels.sampled(values, PLACES)
    for index in np.flatnonzero(Panels.tails(values) > ROUGH):  # a polynomial would overshoot between labels
        places[index] = np.interp(PLACES, NODES, values[index])
    half = ((panels.right - panels.left) / 2.0)[:, None]
    below = half * Panels.accumulated(density, PLACES)
    for row in range(cloud.labels.starts.size - 1):
        chosen = panels.row == row
        start = np.concatenate([[0.0], np.cumsum(below[chosen, -1])])
        mass = np.maximum.accumulate((start[:-1, None] + below[chosen]).ravel()) / start[-1]
        yield np.maximum.accumulate(places[chosen].ravel()), mass


def trajectories(states: Sequence[LabelState[Cloud]], *, every: bool) -> dict[str, Variable]:
    """Positions of the labels of the last state at all depths, or at the last where others were left out.

    Labels that came later are placed, at depths before, by the polynomials of the panels of that depth. Rows
    with fewer labels are filled up by the last one, with weight 0.
    """
    clouds = [state.cloud for state in states if state.cloud is not None]
    every = every and len(clouds) == len(states)
    labels = clouds[-1].labels
    counts = np.diff(labels.starts)
    rows = np.repeat(np.arange(counts.size), counts)
    index = np.minimum(np.arange(counts.max()), counts[:, None] - 1) + labels.starts[:-1, None]
    weight = np.where(np.arange(counts.max()) < counts[:, None], labels.masses[index], 0.0)
    kept = clouds if every else clouds[-1:]
    position = np.stack([_placed(cloud, labels, rows)[index] for cloud in kept]) % TURN
    first = "time" if every else "state"
    text = "angle of the label (flow map X(t, ℓ, z))"
    if are_rings(states[-1].space):
        position, text = folded(position), f"polar {text}"
    return {
        "position": Variable((first, "aux", "label"), position, text, "rad"),
        "label_weight": Variable(("aux", "label"), weight, "mass of the label, by quadrature of ρ(0, ·|z)"),
        "label_start": Variable(
            ("aux", "label"), labels.places[index], "initial angle ℓ of the label", "rad"
        ),
    }


def _placed(cloud: Cloud, labels: Labels, rows: IntArray) -> FloatArray:
    """Lifted angles, in this cloud, of labels that may have come later."""
    panels = cloud.labels.panels
    if panels is None or np.array_equal(cloud.labels.places, labels.places):
        return cloud.places
    index, local = panels.place(rows, labels.places)
    return Panels.evaluate(cloud.panel_places, index, local)
