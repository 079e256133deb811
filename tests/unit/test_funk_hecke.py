"""Eigenvalues of e^{β⟨x,y⟩} on spheres against their power series in exact decimals, and closed forms."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import special

from meanfield_pde.spaces import funk_hecke

EXPONENTS = np.array([0.0, 1e-12, 1e-3, 0.5, 7.3, 50.0, 333.3, 2000.0])
DEGREES = (0, 1, 2, 5, 20, 60)


def series(exponent, degree, dimension):
    """c_l(β) e^{−β} = e^{−β} (β/2)^l/(d/2)_l Σ_k (β²/4)^k / (k! (l + d/2)_k): positive terms, 60 digits."""
    with localcontext() as context:
        context.prec, context.Emin = 60, -99999
        beta, half = Decimal(float(exponent)), Decimal(dimension) / 2
        term = (-beta).exp()
        for k in range(degree):
            term *= beta / 2 / (half + k)
        total, k = term, 0
        while term > total * Decimal(10) ** -30:
            term *= beta**2 / 4 / ((k + 1) * (half + degree + k))
            total, k = total + term, k + 1
        return total


@pytest.mark.parametrize("dimension", [2, 3, 4, 5, 64, 1000])
def test_eigenvalues_by_their_power_series(dimension):
    found = funk_hecke.coefficients(EXPONENTS, max(DEGREES), dimension)
    for row, exponent in zip(found, EXPONENTS, strict=True):
        for degree in DEGREES:
            expected = series(exponent, degree, dimension)
            if expected < Decimal("1e-290"):
                assert 0.0 <= row[degree] <= 1.1e-290
            else:
                # Up to 60 factors and sums of 1000 positive terms, each rounded: 50 roundings at the most.
                assert abs(Decimal(float(row[degree])) / expected - 1) < Decimal("1.1e-14")


def test_eigenvalues_at_the_largest_exponent():
    """At β = 10⁴ against scipy's I_l: its own relative error for orders up to 60 is below 1e-13."""
    found = funk_hecke.coefficients(np.array([1e4]), 60, 2)[0]
    assert np.abs(found / special.ive(np.arange(61), 1e4) - 1.0).max() < 1e-13
    found = funk_hecke.coefficients(np.array([1e4]), 60, 3)[0]
    spherical = np.sqrt(np.pi / 2e4) * special.ive(np.arange(61) + 0.5, 1e4)
    assert np.abs(found / spherical - 1.0).max() < 1e-13


@pytest.mark.parametrize("dimension", [2, 3, 9, 1000])
def test_the_kernel_at_one_point_is_the_sum_of_its_parts(dimension):
    """Σ_l dim_l c_l(β) e^{−β} = 1, and `reach` says how many parts matter."""
    for exponent in (0.0, 0.3, 6.0, 100.0):
        last = funk_hecke.reach(exponent, 1e-17, dimension)
        parts = (
            funk_hecke.dimensions(last + 30, dimension)
            * (funk_hecke.coefficients(np.array([exponent]), last + 30, dimension)[0])
        )
        # Up to a few hundred positive terms, each of as many factors.
        assert parts[: last + 1].sum() == pytest.approx(1.0, abs=5e-14)
        assert parts[last + 1 :].max() < 1e-17
        assert last == 1 or parts[last] >= 1e-17 * (1.0 - 1e-12)


def test_numbers_of_harmonics():
    assert (funk_hecke.dimensions(5, 2) == [1, 2, 2, 2, 2, 2]).all()
    assert (
        np.abs(funk_hecke.dimensions(40, 3) / (2.0 * np.arange(41) + 1.0) - 1.0).max() < 1e-14
    )  # 40 factors
    expected = [special.comb(l + 6, 6) - special.comb(l + 4, 6) for l in range(9)]  # noqa: E741
    assert np.abs(funk_hecke.dimensions(8, 7) / expected - 1.0).max() < 1e-14


@pytest.mark.parametrize("dimension", [2, 3, 11])
def test_quotients_by_the_exponent(dimension):
    exponents = np.array([1e-3, 1.0, 30.0, 700.0])
    values = funk_hecke.coefficients(exponents, 12, dimension)
    divided = funk_hecke.divided(exponents, 12, dimension)
    assert divided.shape == (4, 12)
    assert np.abs(divided * exponents[:, None] / values[:, 1:] - 1.0).max() < 1e-14  # 12 factors
    # At β = 0 only degree one is left: c_1 = β/d + …
    limit = funk_hecke.divided(np.zeros(1), 12, dimension)[0]
    assert limit[0] == 1.0 / dimension
    assert not limit[1:].any()
    assert funk_hecke.divided(exponents, 1, dimension).shape == (4, 1)


def test_derivatives_by_the_exponent():
    """c_l' = c_{l+1} + (l/β) c_l, by central differences of e^{β} · scaled values."""
    step, exponents, orders = 1e-5, np.array([0.7, 3.0, 12.0]), np.arange(1, 8)
    for dimension in (3, 6):
        above, below = (
            funk_hecke.coefficients(exponents + sign * step, 7, dimension) * np.exp(sign * step)
            for sign in (1.0, -1.0)
        )
        slope = ((above - below) / (2.0 * step))[:, 1:]
        divided = funk_hecke.divided(exponents, 7, dimension)
        expected = funk_hecke.coefficients(exponents, 8, dimension)[:, 2:] + orders * divided
        # Roundings 1e-16/1e-5 and a third derivative of order one times 1e-10.
        assert np.abs(slope - expected).max() < 1e-10


@pytest.mark.parametrize("dimension", [2, 3, 50])
def test_the_degree_that_a_kernel_feels(dimension):
    for exponent in (0.0, 1.0, 6.0, 30.0, 600.0):
        degree = funk_hecke.degree(exponent, 1e-16, dimension)
        values = funk_hecke.coefficients(np.array([exponent]), degree + 40, dimension)[0]
        size = np.sqrt(funk_hecke.dimensions(degree + 40, dimension)) * values / values[0]
        assert size[degree + 1 :].max() < 1e-16
        assert degree == 1 or size[degree] >= 1e-16 * (1.0 - 1e-12)
