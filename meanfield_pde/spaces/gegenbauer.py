r"""Gegenbauer polynomials that are orthonormal on the sphere: recurrences, quadrature, derivatives.

The polynomial e_l of degree l in t = cos α is the zonal eigenfunction of −Δ on S^{d−1} with eigenvalue
l(l + d − 2). Under the uniform probability P of the sphere, dP = (1 − t²)^{(d−3)/2} dt / B((d−1)/2, 1/2),

.. math:: \int e_k e_l\,dP = \delta_{kl}, \qquad t\,e_l = b_{l+1}e_{l+1} + b_l e_{l-1}, \qquad
    e_l' = \sqrt{l(l+d-2)\tfrac{d}{d-1}}\; e_{l-1}^{(d+2)},

the last in dimension d + 2 (DLMF 18.9). In d = 2 they are 1, √2 cos lα; in d = 3 √(2l + 1) times Legendre's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh_tridiagonal

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meanfield_pde.arrays import FloatArray

__all__ = ["climbing", "eigenvalues", "gauss", "jacobi", "polynomials", "slopes", "stacked"]

#: Least weight of a node: its square root bounds the polynomials, whose products must not overflow.
LEAST_WEIGHT = 1e-290


def jacobi(degree: int, dimension: int) -> FloatArray:
    """Coefficients b_1 … b_degree of the recurrence, (degree,)."""
    order = np.arange(2, degree + 1, dtype=np.float64)
    twice = 2.0 * order + dimension
    squares = order * (order + (dimension - 3.0)) / ((twice - 2.0) * (twice - 4.0))
    return np.asarray(np.sqrt(np.concatenate([[1.0 / dimension], squares]))[:degree])


def eigenvalues(degree: int, dimension: int) -> FloatArray:
    """l(l + d − 2) for l = 0 … degree."""
    order = np.arange(degree + 1, dtype=np.float64)
    return np.asarray(order * (order + (dimension - 2.0)))


def polynomials(cosines: FloatArray, degree: int, dimension: int) -> Iterator[FloatArray]:
    """Yield e_0 … e_degree at these cosines, one array after the other."""
    ratios = jacobi(degree, dimension)
    before, current = np.zeros_like(cosines), np.ones_like(cosines)
    yield current
    for index in range(degree):
        lower = ratios[index - 1] if index else 0.0
        before, current = current, (cosines * current - lower * before) / ratios[index]
        yield current


def stacked(cosines: FloatArray, degree: int, dimension: int) -> FloatArray:
    """e_l at these cosines, (degree + 1, points)."""
    table = np.empty((degree + 1, cosines.size))
    for row, values in zip(table, polynomials(cosines, degree, dimension), strict=True):
        row[:] = values
    return table


def slopes(cosines: FloatArray, sines: FloatArray, degree: int, dimension: int) -> FloatArray:
    """∂_α e_l = −sin α e_l'(cos α), (degree + 1, points)."""
    table = np.zeros((degree + 1, cosines.size))
    if degree:
        scale = np.sqrt(eigenvalues(degree, dimension)[1:] * (dimension / (dimension - 1.0)))
        table[1:] = -scale[:, None] * sines * stacked(cosines, degree - 1, dimension + 2)
    return table


def climbing(degree: int, dimension: int) -> tuple[FloatArray, FloatArray]:
    r"""Write e_l = a_l e_l^{(d+2)} − c_l e_{l−2}^{(d+2)}: return a and c for l = 0 … degree.

    From (l + λ) C_l^λ = λ (C_l^{λ+1} − C_{l−2}^{λ+1}) (DLMF 18.9.7) with the norms of both families.
    """
    d, ratio = float(dimension), dimension / (dimension - 1.0)
    first, second = np.ones(degree + 1), np.zeros(degree + 1)
    order = np.arange(1, degree + 1, dtype=np.float64)
    twice = 2.0 * order + d
    first[1:] = ratio * (order + d - 1.0) * (order + d - 2.0) / ((twice - 2.0) * twice)
    order, twice = order[1:], twice[1:]
    second[2:] = ratio * order * (order - 1.0) / ((twice - 2.0) * (twice - 4.0))
    return np.sqrt(first), np.sqrt(second)


@lru_cache(maxsize=32)
def gauss(count: int, dimension: int) -> tuple[FloatArray, FloatArray]:
    """Nodes, increasing, and weights of Gauss quadrature under P, exact up to degree 2·count − 1.

    Golub & Welsch (Math. Comp. 23, 1969), then one step of Newton; weights 1/Σ e_l² (Christoffel), which are
    accurate relative to themselves however small they are. The arrays are not to be written to.

    Raises
    ------
    InputError
        Where weights are so small, in high dimensions, that the polynomials overflow.
    """
    if dimension == 2:
        angles = (np.arange(count)[::-1] + 0.5) * (math.pi / count)
        return _frozen(np.cos(angles), np.full(count, 1.0 / count))
    nodes = eigh_tridiagonal(np.zeros(count), jacobi(count - 1, dimension), eigvals_only=True)
    with np.errstate(over="ignore", invalid="ignore"):  # then it is not finite, and refused
        nodes = nodes - _christoffel(nodes, dimension)[1]
        nodes = (nodes - nodes[::-1]) / 2.0
        weights = 1.0 / _christoffel(nodes, dimension)[0]
    if not weights.min() >= LEAST_WEIGHT:
        raise InputError(
            f"zonal: in dimension {dimension} the polynomials overflow with {count} nodes; "
            "lower the resolution, or the dimension"
        )
    return _frozen(nodes, (weights + weights[::-1]) / 2.0)


def _christoffel(cosines: FloatArray, dimension: int) -> tuple[FloatArray, FloatArray]:
    """Σ e_l² below the degree of these nodes, and how far they are from being its zeros (Newton's step)."""
    count = cosines.size
    total, before, last = (np.zeros_like(cosines) for _ in range(3))
    for values in polynomials(cosines, count - 1, dimension):
        total += values**2
        before, last = last, values
    below = jacobi(count - 1, dimension)[-1] * before if count > 1 else 0.0
    return total, np.asarray((cosines * last - below) * last / total)


def _frozen(nodes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    for array in (nodes, weights):
        array.setflags(write=False)
    return nodes, weights
