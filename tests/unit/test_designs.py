"""Parts of a design: laws on the circle, atoms that stand for them, derivatives, the configuration."""

import numpy as np
import ot
import pytest
from scipy import optimize, special

from meanfield_pde import auxiliary, config, encodings
from meanfield_pde.attention import Alibi, Attention, Head, Prompt
from meanfield_pde.building import build
from meanfield_pde.config.initial import Initial as InitialTable
from meanfield_pde.designs.line_laws import LineLaw, line_distance
from meanfield_pde.designs.targets import CloudTarget, LineTarget, target_of
from meanfield_pde.designs.unknowns import Directions, Prompts
from meanfield_pde.designs.writing import turned
from meanfield_pde.errors import InputError
from meanfield_pde.initial import Initial, Tokens, uniform, vonmises
from meanfield_pde.limits.tokens import TokenSystem
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.named import space_named

TURN = 2 * np.pi


TARGETS = {
    "uniform": LineTarget(LineLaw.uniform()),
    "arc": LineTarget(LineLaw.uniform(0.2, 1.0)),
    "von Mises": LineTarget(LineLaw.of_density(np.exp(3 * np.cos(TURN * np.arange(200) / 200)))),
    "atoms": LineTarget(LineLaw.of_atoms(np.array([0.1, 1.0, 6.0]), np.array([0.2, 0.3, 0.5]))),
}


# laws on the circle


@pytest.mark.parametrize("order", [1, 2])
def test_distance_of_atoms_is_that_of_all_plans(order):
    rng = np.random.default_rng(order)
    circle = space_named("circle", 16, None)
    for first, second in ((7, 7), (20, 33), (1, 5)):
        places = rng.uniform(-4.0, 9.0, first), rng.uniform(-4.0, 9.0, second)
        masses = rng.dirichlet(np.ones(first)), rng.dirichlet(np.ones(second))
        cost = circle.distance(places[0][:, None], places[1][None]) ** order
        exact = ot.emd2(*masses, cost) ** (1.0 / order)
        laws = [LineLaw.of_atoms(*pair) for pair in zip(places, masses, strict=True)]
        # Sums of 33 levels and squares of angles: some hundred roundings.
        assert line_distance(*laws, order) == pytest.approx(exact, abs=1e-13)


def test_atoms_that_hardly_move_are_hardly_away():
    """Levels that meet up to rounding do not count: W₂ is seen down to 1e-10."""
    rng = np.random.default_rng(0)
    places, step, masses = rng.uniform(0.0, TURN, 64), rng.standard_normal(64), np.full(64, 1 / 64)
    near = LineLaw.of_atoms(places + 1e-10 * step, masses)
    found = line_distance(LineLaw.of_atoms(places, masses), near, 2)
    assert found == pytest.approx(1e-10 * np.sqrt((step**2).mean()), rel=1e-3)


@pytest.mark.parametrize("nodes", [1, 2, 5, 16])
def test_atoms_of_the_uniform_law_lose_what_their_cells_are_wide(nodes):
    nu = auxiliary.uniform(nodes)
    for width in (1.0, TURN):
        target = LineTarget(LineLaw.uniform(3.0, width))
        found = target.distance(target.quantised(nu), nu.weights, 2)
        # Golden sections find the shift to 1e-9.
        assert found == pytest.approx(width / nodes / np.sqrt(12.0), rel=1e-8)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("kind", ["uniform", "legendre"])
def test_no_other_atoms_are_nearer(name, kind):
    """From the atoms of the design, no step of a general optimiser comes nearer in W₂."""
    nu = getattr(auxiliary, kind)(4)
    target = TARGETS[name]
    start = target.quantised(nu)
    least = target.distance(start, nu.weights, 2)
    found = optimize.minimize(
        lambda places: target.distance(places, nu.weights, 2), start, method="Nelder-Mead", tol=1e-9
    )
    # Cells are cut to 1e-10, and W₂ is flat about its minimum.
    assert found.fun >= least * (1 - 1e-6)


def test_maps_increase_along_z():
    nu = auxiliary.uniform(9)
    turns = np.diff(TARGETS["von Mises"].quantised(nu)) % TURN
    assert turns.sum() < TURN
    assert (turns > 0).all()


