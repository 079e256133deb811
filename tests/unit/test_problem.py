"""Problems from configurations of every kind, and from arrays and callables."""

import json
import tracemalloc

import h5py
import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import auxiliary, config, encodings, evolution, initial
from meanfield_pde.attention import Alibi, Attention, Causal, Head, NoBias, Prompt, Table, Window, Within
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.building import build
from meanfield_pde.drift import harmonics
from meanfield_pde.errors import InputError
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import modes_of, unit_vectors

MINIMAL = "[attention]\nbeta = 2.0\n{attention}\n[time]\nfinal = 1.0\n"
UNIFORM = '[auxiliary]\nkind = "uniform"\nnodes = 4\n'
SPACE = Circle(128)


def built(text="", attention="", **overrides):
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return build(config.loads(MINIMAL.format(attention=attention) + text, named))


@pytest.fixture
def tables(tmp_path):
    path, rng = tmp_path / "tables.h5", np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["z"], file["weights"] = [0.0, 0.5, 0.7, 2.0], [1.0, 2.0, 3.0, 2.0]
        file["plane"], file["rows"] = rng.standard_normal((4, 2)), rng.standard_normal((4, 7))
        file["bias"] = np.where(np.eye(4, k=1) > 0, -np.inf, rng.standard_normal((4, 4)))
        angles = 2.0 * np.pi * np.arange(16) / 16
        file["density"] = (1.0 + 0.3 * np.cos(angles - np.arange(4)[:, None])) / (2.0 * np.pi)
        file["prompt"] = [0.1, 0.2, 3.0, 4.0]
    with h5py.File(path) as file:
        data = {name: file[name][:] for name in file}
    return json.dumps(str(path)), data


def test_defaults():
    problem = built()
    assert problem.space == Circle(128)
    assert problem.auxiliary.nodes.tolist() == [0.0]
    assert problem.sigma == 0.0
    assert problem.drift is None
    assert problem.attention.prompt is None
    assert problem.attention.normalization == "softmax"
    assert problem.attention.values == "encoded"
    assert problem.accuracy == Accuracy(1e-8, 1e-10, 4096)
    assert problem.keep_density
    assert np.abs(problem.depths - np.linspace(0.0, 1.0, 101)).max() == 0.0
    assert (problem.initial.coefficients(SPACE, problem.auxiliary) == SPACE.uniform()).all()
    # The complete configuration goes into the output, and builds the same problem.
    again = build(config.loads(problem.configuration))
    assert again.configuration == problem.configuration


def test_numbers_arrive():
    problem = built(
        "[token]\nresolution = 60\n[noise]\nsigma = 0.3\n[solver]\nrtol = 1e-6\n"
        "atol = 1e-9\nmax_resolution = 999\n"
        '[output]\ndensity = "last"\n',
        'normalization = "none"\nvalues = "token"',
        title="A title",
        time__save=[0.0, 0.25, 1.0],
    )
    assert problem.space.resolution == 60
    assert problem.sigma == 0.3
    assert problem.accuracy == Accuracy(1e-6, 1e-9, 999)
    assert not problem.keep_density
    assert problem.title == "A title"
    assert problem.depths.tolist() == [0.0, 0.25, 1.0]
    assert (problem.attention.normalization, problem.attention.values) == ("none", "token")


def test_auxiliary_kinds(tables):
    path, data = tables
    assert (built(UNIFORM).auxiliary.nodes == [0.125, 0.375, 0.625, 0.875]).all()
    gauss = built('[auxiliary]\nkind = "legendre"\nnodes = 5\n').auxiliary
    assert (gauss.nodes == auxiliary.legendre(5).nodes).all()
    table = f'[auxiliary]\nkind = "table"\nfile = {path}\ndataset = "z"\n'
    assert np.abs(built(table).auxiliary.nodes - np.linspace(0.0, 1.0, 4)).max() == 0.0
    weighted = built(table + 'z_dataset = "z"\nweights_dataset = "weights"\n').auxiliary
    assert (weighted.nodes == data["z"]).all()
    assert np.abs(weighted.weights - data["weights"] / 8.0).max() < 1e-16


