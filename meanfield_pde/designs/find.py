"""Design what is asked for, and test it: directions, prompts or positions, stability, forward runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde.designs import rotary
from meanfield_pde.designs.solving import Least, Solved, least_amplitude, map_at, most_amplitude, solved
from meanfield_pde.designs.unknowns import Directions, Prompts
from meanfield_pde.designs.verification import Run, forward, law_distance, near
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.evolution import fitting_threads, limited
from meanfield_pde.limits.measures import Tokens
from meanfield_pde.limits.tokens import DENSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.designs.targets import Target
    from meanfield_pde.limits.law import AtomicLaw
    from meanfield_pde.problem import Problem

__all__ = ["REACHED", "Designed", "Wanted", "find"]

#: W₂ of a forward run to the atoms of the target, radians, below which it came there.
REACHED = 1e-4
#: W₂ between the limit map and the atoms of the target that rounding leaves.
SAME = 1e-8
#: Growth rate that sets the depth of the forward run where no stable map is known.
UNKNOWN_RATE = -0.1
#: Mean tokens of a node shorter than this are those of several clusters: their direction is no place of rest.
GATHERED = 0.99
#: Amplitudes that are advised are larger than the least by this factor: there the map is barely stable.
ADVISED = 1.1

Kind = Literal["additive", "prompt", "rotary"]


@dataclass(frozen=True)
class Wanted:
    """What is to be designed.

    Parameters
    ----------
    kind
        "additive", "prompt" or "rotary".
    target
        Law of the tokens that is to be reached.
    amplitude, margin, least
        Of additive encodings: |p|, or None for the least one that has a stable map, times 1 + margin; whether
        the least is looked for in any case.
    fraction
        Share of the prompt in what is attended to.
    frequency
        Of rotary encodings, radians per unit of z.
    """

    kind: Kind
    target: Target
    amplitude: float | None = None
    margin: float = 0.2
    least: bool = False
    fraction: float = 0.5
    frequency: float = 1.0


@dataclass
class Designed:
    """What was found.

    Parameters
    ----------
    found
        The unknowns and the problem with them.
    target_map
        Atoms that stand for the target, one a node, (aux, *place).
    law
        Limit map next to the target; None where there is none.
    runs
        Forward runs: from the initial law, and where that went elsewhere, from near the map.
    turned
        Angle by which the initial law has to be turned for the target to be reached (rotary).
    rotation
        Angle by which the runs were turned where the initial law could not be.
    failure
        Why the target is not reached; empty where it is.
    """

    wanted: Wanted
    found: Solved
    target_map: FloatArray
    amplitude: float | None = None
    law: AtomicLaw | None = None
    least: Least | None = None
    runs: list[Run] = field(default_factory=list)
    turned: float = 0.0
    rotation: float = 0.0
    failure: str = ""
    seconds: float = 0.0

    @property
    def problem(self) -> Problem:
        """The problem with the design."""
        return self.found.problem

    @property
    def weights(self) -> FloatArray:
        """Masses of the atoms of the target."""
        return self.problem.auxiliary.weights

    def atoms(self) -> Tokens | None:
        """Limit law as places and masses."""
        return None if self.law is None else Tokens.of_atoms(self.problem.auxiliary, self.law.atoms)

    def apart(self, order: int) -> float:
        """W_order between the limit map and the atoms of the target; without a map that of the best run."""
        tokens, run = self.atoms(), self.best_run
        if tokens is None:
            return float("nan") if run is None else self.run_apart(run, order)
        space = self.problem.space
        own = self.weights @ space.distance(tokens.places, self.target_map) ** order
        if own <= SAME**order:  # a plan of transport that costs no more than rounding
            return float(own ** (1.0 / order))
        return law_distance(space, (tokens.places, tokens.masses), (self.target_map, self.weights), order)

    def run_apart(self, run: Run, order: int = 2) -> float:
        """W_order between a forward run and the atoms of the target."""
        return run.distance(self.problem.space, self.target_map, self.weights, order)

    @property
    def best_run(self) -> Run | None:
        """The run from the initial law where it came to the target, else the one that came nearest."""
        return min(self.runs, key=self.run_apart, default=None)

    @property
    def stable(self) -> bool:
        """Whether the limit map is that of the target, and every perturbation decays.

        But for a common rotation of rotary designs, which nothing but the initial law decides.
        """
        if self.law is None or self.found.failure:
            return False
        free = self.wanted.kind == "rotary" and rotary.is_free(self.problem)
        return self.law.stable and self.law.neutral <= int(free)

    @property
    def reached(self) -> bool:
        """Whether the target is reached, and a forward run says so."""
        return not self.failure


def find(
    problem: Problem,
    wanted: Wanted,
    turn: Callable[[Problem, float], Problem | None],
    threads: int | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> Designed:
    """Design and test; why the target is not reached is told in ``failure``.

    ``turn`` gives the problem with its initial law turned by an angle, None where that cannot be said in a
    configuration.

    Raises
    ------
    InputError
        When the design does not suit the problem.
    """
    began = time.perf_counter()
    with limited(threads or fitting_threads(problem)):
        progress("target", 0.0)
        designed = _designed(replace(problem, sigma=0.0), wanted, progress)
        designed.law = map_at(designed.problem, designed.target_map)
        designed.failure = _shortcoming(designed, progress)
        _verify(designed, turn, progress)
    designed.seconds = time.perf_counter() - began
    return designed


def _designed(problem: Problem, wanted: Wanted, progress: Callable[[str, float], None]) -> Designed:
    space, nodes = problem.space, problem.auxiliary.nodes.size
    if space.name == "zonal":
        raise InputError('design: laws on zonal spheres keep their axis; use space "sphere"')
    target = wanted.target.quantised(problem.auxiliary)
    if wanted.kind == "rotary":
        return Designed(wanted, rotary.positions(problem, target, wanted.frequency), target)
    if nodes * space.frame.shape[1] > DENSE:
        raise InputError(
            f"{problem.label}: [auxiliary] nodes: must be at most {DENSE // space.frame.shape[1]} "
            f"for a design, got {nodes}"
        )
    if wanted.kind == "prompt":
        return Designed(wanted, solved(problem, Prompts(wanted.fraction), target), target)
    return _additive(problem, wanted, target, progress)


def _additive(
    problem: Problem, wanted: Wanted, target: FloatArray, progress: Callable[[str, float], None]
) -> Designed:
    least, most = None, most_amplitude(problem)
    if wanted.amplitude is not None and wanted.amplitude > most and problem.attention.normalization == "none":
        raise InputError(
            f"{problem.label}: [design] amplitude: must be at most {most:.4g} for unnormalised attention, "
            f"which overflows beyond, got {wanted.amplitude:g}"
        )
    if wanted.amplitude is None or wanted.least:
        least = _least(problem, target, progress)
    amplitude = wanted.amplitude
    if amplitude is None:
        known = None if least is None else least.amplitude
        # Without any stable map, the best found is that of the largest amplitude that was tried.
        amplitude = (1.0 + wanted.margin) * known if known is not None else _largest(least)
    progress("directions", amplitude)
    found = solved(problem, Directions(amplitude), target)
    if found.failure and least is not None:
        found = _from_trials(problem, target, amplitude, least, found)
    return Designed(wanted, found, target, amplitude, least=least)


def _least(problem: Problem, target: FloatArray, progress: Callable[[str, float], None]) -> Least:
    return least_amplitude(problem, target, lambda amplitude: progress("least amplitude", amplitude))


def _largest(least: Least | None) -> float:
    return max((trial.amplitude for trial in least.trials), default=1.0) if least is not None else 1.0


def _from_trials(
    problem: Problem, target: FloatArray, amplitude: float, least: Least, otherwise: Solved
) -> Solved:
    """Start from the directions of the nearest amplitude that has some."""
    there = [trial for trial in least.trials if np.isfinite(trial.leading)]
    if not there:
        return otherwise
    nearest = min(there, key=lambda trial: abs(trial.amplitude - amplitude))
    found = solved(problem, Directions(amplitude), target, nearest.places)
    return otherwise if found.failure else found


def _shortcoming(designed: Designed, progress: Callable[[str, float], None]) -> str:
    """Why the limit map is not the target, with what to change; empty where it is."""
    found, law, kind = designed.found, designed.law, designed.wanted.kind
    if found.failure:
        what = "directions" if kind == "additive" else "prompts"
        reason = f"no {what} keep tokens at rest at the target (residual {found.residual:.3g})"
    elif law is None:
        reason = "there is no limit map next to the target"
    elif not designed.apart(2) <= SAME:
        reason = f"the limit map leaves the target by W2 = {designed.apart(2):.3g}"
    elif law.stable and not designed.stable:
        reason = f"nothing brings tokens back to the target along {law.neutral} directions"
    elif not law.stable:
        reason = f"the map onto the target is unstable (leading growth rate {law.leading:.4g})"
    else:
        return ""
    if kind == "additive":
        if designed.least is None:
            designed.least = _least(designed.problem, designed.target_map, progress)
        least = designed.least.amplitude
        if least is None:
            bare = designed.problem.attention.values == "token"
            change = 'set attention.values = "encoded"' if bare else "raise attention.beta"
            return f"{reason}; {designed.least.reason}: {change}, or use another target"
        return (
            f"{reason}; raise design.amplitude to at least {ADVISED * least:.4g} (the least is {least:.6g})"
        )
    if kind == "prompt":
        return f'{reason}; raise design.fraction, or use attention.bias = "within"'
    return f"{reason}; use another encoding"


def _verify(
    designed: Designed,
    turn: Callable[[Problem, float], Problem | None],
    progress: Callable[[str, float], None],
) -> None:
    """Run from the initial law, and from near the map where that does not come to the target."""
    leading = designed.law.leading if designed.stable and designed.law is not None else UNKNOWN_RATE
    free = designed.wanted.kind == "rotary" and rotary.is_free(designed.problem)

    def run(problem: Problem, start: str, *, exact: bool = False) -> Run | None:
        try:
            return forward(problem, start, leading, lambda depth: progress("forward run", depth), exact=exact)
        except (ComputationError, InputError):
            return None  # a run that cannot begin shows nothing

    first = run(designed.problem, "initial", exact=free)
    if first is not None and free:
        first = _aligned(designed, first, turn, run)
    if first is not None:
        designed.runs.append(first)
        if designed.run_apart(first) <= REACHED or designed.failure:
            return
    second = run(near(designed.problem, designed.target_map), "near")
    if second is not None:
        designed.rotation = _turn_of(designed, second) if free else 0.0
        designed.runs.append(second.turned(-designed.rotation) if free else second)
    best = designed.best_run
    if not designed.failure and (best is None or designed.run_apart(best) > REACHED):
        far = "none could be made" if best is None else f"W2 = {designed.run_apart(best):.3g} ({best.status})"
        rate = f"leading growth rate {leading:.3g}"
        designed.failure = f"the map is stable ({rate}), but no forward run comes to the target: {far}"


def _turn_of(designed: Designed, run: Run) -> float:
    """Mean angle by which the tokens of a run lie beside their targets."""
    beside = run.mean(designed.problem.space) - designed.target_map
    return float(
        np.angle(designed.weights @ (run.concentration(designed.problem.space) * np.exp(1j * beside)))
    )


def _aligned(
    designed: Designed,
    first: Run,
    turn: Callable[[Problem, float], Problem | None],
    run: Callable[..., Run | None],
) -> Run:
    """Turn the initial law so that the tokens come to the target; else the tokens of the run."""
    angle = _turn_of(designed, first)
    gathered = bool((first.concentration(designed.problem.space) > GATHERED).all())
    turned = turn(designed.problem, -angle) if gathered else None
    again = None if turned is None else run(turned, "initial", exact=True)
    if turned is None or again is None:
        designed.rotation = angle
        return first.turned(-angle)
    designed.turned = -angle
    designed.found = replace(designed.found, problem=turned)
    return again
