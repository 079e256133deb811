"""Continuation along branches with folds, branch points and symmetries that are known exactly."""

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse.linalg import LinearOperator

from solvers.branches import Control
from solvers.continuation import RejectedError, follow, leaving, switch
from solvers.newton import StalledError

ROUNDING = float(np.finfo(float).eps)
CONTROL = Control(first=0.02, smallest=1e-6, largest=0.1, tolerance=1e-10, most=500)


@dataclass(frozen=True)
class Scalar:
    """u' = f(u, λ), with the derivatives of f."""

    rate: object
    change: object  # df/du
    slant: object  # df/dλ
    called: list = field(default_factory=list)

    def residual(self, state, value):
        return self.rate(state, value)

    def jacobian(self, state, value):
        return np.diag(self.change(state, value))

    def slope(self, state, value):
        return self.slant(state, value) + 0.0 * state

    def weights(self, state):
        return np.ones_like(state)

    def neutral(self, state, value):  # noqa: ARG002
        return np.empty((0, state.size))

    def fitted(self, state, value):  # noqa: ARG002
        return state

    def leading(self, state, value):
        self.called.append(value)
        return float(self.change(state, value)[0])


def parabola():
    return Scalar(lambda u, a: -(u**2) - a, lambda u, a: -2.0 * u + 0.0 * a, lambda u, a: -1.0 + 0.0 * u * a)


def pitchfork():
    return Scalar(lambda u, a: u * (a - u**2), lambda u, a: a - 3.0 * u**2, lambda u, a: u + 0.0 * a)


def subcritical():
    return Scalar(
        lambda u, a: a * u + u**3 - u**5, lambda u, a: a + 3.0 * u**2 - 5.0 * u**4, lambda u, a: u + 0.0 * a
    )


def circle():
    return Scalar(
        lambda u, a: 1.0 - u**2 - a**2, lambda u, a: -2.0 * u + 0.0 * a, lambda u, a: -2.0 * a + 0.0 * u
    )


def start_at(family, state, value, **changes):
    arguments = {"towards": 1, "limits": (-1.0, 1.0), "control": CONTROL} | changes
    return follow(family, np.atleast_1d(np.asarray(state, dtype=float)), value, **arguments)


def test_parabola_has_a_fold():
    """u² + λ = 0 from (1, −1), stable, around (0, 0) to (−1, −1)."""
    branch = start_at(parabola(), 1.0, -1.0)
    (fold,) = branch.folds
    # λ = −u², and u is located to 1e-12 of a step of 0.1.
    assert abs(fold.value) <= 1e-20
    assert abs(fold.state[0]) <= 1e-11
    assert abs(fold.tangent[1]) <= 1e-10
    assert (branch.branch_points, branch.ended) == ((), "limits")
    assert branch.points[-1].value == -1.0
    assert branch.points[-1].state[0] == pytest.approx(-1.0, abs=4 * ROUNDING)
    assert fold in branch.points
    lengths = [point.arclength for point in branch.points]
    assert np.all(np.diff(lengths) > 0.0)
    # ∫√(1 + (2u/2)²) du over (−1, 1); chords of an arc of 0.12 rad are shorter by 0.12²/24.
    assert lengths[-1] == pytest.approx(math.sqrt(2.0) + math.asinh(1.0), rel=1e-3)
    for point in branch.points:
        assert point.leading == pytest.approx(-2.0 * point.state[0])
        assert point.tangent[0][0] ** 2 + point.tangent[1] ** 2 / 4.0 == pytest.approx(1.0)
        assert 2.0 * point.state[0] * point.tangent[0][0] + point.tangent[1] == pytest.approx(0.0, abs=1e-10)


def test_eigenvalues_are_asked_for_sparingly():
    """Once a point; at most a dozen times for the search at a branch point."""
    family = parabola()
    branch = start_at(family, 1.0, -1.0)
    assert len(family.called) == len(branch.points)
    family = pitchfork()
    branch = start_at(family, 0.0, -1.0)
    assert len(family.called) <= len(branch.points) + 12


def test_pitchfork_has_a_branch_point():
    branch = start_at(pitchfork(), 0.0, -0.93)
    (point,) = branch.branch_points
    # Located to 1e-12 of a step of 0.1 times the width 2.
    assert abs(point.value) <= 1e-12
    assert abs(point.state[0]) <= 1e-12
    assert (branch.folds, branch.ended, branch.points[-1].value) == ((), "limits", 1.0)
    assert all(point.state[0] == 0.0 for point in branch.points)


