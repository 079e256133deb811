"""The limiting distribution of a problem: what its flow tends to, with the limit map that goes with it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.evolution import fitting_threads, limited
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.limits.directions import directed
from meanfield_pde.limits.flow import follow
from meanfield_pde.limits.law import AtomicLaw, polished
from meanfield_pde.limits.linear_theory import Growth, growth_rates
from meanfield_pde.limits.settling import settle
from meanfield_pde.limits.small_noise import Rung, small_noise
from meanfield_pde.limits.unsettled import UnsettledError
from meanfield_pde.spaces import Atoms
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.limits.stationary import Stationary
    from meanfield_pde.methods import State
    from meanfield_pde.problem import Problem

__all__ = ["Found", "LimitMap", "Search", "find"]

#: Limit maps that differ by less, radians, are one.
SAME = 1e-6


@dataclass(frozen=True)
class Search:
    """How to look for limits.

    Parameters
    ----------
    starts, seed
        Number of initial laws: that of the problem, and others of one token at every node, drawn from it.
    halvings
        With noise: how often it is halved, to see the approach to the limit map.
    start
        Angles (aux,) near a limit map that is to be found, instead of following the initial law.
    """

    starts: int = 1
    seed: int = 0
    halvings: int = 0
    start: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise InputError(f"limit: starts must be at least 1, got {self.starts}")
        if not 0 <= self.halvings <= 20:
            raise InputError(f"limit: halvings must be from 0 to 20, got {self.halvings}")


@dataclass(frozen=True)
class LimitMap:
    """A limit law that several starts found, and how many of them did."""

    law: AtomicLaw
    starts: int


@dataclass
class Found:
    """What was found of the limit of a problem.

    Parameters
    ----------
    law
        The limit law without noise, None where it is not known; ``reason`` says why.
    density
        With noise: the stationary density.
    state
        Where the flow did not come to rest: how far it came.
    maps
        All limit laws of all starts, the most frequent first.
    failed
        Starts that found none.
    """

    problem: Problem
    law: AtomicLaw | None = None
    density: Stationary | None = None
    state: State | None = None
    growth: Growth | None = None
    maps: list[LimitMap] = field(default_factory=list)
    failed: int = 0
    rungs: list[Rung] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0


def find(
    problem: Problem,
    search: Search,
    threads: int | None = None,
    between: Callable[[str, float], None] = lambda *_: None,
) -> Found:
    """Find the limit; what fails is told in ``reason``, with ``state`` and without ``law`` or ``density``.

    ``between`` is called often with what is being done and the depth; it may raise to interrupt.
    """
    began = time.perf_counter()
    found = Found(problem)
    with limited(threads or fitting_threads(problem)):
        try:
            found.growth = growth_rates(problem)
            _find(found, search, between)
        except UnsettledError as error:
            found.reason, found.state = str(error), error.state
        _others(found, search, between)
    found.seconds = time.perf_counter() - began
    return found


def _find(found: Found, search: Search, between: Callable[[str, float], None]) -> None:
    problem = found.problem
    still = replace(problem, sigma=0.0, method="auto")
    if problem.sigma == 0.0:
        found.law = _law(still, search.start, between)
        return
    found.density = settle(problem, lambda depth: between("stationary density", depth)).stationary
    try:
        found.law = _law(still, search.start if search.start is not None else _means(found.density), between)
    except (UnsettledError, ComputationError) as error:
        found.reason = str(error)
    is_map = found.law is not None and found.law.is_map and bool((found.law.curvature > 0.0).all())
    if search.halvings and is_map and found.law is not None:
        for rung in small_noise(problem, found.law, found.density, search.halvings):
            found.rungs.append(rung)


def _means(density: Stationary) -> FloatArray | None:
    """Directions of the conditional means, None where one has none to speak of."""
    space = density.equation.space
    moments = space.first_moment(density.coefficients)
    return space.locate(moments) if directed(space, np.linalg.norm(moments, axis=1)) else None


def _law(still: Problem, start: FloatArray | None, between: Callable[[str, float], None]) -> AtomicLaw:
    """Limit law near a start if it is stable, else that of the initial law."""
    if start is not None:
        nodes = still.auxiliary.nodes.size
        try:
            law = polished(still, Atoms(start, np.ones(nodes), np.arange(nodes + 1)))
        except StalledError:
            pass
        else:
            if law.stable:
                return law
    return follow(still, lambda depth: between("limit map", depth)).law


def _others(found: Found, search: Search, between: Callable[[str, float], None]) -> None:
    """Limit laws of further starts, equal ones counted together."""
    if search.starts == 1:
        return
    maps = [] if found.law is None else [LimitMap(found.law, 1)]
    found.failed = int(found.law is None)
    still = replace(found.problem, sigma=0.0, method="auto")
    for number in range(1, search.starts):
        drawn = replace(still, initial=_drawn(still, search.seed + number))
        task = f"start {number + 1} of {search.starts}"
        try:
            law = follow(drawn, partial(between, task)).law
        except ComputationError:
            found.failed += 1
            continue
        index = next((k for k, known in enumerate(maps) if _same(law, known.law)), None)
        if index is None:
            maps.append(LimitMap(law, 1))
        else:
            maps[index] = replace(maps[index], starts=maps[index].starts + 1)
    found.maps = sorted(maps, key=lambda one: -one.starts)


def _drawn(problem: Problem, seed: int) -> Initial:
    """One token at every node, drawn from its initial law."""
    rng = np.random.default_rng(seed)
    auxiliary, tokens = problem.auxiliary, problem.initial.tokens
    levels = rng.random(auxiliary.nodes.size)
    if tokens is not None:
        shape = (auxiliary.nodes.size, tokens.places.shape[1])
        masses = np.broadcast_to(tokens.masses / tokens.masses.sum(axis=1, keepdims=True), shape)
        chosen = (np.cumsum(masses, axis=1) < levels[:, None]).sum(axis=1).clip(max=shape[1] - 1)
        everywhere = np.broadcast_to(tokens.places, (*shape, *tokens.places.shape[2:]))
        places = everywhere[np.arange(shape[0]), chosen][:, None]
        return replace(problem.initial, tokens=Tokens(places, np.ones((shape[0], 1))))
    space = problem.space.at_least(3 * problem.initial.degree)
    coefficients = problem.initial.coefficients(space, auxiliary)
    places = []
    for row, level in zip(coefficients, levels, strict=True):
        points, masses = space.equivalent(row)
        below = np.cumsum(masses / masses.sum())
        places.append(points[min(int(np.searchsorted(below, level, side="right")), masses.size - 1)])
    return Initial(
        problem.initial.profile, tokens=Tokens(np.array(places)[:, None], np.ones((len(places), 1)))
    )


def _same(first: AtomicLaw, second: AtomicLaw) -> bool:
    """Whether two laws agree, up to a common rotation where one is neutral."""
    if not np.array_equal(first.system.starts, second.system.starts):
        return False
    space = first.system.problem.space
    if first.neutral and second.neutral:
        apart = space.apart(first.places, second.places)
    else:
        apart = float(space.distance(first.places, second.places).max())
    masses = np.abs(first.system.masses - second.system.masses).max()
    return bool(apart < SAME and masses < SAME)
