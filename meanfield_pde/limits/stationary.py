"""A stationary density near given densities, on a grid that resolves it, with its stability."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.attention.field import AttentionField
from meanfield_pde.equation import Equation
from meanfield_pde.errors import ComputationError
from meanfield_pde.limits.densities import DensitySystem
from meanfield_pde.limits.stability import TOLERANCE, Linearisation, Spectrum
from meanfield_pde.methods.spectral import guard, refined
from solvers.bordered import Border, solve_linear
from solvers.newton import Root, StalledError, newton

if TYPE_CHECKING:
    from collections.abc import Callable

    from scipy.sparse.linalg import LinearOperator

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem
    from solvers.bordered import Jacobian

__all__ = ["Stationary", "neutral_border", "relaxed", "stationary"]

#: Largest residual of a stationary density, in its coefficients, relative where these exceed one.
RESIDUAL = 1e-12
#: Relative error of eigenvalues of an equation that leaves out high degrees.
LIGHT = 1e-4
#: Newton's method converges in fewer steps from where it converges at all.
MOST = 12
#: Implicit steps: the first, their growth, their most, how far one may go relative to the state.
FIRST, GROWTH, STEPS, FARTHEST = 1.0, 2.0, 400, 0.1
#: Numbers in the matrices of all nodes, for eigenvalues; coefficients that these see, the least degree.
MATRICES, SEEN, LOWEST = 3 * 10**7, 1e-6, 8
#: Largest change of a coefficient by which Newton's method may end the implicit steps.
NEAR = 0.02


@dataclass(frozen=True)
class Stationary:
    """Densities that do not move, (aux, coefficients); the largest entry of ρ − S[V[ρ]]; Newton's steps."""

    equation: Equation
    coefficients: FloatArray
    residual: float
    iterations: int

    @cached_property
    def neutral(self) -> FloatArray:
        """Rotations that the equation does not feel, (k, unknowns)."""
        system = DensitySystem(self.equation)
        return system.neutral(system.flat(self.coefficients))

    @cached_property
    def spectrum(self) -> Spectrum:
        """Leading eigenvalues of the linearised flow, neutral ones left out."""
        equation, coefficients = _lighter(self.equation, self.coefficients)
        lighter = equation is not self.equation
        return Linearisation(equation, coefficients).spectrum(self.neutral, LIGHT if lighter else TOLERANCE)

    @property
    def leading(self) -> float:
        """Largest growth rate, NaN where it was not found."""
        values = self.spectrum.eigenvalues
        return float(values[0].real) if values.size else math.nan

    @property
    def stable(self) -> bool:
        """Whether every perturbation that is not neutral decays."""
        return self.leading < 0.0


def _lighter(equation: Equation, coefficients: FloatArray) -> tuple[Equation, FloatArray]:
    """Equation for eigenvalues: on surfaces with many nodes of lower degree, as leading modes are smooth.

    It keeps all coefficients above ``SEEN`` as far as the matrices of all nodes fit into ``MATRICES``.
    """
    space, nodes = equation.space, len(coefficients)
    width = coefficients.shape[1]
    if space.is_line or nodes * width**2 <= MATRICES:
        return equation, coefficients
    size = np.abs(coefficients).max(axis=0)
    seen = int(np.flatnonzero(size > SEEN * size.max())[-1]) + 1
    degree = LOWEST
    while space.width(degree + 1) <= min(seen, int(np.sqrt(MATRICES / nodes))):
        degree += 1
    coarse = space.resized(degree)
    attention = AttentionField(coarse, equation.attention.attention, equation.attention.tolerance)
    drift = equation.drift
    if drift is not None:
        drift = coarse.tangential(space.analyse(np.einsum("ip,ipd->di", drift, space.frame)))
    return Equation(attention, drift, equation.sigma), coarse.pad(coefficients)


def neutral_border(system: DensitySystem) -> Callable[[FloatArray], Border]:
    """Border that holds the state in its place along the rotations that the equation does not feel."""

    def border(state: FloatArray) -> Border:
        rows = system.neutral(state)
        return Border(rows, rows * system.weights(state), np.zeros((len(rows), len(rows))))

    return border


def stationary(problem: Problem, equation: Equation, coefficients: FloatArray) -> Stationary:
    """Newton's method from densities on the grid of an equation; the grid is refined as the result asks.

    Raises
    ------
    StalledError
        When Newton's method does not converge.
    ComputationError
        When the finest grid does not resolve the result.
    """
    while True:
        system = DensitySystem(equation)
        root = _newton(system, system.flat(coefficients))
        found = system.coefficients(root.state)
        size = np.abs(found * guard(equation.space, problem.accuracy.atol))[:, equation.space.constant :]
        if size.max() <= _scale(found):
            return Stationary(equation, found, root.residual, root.iterations)
        finer = refined(problem, equation)
        if finer is None:
            finest = problem.accuracy.max_resolution
            raise ComputationError(
                f"the stationary density needs more than solver.max_resolution = {finest} "
                f"{equation.space.counted}; "
                "raise it, or raise noise.sigma"
            )
        equation, coefficients = finer, finer.space.pad(found)


def _scale(coefficients: FloatArray) -> float:
    """Largest coefficient, one at least: in many dimensions those of narrow densities are large."""
    return max(1.0, float(np.abs(coefficients).max(initial=0.0)))


def _newton(system: DensitySystem, start: FloatArray) -> Root:
    return newton(
        system.residual,
        system.jacobian,
        start,
        tolerance=RESIDUAL * _scale(start),
        most=MOST,
        border=neutral_border(system),
    )


def relaxed(equation: Equation, coefficients: FloatArray) -> FloatArray:
    """Follow a slow motion by implicit steps of ρ' = S[V[ρ]] − ρ, which rests where the equation does.

    Steps grow as long as they stay short compared with the state; it ends where Newton's method converges
    nearby.

    Raises
    ------
    StalledError
        When it does not come to rest in so many steps.
    """
    system = DensitySystem(equation)
    state, step = system.flat(coefficients), FIRST
    for count in range(STEPS):
        if count % 8 == 7:
            root = _nearby(system, state)
            if root is not None:
                return system.coefficients(root)
        moved = _implicit(system, state, step)
        weights = system.weights(state)
        if weights @ moved**2 > FARTHEST**2 * (weights @ state**2):
            step /= GROWTH
            continue
        state = state + moved
        step *= GROWTH
    raise StalledError(
        "implicit steps do not come to rest", state, float(np.abs(system.residual(state)).max())
    )


def _nearby(system: DensitySystem, state: FloatArray) -> FloatArray | None:
    """Return what Newton's method finds if it is near."""
    try:
        root = _newton(system, state).state
    except StalledError:
        return None
    return root if np.abs(root - state).max() < NEAR else None


def _implicit(system: DensitySystem, state: FloatArray, step: float) -> FloatArray:
    """Solve (1/h + G')δ = −G."""
    border = neutral_border(system)(state)
    return solve_linear(_shifted(system.jacobian(state), 1.0 / step), -system.residual(state), border)[0]


def _shifted(jacobian: Jacobian, shift: float) -> Jacobian:
    from scipy.sparse.linalg import LinearOperator, aslinearoperator

    if isinstance(jacobian, np.ndarray):
        return jacobian + shift * np.eye(len(jacobian))
    operator: LinearOperator = aslinearoperator(jacobian)
    return LinearOperator(
        operator.shape, matvec=lambda x: operator.matvec(x) + shift * np.ravel(x), dtype=np.float64
    )