def test_steps_that_land_on_a_branch_point_are_shortened():
    """From −1 by 1/8 at once: λ = 0 is hit exactly, where the bordered matrix is singular."""
    control = Control(first=0.125, largest=0.125)
    branch = start_at(pitchfork(), 0.0, -1.0, control=control)
    assert len(branch.branch_points) == 1
    assert abs(branch.branch_points[0].value) <= 1e-12
    assert branch.ended == "limits"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_switching_takes_both_half_branches(side):
    """u = ±√λ, stable."""
    family = pitchfork()
    (point,) = start_at(family, 0.0, -0.93).branch_points
    state, value = switch(
        family, point, np.array([2.0]), amplitude=side * 0.2, limits=(-1.0, 1.0), control=CONTROL
    )
    # ⟨2, u⟩ = ±0.2; λ = u².
    assert state[0] == pytest.approx(side * 0.1, abs=1e-12)
    assert value == pytest.approx(0.01, abs=1e-12)
    branch = start_at(family, state, value)
    assert (branch.ended, branch.folds, branch.branch_points) == ("limits", (), ())
    assert branch.points[-1].state[0] == pytest.approx(side, abs=4 * ROUNDING)
    assert all(point.leading < 0.0 for point in branch.points)


def test_no_branch_outside_of_the_limits():
    family = pitchfork()
    (point,) = start_at(family, 0.0, -0.93).branch_points
    found = switch(family, point, np.ones(1), amplitude=0.5, limits=(-1.0, 0.2), control=CONTROL)
    assert found is None


def test_no_branch_where_none_leaves():
    family = Scalar(lambda u, a: u + 0.0 * a, lambda u, a: 1.0 + 0.0 * u * a, lambda u, a: 0.0 * u * a)
    point = start_at(family, 0.0, 0.0).points[0]
    assert switch(family, point, np.ones(1), amplitude=0.1, limits=(-1.0, 1.0), control=CONTROL) is None
    with pytest.raises(StalledError):
        leaving(family, point, np.ones(1), [0.1])


def test_half_branch_goes_back_through_its_branch_point():
    """u = √λ down to (0, 0), where λ turns, and up along u = −√λ: no fold, another branch is there."""
    branch = start_at(pitchfork(), 1.0, 1.0, towards=-1)
    (point,) = branch.branch_points
    # The tangent of an almost singular system is known to ε / u², so u is to about its cube root.
    assert abs(point.value) <= 1e-9
    assert (branch.folds, branch.ended) == ((), "limits")
    assert branch.points[-1].state[0] == pytest.approx(-1.0, abs=4 * ROUNDING)


def test_branches_start_at_branch_points_along_a_tangent():
    family = pitchfork()
    (point,) = start_at(family, 0.0, -0.93).branch_points
    branch = start_at(family, point.state, point.value, towards=(np.array([-1.0]), 0.0))
    assert branch.ended == "limits"
    assert branch.points[-1].state[0] == pytest.approx(-1.0, abs=4 * ROUNDING)
    assert branch.folds == branch.branch_points == ()


def test_values_on_the_leaving_branch():
    """λ = u² exactly; λ = −u² + u⁴ for the subcritical one."""
    amplitudes = [0.08, 0.04, 0.02, -0.02]
    family = pitchfork()
    (point,) = start_at(family, 0.0, -0.93).branch_points
    values = leaving(family, point, np.ones(1), amplitudes)
    # Rounding and the place of the branch point.
    np.testing.assert_allclose(values, np.square(amplitudes), atol=1e-12)
    family = subcritical()
    (point,) = start_at(family, 0.0, -0.93).branch_points
    values = leaving(family, point, np.ones(1), amplitudes)
    np.testing.assert_allclose(values, -np.square(amplitudes) + np.power(amplitudes, 4), atol=1e-12)
    with pytest.raises(ValueError, match="must not be 0"):
        leaving(family, point, np.ones(1), [0.1, 0.0])


