"""Find the unknown places of a design by Newton's method, the stability of its map, the least amplitude."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.designs.unknowns import Directions
from meanfield_pde.errors import InputError
from meanfield_pde.limits.law import LONGEST, TOLERANCE, AtomicLaw, polished
from meanfield_pde.limits.tokens import TokenSystem
from meanfield_pde.spaces import Atoms
from solvers.newton import StalledError, newton

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.designs.unknowns import Unknown
    from meanfield_pde.problem import Problem

__all__ = ["Least", "Solved", "Trial", "least_amplitude", "map_at", "solved"]

#: Amplitudes from which stable maps are followed downwards: each twice the last.
FIRST, LARGEST = 0.5, 32.0
#: Largest exponent of unnormalised attention: squares of its velocities are numbers that files may hold.
STEEPEST = 110.0
#: Factor of the steps downwards, and relative error of the least amplitude.
STEP, RELATIVE = 0.85, 1e-6


@dataclass(frozen=True)
class Solved:
    """Places of the unknowns, (aux, *place), the problem that they make, and how far it is from done.

    ``residual`` is the largest speed of a token at T relative to the longest attention vector (one at least);
    ``steps`` counts those of Newton's method: none where the construction is exact. ``failure`` says why
    Newton's method ended above the tolerance, and is empty where it did not.
    """

    places: FloatArray
    problem: Problem
    residual: float
    steps: int
    failure: str = ""


def solved(problem: Problem, unknown: Unknown, target: FloatArray, start: FloatArray | None = None) -> Solved:
    """Places at which tokens at ``target`` (aux, *place) do not move, from a start near by.

    Where there are none to be found, the best that was reached.
    """
    places = unknown.start(problem, target) if start is None else start

    def system(places: FloatArray) -> TokenSystem:
        return TokenSystem.of_maps(unknown.applied(problem, places))

    with np.errstate(
        all="ignore"
    ):  # scores of large amplitudes overflow: that is not finite, thus no solution
        first = system(places)
        scale = first.scale(target)
        residual = float(np.abs(first.velocity(target)).max()) / scale
        if residual <= TOLERANCE:
            return Solved(places, first.problem, residual, 0)
        try:
            root = newton(
                lambda places: system(places).velocity(target),
                lambda places: unknown.derivative(problem, target, places),
                places,
                tolerance=TOLERANCE * scale,
                longest=LONGEST,
                move=first.moved,
            )
        except StalledError as error:
            best = system(error.state)
            left = error.residual / best.scale(target)
            return Solved(error.state, best.problem, left, 0, str(error))
        best = system(root.state)
        return Solved(root.state, best.problem, root.residual / best.scale(target), root.iterations)


def map_at(problem: Problem, target: FloatArray) -> AtomicLaw | None:
    """Limit map next to places (aux, *place), with its stability; None where there is none."""
    nodes = problem.auxiliary.nodes.size
    try:
        return polished(problem, Atoms(target, np.ones(nodes), np.arange(nodes + 1)))
    except StalledError:
        return None


@dataclass(frozen=True)
class Trial:
    """An amplitude that was tried; the growth rate of its map is NaN where no directions were found."""

    amplitude: float
    leading: float
    places: FloatArray

    @property
    def stable(self) -> bool:
        """Whether there is a map, and it is stable."""
        return self.leading < 0.0


@dataclass(frozen=True)
class Least:
    """The least amplitude, down to which the map stays stable, and all that were tried on the way.

    ``amplitude`` is None where no amplitude had a stable map; ``reason`` says what ends the branch.
    """

    amplitude: float | None
    trials: tuple[Trial, ...]
    reason: str


def most_amplitude(problem: Problem) -> float:
    """Largest amplitude that is tried: as far as exponents β‖B‖(|x| + a)² of unnormalised attention may go.

    Raises
    ------
    InputError
        Where there is none.
    """
    steepest = max(head.beta * float(np.linalg.norm(head.metric, 2)) for head in problem.attention.heads)
    if problem.attention.normalization != "none" or steepest == 0.0:
        return LARGEST
    most = math.sqrt(STEEPEST / steepest) - problem.space.radius
    if most < FIRST:
        raise InputError(
            f"[attention] beta: unnormalised attention overflows with an encoding of length {FIRST:g}; "
            "lower beta or use normalization = 'softmax'"
        )
    return min(LARGEST, most)


def least_amplitude(
    problem: Problem, target: FloatArray, progress: Callable[[float], None] = lambda _: None
) -> Least:
    """Follow the branch of stable designed maps downwards in the amplitude, to where it ends.

    The first stable one of the amplitudes ½, 1, 2, … is where it begins; each solution is the start of the
    next. It ends where an eigenvalue crosses zero, or where no directions solve the equations any more.
    """
    trials: list[Trial] = []

    def tried(amplitude: float, start: FloatArray | None) -> Trial:
        progress(amplitude)
        trials.append(_trial(problem, target, amplitude, start))
        return trials[-1]

    amplitude, most = FIRST, most_amplitude(problem)
    found = tried(amplitude, None)
    while not found.stable and 2.0 * amplitude <= most:
        amplitude *= 2.0
        found = tried(amplitude, None)
    if not found.stable:
        return Least(None, tuple(trials), f"no amplitude up to {amplitude:g} has a stable map")
    below = tried(STEP * found.amplitude, found.places)
    while below.stable and below.amplitude > 1e-3 * FIRST:
        found, below = below, tried(STEP * below.amplitude, below.places)
    if below.stable:
        return Least(below.amplitude, tuple(trials), "the map is stable at every amplitude that was tried")
    while found.amplitude - below.amplitude > RELATIVE * found.amplitude:
        middle = tried(_between(below, found), found.places)
        found, below = (middle, below) if middle.stable else (found, middle)
    reason = "no directions solve the equations" if np.isnan(below.leading) else "the map is unstable"
    return Least(found.amplitude, tuple(trials), f"below it {reason}")


def _trial(problem: Problem, target: FloatArray, amplitude: float, start: FloatArray | None) -> Trial:
    found = solved(problem, Directions(amplitude), target, start)
    law = None if found.failure else map_at(found.problem, target)
    if law is None:
        return Trial(amplitude, np.nan, found.places)
    return Trial(amplitude, 0.0 if law.neutral else law.leading, found.places)  # zero to rounding error


def _between(below: Trial, above: Trial) -> float:
    """Amplitude where the growth rate would vanish, were it linear, and not too near either end."""
    share = 0.5
    if np.isfinite(below.leading):
        share = float(np.clip(below.leading / (below.leading - above.leading), 0.05, 0.95))
    return below.amplitude + share * (above.amplitude - below.amplitude)
