"""Equal steps of the exponential scheme and their discrete adjoint."""

import numpy as np
import pytest

from solvers.adjoint import Run, Steps, Tape
from solvers.integrate import Control, Semilinear, integrate

COLUMNS, ROWS = 5, 2
LINEAR = -np.array([0.0, 0.5, 1.0, 2.0, 4.0])


def rates(seed):
    """N(u) = tanh(uA)B with the transpose of its derivative, one pair of matrices a step."""
    rng = np.random.default_rng(seed)
    first, second = 0.5 * rng.standard_normal((2, 64, COLUMNS, COLUMNS))

    def rate(state, number):
        return np.tanh(state @ first[number]) @ second[number]

    def transposed(state, number):
        inner = np.tanh(state @ first[number])

        def pull(dual):
            return ((dual @ second[number].T) * (1.0 - inner**2)) @ first[number].T

        return inner @ second[number], pull

    return rate, transposed


def start():
    return np.random.default_rng(3).standard_normal((ROWS, COLUMNS))


def test_steps_are_those_of_the_adaptive_integrator():
    """Both end where the equation does; the observed order is five."""
    rate, _ = rates(0)
    system = Semilinear(LINEAR, lambda state, out, _: np.copyto(out, rate(state, 0)))
    shown = []
    integrate(
        system,
        start(),
        [0.0, 1.0],
        Control(1e-14, 1e-15),
        observe=lambda *known: shown.append(known[2].copy()),
    )
    exact = shown[-1]
    errors = []
    for count in (16, 32, 64):
        end = Run(Steps(LINEAR, 1.0 / count, count), start(), lambda state, _: rate(state, 0)).end
        errors.append(np.abs(end - exact).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert errors[-1] < 1e-7
    assert (orders > 4.6).all()  # five, less where the stiffest modes count


@pytest.mark.parametrize("kept", [10**9, 60, 20], ids=["all states", "every few", "two levels"])
def test_duals_are_those_of_the_steps(kept):
    """⟨dual, u'(0)δ⟩ by complex steps of the same scheme."""
    rate, transposed = rates(1)
    steps, rng = Steps(LINEAR, 0.07, 13), np.random.default_rng(5)
    dual, along = rng.standard_normal((2, ROWS, COLUMNS))
    run = Run(steps, start(), rate, kept)
    found = np.vdot(run.back(dual, transposed), along)
    tape = Tape(steps, start(), transposed)
    assert np.array_equal(tape.end, run.end)
    assert np.vdot(tape.back(dual), along) == pytest.approx(found, rel=1e-14)
    ends = Run(steps, start() + 1e-30j * along, rate).end
    # Rounding of 13 steps of six stages; the complex step has no other error.
    assert found == pytest.approx(np.vdot(dual, ends.imag) / 1e-30, rel=1e-12)


def test_states_on_the_way_are_the_same_however_few_are_kept():
    rate, _ = rates(2)
    steps = Steps(LINEAR, 0.05, 23)
    whole, few = (Run(steps, start(), rate, kept) for kept in (10**9, 30))
    assert few.every > 1
    for number in (23, 7, 8, 22, 0, 13):
        assert np.array_equal(whole.state(number), few.state(number))


def test_a_rate_that_depends_on_the_step_is_pulled_back_in_that_step():
    rate, transposed = rates(4)
    seen = []

    def told(state, number):
        value, pull = transposed(state, number)
        return value, lambda dual: (seen.append(number), pull(dual))[1]

    Run(Steps(LINEAR, 0.05, 4), start(), rate).back(start(), told)
    assert seen == [3] * 6 + [2] * 6 + [1] * 6 + [0] * 6


@pytest.mark.parametrize(("step", "count"), [(0.0, 3), (-1.0, 3), (0.1, 0)])
def test_steps_are_positive(step, count):
    with pytest.raises(ValueError, match="must be positive"):
        Steps(LINEAR, step, count)
