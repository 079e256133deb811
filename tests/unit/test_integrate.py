"""The time loop: accuracy, exactness, rejection, guard, pauses; compiled and plain."""

import numpy as np
import pytest

from solvers import integrate, loop, travel
from solvers.compiled import compiled_rate, padded
from solvers.integrate import Control, Semilinear, advance

EPS = np.finfo(np.float64).eps


@compiled_rate
def cubic_compiled(state, out, tables):
    coupling = tables[0]
    for j in range(state.shape[0]):
        for k in range(state.shape[1]):
            total = 0.0
            for i in range(state.shape[1]):
                total += coupling[k, i] * state[j, i]
            out[j, k] = total - state[j, k] * state[j, k] * state[j, k]


def cubic(state, out, tables):
    # The same order of summation as the compiled twin, so that equality can be exact.
    total = np.zeros_like(state)
    for i in range(state.shape[1]):
        total += tables[0][:, i] * state[:, i : i + 1]
    out[:] = total - state * state * state


@compiled_rate
def nothing_compiled(state, out, tables):  # noqa: ARG001 (the signature is fixed)
    for j in range(state.shape[0]):
        for k in range(state.shape[1]):
            out[j, k] = 0.0


def nothing(_state, out, _tables):
    out[:] = 0.0


def square(state, out, _tables):
    out[:] = state * state


def logistic(state, out, _tables):
    """With linear = -1: du/dt = u (1 - u), stationary at 0 and 1."""
    out[:] = 2.0 * state - state * state


@pytest.fixture
def stiff():
    """A nonlinear system with rates from 0 to 1e6: (linear, state, tables)."""
    generator = np.random.default_rng(3)
    linear = -np.concatenate([[0.0], np.geomspace(1e-2, 1e6, 15)])
    coupling = np.ascontiguousarray(3.0 * np.sin(generator.normal(size=(16, 16))))
    return linear, 0.5 * generator.normal(size=(3, 16)), (coupling,)


def test_compiled_and_plain_agree_to_the_last_bit(stiff):
    linear, state, tables = stiff
    control = Control(1e-7, 1e-10)
    plain = advance(Semilinear(linear, cubic, tables), state, 0.0, 1.0, control)
    whole = advance(Semilinear(linear, cubic_compiled, tables, compiled=True), state, 0.0, 1.0, control)
    np.testing.assert_array_equal(plain.state, whole.state)
    assert plain.step == whole.step
    assert (plain.accepted, plain.rejected, plain.evaluations) == (
        whole.accepted,
        whole.rejected,
        whole.evaluations,
    )
    assert plain.accepted > 20


def test_a_new_rate_compiles_the_loop_no_second_time():
    for rate in (cubic_compiled, nothing_compiled):
        tables = (np.eye(2),)
        advance(Semilinear(np.zeros(2), rate, tables, compiled=True), np.ones((1, 2)), 0.0, 0.1, Control())
    assert len(loop.run_compiled.signatures) == 1


def test_global_error_follows_the_tolerance(stiff):
    linear, state, tables = stiff
    system = Semilinear(linear, cubic_compiled, tables, compiled=True)
    reference = advance(system, state, 0.0, 1.0, Control(1e-13, 1e-15)).state
    tolerances = 10.0 ** -np.arange(4.0, 11.0)
    ends = [advance(system, state, 0.0, 1.0, Control(rtol, 1e-3 * rtol)).state for rtol in tolerances]
    errors = np.array([np.max(np.abs(end - reference)) for end in ends])
    # Tenfold: what a few growing columns (rates below 10) may amplify.
    assert np.all(errors < 10.0 * tolerances)
    # A factor 10 a decade; 5 allows for the fall of the order on modes that are neither slow nor fast.
    assert errors[-1] < errors[0] * 5.0 ** -(tolerances.size - 1)


def test_first_steps_are_as_accurate_as_the_last():
    # Riccati, u' = -u/2 + u^2 from 0.4: smooth over the whole interval, so errors just after the start must
    # be below the tolerance as at the end.
    linear = np.array([-0.5])

    def exact(depth):
        return 0.4 * np.exp(-0.5 * depth) / (1.0 + 0.8 * (np.exp(-0.5 * depth) - 1.0))

    depths = [0.0, 1e-6, 1e-3, 1e-2, 0.1, 1.0, 4.0]
    seen = []
    result = integrate.integrate(
        Semilinear(linear, square),
        np.array([[0.4]]),
        depths,
        Control(1e-9, 1e-12),
        observe=lambda _, depth, state: seen.append(abs(state[0, 0] - exact(depth))),
    )
    assert result.reason == "reached"
    assert max(seen) < 1e-9
    assert result.rejected == 0