ENCODINGS = {
    'kind = "none"': lambda *_: encodings.none(),
    'kind = "rotary"\nfrequency = -2.5': lambda nodes, _: encodings.rotary(nodes, -2.5),
    'kind = "additive"\namplitude = 0.3': lambda nodes, _: encodings.additive(encodings.ring(nodes, 0.3, 2)),
    'kind = "additive"\nshape = "line"': lambda nodes, _: encodings.additive(encodings.line(nodes, 1.0, 2)),
    'kind = "additive"\nshape = "sinusoidal"': lambda nodes, _: encodings.additive(
        encodings.sinusoidal(nodes.size, 1.0, 2)
    ),
    'kind = "additive"\nTABLE\ndataset = "plane"\namplitude = 0.5': lambda _, data: encodings.additive(
        0.5 * data["plane"]
    ),
    'kind = "additive"\nTABLE\ndataset = "rows"': lambda _, data: encodings.additive(
        encodings.principal_components(data["rows"], [0, 1])
    ),
    'kind = "additive"\nTABLE\ndataset = "rows"\ncomponents = [2, 0]': lambda _, data: encodings.additive(
        encodings.principal_components(data["rows"], [2, 0])
    ),
    'kind = "additive"\namplitude = 0.3\ncorruption = 0.1\nseed = 5': lambda nodes, _: encodings.additive(
        encodings.ring(nodes, 0.3, 2) + 0.1 * np.random.default_rng(5).standard_normal((nodes.size, 2))
    ),
}


@pytest.mark.parametrize("text", ENCODINGS)
def test_encoding_kinds(tables, text):
    path, data = tables
    problem = built(
        UNIFORM + "[encoding]\n" + text.replace("TABLE", f'shape = "table"\nfile = {path}') + "\n"
    )
    expected, found = ENCODINGS[text](problem.auxiliary.nodes, data), problem.attention.encoding
    for mine, theirs in ((found.shifts, expected.shifts), (found.angles, expected.angles)):
        assert (mine is None) == (theirs is None)
        assert mine is None or np.abs(mine - theirs).max() < 1e-15


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('bias = "none"', NoBias),
        ('bias = "causal"', Causal),
        ('bias = "within"', Within),
        ('bias = "window"\nwidth = 0.3', Window),
        ('bias = "alibi"\nslope = 2.0', Alibi),
        ('bias = "table"\nfile = FILE\ndataset = "bias"', Table),
    ],
)
def test_bias_kinds(tables, text, kind):
    path, data = tables
    problem = built(UNIFORM, text.replace("FILE", path))
    bias, nodes = problem.attention.heads[0].bias, problem.auxiliary.nodes
    assert isinstance(bias, kind)
    distance = np.abs(nodes[:, None] - nodes)
    expected = {
        NoBias: 0.0 * distance,
        Causal: np.where(nodes[None, :] <= nodes[:, None], 0.0, -np.inf),
        Within: np.where(distance == 0.0, 0.0, -np.inf),
        Window: np.where(distance <= 0.3, 0.0, -np.inf),
        Alibi: -2.0 * distance,
        Table: data["bias"],
    }[kind]
    assert (bias.log_weights(nodes, nodes) == expected).all()


def test_heads_and_matrices():
    heads = (
        "query = [[1.0, 2.0], [0.0, 1.0]]\n[[attention.heads]]\nbeta = 3.0\n"
        '[[attention.heads]]\nbias = "causal"\nvalue = [[0.0, 1.0], [-1.0, 0.0]]\n'
        "key = [[2.0, 0.0], [0.0, 1.0]]\n"
    )
    first, second = built(UNIFORM, heads).attention.heads
    assert (first.beta, second.beta) == (3.0, 2.0)
    assert (first.query == [[1.0, 2.0], [0.0, 1.0]]).all()
    assert (second.query == first.query).all()
    assert (second.value == [[0.0, 1.0], [-1.0, 0.0]]).all()
    assert isinstance(second.bias, Causal)
    # ⟨Qu, Kw⟩ = ⟨(KᵀQ)u, w⟩
    assert (second.metric == second.key.T @ second.query).all()


def test_prompt_kinds(tables):
    path, data = tables
    assert built().attention.prompt is None
    shared = built("[prompt]\nangles = [0.5, 2.0]\nweights = [1.0, 3.0]\nfraction = 0.2\n").attention.prompt
    assert np.abs(shared.points - unit_vectors(np.array([[0.5, 2.0]]))).max() < 1e-16
    assert shared.weights.tolist() == [0.25, 0.75]
    assert shared.fraction == 0.2
    assert shared.positions is None
    text = f'[prompt]\nfraction = 0.2\nper_node = {path}\nper_node_dataset = "prompt"\n'
    each = built(UNIFORM + text).attention.prompt
    assert np.abs(each.points[:, 0] - unit_vectors(data["prompt"])).max() < 1e-16