def test_subcritical_branch_folds_at_a_quarter():
    """λ = u⁴ − u², from (0, 0) down to u² = 1/2 and up again."""
    family = subcritical()
    (point,) = start_at(family, 0.0, -0.93).branch_points
    state, value = switch(family, point, np.ones(1), amplitude=0.05, limits=(-1.0, 1.0), control=CONTROL)
    branch = start_at(family, state, value, towards=-1)
    (fold,) = branch.folds
    assert fold.value == pytest.approx(-0.25, abs=8 * ROUNDING)
    # Location to 1e-12 of a step.
    assert fold.state[0] == pytest.approx(math.sqrt(0.5), abs=1e-11)
    assert (branch.branch_points, branch.ended) == ((), "limits")
    assert all(
        (point.leading < 0.0) == (point.arclength > fold.arclength)
        for point in branch.points
        if point is not fold
    )


def test_circle_is_closed():
    """u² + λ² = 1 is back where it began; folds at both ends."""
    branch = start_at(circle(), 0.8, 0.6, limits=(-2.0, 2.0))
    assert branch.ended == "closed"
    assert [fold.value for fold in branch.folds] == pytest.approx([1.0, -1.0], abs=4 * ROUNDING)
    np.testing.assert_array_equal(branch.points[-1].state, branch.points[0].state)
    # An ellipse with half axes 1 and 1/4; chords are shorter, by less than 0.35²/24.
    assert branch.points[-1].arclength == pytest.approx(4.2892, rel=5e-3)


def test_figure_eight_closes_after_both_loops():
    """(u² + λ²)² = λ² − u²: it crosses itself, at its first point, halfway."""
    family = Scalar(
        lambda u, a: (u**2 + a**2) ** 2 - a**2 + u**2,
        lambda u, a: 4.0 * u * (u**2 + a**2) + 2.0 * u,
        lambda u, a: 4.0 * a * (u**2 + a**2) - 2.0 * a + 0.0 * u,
    )
    branch = start_at(family, 0.0, 0.0, towards=(np.array([1.0]), 1.0), limits=(-2.0, 2.0))
    assert branch.ended == "closed"
    # The fold is where u = 0, λ = ±1: rounding.
    assert [fold.value for fold in branch.folds] == pytest.approx([1.0, -1.0], abs=8 * ROUNDING)


def test_fold_beyond_a_limit_is_not_reached():
    """λ = 1 − 1e-5 lies between the circle's side and its fold."""
    high = 1.0 - 1e-5
    branch = start_at(circle(), 0.8, 0.6, limits=(-1.0, high))
    assert (branch.ended, branch.folds, branch.points[-1].value) == ("limits", (), high)
    # u² = 1 − λ², whose slope is large here.
    assert branch.points[-1].state[0] == pytest.approx(math.sqrt(1.0 - high**2), rel=1e-11)


def test_branch_may_leave_by_the_limit_it_starts_on():
    """From (1e-3, −1e-6) around the fold to (−1e-3, −1e-6): a first step is far too long."""
    branch = start_at(parabola(), 1e-3, -1e-6, limits=(-1e-6, 1.0))
    assert (branch.ended, len(branch.folds)) == ("limits", 1)
    assert branch.points[-1].value == -1e-6
    assert branch.points[-1].state[0] == pytest.approx(-1e-3, rel=1e-9)


def test_branch_that_starts_on_a_limit_and_goes_out_is_a_point():
    branch = start_at(pitchfork(), 0.0, 1.0)
    assert (len(branch.points), branch.ended) == (1, "limits")


def test_stop_and_count():
    seen = []

    def observe(point):
        seen.append(point)
        return "deep enough" if point.value > 0.5 else None

    branch = start_at(pitchfork(), 0.0, -0.93, observe=observe)
    assert branch.ended == "stopped: deep enough"
    assert tuple(seen) == branch.points
    short = start_at(pitchfork(), 0.0, -0.93, control=replace(CONTROL, most=5))
    assert (len(short.points), short.ended) == (5, "points")


def test_what_cannot_be_continued_stalls_with_a_reason():
    """u = −λ, of an equation that is not defined beyond λ = 0.1."""
    family = Scalar(
        lambda u, a: np.where(a > 0.1, np.nan, -u - a),
        lambda u, a: -1.0 + 0.0 * u * a,
        lambda u, a: -1.0 + 0.0 * u * a,
    )
    branch = start_at(family, 1.0, -1.0)
    assert branch.ended.startswith("stalled: newton: the residual is not finite at the start")
    # Within the smallest steps, of 1e-6, of its end.
    assert branch.points[-1].value == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("value", [-1.1, 1.1, math.nan])