@pytest.mark.parametrize("step", [1e-3, 0.37, 50.0])
@pytest.mark.parametrize("linear", [-1e6, -30.0, -1.0, -1e-5, 0.0, 0.5])
def test_linear_problems_are_exact_for_any_step(step, linear):
    rates = np.array([linear])
    outcome = advance(Semilinear(rates, nothing), np.array([[0.7]]), 0.0, 1.0, Control(1e-6, 1e-6), step=step)
    # One rounding of e^z and one of the sum a step, relative to the state where the step starts.
    assert abs(outcome.state[0, 0] - 0.7 * np.exp(linear)) <= 4 * EPS * max(outcome.accepted, 2)


def test_stationary_states_stay_put():
    outcome = advance(
        Semilinear(np.array([-1.0]), logistic), np.ones((2, 1)), 0.0, 50.0, Control(), step=1e-2
    )
    np.testing.assert_array_equal(outcome.state, 1.0)

    linear = np.array([-1e6, -1e3, -3.0, -1e-4])

    def balance(_state, out, _tables):
        out[:] = -linear * 0.3

    system = Semilinear(linear, balance)
    outcome = advance(system, np.full((1, 4), 0.3), 0.0, 10.0, Control(1e-12), step=0.02, most_steps=600)
    # Where |z| > 1 a step rounds u afresh (and forgets).
    assert outcome.reason == "reached"
    np.testing.assert_allclose(outcome.state, 0.3, rtol=8 * EPS)


def test_columns_without_dynamics_are_conserved_to_the_last_bit(stiff):
    linear, state, _ = stiff

    def rate(state, out, _tables):
        out[:] = np.sin(3.0 * state)
        out[:, 0] = 0.0

    outcome = advance(Semilinear(linear, rate), state, 0.0, 2.0, Control(1e-9, 1e-12))
    np.testing.assert_array_equal(outcome.state[:, 0], state[:, 0])
    assert outcome.accepted > 10


def test_rows_have_their_own_scale():
    # A perturbation 1e-9 times another row's is solved with the same relative accuracy.
    linear = np.array([-0.5, -0.2])

    def rate(state, out, _tables):
        out[:, 0], out[:, 1] = 3.0 * state[:, 1], -3.0 * state[:, 0]

    state = np.array([[1.0, 0.0], [1e-9, 0.0]])
    outcome = advance(Semilinear(linear, rate), state, 0.0, 3.0, Control(1e-8, 0.0))
    # The problem is linear: equal but for rounding, amplified by nothing.
    np.testing.assert_allclose(1e9 * outcome.state[1], outcome.state[0], rtol=0, atol=1e-13)


def test_too_large_steps_are_rejected():
    system = Semilinear(np.array([-1.0]), logistic)
    outcome = advance(system, np.array([[0.1]]), 0.0, 5.0, Control(1e-8, 1e-12), step=5.0)
    exact = 1.0 / (1.0 + 9.0 * np.exp(-5.0))
    assert outcome.rejected >= 1
    assert abs(outcome.state[0, 0] - exact) < 1e-8


def test_values_that_are_not_finite_shorten_the_step():
    def rate(state, out, _tables):
        out[:] = np.sqrt(1.0 - state)  # NaN beyond 1, which only too long steps reach

    outcome = advance(
        Semilinear(np.array([-1.0]), rate), np.array([[0.1]]), 0.0, 5.0, Control(1e-8), step=5.0
    )
    assert outcome.reason == "reached"
    assert outcome.rejected >= 1
    # u = s solves -u + sqrt(1 - u) = 0: (sqrt 5 - 1)/2, approached within e^{-1.8 * 5} of the distance.
    assert abs(outcome.state[0, 0] - (np.sqrt(5.0) - 1.0) / 2.0) < 2e-4


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_hopeless_rates_end_with_underflow(value):
    def rate(_state, out, _tables):
        out[:] = value

    outcome = advance(Semilinear(np.zeros(2), rate), np.ones((1, 2)), 0.0, 1.0, Control())
    assert outcome.reason == "underflow"
    assert outcome.depth == 0.0
    np.testing.assert_array_equal(outcome.state, 1.0)
    assert outcome.evaluations < 200


def test_blow_up_ends_with_underflow_before_the_singularity():
    outcome = advance(Semilinear(np.zeros(1), square), np.ones((1, 1)), 0.0, 2.0, Control(1e-8))
    assert outcome.reason == "underflow"
    assert np.all(np.isfinite(outcome.state))
    assert outcome.depth == pytest.approx(1.0, abs=1e-6)
    assert (
        outcome.accepted + outcome.rejected < 4000
    )  # thirty-five e-folds of the distance, in steps of a hundredth of it


