"""What scripts call: load, open, limit, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.ablation.result import Ablation
from meanfield_pde.building import build
from meanfield_pde.contents import LIMIT, kind_of
from meanfield_pde.designs.result import Design
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.records import Variable, read
from meanfield_pde.results import Bifurcation, Limit
from meanfield_pde.solution import Solution, summary
from meanfield_pde.sweeps.result import Sweep
from meanfield_pde.training.result import Training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.designs.find import Wanted
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Record
    from meanfield_pde.training.plan import Plan
    from meanfield_pde.training.train import History, Step

__all__ = [
    "BifurcationError",
    "DesignError",
    "LimitError",
    "bifurcation",
    "compare",
    "compared",
    "design",
    "limit",
    "load",
    "open",
    "train",
]


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Problem:
    """Problem of a TOML configuration, with overrides such as ``{"solver.rtol": 1e-6}``.

    Raises
    ------
    InputError
        When anything in the configuration or its data files is wrong.
    """
    from meanfield_pde import config

    return build(config.load(path, overrides or {}))


def open(  # noqa: A001
    path: str | Path,
) -> Solution | Limit | Bifurcation | Design | Sweep | Training | Ablation:
    """Solution, limit, diagram, design, … of an HDF5 file, as its attribute ``kind`` says.

    Raises
    ------
    InputError
        When the file is missing, damaged or of no such kind.
    """
    record = read(path)
    kind = kind_of(record)
    if kind == "limit":
        return Limit(record)
    if kind == "design":
        return Design(record)
    if kind == "sweep":
        return Sweep(record)
    if kind == "training":
        return Training(record)
    if kind in {"ablation", "trained-ablation"}:
        return Ablation(record)
    return Bifurcation(record) if kind == "bifurcation" else Solution(record)


#: Tables of the configuration whose numbers change the equation.
EFFECTIVE = ("noise", "attention", "encoding", "prompt", "drift")
#: In the place of a map that a limit does not have.
_NOTHING = Variable(("aux",), np.empty(0), "no map")


class LimitError(ComputationError):
    """There is no limit, or it was not reached: ``limit`` holds how far the flow came, and why."""

    def __init__(self, message: str, limit: Limit) -> None:
        super().__init__(message)
        self.limit = limit


def limit(
    problem: Problem,
    *,
    start: Solution | Limit | FloatArray | None = None,
    starts: int = 1,
    seed: int = 0,
    halvings: int = 0,
    threads: int | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> Limit:
    r"""Limiting distribution that the flow of a problem tends to, its stability, and the limit map T.

    Without noise T solves V[T](T(z), z) + F(T(z)) = 0 (several atoms a node where conditionals split); with
    noise the stationary density solves σΔρ = div(ρ(V[ρ] + F)), and T is that of the noise-free flow nearby.

    Parameters
    ----------
    start
        A solution or limit, or places (aux, *place) (angles on lines, vectors elsewhere), near which T is
        looked for, in the place of the initial law.
    starts, seed
        Number of initial laws: that of the problem, and others of one token at every node, drawn from it.
    halvings
        With noise: how often it is halved, to see the densities approach the pushforward.
    progress
        Called with what is being done, and the depth.

    Raises
    ------
    LimitError
        When there is no limit, or it was not reached.
    """
    from meanfield_pde.limits.assembly import assembled
    from meanfield_pde.limits.find import Search, find

    near = _places(start, problem)
    found = assembled(find(problem, Search(starts, seed, halvings, near), threads, progress))
    if found.attributes["status"] != "finished":
        raise LimitError(str(found.attributes.get("reason", "limit: not found")), found)
    return found


def _places(start: Solution | Limit | FloatArray | None, problem: Problem) -> FloatArray | None:
    """Places of a start, one a node."""
    if start is None:
        return None
    nodes, space = problem.auxiliary.nodes.size, problem.space
    if isinstance(start, Solution):
        places = np.asarray(start.conditional_mean[-1])
    elif isinstance(start, Limit):
        places = np.asarray(start.record.groups[LIMIT].variables.get("pushforward_map", _NOTHING).values)
    else:
        places = np.asarray(start, dtype=np.float64)
    what = f"vector of {space.place[0]} numbers" if space.place else "angle"
    if places.shape != (nodes, *space.place) or not np.isfinite(places).all():
        raise InputError(
            f"limit: start must be one finite {what} per node, {nodes}, got shape {places.shape}"
        )
    return space.locate(places) if space.place else places


def compared(
    solution: Solution,
    limit: Limit | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
    source: Path | None = None,
) -> Solution:
    """Solution with a group ``limit``: its last state beside the limit law, of a file or looked for.

    ``source`` is the file of the configuration, beside which data files are looked for.

    Raises
    ------
    InputError
        When the two do not fit, or neither a limit nor the configuration of the solution is there.
    """
    from meanfield_pde import config
    from meanfield_pde.limits.comparison import beside_law, beside_limit

    if limit is not None:
        return Solution(beside_limit(solution.record, limit.record))
    text = str(solution.attributes.get("configuration", ""))
    if not text:
        raise InputError(
            "compare: the solution holds no configuration from which its limit could be found; give the limit"
        )
    try:
        problem = build(config.loads(text, source=source, label="compare"))
    except InputError as error:
        hint = "give LIMIT.h5, or compare in the folder of the configuration's files"
        raise InputError(f"its limit cannot be computed ({error}); {hint}") from error
    return Solution(beside_law(problem, solution.record, progress))


def compare(solution: Solution | Limit, limit: Limit | None = None) -> dict[str, Any]:
    """Last state beside the limit law, as the command ``compare`` reports it; a limit with its own law.

    A solution without configuration (of a problem made in Python) is compared, without a limit, with the
    pushforward of ν by its conditional means; then ``atoms``, ``stable`` and ``residual`` are None.
    """
    if isinstance(solution, Limit):
        return solution.summary()
    if limit is None and not solution.attributes.get("configuration"):
        return _by_means(solution.record)
    record = compared(solution, limit).record
    return {"depth": float(record["time"][-1]), **Limit(record).summary()}


def _by_means(record: Record) -> dict[str, Any]:
    last = summary(record)
    keys = (
        "depth",
        "w1",
        "w2",
        "order_parameter",
        "conditional_concentration",
        "entropy",
        "attention_entropy",
    )
    return {**{key: last.get(key) for key in keys}, "atoms": None, "stable": None, "residual": None}


class BifurcationError(ComputationError):
    """A branch could not be followed: ``diagram`` holds what was reached, and why it ended."""

    def __init__(self, message: str, diagram: Bifurcation) -> None:
        super().__init__(message)
        self.diagram = diagram


def bifurcation(
    problem: Problem,
    parameter: str,
    low: float,
    high: float,
    *,
    points: int = 400,
    threads: int | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> Bifurcation:
    r"""Branches of stationary states as a parameter varies: folds, branch points, stability, the transition.

    With noise, densities ρ = S[V[ρ]]; without, limit maps V[T](T(z), z) = 0. Followed are the uniform law
    where it is stationary, the branch of every mode that turns unstable there, what the initial law tends to
    at both ends, and what leaves their branch points (pseudo-arclength continuation, Keller 1977).

    Parameters
    ----------
    parameter
        Dotted name in the configuration: noise.sigma, attention.beta, encoding.amplitude, …
    low, high
        Ends of its interval, in either order.
    points
        Most points on a branch.
    progress
        Called with what is being done, and the parameter.

    Raises
    ------
    InputError
        When the parameter or its interval does not suit the problem.
    BifurcationError
        When a branch could not be followed to its end, or there is none.
    """
    from meanfield_pde.bifurcations.assembly import assembled
    from meanfield_pde.bifurcations.diagram import explore, failure_of
    from meanfield_pde.bifurcations.parameters import varied
    from meanfield_pde.evolution import fitting_threads, limited

    interval = _interval(problem, parameter, low, high)
    if points < 2:
        raise InputError(f"bifurcation: points must be at least 2, got {points}")
    with limited(threads or fitting_threads(problem)):
        diagram = explore(
            problem, varied(problem, parameter), parameter, interval, points=points, progress=progress
        )
        failure = failure_of(diagram)
        if not diagram.sheets:
            raise ComputationError(f"bifurcation: {failure}")
        found = assembled(diagram, failure, progress)
    if failure:
        raise BifurcationError(f"bifurcation: {failure}", found)
    return found


def _interval(problem: Problem, parameter: str, low: float, high: float) -> tuple[float, float]:
    """Order the ends; both must be allowed values."""
    from meanfield_pde.bifurcations.parameters import varied

    ends = min(low, high), max(low, high)
    if not (np.isfinite(ends).all() and ends[0] < ends[1]):
        raise InputError(f"bifurcation: the ends must be two finite numbers, got {low!r} and {high!r}")
    if parameter == "noise.sigma" and ends[0] <= 0.0:
        raise InputError(
            f"bifurcation: noise.sigma must stay above 0, where densities have no limit; got {ends[0]:g}"
        )
    at = varied(problem, parameter)
    for end in ends:
        at(end)
    if parameter.partition(".")[0] not in EFFECTIVE:
        raise InputError(
            f"bifurcation: {parameter} does not change the equation; its tables are {', '.join(EFFECTIVE)}"
        )
    return ends


class DesignError(ComputationError):
    """The target is not reached: ``design`` holds the best that was found, and why."""

    def __init__(self, message: str, design: Design) -> None:
        super().__init__(message)
        self.design = design


def design(
    problem: Problem,
    wanted: Wanted | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> Design:
    r"""Find an encoding, prompts or positions whose limit is a given law of the tokens.

    T is prescribed, as means of the cells of the target's mass, and V[T](T(z), z) + F(T(z)) = 0 is solved for
    one direction at every node: of p(z), or of a prompt; positions of rotary encodings are read off. A
    forward run from the initial law tests the result.

    Parameters
    ----------
    wanted
        Target and what is free; by default the table [design] of the problem's configuration.
    progress
        Called with what is being done, and the amplitude or the depth.

    Raises
    ------
    InputError
        When the design does not suit the problem, or nothing says what is wanted.
    DesignError
        When the target is not reached.
    """
    from meanfield_pde.designs.assembly import assembled
    from meanfield_pde.designs.find import find
    from meanfield_pde.designs.wanted import turned_in

    asked = _asked(problem, wanted)
    found = find(problem, asked, turned_in(problem), threads, progress)
    result = Design(assembled(found))
    if not found.reached:
        raise DesignError(f"design: {found.failure}", result)
    return result


def train(
    problem: Problem,
    plan: Plan | None = None,
    *,
    start: Training | None = None,
    theory: bool = False,
    threads: int | None = None,
    progress: Callable[[Step, History], None] = lambda *_: None,
) -> Training:
    r"""Train the feed-forward drift: minimise ℓ(μ_T) + (λ/2)∫|θ|² dt over piecewise constant θ(t).

    Parameters
    ----------
    plan
        Fields, loss, penalty and intervals; by default the table [training] of the problem's configuration.
    start
        A training of the same problem to go on from.
    theory
        Compare the gradient at θ = 0 with the adjoint equation, and its decay with the spectral gap.
    progress
        Called after every iteration with the step and all iterates so far; it may raise to interrupt.

    Raises
    ------
    InputError
        When the problem has no noise or no initial density, or nothing says what is trained.
    ComputationError
        When grid or steps cannot be fine enough.
    """
    from meanfield_pde.training import train as optimiser
    from meanfield_pde.training.assembly import assembled, history_of

    planned = plan or _planned(problem)
    history = None if start is None else history_of(start.record)
    trained = optimiser.train(problem, planned, start=history, threads=threads, between=progress)
    found = None
    if theory:
        from meanfield_pde.training.theory import theory as compared_with_theory

        found = compared_with_theory(trained.objective)
    return Training(assembled(trained, found))


def _planned(problem: Problem) -> Plan:
    """Return what is trained, from the configuration."""
    from meanfield_pde import config
    from meanfield_pde.training.wanted import plan_of

    if not problem.configuration:
        raise InputError("train: a problem without configuration needs ``plan``: fields, loss and penalty")
    return plan_of(config.loads(problem.configuration, source=problem.source, label=problem.label))


def _asked(problem: Problem, wanted: Wanted | None) -> Wanted:
    """Return what is wanted, from the configuration where it is not given."""
    from meanfield_pde import config
    from meanfield_pde.designs.wanted import wanted_of

    if wanted is not None:
        return wanted
    if not problem.configuration:
        raise InputError(
            "design: a problem without configuration needs ``wanted``, a target and what is free"
        )
    return wanted_of(config.loads(problem.configuration, source=problem.source, label=problem.label))
