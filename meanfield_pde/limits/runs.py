"""Runs of characteristics that are examined at depths that double, until a limit law is certain."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.limits.basins import attracted, lone
from meanfield_pde.limits.gathering import gathered
from meanfield_pde.limits.law import AtomicLaw, polished
from meanfield_pde.limits.unsettled import UncertainError, UnsettledError
from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.methods.flow_maps import begun
from meanfield_pde.methods.labels import Cloud, Labels
from meanfield_pde.methods.quadrature import initial_labels
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.methods.flow_maps import FlowMap
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms

__all__ = ["Brief", "Reached", "Run", "brief", "run"]

#: Depths at which the law is examined: the first in units of 1 / largest speed, then each twice the last.
FIRST, LATEST = 2.0, 2.0**24
#: Root mean square distance of the tokens of any node from their attractors, radians, from which Newton's
#: method is tried.
NEAR = 0.15
#: Farther than this, radians, Newton's method has left the basin.
FAR = 0.5
#: The flow has come so near to an unstable law that it stays there by symmetry.
AT_REST = 1e-7
#: Change of the masses of atoms between two depths that is no change.
SAME_MASS = 1e-9
#: Distance at which labels of contracted panels move as one, relative to the root of the error of a step:
#: what they do to the others changes by its square.
TOGETHER = 0.3
STEPS = 128
#: Labels of a node to begin with.
SPARSE = 32
#: Depth up to which labels that are not refined are followed, in units of 1 / largest speed, and how many
#: there are, at least, of all nodes.
BRIEFLY, ALTOGETHER = 2.0**8, 2048


@dataclass(frozen=True)
class Reached:
    """The limit law of an initial law; the depth at which it was certain, and how far tokens were from it."""

    law: AtomicLaw
    depth: float
    distance: float

    @property
    def by_history(self) -> bool:
        """Whether masses, or a place along a symmetry, depend on the whole history."""
        return not self.law.is_map or self.law.symmetries > 0


@dataclass(frozen=True)
class Brief:
    """What labels that are not refined have reached.

    ``lone`` says that the frozen velocity of every node has one attractor: all its tokens but one go there.
    """

    reached: Reached
    lone: bool


def run(problem: Problem, between: Callable[[float], None], settled: float = math.inf) -> Run:
    """Begin as the space asks for; on lines labels of contracted panels move as one."""
    method = begun(
        problem if problem.space.place else _sparse(problem, min(SPARSE, problem.space.resolution))
    )
    method.problem = problem
    if isinstance(method, Characteristics):
        method.together = TOGETHER * math.sqrt(method.step_tolerance)
    return Run(problem, method, between, settled)


def _sparse(problem: Problem, labels: int) -> Problem:
    """Begin with as few labels as resolve the initial densities: panels are halved where need be."""
    return replace(problem, space=problem.space.resized(min(labels, problem.accuracy.max_resolution)))


def brief(problem: Problem, share: float, between: Callable[[float], None]) -> Brief | None:
    """Follow labels that are not refined, ``share`` times as many as usual; None where nothing comes soon."""
    count = max(SPARSE, ALTOGETHER // problem.auxiliary.nodes.size)
    labels = initial_labels(_sparse(problem, int(share * count)))
    tokens = Labels.of_tokens(labels.places, labels.masses, labels.starts)
    method = Characteristics(problem, Cloud.start(tokens), float(problem.depths[0]))
    method.together = TOGETHER * math.sqrt(method.step_tolerance)
    try:
        reached = Run(problem, method, between, math.inf).reached(BRIEFLY)
    except UnsettledError:
        return None
    return Brief(reached, reached.law.stable and lone(method.field, reached.law.atoms))


class Run:
    """Characteristics, examined at depths that double.

    ``settled`` is the distance from the atoms at which masses and places along symmetries, which depend on
    the whole history, are known; infinite where they are not asked for.
    """

    def __init__(
        self, problem: Problem, method: FlowMap, between: Callable[[float], None], settled: float
    ) -> None:
        self.problem, self.method, self.between, self.settled = problem, method, between, settled
        self.masses: FloatArray | None = None
        self.reason = "its tokens do not come to rest"

    def reached(self, latest: float = math.inf) -> Reached:
        """Go on until a limit law is certain, up to a depth in units of 1 / largest speed."""
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
        while depth - start < min(latest, LATEST) / speed:
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
        if law.stable and not certain and self.settled < math.inf and not (same and distance < self.settled):
            raise UncertainError("the masses of its atoms, or its place along a symmetry, still change")

    def _same_masses(self, target: Atoms) -> bool:
        """Whether the masses of the atoms are those of the depth before."""
        before, self.masses = self.masses, target.masses
        return bool(
            before is not None
            and before.size == target.masses.size
            and np.abs(before - target.masses).max() < SAME_MASS
        )