def test_masses_of_cells_are_those_of_the_law():
    circle = space_named("circle", 12, None)
    law = LineTarget(LineLaw.uniform(0.0, TURN / 12))
    expected = np.zeros(12)
    expected[0] = 1.0
    assert law.masses_on(circle) == pytest.approx(expected, abs=1e-12)
    assert TARGETS["atoms"].masses_on(circle).sum() == pytest.approx(1.0, abs=1e-12)


def test_pieces_must_follow_each_other():
    with pytest.raises(InputError, match="follow each other"):
        LineLaw(np.array([0.0, 0.5]), np.array([1.0, 2.0]), np.ones(2))
    with pytest.raises(InputError, match="one turn"):
        LineLaw(np.array([0.0]), np.array([7.0]), np.ones(1))


# surfaces


def test_points_of_a_surface_are_taken_as_they_are_or_gathered():
    sphere = space_named("sphere", 7, 3)
    points = sphere.locate(np.random.default_rng(0).standard_normal((6, 3)))
    target = CloudTarget(sphere, points, np.full(6, 1 / 6))
    assert np.array_equal(target.quantised(auxiliary.uniform(6)), points)
    few = target.quantised(auxiliary.uniform(3))
    assert few.shape == (3, 3)
    assert np.linalg.norm(few, axis=1) == pytest.approx(np.ones(3))
    # Pairs of points: no other pairing is nearer than the plan says, and worse ones are there.
    nu = auxiliary.uniform(3)
    assert target.distance(few, nu.weights, 2) < target.distance(points[:3], nu.weights, 2)


def test_densities_are_targets():
    """The mean of the law stays: I₁(κ)/I₀(κ) along e₁, up to what 16 cells lose."""
    circle = space_named("circle", 64, None)
    target = target_of(circle, Initial(vonmises(np.array([1.0, 0.0]), 3.0)), auxiliary.none())
    assert target.law.masses.size > 1000
    places, nu = target.quantised(auxiliary.uniform(16)), auxiliary.uniform(16)
    mean = nu.weights @ np.exp(1j * places)
    # Cells of length h are worth 1 − h²/24 and so of their mean; W₂² is Σ h²/12 over them.
    lost = 0.5 * target.distance(places, nu.weights, 2) ** 2
    assert mean == pytest.approx(special.iv(1, 3.0) / special.iv(0, 3.0), abs=lost)


def test_targets_are_one_law_for_all_nodes():
    circle = space_named("circle", 16, None)
    tokens = Tokens(np.zeros((2, 3)), np.ones((2, 3)))
    with pytest.raises(InputError, match="one law"):
        target_of(circle, Initial(uniform, tokens=tokens), auxiliary.uniform(2))


# derivatives


def problem(name, values, normalization, **parts):
    sizes = {"circle": (32, None), "sphere": (7, 3), "torus": (8, 2)}
    space = space_named(name, *sizes[name])
    dimension = space.points.shape[1]
    rng = np.random.default_rng(1)
    mixed = [np.eye(dimension) + 0.3 * rng.standard_normal((dimension, dimension)) for _ in range(3)]
    attention = Attention(
        heads=(Head(1.3, *mixed, Alibi(0.5)), Head.plain(0.7, dimension)),
        auxiliary=auxiliary.legendre(4),
        values=values,
        normalization=normalization,
        **parts,
    )
    return Problem(space, attention, depths=np.array([0.0, 1.0]))