def test_starts_lie_within_the_limits(value):
    with pytest.raises(ValueError, match="within limits"):
        start_at(pitchfork(), 0.0, value)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="towards"):
        start_at(pitchfork(), 0.0, 0.0, towards=0)
    for steps in ({"smallest": 0.0}, {"first": 1.0}, {"first": 1e-7}, {"tolerance": 0.0}, {"most": 0}):
        with pytest.raises(ValueError, match="Control"):
            Control(**steps)


def test_starts_off_all_branches_are_refused():
    with pytest.raises(StalledError):
        start_at(parabola(), 1.0, 0.5)


def test_folds_need_a_tangent_to_start_from():
    with pytest.raises(np.linalg.LinAlgError):
        start_at(parabola(), 0.0, 0.0)
    branch = start_at(parabola(), 0.0, 0.0, towards=(np.array([3.0]), 0.0))
    assert (branch.ended, branch.folds) == ("limits", ())
    assert branch.points[-1].state[0] == pytest.approx(1.0, abs=4 * ROUNDING)


def test_eigenvalues_must_be_finite():
    family = Scalar(lambda u, a: -u - a, lambda u, a: -1.0 + 0.0 * u * a, lambda u, a: -1.0 + 0.0 * u * a)
    bad = replace(family, change=lambda u, a: family.change(u, a) if a < 0.5 else np.nan * u)
    with pytest.raises(RejectedError, match="leading eigenvalue is nan"):
        start_at(Unstable(family, bad), -0.9, 0.9)
    branch = start_at(Unstable(family, bad), 0.9, -0.9)
    assert branch.ended.startswith("stalled: the leading eigenvalue is nan")


class Unstable(Scalar):
    """One family, with the eigenvalues of another."""

    def __init__(self, family, other):
        super().__init__(family.rate, family.change, family.slant)
        object.__setattr__(self, "leading", other.leading)


class Rotating(Scalar):
    """(λ − |u|²) u in the plane: a pitchfork of revolution."""

    def __init__(self):
        super().__init__(lambda u, a: (a - u @ u) * u, None, lambda u, a: u + 0.0 * a)

    def jacobian(self, state, value):
        return (value - state @ state) * np.eye(2) - 2.0 * np.outer(state, state)

    def weights(self, state):  # noqa: ARG002
        return np.array([0.5, 0.5])

    def neutral(self, state, value):  # noqa: ARG002
        turned = np.array([[-state[1], state[0]], [-2.0 * state[1], 2.0 * state[0]]])  # dependent
        return turned if np.any(state) else np.empty((0, 2))

    def leading(self, state, value):
        norm = float(state @ state)
        return value - norm if norm == 0.0 else -2.0 * norm


def test_rotations_do_not_disturb():
    """The trivial branch has no neutral direction, and a double eigenvalue; rings of states leave it."""
    family = Rotating()
    branch = start_at(family, [0.0, 0.0], -0.93)
    (point,) = branch.branch_points
    assert abs(point.value) <= 1e-12
    direction = np.array([0.6, 0.8])
    state, value = switch(family, point, direction, amplitude=0.1, limits=(-1.0, 1.0), control=CONTROL)
    # ⟨d, u⟩ = |u| / 2.
    np.testing.assert_allclose(state, 0.2 * direction, atol=1e-12)
    assert value == pytest.approx(0.04, abs=1e-12)
    ring = start_at(family, state, value)
    assert ring.ended == "limits"
    # Nothing moves it around the ring but rounding, once a step.
    np.testing.assert_allclose(ring.points[-1].state, direction, atol=100 * ROUNDING)


def chebyshev(size):
    """Nodes of (−1, 1) without its ends, and the second derivative of functions that vanish there."""
    angles = np.pi * np.arange(size + 2) / (size + 1)
    nodes, signs = np.cos(angles), (-1.0) ** np.arange(size + 2)
    signs[[0, -1]] *= 2.0
    gaps = nodes[:, None] - nodes + np.eye(size + 2)
    first = np.outer(signs, 1.0 / signs) / gaps
    first -= np.diag(first.sum(axis=1))
    return nodes[1:-1], (first @ first)[1:-1, 1:-1]


