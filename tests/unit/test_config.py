"""Configurations: defaults, inheritance, overrides, data files, and TOML that reads back equal."""

import math
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meanfield_pde import config
from meanfield_pde.config import memory
from meanfield_pde.errors import InputError

MINIMAL = "[attention]\nbeta = 4.0\n[time]\nfinal = 1.0\n"


def loads(text="", **overrides):
    return config.loads(MINIMAL + text, {name.replace("__", "."): value for name, value in overrides.items()})


# --- any configuration, as nested dictionaries of what TOML knows ---

numbers = st.floats(-3, 3)  # small enough for every score to be resolved
positive = st.floats(1e-6, 100)
counts = st.integers(1, 50)
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).filter(str.strip)
matrices = st.lists(st.lists(numbers, min_size=2, max_size=2), min_size=2, max_size=2)


def table(required=None, **optional):
    return st.fixed_dictionaries(required or {}, optional=optional)


def kind(name, **keys):
    return {"kind": st.just(name), **keys}


FILE = {"file": names, "dataset": names}
AUXILIARY = (
    table(kind("none"))
    | table(kind("uniform", nodes=counts))
    | table(kind("legendre", nodes=counts))
    | table(kind("table", **FILE), z_dataset=names, weights_dataset=names)
)
NOISY = {"amplitude": numbers, "corruption": positive, "seed": counts}
ENCODING = (
    table(kind("none"), **NOISY)
    | table(kind("additive", shape=st.sampled_from(["ring", "line", "sinusoidal"])), **NOISY)
    | table(kind("additive", shape=st.just("table"), **FILE), components=st.just([2, 0]), **NOISY)
    | table(kind("rotary", frequency=numbers))
)
MATRICES = {"query": matrices, "key": matrices, "value": matrices}
BIAS = (
    table({"bias": st.sampled_from(["none", "causal", "within"])}, beta=positive, **MATRICES)
    | table({"bias": st.just("window"), "width": positive}, beta=positive, **MATRICES)
    | table({"bias": st.just("alibi"), "slope": positive}, beta=positive, **MATRICES)
    | table({"bias": st.just("table"), **FILE}, beta=positive, **MATRICES)
)
ATTENTION = st.builds(
    lambda bias, rest, heads: bias | rest | ({"heads": heads} if heads else {}),
    BIAS,
    table(
        {"beta": positive},
        normalization=st.sampled_from(["softmax", "none"]),
        values=st.sampled_from(["encoded", "token"]),
    ),
    st.lists(BIAS, max_size=3),
)
FRACTION = st.floats(0, 0.99)
PROMPT = table({"angles": st.just([0.0, 2.0]), "fraction": FRACTION}, weights=st.just([0.25, 3.0])) | table(
    {"per_node": names, "fraction": FRACTION}, per_node_dataset=names
)
SHIFTED = {"turns": numbers, "perturbation": st.floats(0, 0.5), "seed": counts}
COMPONENT = table({"concentration": positive}, center=numbers, weight=positive)
INITIAL = (
    table(kind("uniform"), **SHIFTED)
    | table(
        kind(
            "fourier",
            modes=st.lists(st.tuples(counts, st.floats(-0.3, 0.3), numbers), min_size=1, max_size=3),
        ),
        **SHIFTED,
    )
    | table(kind("vonmises", concentration=positive), center=numbers, **SHIFTED)
    | table(kind("mixture", components=st.lists(COMPONENT, min_size=1, max_size=3)), **SHIFTED)
    | table(kind("table", **FILE), **SHIFTED)
)
TIME = table({"final": positive}, save=st.integers(2, 99)) | positive.map(
    lambda final: {"final": final, "save": [0.0, final / 3, final]}
)
CONFIGURATIONS = st.fixed_dictionaries(
    {"attention": ATTENTION, "time": TIME},
    optional={
        "title": names,
        "token": table(resolution=st.integers(8, 512)),
        "auxiliary": AUXILIARY,
        "encoding": ENCODING,
        "prompt": PROMPT,
        "drift": st.just({"degree": 1, "parameters": [0.1, 1.0 / 3.0, -2.0]}),
        "noise": table(sigma=positive),
        "initial": INITIAL,
        "solver": table(rtol=st.floats(1e-12, 1e-2), atol=st.floats(1e-12, 1e-2), method=st.just("spectral")),
        "output": table(density=st.sampled_from(["all", "last"])),
    },
)


