"""The formulas of MODEL.md, section 7, by scipy alone: what results of the package are held against."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from scipy.integrate import solve_ivp

FloatArray = NDArray[np.float64]

ZONAL_NODES = 32  # of a Gauss rule along the axis, and of one about it: e^{10 cos} is integrated to rounding
ORDERED = (0.08, 0.2)  # order parameters between which the fold lies, just above β_*


def eigenvalue(degree: int, beta: float, dimension: int) -> float:
    """c_l(β) = Γ(d/2) (2/β)^{d/2−1} I_{l+d/2−1}(β)."""
    order = dimension / 2.0 - 1.0
    size = math.lgamma(dimension / 2.0) + order * math.log(2.0 / beta) + beta
    return float(math.exp(size) * special.ive(degree + order, beta))


def gain(degree: int, beta: float, dimension: int, normalization: str) -> float:
    """c_l/β, over c_0 for softmax."""
    share = eigenvalue(0, beta, dimension) if normalization == "softmax" else 1.0
    return eigenvalue(degree, beta, dimension) / beta / share


def growth(degree: int, beta: float, sigma: float, dimension: int, normalization: str) -> float:
    """Row 2: growth rate of mode l about the uniform law."""
    return degree * (degree + dimension - 2) * (gain(degree, beta, dimension, normalization) - sigma)


def turning_beta(dimension: int) -> float:
    """Row 4: β_* with I_{d/2+1}(β)/I_{d/2}(β) = 1/d."""

    def gap(beta: float) -> float:
        half = dimension / 2.0
        return float(special.ive(half + 1.0, beta) / special.ive(half, beta) - 1.0 / dimension)

    return float(optimize.brentq(gap, 0.5, 5.0, xtol=1e-14))


def fold(beta: float, dimension: int, orders: tuple[float, float] = ORDERED) -> tuple[float, float]:
    """Row 4: largest noise with an ordered state without normalisation, and its order parameter.

    ρ ∝ exp(Φ[ρ]/σ) on Gauss nodes of the axis, Φ by quadrature about it: nothing is expanded in harmonics.
    """
    cosine, weight, kernel = _zonal_kernel(beta, dimension)

    def law(potential: FloatArray, sigma: float) -> FloatArray:
        shape = weight * np.exp((potential - potential.max()) / sigma)
        return np.asarray(shape / shape.sum())

    def noise(order: float) -> float:
        def gap(unknown: FloatArray) -> FloatArray:
            own = law(unknown[1:], unknown[0])
            return np.append(cosine @ own - order, kernel @ own / beta - unknown[1:])

        tilt = optimize.brentq(lambda k: cosine @ law(k * cosine, 1.0) - order, 1e-3, 1e3)
        potential = kernel @ law(tilt * cosine, 1.0) / beta
        slope = np.polynomial.polynomial.polyfit(cosine, potential, 1, w=np.sqrt(weight))[1]
        return float(optimize.root(gap, np.append(slope / tilt, potential), tol=1e-15).x[0])

    top = optimize.minimize_scalar(
        lambda order: -noise(order), bounds=orders, method="bounded", options={"xatol": 1e-7}
    )
    return -float(top.fun), float(top.x)


def _zonal_kernel(beta: float, dimension: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cosines, their probabilities, and means of e^{β⟨x,y⟩} over the rings through x and y."""
    power = (dimension - 3) / 2.0
    cosine, weight = special.roots_jacobi(ZONAL_NODES, power, power)
    sine = np.sqrt(1.0 - cosine**2)
    turn, share = np.array([-1.0, 1.0]), np.ones(2)
    if dimension > 2:
        turn, share = special.roots_jacobi(ZONAL_NODES, power - 0.5, power - 0.5)
    inner = np.multiply.outer(cosine, cosine)[..., None] + np.multiply.outer(sine, sine)[..., None] * turn
    return cosine, weight / weight.sum(), np.exp(beta * inner) @ (share / share.sum())


def kuramoto_order(start: float, depth: float) -> float:
    """Row 5: r of r' = r(1 − r²)/2."""
    return float(1.0 / math.sqrt(1.0 + (1.0 / start**2 - 1.0) * math.exp(-depth)))


def kuramoto_stationary(sigma: float) -> float:
    """Row 5: r = I_1(r/σ)/I_0(r/σ), zero from σ = 1/2 on."""

    def excess(r: float) -> float:
        return float(special.ive(1, r / sigma) / special.ive(0, r / sigma) - r)

    return float(optimize.brentq(excess, 0.05, 1.0, xtol=1e-15)) if sigma < 0.5 else 0.0


def equal_products(count: int, beta: float, normalization: str, start: float, depth: float) -> float:
    """Row 6: common inner product of n tokens after so much depth."""

    def rate(_: float, rho: FloatArray) -> FloatArray:
        total = np.exp(beta) + (count - 1) * np.exp(beta * rho) if normalization == "softmax" else count
        return np.asarray(2.0 * np.exp(beta * rho) * (1.0 - rho) * ((count - 1) * rho + 1.0) / total)

    run = solve_ivp(rate, (0.0, depth), [start], "DOP853", rtol=1e-13, atol=1e-14)
    return float(run.y[0, -1])


def spread_threshold(nodes: int, beta: float) -> float:
    """Row 11: amplitude from which T(z) = 2πz is stable, by eigenvalues of the definition (softmax)."""
    z = (np.arange(nodes) + 0.5) / nodes
    places = 2.0 * np.pi * z

    def leading(amplitude: float) -> float:
        found = np.linalg.eigvals(_jacobian(lambda x: _ring_velocity(x, amplitude, z, beta), places))
        return float(np.delete(found.real, np.argmin(np.abs(found))).max())  # without the neutral rotation

    return float(optimize.brentq(leading, 0.2, 1.6, xtol=1e-12))


def _ring_velocity(places: FloatArray, amplitude: float, z: FloatArray, beta: float) -> FloatArray:
    """Velocities of one token a node by the definition."""
    keys = np.exp(1j * places) + amplitude * np.exp(2j * np.pi * z)
    share = special.softmax(beta * (keys[:, None] * keys.conj()).real, axis=1)
    return np.asarray((share @ keys * np.conj(1j * np.exp(1j * places))).real)


def _jacobian(
    velocity: Callable[[FloatArray], FloatArray], places: FloatArray, step: float = 1e-3
) -> FloatArray:
    """Differences of fourth order, good to 1e-11."""

    def central(column: FloatArray, reach: float) -> FloatArray:
        return velocity(places + reach * column) - velocity(places - reach * column)

    columns = [(8.0 * central(c, step) - central(c, 2.0 * step)) / (12.0 * step) for c in np.eye(places.size)]
    return np.stack(columns, axis=1)


def sinc(turns: float) -> float:
    """Row 9: |sin(πa)/(πa)|."""
    return float(abs(np.sinc(turns)))
