"""The trained encoder against loops over single numbers, its symmetries, measures, the study, its figure."""

import math
import re
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from scipy import stats

from meanfield_pde.ablation import model as models
from meanfield_pde.ablation.measures import (
    MEASURES,
    Codes,
    depth_of_collapse,
    interval,
    nearest_dirac,
    observe_cloud,
    units,
)
from meanfield_pde.ablation.model import PACKAGE, load_model, tokenise
from meanfield_pde.ablation.prediction import Case, predicted, reduced
from meanfield_pde.ablation.trained import TrainedOptions, chosen, trained_study
from meanfield_pde.ablation.walks import VARIANTS, Gauge, Variant, walk
from meanfield_pde.contents.trained import check_trained
from meanfield_pde.errors import InputError
from meanfield_pde.figures import style
from meanfield_pde.figures.trained import trained
from meanfield_pde.records import Record, read
from meanfield_pde.spaces.hypersphere import Hypersphere

from .small_encoder import EPSILON, HEADS, LAYERS, LONGEST, SIZE, WORDS, random_weights, write

safetensors = pytest.importorskip("safetensors.numpy")

#: Sums of at most 20 products, a few operations after another: hundreds of roundings of numbers of order ten.
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    write(path, weights)
    return path


@pytest.fixture(scope="module")
def model(folder):
    return load_model(folder)


def tokens_of(count, seed=0):
    return np.random.default_rng(seed).integers(4, WORDS, count)


def loop_norm(x, weights, name):
    mean = sum(x) / len(x)
    variance = sum((one - mean) ** 2 for one in x) / len(x)
    scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return [
        (one - mean) / math.sqrt(variance + EPSILON) * g + b
        for one, g, b in zip(x, scale, shift, strict=True)
    ]


def loop_dense(x, weights, name):
    rows, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return [
        sum(w * one for w, one in zip(row, x, strict=True)) + b for row, b in zip(rows, bias, strict=True)
    ]


def loop_layer(hidden, weights, at):
    """One layer token by token and head by head, as it is written; with the entropies (heads, n)."""
    width, n = SIZE // HEADS, len(hidden)
    query, key, value = (
        [loop_dense(x, weights, f"{at}.attention.self.{part}") for x in hidden]
        for part in ("query", "key", "value")
    )
    result, entropies = [], np.zeros((HEADS, n))
    for i in range(n):
        mixed = []
        for head in range(HEADS):
            own = range(head * width, (head + 1) * width)
            scores = [sum(query[i][c] * key[j][c] for c in own) / math.sqrt(width) for j in range(n)]
            total = sum(math.exp(score) for score in scores)
            share = [math.exp(score) / total for score in scores]
            entropies[head, i] = -sum(a * math.log(a) for a in share)
            mixed += [sum(share[j] * value[j][c] for j in range(n)) for c in own]
        output = loop_dense(mixed, weights, f"{at}.attention.output.dense")
        attended = loop_norm(
            [a + b for a, b in zip(hidden[i], output, strict=True)],
            weights,
            f"{at}.attention.output.LayerNorm",
        )
        raised = [
            x * 0.5 * math.erfc(-x / math.sqrt(2))
            for x in loop_dense(attended, weights, f"{at}.intermediate.dense")
        ]
        lowered = loop_dense(raised, weights, f"{at}.output.dense")
        result.append(
            loop_norm(
                [a + b for a, b in zip(attended, lowered, strict=True)], weights, f"{at}.output.LayerNorm"
            )
        )
    return np.array(result), entropies


