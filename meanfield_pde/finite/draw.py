"""Independent tokens from the initial laws of a problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.blocks import turned
from meanfield_pde.errors import InputError
from meanfield_pde.methods.spectral import resolved_start
from meanfield_pde.spaces import Atoms

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.initial import Tokens
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space

__all__ = ["drawn"]

#: Coefficients below this share of the largest are left out of densities: no sample of 1e12 tokens sees them.
NEGLIGIBLE = 1e-9
#: Grid points for a density of degree n resolve degree 3n, and between 9n points along a line a polynomial
#: exceeds its largest value on them by 1/cos(π/9) at most (Ehlich & Zeller 1964), on a surface by its square.
FINER, ROOM = 3, 1.0 / math.cos(math.pi / 9.0) ** 2
#: Tries are so many times those that are expected to do, and some more.
SPARE, LEAST = 1.1, 16


def drawn(problem: Problem, tokens: int, rng: np.random.Generator) -> FloatArray:
    """Places of independent tokens at every node, (aux, tokens, *place).

    Uniform points of the space are kept with a chance in proportion to the density there (von Neumann); of
    tokens that are given one by one some are chosen by their masses, with replacement. Where a density, which
    is resolved to the problem's tolerance, is negative, there is no token.

    Raises
    ------
    InputError
        When the space has no grid for densities, and no tokens are given.
    ComputationError
        When the finest grid does not resolve the initial densities.
    """
    if problem.initial.tokens is not None:
        return _chosen(problem, problem.initial.tokens, tokens, rng)
    if len(problem.space.points) == 0:
        raise InputError(
            f"{problem.label}: densities have no grid in {problem.space.dimension} dimensions; "
            'use initial.kind = "points"'
        )
    grid, values = _on_fine_grid(problem)
    return np.stack([_rejected(grid, row, tokens, rng) for row in values])


def _chosen(problem: Problem, given: Tokens, tokens: int, rng: np.random.Generator) -> FloatArray:
    """Tokens from the empirical law, turned as it is."""
    nodes, space = problem.auxiliary.nodes, problem.space
    if given.places.shape[2:] != space.place or len(given.places) not in {1, nodes.size}:
        raise InputError(
            f"{problem.label}: initial tokens must have places (1 or {nodes.size}, tokens, *{space.place}), "
            f"got shape {given.places.shape}"
        )
    places = np.broadcast_to(given.places, (nodes.size, *given.places.shape[1:]))
    masses = np.broadcast_to(given.masses, (nodes.size, given.masses.shape[1]))
    found = np.stack(
        [
            own[rng.choice(len(own), tokens, p=mass / mass.sum())]
            for own, mass in zip(places, masses, strict=True)
        ]
    )
    turns = 2.0 * math.pi * problem.initial.turns * nodes
    return turned(found, turns[:, None, None]) if space.place else found + turns[:, None]


def _on_fine_grid(problem: Problem) -> tuple[Space, FloatArray]:
    """Densities (aux, points) on a grid so fine that they may be interpolated."""
    space, coefficients = resolved_start(problem)
    large = np.abs(coefficients).max(axis=0) > NEGLIGIBLE * np.abs(coefficients).max()
    degree = int(np.sqrt(space.eigenvalues[: coefficients.shape[1]][large].max())) + 1
    grid = problem.space.resized(1).at_least(FINER * degree)
    return grid, grid.synthesise(grid.pad(coefficients))


def _rejected(grid: Space, density: FloatArray, tokens: int, rng: np.random.Generator) -> FloatArray:
    """Independent tokens (tokens, *place) of one density."""
    highest = ROOM * float(density.max())
    expected = highest * float(grid.weights.sum())
    kept = np.empty((0, *grid.place))
    while len(kept) < tokens:
        count = int(SPARE * expected * (tokens - len(kept))) + LEAST
        tried = grid.locate(rng.standard_normal((count, grid.points.shape[1])))
        atoms = Atoms(tried, np.ones(count), np.array([0, count]))
        chance = grid.interpolate(density[None], atoms) / highest
        kept = np.concatenate([kept, tried[rng.random(count) < chance]])
    return kept[:tokens]
