"""The command design: what it writes, what it prints, and how it ends."""

import json

import h5py
import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde.config import load
from meanfield_pde.contents import check
from meanfield_pde.designs.result import Design
from meanfield_pde.errors import InputError
from meanfield_pde.records import Record, Variable

SMALL = """
title = "Small"
[token]
resolution = 32
[auxiliary]
kind = "uniform"
nodes = 8
[attention]
beta = 2.0
[initial]
kind = "points"
angles = [0.3, 1.9, 2.2, 4.1, 5.5]
[time]
final = 5.0
save = 3
[design]
amplitude = 2.5
target = { kind = "vonmises", center = 2.0, concentration = 2.0 }
"""
KEYS = {"w1", "w2", "residual", "stable", "leading", "amplitude", "least_amplitude", "quantization"}
KEYS |= {"verified_w2", "reached", "w1_continuous", "w2_continuous", "verified_from", "reason", "status"}


@pytest.fixture
def case(folder):
    (folder / "case.toml").write_text(SMALL)
    return folder


@pytest.fixture(scope="module")
def found():
    from meanfield_pde.building import build
    from meanfield_pde.config import loads

    return mf.design(build(loads(SMALL, {"design.least": True})))


def test_design_writes_what_a_configuration_reads_back(run, case):
    outcome = run("design", "case.toml", "-o", "out.h5", "--toml", "designed.toml")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("Small → out.h5\n")
    assert "target reached" in outcome.out
    assert 'file = "out.h5"\ndataset = "encoding"' in outcome.out
    design = mf.open(case / "out.h5")
    assert isinstance(design, Design)
    assert design.attributes["designed"] == (case / "designed.toml").read_text()
    assert design.attributes["designed_lines"] in outcome.out
    assert run("solve", "designed.toml", "-o", "solved.h5", "--quiet").status == 0
    assert run("limit", "designed.toml", "-o", "limit.h5", "--quiet").status == 0
    maps = mf.open(case / "solved.h5").conditional_mean[-1], mf.open(case / "limit.h5").pushforward_map
    for map_ in maps:
        away = np.angle(np.exp(1j * (map_ - design.target_map)))
        assert np.abs(away).max() <= 1e-8  # where tokens rest, errors of the run die out


def test_configurations_are_written_for_other_folders(run, case):
    (case / "elsewhere").mkdir()
    assert run("design", "case.toml", "-o", "out.h5", "--toml", "elsewhere/d.toml", "--quiet").status == 0
    found = load(case / "elsewhere" / "d.toml")
    assert found.encoding.file == str((case / "out.h5").resolve())


@pytest.mark.parametrize(
    ("flags", "kind"),
    [(["--set", "design.encoding=prompt"], "prompt"), (["--set", "design.encoding=rotary"], "rotary")],
)
def test_design_prints_its_summary_as_json(run, case, flags, kind):
    outcome = run("design", "case.toml", "-o", "out.h5", "--json", "--set", "attention.beta=1", *flags)
    assert (outcome.status, outcome.err, outcome.out.count("\n")) == (0, "", 1)
    printed = json.loads(outcome.out)
    assert printed.keys() >= KEYS
    assert printed.keys() == mf.open(case / "out.h5").summary().keys()
    assert printed["reached"] is True
    assert printed["design"] == kind
    assert printed["w2_continuous"] == pytest.approx(printed["quantization"])


def test_what_is_not_reached_is_in_the_file(run, case):
    outcome = run("design", "case.toml", "-o", "out.h5", "--set", "design.amplitude=0.1", "--json")
    assert outcome.status == 3
    assert "raise design.amplitude to at least" in outcome.err
    assert "what was reached is in out.h5" in outcome.err
    assert json.loads(outcome.out)["reached"] is False
    design = mf.open(case / "out.h5")
    assert design.attributes["status"] == "stopped"
    assert design.encoding.shape == (8, 2)
    assert run("plot", "out.h5", "--quiet").status == 0


def test_a_target_from_a_file(run, case):
    angles = np.linspace(1.0, 2.0, 8)
    with h5py.File(case / "law.h5", "w") as file:
        file["angles"] = angles
    target = 'design.target={ kind = "points", file = "law.h5", dataset = "angles" }'
    outcome = run("design", "case.toml", "-o", "out.h5", "--json", "--set", target)
    assert outcome.status == 0, outcome.err
    assert mf.open(case / "out.h5").target_map == pytest.approx(angles, abs=1e-12)
    assert json.loads(outcome.out)["quantization"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--set", "design.target.kind=arc"], ["[design] target"]),
        (
            ["--set", 'design.target={ kind = "points", file = "no.h5" }'],
            ["[design] target.file", "no such"],
        ),
        (
            ["--set", 'design.target={ kind = "table", file = "bad.txt" }'],
            ["[design.target] file", ">= 0"],
        ),
        (["--toml", "case.toml"], ["case.toml", "exists"]),
        (["--toml", "out.h5"], ["--toml", "another file"]),
        (["--toml", "case.toml", "--overwrite"], ["--toml", "is an input"]),
    ],
)
def test_wrong_input_is_named(run, case, flags, words):
    (case / "bad.txt").write_text("1 -1 1 1")
    outcome = run("design", "case.toml", "-o", "out.h5", *flags)
    assert outcome.status == 2
    for word in words:
        assert word in outcome.err
    assert not (case / "out.h5").exists()


