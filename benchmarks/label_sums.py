"""A reference without noise, apart from meanfield-pde: particles on a trapezoidal rule, moved by scipy."""

from functools import cache

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import iv

from benchmarks.problems import HIGHEST_MODE, FloatArray, Modes, Problem
from benchmarks.tuning import error

LABELS = (8192, 4096)
TOLERANCES = (2.3e-14, 1e-13)  # the first is the least that scipy accepts
AGREEMENT = 1e-12
KERNEL_MODES = 48  # I_m(5) is below 1e-16 I_0(5) from m = 27


def solution(problem: Problem, labels: int, rtol: float) -> Modes:
    """Return modes 0..8 at the final depth, (1, 9), for unnormalised attention without encoding and noise.

    The density is smooth in the label, and so the trapezoidal rule converges faster than any power. As
    e^{β cos x} = Σ_m I_m(β) e^{imx}, sums over all pairs are, to rounding error,
    V = −Im Σ_{m>0} (2m I_m / β) c_m e^{imx} with c_m = Σ_k w_k e^{−imX_k}.
    """
    places = 2.0 * np.pi * np.arange(labels) / labels
    masses = problem.density(places)[0] * (2.0 * np.pi / labels)
    m = np.arange(1, KERNEL_MODES + 1)
    kernel = 2.0 * m * iv(m, problem.beta) / problem.beta
    unmoved = np.exp(1j * np.outer(m, places))
    # The instability amplifies rounding errors: those of what has changed since the start are smaller.
    at_start = np.fft.ifft(masses, norm="forward")[1 : KERNEL_MODES + 1]

    def waves(moved: FloatArray) -> tuple[Modes, Modes]:
        change = _powers_less_one(np.expm1(1j * moved), KERNEL_MODES)
        return unmoved * (1.0 + change), (at_start + (unmoved * change) @ masses).conj()

    def velocity(_: float, moved: FloatArray) -> FloatArray:
        factors, modes = waves(moved)
        return np.asarray(-((kernel * modes) @ factors).imag)

    end = solve_ivp(velocity, (0.0, problem.final), np.zeros(labels), "DOP853", rtol=rtol, atol=0.1 * rtol)
    return np.concatenate([[1.0], waves(end.y[:, -1])[1][:HIGHEST_MODE]])[None]


def _powers_less_one(less_one: Modes, count: int) -> Modes:
    """(1 + x)^m − 1 for m = 1 .. ``count``, accurate however small x is."""
    powers = np.empty((count, less_one.size), dtype=complex)
    powers[0] = less_one
    for m in range(1, count):
        powers[m] = powers[m - 1] + less_one * (1.0 + powers[m - 1])
    return powers


@cache
def reference(problem: Problem) -> Modes:
    """Return the modes good to 1e-12: half as many labels at a looser tolerance must agree to that.

    Raises
    ------
    RuntimeError
        When they do not agree.
    """
    modes, check = (solution(problem, *setting) for setting in zip(LABELS, TOLERANCES, strict=True))
    if not error(modes, check) <= AGREEMENT:
        raise RuntimeError(f"reference of {problem.name}: {LABELS} labels differ by {error(modes, check)}")
    return modes
