r"""The functions of exponential integrators, for real and complex arguments.

.. math:: \varphi_0(z) = e^z, \qquad \varphi_{n+1}(z) = \frac{\varphi_n(z) - 1/n!}{z}
          = \sum_{k \ge 0} \frac{z^k}{(k + n + 1)!}

The quotient loses digits for small :math:`|z|`, the series converges slowly for large: the two meet at
:math:`|z| = 3/2`, where both are good to a few roundings. No contour integrals, so no complex arithmetic for
real arguments, and two or three dozen operations an entry (Hochbruck & Ostermann 2010, section 2; Kassam &
Trefethen 2005 explain the cancellation).
"""

from math import factorial

import numpy as np

from solvers.compiled import kernel

SERIES_RADIUS = 1.5
# 21 terms: the first one left out is 1.5^21 / 24! = 8e-21, below 1e-19 of phi_3.
SERIES = np.array([1.0 / factorial(k + 3) for k in range(21)])


@kernel
def phi(z: complex) -> tuple[complex, complex, complex, complex]:
    """Return (phi_0 - 1, phi_1, phi_2, phi_3) at one real or complex argument.

    Parameters
    ----------
    z
        The argument, float or complex; accurate to a few roundings wherever e^z does not overflow.

    Returns
    -------
    tuple
        phi_0 comes as expm1(z) = phi_0(z) - 1 = z phi_1(z), which keeps its digits for small z.
    """
    if abs(z) < SERIES_RADIUS:
        three = SERIES[-1] + 0.0 * z
        for k in range(SERIES.size - 2, -1, -1):
            three = three * z + SERIES[k]
        two = three * z + 0.5
        one = two * z + 1.0
        return one * z, one, two, three
    change = np.expm1(z)
    one = change / z
    two = (one - 1.0) / z
    three = (two - 0.5) / z
    return change, one, two, three
