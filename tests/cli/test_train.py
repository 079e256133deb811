"""The command train: what it writes and prints, how it ends, and how it goes on."""

import json

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde.building import build
from meanfield_pde.config import loads
from meanfield_pde.contents import check
from meanfield_pde.errors import InputError
from meanfield_pde.records import Record, Variable
from meanfield_pde.training.result import Training

SMALL = """
title = "Small"
[token]
resolution = 32
[attention]
beta = 1.0
normalization = "none"
[noise]
sigma = 0.4
[initial]
kind = "fourier"
modes = [[1, 0.8, 0.3]]
[time]
final = 2.0
save = 5
[solver]
rtol = 1e-4
atol = 1e-5
[output]
checkpoint = 1e-6
[training]
degree = 1
intervals = 4
regularization = 0.2
[training.loss]
target = { kind = "vonmises", center = 2.0, concentration = 1.0 }
"""


@pytest.fixture
def case(folder):
    (folder / "case.toml").write_text(SMALL)
    return folder


@pytest.fixture(scope="module")
def found():
    return mf.train(build(loads(SMALL)), theory=True)


def test_train_writes_and_prints(run, case, found):
    outcome = run("train", "case.toml", "-o", "out.h5", "--json", "--theory")
    assert outcome.status == 0
    values = json.loads(outcome.out)
    assert {"loss", "iterations", "gradient_norm", "arrival", "escape", "control_energy"} <= values.keys()
    training = mf.open(case / "out.h5")
    assert isinstance(training, Training)
    assert training.parameters.shape == (4, 3)
    assert values["loss"] == training.loss[-1] == pytest.approx(found.loss[-1], rel=1e-12)
    assert values["iterations"] == training.loss.size - 1 == training.gradient_norm.size - 1
    assert training.gradient_norm[-1] <= 1e-5 * training.gradient_norm[0]
    assert values["control_energy"] == pytest.approx(0.25 * (training.parameters**2).sum(), rel=1e-12)
    # J = ℓ + λ times the control energy, at the end.
    assert values["loss"] - values["terminal_loss"] == pytest.approx(0.2 * values["control_energy"], rel=1e-9)
    assert values["theory_mismatch"] < 1e-3
    assert np.isfinite(training.theory_gradient).all()
    assert "Small → out.h5" in run("info", "out.h5").out or run("info", "out.h5").status == 0


def test_trained_and_untrained_tokens_are_those_of_solutions(found):
    """The untrained marginal is that of the equation without the table; both begin with the initial law."""
    untrained = mf.solve(build(loads(SMALL)))
    assert found.time == pytest.approx(np.linspace(0.0, 2.0, 5))
    assert found.untrained_order_parameter == pytest.approx(untrained.order_parameter, abs=1e-4)
    assert found.untrained_free_energy == pytest.approx(untrained.free_energy, abs=1e-4)
    assert found.order_parameter[0] == pytest.approx(0.4, abs=1e-9)
    assert found.free_energy == pytest.approx(found.confinement - found.interaction_energy)


def test_a_training_that_stops_early_goes_on(run, case, found):
    first = run("train", "case.toml", "-o", "out.h5", "--set", "training.iterations=3")
    assert first.status == 3
    assert "training.iterations = 3 are used up" in first.err
    assert mf.open(case / "out.h5").loss.size == 4
    other = run("train", "case.toml", "-o", "out.h5", "--resume", "--set", "training.degree=2")
    assert other.status == 2
    assert "training.degree" in other.err
    assert run("train", "case.toml", "-o", "out.h5", "--resume").status == 0
    assert mf.open(case / "out.h5").loss[-1] == pytest.approx(found.loss[-1], rel=1e-7)


@pytest.mark.usefixtures("case")
@pytest.mark.parametrize("kind", ["l2", "kl"])
def test_what_is_there_already_needs_no_training(run, kind):
    """A uniform law whose target is the uniform law: J = 0, of which no change is a share."""
    flags = ("--set", "initial={ kind = 'uniform' }", "--set", f"training.loss.kind={kind}")
    target = ("--set", "training.loss.target={ kind = 'uniform' }")
    outcome = run("train", "case.toml", "-o", "out.h5", "--json", *flags, *target)
    assert outcome.status == 0
    values = json.loads(outcome.out)
    assert values["loss"] == 0.0
    assert values["control_energy"] == 0.0


def test_interrupted_trainings_go_on_to_the_same_optimum(run, case, found, monkeypatch):
    from meanfield_pde.cli import training as command

    class Interrupt:
        calls = 0

        def __call__(self):
            Interrupt.calls += 1
            return Interrupt.calls > 4

    real = command.stop_signals

    class Stopping:
        def __enter__(self):
            self.inner = real()
            self.inner.__enter__()
            return Interrupt()

        def __exit__(self, *error):
            return self.inner.__exit__(*error)

    monkeypatch.setattr(command, "stop_signals", Stopping)
    assert run("train", "case.toml", "-o", "out.h5").status == 130
    monkeypatch.setattr(command, "stop_signals", real)
    half = mf.open(case / "out.h5")
    assert half.attributes["status"] == "running"
    assert half.loss.size == 6
    assert run("plot", "out.h5").status == 2
    assert run("train", "case.toml", "-o", "out.h5").status == 2  # it exists
    assert run("train", "case.toml", "-o", "out.h5", "--resume", "--quiet").status == 0
    whole = mf.open(case / "out.h5")
    assert np.array_equal(whole.loss[:5], half.loss[:5])
    assert whole.loss[-1] == pytest.approx(found.loss[-1], rel=1e-7)
    assert "nothing to do" in run("train", "case.toml", "-o", "out.h5", "--resume").out


def test_all_panels_are_drawn(run, case, found):
    found.save(case / "out.h5")
    assert run("plot", "out.h5", "-o", "fig.pdf").status == 0
    from meanfield_pde import figures

    page = figures.figure([found.record])
    axes = [ax for part in page.subfigs for ax in part.axes if ax.get_title(loc="left")]
    assert [ax.get_title(loc="left").split("$")[1] for ax in axes] == [rf"\mathbf{{{c}}}" for c in "abcdef"]
    assert axes[0].lines[0].get_ydata() == pytest.approx(found.loss)


CHANGES = {
    "attribute 'iterations'": ({}, {"iterations": 99}),
    "dataset 'gradient_norm'": ({"gradient_norm": -1.0}, {}),
    "dataset 'marginal'": ({"marginal": 2.0}, {}),
    "attribute 'plateau_share'": ({}, {"plateau_share": 1.5}),
    "dataset 'clustering' is required": ({"clustering": None}, {}),
    "dataset 'time' must increase": ({"time": -1.0}, {}),
}


@pytest.mark.parametrize("message", CHANGES)
def test_files_that_contradict_themselves_are_refused(found, message):
    datasets, attributes = CHANGES[message]
    variables = dict(found.record.variables)
    for name, factor in datasets.items():
        old = variables.pop(name)
        if factor is not None:
            variables[name] = Variable(old.dims, factor * old.values, old.long_name)
    with pytest.raises(InputError, match=message):
        check(Record(variables, {**found.record.attributes, **attributes}))
    check(found.record)
