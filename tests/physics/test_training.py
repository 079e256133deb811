"""Training: gradients by the discrete adjoint, optima, escape from clusters."""

from dataclasses import replace

import numpy as np
import pytest

from meanfield_pde import auxiliary, encodings, initial
from meanfield_pde.attention import Attention, Causal, Head, Prompt
from meanfield_pde.evolution import limited
from meanfield_pde.features import Harmonics, Perceptron, units
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus
from meanfield_pde.spaces.zonal import Zonal
from meanfield_pde.training.losses import Divergence, Linear, Square
from meanfield_pde.training.objective import Objective
from meanfield_pde.training.plan import Plan
from meanfield_pde.training.theory import theory
from meanfield_pde.training.train import History, train

AXES = {
    "circle": np.array([np.cos(0.7), np.sin(0.7)]),
    "sphere": np.array([0.6, 0.0, 0.8]),
    "zonal": np.array([1.0, 0.0]),
    "torus": np.array([np.cos(0.7), np.sin(0.7), 1.0, 0.0]),
}
SPACES = {
    "circle": Circle(32),
    "sphere": Sphere(8),
    "zonal": Zonal(16, 5),
    "torus": Torus(12),
}


def bump(space):
    """A smooth positive density, not symmetric about anything but the axis of zonal spheres."""
    along = space.points @ AXES[space.name]
    values = np.exp(0.5 * along + 0.3 * along**2)
    return values / (values @ space.weights)


def wave(space):
    return np.sin(2.0 * space.points @ AXES[space.name])


LOSSES = {"l2": Square(bump), "kl": Divergence(bump), "linear": Linear(wave)}


def features_on(space, kind):
    if kind == "harmonics":
        return Harmonics(2)
    weights, biases = units(space.points.shape[1] if space.name != "zonal" else 5, 3, seed=1)
    return Perceptron(kind, weights, biases)


def layer_on(space, normalization, encoding):
    """A head with matrices; with positions a second head, causal attention and a prompt."""
    size = space.points.shape[1]
    if space.name == "zonal":
        return Attention((Head.plain(1.5, size),), auxiliary.none(), normalization=normalization)
    rng = np.random.default_rng(7)
    query, key, value = 0.5 * rng.standard_normal((3, size, size)) + np.eye(size)
    head = Head(0.6 if space.name != "torus" else 0.2, query, key, value)
    if encoding == "none":
        return Attention((head,), auxiliary.none(), normalization=normalization)
    nu = auxiliary.uniform(3)
    heads = (head, Head.plain(0.4, size, Causal()))
    code = encodings.additive(rng.uniform(-0.5, 0.5, (3, size)))
    if encoding == "rotary":
        code = encodings.rotary(nu.nodes, 2.0)
    prompt = None
    if space.name != "torus":
        prompt = Prompt(AXES[space.name][None, None], np.ones(1), 0.2)
    return Attention(heads, nu, code, normalization=normalization, prompt=prompt)


def objective_on(space, layer, features, loss, *, steps=2, intervals=4, kept=10**7):
    start = Initial(initial.vonmises(-AXES[space.name], 0.8) if space.name != "torus" else initial.uniform)
    problem = Problem(space, layer, np.array([0.0, 0.8]), start, 0.2)
    plan = Plan(features, loss, intervals, 0.1)
    coefficients = problem.initial.coefficients(space, problem.auxiliary)
    return Objective(problem, plan, problem.equation(space), coefficients, steps, kept)


CASES = [
    pytest.param(
        space, kind, loss, normalization, encoding, id=f"{space}-{kind}-{loss}-{normalization}-{encoding}"
    )
    for index, (space, kind, loss) in enumerate(
        (space, kind, loss)
        for space in SPACES
        for kind in ("harmonics", "relu", "tanh", "gelu")
        for loss in LOSSES
    )
    for normalization in ("softmax", "none")
    for encoding in (("none", "additive", "rotary")[index % 3],)
]


