"""The phi functions against their series in exact rational arithmetic."""

import cmath
from fractions import Fraction
from math import factorial

import numpy as np
import pytest

from solvers.phi import SERIES_RADIUS, phi

EPS = np.finfo(np.float64).eps


def exact(z, index):
    """phi_index(z) from the series in rationals; what is left out is below 1e-30."""
    x, y = Fraction(complex(z).real), Fraction(complex(z).imag)
    real, imaginary = Fraction(1), Fraction(0)
    total_real, total_imaginary = Fraction(0), Fraction(0)
    k = 0
    while k < 40 + 6 * abs(z):
        total_real += real / factorial(k + index)
        total_imaginary += imaginary / factorial(k + index)
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x
        k += 1
    return complex(float(total_real), float(total_imaginary))


REAL = [
    -30.0,
    -9.0,
    -3.0,
    -SERIES_RADIUS,
    -np.nextafter(SERIES_RADIUS, 0.0),
    -1.0,
    -0.3,
    -1e-3,
    -1e-9,
    0.0,
    0.7,
    4.0,
]


@pytest.mark.parametrize("z", REAL)
def test_real_arguments(z):
    change, *others = phi(z)
    assert isinstance(change, float)
    # expm1, then a subtraction and a division for each function, or 21 alternating terms: at most about eight
    # roundings, at the radius where the two ways meet.
    for n, value in enumerate(others, start=1):
        assert value == pytest.approx(exact(z, n).real, rel=8 * EPS)
    assert change == pytest.approx(np.expm1(z), rel=8 * EPS)


@pytest.mark.parametrize("radius", [1e-8, 0.1, 1.0, 1.4, 1.6, 5.0, 20.0])
@pytest.mark.parametrize("angle", [0.5, 0.6, 0.75, 0.9])
def test_complex_arguments(radius, angle):
    z = radius * cmath.exp(1j * np.pi * angle)
    # As for real arguments, but relative to 1/(1 + |z|), the size of the functions: near the zeros of phi_1
    # on the imaginary axis no relative accuracy is claimed.
    for n, value in enumerate(phi(z)[1:], start=1):
        assert abs(value - exact(z, n)) <= 12 * EPS / (1.0 + radius)


def test_stiff_arguments_are_those_of_the_asymptotic_form():
    for z in (-1e3, -1e6, -1e300):
        change, one, two, three = phi(z)
        assert change == -1.0
        # e^z vanishes: phi_1 = -1/z, phi_2 = -1/z - 1/z^2, phi_3 = -1/(2z) - 1/z^2 - 1/z^3 up to rounding.
        assert one == pytest.approx(-1.0 / z, rel=4 * EPS)
        assert two == pytest.approx(-(1.0 + 1.0 / z) / z, rel=4 * EPS)
        assert three == pytest.approx(-(0.5 + 1.0 / z + 1.0 / z / z) / z, rel=4 * EPS)
