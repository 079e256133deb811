r"""Energies and their signs: attention *ascends* the interaction energy, the flow *descends* the free energy.

.. math::

    E[f] &= \frac{1-\omega}{2\beta}\iint e^s f f + \frac{\omega}{\beta}\iint e^s f \pi,
    \qquad F_\sigma[f] = -E[f] + \sigma\sum_j w_j\int\rho\log\rho\,dx

summed over heads. At β = 0 the constant 1/(2β) is left out: E = ½∬⟨Q E_z x, K E_ζ y⟩ f f. For unnormalised
attention in the gradient case dF_σ/dt = −(dissipation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.attention.blocks import TokenHead
from meanfield_pde.attention.operators import LARGEST_EXPONENT
from meanfield_pde.attention.prompt import prompt_keys, queries
from meanfield_pde.attention.scattered import FEW

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.field import AttentionField, HeadField
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.equation import Equation
    from meanfield_pde.spaces import Atoms, Space

__all__ = ["dissipation", "entropy_functional", "interaction_energy", "linear_potential", "scattered_energy"]

#: Densities below this share of the largest are rounding noise and carry no dissipation.
NOISE = 1e-15


def interaction_energy(attention: AttentionField, coefficients: FloatArray) -> float:
    """E[f]; infinite where e^s overflows."""
    density = attention.space.synthesise(coefficients)
    auxiliary, weights = attention.attention.auxiliary, attention.space.weights

    def average(integrand: FloatArray) -> float:
        return float(auxiliary.mean((density * integrand) @ weights))

    return float(sum(_head_energy(head, coefficients, average) for head in attention.heads))


def scattered_energy(field: ScatteredField, atoms: Atoms) -> float:
    """E[f] of a law that is a sum of atoms; infinite where e^s overflows."""
    auxiliary = field.field.attention.auxiliary
    if field.rings is not None and all(head.beta > 0.0 for head in field.field.attention.heads):
        return field.rings.energy(atoms)
    if field.rings is None and atoms.masses.size <= FEW:
        tokens = field.space.embed(atoms.places)
        pairs = (TokenHead(head.setting, atoms.rows, atoms.masses) for head in field.field.heads)
        return float(sum(head.energy(tokens) for head in pairs))
    coefficients = field.space.analyse_atoms(atoms)

    def average(integrand: FloatArray) -> float:
        shape = (integrand.shape[0], len(field.space.weights))
        return float(
            auxiliary.mean(atoms.sums(field.space.interpolate(np.broadcast_to(integrand, shape), atoms)))
        )

    return float(sum(_head_energy(head, coefficients, average) for head in field.field.heads))


def _head_energy(head: HeadField, coefficients: FloatArray, average: Callable[[FloatArray], float]) -> float:
    """Average over f of what a head adds at every query, given on the grid."""
    share, beta = head.setting.attention.density_share, head.setting.head.beta
    if beta == 0.0:
        return average(linear_potential(head, coefficients, 0.5))
    if float(head.offset.max()) > LARGEST_EXPONENT:
        return np.inf
    integrand = 0.5 * share * head.operator.sums(coefficients).total * np.exp(head.operator.offset)
    if head.prompted is not None:
        integrand = integrand + head.prompted.total * np.exp(head.prompted.offset)
    return average(integrand / beta)


def linear_potential(head: HeadField, coefficients: FloatArray, factor: float = 1.0) -> FloatArray:
    """(1 − ω) ∫⟨Bu, w⟩ e^b df + ω ∫⟨Bu, w⟩ e^b dπ, (aux or 1, points): Φ at β = 0; f times a factor."""
    setting = head.setting
    moment = setting.space.first_moment(coefficients)
    encoding = setting.attention.encoding
    if encoding.angles is not None:
        moment = np.einsum("zde,ze->zd", setting.space.rotations(encoding.angles), moment)
    if encoding.shifts is not None:
        moment = moment + encoding.shifts
    mixed = setting.mixer.mix(setting.weights * moment) * np.exp(setting.mixer.peak)
    attended = factor * setting.attention.density_share * mixed
    prompt = setting.attention.prompt
    if prompt is not None:
        keys, bias = prompt_keys(setting, prompt)
        weight = prompt.fraction * prompt.weights * np.exp(bias)
        attended = attended + (weight[:, None, :] @ keys)[:, 0]
    turned = queries(setting) @ setting.head.metric.T
    return np.asarray((turned @ attended[..., None])[..., 0])


def entropy_functional(space: Space, auxiliary: Auxiliary, density: FloatArray) -> float:
    """Σ_j w_j ∫ ρ log ρ dx; negative rounding counts as zero."""
    return float(
        auxiliary.mean(special.xlogy(np.maximum(density, 0.0), np.maximum(density, 0.0)) @ space.weights)
    )


def dissipation(equation: Equation, coefficients: FloatArray) -> float:
    """Σ_j w_j ∫ ρ |V + F − σ∇log ρ|² dx."""
    space = equation.space
    density = space.synthesise(coefficients)
    flux = density[..., None] * equation.velocity(coefficients) - equation.sigma * space.gradient(
        coefficients
    )
    floor = NOISE * density.max()
    with np.errstate(over="ignore"):  # velocities near e^{355}: then it is infinite, and says so
        rate = np.where(density > floor, (flux**2).sum(axis=-1) / np.maximum(density, floor), 0.0)
    return float(equation.attention.attention.auxiliary.mean(rate @ space.weights))
