"""The exponential scheme keeps its classical order on real, imaginary and complex spectrum."""

import numpy as np
import pytest

from solvers.loop import Columns, Limits, Memory, remember, run

ORDER = 5


def fixed_steps(rate, linear, state, depth, steps):
    """Solve with equal steps: the tolerance accepts all, and the proposal is overruled."""
    memory = remember(np.atleast_2d(state), linear, 0.0, depth / steps)
    for index in range(1, steps + 1):
        stop = depth * index / steps
        memory.numbers[1] = depth
        code = run(
            rate, (), memory, Columns(linear, np.empty(0), np.empty(0)), Limits(stop, 1e30, 1e30, 0.0, 10)
        )
        assert code == 0
    assert memory.counts[2] == steps
    assert memory.counts[3] == 0
    return memory.states[memory.counts[0]][0]


def riccati(linear):
    """du/dt = lambda u + c u^2 with its exact solution; every column on its own."""

    def rate(state, out, _):
        out[:] = 0.7 * state * state

    def solution(state, depth):
        growth = np.exp(linear * depth)
        return state * growth / (1.0 - 0.7 * state * (growth - 1.0) / linear)

    return rate, solution


SPECTRA = {
    # (linear, largest error with 32 steps): levels as observed, times 1.5 to 2: an error that leaves the
    # order alone (or a lucky slope) shows.
    "real": (np.array([-0.5, -2.0]), 2e-8),
    "imaginary": (np.array([1.0j, -3.0j]), 6e-9),
    "complex": (np.array([-1.0 + 2.0j, -2.0 - 3.0j]), 1e-9),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_order_on_diagonal_spectrum(name):
    linear, level = SPECTRA[name]
    rate, solution = riccati(linear)
    state = np.array([0.9, 0.8], dtype=linear.dtype)
    depth = 2.0
    steps = np.array([32, 48, 64, 96, 128])
    errors = [
        np.max(np.abs(fixed_steps(rate, linear, state, depth, n) - solution(state, depth))) for n in steps
    ]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(ORDER, abs=0.1)
    assert errors[0] < level


def test_order_with_rotation_and_coupling_in_the_rate():
    """Real linear part, a rotation and a cubic coupling in N: complex spectrum of the whole."""
    linear = np.array([-0.3, -1.0])

    def rate(state, out, _):
        x, y = state[:, 0], state[:, 1]
        radius = x * x + y * y
        out[:, 0] = 2.0 * y - radius * x
        out[:, 1] = -2.0 * x - radius * y

    state = np.array([1.0, 0.3])
    reference = fixed_steps(rate, linear, state, 2.0, 2000)
    steps = np.array([24, 32, 48, 64, 96])
    errors = [np.max(np.abs(fixed_steps(rate, linear, state, 2.0, n) - reference)) for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(ORDER, abs=0.1)
    assert errors[0] < 1e-6


def test_memory_is_complex_only_where_needed():
    assert isinstance(remember(np.ones((1, 2)), np.ones(2), 0.0, 0.0), Memory)
    assert remember(np.ones((1, 2)), np.ones(2), 0.0, 0.0).states.dtype == np.float64
    assert remember(np.ones((1, 2)), 1j * np.ones(2), 0.0, 0.0).states.dtype == np.complex128