@given(CONFIGURATIONS)
@settings(max_examples=300, deadline=None)
def test_toml_reads_back_equal(values):
    configuration = config.Configuration.model_validate(values)
    text = configuration.to_toml()
    again = config.loads(text)
    assert again == configuration
    assert hash(again) == hash(configuration)
    assert again.to_toml() == text
    assert again.heads == configuration.heads


# --- defaults and inheritance ---


def test_defaults():
    configuration = loads()
    assert configuration.nodes == 1
    assert (configuration.encoding.kind, configuration.initial.kind) == ("none", "uniform")
    assert (configuration.prompt, configuration.drift, configuration.source) == (None, None, None)
    assert configuration.noise.sigma == 0.0
    assert configuration.time.states == 101
    (head,) = configuration.heads
    assert (head.beta, head.bias, head.query) == (4.0, "none", None)  # the identity


def test_heads_inherit_what_they_leave_out():
    configuration = config.loads("""
        [time]
        final = 1.0
        [attention]
        beta = 2.0
        bias = "window"
        width = 0.25
        key = [[0.0, 1.0], [-1.0, 0.0]]
        [[attention.heads]]
        [[attention.heads]]
        beta = 1.0
        width = 0.5
        [[attention.heads]]
        bias = "causal"
        key = [[1.0, 0.0], [0.0, 1.0]]
    """)
    first, second, third = configuration.heads
    assert (first.beta, first.bias, first.width) == (2.0, "window", 0.25)
    assert (second.beta, second.bias, second.width) == (1.0, "window", 0.5)
    assert (third.beta, third.bias) == (2.0, "causal")
    assert first.key == second.key == ((0.0, 1.0), (-1.0, 0.0))
    assert third.key == ((1.0, 0.0), (0.0, 1.0))


def test_prompt_shares_sum_to_one():
    assert loads("[prompt]\nangles = [0, 1, 2]\nfraction = 0.1").prompt.shares == (1 / 3, 1 / 3, 1 / 3)
    assert loads("[prompt]\nangles = [0, 1]\nweights = [3, 1]\nfraction = 0.1").prompt.shares == (0.75, 0.25)


def test_integers_are_accepted_as_numbers():
    assert isinstance(loads(noise__sigma=1).noise.sigma, float)
    assert isinstance(loads(noise__sigma=np.float32(0.5)).noise.sigma, float)
    assert loads(auxiliary__kind="uniform", auxiliary__nodes=np.int64(4)).nodes == 4


def test_configurations_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        loads().noise.sigma = 1.0


def test_density_that_touches_zero_is_legal():
    assert loads(initial__kind="fourier", initial__modes=[[3, 1.0, 0.4]]).initial.modes == ((3, 1.0, 0.4),)
    # 1 + cos t + cos(2t)/4 = (cos t + 1)^2/2 + 1/4 >= 1/4 although the amplitudes add up to more than 1
    loads(initial__kind="fourier", initial__modes=[[1, 1.0, 0.0], [2, 0.25, 0.0]])


# --- overrides ---

FULL = """
[auxiliary]
kind = "uniform"
nodes = 5
[encoding]
kind = "additive"
shape = "table"
file = "x.h5"
dataset = "p"
amplitude = 2.0
[initial]
kind = "vonmises"
concentration = 2.0
turns = 1.0
"""


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        ({"encoding.kind": "none"}, {"kind": "none"}),
        (
            {"encoding.kind": "rotary", "encoding.frequency": 3.0},
            {"kind": "rotary", "frequency": 3.0},
        ),
        (
            {"encoding.shape": "line"},
            {"kind": "additive", "shape": "line", "amplitude": 2.0, "corruption": 0.0, "seed": 0},
        ),
    ],
)
def test_another_kind_leaves_the_keys_of_the_old_one_behind(overrides, kept):
    assert config.loads(MINIMAL + FULL, overrides).encoding.content() == kept


