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

from meanfield_pde.attention.operators import LARGEST_EXPONENT
from meanfield_pde.attention.prompt import prompt_keys, queries

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.field import AttentionField, HeadField
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.equation import Equation
    from meanfield_pde.spaces import Space

__all__ = ["dissipation", "entropy_functional", "interaction_energy"]

#: Densities below this share of the largest are rounding noise and carry no dissipation.
NOISE = 1e-15


def interaction_energy(attention: AttentionField, coefficients: FloatArray) -> float:
    """E[f]; infinite where e^s overflows."""
    density = attention.space.synthesise(coefficients)
    return float(sum(_head_energy(head, coefficients, density) for head in attention.heads))


def _head_energy(head: HeadField, coefficients: FloatArray, density: FloatArray) -> float:
    setting = head.setting
    share, beta = setting.attention.density_share, setting.head.beta
    if beta == 0.0:
        integrand = _inner(head, coefficients)
    elif float(head.offset.max()) > LARGEST_EXPONENT:
        return np.inf
    else:
        own = head.operator.sums(coefficients).total * np.exp(head.operator.offset)
        integrand = 0.5 * share * own
        if head.prompted is not None:
            integrand = integrand + head.prompted.total * np.exp(head.prompted.offset)
        integrand = integrand / beta
    inside = (density * integrand) @ setting.space.weights
    return float(setting.attention.auxiliary.mean(inside))


def _inner(head: HeadField, coefficients: FloatArray) -> FloatArray:
    """½(1 − ω) ∫⟨Bu, w⟩ e^b df + ω ∫⟨Bu, w⟩ e^b dπ: the integrand at β = 0, (aux or 1, points)."""
    setting = head.setting
    moment = setting.space.first_moment(coefficients)
    encoding = setting.attention.encoding
    if encoding.angles is not None:
        moment = np.einsum("zde,ze->zd", setting.space.rotations(encoding.angles), moment)
    if encoding.shifts is not None:
        moment = moment + encoding.shifts
    mixed = setting.mixer.mix(setting.weights * moment) * np.exp(setting.mixer.peak)
    attended = 0.5 * setting.attention.density_share * mixed
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