def test_smallest_step_is_respected():
    control = Control(1e-8, smallest_step=1e-4)
    outcome = advance(Semilinear(np.zeros(1), square), np.ones((1, 1)), 0.0, 2.0, control)
    assert outcome.reason == "underflow"
    assert outcome.step < 1e-4
    assert outcome.depth < 1.0


def test_guard_returns_the_state_before():
    growth = Semilinear(np.array([1.0, -1.0]), nothing)
    control = Control(1e-6, 1e-9, guard=np.array([1.0 / 2.0, 0.0]))
    outcome = advance(growth, np.ones((1, 2)), 0.0, 3.0, control, step=0.01)
    assert outcome.reason == "guard"
    assert 0.0 < outcome.depth < np.log(2.0)
    assert outcome.state[0, 0] == pytest.approx(np.exp(outcome.depth), rel=1e-13)
    assert np.exp(outcome.depth + outcome.step) > 2.0


def doubling_guard():
    """Growth past a guard that each refinement doubles, with one more column."""
    calls = []

    def make(columns, bound):
        linear = np.zeros(columns)
        linear[0] = 1.0
        guard = np.zeros(columns)
        guard[0] = 1.0 / bound
        return Semilinear(linear, nothing), Control(1e-6, 1e-9, guard=guard)

    def refine(depth, state):
        calls.append(depth)
        columns = state.shape[1] + 1
        system, control = make(columns, 2.0 ** len(calls) * 2.0)
        return system, np.pad(state, ((0, 0), (0, 1)), constant_values=7.0), control

    return make, refine, calls


def test_refinement_goes_on_where_the_guard_stopped():
    make, refine, calls = doubling_guard()
    system, control = make(1, 2.0)
    seen = []
    result = integrate.integrate(
        system, np.ones((1, 1)), [0.0, 1.0, 3.0], control, observe=lambda *a: seen.append(a), refine=refine
    )
    assert result.reason == "reached"
    assert [index for index, _, _ in seen] == [0, 1, 2]
    assert seen[-1][2][0, 0] == pytest.approx(np.exp(3.0), rel=1e-12)
    assert len(calls) == 4  # past 2, 4, 8, 16; e^3 = 20.1 is below 32
    assert seen[-1][2].shape == (1, 5)
    assert np.all(seen[-1][2][0, 1:] == 7.0)
    assert result.rejected >= 4


def test_guard_acts_on_the_first_state_and_can_end_the_run():
    make, refine, calls = doubling_guard()
    system, control = make(1, 0.5)
    seen = []
    result = integrate.integrate(
        system, np.ones((1, 1)), [0.0, 0.1], control, observe=lambda *a: seen.append(a), refine=refine
    )
    assert calls[0] == 0.0
    assert result.reason == "reached"

    for give_up in (None, lambda _depth, _state: None, lambda _depth, state: (system, state, control)):
        seen.clear()
        result = integrate.integrate(
            system, np.ones((1, 1)), [0.0, 0.1], control, observe=lambda *a: seen.append(a), refine=give_up
        )
        assert result.reason == "guard"
        assert result.depth == 0.0
        assert not seen


def test_depths_are_hit_exactly_without_tiny_steps():
    taken = []

    def rate(state, out, _tables):
        taken.append(1)
        out[:] = np.cos(state)

    depths = np.array([0.0, 0.1, 0.2, 0.30000000000000004, 0.7, 1.0 / 3.0 + 1.0])
    seen = []
    state = np.zeros((1, 1))
    result = integrate.integrate(
        Semilinear(np.zeros(1), rate), state, depths, Control(1e-6, 1e-9), observe=lambda *a: seen.append(a)
    )
    assert [depth for _, depth, _ in seen] == list(depths)
    assert result.depth == depths[-1]
    assert result.evaluations == len(taken)
    np.testing.assert_array_equal(state, 0.0)
    # u = gd(t), the Gudermannian; local errors below 1e-6 times at most some twenty steps.
    np.testing.assert_allclose([s[0, 0] for *_, s in seen], np.arctan(np.sinh(depths)), atol=1e-6)
    # Without depths between, and at most one step more for each of them.
    direct = advance(Semilinear(np.zeros(1), rate), state, 0.0, depths[-1], Control(1e-6, 1e-9))
    assert result.accepted <= direct.accepted + len(depths) - 2


def test_pauses_change_nothing(stiff, monkeypatch):
    linear, state, tables = stiff
    system = Semilinear(linear, cubic_compiled, tables, compiled=True)
    depths = np.linspace(0.0, 1.0, 8)
    ends, reports = [], []
    for seconds in (integrate.SECONDS_PER_CHUNK, 0.0):
        monkeypatch.setattr(integrate, "SECONDS_PER_CHUNK", seconds)
        monkeypatch.setattr(travel, "SECONDS_PER_CHUNK", seconds)
        result = integrate.integrate(
            system,
            state,
            depths,
            Control(1e-7, 1e-10),
            observe=lambda *_: None,
            progress=lambda *a: reports.append(a),
        )
        ends.append(result)
    np.testing.assert_array_equal(ends[0].state, ends[1].state)
    assert ends[0].evaluations == ends[1].evaluations
    assert len(reports) >= ends[1].accepted - 8  # after the first, chunks of one step in the second run
    assert reports[-1][0] == 1.0
    assert reports[-1][2] == ends[1].accepted