def test_another_kind_in_other_tables():
    assert config.loads(MINIMAL + FULL, {"auxiliary.kind": "none"}).nodes == 1
    initial = config.loads(MINIMAL + FULL, {"initial.kind": "uniform"}).initial
    assert (initial.concentration, initial.turns) == (None, 1.0)
    text = MINIMAL.replace("beta", 'bias = "window"\nwidth = 0.1\nbeta')
    assert config.loads(text, {"attention.bias": "causal"}).heads[0].width is None


def test_an_override_without_effect_is_still_refused():
    with pytest.raises(InputError, match=r"\[encoding\] amplitude \(overridden\): has no effect"):
        config.loads(
            MINIMAL + FULL, {"encoding.kind": "rotary", "encoding.frequency": 1, "encoding.amplitude": 2}
        )


def test_encoding_that_is_switched_off_may_keep_its_keys():
    text = MINIMAL + FULL.replace('"additive"', '"none"')
    assert config.loads(text).encoding.content() == {"kind": "none"}
    assert config.loads(text) == config.loads(MINIMAL + FULL, {"encoding.kind": "none"})


def test_overrides_reach_single_heads():
    text = MINIMAL + "[[attention.heads]]\nbeta = 1.0\n[[attention.heads]]\nbeta = 2.0\n"
    assert [head.beta for head in config.loads(text, {"attention.heads.1.beta": 5}).heads] == [1.0, 5.0]
    with pytest.raises(InputError, match=r"attention\.heads"):
        config.loads(text, {"attention.heads.2": {}})


def test_overrides_do_not_change_what_is_passed():
    overrides = {"initial.kind": "fourier", "initial.modes": [[1, 0.2, 0.0]]}
    config.loads(MINIMAL, overrides)
    assert overrides == {"initial.kind": "fourier", "initial.modes": [[1, 0.2, 0.0]]}


def test_assignments_are_toml_or_bare_words():
    found = config.parse_assignments(
        [
            "solver.rtol=1e-6",
            "encoding.kind=none",
            'title="a = b"',
            "prompt.angles=[0, 1.5]",
            "a . b = true",
            "x.y=a=b",
        ]
    )
    assert found == {
        "solver.rtol": 1e-6,
        "encoding.kind": "none",
        "title": "a = b",
        "prompt.angles": [0, 1.5],
        "a.b": True,
        "x.y": "a=b",
    }


# --- files ---