@pytest.mark.parametrize("name", ["circle", "sphere", "torus"])
@pytest.mark.parametrize("values", ["encoded", "token"])
@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("kind", ["directions", "prompts"])
def test_derivatives_are_those_of_the_velocity(name, values, normalization, kind):
    """Against central differences of fourth order of the velocity, which is the one that limits use."""
    found = problem(name, values, normalization)
    space, rng = found.space, np.random.default_rng(2)
    tokens, places = (space.locate(rng.standard_normal((4, space.points.shape[1]))) for _ in range(2))
    if kind == "directions":
        unknown = Directions(0.8)
        prompt = Prompt(space.embed(places)[None, :2], np.array([0.3, 0.7]), 0.3)
        found = problem(name, values, normalization, prompt=prompt)
    else:
        unknown = Prompts(0.4)
        rotary = encodings.rotary(found.auxiliary.nodes, 2.0)
        found = problem(name, values, normalization, encoding=rotary)
    tangents = space.frame.shape[1]

    def velocity(step):
        moved = space.moved(places, step.reshape(4, tangents))
        return TokenSystem.of_maps(unknown.applied(found, moved)).velocity(tokens)

    columns = []
    for unit in 1e-3 * np.eye(4 * tangents):
        near, far = (velocity(reach * unit) - velocity(-reach * unit) for reach in (1.0, 2.0))
        columns.append((8.0 * near - far) / 12e-3)
    expected = np.stack(columns, axis=1)
    # The differences err by h⁴ = 1e-12 times fifth derivatives, up to 50 of them here.
    error = np.abs(unknown.derivative(found, tokens, places) - expected).max()
    assert error <= 1e-9 * np.abs(expected).max()


# configuration

SMALL = """
[auxiliary]
kind = "uniform"
nodes = 4
[attention]
beta = 1.0
[time]
final = 1.0
[design]
target = { kind = "arc", center = 1.0, width = 2.0 }
"""


def test_configurations_read_back():
    found = config.loads(SMALL)
    assert found.design.amplitude == "least"
    assert config.loads(found.to_toml()) == found


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"design.amplitude": "lest"}, ["[design] amplitude", '"least" or a number > 0', 'got "lest"']),
        ({"design.amplitude": -1.0}, ["[design] amplitude", "number > 0"]),
        ({"design.fraction": 0.2}, ["[design] fraction", 'no effect with encoding = "additive"']),
        ({"design.amplitude": 2.0, "design.margin": 0.5}, ["[design] margin", "no effect"]),
        ({"design.target": {"kind": "arc"}}, ["[design] target.width", "is required"]),
        ({"design.target": {"kind": "points"}}, ["[design] target.angles", "must be given"]),
        ({"design.target": {"kind": "vonmises", "concentration": 1.0, "turns": 1}}, ["turns", "unknown key"]),
        ({"design.target": {"kind": "vonmises", "concentration": 1.0, "center": [1, 0]}}, ["target.center"]),
        ({"design.encoding": "rotary", "attention.values": "token"}, ["[attention] values", '"encoded"']),
        ({"encoding": {"kind": "rotary", "frequency": 1.0}}, ["[encoding] kind", "none or additive"]),
        ({"token.space": "sphere"}, ["[design] target.kind", "arcs are on circles"]),
        ({"token.space": "zonal"}, ["[design] encoding", 'use token.space = "sphere"']),
        ({"token.space": "torus", "design.encoding": "rotary"}, ["[design] encoding", "additive"]),
        (
            {"design.encoding": "prompt", "prompt": {"angles": [0.0], "fraction": 0.2}},
            ["[prompt] fraction", "design.fraction"],
        ),
    ],
)
def test_wrong_designs_are_named(overrides, words):
    with pytest.raises(InputError) as caught:
        config.loads(SMALL, overrides)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "fourier", "modes": [[1, 0.3, 0.1], [2, 0.1, 1.0]]},
        {"kind": "vonmises", "center": 0.4, "concentration": 2.0},
        {"kind": "mixture", "components": [{"center": 6.0, "concentration": 2.0}]},
        {"kind": "points", "angles": [0.1, 2.0]},
    ],
)
def test_initial_laws_are_turned(table):
    circle, nu = space_named("circle", 64, None), auxiliary.none()
    laws = []
    for initial in (InitialTable(**table), turned(InitialTable(**table), 0.7)):
        changed = {"initial": initial, "auxiliary": config.Auxiliary()}
        laws.append(build(config.loads(SMALL).model_copy(update=changed)).initial)
    if table["kind"] == "points":
        assert laws[1].tokens.places == pytest.approx(laws[0].tokens.places + 0.7)
    else:
        expected = circle.rotate(laws[0].coefficients(circle, nu), np.array([0.7]))
        assert laws[1].coefficients(circle, nu) == pytest.approx(expected, abs=1e-14)


def test_some_initial_laws_cannot_be_turned():
    assert turned(InitialTable(kind="uniform"), 0.7) is None
    assert turned(InitialTable(kind="vonmises", concentration=1.0, perturbation=0.1), 0.7) is None
