"""What a careful user writes with numpy and scipy alone: a pseudo-spectral right-hand side under ``DOP853``.

With one node the state is the vector of Fourier modes, so that a right-hand side costs one inverse and one
forward real transform. With an encoding the kernel between all pairs (node, angle) is computed once, as a
dense matrix.
"""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import iv

from benchmarks.problems import HIGHEST_MODE, FloatArray, Modes, Problem, Run

RightHandSide = Callable[[float, FloatArray], FloatArray]

# The velocity has about this many modes above 1e-9 at beta = 4: (resolution - VELOCITY_MODES) / 2 modes of
# the density can be kept without aliasing in the product of the two.
VELOCITY_MODES = 16


def prepare(problem: Problem, resolution: int, rtol: float) -> Run:
    """Return the run that gives the modes at the final depth, on ``resolution`` angles per node."""
    parts = _one_node if problem.ring == 0.0 else _many_nodes
    right_hand_side, initial, modes = parts(problem, resolution)

    def run() -> Modes:
        solution = solve_ivp(
            right_hand_side, (0.0, problem.final), initial, method="DOP853", rtol=rtol, atol=rtol
        )
        return (
            modes(solution.y[:, -1])
            if solution.success
            else np.full((problem.nodes, HIGHEST_MODE + 1), np.nan + 0j)
        )

    return run


def _one_node(
    problem: Problem, resolution: int
) -> tuple[RightHandSide, FloatArray, Callable[[FloatArray], Modes]]:
    """One node: dc_m/dt = -im (rho V)_m - sigma m^2 c_m; V = Phi', e^{beta cos} has the modes 2 pi I_m."""
    m = np.arange((resolution - VELOCITY_MODES) // 2 + 1)
    kernel = iv(m, problem.beta).astype(complex)
    density = np.full(m.size, 1.0 / (2.0 * np.pi), dtype=complex)
    synthesis = [density, 1j * m * kernel / problem.beta] + ([kernel] if problem.softmax else [])
    to_grid = resolution * np.array(synthesis)
    from_grid = -1j * m * (2.0 * np.pi / resolution)
    diffusion = -problem.sigma * m.astype(float) ** 2

    def right_hand_side(_: float, state: FloatArray) -> FloatArray:
        modes = state.view(complex)
        fields = np.fft.irfft(modes * to_grid, resolution)
        flux = fields[0] * fields[1]
        if problem.softmax:
            flux /= fields[2]
        rate: FloatArray = (diffusion * modes + from_grid * np.fft.rfft(flux)[: m.size]).view(float)
        return rate

    angles = 2.0 * np.pi * np.arange(resolution) / resolution
    initial = np.fft.rfft(problem.density(angles)[0])[: m.size] * (2.0 * np.pi / resolution)
    return (
        right_hand_side,
        initial.view(float),
        lambda state: state.copy().view(complex)[None, : HIGHEST_MODE + 1],
    )


def _many_nodes(
    problem: Problem, resolution: int
) -> tuple[RightHandSide, FloatArray, Callable[[FloatArray], Modes]]:
    """Many: d rho/dt = -d/dtheta (rho V) + sigma rho'' on the grid, V = (1/beta) d/dtheta log(K rho)."""
    shape = (problem.nodes, resolution)
    angles = 2.0 * np.pi * np.arange(resolution) / resolution
    encoded = np.exp(1j * angles) + problem.ring * np.exp(2j * np.pi * problem.positions[:, None])
    points = np.stack([encoded.real.ravel(), encoded.imag.ravel()], axis=1)
    weight = 2.0 * np.pi / (resolution * problem.nodes)
    kernel = weight * np.exp(problem.beta * (points @ points.T))
    m = np.arange(resolution // 2 + 1)
    derivative = 1j * np.where(2 * m == resolution, 0, m)
    diffusion = -problem.sigma * m.astype(float) ** 2

    def right_hand_side(_: float, state: FloatArray) -> FloatArray:
        potential = np.log(kernel @ state).reshape(shape) / problem.beta
        velocity = np.fft.irfft(derivative * np.fft.rfft(potential), resolution)
        density = state.reshape(shape)
        rate = diffusion * np.fft.rfft(density) - derivative * np.fft.rfft(density * velocity)
        return np.fft.irfft(rate, resolution).ravel()

    def modes(state: FloatArray) -> Modes:
        coefficients = np.fft.rfft(state.reshape(shape))[:, : HIGHEST_MODE + 1]
        return coefficients * (2.0 * np.pi / resolution)

    return right_hand_side, problem.density(angles).ravel(), modes
