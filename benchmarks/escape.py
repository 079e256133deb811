"""``python -m benchmarks escape [--write]``: for which λ and depth tokens escape from their cluster.

Local optima of the escape problem are followed by warm starts: over λ at depth 12; over depth at λ = 0.05;
and for several depths over λ up to where there is no escape any more, and down to where tokens cannot stay
clustered. Both exist in between, and have the same J at λ*. Beside them the change of optimal losses by finer
grids and half as long steps, and by other starts at λ = 5.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context

import numpy as np

from benchmarks import escape_figure, escape_problem
from benchmarks.escape_branches import Optimum, crossing, end, followed, lengthened, optimum, stretched
from benchmarks.results import FOLDER, Record, markdown, options, publish
from meanfield_pde.training.train import History, train

PROCESSES = 2
#: λ of the curves at depth 12, and of branches at other depths.
FINE, COARSE = np.geomspace(0.02, 1.0, 18), np.geomspace(0.05, 1.0, 7)
#: Halvings of what is between two of the latter where a branch ends.
HALVINGS = 2
#: Depths from 12 on and down from there.
LONGER, SHORTER = (14.0, 16.0, 20.0, 24.0, 32.0, 48.0, 64.0), (11.2, 10.4, 9.6, 8.8, 8.0, 7.2)
#: Depths of the phase diagram at most: beyond, nothing depends on depth.
DEEPEST = 20.0


@dataclass(frozen=True)
class Phases:
    """λ at a depth where escape ends, where staying clustered ends, and where both have the same J.

    Ends are pairs: the last λ at which there is an optimum and the first at which there is none.
    """

    depth: float
    escape: tuple[float, float]
    clustered: tuple[float, float]
    equal: float


def over_depth(first: Optimum, depths: tuple[float, ...]) -> list[Optimum]:
    """Optima of the kind of the first, each from the last."""
    found = [first]
    for depth in depths:
        here = lengthened(found[-1], depth)
        if here.kind != first.kind:
            break
        found.append(here)
    return found


def phases(escape: Optimum | None, depth: float) -> Phases:
    """Follow both branches at a depth, that of escape from an optimum at λ = 0.05 where there is one."""
    staying = followed(optimum(depth, 1.0), COARSE[-2::-1])
    last = next_below(staying[-1])
    lowest = end(staying[-1], last, HALVINGS) if last >= COARSE[0] else (staying[-1], 0.0)
    lower = (lowest[0].regularization, lowest[1])
    if escape is None:
        return Phases(depth, (math.nan, math.nan), lower, math.nan)
    leaving = followed(escape, COARSE[1:])
    top, beyond = end(leaving[-1], next_above(leaving[-1]), HALVINGS)
    equal = crossing([*leaving, *([top] if top is not leaving[-1] else [])],
                     [*staying, *([lowest[0]] if lowest[0] is not staying[-1] else [])])  # fmt: skip
    return Phases(depth, (top.regularization, beyond), lower, equal)


def next_below(point: Optimum) -> float:
    """Next smaller λ of the coarse ones, 0 where there is none."""
    smaller = COARSE[point.regularization * (1.0 - 1e-9) > COARSE]
    return float(smaller[-1]) if smaller.size else 0.0


def next_above(point: Optimum) -> float:
    """Next larger λ of the coarse ones; infinite where there is none."""
    larger = COARSE[point.regularization * (1.0 + 1e-9) < COARSE]
    return float(larger[0]) if larger.size else math.inf


def avoiding(depth: float) -> list[Optimum]:
    """Optima that avoid the cluster: found where there is no depth to gather, and led on."""
    found = optimum(4.0, escape_problem.REGULARIZATION)
    for further in (6.0, 8.8, depth):
        found = stretched(found, further)
    return both_ways(found)


def both_ways(found: Optimum) -> list[Optimum]:
    """Follow a branch from λ = 0.05 up and down, in order of λ."""
    up = followed(found, FINE[found.regularization < FINE])
    down = followed(found, FINE[found.regularization > FINE][::-1])
    return [*down[:0:-1], *up]


def from_zero(regularizations: tuple[float, ...]) -> list[Optimum]:
    """Train from θ = 0."""
    return [optimum(escape_problem.DEPTH, value) for value in regularizations]


def refinement(regularization: float) -> Record:
    """Relative changes of the optimal J by a finer grid, half as long steps, and half as long intervals."""
    intervals = 40
    problem = escape_problem.problem(intervals=intervals)
    plan = escape_problem.plan(regularization, intervals)
    trained = train(problem, plan, threads=1)
    best, found, resolution = (
        trained.loss[-1],
        trained.parameters,
        trained.objective.equation.space.resolution,
    )
    finer = escape_problem.problem(intervals=intervals, points=2 * resolution)
    fine = train(finer, plan, start=History(found.copy()), threads=1)
    half = replace(trained.objective, steps=2 * trained.objective.steps)
    more = train(
        problem, replace(plan, intervals=2 * intervals), start=History(np.repeat(found, 2, axis=0)), threads=1
    )
    return {
        "check": "refinement",
        "regularization": regularization,
        "loss": float(best),
        "points": resolution,
        "finer_points": fine.objective.equation.space.resolution,
        "by_points": abs(float(fine.loss[-1] / best) - 1.0),
        "by_steps": abs(half.value(found) / float(best) - 1.0),
        "by_intervals": float(more.loss[-1] / best) - 1.0,
    }


def starts(regularization: float = 5.0, count: int = 4) -> Record:
    """Largest relative difference of the optima that random starts lead to from that of θ = 0."""
    problem, plan = escape_problem.problem(intervals=20), escape_problem.plan(regularization, 20)
    best, rng = train(problem, plan, threads=1), np.random.default_rng(0)
    others = [
        train(problem, plan, start=History(rng.normal(0.0, 0.2, best.parameters.shape)), threads=1)
        for _ in range(count)
    ]
    size = np.abs(best.parameters).max()
    return {
        "check": "starts",
        "regularization": regularization,
        "starts": count,
        "loss": float(best.loss[-1]),
        "by_start": max(abs(float(other.loss[-1] / best.loss[-1]) - 1.0) for other in others),
        "parameters": max(float(np.abs(other.parameters - best.parameters).max() / size) for other in others),
    }


@dataclass(frozen=True)
class Study:
    """All that was found."""

    branches: dict[str, list[Optimum]]
    zero: list[Optimum]
    longer: list[Optimum]
    phases: list[Phases]
    checks: list[Record]


def study() -> Study:
    """Share the work among processes; what others wait for goes first."""
    depth = escape_problem.DEPTH
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        first = optimum(depth, escape_problem.REGULARIZATION)
        shorter = pool.submit(over_depth, first, SHORTER)
        longer = pool.submit(over_depth, first, LONGER)
        escape, avoids = pool.submit(both_ways, first), pool.submit(avoiding, depth)
        clustered = pool.submit(followed_down, depth)
        zero = [pool.submit(from_zero, tuple(FINE[part::3])) for part in range(3)]
        checks = [*(pool.submit(refinement, value) for value in (0.05, 0.2, 1.0)), pool.submit(starts)]
        known = {point.depth: point for point in [*shorter.result(), *longer.result()]}
        depths = sorted({*SHORTER, depth, *(value for value in LONGER if value <= DEEPEST)})
        found = [pool.submit(phases, known.get(value), value) for value in depths]
        return Study(
            {"escape": escape.result(), "avoids": avoids.result(), "clustered": clustered.result()},
            sorted((point for part in zero for point in part.result()), key=lambda at: at.regularization),
            longer.result(),
            [one.result() for one in found],
            [one.result() for one in checks],
        )


def followed_down(depth: float) -> list[Optimum]:
    """Follow the branch that stays clustered, in order of λ."""
    return followed(optimum(depth, 1.0), FINE[-2::-1])[::-1]


def tables(found: Study) -> str:
    """Write the phases over depth, the plateau over depth, and the checks."""
    titles = ["T", "escape up to λ", "clustered down to λ", "λ*"]
    rows = [
        [f"{row.depth:g}", between(*row.escape), between(*row.clustered[::-1]), number(row.equal)]
        for row in found.phases
    ]
    lengths = [
        [
            f"{row.depth:g}",
            f"{row.share:.3f}",
            f"{row.depth * (1.0 - row.share):.2f}",
            f"{row.order_parameters.max():.3f}",
            f"{row.order_parameters[-1]:.3f}",
            f"{row.loss:.5f}",
        ]
        for row in found.longer
    ]
    titles_of_lengths = ["T", "share of the plateau", "depth outside", "largest R", "R at the end", "J"]
    *refined, started = found.checks
    changes = [
        [f"{row['regularization']:g}", f"{row['loss']:.7f}",
         *(f"{row[name]:.0e}" for name in ("by_points", "by_steps", "by_intervals"))]
        for row in refined
    ]  # fmt: skip
    titles_of_changes = ["λ", "J", "by a finer grid", "by half the step", "by half the interval"]
    sentence = (
        f"{started['starts']} random starts at λ = {started['regularization']:g}: "
        f"J differs by {started['by_start']:.0e}, θ by {started['parameters']:.0e} of its largest entry."
    )
    parts = [(titles, rows), (titles_of_lengths, lengths), (titles_of_changes, changes)]
    return "\n\n".join([*(markdown(head, body, names=0) for head, body in parts), sentence])


def between(low: float, high: float) -> str:
    """Write an interval; a dash where there is none."""
    return "–" if math.isnan(low) else f"{low:.3g} … {high:.3g}"


def number(value: float) -> str:
    """Write a number; a dash where there is none."""
    return "–" if math.isnan(value) else f"{value:.3g}"


def records(found: Study) -> list[Record]:
    """Return all numbers for a file."""
    named = {**found.branches, "from zero": found.zero, "over depth": found.longer}
    points = [{"series": name, **point.record} for name, series in named.items() for point in series]
    rows = [{"series": "phases", **asdict(row)} for row in found.phases]
    return [*points, *({key: finite(value) for key, value in row.items()} for row in rows), *found.checks]


def finite(value: object) -> object:
    """Return None for NaN, and for pairs of them."""
    whole = value if isinstance(value, tuple) else (value,)
    return None if any(isinstance(part, float) and math.isnan(part) for part in whole) else value


def main(arguments: list[str]) -> None:
    chosen = options("escape", __doc__, arguments)
    found = study()
    publish("escape", tables(found), records(found), keep=chosen.write, measured=("seconds", "loss"))
    if chosen.write:
        escape_figure.draw(records(found), FOLDER / "escape.png")