@pytest.mark.parametrize(
    "encoding", ['kind = "none"', 'kind = "rotary"\nfrequency = 2.0', 'kind = "additive"']
)
def test_prompts_with_a_position_of_their_own(encoding):
    """By the formula of the encoding, at any z; with the bias of that z."""
    text = f"{UNIFORM}[encoding]\n{encoding}\n[prompt]\nangles = [0.5]\nfraction = 0.2\npositions = [0.3]\n"
    prompt = built(text).attention.prompt
    z = np.array([0.3])
    assert prompt.positions.tolist() == [0.3]
    if "rotary" in encoding:
        assert prompt.encoding.angles.tolist() == [0.6]
    elif "additive" in encoding:
        assert np.abs(prompt.encoding.shifts - encodings.ring(z, 1.0, 2)).max() < 1e-16
    else:
        assert prompt.encoding == encodings.none()


def test_prompt_positions_of_tables_are_nodes():
    text = (
        UNIFORM
        + '[encoding]\nkind = "additive"\nshape = "sinusoidal"\n[prompt]\nangles = [0.5]\nfraction = 0.2\n'
    )
    prompt = built(text + "positions = [0.375]\n").attention.prompt
    assert np.abs(prompt.encoding.shifts - encodings.sinusoidal(4, 1.0, 2)[1]).max() == 0.0
    with pytest.raises(InputError, match=r"positions.*must be nodes.*got 0.3"):
        built(text + "positions = [0.3]\n")


def test_initial_kinds(tables):
    path, _ = tables

    def modes(text):
        problem = built(f"{UNIFORM}[initial]\n{text}\n")
        return problem.initial.coefficients(SPACE, problem.auxiliary).view(complex)[:, :3]

    assert np.abs(modes('kind = "uniform"') - [1.0, 0.0, 0.0]).max() < 1e-16
    fourier = modes('kind = "fourier"\nmodes = [[2, 0.4, 0.5]]')
    assert np.abs(fourier - [1.0, 0.0, 0.2 * np.exp(-1j)]).max() < 1e-15
    bump = Initial(initial.vonmises(unit_vectors(np.array(0.7)), 3.0)).coefficients(SPACE, auxiliary.none())
    assert (
        np.abs(
            modes('kind = "vonmises"\ncenter = 0.7\nconcentration = 3.0') - bump.view(complex)[:, :3]
        ).max()
        < 1e-15
    )
    part = "{center = 0.7, concentration = 3.0, weight = 1.0}, {concentration = 0.0, weight = 3.0}"
    mixed = modes(f'kind = "mixture"\ncomponents = [{part}]')
    assert np.abs(mixed[:, 1:] - bump.view(complex)[:, 1:3] / 4.0).max() < 1e-15
    table = modes(f'kind = "table"\nfile = {path}\ndataset = "density"')
    assert np.abs(table[:, 1] - 0.15 * np.exp(-1j * np.arange(4))).max() < 1e-15
    turned = modes('kind = "fourier"\nmodes = [[1, 0.4, 0.5]]\nturns = 2.0')
    z = np.array([0.125, 0.375, 0.625, 0.875])
    assert np.abs(turned[:, 1] - 0.2 * np.exp(-0.5j - 4j * np.pi * z)).max() < 1e-15


def test_drift():
    """1, cos θ, sin θ, cos 2θ, sin 2θ in turn."""
    problem = built("[drift]\ndegree = 2\nparameters = [0.1, 0.2, 0.3, 0.4, 0.5]\n")
    t = SPACE.angles
    expected = 0.1 + 0.2 * np.cos(t) + 0.3 * np.sin(t) + 0.4 * np.cos(2 * t) + 0.5 * np.sin(2 * t)
    assert np.abs(problem.drift(SPACE)[:, 0] - expected).max() < 1e-15
    assert problem.equation(SPACE).drift.shape == (128, 1)


# From arrays and callables


def test_everything_of_ones_own():
    """Encoding, kernel, drift and initial density as arrays and functions, equal to what is built in."""
    nu = auxiliary.Auxiliary(np.array([0.0, 0.4]), np.array([0.3, 0.7]))
    shifts = encodings.ring(nu.nodes, 0.4, 2)

    def drift(space):
        return 0.3 * np.cos(space.angles)[:, None]

    def density(points):
        return np.exp(points[:, 0])

    own = Problem(
        Circle(48),
        Attention(
            (Head(1.0, np.eye(2), np.eye(2), np.eye(2), kernel=lambda inner: np.exp(1.5 * inner)),),
            nu,
            encodings.Encoding(shifts=shifts),
        ),
        [0.0, 0.5],
        Initial(density),
        0.1,
        drift,
    )
    same = Problem(
        Circle(48),
        Attention((Head.plain(1.5, 2),), nu, encodings.additive(shifts)),
        [0.0, 0.5],
        Initial(initial.vonmises(np.array([1.0, 0.0]), 1.0)),
        0.1,
        harmonics((0.0, 0.3, 0.0)),
    )
    modes = [modes_of(evolution.solve(problem).density) for problem in (own, same)]
    assert np.abs(modes[0] - modes[1]).max() < 1e-9  # the same steps; kernels agree to 1e-11