def test_most_steps_pauses():
    system = Semilinear(np.array([-1.0]), logistic)
    outcome = advance(system, np.array([[0.1]]), 0.0, 5.0, Control(1e-10), most_steps=3)
    assert outcome.reason == "paused"
    assert outcome.accepted + outcome.rejected == 3
    assert 0.0 < outcome.depth < 5.0


def test_interrupts_leave_what_was_observed(monkeypatch):
    monkeypatch.setattr(integrate, "SECONDS_PER_CHUNK", 0.0)
    monkeypatch.setattr(travel, "SECONDS_PER_CHUNK", 0.0)
    seen = []

    def progress(depth, *_):
        if depth > 1.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        integrate.integrate(
            Semilinear(np.array([-1.0]), logistic),
            np.array([[0.1]]),
            [0.0, 0.5, 1.0, 5.0],
            Control(),
            observe=lambda *a: seen.append(a),
            progress=progress,
        )
    assert [depth for _, depth, _ in seen] == [0.0, 0.5, 1.0]


def test_complex_states_run_plain_only():
    linear = np.array([-0.1 + 20.0j, 3.0j])
    outcome = advance(Semilinear(linear, nothing), np.ones((1, 2)), 0.0, 2.0, Control())
    # |z| = 40: the rounding of the argument of e^z, twenty ulp, is the error.
    np.testing.assert_allclose(
        outcome.state[0], np.exp(2.0 * linear), rtol=40 * EPS * max(1, outcome.accepted)
    )
    with pytest.raises(ValueError, match="real states"):
        advance(Semilinear(linear, nothing_compiled, compiled=True), np.ones((1, 2)), 0.0, 2.0, Control())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"linear": np.zeros(3)}, "state must be"),
        ({"state": np.zeros(2)}, "state must be"),
        ({"guard": np.zeros(3)}, "guard must be"),
        ({"step": 0.0}, "step must be positive"),
        ({"stop": -1.0}, "not before start"),
        ({"stop": np.nan}, "not before start"),
        ({"tables": (np.zeros((1, 1)),) * 17}, "at most 16"),
        ({"tables": (np.zeros(1),)}, "two dimensions"),
        ({"rtol": -1.0}, "rtol must be"),
        ({"atol": np.nan}, "atol must be"),
        ({"rtol": 0.0}, "rtol must be positive"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    given = {"linear": np.zeros(2), "state": np.zeros((1, 2)), "guard": None, "step": None, "stop": 1.0}
    given |= {"tables": (), "rtol": 1e-6, "atol": 1e-9} | change
    with pytest.raises(ValueError, match=message):
        advance(
            Semilinear(given["linear"], nothing, given["tables"]),
            given["state"],
            0.0,
            given["stop"],
            Control(given["rtol"], given["atol"], guard=given["guard"]),
            step=given["step"],
        )


@pytest.mark.parametrize("depths", [[], [0.0, 0.0], [1.0, 0.0], [0.0, np.nan]])
def test_depths_that_do_not_increase_are_refused(depths):
    with pytest.raises(ValueError, match="depths must be"):
        integrate.integrate(
            Semilinear(np.zeros(1), nothing), np.ones((1, 1)), depths, Control(), observe=lambda *_: None
        )


def test_tables_are_filled_up():
    tables = padded((np.ones((2, 3)), np.ones((3, 2)).T))
    assert len(tables) == 16
    assert tables[1].flags.c_contiguous
    assert tables[2].shape == (0, 0)


def test_weighted_columns_are_held_to_smaller_errors(stiff):
    """A weight of 1e4 on every column is a tolerance 1e4 times tighter."""
    linear, state, tables = stiff
    system = Semilinear(linear, cubic_compiled, tables, compiled=True)
    weights = np.full(linear.size, 1e4)
    weighted = advance(system, state, 0.0, 1.0, Control(1e-4, 1e-8, weights=weights))
    plain = advance(system, state, 0.0, 1.0, Control(1e-4, 1e-8))
    assert (
        weighted.accepted > 3 * plain.accepted
    )  # estimates fall as h⁴: ten times as many but for start and end
    with pytest.raises(ValueError, match="weights"):
        advance(system, state, 0.0, 1.0, Control(weights=np.ones(1)))
