"""Follow an initial law without noise until its limit law is certain."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from meanfield_pde.limits.gathering import thinned
from meanfield_pde.limits.runs import Reached, brief, run
from meanfield_pde.problem import Accuracy

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.problem import Problem

__all__ = ["Reached", "follow"]

#: Tolerances of the first run: which attractor, not where exactly.
COARSE = Accuracy(1e-3, 1e-4)
#: Tolerances of the run that follows, relative to those of the problem, and at most: masses of atoms, and
#: places along a symmetry, are still within rtol (measured on rings: masses to 0.06 of it, places to 0.01).
EASED, EASIEST = 3.0, 1e-4
#: Square, relative to rtol, of the distance at which what the linearised flow conserves is known well enough.
SETTLED = 0.04
#: Tokens that stand for smooth laws where places are vectors, and the coarsest grid that they are taken from:
#: to tell which attractors, and which share of mass.
FEW, MANY = (1000, 2), (2000, 3)
#: Shares of the usual number of labels in two runs that do not refine them; how far their maps may differ.
SHARES, SAME = (0.5, 1.0), 1e-6


def follow(problem: Problem, between: Callable[[float], None] = lambda _: None) -> Reached:
    """Limit law that the flow without noise tends to from the initial law of a problem.

    On lines two short runs with labels that are not refined find it, where both come to the same map whose
    frozen velocity has one attractor at every node: there is nowhere else to go. Otherwise a run of low
    accuracy does, unless the problem asks for no better. Where masses of several atoms, or a place along a
    symmetry, depend on the whole history, a run of the problem's own accuracy follows.

    Raises
    ------
    UnsettledError
        When there is none: the law does not contract to atoms that rest, or not within depth 2²⁴ / speed.
    """
    still = replace(problem, sigma=0.0, method="characteristics")
    asked = problem.accuracy
    rough = replace(asked, rtol=max(COARSE.rtol, asked.rtol), atol=max(COARSE.atol, asked.atol))
    coarse = replace(still, accuracy=rough)
    reached = (_on_surface if still.space.place else _on_line)(still, coarse, between)
    return replace(reached, law=reached.law.of(replace(problem, sigma=0.0)))


def _settled(problem: Problem) -> float:
    return math.sqrt(SETTLED * problem.accuracy.rtol)


def _on_surface(still: Problem, coarse: Problem, between: Callable[[float], None]) -> Reached:
    fine, settled = thinned(still, *MANY), _settled(still)
    if fine is not still and _tokens(fine) > MANY[0]:
        # Nodes are so many that each has the tokens of the coarsest grid alone: masses of atoms are known to
        # a percent or so, and one run of low accuracy is as good.
        return run(replace(fine, accuracy=coarse.accuracy), between, settled).reached()
    reached = run(thinned(coarse, *FEW), between).reached()
    return run(fine, between, settled).reached() if reached.by_history else reached


def _on_line(still: Problem, coarse: Problem, between: Callable[[float], None]) -> Reached:
    reached = None if still.initial.tokens is not None else _soon(coarse, between)
    fine, settled = _eased(still), _settled(still)
    if reached is None and fine.accuracy.rtol < coarse.accuracy.rtol:
        reached = run(coarse, between).reached()
    return run(fine, between, settled).reached() if reached is None or reached.by_history else reached


def _soon(coarse: Problem, between: Callable[[float], None]) -> Reached | None:
    """Find what two short runs agree about, or what depends on the whole history; None where neither."""
    first = brief(coarse, SHARES[0], between)
    if first is None or first.reached.by_history:
        return None if first is None else first.reached
    second = brief(coarse, SHARES[1], between) if first.lone else None
    if second is None or second.reached.by_history or not second.lone:
        return None
    laws = first.reached.law, second.reached.law
    apart = coarse.space.distance(laws[0].places, laws[1].places).max()
    return first.reached if apart < SAME else None


def _eased(problem: Problem) -> Problem:
    """Ease the tolerances."""
    rtol = problem.accuracy.rtol
    factor = max(1.0, min(EASED, EASIEST / rtol))
    atol = min(factor * problem.accuracy.atol, 0.1)
    return replace(problem, accuracy=replace(problem.accuracy, rtol=factor * rtol, atol=atol))


def _tokens(problem: Problem) -> int:
    """Count the initial tokens of all nodes."""
    tokens = problem.initial.tokens
    return 0 if tokens is None else tokens.masses.size
