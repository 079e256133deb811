"""The noise-free limit law near given atoms: Newton's method, curvatures, stability and energy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.limits.tokens import TokenSystem
from solvers.bordered import Border
from solvers.newton import Root, StalledError, newton
from solvers.nullspace import null_directions
from solvers.spectrum import leading_eigenvalues

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms
    from solvers.bordered import Jacobian

__all__ = ["AtomicLaw", "neutral_border", "polished", "rested"]

#: Largest residual of a limit law, relative to the longest attention vector (one at least).
TOLERANCE = 1e-12
#: Longest step of Newton's method, radians: farther away is another attractor.
LONGEST = 0.3
#: Eigenvalues and symmetries below this share of the largest curvature are zero.
ZERO = 1e-9
#: Singular values, as shares of the largest, of exact symmetries and of those that the nodes hardly break.
ROUNDING, NEARLY = 1e-11, 1e-7
#: Where such a direction is held, the rate at which the flow creeps along it is left: on a ring of n nodes it
#: changes its sign 2n times in a turn, so that it is NEARLY / n at most.
SLACK = 1e4
#: Eigenvalues that are kept.
KEPT = 8


@dataclass(frozen=True)
class AtomicLaw:
    """Atoms that do not move: the limit law of the flow without noise.

    Parameters
    ----------
    system
        Problem, masses of the atoms and their nodes.
    places
        Places of the atoms, (atoms, *place).
    residual
        Largest speed of an atom, relative to the longest attention vector (or one, where that is longer).
    curvature
        κ = −∂_xV in the frozen field, (atoms,), the smallest over the directions: positive where nearby
        tokens come to the atom.
    eigenvalues, direction
        Leading eigenvalues of the linearised flow of the atoms, largest real part first, without those of
        neutral directions, and the real part of the first eigenvector, (atoms · tangents,).
    neutral, symmetries
        Number of directions along which the flow hardly moves it back, and of those along which it does not
        at all, to rounding error.
    """

    system: TokenSystem
    places: FloatArray
    residual: float
    curvature: FloatArray
    eigenvalues: ComplexArray
    direction: FloatArray
    neutral: int
    symmetries: int

    def of(self, problem: Problem) -> AtomicLaw:
        """Return the law as one of the same problem with other tolerances or initial tokens."""
        return replace(self, system=replace(self.system, problem=problem))

    @property
    def atoms(self) -> Atoms:
        """Places, masses and nodes."""
        return self.system.atoms(self.places)

    @cached_property
    def counts(self) -> FloatArray:
        """Atoms of every node, (aux,)."""
        return np.diff(self.system.starts)

    @property
    def is_map(self) -> bool:
        """Whether every node has a single atom."""
        return bool((self.counts == 1).all())

    @cached_property
    def softness(self) -> FloatArray:
        """Trace of (−∂_xV)^{-1} in the frozen field, (atoms,): Σ 1/κ over all directions."""
        return self.system.softness(self.places)

    @property
    def leading(self) -> float:
        """Largest growth rate: of the atoms, or of the tokens about one of them."""
        split = float(-self.curvature.min())
        return max(split, float(self.eigenvalues[0].real)) if self.eigenvalues.size else split

    @property
    def stable(self) -> bool:
        """Whether every perturbation that is not neutral decays."""
        return self.leading < 0.0


def neutral_border(system: TokenSystem, rounding: float = ROUNDING) -> Callable[[FloatArray], Border]:
    """Border that removes null directions of the Jacobian, right along the flow's own null coordinates.

    Rows are the left null vectors: a step leaves ⟨ℓ, x⟩ as it is, which the linearised flow conserves, so
    that a law with symmetries is found where the flow would come to rest.
    """

    def border(places: FloatArray) -> Border:
        jacobian = system.jacobian(places)
        if not isinstance(jacobian, np.ndarray):
            return _rotation(system, places, jacobian)
        _, left = null_directions(jacobian, rounding)
        return Border(left, left, np.zeros((len(left), len(left))))

    return border


def _rotation(system: TokenSystem, places: FloatArray, jacobian: Jacobian) -> Border:
    """For many atoms: the common rotation alone, where it is neutral."""
    if system.tangents > 1:
        empty = np.empty((0, system.masses.size * system.tangents))
        return Border(empty, empty, np.empty((0, 0)))
    ones = np.ones((1, places.size))
    change = float(np.abs(jacobian.matvec(ones[0])).max()) if not isinstance(jacobian, np.ndarray) else 0.0
    if change > ZERO * max(1.0, float(np.abs(system.curvature(places)).max())):
        ones = np.empty((0, places.size))
    rows = ones * system.weights
    return Border(ones, rows, np.zeros((len(ones), len(ones))))


def polished(problem: Problem, atoms: Atoms, tolerance: float = TOLERANCE) -> AtomicLaw:
    """Move atoms to where they rest, by Newton's method.

    Raises
    ------
    StalledError
        When Newton's method does not converge.
    """
    system = TokenSystem(replace(problem, sigma=0.0), atoms.masses, atoms.starts)
    scale = system.scale(atoms.places)
    root = rested(system, atoms.places, scale * tolerance)
    places = problem.space.moved(root.state, np.zeros((atoms.masses.size, system.tangents)))
    curvature = system.curvature(places)
    symmetries = neutral_border(system)(places).count
    values, direction, neutral = _stability(system, places, symmetries)
    return AtomicLaw(system, places, root.residual / scale, curvature, values, direction, neutral, symmetries)


def rested(system: TokenSystem, start: FloatArray, tolerance: float) -> Root:
    """Newton's method, for many atoms on residuals over the curvature: identity minus compact then.

    Symmetries that the nodes hardly break leave a direction along which roundings decide; where Newton's
    method does not converge for it, it is held, and a residual of ``SLACK`` times the tolerance allowed.
    """
    if not system.is_dense:
        return _many(system, start, tolerance)

    def found(rounding: float, tolerance: float) -> Root:
        return newton(
            system.velocity,
            system.jacobian,
            start,
            tolerance=tolerance,
            border=neutral_border(system, rounding),
            longest=LONGEST,
            move=system.moved,
        )

    try:
        return found(ROUNDING, tolerance)
    except StalledError:
        return found(NEARLY, SLACK * tolerance)


def _many(system: TokenSystem, start: FloatArray, tolerance: float) -> Root:
    """Return the same for many atoms, by GMRES."""
    curvature = np.repeat(system.curvature(start), system.tangents)
    scale = np.where(curvature > 0.0, curvature, np.abs(curvature).max())

    def jacobian(places: FloatArray) -> Jacobian:
        from scipy.sparse import diags_array
        from scipy.sparse.linalg import aslinearoperator

        own = system.jacobian(places)
        return aslinearoperator(diags_array(-1.0 / scale)) @ aslinearoperator(own)

    root = newton(
        lambda places: -system.velocity(places) / scale,
        jacobian,
        start,
        tolerance=tolerance / float(scale.max()),
        border=neutral_border(system),
        longest=LONGEST,
        move=system.moved,
    )
    residual = float(np.abs(system.velocity(root.state)).max())
    return Root(root.state, residual, root.iterations)


def _stability(
    system: TokenSystem, places: FloatArray, symmetries: int
) -> tuple[ComplexArray, FloatArray, int]:
    """Leading eigenvalues without the neutral ones, the first eigenvector, and how many are neutral."""
    jacobian = system.jacobian(places)
    values, vectors = leading_eigenvalues(jacobian, KEPT + symmetries)
    zero = np.abs(values) <= ZERO * max(1.0, float(np.abs(system.curvature(places)).max()))
    zero[np.argsort(np.abs(values), kind="stable")[:symmetries]] = True
    neutral, rest = int(np.count_nonzero(zero)), np.flatnonzero(~zero)[:KEPT]
    if not rest.size:
        return values[rest], np.zeros(system.masses.size * system.tangents), neutral
    direction = vectors[:, rest[0]].real
    if not np.abs(direction).max() > 0.0:
        direction = vectors[:, rest[0]].imag
    sign = np.sign(direction[np.abs(direction).argmax()])
    return values[rest], np.asarray(sign * direction / np.linalg.norm(direction)), neutral