@pytest.mark.parametrize(("space", "kind", "loss", "normalization", "encoding"), CASES)
def test_gradients_are_those_of_the_objective(space, kind, loss, normalization, encoding):
    """Taylor remainders fall as h² over four decades, and central differences agree to 1e-8."""
    space = SPACES[space]
    layer = layer_on(space, normalization, encoding)
    objective = objective_on(space, layer, features_on(space, kind), LOSSES[loss])
    rng = np.random.default_rng(2)
    parameters, along = rng.uniform(-0.3, 0.3, (2, *objective.shape))
    with limited(1):
        value, slope = objective.value_and_gradient(parameters)
        assert value == pytest.approx(objective.value(parameters), rel=1e-14)
        change = float((slope * along).sum())
        sizes = 10.0 ** -np.arange(0.5, 5.0)
        values = np.array([objective.value(parameters + h * along) for h in sizes])
        left, right = (objective.value(parameters + h * along) for h in (-1e-3, 1e-3))
        far_left, far_right = (objective.value(parameters + h * along) for h in (-2e-3, 2e-3))
    remainders = np.abs(values - value - sizes * change)
    # Rounding of J, a thousand operations deep, hides remainders below it.
    floor = 1e-13 * abs(value)
    orders = np.log10(remainders[:-1] / np.maximum(remainders[1:], floor))
    seen = remainders[1:] > 10.0 * floor
    # A relu has kinks between the grid points: they do not depend on the parameters, J is smooth.
    assert np.abs(orders[1:][seen[1:]] - 2.0).max(initial=0.0) < 0.1
    # Four decades of h; third derivatives change the first remainder, at h = 0.3, by a few percent.
    assert remainders[-1] <= max(1.1e-8 * remainders[0], 10.0 * floor)
    # Fourth-order differences: h⁴ = 1e-12 beside rounding 1e-13/h.
    difference = (8.0 * (right - left) - (far_right - far_left)) / 12e-3
    assert difference == pytest.approx(
        change, rel=1e-8, abs=1e-9 * np.linalg.norm(slope) * np.linalg.norm(along)
    )


@pytest.mark.parametrize("kept", [10**4, 600], ids=["states", "two levels"])
def test_gradients_do_not_depend_on_what_is_kept(kept):
    space = SPACES["circle"]
    objective = objective_on(space, layer_on(space, "softmax", "additive"), Harmonics(2), LOSSES["l2"])
    parameters = np.random.default_rng(1).uniform(-0.3, 0.3, objective.shape)
    expected = objective.value_and_gradient(parameters)
    found = replace(objective, kept=kept).value_and_gradient(parameters)
    assert found[0] == expected[0]
    assert np.abs(found[1] - expected[1]).max() <= 1e-15 * np.abs(expected[1]).max()


def test_the_gradient_by_the_initial_densities():
    space = SPACES["sphere"]
    objective = objective_on(space, layer_on(space, "none", "additive"), Harmonics(1), LOSSES["kl"])
    parameters = np.zeros(objective.shape)
    along = np.random.default_rng(4).standard_normal(objective.start.shape) * 1e-3
    along[:, 0] = 0.0
    found = objective.gradient(parameters).start
    ends = [replace(objective, start=objective.start + h * along).loss(parameters) for h in (-1e-3, 1e-3)]
    assert (ends[1] - ends[0]) / 2e-3 == pytest.approx(np.vdot(found, along[:, 1:]), rel=1e-7)


# Escape: the circle, unnormalised attention, two wells as target


def peaks(space):
    angles = np.arctan2(space.points[:, 1], space.points[:, 0])
    values = np.exp(2.0 * np.cos(2.0 * (angles - 0.7)))
    return values / (values @ space.weights)


def escape(regularization, depth=12.0, **options):
    layer = Attention((Head.plain(1.0, 2),), auxiliary.none(), normalization="none")
    start = Initial(initial.fourier([(1, 0.8, 0.0), (2, 0.1, np.pi / 4)]))
    problem = Problem(Circle(64), layer, np.linspace(0.0, depth, 25), start, 0.3)
    return problem, Plan(Harmonics(3), Square(peaks), regularization=regularization, **options)


