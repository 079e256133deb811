"""What is trained: fields, intervals, penalty, loss, and when the optimiser may stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.features import Features
    from meanfield_pde.training.losses import Loss

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """Training of the drift F = F_0 + Σ_k θ_k(t) g_k.

    Parameters
    ----------
    features
        g_k, see ``features``.
    loss
        ℓ, see ``losses``.
    intervals
        θ(t) is constant on so many equal intervals of depth.
    regularization
        λ > 0.
    iterations
        Iterations of the optimiser at most.
    tolerance
        It stops where the norm of the gradient, as a function of depth, has fallen below this times that at
        θ = 0.

    Raises
    ------
    InputError
        When a number is out of range.
    """

    features: Features
    loss: Loss
    intervals: int = 200
    regularization: float = 0.01
    iterations: int = 500
    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        if self.intervals < 1:
            raise InputError(f"training: intervals must be at least 1, got {self.intervals}")
        if not self.regularization > 0.0:
            raise InputError(f"training: regularization must be > 0, got {self.regularization!r}")
        if self.iterations < 1:
            raise InputError(f"training: iterations must be at least 1, got {self.iterations}")
        if not self.tolerance > 0.0:
            raise InputError(f"training: tolerance must be > 0, got {self.tolerance!r}")
