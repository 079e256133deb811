r"""What is said of a token marginal beside the limit law: distances, collapse, rank.

Effective rank is :math:`\exp(-\sum_i p_i \log p_i)` with p the eigenvalues of the token covariance
∫(x − m)(x − m)ᵀ dμ over their sum (Roy & Vetterli, EUSIPCO 2007): one for tokens on a line, d for isotropic
ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.attention.rings import are_rings

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.spaces import Atoms, Space

__all__ = ["OBSERVED", "Tokens", "distances", "effective_rank", "spread"]

#: Measures of a law that the diagnostics of a state hold already.
OBSERVED = (
    "conditional_concentration",
    "entropy",
    "attention_entropy",
    "interaction_energy",
    "free_energy",
)
#: Total variance below which the tokens are one point, whose covariance has no rank.
POINT = 1e-14


@dataclass(frozen=True)
class Tokens:
    """A token marginal as weighted points: places (tokens, *place) and masses (tokens,)."""

    places: FloatArray
    masses: FloatArray

    @staticmethod
    def of_density(space: Space, coefficients: FloatArray) -> Tokens:
        """Points of equal mass in the place of a density."""
        return Tokens(*space.equivalent(coefficients))

    @staticmethod
    def of_atoms(auxiliary: Auxiliary, atoms: Atoms) -> Tokens:
        """Gather the atoms of all nodes."""
        return Tokens(atoms.places, auxiliary.weights[atoms.rows] * atoms.masses)


def distances(space: Space, marginal: Tokens, law: Tokens) -> dict[str, float]:
    """W₁ and W₂ between a token marginal and the limit law, by geodesic distance."""
    return {
        f"w{order}": space.wasserstein_atoms(marginal.places, marginal.masses, law.places, law.masses, order)
        for order in (1, 2)
    }


def spread(space: Space, marginal: Tokens) -> dict[str, float]:
    """Order parameter, W₂ to the nearest Dirac mass, and effective rank of the covariance."""
    points = space.embed(marginal.places)
    masses = marginal.masses / marginal.masses.sum()
    mean = masses @ points
    if are_rings(space):
        mean[1:] = 0.0
    covariance = (points - mean).T @ (masses[:, None] * (points - mean))
    if are_rings(space):
        across = np.full(space.dimension - 1, covariance[1, 1] / (space.dimension - 1))
        covariance = np.diag([covariance[0, 0], *across])
    return {
        "order_parameter": float(np.linalg.norm(mean)),
        "nearest_dirac": space.nearest_dirac(marginal.places, masses)[1],
        "effective_rank": effective_rank(covariance),
    }


def effective_rank(covariance: FloatArray) -> float:
    """Exponential of the entropy of the eigenvalues; NaN for a point."""
    values = np.maximum(np.linalg.eigvalsh(covariance), 0.0)
    total = float(values.sum())
    return float(np.exp(special.entr(values / total).sum())) if total > POINT else math.nan
