r"""Linear theory about the uniform law: growth rates of all modes, and the clusters that they predict.

Where the equation commutes with rotations, the uniform law is stationary, and perturbations of one degree l
stay within it: the growth rate of l is the largest real part of the eigenvalues of the linearised flow on the
coefficients of that degree. Without auxiliary variable it is

.. math:: l(l+d-2)\Bigl(\frac{c_l}{\beta} - \sigma\Bigr)\ \text{(none)},\qquad
    l(l+d-2)\Bigl(\frac{c_l}{\beta c_0} - \sigma\Bigr)\ \text{(softmax)}

with c_l the Funk–Hecke eigenvalue of the kernel (Geshkovski et al., arXiv 2410.23228).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.limits.stability import Linearisation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.equation import Equation
    from meanfield_pde.problem import Problem

__all__ = ["Growth", "degree_block", "growth_rates", "uniform_equation", "uniform_is_stationary"]

#: Degree of the grid on which rates are evaluated, on lines and elsewhere, and the largest that is reported.
LINE, SURFACE, DEGREES = 64, 16, 12
#: Largest velocity of the uniform law, relative to the largest there may be, that is rounding.
ROUNDING = 1e-11
#: Relative tolerance with which the velocity is looked at first, and its share beyond which the law moves.
ROUGH, MOVES = 1e-3, 1e-3


@dataclass(frozen=True)
class Growth:
    """Growth rates (modes,) of perturbations of the uniform law by degree, from 1."""

    degrees: IntArray
    rates: FloatArray

    @property
    def clusters(self) -> int:
        """Degree that grows fastest, on the circle the number of clusters it makes; 0 where none grows."""
        fastest = int(np.argmax(self.rates))
        return int(self.degrees[fastest]) if self.rates[fastest] > 0.0 else 0


def uniform_equation(problem: Problem) -> tuple[Equation, FloatArray]:
    """Equation on a grid that resolves the leading modes of the kernel, with the uniform law there."""
    space = problem.space.at_least(LINE if problem.space.is_line else SURFACE)
    nodes = problem.auxiliary.nodes.size
    return problem.equation(space), np.tile(space.uniform(), (nodes, 1))


def uniform_is_stationary(equation: Equation, coefficients: FloatArray, share: float = ROUNDING) -> bool:
    """Whether the uniform law does not move, by more than a share of the largest velocity there may be."""
    rate = equation.nonlinear(equation.state(coefficients))
    scale = max(1.0, float(np.abs(equation.velocity(coefficients)).max()))
    return bool(np.abs(rate).max() <= share * scale * equation.space.eigenvalues.size)


def _may_be_stationary(problem: Problem) -> bool:
    """Whether the uniform law does not move as far as a rough, quick kernel tells."""
    accuracy = problem.accuracy
    if accuracy.rtol >= ROUGH:
        return True
    rough = replace(problem, accuracy=replace(accuracy, rtol=ROUGH))
    return uniform_is_stationary(*uniform_equation(rough), MOVES)


def growth_rates(problem: Problem, degrees: int = DEGREES) -> Growth | None:
    """Growth rates of the degrees 1, 2, …; None where the uniform law moves, or degrees mix.

    They are exact: the equation's own linearisation is applied to the coefficients of every degree. Where
    the space has no grid for densities, there is no uniform law to perturb, and None, too.
    """
    if not len(problem.space.points) or not _may_be_stationary(problem):
        return None
    equation, uniform = uniform_equation(problem)
    if not uniform_is_stationary(equation, uniform):
        return None
    about, space = Linearisation(equation, uniform), equation.space
    found = np.unique(space.eigenvalues[space.constant :])[:degrees]
    blocks = _blocks(about, [np.flatnonzero(space.eigenvalues == one) - space.constant for one in found])
    if blocks is None:
        return None
    rates = np.array([float(np.linalg.eigvals(block).real.max()) for block in blocks])
    return Growth(np.arange(1, found.size + 1), rates)


def degree_block(problem: Problem, degree: int) -> tuple[IntArray, FloatArray]:
    """Linearise on a degree: its moving coefficients, and the linearised flow on them at all nodes.

    Raises
    ------
    ValueError
        When the uniform law mixes degrees.
    """
    equation, uniform = uniform_equation(problem)
    space = equation.space
    eigenvalue = np.unique(space.eigenvalues[space.constant :])[degree - 1]
    columns = np.flatnonzero(space.eigenvalues == eigenvalue) - space.constant
    blocks = _blocks(Linearisation(equation, uniform), [columns])
    if blocks is None:
        raise ValueError(f"linear theory: degree {degree} does not stay by itself")
    return columns, blocks[0]


def _blocks(about: Linearisation, degrees: Sequence[IntArray]) -> list[FloatArray] | None:
    """Linearised flow on the coefficients of every degree at all nodes, None where one leads out of its own.

    It is applied to one coefficient of every degree at once; that they do not mix is seen by a random
    direction of each alone.
    """
    nodes = len(about.coefficients)
    first = np.arange(nodes)[:, None] * (about.size // nodes)
    places = [(first + columns).ravel() for columns in degrees]
    blocks = [np.empty((index.size, index.size)) for index in places]
    for column in range(max(index.size for index in places)):
        direction = np.zeros(about.size)
        those = [number for number, index in enumerate(places) if column < index.size]
        direction[[places[number][column] for number in those]] = 1.0
        image = about.apply(direction)
        for number in those:
            blocks[number][:, column] = image[places[number]]
    rng = np.random.default_rng(0)
    alone = all(_stays(about, *each, rng) for each in zip(places, blocks, strict=True))
    return blocks if alone else None


def _stays(about: Linearisation, index: IntArray, block: FloatArray, rng: np.random.Generator) -> bool:
    """Whether the flow of a random direction of these coefficients is that of the block, and nothing else."""
    direction = np.zeros(about.size)
    direction[index] = rng.uniform(-1.0, 1.0, index.size)
    image = about.apply(direction)
    image[index] -= block @ direction[index]
    scale = float((np.abs(block) @ np.abs(direction[index])).max())
    return bool(np.abs(image).max() <= ROUNDING * about.size * max(1.0, scale))
