"""The test of a design: the equation is solved, from the initial law, and its last state is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.designs.line_laws import LineLaw, line_distance
from meanfield_pde.errors import ComputationError
from meanfield_pde.evolution import StoppedError, solve
from meanfield_pde.initial import Initial, Tokens, uniform
from meanfield_pde.problem import Accuracy

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space

__all__ = ["Run", "forward", "law_distance", "near"]

#: Depth of a forward run in units of 1 / |leading growth rate|, and most of all: e^{−60} leaves nothing.
DECAYS, DEEPEST = 60.0, 5e3
#: Tolerances of a run: it decides where tokens go; long steps leave them that far from rest, too.
COARSE = Accuracy(1e-6, 1e-8)
#: Tokens a node that stand for a density on surfaces, at most, and the least mass of one, relative.
TOKENS, LIGHTEST = 200, 1e-18
#: Tokens a node of the run from near the map, and how far they are from it, radians.
FEW, AWAY = 5, 0.05


@dataclass(frozen=True)
class Run:
    """Last state of a forward run: places (aux, labels, *place) and masses (aux, labels) of tokens.

    ``start`` says where it began ("initial" or "near"), ``status`` how it ended ("finished", or "stopped"
    early).
    """

    start: str
    places: FloatArray
    masses: FloatArray
    depth: float
    status: str

    def mean(self, space: Space) -> FloatArray:
        """Direction of the mean token of every node, (aux, *place)."""
        return space.locate(self._moments(space))

    def concentration(self, space: Space) -> FloatArray:
        """Length of the mean token of every node, (aux,), over that of a token."""
        return np.asarray(np.linalg.norm(self._moments(space), axis=-1) / space.radius)

    def _moments(self, space: Space) -> FloatArray:
        return np.asarray(np.einsum("jl,jld->jd", self.masses, space.embed(self.places)))

    def turned(self, angle: float) -> Run:
        """Return the run with all tokens of a circle turned."""
        return replace(self, places=(self.places + angle) % (2.0 * np.pi))

    def distance(self, space: Space, target: FloatArray, weights: FloatArray, order: int) -> float:
        """W_order of the tokens of all nodes to atoms ``target`` (aux, *place) of these masses."""
        far = space.distance(self.places, np.broadcast_to(target[:, None], self.places.shape))
        own = float((weights @ (self.masses * far**order).sum(axis=1)) ** (1.0 / order))
        if own <= 1e-7:  # a plan of transport costs no more, and rounding alone costs as much
            return own
        places = self.places.reshape(-1, *space.place)
        return min(
            own,
            law_distance(space, (places, (weights[:, None] * self.masses).ravel()), (target, weights), order),
        )


def law_distance(
    space: Space, first: tuple[FloatArray, FloatArray], second: tuple[FloatArray, FloatArray], order: int
) -> float:
    """W₁ or W₂ between two sets of places and masses."""
    if not space.place:
        return line_distance(LineLaw.of_atoms(*first), LineLaw.of_atoms(*second), order)
    return space.wasserstein_atoms(*first, *second, order)


def forward(
    problem: Problem, start: str, leading: float, progress: Callable[[float], None], *, exact: bool = False
) -> Run:
    """Solve without noise until the tokens rest, at the accuracy of the problem where ``exact``.

    To a depth at which what leaves an unstable place as fast as others decay is gone: a mass m that is left
    half a turn away adds π √m to W₂, and 1e-16 of it could be seen in no other way.

    Raises
    ------
    ComputationError
        When the run cannot begin.
    """
    rate = max(-leading, DECAYS / DEEPEST)
    final = max(float(problem.depths[-1]), DECAYS / rate)
    still = replace(
        problem,
        sigma=0.0,
        method="characteristics",
        depths=np.array([0.0, final]),
        steady=None,
        keep_density=False,
        accuracy=problem.accuracy
        if exact
        else replace(COARSE, max_resolution=problem.accuracy.max_resolution),
    )
    if problem.space.place:
        still = _thinned(still)
    try:
        solution = solve(still, lambda state: progress(state.depth))
    except StoppedError as error:
        solution = error.solution
    record = solution.record
    if "position" not in record or record["label_weight"].ndim != 2:
        raise ComputationError("design: the forward run has no labels")
    status = str(solution.attributes["status"])
    return Run(start, record["position"][-1], record["label_weight"], float(record["time"][-1]), status)


def _thinned(problem: Problem) -> Problem:
    """Begin with a token at every point of a coarse grid of a surface, with the mass of the density there."""
    initial, space = problem.initial, problem.space
    if initial.tokens is not None:
        return problem
    coefficients = initial.coefficients(space.at_least(3 * initial.degree), problem.auxiliary)
    coarse = space
    while len(coarse.points) > TOKENS:
        coarse = coarse.resized(coarse.resolution - 1)
    masses = np.maximum(coarse.synthesise(coefficients), 0.0) * coarse.weights
    places = np.repeat(coarse.locate(coarse.points)[None], len(masses), axis=0)
    # A token needs a mass: that of an empty place is far below what is measured.
    tokens = Tokens(places, masses + LIGHTEST * masses.max(axis=1, keepdims=True))
    return replace(problem, initial=Initial(uniform, tokens=tokens))


def near(problem: Problem, places: FloatArray) -> Problem:
    """Begin with a few tokens about every place (aux, *place) of the map."""
    space = problem.space
    tangents = space.frame.shape[1]
    steps = AWAY * np.random.default_rng(0).standard_normal((FEW, len(places), tangents))
    tokens = np.stack([space.moved(places, step) for step in steps], axis=1)
    masses = np.ones(tokens.shape[:2])
    return replace(problem, initial=Initial(uniform, tokens=Tokens(tokens, masses)))
