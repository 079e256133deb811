"""What is reported of a state: order, concentration, entropies, energies, distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.energies import dissipation, entropy_functional, interaction_energy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.field import AttentionField
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.equation import Equation
    from meanfield_pde.spaces import Atoms, Space

__all__ = [
    "DESCRIPTIONS",
    "Comparison",
    "attention_entropy",
    "compare_atoms",
    "compare_state",
    "observe",
]

#: Every diagnostic by name, with what it is.
DESCRIPTIONS: Mapping[str, str] = {
    "mass_error": "largest |∫ρ(x|z) dx − 1| over z",
    "minimum": "smallest value of ρ(x|z)",
    "interaction_energy": "interaction energy E",
    "free_energy": "free energy F_σ = −E + σ Σ w ∫ρ log ρ",
    "dissipation": "dissipation Σ w ∫ρ |V + F − σ∇log ρ|²",
    "entropy": "entropy −∫μ log μ of the token marginal",
    "order_parameter": "order parameter R = |∫x dμ|",
    "conditional_concentration": "conditional concentration Σ w |∫x ρ(x|z) dx|",
    "attention_entropy": "mean entropy of attention relative to uniform attention (0 at most)",
    "spectral_tail": "largest coefficient among the highest that are kept",
}


def observe(equation: Equation, coefficients: FloatArray) -> dict[str, float]:
    """All diagnostics of one state, by the names of ``DESCRIPTIONS``."""
    space, layer = equation.space, equation.attention.attention
    density = space.synthesise(coefficients)
    marginal = layer.auxiliary.mean(density)
    moments = space.first_moment(coefficients)
    energy = interaction_energy(equation.attention, coefficients)
    disorder = entropy_functional(space, layer.auxiliary, density)
    positive = np.maximum(marginal, 0.0)
    return {
        "mass_error": float(np.abs(density @ space.weights - 1.0).max()),
        "minimum": float(density.min()),
        "interaction_energy": energy,
        "free_energy": -energy + equation.sigma * disorder,
        "dissipation": dissipation(equation, coefficients),
        "entropy": float(-special.xlogy(positive, positive) @ space.weights),
        "order_parameter": float(np.linalg.norm(layer.auxiliary.mean(moments))),
        "conditional_concentration": float(layer.auxiliary.mean(np.linalg.norm(moments, axis=-1))),
        "attention_entropy": attention_entropy(equation.attention, coefficients, density),
        "spectral_tail": float(np.abs(coefficients * space.tail_weights()).max()),
    }


def attention_entropy(attention: AttentionField, coefficients: FloatArray, density: FloatArray) -> float:
    """Mean over tokens and heads of −∫ a log a dm, a = e^s / ∫e^s dm: zero for uniform attention, else below.

    For n tokens the entropy of their n attention weights is log n plus this.
    """
    layer, space = attention.attention, attention.space
    total = 0.0
    for head in attention.heads:
        sums = head.sums(coefficients)
        normaliser = np.maximum(sums.total, np.finfo(float).tiny)
        relative = sums.offset + np.log(normaliser) - head.scored(coefficients) / normaliser
        total += float(layer.auxiliary.mean((density * relative) @ space.weights))
    return total / len(attention.heads)


@dataclass(frozen=True)
class Comparison:
    """The token marginal beside the pushforward of ν by the map of conditional means.

    Parameters
    ----------
    positions, lengths
        Coordinate and length of the conditional mean ∫x ρ(x|z_j) dx, (aux,) each.
    w1, w2
        Wasserstein distances between the marginal and Σ_j w_j δ_{position_j}, by geodesic distance.
    """

    positions: FloatArray
    lengths: FloatArray
    w1: float
    w2: float


def compare_state(space: Space, auxiliary: Auxiliary, coefficients: FloatArray) -> Comparison:
    """Distances between the token marginal of a state and the pushforward of ν by its conditional means."""
    moments = space.first_moment(coefficients)
    positions = space.locate(moments)
    marginal = auxiliary.mean(coefficients)
    w1, w2 = (space.wasserstein(marginal, positions, auxiliary.weights, order) for order in (1, 2))
    return Comparison(positions, np.linalg.norm(moments, axis=-1), w1, w2)


def compare_atoms(space: Space, auxiliary: Auxiliary, atoms: Atoms, moments: FloatArray) -> Comparison:
    """Return the same for a law that is a sum of atoms, with first moments (aux, d)."""
    positions = space.locate(moments)
    masses = auxiliary.weights[atoms.rows] * atoms.masses
    w1, w2 = (
        space.wasserstein_atoms(atoms.places, masses, positions, auxiliary.weights, order) for order in (1, 2)
    )
    return Comparison(positions, np.linalg.norm(moments, axis=-1), w1, w2)
