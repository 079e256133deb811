"""Follow an initial law without noise until its limit law is certain."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.limits.basins import attracted
from meanfield_pde.limits.gathering import gathered, thinned
from meanfield_pde.limits.law import AtomicLaw, polished
from meanfield_pde.limits.unsettled import UncertainError, UnsettledError
from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.methods.flow_maps import begun
from meanfield_pde.problem import Accuracy
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.methods.flow_maps import FlowMap
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms

__all__ = ["Reached", "follow"]

#: Tolerances of the first run: which attractor, not where exactly.
COARSE = Accuracy(1e-3, 1e-4)
#: Tolerances of the run that follows, relative to those of the problem: masses of atoms, and places along a
#: symmetry, are then well within rtol (measured on rings: 1e-3 of it).
EASED = 30.0
#: Depths at which the law is examined: the first in units of 1 / largest speed, then each twice the last.
FIRST, LATEST = 2.0, 2.0**24
#: Root mean square distance of the tokens of any node from their attractors, radians, from which Newton's
#: method is tried.
NEAR = 0.15
#: Farther than this, radians, Newton's method has left the basin.
FAR = 0.5
#: The flow has come so near to an unstable law that it stays there by symmetry.
AT_REST = 1e-7
#: Distance at which what the linearised flow conserves is known to its square, as good as tolerances ask.
SETTLED = 2e-5
#: Change of the masses of atoms between two depths that is no change.
SAME_MASS = 1e-9
#: Distance at which labels of contracted panels move as one, relative to the root of the error of a step:
#: what they do to the others changes by its square.
TOGETHER = 0.3
STEPS = 128
#: Labels of a node to begin with.
SPARSE = 32
#: Tokens that stand for smooth laws where places are vectors, and the coarsest grid that they are taken from:
#: to tell which attractors, and which share of mass.
FEW, MANY = (1000, 2), (2000, 3)


@dataclass(frozen=True)
class Reached:
    """The limit law of an initial law; the depth at which it was certain, and how far tokens were from it."""

    law: AtomicLaw
    depth: float
    distance: float


def follow(problem: Problem, between: Callable[[float], None] = lambda _: None) -> Reached:
    """Limit law that the flow without noise tends to from the initial law of a problem.

    A run of low accuracy finds it. Where masses of several atoms, or a place along a symmetry, depend on the
    whole history, a run of the problem's own accuracy follows.

    Raises
    ------
    UnsettledError
        When there is none: the law does not contract to atoms that rest, or not within depth 2²⁴ / speed.
    """
    still = replace(problem, sigma=0.0, method="characteristics")
    coarse = replace(still, accuracy=replace(COARSE, max_resolution=problem.accuracy.max_resolution))
    reached = _reached(still, coarse, between)
    return replace(reached, law=reached.law.of(replace(problem, sigma=0.0)))


def _reached(still: Problem, coarse: Problem, between: Callable[[float], None]) -> Reached:
    vectors = bool(still.space.place)
    fine = thinned(still, *MANY) if vectors else still
    if fine is not still and _tokens(fine) > MANY[0]:
        # Nodes are so many that each has the tokens of the coarsest grid alone: masses of atoms are known to
        # a percent or so, and one run of low accuracy is as good.
        return _run(replace(fine, accuracy=coarse.accuracy), between, exact=True).reached()
    reached = _run(thinned(coarse, *FEW) if vectors else coarse, between, exact=False).reached()
    if reached.law.is_map and not reached.law.symmetries:
        return reached
    return _run(_eased(fine), between, exact=True).reached()


def _eased(problem: Problem) -> Problem:
    """Ease the tolerances of lines; on surfaces few tokens stand for the law anyway."""
    if problem.space.place:
        return problem
    accuracy = problem.accuracy
    rtol, atol = min(EASED * accuracy.rtol, COARSE.rtol), min(EASED * accuracy.atol, COARSE.atol)
    eased = replace(accuracy, rtol=max(rtol, accuracy.rtol), atol=max(atol, accuracy.atol))
    return replace(problem, accuracy=eased)


def _tokens(problem: Problem) -> int:
    """Count the initial tokens of all nodes."""
    tokens = problem.initial.tokens
    return 0 if tokens is None else tokens.masses.size


def _run(problem: Problem, between: Callable[[float], None], *, exact: bool) -> _Run:
    """Begin as the space asks for; on lines labels of contracted panels move as one."""
    method = begun(problem if problem.space.place else _sparse(problem))
    method.problem = problem
    if isinstance(method, Characteristics):
        method.together = TOGETHER * math.sqrt(method.step_tolerance)
    return _Run(problem, method, between, exact=exact)


def _sparse(problem: Problem) -> Problem:
    """Begin with as few labels as resolve the initial densities: panels are halved where need be."""
    return replace(problem, space=problem.space.resized(min(SPARSE, problem.space.resolution)))


class _Run:
    """Characteristics, examined at depths that double."""

    def __init__(
        self, problem: Problem, method: FlowMap, between: Callable[[float], None], *, exact: bool
    ) -> None:
        self.problem, self.method, self.between, self.exact = problem, method, between, exact
        self.masses: FloatArray | None = None
        self.reason = "its tokens do not come to rest"

    def reached(self) -> Reached:
        """Go on until a limit law is certain."""
        depth = start = self.method.depth
        speed = self._speed()
        if not speed > 1e-12:
            if self.problem.initial.tokens is not None:
                return Reached(polished(self.problem, self.method.cloud.atoms), depth, 0.0)
            raise UnsettledError(
                "limit: the initial law does not move, and is no sum of atoms; "
                "perturb it ([initial] perturbation = 1e-3), or give another one",
                self.method.state(),
            )
        step = FIRST / speed
        while depth - start < LATEST / speed:
            depth = start + step
            self._advance(depth)
            found = self._examined()
            if found is not None:
                return found
            step *= 2.0
        raise UnsettledError(
            f"limit: there is no limit map up to depth {depth:.4g}: {self.reason}", self.method.state()
        )

    def _speed(self) -> float:
        velocity = self.method.rate(self.method.depth, self.method.cloud.positions.ravel())
        return float(np.abs(velocity).max())

    def _advance(self, depth: float) -> None:
        while True:
            reason = self.method.advance(depth, STEPS)
            self.between(self.method.depth)
            if reason == "reached":
                return
            if reason == "guard":
                finest = self.problem.accuracy.max_resolution
                raise UnsettledError(
                    f"limit: the flow map needs more than solver.max_resolution = {finest} labels per node "
                    f"at depth {self.method.depth:.4g}; raise it, or start from smoother laws",
                    self.method.state(),
                )
            if reason == "underflow":
                raise UnsettledError(
                    f"limit: steps vanish at depth {self.method.depth:.4g}: lower beta", self.method.state()
                )

    def _examined(self) -> Reached | None:
        """Limit law that the tokens are certain to reach from here, else None, and the reason is kept."""
        try:
            target, distance = self._gathered()
            law, moved = self._polished(target)
            self._check(law, target, distance + moved)
        except UncertainError as doubt:
            self.reason = str(doubt)
            return None
        return Reached(law, self.method.depth, distance)

    def _gathered(self) -> tuple[Atoms, float]:
        """Attractors with the masses of their basins, and how far the tokens of any node are from them."""
        atoms = self.method.cloud.atoms
        if isinstance(self.method, Characteristics):
            found = attracted(self.method.field, atoms)
            if found is None:
                raise UncertainError("the velocity of some node has no attractor (a rotating flow)")
        else:
            found = gathered(self.problem.space, atoms)
        target, distances = found
        distance = float(np.sqrt(atoms.sums(distances**2).max()))
        if distance > NEAR:
            self.masses = target.masses
            raise UncertainError(f"tokens are {distance:.2g} rad from their attractors")
        return target, distance

    def _polished(self, target: Atoms) -> tuple[AtomicLaw, float]:
        """Law near the attractors, and the farthest that Newton's method moved one."""
        try:
            law = polished(self.problem, target)
        except StalledError as error:
            raise UncertainError(f"Newton's method stalls ({error})") from error
        moved = float(self.problem.space.distance(law.places, target.places).max())
        if moved > FAR:
            raise UncertainError("Newton's method finds but distant limit laws")
        return law, moved

    def _check(self, law: AtomicLaw, target: Atoms, distance: float) -> None:
        """Refuse a law that the flow may leave again, or that is not known well enough yet."""
        same = self._same_masses(target)
        if not law.stable and distance > AT_REST:
            raise UncertainError(f"it passes an unstable limit law (growth rate {law.leading:.3g})")
        certain = law.is_map and not law.symmetries
        if law.stable and self.exact and not certain and not (same and distance < SETTLED):
            raise UncertainError("the masses of its atoms, or its place along a symmetry, still change")

    def _same_masses(self, target: Atoms) -> bool:
        """Whether the masses of the atoms are those of the depth before."""
        before, self.masses = self.masses, target.masses
        return bool(
            before is not None
            and before.size == target.masses.size
            and np.abs(before - target.masses).max() < SAME_MASS
        )
