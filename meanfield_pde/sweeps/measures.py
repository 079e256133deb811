"""What is measured at a point of a sweep: numbers and words of the limit, solution or training there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents.sweep import MEASURES, WORDS, rule_of
from meanfield_pde.errors import ComputationError

if TYPE_CHECKING:
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Record

__all__ = ["measured"]


def measured(of: str, problem: Problem, threads: int) -> dict[str, float | str]:
    """Compute what a sweep is of, and return its measures by name; NaN where there is no such thing.

    Raises
    ------
    InputError, ComputationError
        As what is computed; what was reached is no result. A measure is what it cannot be.
    """
    known = _COMPUTED[of](problem, threads)
    numbers = {name: _number(known.get(name)) for name in MEASURES[of]}
    for name, value in numbers.items():
        rule, kept = rule_of(name, np.array(value))
        if not kept:
            raise ComputationError(f"sweep: {name} must be {rule}, got {value:g}")
    return numbers | {name: str(known.get(name) or "") for name in WORDS[of]}


def _limit(problem: Problem, threads: int) -> dict[str, Any]:
    from meanfield_pde import api

    return api.limit(problem, threads=threads).summary()


def _solved(problem: Problem, threads: int) -> dict[str, Any]:
    from meanfield_pde.evolution import solve

    solution = solve(problem, threads=threads)
    clusters = {"clusters": solution.cluster_count[-1]} if "cluster_count" in solution.record else {}
    return {**_spread(problem, solution.record), **solution.summary(), **clusters}


def _trained(problem: Problem, threads: int) -> dict[str, Any]:
    import meanfield_pde

    known: dict[str, Any] = meanfield_pde.train(problem, threads=threads).summary()
    last = {name: known[f"final_{name}"] for name in ("order_parameter", "free_energy")}
    return {**known, **last}


_COMPUTED = {"limit": _limit, "solve": _solved, "train": _trained}


def _spread(problem: Problem, record: Record) -> dict[str, float]:
    """Distance to a Dirac mass and effective rank of the last token marginal."""
    from meanfield_pde.limits.comparison import last_marginal
    from meanfield_pde.limits.measures import spread

    return spread(problem.space, last_marginal(problem.space, record))


def _number(value: Any) -> float:
    """Return a number or truth value as a float, NaN for nothing and for what is not finite."""
    known = math.nan if value is None else float(np.asarray(value))
    return known if math.isfinite(known) else math.nan