def order_parameters(trained):
    space = trained.objective.equation.space
    _, states = trained.path(trained.parameters)
    return np.array([np.linalg.norm(space.first_moment(state)[0]) for state in states])


@pytest.mark.parametrize(
    ("regularization", "final"), [(0.05, 0.067), (0.2, 0.82), (1.0, 0.866)], ids=["escape", "none", "far"]
)
def test_small_penalties_let_tokens_escape_from_their_cluster(regularization, final):
    """R rises to a plateau of 0.845; it falls to 0.07 at the end for λ = 0.05 alone."""
    problem, plan = escape(regularization, intervals=40, tolerance=1e-3)
    trained = train(problem, plan, threads=1)
    orders = order_parameters(trained)
    assert trained.converged
    assert orders[0] == pytest.approx(0.4, abs=1e-9)
    # A prototype with other steps and 200 intervals found these to the digits given.
    assert orders.max() == pytest.approx({0.05: 0.845, 0.2: 0.876, 1.0: 0.884}[regularization], abs=3e-3)
    assert orders[-1] == pytest.approx(final, abs=5e-3)


def test_the_optimum_does_not_depend_on_grid_steps_or_start():
    problem, plan = escape(1.0, intervals=40)
    trained = train(problem, plan, threads=1)
    fine = train(replace(problem, space=Circle(144)), plan, threads=1)
    assert fine.objective.equation.space.resolution > trained.objective.equation.space.resolution
    half = replace(trained.objective, steps=2 * trained.objective.steps)
    best = trained.loss[-1]
    assert fine.loss[-1] == pytest.approx(best, rel=1e-5)
    assert half.value(trained.parameters) == pytest.approx(best, rel=1e-5)


def test_strong_penalties_leave_one_optimum():
    """From anywhere; with weak ones there are others, a cluster on the other peak for one."""
    problem, plan = escape(5.0, intervals=20)
    trained, rng = train(problem, plan, threads=1), np.random.default_rng(3)
    best = trained.loss[-1]
    other = train(problem, plan, start=History(rng.normal(0.0, 0.2, trained.parameters.shape)), threads=1)
    # A gradient of 1e-5 of the first one, squared over λ, is 1e-10 of J.
    assert other.loss[-1] == pytest.approx(best, rel=1e-8)
    assert np.abs(other.parameters - trained.parameters).max() < 1e-2 * np.abs(trained.parameters).max()


def test_training_goes_on_from_where_it_was():
    problem, plan = escape(1.0, intervals=20)
    short = train(problem, replace(plan, iterations=3), threads=1)
    assert not short.converged
    assert len(short.loss) == 4
    assert "iterations" in short.reason
    whole = train(problem, plan, start=short.history, threads=1)
    assert whole.converged
    assert len(whole.loss) > 4
    assert (np.diff(whole.loss) <= 1e-6).all()  # the last one may be that of shorter steps
    assert whole.loss[-1] == pytest.approx(train(problem, plan, threads=1).loss[-1], rel=1e-8)


def test_more_depth_is_spent_on_the_plateau():
    """Turnpike: the layers outside of the plateau stay as many when depth grows."""
    shares = []
    for depth in (8.0, 16.0):
        trained = train(*escape(0.05, depth, intervals=24, tolerance=1e-2), threads=1)
        orders = order_parameters(trained)
        shares.append(np.mean(orders > 0.9 * orders.max()))
    assert shares[1] > shares[0] + 0.1


def test_the_gradient_without_a_drift_is_that_of_the_adjoint_equation():
    problem, plan = escape(0.05, 30.0, intervals=120)
    coefficients = problem.initial.coefficients(problem.space, problem.auxiliary)
    objective = Objective(problem, plan, problem.equation(problem.space), coefficients, 2)
    found = theory(objective)
    # Splines between states of the run leave h⁴ of its curvature, h = 1/8.
    assert found.mismatch < 1e-5
    # Away from the end the slowest mode alone is left; the others change the slope by a few percent.
    assert found.decay_rate == pytest.approx(found.spectral_gap, rel=0.05)