def test_a_polynomial_kernel():
    """κ(s) = 1 + s in place of e^s: USA velocity V = ∫(1 + ⟨x, y⟩) y ρ(dy), by moments of ρ."""
    layer = Attention(
        (Head(1.0, np.eye(2), np.eye(2), np.eye(2), kernel=lambda inner: 1.0 + inner),), auxiliary.none(),
        normalization="none",
    )  # fmt: skip
    space = Circle(48)
    coefficients = Initial(initial.vonmises(np.array([0.6, 0.8]), 2.0)).coefficients(space, auxiliary.none())
    mass = space.weights * space.synthesise(coefficients)[0]
    first, second = mass @ space.points, np.einsum("i,id,ie->de", mass, space.points, space.points)
    expected = np.einsum("id,id->i", space.frame[:, 0], first + space.points @ second)
    found = AttentionField(space, layer).velocity(coefficients)[0, :, 0]
    assert np.abs(found - expected).max() < 1e-14


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sigma": -0.1}, "sigma must be finite and >= 0, got -0.1"),
        ({"sigma": np.nan}, "sigma"),
        ({"depths": [0.0]}, "depths"),
        ({"depths": [0.0, 1.0, 1.0]}, "depths"),
        ({"depths": [0.0, np.inf]}, "depths"),
        ({"attention": Attention((Head.plain(1.0, 3),), auxiliary.none())}, "2 x 2"),
    ],
)
def test_wrong_problems_are_refused(changes, message):
    good = {
        "space": SPACE,
        "attention": Attention((Head.plain(1.0, 2),), auxiliary.none()),
        "depths": [0.0, 1.0],
    }
    assert Problem(**good).depths.dtype == float
    with pytest.raises(InputError, match=message):
        Problem(**(good | changes))


@pytest.mark.parametrize(
    "changes",
    [
        lambda: {"accuracy": Accuracy(rtol=0.0)},
        lambda: {"accuracy": Accuracy(atol=0.0)},
        lambda: {"accuracy": Accuracy(rtol=-1e-8)},
        lambda: {"drift": lambda _: np.zeros(7)},
    ],
)
def test_wrong_problems_are_refused_before_they_are_solved(changes):
    with pytest.raises(InputError):
        evolution.solve(
            Problem(SPACE, Attention((Head.plain(1.0, 2),), auxiliary.none()), [0.0, 0.01], **changes())
        )


def test_shifts_and_angles_together_are_refused():
    both = encodings.Encoding(shifts=np.ones((1, 2)), angles=np.ones(1))
    with pytest.raises(InputError, match="shifts and angles together"):
        evolution.solve(Problem(SPACE, Attention((Head.plain(1.0, 2),), auxiliary.none(), both), [0.0, 0.1]))


def test_prompts_of_another_dimension_are_refused():
    wrong = Prompt(np.ones((1, 1, 3)), np.ones(1), 0.5)
    with pytest.raises((InputError, ValueError)):
        evolution.solve(
            Problem(SPACE, Attention((Head.plain(1.0, 2),), auxiliary.none(), prompt=wrong), [0.0, 0.1])
        )


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("sphere-ring", {"encoding.amplitude": 0.47}),
        ("sphere-ring", {"attention.beta": 1.07, "auxiliary.nodes": 2, "token.resolution": 15}),
        ("additive-ring", {"encoding.amplitude": 1.07}),
    ],
)
def test_kernels_take_the_memory_that_is_said(name, overrides):
    """Factored on S² and on the circle, pair by pair for two nodes: within a factor of two."""
    problem = mf.load(name, overrides)
    coefficients = problem.initial.coefficients(problem.space, problem.auxiliary)
    tracemalloc.start()
    problem.equation(problem.space).attention.velocity(coefficients)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 < problem.kernel_bytes() / peak < 2.0


def test_other_kernels_take_little_memory():
    assert mf.load("torus").kernel_bytes() == mf.load("orthonormal-tokens").kernel_bytes() == 0
