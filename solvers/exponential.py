r"""Adaptive exponential Runge-Kutta steps for :math:`\dot u = \lambda u + N(u)`, lambda diagonal.

The linear part is solved exactly, so that stiff diffusion does not limit the step. The scheme is the
fifth-order one of Whalen, Brio & Moloney (2015, "ETD35"): six stages at c = 0, 1/4, 1/4, 1/2, 3/4, 1,

.. math::

    U_i = e^{c_i z} u + h \sum_{m<i} a_{im}(z) N(U_m), \qquad
    u_1 = e^z u + h \sum_m b_m(z) N(U_m), \qquad z = h \lambda

whose error estimate is the weighted fourth difference of N along the step,
:math:`h b_5 (-N_1 + 4 N_3 - 6 N_4 + 4 N_5 - N_6)`. In the paper b_3 is misprinted (497 for 467:
the weights must sum to phi_1). The estimate falls as h^4, the error of a step as h^6.

On nonlinear advection-diffusion problems this scheme reaches an error of 1e-8 with two thirds, and 1e-10 with
half to a quarter, of the rates that Krogstad's ETDRK4 with its embedded companion takes; the five-stage
scheme of Hochbruck & Ostermann takes more, and a fifth-order integrating factor fails on stiff problems.
"""

import numpy as np

from solvers.compiled import FloatArray, kernel
from solvers.phi import phi

# Rows of the coefficients: one a stage from the second on, the new state, the error.
NEW_STATE, ERROR = 5, 6
# Places in such a row: u, e^{cz} or e^{cz} - 1, and N_1 to N_6.
KEEP, CHANGE, FIRST_RATE = 0, 1, 2
# c of each row, in quarters.
QUARTERS = np.array([1, 1, 2, 3, 4, 4, 4])
# The weight of N_m in a row is h sum_n SCHEME[row, m, n] phi_n(c z).
BOOLE = np.array([-313, 1766, -540]) / 1350
SCHEME = np.zeros((7, 6, 3))
SCHEME[0, 0] = np.array([1, 0, 0]) / 4
SCHEME[1, :2] = np.array([[1, -1, 0], [0, 1, 0]]) / 4
SCHEME[2, :3] = np.array([[1, -2, 0], [0, 0, 0], [0, 2, 0]]) / 2
SCHEME[3, :4] = np.array([[6, -9, 0], [-3, 0, 0], [3, 0, 0], [0, 9, 0]]) / 8
SCHEME[4, :5] = np.array([[-154, 236, 0], [96, 0, 0], [333, -522, 0], [-144, 0, 0], [-47, 286, 0]]) / 84
SCHEME[5, 0] = np.array([1799, -6958, 11340]) / 2700
SCHEME[5, 2] = np.array([1097, -934, -900]) / 1350
SCHEME[5, 3] = np.array([-98, 796, -1620]) / 225
SCHEME[5, 4] = BOOLE
SCHEME[5, 5] = np.array([509, -4258, 10980]) / 2700
SCHEME[6] = np.outer([-1, 0, 4, -6, 4, -1], BOOLE)
USED = np.asarray(SCHEME.any(axis=2))


@kernel
def set_functions(linear: FloatArray, step: float, functions: FloatArray) -> None:
    r"""Write keep, change and phi_1 to phi_3 at z/4, z/2, 3z/4 and z into ``functions`` (4, 5, columns).

    A state is carried as keep * u + change * u. Where |z| < 1, keep = 1 and change = e^{cz} - 1, so that a
    stationary state stays put to the last bit; beyond, keep = 0 and change = e^{cz}, so that strong decay
    leaves nothing of u.

    All follow from those at x = z/4: s^n phi_n(s x) is the integral of :math:`e^{(s-r)x} r^{n-1}/(n-1)!` over
    0 < r < s, which splits at s - 1. For real x nothing cancels.
    """
    for k in range(linear.size):
        if k > 0 and linear[k] == linear[k - 1]:  # the sine and the cosine of a mode
            for quarter in range(4):
                for n in range(5):
                    functions[quarter, n, k] = functions[quarter, n, k - 1]
            continue
        x = 0.25 * step * linear[k]
        gentle = abs(x) < 0.25
        decay = np.exp(x)
        _, one, two, three = phi(x)
        power, sum_one, sum_two, sum_three = decay, one, two, three
        for quarter in range(4):
            if quarter > 0:
                s = float(quarter)
                power = power * decay
                sum_three = decay * sum_three + 0.5 * s * s * one + s * two + three
                sum_two = decay * sum_two + s * one + two
                sum_one = decay * sum_one + one
            t = quarter + 1.0
            functions[quarter, 0, k] = 1.0 if gentle else 0.0
            functions[quarter, 1, k] = x * sum_one if gentle else power
            functions[quarter, 2, k] = sum_one / t
            functions[quarter, 3, k] = sum_two / (t * t)
            functions[quarter, 4, k] = sum_three / (t * t * t)


@kernel
def set_coefficients(linear: FloatArray, step: float, coefficients: FloatArray) -> None:
    """Fill the coefficients (7, 8, columns) for one step size."""
    functions = np.empty((4, 5, linear.size), coefficients.dtype)
    set_functions(linear, step, functions)
    for row in range(7):
        at = QUARTERS[row] - 1
        carried = 0.0 if row == ERROR else 1.0
        for k in range(linear.size):
            coefficients[row, KEEP, k] = carried * functions[at, 0, k]
            coefficients[row, CHANGE, k] = carried * functions[at, 1, k]
        for m in range(6):
            one, two, three = step * SCHEME[row, m, 0], step * SCHEME[row, m, 1], step * SCHEME[row, m, 2]
            for k in range(linear.size):
                coefficients[row, FIRST_RATE + m, k] = (
                    one * functions[at, 2, k] + two * functions[at, 3, k] + three * functions[at, 4, k]
                )


@kernel
def combine(
    row: int, coefficients: FloatArray, state: FloatArray, rates: FloatArray, out: FloatArray
) -> None:
    """Write one row of the scheme, keep * u + (change * u + sum_m weight_m N_m), into ``out``.

    Parameters
    ----------
    coefficients
        (7, 8, columns), by `set_coefficients`.
    state, out
        (rows, columns).
    rates
        N_1 to N_6, (6, rows, columns); those that the row does not use may hold anything.
    """
    for j in range(out.shape[0]):
        for k in range(out.shape[1]):
            out[j, k] = (
                coefficients[row, CHANGE, k] * state[j, k] + coefficients[row, FIRST_RATE, k] * rates[0, j, k]
            )
        for m in range(1, 6):
            if USED[row, m]:
                for k in range(out.shape[1]):
                    out[j, k] += coefficients[row, FIRST_RATE + m, k] * rates[m, j, k]
        for k in range(out.shape[1]):
            out[j, k] += coefficients[row, KEEP, k] * state[j, k]
