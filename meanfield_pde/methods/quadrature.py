"""Labels for the initial densities: Gauss panels where a grid resolves them, tokens where not.

On zonal spheres labels are polar angles in [0, π], which every flow keeps, and stand for rings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.attention.rings import are_rings
from meanfield_pde.errors import ComputationError
from meanfield_pde.methods.labels import Labels
from meanfield_pde.methods.spectral import resolved_start
from meanfield_pde.methods.steps import Steps
from meanfield_pde.spaces import Atoms, gegenbauer
from meanfield_pde.spaces.zonal import folded
from solvers.panels import ORDER, Panels

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.initial import Tokens
    from meanfield_pde.problem import Problem

__all__ = ["initial_labels"]

TURN = 2.0 * math.pi
#: Grid on which initial densities are interpolated, relative to the one that resolves them.
OVERSAMPLING = 8
#: Share of atol that a panel may leave out of the initial mass, and the smallest that means anything.
SHARE, SMALLEST = 0.1, 1e-14
#: Rounds of halving: panels get 2^-40 of a turn wide at most.
ROUNDS = 40


def initial_labels(problem: Problem) -> Labels:
    """Labels with masses that represent the initial densities.

    Smooth densities: Gauss panels, as many labels per node as the grid has points, more where a density is
    steep. Tokens, and tables that are too rough for the finest grid: one label each.
    """
    if problem.initial.tokens is not None:
        return _tokens(problem, problem.initial.tokens)
    try:
        space, coefficients = resolved_start(problem)
    except ComputationError:
        return Steps.of(problem).labels(problem.accuracy.max_resolution)
    if are_rings(space):
        dimension = space.dimension
        return _panels(problem, math.pi, lambda atoms: _of_rings(coefficients, atoms, dimension))
    fine = space.resized(OVERSAMPLING * space.resolution)
    values = fine.synthesise(fine.pad(coefficients))
    return _panels(problem, TURN, lambda atoms: fine.interpolate(values, atoms))


def _of_rings(coefficients: FloatArray, atoms: Atoms, dimension: int) -> FloatArray:
    """Density of the polar angle, ρ(cos α) |S^{d−2}| sin^{d−2} α, (atoms,)."""
    cosines, result = np.cos(atoms.places), np.zeros(atoms.places.size)
    levels = gegenbauer.polynomials(cosines, coefficients.shape[1] - 1, dimension)
    for level, wave in enumerate(levels):
        result += coefficients[atoms.rows, level] * wave
    area = special.xlogy(dimension - 2.0, np.abs(np.sin(atoms.places)))
    return np.asarray(result * np.exp(area - special.betaln((dimension - 1) / 2.0, 0.5)))


def _panels(problem: Problem, length: float, density_at: Callable[[Atoms], FloatArray]) -> Labels:
    """Panels on the line [0, length), on which the density is given."""
    rows = problem.auxiliary.nodes.size
    panels = Panels.even(rows, max(2, -(-problem.space.resolution // ORDER)), length)
    tolerance = max(SHARE * problem.accuracy.atol, SMALLEST)
    for _ in range(ROUNDS):
        density = _sampled(panels, rows, density_at)
        coarse = Panels.tails(density) * (panels.right - panels.left) > tolerance
        if not coarse.any():
            break
        panels = panels.halved(coarse)
    labels = Labels.of_panels(panels, density, rows)
    mass = np.add.reduceat(labels.masses, labels.starts[:-1])
    return Labels.of_panels(panels, density / mass[panels.row][:, None], rows)


def _sampled(panels: Panels, rows: int, density_at: Callable[[Atoms], FloatArray]) -> FloatArray:
    starts = np.concatenate([[0], np.cumsum(ORDER * np.bincount(panels.row, minlength=rows))])
    places = panels.nodes.ravel()
    values = density_at(Atoms(places, np.ones(places.size), starts.astype(np.intp)))
    return np.asarray(values).reshape(-1, ORDER)


def _tokens(problem: Problem, tokens: Tokens) -> Labels:
    """One label a token at every node, shifted by the turns."""
    nodes, count = problem.auxiliary.nodes, tokens.places.shape[1]
    shape = (nodes.size, count)
    shift = TURN * problem.initial.turns * nodes[:, None]
    masses = np.broadcast_to(tokens.masses / tokens.masses.sum(axis=1, keepdims=True), shape)
    starts = count * np.arange(nodes.size + 1, dtype=np.intp)
    places = (np.broadcast_to(tokens.places, shape) + shift).ravel()
    if are_rings(problem.space):
        places = folded(places)
    return Labels.of_tokens(places, masses.ravel(), starts)
