"""Where the tokens of a law are bound for: the attractors of its own frozen velocity, on a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.zonal import folded

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.attention.rings import RingField
    from meanfield_pde.attention.scattered import ScatteredField

__all__ = ["attracted", "lone"]

#: Grid points, at least, on which the zeros of the velocity are bracketed; for every degree of a kernel.
FINEST, PER_DEGREE = 1024, 8
#: Masses below this are stragglers of rounding.
SMALLEST = 1e-13
#: Attractors that are closer are mirror images of each other: between others there is a barrier.
IMAGES = 1e-6
#: Rounds in which zeros are found: each gains the ratio of bends to slope, about a step.
ROUNDS = 4


def attracted(field: ScatteredField, atoms: Atoms) -> tuple[Atoms, FloatArray] | None:
    """Gather every atom at the attractor of its basin in the frozen field.

    Returns
    -------
    gathered, distances
        Atoms at the attractors, with the masses of their basins, and the distance of every given atom from
        its attractor, (atoms,); None where the velocity of some node has no attractor.
    """
    space = field.space
    period = space.period
    if period is None:
        raise ValueError("basins: only lines that are closed are known")
    if field.rings is not None:
        atoms = Atoms(folded(atoms.places), atoms.masses, atoms.starts)
    angles, velocity = _velocity(field, atoms)
    places, masses, starts = [], [], [0]
    distances = np.empty(atoms.places.size)
    for row in range(atoms.starts.size - 1):
        own = slice(atoms.starts[row], atoms.starts[row + 1])
        found = _zeros(angles, velocity[row if len(velocity) > 1 else 0], period)
        if found is None:
            return None
        attractors, barriers = found
        position = (atoms.places[own] - barriers[0]) % period
        basin = np.searchsorted(np.sort((barriers - barriers[0]) % period), position, side="right") - 1
        order = np.argsort((attractors - barriers[0]) % period)
        target = attractors[order][basin]
        distances[own] = np.abs((atoms.places[own] - target + period / 2.0) % period - period / 2.0)
        mass = np.bincount(basin, weights=atoms.masses[own], minlength=attractors.size)
        kept = mass > SMALLEST
        centres, shares = attractors[order][kept] % period, mass[kept] / mass[kept].sum()
        if field.rings is not None:
            centres, shares = _images_joined(folded(centres), shares)
        places.append(centres)
        masses.append(shares)
        starts.append(starts[-1] + shares.size)
    return Atoms(np.concatenate(places), np.concatenate(masses), np.array(starts, dtype=np.intp)), distances


def lone(field: ScatteredField, atoms: Atoms) -> bool:
    """Whether the frozen velocity of every node has a single attractor: all tokens but one go there."""
    angles, velocity = _velocity(field, atoms)
    for row in velocity:
        found = _zeros(angles, row, 2.0 * np.pi)
        if found is None:
            return False
        places = found[0] if field.rings is None else _images_joined(folded(found[0]), found[0])[0]
        if places.size != 1:
            return False
    return True


def _velocity(field: ScatteredField, atoms: Atoms) -> tuple[FloatArray, FloatArray]:
    """Angles, and the velocity there of every node, (aux or 1, angles)."""
    if field.rings is not None:
        return _mirrored_velocity(field.rings, atoms)
    space = field.space
    coefficients = space.analyse_atoms(atoms)
    velocity = field.field.velocity(coefficients)[..., 0]
    if field.drift is not None:
        velocity = velocity + field.drift[:, 0]
    angles = space.axes[0].values
    if angles.size >= FINEST:
        return angles, velocity
    fine = space.resized(FINEST)
    return fine.axes[0].values, _refined(velocity, FINEST)


def _mirrored_velocity(rings: RingField, atoms: Atoms) -> tuple[FloatArray, FloatArray]:
    """Polar angles all around, and the velocity there: odd about the poles, where it is exactly zero."""
    half = max(FINEST // 2, PER_DEGREE * rings.space.resolution)
    angles = np.asarray(np.arange(2 * half) * (np.pi / half), dtype=np.float64)
    nodes = atoms.starts.size - 1
    places, rows = np.tile(angles[1:half], nodes), np.repeat(np.arange(nodes), half - 1)
    own = rings.velocity_at(atoms, places, rows).reshape(nodes, half - 1)
    velocity = np.zeros((nodes, 2 * half))
    velocity[:, 1:half], velocity[:, half + 1 :] = own, -own[:, ::-1]
    return angles, velocity


def _images_joined(places: FloatArray, masses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Join an attractor on both sides of the axis: a token on the barrier of a pole may fall to either."""
    order = np.argsort(places)
    places, masses = places[order], masses[order]
    first = np.flatnonzero(np.diff(places, prepend=-np.inf) > IMAGES)
    return places[first], np.add.reduceat(masses, first)


def _refined(values: FloatArray, points: int) -> FloatArray:
    """Trigonometric interpolation."""
    spectrum = np.fft.rfft(values)
    return np.asarray(np.fft.irfft(spectrum, points) * (points / values.shape[-1]))


def _zeros(angles: FloatArray, velocity: FloatArray, period: float) -> tuple[FloatArray, FloatArray] | None:
    """Attractors and barriers, as many of each, where the velocity falls and rises through zero."""
    following = np.roll(velocity, -1)
    falls = np.flatnonzero((velocity > 0.0) & (following <= 0.0))
    rises = np.flatnonzero((velocity <= 0.0) & (following > 0.0))
    if falls.size == 0:
        return None
    step = period / angles.size
    return (
        angles[falls] + step * _crossings(velocity, falls),
        angles[rises] + step * _crossings(velocity, rises),
    )


def _crossings(velocity: FloatArray, index: IntArray) -> FloatArray:
    """Places of zeros between two grid points, in steps: of the cubic through four, by Everett's formula.

    Chords alone are wrong by the square of a step, more than distances from attractors may be. Where a zero
    of the cubic is not found between the two points, that of the chord is taken.
    """
    behind, left, right, ahead = (np.roll(velocity, -shift)[index] for shift in (-1, 0, 1, 2))
    bends = behind - 2.0 * left + right, left - 2.0 * right + ahead
    chord = left / (left - right)
    place = chord
    for _ in range(ROUNDS):
        bent = place * (1.0 - place) / 6.0 * ((2.0 - place) * bends[0] + (1.0 + place) * bends[1])
        place = (left - bent) / (left - right)
    return np.asarray(np.where((place >= 0.0) & (place <= 1.0), place, chord))