@pytest.fixture
def files(tmp_path):
    """Data beside a configuration: good and bad tables."""
    hidden = np.zeros((3, 3))
    hidden[np.triu_indices(3, 1)] = -np.inf
    grid = 2 * np.pi * np.arange(8) / 8
    density = (1 + 0.5 * np.cos(grid)) / (2 * np.pi)
    arrays = {
        "positions": np.arange(15.0).reshape(3, 5),
        "plane": np.arange(6.0).reshape(3, 2),
        "single": np.arange(3.0, dtype=np.float32),
        "weights": np.array([1.0, 2.0, 1.0]),
        "zeros": np.zeros(3),
        "holes": np.array([[0.0, np.nan], [1.0, 2.0], [3.0, 4.0]]),
        "causal": hidden,
        "blind": np.where([[True], [False], [False]], -np.inf, hidden),
        "density": density,
        "densities": np.stack([density] * 3),
        "heavy": 1.001 * density,
        "cube": np.zeros((3, 2, 2)),
        "nothing": np.zeros(0),
        "complex": np.zeros(3, dtype=complex),
        "group/inside": np.ones(3),
    }
    with h5py.File(tmp_path / "data.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file["words"] = ["a", "b", "c"]
    np.save(tmp_path / "plane.npy", arrays["plane"])
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    np.savetxt(tmp_path / "plane.csv", arrays["plane"], delimiter=",")
    np.savetxt(tmp_path / "plane.txt", arrays["plane"])
    (tmp_path / "ragged.csv").write_text("1,2\n3\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "text.h5").write_text("not HDF5")
    (tmp_path / "case.toml").write_text(MINIMAL)
    return tmp_path


def load(folder, **overrides):
    return config.load(
        folder / "case.toml", {name.replace("__", "."): value for name, value in overrides.items()}
    )


def encoding(folder, file="data.h5", dataset="positions", **more):
    keys = {"encoding__kind": "additive", "encoding__shape": "table", "encoding__file": file}
    return load(folder, **keys, encoding__dataset=dataset, **more)


@pytest.mark.parametrize("name", ["plane.npy", "plane.csv", "plane.txt"])
def test_tables_of_every_format(files, name):
    table = config.encoding_table(encoding(files, name, None), 3)
    np.testing.assert_array_equal(table, np.arange(6.0).reshape(3, 2))
    assert table.dtype == np.float64


def test_tables_of_hdf5(files):
    assert config.encoding_table(encoding(files), 3).shape == (3, 5)
    assert config.read_table(files / "data.h5", "group/inside", "file").shape == (3,)
    assert config.read_table(files / "data.h5", "single", "file").dtype == np.float64


def test_shipped_data_are_found_from_anywhere(files):
    configuration = encoding(files, "minilm-l6-v2-positions.h5", "position_embeddings")
    assert config.encoding_table(configuration, 512).shape == (512, 384)
    assert [path.name for path in config.data_files(configuration)] == ["minilm-l6-v2-positions.h5"]


def test_data_beside_the_configuration_come_first(files):
    (files / "minilm-l6-v2-positions.h5").write_bytes((files / "data.h5").read_bytes())
    configuration = encoding(files, "minilm-l6-v2-positions.h5")
    assert config.encoding_table(configuration, 3).shape == (3, 5)


@pytest.mark.parametrize(
    ("file", "dataset", "words"),
    [
        ("data.h5", None, r"\[encoding\] dataset: is required .* holds: .*positions"),
        ("data.h5", "position", r'\[encoding\] dataset: .*did you mean "positions".*got "position"'),
        ("data.h5", "group", r"\[encoding\] dataset: .*inside"),
        ("data.h5", "cube", r"\[encoding\] file: .*one or two dimensions.*\(3, 2, 2\)"),
        ("data.h5", "nothing", r"\[encoding\] file: .*one or two dimensions.*\(0,\)"),
        ("data.h5", "holes", r"\[encoding\] file: must hold finite numbers, data.h5 has nan at \[0, 1\]"),
        ("data.h5", "complex", r"\[encoding\] file: must hold real numbers, data.h5 holds complex"),
        ("data.h5", "words", r"\[encoding\] file: must hold real numbers, data.h5 holds object"),
        ("data.h5", "single", r"\[encoding\] file: .*one row per node, 3, and at least 2 columns.*\(3,\)"),
        ("data.h5", "density", r"\[encoding\] file: .*one row per node, 3"),
        ("plane.csv", "p", r'\[encoding\] file: dataset has no effect with plane.csv.*"p"'),
        ("ragged.csv", None, r"\[encoding\] file: cannot read ragged.csv: "),
        ("empty.csv", None, r"\[encoding\] file: .*\(0,\)"),
        ("objects.npy", None, r"\[encoding\] file: cannot read objects.npy: "),
        ("text.h5", "p", r"\[encoding\] file: text.h5 is not an HDF5 file"),
        ("nowhere.h5", "p", r'\[encoding\] file: no such file .*got "nowhere.h5"'),
        (".", "p", r'\[encoding\] file: must be a file, is a folder, got "."'),
    ],
)
def test_tables_that_are_refused(files, file, dataset, words):
    with pytest.raises(InputError, match=f"case.toml: {words}"):
        config.encoding_table(encoding(files, file, dataset), 3)


def test_components_of_the_table(files):
    assert config.encoding_table(encoding(files, encoding__components=[2, 0]), 3).shape == (3, 5)
    for dataset, components in (("plane", [0, 1]), ("positions", [0, 3]), ("positions", [0])):
        with pytest.raises(InputError, match=r"\[encoding\] components: .*got \["):
            config.encoding_table(encoding(files, dataset=dataset, encoding__components=components), 3)


def auxiliary(folder, **datasets):
    keys = {f"auxiliary__{name}": value for name, value in datasets.items()}
    return load(
        folder, auxiliary__kind="table", auxiliary__file="data.h5", auxiliary__dataset="positions", **keys
    )


def test_auxiliary_tables(files):
    nodes, weights = config.auxiliary_table(auxiliary(files))
    np.testing.assert_array_equal(nodes, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(weights, np.full(3, 1 / 3))
    nodes, weights = config.auxiliary_table(auxiliary(files, z_dataset="single", weights_dataset="weights"))
    np.testing.assert_array_equal(nodes, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(weights, [0.25, 0.5, 0.25])


@pytest.mark.parametrize(
    ("key", "dataset", "words"),
    [
        ("z_dataset", "density", "one number per node, 3"),
        ("z_dataset", "nope", 'got "nope"'),
        ("weights_dataset", "zeros", "numbers > 0, got 0"),
        ("weights_dataset", "plane", "one number per node"),
    ],
)
def test_auxiliary_tables_that_are_refused(files, key, dataset, words):
    with pytest.raises(InputError, match=rf"case.toml: \[auxiliary\] {key}: .*{words}"):
        config.auxiliary_table(auxiliary(files, **{key: dataset}))


def bias(folder, dataset):
    return load(folder, attention__bias="table", attention__file="data.h5", attention__dataset=dataset)


def test_bias_tables(files):
    configuration = bias(files, "causal")
    table = config.bias_table(configuration, configuration.heads[0], 3)
    assert np.isneginf(table[0, 1])
    for dataset, words in (("blind", "row 0"), ("plane", r"\(3, 2\)")):
        configuration = bias(files, dataset)
        with pytest.raises(InputError, match=rf"case.toml: \[attention\] file: .*{words}"):
            config.bias_table(configuration, configuration.heads[0], 3)


def test_bias_table_of_a_head_is_named(files):
    heads = [{}, {"bias": "table", "file": "data.h5", "dataset": "blind"}]
    configuration = load(files, attention__heads=heads)
    with pytest.raises(InputError, match=r"\[attention\] heads\[1\].file: .*row 0"):
        config.bias_table(configuration, configuration.heads[1], 3)


def test_prompts_per_node(files):
    def prompted(dataset):
        return load(files, prompt__per_node="data.h5", prompt__per_node_dataset=dataset, prompt__fraction=0.1)

    np.testing.assert_array_equal(config.prompt_angles(prompted("single"), 3), [0.0, 1.0, 2.0])
    with pytest.raises(InputError, match=r"case.toml: \[prompt\] per_node: must hold one number per node, 3"):
        config.prompt_angles(prompted("density"), 3)
    with pytest.raises(InputError, match=r"case.toml: \[prompt\] per_node_dataset: .*holds: "):
        config.prompt_angles(prompted(None), 3)


def test_initial_tables(files):
    def started(dataset):
        return load(files, initial__kind="table", initial__file="data.h5", initial__dataset=dataset)

    assert config.initial_table(started("density"), 3).shape == (1, 8)
    assert config.initial_table(started("densities"), 3).shape == (3, 8)
    for dataset, nodes, words in (
        ("heavy", 3, "integral 1 .* has 1.001"),
        ("densities", 4, r"one per node \(4\)"),
        ("zeros", 3, "has 0"),
        ("plane", 3, "integral 1"),
    ):
        with pytest.raises(InputError, match=rf"case.toml: \[initial\] file: .*{words}"):
            config.initial_table(started(dataset), nodes)


def test_single_tokens_take_neither_noise_nor_methods_of_densities():
    tokens = {"initial__kind": "points", "initial__angles": [0.0, 1.0]}
    assert loads(**tokens, noise__sigma=0.0, solver__method="characteristics").initial.kind == "points"
    with pytest.raises(InputError, match=r"\[noise\] sigma .*must be 0 for single tokens .*, got 0.1"):
        loads(**tokens, noise__sigma=0.1)
    for method in ("spectral", "finite-volume"):
        with pytest.raises(
            InputError, match=rf'\[solver\] method .*must be .* for single tokens .*"{method}"'
        ):
            loads(**tokens, noise__sigma=0.0, solver__method=method)


# --- memory ---


def test_estimate_of_the_largest_job():
    """16,384 positions x 128 angles, 101 saved states: 1.7 GB of density, 0.7 GB of work."""
    configuration = loads(auxiliary__kind="uniform", auxiliary__nodes=16384)
    needed = config.estimate_memory(configuration, 16384)
    assert 1.7e9 < needed < 4 * 2**30
    last = loads(auxiliary__kind="uniform", auxiliary__nodes=16384, output__density="last")
    assert config.estimate_memory(last, 16384) < needed / 2


def test_dense_tables_count_with_the_square_of_the_nodes():
    configuration = loads(attention__bias="table", attention__file="b.h5")
    assert config.estimate_memory(configuration, 20000) > 8 * 20000**2


def test_refusal_says_how_much_and_what_to_lower(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 2**30)
    with pytest.raises(
        InputError, match=r"needs about 2.\d+ GiB .* 1 GiB .*16384 nodes x 128 angles.*time.save"
    ):
        loads(auxiliary__kind="uniform", auxiliary__nodes=16384)


@pytest.mark.parametrize("count", [10**9, 10**12])
def test_absurd_sizes_are_refused_at_once(count):
    with pytest.raises(InputError, match="GiB"):
        loads(auxiliary__kind="uniform", auxiliary__nodes=count)
    with pytest.raises(InputError, match="GiB"):
        loads(time__save=count)


def test_available_memory_is_that_of_this_machine():
    assert 2**28 < config.available_memory() < 2**50


def test_available_memory_of_systems_that_do_not_tell(monkeypatch):
    def nothing(_):
        raise OSError

    monkeypatch.setattr(memory.Path, "read_text", nothing)
    monkeypatch.setattr(memory, "os", SimpleNamespace())
    assert config.available_memory() == memory.UNKNOWN_SYSTEM


# --- scores ---


def test_largest_scores():
    """5 + 8.6 sqrt(X) modes fit into 2048 for X up to 56,439."""
    assert loads(attention__beta=56000).heads[0].beta == 56000
    with pytest.raises(InputError, match=r"\[attention\] beta: scores of size 5.7e\+04 .*modes.*got 57000"):
        loads(attention__beta=57000)
    with pytest.raises(InputError, match="lower beta or the encoding"):
        loads(encoding__kind="additive", encoding__amplitude=1e6)
    with pytest.raises(InputError, match=r"\[attention\] heads\[1\].beta: "):
        loads(attention__heads=[{}, {"query": [[1e6, 0], [0, 1e6]]}])
    with pytest.raises(InputError, match="scores of size 4e"):
        config.check_scores(loads(), longest=1e6)


# --- values that come from Python ---


@pytest.mark.parametrize(
    "value", [None, "4", [4.0], {"x": 1}, True, math.nan, math.inf, 1 + 1j, np.array([1.0, 2.0])]
)
def test_numbers_from_python(value):
    with pytest.raises(
        InputError, match=r"configuration: \[noise\] sigma \(overridden\): must be a finite number >= 0"
    ):
        loads(noise__sigma=value)


def test_arrays_from_python():
    configuration = loads(attention__query=2 * np.eye(2), time__save=np.linspace(0, 1, 3))
    assert configuration.attention.query == ((2.0, 0.0), (0.0, 2.0))
    assert configuration.time.save == (0.0, 0.5, 1.0)