def test_forward_against_loops(model, weights):
    tokens = tokens_of(7)
    hidden = model.embed(tokens, model.positions[:7])
    words, rows, kinds = (
        weights[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
    )
    slow = np.array(
        [
            loop_norm(words[token] + rows[k] + kinds[0], weights, "embeddings.LayerNorm")
            for k, token in enumerate(tokens)
        ]
    )
    np.testing.assert_allclose(hidden, slow, atol=ROUNDING)
    for number, block in enumerate(model.blocks):
        hidden, entropy = block(hidden)
        slow, slow_entropy = loop_layer(slow, weights, f"encoder.layer.{number}")
        np.testing.assert_allclose(hidden, slow, atol=ROUNDING)
        np.testing.assert_allclose(entropy, slow_entropy, atol=ROUNDING)


def test_sequences_side_by_side_are_sequences_alone(model):
    tokens = np.stack([tokens_of(9, seed) for seed in range(3)])
    hidden = model.embed(tokens, model.positions[:9])
    together, entropy = model.blocks[0](hidden)
    for one, alone, entropies in zip(hidden, together, entropy, strict=True):
        np.testing.assert_allclose(model.blocks[0](one)[0], alone, atol=ROUNDING)
        np.testing.assert_allclose(model.blocks[0](one)[1], entropies, atol=ROUNDING)


def test_without_positions_the_order_does_not_matter(model):
    """Permuting words permutes their vectors; with positions it does not."""
    tokens, order = tokens_of(16), np.random.default_rng(1).permutation(16)
    for scale, agree in ((0.0, True), (1.0, False)):
        shifts = scale * model.positions[:16]
        first, second = model.embed(tokens, shifts), model.embed(tokens[order], shifts)
        for block in model.blocks * 3:
            first, second = block(first)[0], block(second)[0]
        assert bool(np.abs(first[order] - second).max() < 1e-10) is agree  # rounding, through six layers


def test_equal_keys_attend_uniformly(model):
    block = model.blocks[0]
    blind = replace(block, key=replace(block.key, weight=np.zeros((SIZE, SIZE))))
    _, entropy = blind(model.embed(tokens_of(11), model.positions[:11]))
    np.testing.assert_allclose(entropy, np.log(11), atol=ROUNDING)


def test_single_precision(folder, model):
    single = load_model(folder, np.float32)
    double, rough = (one.embed(tokens_of(8), one.positions[:8]) for one in (model, single))
    for block, rougher in zip(model.blocks, single.blocks, strict=True):
        double, rough = block(double)[0], rougher(rough)[0]
    assert rough.dtype == np.float32
    assert 0 < np.abs(double - rough).max() < 1e-4  # roundings of 6e-8, hundreds of them, two layers


def test_what_cannot_be_read_is_said(weights, tmp_path, monkeypatch):
    write(tmp_path, weights, hidden_act="relu")
    with pytest.raises(InputError, match=r"hidden_act gelu, .* got 'relu'"):
        load_model(tmp_path)
    write(tmp_path, weights, num_attention_heads=5)
    with pytest.raises(InputError, match="5 heads must divide the dimension 12"):
        load_model(tmp_path)
    write(tmp_path, {name: array for name, array in weights.items() if "LayerNorm" not in name})
    with pytest.raises(InputError, match=r"lacks 'embeddings.LayerNorm.weight'"):
        load_model(tmp_path)
    write(tmp_path, weights)
    (tmp_path / "vocab.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match="must hold the 60 words that have embeddings, found 2"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(InputError, match="cannot be read as safetensors"):
        load_model(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(InputError, match="is not the configuration of an encoder"):
        load_model(tmp_path)
    monkeypatch.setattr(models, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=re.escape('pip install "meanfield-pde[model]"')):
        load_model()


def cloud(count, size, seed=0):
    return units(np.random.default_rng(seed).standard_normal((count, size)))


def test_measures_of_orthonormal_tokens():
    """R = 1/√n, covariance of n − 1 equal eigenvalues, all tokens arccos(1/√n) from their mean direction."""
    found = observe_cloud(np.eye(20), Codes.of(cloud(20, 20), 3, 0))
    assert found["order_parameter"] == pytest.approx(1 / math.sqrt(20), abs=1e-14)
    assert found["effective_rank"] == pytest.approx(19, abs=1e-10)
    assert found["nearest_dirac"] == pytest.approx(math.acos(1 / math.sqrt(20)), abs=1e-13)


def test_a_point_has_no_rank():
    point = np.tile(cloud(1, 6), (20, 1))
    found = observe_cloud(point, Codes.of(cloud(20, 9), 3, 0))
    assert found["order_parameter"] == pytest.approx(1.0, abs=1e-15)
    assert found["nearest_dirac"] < 1e-15
    assert np.isnan(found["effective_rank"])
    assert np.isnan(found["information"])


def test_nearest_point_is_that_of_the_space():
    """Random starts of the space find no better one; its steps end at 1e-10, ours at 1e-7, squared."""
    for spread in (1e-6, 0.1, 0.5):
        points = units(np.eye(1, 5) + spread * np.random.default_rng(2).standard_normal((30, 5)))
        expected = Hypersphere(5, 2).nearest_dirac(points, np.full(30, 1 / 30))[1]
        assert nearest_dirac(points) == pytest.approx(expected, rel=1e-9)


def test_information_of_gaussian_tokens():
    """Three of eight coordinates share correlation 0.8 with the codes: I = −(3/2) log(1 − 0.64) = 1.53."""
    rng = np.random.default_rng(7)
    table = rng.standard_normal((4000, 3))
    seen = 0.8 * table + 0.6 * rng.standard_normal((4000, 3))
    codes = Codes.of(table, 3, 1)
    columns = np.linalg.qr(seen - seen.mean(axis=0))[0]
    exact = -1.5 * math.log(1 - 0.8**2)
    # standard error of each of three correlations: (1 − r²)/√n, times dI/dr = r/(1 − r²): 0.013 each
    assert codes.information(columns) == pytest.approx(exact, abs=4 * 0.013 * math.sqrt(3))
    turned = np.linalg.qr((seen - seen.mean(axis=0)) @ rng.standard_normal((3, 3)))[0]
    assert codes.information(turned) == pytest.approx(codes.information(columns), abs=1e-10)


def test_information_without_dependence_vanishes_on_average():
    """The mean over independent clouds is zero within four standard errors; without the gauge it is not."""
    table = np.random.default_rng(0).standard_normal((64, 5))
    found = [
        observe_cloud(cloud(64, 12, seed), Codes.of(table, 4, seed))["information"] for seed in range(1, 41)
    ]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error
    assert error < 0.03  # while 16 correlations by chance make 16/(2·64) = 0.125


def test_too_few_positions_have_no_codes():
    with pytest.raises(InputError, match="8 positions must be more than twice the 4 components"):
        Codes.of(np.eye(8), 4, 0)


def test_depth_of_collapse():
    values = np.array([[0.1, 0.995, 0.5, 0.99, 1.0], [1.0] * 5, [0.2] * 5, [1.0, 1.0, 1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(depth_of_collapse(values), [3, 0, np.nan, np.nan])


def test_intervals_are_students():
    samples = np.random.default_rng(0).standard_normal((9, 4))
    samples[0, 1], samples[:8, 2], samples[:, 3] = np.nan, np.nan, np.nan
    told = interval(samples)
    np.testing.assert_array_equal(told.count, [9, 8, 1, 0])
    for column, first in ((0, 0), (1, 1)):
        known = samples[first:, column]
        low, high = stats.t.interval(0.95, len(known) - 1, known.mean(), stats.sem(known))
        assert told.mean[column] - told.half[column] == pytest.approx(low, abs=1e-12)
        assert told.mean[column] + told.half[column] == pytest.approx(high, abs=1e-12)
    assert np.isnan(told.mean[2:]).all()


def test_walk_is_the_layers_one_after_the_other(model):
    tokens = tokens_of(24)
    gauge = Gauge.of(model.positions[:24], 3, [0, 0])
    variants = (Variant("half", scale=0.5, shuffled=True), Variant("again", again=True))
    found = walk(model, tokens, variants, 2, gauge)
    for row, (shifts, again) in enumerate(
        ((0.5 * model.positions[:24][gauge.order], False), (model.positions[:24], True))
    ):
        hidden = model.embed(tokens, shifts)
        for depth in range(5):
            expected = observe_cloud(units(hidden), gauge.codes)
            if again and depth in {2, 4}:
                hidden = hidden + shifts
            hidden, entropy = model.blocks[depth % 2](hidden)
            expected["attention_entropy"] = entropy.mean() / math.log(24)
            for name in MEASURES:
                assert found[name][row, depth] == pytest.approx(expected[name], abs=1e-13)


def test_options_are_checked():
    with pytest.raises(InputError, match="sequences must be at least 2, got 1"):
        TrainedOptions(sequences=1)
    with pytest.raises(InputError, match="at least one variant"):
        TrainedOptions(variants=())


SMALL = {"sequences": 3, "length": 20, "passes": 2, "texts": False, "components": 3, "starts": 0}


class InterruptionError(Exception):
    pass


def test_study_goes_on_where_it_was_interrupted(folder, tmp_path):
    options = TrainedOptions(**SMALL, folder=folder, threads=1)
    whole = trained_study(options)
    path = tmp_path / "study.h5"

    def interrupt(what, _):
        if what.startswith("sequence 3"):
            raise InterruptionError

    kept = replace(options, file=path)
    with pytest.raises(InterruptionError):
        trained_study(kept, interrupt)
    assert read(path, {"layer": ("layer",)}).attributes["status"] == "unfinished"
    tasks = []
    resumed = trained_study(replace(kept, threads=2), lambda what, _: tasks.append(what))
    assert tasks == ["sequence 3 of 3", "done"]
    assert resumed.attributes["status"] == "finished"
    for name, variable in whole.variables.items():
        np.testing.assert_array_equal(resumed[name], variable.values)
    again = trained_study(kept, lambda what, _: pytest.fail(what))
    np.testing.assert_array_equal(again["information"], whole["information"])
    assert again.attributes["seconds"] == resumed.attributes["seconds"]
    with pytest.raises(InputError, match="holds another study: settings was"):
        trained_study(replace(kept, seed=1))


def test_marks_stand_around_words(folder, model):
    with pytest.raises(InputError, match=r"has no marks \[CLS\] and \[SEP\]"):
        chosen(model, TrainedOptions(**SMALL, marks=True, folder=folder))
    known = replace(model, vocabulary=("[CLS]", "[SEP]", *model.vocabulary[2:]))
    bare, marked = (chosen(known, TrainedOptions(**SMALL, marks=marks)) for marks in (False, True))
    for one, other in zip(bare, marked, strict=True):
        np.testing.assert_array_equal(other.tokens, [0, *one.tokens, 1])


def test_study_tells_means_of_what_it_measured(folder):
    record = trained_study(TrainedOptions(**SMALL, folder=folder))
    assert record["order_parameter"].shape == (3, len(VARIANTS), 2 * LAYERS + 1)
    for name in MEASURES:
        np.testing.assert_allclose(record[f"{name}_mean"], record[name].mean(axis=0), atol=1e-12)
    removed, shuffled = 1, 2
    # shuffled positions of one sequence are positions of the shuffled sequence: equal in law, not in numbers
    assert not np.array_equal(record["order_parameter"][:, shuffled], record["order_parameter"][:, 0])
    # without positions there is nothing to shuffle, scale or add again
    gauge = Gauge.of(np.zeros((20, SIZE)) + np.eye(20, SIZE), 3, [0, 0])
    bare = replace(load_model(folder), positions=np.zeros((LONGEST, SIZE)))
    words = np.random.default_rng([0, 0]).choice(bare.whole_words(), 20)
    same = walk(bare, words, VARIANTS, 2, gauge)["order_parameter"]
    np.testing.assert_allclose(
        same, np.tile(record["order_parameter"][0, removed], (len(VARIANTS), 1)), atol=1e-13
    )


def test_reduction_has_the_scores_of_the_model(model):
    """For vectors within the components: r² ⟨Qx, Ky⟩ β is the score of a head without biases, V its value."""
    small = reduced(model, Case(2, "whole", "model"), 30)
    means = np.stack(
        [
            model.embed(np.random.default_rng(0).choice(model.whole_words(), 512), row[None])
            for row in model.positions[:30]
        ]
    )
    length = math.sqrt((means**2).sum(axis=-1).mean())
    part = means.mean(axis=1) - means.mean(axis=(0, 1))
    axes = np.linalg.svd(part, full_matrices=False)[2][:2]
    np.testing.assert_allclose(
        np.linalg.norm(small.encoding, axis=1), np.linalg.norm(part @ axes.T, axis=1) / length, atol=1e-12
    )
    x, y = cloud(2, 2, seed=4)
    block, width = model.blocks[0], SIZE // HEADS
    scores, values = [], []
    for head in range(HEADS):
        own = slice(head * width, (head + 1) * width)
        query, key = (
            length * one @ axes @ part.weight[:, own] for one, part in ((x, block.query), (y, block.key))
        )
        scores.append(query @ key / math.sqrt(width))
        values.append(y @ axes @ block.value.weight[:, own] @ block.output.weight[own] @ axes.T)
    score = small.head.beta * (small.head.query @ x) @ (small.head.key @ y)
    assert min(abs(score - one) for one in scores) < 1e-12 * small.head.beta
    nearest = int(np.argmin(np.abs(np.array(scores) - score)))
    np.testing.assert_allclose(small.head.value @ y, values[nearest], atol=ROUNDING)


def test_plain_attention_without_positions_collapses(model):
    """MODEL.md section 5: without auxiliary variable the limit is one point."""
    group = predicted(model, 12, 2, cases=(Case(2, "words", "identity"),), scales=(0.0,))
    assert group["reached"].all()
    np.testing.assert_allclose(group["order_parameter"], 1.0, atol=1e-9)  # the flow ends when it is near
    np.testing.assert_allclose(group["attention_entropy"], 1.0, atol=1e-9)


def test_record_that_contradicts_itself_is_refused(folder, tmp_path):
    record = trained_study(TrainedOptions(**SMALL, folder=folder))
    check_trained(record)
    record.save(tmp_path / "a.h5")
    check_trained(read(tmp_path / "a.h5", {"layer": ("layer",)}))
    for name, change, message in (
        ("layer", lambda values: values + 1, "'layer' must count the layers"),
        ("order_parameter", lambda values: values + 1.0, "'order_parameter' must be from 0 to 1"),
        ("collapse_depth", lambda values: np.full_like(values, 0.5), "'collapse_depth' must hold layers"),
        ("nearest_dirac_mean", lambda values: values * 1.01, "must be the mean of 'nearest_dirac'"),
        ("information_count", lambda values: values - 1, "must count the random sequences"),
        ("information_half", None, "must come with 'information_half'"),
    ):
        variables = dict(record.variables)
        if change is None:
            del variables[name]
        else:
            variables[name] = replace(variables[name], values=change(variables[name].values))
        with pytest.raises(InputError, match=message):
            check_trained(replace(record, variables=variables))


def test_figure(folder):
    record = trained_study(TrainedOptions(**SMALL, folder=folder))
    page = trained(record)
    assert len([ax for part in page.subfigs for ax in part.axes]) == 6
    with style.applied():
        page.canvas.draw()
    with pytest.raises(InputError, match="no dataset information_mean"):
        trained(
            Record({n: v for n, v in record.variables.items() if n != "information_mean"}, record.attributes)
        )


#: Two tokens' first three numbers and the norm of all, after so many layers; mean entropies of attention.
PINNED = {
    0: (
        [
            [-0.176567509962, -0.048236389811, 0.037698210973],
            [-0.174570850603, -0.062119956284, -0.186029507578],
        ],
        37.947633969679316,
    ),
    1: (
        [
            [-0.001078321773, -0.016556657127, -0.017882628912],
            [-0.350629595154, 0.060880566671, 0.04883736947],
        ],
        51.640653922886436,
    ),
    6: (
        [[0.30585995343, 0.087230604971, -0.088874669176], [0.15406021876, 0.081712510317, -0.327522741308]],
        30.774581828082503,
    ),
}
ENTROPIES = {0: 2.397592208413278, 5: 2.272111790589551}


def check(hidden, pinned):
    """The numbers above have twelve digits after the point."""
    np.testing.assert_allclose(hidden[[0, 7], :3], pinned[0], atol=1e-12)
    assert np.linalg.norm(hidden) == pytest.approx(pinned[1], rel=1e-13)


@pytest.fixture(scope="module")
def installed():
    return load_model()


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="the extra [model] is not installed")
class TestInstalledModel:
    """all-MiniLM-L6-v2 as PyTorch computes it in double precision (transformers 5.23.0, torch 2.13.0)."""

    def test_one_pass(self, installed):
        tokens = np.array([101, 2054, 2003, 1996, 2812, 2492, 1997, 2019, 2500, 102, *range(2000, 2010)])
        hidden = installed.embed(tokens, installed.positions[:20])
        for number, block in enumerate(installed.blocks):
            if number in PINNED:
                check(hidden, PINNED[number])
            hidden, entropy = block(hidden)
            if number in ENTROPIES:
                assert entropy.mean() == pytest.approx(ENTROPIES[number], abs=1e-12)
        check(hidden, PINNED[6])

    def test_words_and_texts(self, installed):
        words = installed.whole_words()
        assert len(words) == 21719
        assert [installed.vocabulary[k] for k in words[[0, -1]]] == ["the", "necessitated"]
        if find_spec("tokenizers") is not None:
            ids = tokenise(installed, "It is a truth universally acknowledged.")
            pieces = ["[CLS]", "it", "is", "a", "truth", "universally", "acknowledged", ".", "[SEP]"]
            assert [installed.vocabulary[k] for k in ids] == pieces

    def test_tokens_without_positions_gather(self, installed):
        """This program's own numbers after one pass: tokens gather where positions are removed."""
        tokens = np.random.default_rng([0, 0]).choice(installed.whole_words(), 64)
        found = walk(installed, tokens, VARIANTS[:2], 1, Gauge.of(installed.positions[:64], 8, [0, 0]))
        # six layers of rounding; the values were found with BLAS of one thread, others sum in other orders
        np.testing.assert_allclose(
            found["order_parameter"][:, -1], [0.42987589888320593, 0.9369951429127422], atol=1e-9
        )
