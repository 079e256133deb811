r"""What a branch of stationary states is made of: the family :math:`r(u, \lambda) = 0`, points, controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from solvers.bordered import Jacobian
    from solvers.compiled import FloatArray

__all__ = ["Branch", "Control", "Family", "Limits", "Point", "Tangent", "Vector"]

Limits: TypeAlias = tuple[float, float]
#: A state and a value of the parameter, or a change of both.
Vector: TypeAlias = "tuple[FloatArray, float]"
#: The direction of a branch, of length one.
Tangent: TypeAlias = Vector


class Family(Protocol):
    """Equations r(u, λ) = 0, with a state u of (n,) and a parameter, the value λ."""

    def residual(self, state: FloatArray, value: float) -> FloatArray:
        """Evaluate r(u, λ), (n,)."""

    def jacobian(self, state: FloatArray, value: float) -> Jacobian:
        """Differentiate r with respect to the state, (n, n)."""

    def slope(self, state: FloatArray, value: float) -> FloatArray:
        """Differentiate r with respect to the value, (n,)."""

    def weights(self, state: FloatArray) -> FloatArray:
        """Return the weights of the inner product of states, (n,), positive."""

    def neutral(self, state: FloatArray, value: float) -> FloatArray:
        """Return directions along which symmetries move the state, (k, n); k may be 0.

        They may be dependent; but rounding errors of a direction that vanishes must not be among them.
        """

    def fitted(self, state: FloatArray, value: float) -> FloatArray:
        """Return the state on another resolution where it needs one, else the state itself."""

    def leading(self, state: FloatArray, value: float) -> float:
        """Return the largest real part of the spectrum of the flow's linearisation, neutral ones left out."""


@dataclass(frozen=True, eq=False)
class Point:
    """A stationary state on a branch.

    Attributes
    ----------
    state, value
        (n,), and the parameter.
    tangent
        Direction in which the branch is followed, its parts in state and parameter, of length one in the
        metric of `solvers.continuation.follow`.
    arclength
        Sum of the chords from the first point on.
    leading
        Largest real part of the spectrum; the state is stable where it is negative.
    residual
        Largest entry of the residual.
    """

    state: FloatArray
    value: float
    tangent: Tangent
    arclength: float
    leading: float
    residual: float


@dataclass(frozen=True, eq=False)
class Branch:
    """Points in order, folds and branch points among them, and why it ended.

    ``ended`` is "limits", "closed" (back at its first point), "points" (as many as allowed),
    "stopped: reason" (by the caller), or "stalled: reason" (no step is short enough).
    """

    points: tuple[Point, ...]
    folds: tuple[Point, ...]
    branch_points: tuple[Point, ...]
    ended: str


@dataclass(frozen=True)
class Control:
    """Steps along a branch, in arclength.

    Parameters
    ----------
    first, smallest, largest
        Steps, where the parameter is divided by the width of its limits.
    tolerance
        Largest entry that residuals may keep; they are driven to rounding level all the same.
    most
        Points at most.

    Raises
    ------
    ValueError
        If the steps are not in order, or anything is not positive.
    """

    first: float = 0.02
    smallest: float = 1e-6
    largest: float = 0.1
    tolerance: float = 1e-10
    most: int = 1000

    def __post_init__(self) -> None:
        """Refuse steps that cannot be taken."""
        if not 0.0 < self.smallest <= self.first <= self.largest < np.inf:
            raise ValueError(
                "Control: steps must be 0 < smallest <= first <= largest, "
                f"got {self.smallest!r}, {self.first!r}, {self.largest!r}"
            )
        if not 0.0 < self.tolerance < np.inf:
            raise ValueError(f"Control: tolerance must be positive, got {self.tolerance!r}")
        if self.most < 1:
            raise ValueError(f"Control: most must be at least 1, got {self.most!r}")