@dataclass(frozen=True)
class Bratu:
    """u'' + λ eᵘ = 0 on (0, 1), multiplied by the inverse of −u'': u + K(λ eᵘ) with K compact, or dense."""

    finest: int = 24
    coarsest: int = 24
    dense: bool = True
    above: float = 0.8

    def inverse(self, size):
        return np.linalg.inv(4.0 * chebyshev(size)[1])

    def residual(self, state, value):
        return -(state + self.inverse(state.size) @ (value * np.exp(state)))

    def jacobian(self, state, value):
        inner = self.inverse(state.size) * (value * np.exp(state))
        if self.dense:
            return -(np.eye(state.size) + inner)
        return LinearOperator(inner.shape, matvec=lambda v: -(v + inner @ v), dtype=float)

    def slope(self, state, value):  # noqa: ARG002
        return -(self.inverse(state.size) @ np.exp(state))

    def weights(self, state):
        return np.full(state.size, 1.0 / state.size)

    def neutral(self, state, value):  # noqa: ARG002
        return np.empty((0, state.size))

    def fitted(self, state, value):  # noqa: ARG002
        size = self.finest if state.max() > self.above else self.coarsest
        if size == state.size:
            return state
        old, new = chebyshev(state.size)[0], chebyshev(size)[0]
        fit = np.polynomial.chebyshev.chebfit([1.0, *old, -1.0], [0.0, *state, 0.0], state.size + 1)
        return np.polynomial.chebyshev.chebval(new, fit)

    def leading(self, state, value):
        laplacian = 4.0 * chebyshev(state.size)[1]
        return float(np.linalg.eigvals(laplacian + np.diag(value * np.exp(state))).real.max())


BRATU_FOLD = 3.513830719125161


def until_three(point):
    """Beyond the fold the branch goes on forever."""
    return "far" if point.state.max() > 3.0 else None


@pytest.mark.parametrize("family", [Bratu(), Bratu(dense=False)], ids=["dense", "operator"])
def test_bratu_problem(family):
    """The fold of the continuum; spectral accuracy on 24 nodes."""
    branch = start_at(family, np.zeros(24), 0.0, limits=(0.0, 4.0), observe=until_three)
    (fold,) = branch.folds
    # Rounding of inverse and exponentials, 24 terms each.
    assert fold.value == pytest.approx(BRATU_FOLD, abs=1e-11)
    assert abs(fold.leading) <= 1e-7
    assert branch.branch_points == ()


# On 28 nodes the fold is right to rounding, on 16 to 5e-10; both sizes meet in the step that holds it.
@pytest.mark.parametrize(("above", "accuracy"), [(0.8, 1e-11), (1.17, 1e-9), (1.185, 1e-9)])
def test_resolution_may_change(above, accuracy):
    """16 nodes, and 28 where the state is higher: on the way to the fold, just before, or after it."""
    family = Bratu(28, 16, above=above)
    branch = start_at(family, np.zeros(16), 0.0, limits=(0.0, 4.0), observe=until_three)
    sizes = [point.state.size for point in branch.points]
    assert sizes == sorted(sizes)
    assert set(sizes) == {16, 28}
    assert branch.ended == "stopped: far"
    (fold,) = branch.folds
    assert fold.value == pytest.approx(BRATU_FOLD, abs=accuracy)
    values = np.array([point.value for point in branch.points])
    assert np.count_nonzero(np.diff(np.sign(np.diff(values)))) == 1
    # The state grows all along, also through the change.
    peaks = [point.state.max() for point in branch.points]
    assert np.all(np.diff(peaks) > 0.0)


def test_resolution_may_change_on_a_limit():
    """The point on the limit is the first with a state above 0.8."""
    branch = start_at(Bratu(28, 16), np.zeros(16), 0.0, limits=(0.0, 3.29))
    before, last = branch.points[-2:]
    assert (last.value, branch.ended, before.state.size, last.state.size) == (3.29, "limits", 16, 28)


@pytest.mark.parametrize("offset", [1e-2, 1e-4, 1e-6])
@pytest.mark.parametrize("control", [CONTROL, Control(first=0.1, largest=0.5)], ids=["short", "long"])
def test_neighbouring_branches_are_not_jumped_to(offset, control):
    """u(λ − u²) + h = 0: the branch from below turns off by itself, h^{1/3} away from another one."""
    family = Scalar(
        lambda u, a: u * (a - u**2) + offset, lambda u, a: a - 3.0 * u**2, lambda u, a: u + 0.0 * a
    )
    branch = start_at(family, 0.0, -0.93, control=control)
    assert (branch.folds, branch.branch_points, branch.ended) == ((), (), "limits")
    assert np.all(np.diff([point.state[0] for point in branch.points]) > 0.0)
    # u² = λ + h / u.
    assert branch.points[-1].state[0] == pytest.approx(1.0, abs=offset)


