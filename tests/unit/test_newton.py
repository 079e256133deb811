"""Newton's method, and bordered linear systems."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

from solvers.newton import Border, StalledError, bordered, newton, solve_linear

ROUNDING = float(np.finfo(float).eps)


def as_operator(matrix):
    return LinearOperator(matrix.shape, matvec=lambda vector: matrix @ vector, dtype=float)


FORMS = pytest.mark.parametrize("form", [np.asarray, as_operator], ids=["dense", "operator"])


def compact(size):
    """The identity minus a smooth kernel on the unit interval, whose largest eigenvalue is about 0.77."""
    nodes = (np.arange(size) + 0.5) / size
    return np.eye(size) - np.exp(-(np.abs(nodes[:, None] - nodes) ** 2)) * 0.85 / size


def border_of(size, corner):
    nodes = (np.arange(size) + 0.5) / size
    return Border(np.stack([nodes, np.cos(nodes)]), np.stack([nodes**2, np.exp(nodes)]), corner)


@FORMS
def test_bordered_systems_are_solved(form):
    """Against numpy's solution of the joined matrix."""
    matrix, border = compact(60), border_of(60, np.array([[0.3, 0.0], [1.0, -0.5]]))
    right, below = np.sin(np.arange(60)), np.array([2.0, -1.0])
    solution, multipliers = solve_linear(form(matrix), right, border, below, tolerance=1e-13)
    exact = np.linalg.solve(bordered(matrix, border), np.concatenate([right, below]))
    # The tolerance of GMRES times the condition of the system, below 1e2.
    np.testing.assert_allclose(np.concatenate([solution, multipliers]), exact, rtol=0, atol=1e-11)


@FORMS
def test_border_makes_a_singular_system_regular(form):
    """J = I − vvᵀ with |v| = 1: x is the right side without its part along v, which s takes up."""
    direction = np.full(20, math.sqrt(0.05))
    border = Border(direction[None], 1e-14 * direction[None], np.zeros((1, 1)))  # scales must not matter
    right = np.sin(np.arange(20))
    solution, multipliers = solve_linear(
        form(np.eye(20) - np.outer(direction, direction)), right, border, tolerance=1e-14
    )
    # Sums of 20 terms of order one.
    assert multipliers == pytest.approx([direction @ right], abs=100 * ROUNDING)
    np.testing.assert_allclose(solution, right - direction * (direction @ right), atol=100 * ROUNDING)


def test_solution_without_border_has_no_multipliers():
    solution, multipliers = solve_linear(2.0 * np.eye(3), np.ones(3))
    assert solution == pytest.approx(0.5)
    assert multipliers.shape == (0,)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros((3, 3)), "pivot 1 of 3 is zero"),
        (np.diag([1.0, np.nan, 1.0]), "not finite"),
        (as_operator(np.diag([1.0, 1.0, 0.0])), "GMRES left"),
    ],
)
def test_singular_systems_are_refused(matrix, words):
    with pytest.raises(np.linalg.LinAlgError, match=words):
        solve_linear(matrix, np.ones(3))


@pytest.mark.parametrize(
    ("rows", "corner", "words"), [((1, 4), (1, 1), "columns and rows"), ((1, 3), (2, 2), "corner must be")]
)
def test_borders_must_fit(rows, corner, words):
    with pytest.raises(ValueError, match=words):
        Border(np.ones((1, 3)), np.ones(rows), np.ones(corner))


def hyperbola(state):
    """A circle and a hyperbola, x² + y² = 4 and xy = 1."""
    x, y = state
    return np.array([x * x + y * y - 4.0, x * y - 1.0])


def hyperbola_jacobian(state):
    x, y = state
    return np.array([[2.0 * x, 2.0 * y], [y, x]])


@FORMS
def test_convergence_is_quadratic(form):
    """Residuals of the iterates: each is at most a constant times the square of the last one."""
    sizes = []

    def watched(state):
        sizes.append(np.max(np.abs(hyperbola(state))))
        return hyperbola(state)

    root = newton(
        watched, lambda state: form(hyperbola_jacobian(state)), np.array([2.0, 0.4]), tolerance=1e-9
    )
    # x, y = √(1 + 1/√3 ...): (x + y)² = 6, (x − y)² = 2; rounding of a few terms of size four.
    exact = np.array([math.sqrt(6.0) + math.sqrt(2.0), math.sqrt(6.0) - math.sqrt(2.0)]) / 2.0
    np.testing.assert_allclose(root.state, exact, atol=8 * ROUNDING)
    assert root.residual <= 8 * ROUNDING
    falling = [size for size in sizes if size > 1e-12]
    assert len(falling) >= 3
    # |r(x + dx)| ≤ |dx|² ≤ |J⁻¹|² |r|², and |J⁻¹| is below 1 here.
    assert all(new <= old**2 for old, new in pairwise(falling))