def test_prompts_are_designed_beside_rotations_by_several_frequencies(run, folder):
    (folder / "torus.toml").write_text(
        """token = { space = "torus", resolution = 8 }
auxiliary = { kind = "uniform", nodes = 3 }
encoding = { kind = "rotary", frequency = [1.0, 2.0] }
attention = { beta = 0.5 }
time = { final = 0.1 }
design = { encoding = "prompt", target = { kind = "uniform" } }
"""
    )
    assert run("design", "torus.toml", "-o", "out.h5", "--quiet").status == 0
    assert mf.open(folder / "out.h5").attributes["verified_w2"] < 1e-6
    outcome = run("design", "torus.toml", "-o", "rotary.h5", "--set", "design.encoding=rotary")
    assert (outcome.status, outcome.out) == (2, "")
    assert 'must be "additive" or "prompt" on this space' in outcome.err


def test_nothing_is_designed_without_a_table(run, case):
    text = SMALL.partition("[design]")[0]
    (case / "case.toml").write_text(text)
    outcome = run("design", "case.toml", "-o", "out.h5")
    assert outcome.status == 2
    assert "[design] is required" in outcome.err


def test_other_commands_say_what_the_file_is(run, case, found):
    found.save(case / "out.h5")
    assert "must hold a solution or a limit, found a design" in run("compare", "out.h5").err
    outcome = run("limit", "case.toml", "-o", "limit.h5", "--from", "out.h5")
    assert "--from: out.h5 must hold a solution or a limit, found a design" in outcome.err
    assert "solution" in run("animate", "out.h5").err
    outcome = run("info", "out.h5", "--json")
    assert json.loads(outcome.out)["kind"] == "design"


def test_xarray_opens_the_file(case, found):
    xarray = pytest.importorskip("xarray")
    found.save(case / "out.h5")
    with xarray.open_dataset(case / "out.h5", engine="h5netcdf") as opened:
        assert opened["encoding"].dims == ("aux", "component")
        assert opened["limit_map"].attrs["units"] == "rad"
        assert float((opened["trial_amplitude"] > 0).all()) == 1.0


CHANGES = {
    "attribute 'design'": ({}, {"design": "other"}),
    "attribute 'reached' must not be 1": ({}, {"stable": 0}),
    "attribute 'reached' must be 0 or 1": ({}, {"reached": 2}),
    "attribute 'reason'": ({}, {"reason": "why"}),
    "attribute 'quantization'": ({}, {"quantization": -1.0}),
    "dataset 'prompt'": ({"prompt": (("aux",), np.zeros(8))}, {}),
    "dataset 'verified_length'": ({"verified_length": (("aux",), np.full(8, 1.5))}, {}),
    "dataset 'target_density'": ({"target_density": (("token",), np.ones(32))}, {}),
    "dataset 'trial_amplitude'": ({"trial_amplitude": (("trial",), "reversed")}, {}),
    "dataset 'eigenvalue_real'": ({"eigenvalue_real": (("eigenvalue",), "reversed")}, {}),
    "no dataset limit_map": ({"limit_map": None}, {}),
}


@pytest.mark.parametrize("message", CHANGES)
def test_files_that_contradict_themselves_are_refused(found, message):
    datasets, attributes = CHANGES[message]
    variables = dict(found.record.variables)
    for name, change in datasets.items():
        if change is None:
            del variables[name]
            continue
        dims, values = change
        values = variables[name].values[::-1] if isinstance(values, str) else values
        variables[name] = Variable(dims, values, name)
    with pytest.raises(InputError, match=message):
        check(Record(variables, {**found.record.attributes, **attributes}))
    check(found.record)


def test_all_panels_are_drawn(run, case, found):
    found.save(case / "out.h5")
    assert run("plot", "out.h5", "-o", "fig.pdf").status == 0
    from meanfield_pde import figures

    page = figures.figure([found.record])
    axes = [ax for part in page.subfigs for ax in part.axes if ax.get_title(loc="left")]
    assert [ax.get_title(loc="left").split("$")[1] for ax in axes] == [rf"\mathbf{{{c}}}" for c in "abcd"]
    # Panel c: p(z) as it is in the file, on its circle.
    drawn = np.asarray(axes[2].collections[-1].get_offsets())
    assert drawn == pytest.approx(found.encoding)
    # Panel d: what was tried.
    tried = axes[3].lines[1].get_xydata()
    assert tried == pytest.approx(np.stack([found.trial_amplitude, found.trial_leading], axis=1))