def test_predictors_nearer_to_another_branch_are_refused():
    """u = ½ tanh(20 λ) rises by 1 between level parts; another branch, 0.9 below, has the same tangents."""
    family = Scalar(
        lambda u, a: -(u - 0.5 * np.tanh(20.0 * a)) * (u - 0.5 * np.tanh(20.0 * a) + 0.9),
        lambda u, a: -2.0 * (u - 0.5 * np.tanh(20.0 * a)) - 0.9,
        lambda u, a: 10.0 / np.cosh(20.0 * a) ** 2 * (2.0 * u - np.tanh(20.0 * a) + 0.9),
    )
    branch = start_at(family, -0.5, -1.0, control=Control(first=0.4, largest=0.4))
    assert branch.points[-1].state[0] == pytest.approx(0.5, abs=1e-10)


def test_turns_are_followed_by_short_steps():
    """u = arctan(40 λ): a step across would miss the turns."""
    family = Scalar(
        lambda u, a: np.arctan(40.0 * a) - u,
        lambda u, a: -1.0 + 0.0 * u * a,
        lambda u, a: 40.0 / (1.0 + (40.0 * a) ** 2) + 0.0 * u,
    )
    control = Control(first=0.4, largest=0.4)
    points = start_at(family, math.atan(-40.0), -1.0, control=control).points
    cosines = [a.tangent[0] @ b.tangent[0] + a.tangent[1] * b.tangent[1] / 4.0 for a, b in pairwise(points)]
    assert min(cosines) >= math.cos(0.35)


@pytest.mark.parametrize("place", [0.05, 0.02, 1e-3, -0.02])
def test_fold_and_branch_point_in_one_step(place):
    """(u² + λ)(u + c): the eigenvalue that is zero at the fold is so again at u = −c, within a step."""
    family = Scalar(
        lambda u, a: -(u**2 + a) * (u + place),
        lambda u, a: -2.0 * u * (u + place) - (u**2 + a),
        lambda u, a: -(u + place) + 0.0 * a,
    )
    branch = start_at(family, 1.0, -1.0)
    (fold,), (point,) = branch.folds, branch.branch_points
    assert abs(fold.value) <= 1e-20
    # 1e-12 of the width of the limits.
    assert point.value == pytest.approx(-(place**2), abs=2e-12)
    assert point.state[0] == pytest.approx(-place, abs=1e-9)
    # Along u² = −λ.
    assert 2.0 * point.state[0] * point.tangent[0][0] == pytest.approx(-point.tangent[1], abs=1e-8)
    assert branch.ended == "limits"
    assert branch.points[-1].state[0] == pytest.approx(-1.0, abs=1e-12)


@dataclass(frozen=True)
class Two(Scalar):
    """The parabola, and beside it a second state with v' = (c − u) v − v³."""

    place: float = 0.0

    def jacobian(self, state, value):  # noqa: ARG002
        u, v = state
        return np.array([[-2.0 * u, 0.0], [-v, self.place - u - 3.0 * v**2]])

    def leading(self, state, value):
        return float(np.diag(self.jacobian(state, value)).max())


def test_fold_of_an_unstable_branch():
    """A branch point at u = c, λ = −c², before the fold, at which another eigenvalue leads."""
    place = 0.005
    family = Two(
        lambda s, a: np.array([-(s[0] ** 2) - a, (place - s[0]) * s[1] - s[1] ** 3]),
        None,
        lambda s, a: np.array([-1.0, 0.0]) + 0.0 * a * s,
        place=place,
    )
    branch = start_at(family, [1.0, 0.0], -1.0)
    (fold,), (point,) = branch.folds, branch.branch_points
    assert abs(fold.value) <= 1e-20
    assert point.value == pytest.approx(-(place**2), abs=2e-12)
    assert point.arclength < fold.arclength
    assert branch.points.index(point) < branch.points.index(fold)
    seen = start_at(
        family, [1.0, 0.0], -1.0, observe=lambda p: "unstable" if p.value > -1.001 * place**2 else None
    )
    assert (len(seen.branch_points), seen.folds) == (1, ())
    assert seen.points[-1] is seen.branch_points[0]