@FORMS
def test_rotations_are_neutral(form):
    """r(u) = (|u|² − 1) u: the Jacobian is singular along u⊥, and the angle must stay as it is."""

    def residual(state):
        return (state @ state - 1.0) * state

    def jacobian(state):
        return form((state @ state - 1.0) * np.eye(2) + 2.0 * np.outer(state, state))

    def border(state):
        across = np.array([[-state[1], state[0]]])
        return Border(across, across, np.zeros((1, 1)))

    start = 1.7 * np.array([math.cos(0.4), math.sin(0.4)])
    root = newton(residual, jacobian, start, tolerance=1e-10, border=border)
    # Steps are along u, up to rounding and the tolerance of GMRES times their length.
    np.testing.assert_allclose(root.state, [math.cos(0.4), math.sin(0.4)], atol=1e-10)
    assert root.residual <= 4 * ROUNDING
    fixed = newton(residual, jacobian, start, tolerance=1e-10, border=border(start))
    np.testing.assert_allclose(fixed.state, root.state, atol=1e-10)


def test_far_starts_are_damped():
    """Full steps for arctan diverge from |u| > 1.39."""
    root = newton(np.arctan, lambda state: np.diag(1.0 / (1.0 + state**2)), np.array([30.0]), tolerance=1e-8)
    assert abs(root.state[0]) <= ROUNDING


def test_long_steps_are_cut():
    """sin from 1.5 jumps to −12.6 in one step; with short ones it ends at the next root."""
    states = []

    def watched(state):
        states.append(state[0])
        return np.sin(state)

    root = newton(
        watched, lambda state: np.diag(np.cos(state)), np.array([1.5]), tolerance=1e-10, longest=0.5
    )
    assert abs(root.state[0]) <= ROUNDING
    # Differences of numbers of order one round.
    assert np.max(np.abs(np.diff(states))) <= 0.5 + ROUNDING


@pytest.mark.parametrize(
    ("residual", "slope", "start", "most", "words"),
    [
        (lambda u: u**2 + 1.0, lambda u: 2.0 * u, 0.0, 30, "singular"),
        (lambda u: u**2 + 1.0, lambda u: 2.0 * u, 1e-3, 30, "no step lowers"),
        (lambda u: u**3, lambda u: 3.0 * u**2, 1.0, 3, "3 steps were not enough"),
        (np.log, lambda u: 1.0 / u, -1.0, 30, "not finite at the start"),
        (np.exp, lambda u: np.nan * u, 1.0, 30, "solution is not finite"),
    ],
)
def test_failures_say_why(residual, slope, start, most, words):
    with pytest.raises(StalledError, match=words) as caught:
        newton(residual, lambda u: np.diag(slope(u)), np.array([start]), tolerance=1e-10, most=most)
    assert caught.value.state.shape == (1,)
    assert caught.value.residual > 1e-10


def test_best_state_is_kept_when_it_stalls():
    """u³ from 1: every step takes a third."""
    with pytest.raises(StalledError) as caught:
        newton(lambda u: u**3, lambda u: np.diag(3.0 * u**2), np.array([1.0]), tolerance=1e-10, most=3)
    # Rounding of three steps.
    assert caught.value.state[0] == pytest.approx((2.0 / 3.0) ** 3, abs=4 * ROUNDING)
    assert caught.value.residual == pytest.approx((2.0 / 3.0) ** 9, abs=4 * ROUNDING)


def test_steps_out_of_the_domain_are_halved():
    """ln u from 10: a full step leads to −13, where the logarithm is not a number."""
    root = newton(np.log, lambda u: np.diag(1.0 / u), np.array([10.0]), tolerance=1e-10)
    assert root.state[0] == pytest.approx(1.0, abs=2 * ROUNDING)


def test_solved_start_is_returned_as_it_is():
    start = np.array([1.0])
    root = newton(lambda u: u - 1.0, lambda _: np.zeros((1, 1)), start, tolerance=1e-10)
    assert (root.residual, root.iterations) == (0.0, 0)
    assert root.state is not start


def test_slow_convergence_is_driven_to_rounding():
    """A Jacobian 5/4 of the true one leaves a fifth of the residual at every step."""
    root = newton(lambda u: u - 1.0, lambda u: np.diag(1.25 + 0.0 * u), np.array([2.0]), tolerance=1e-3)
    assert root.residual <= ROUNDING
    assert root.iterations > 15