@dataclass(frozen=True)
class SwiftHohenberg:
    """u' = λu − (1 + ∂²)²u + bu² − u³ on a circle, multiplied by the inverse of 1 + (1 + ∂²)²."""

    quadratic: float
    dense: bool
    nodes: np.ndarray = field(default_factory=lambda: 2.0 * np.pi * np.arange(32) / 32)

    def filtered(self, values, symbol):
        modes = np.arange(values.shape[-1] // 2 + 1)
        return np.fft.irfft(symbol(modes) * np.fft.rfft(values), values.shape[-1])

    def inverse(self, values):
        return self.filtered(values, lambda k: 1.0 / (1.0 + (1.0 - k**2) ** 2))

    def residual(self, state, value):
        return -state + self.inverse((1.0 + value) * state + self.quadratic * state**2 - state**3)

    def change(self, state, value):
        return value + 2.0 * self.quadratic * state - 3.0 * state**2

    def jacobian(self, state, value):
        def apply(vector):
            return -vector.ravel() + self.inverse((1.0 + self.change(state, value)) * vector.ravel())

        operator = LinearOperator((32, 32), matvec=apply, dtype=float)
        return operator @ np.eye(32) if self.dense else operator

    def slope(self, state, value):  # noqa: ARG002
        return self.inverse(state)

    def weights(self, state):
        return np.full(state.size, 1.0 / state.size)

    def neutral(self, state, value):  # noqa: ARG002
        shift = self.filtered(state, lambda k: 1j * k * (k < 16))
        return shift[None] if np.max(np.abs(shift)) > 1e-9 else np.empty((0, 32))

    def fitted(self, state, value):  # noqa: ARG002
        return state

    def leading(self, state, value):
        flow = self.filtered(np.eye(32), lambda k: -((1.0 - k**2) ** 2)) + np.diag(self.change(state, value))
        for shift in self.neutral(state, value):
            flow -= 1e3 * np.outer(shift, shift) / (shift @ shift)
        return float(np.linalg.eigvalsh(0.5 * (flow + flow.T)).max())


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "operator"])
def test_swift_hohenberg_patterns(dense):
    """A pitchfork of revolution: λ = (3/4 − 19b²/18) A² + O(A⁴) where u = A cos z + O(A²); then a fold."""
    family = SwiftHohenberg(1.4, dense)
    trivial = start_at(family, np.zeros(32), -0.4, limits=(-0.5, 0.5))
    (point,) = trivial.branch_points
    # Rounding of an eigenvalue of a matrix of norm 255².
    assert abs(point.value) <= 65025 * ROUNDING
    direction = 2.0 * np.cos(family.nodes - 0.3)
    amplitudes = 0.02 * np.array([1.0, 0.5, 0.25])
    values = leaving(family, point, direction, amplitudes)
    bend, _ = np.polynomial.polynomial.polyfit(amplitudes**2, (values - point.value) / amplitudes**2, 1)
    # The next term of the expansion, of A⁴: below 1e-6; rounding of λ over A²: 1e-12 / 2.5e-5.
    assert bend == pytest.approx(0.75 - 19.0 / 18.0 * 1.96, abs=1e-5)
    state, value = switch(family, point, direction, amplitude=0.1, limits=(-0.5, 0.5), control=CONTROL)
    assert value < 0.0
    branch = start_at(family, state, value, towards=-1, limits=(-0.5, 0.5))
    (fold,) = branch.folds
    # What makes a fold, to rounding of the eigenvalue.
    assert abs(fold.leading) <= 1e-10
    assert abs(fold.tangent[1]) <= 1e-10
    assert fold.residual <= 1e-13
    assert -0.4 < fold.value < value
    assert (branch.branch_points, branch.ended) == ((), "limits")
    assert all(p.leading < 0.0 for p in branch.points if p.arclength > fold.arclength)
    # It stays where it was, even around 0.3, but for rounding in every step (of GMRES: of its tolerance).
    modes = np.fft.rfft(branch.points[-1].state) / 32 * np.exp(0.3j * np.arange(17))
    assert np.max(np.abs(modes.imag)) <= 1e-10
