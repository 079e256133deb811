"""The command ablation: what it writes and prints, how it ends, and how it goes on."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde.ablation import families, whole
from meanfield_pde.ablation.runs import FOUND
from meanfield_pde.ablation.study import Options, assembled, points_of
from meanfield_pde.ablation.trained import TrainedOptions
from meanfield_pde.ablation.walks import VARIANTS
from meanfield_pde.records import read
from meanfield_pde.sweeps.journal import Journal
from meanfield_pde.sweeps.points import Outcome

distributed = pytest.importorskip("distributed")

QUICK = ("ablation", "-o", "out.h5", "--quick", "--seeds", "2", "--no-trained")
#: Runs of it: two values, two seeds, of densities with one encoding and of tokens with two; two predictions.
RUNS = 2 * 2 * (1 + 1 + 2 + 2) + 2
#: Seconds for anything that takes a few.
LONG = 60.0


@pytest.fixture(scope="module")
def cluster():
    """Give the address of a cluster of two workers."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    ) as found:
        yield found.scheduler_address


def measures(record):
    """All numbers but seconds."""
    return {
        (name, key): variable.values
        for name, group in {"": record, **record.groups}.items()
        for key, variable in group.variables.items()
    }


def journal_lines(folder):
    path = folder / "out.h5.journal"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def stopped(folder, number, runs, *flags):
    """Begin in another process, and send it and its children a signal when so many runs are kept."""
    begin = [sys.executable, "-c", "import sys; from meanfield_pde.cli import main; sys.exit(main())"]
    with (folder / "said").open("w") as said:
        command = [*begin, *QUICK, *flags]
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, start_new_session=True)
    until = time.monotonic() + LONG
    while journal_lines(folder) < runs and process.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    assert process.poll() is None, (folder / "said").read_text()
    os.killpg(process.pid, number)
    return process.wait(LONG)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_kills_lose_and_repeat_no_run_and_the_file_is_that_of_a_run_without_a_stop(run, folder, cluster):
    """Killed, interrupted, gone on with; beside a study without a stop on the same workers."""
    there, kept = ("--scheduler", cluster), {}
    stops = ((signal.SIGKILL, 3, -9, ()), (signal.SIGINT, 8, 130, ("--resume",)))
    for number, runs, expected, flags in stops:
        assert stopped(folder, number, runs, *there, *flags) == expected
        journal = Journal.opened(folder / "out.h5.journal")
        journal.close()
        found = {outcome.index: outcome for outcome in journal.outcomes}
        assert len(found) == len(journal.outcomes), "a run was made twice"
        assert found.items() >= kept.items(), "a run was lost"
        kept = found
    assert "--resume goes on" in (folder / "said").read_text()
    refused = run(*QUICK, *there)
    assert refused.status == 2
    assert "interrupted study" in refused.err
    other = run(*QUICK, "--seeds", "3", "--resume", *there)
    assert other.status == 2
    assert "another study" in other.err

    outcome = run(*QUICK, "--resume", "--json", *there)
    assert (outcome.status, outcome.err) == (0, "")
    values = json.loads(outcome.out)
    assert (values["points"], values["failed"], values["trained"]) == (RUNS, 0, None)
    assert [one["confirmed"] for one in values["predictions"]] == [True, True]
    assert values["collapse_depth"]["none"]["64"]["count"] >= 1
    assert values["collapse_depth"]["learned"]["continuum"]["mean"] is None
    assert sorted(path.name for path in folder.iterdir()) == ["out.h5", "said"]
    assert sum(one.seconds for one in kept.values()) < read(folder / "out.h5").attributes["work"]

    assert run(*QUICK, "--quiet", "-o", "whole.h5", *there).status == 0
    one, two = (measures(read(folder / name)) for name in ("out.h5", "whole.h5"))
    assert one.keys() == two.keys()
    for name, array in one.items():
        assert np.array_equal(array, two[name], equal_nan=array.dtype.kind == "f"), name

    again = run(*QUICK, "--resume")
    assert again.status == 0
    assert "confirmed" in again.out
    assert run(*QUICK).status == 2  # exists already
    assert run("plot", "out.h5").status == 0
    described = run("info", "out.h5", "--json")
    assert json.loads(described.out)["kind"] == "ablation"
    assert isinstance(mf.open(folder / "out.h5"), mf.Ablation)


def test_a_run_that_fails_is_recorded_and_the_rest_goes_on(run, folder, monkeypatch):
    """Runs are made in this process, one after the other, some of contexts that are no number of nodes."""
    whole_families = families.families

    def broken(*, quick):
        known = [one for one in whole_families(quick=quick) if one.name == "context"]
        return tuple(replace(one, values=(-3.0, 64.0)) for one in known)

    monkeypatch.setattr("meanfield_pde.ablation.study.families", broken)
    monkeypatch.setattr(
        "meanfield_pde.ablation.study.outcomes", lambda _, points, work: ([work(one)] for one in points)
    )
    monkeypatch.setattr("meanfield_pde.ablation.study.connected", Nothing)
    outcome = run(*QUICK, "--json")
    assert outcome.status == 0
    values = json.loads(outcome.out)
    assert (values["points"], values["failed"]) == (2 * 2 * 2 + 2, 4)
    assert len(values["reasons"]) >= 1
    record = read(folder / "out.h5")
    failures = json.loads(record.attributes["failures"])
    assert {(one["family"], one["value"]) for one in failures} == {("context", -3.0)}
    group = record.groups["context"]
    assert (group["status"][:, 0] == "failed").all()
    assert np.isfinite(group["order_parameter"][:, 1]).all()


class Nothing:
    """No workers."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--seeds", "1"), "--seeds: must be an integer from 2 to 1000"),
        (("--workers", "0"), "--workers: must be"),
        (("--scheduler", "tcp://127.0.0.1:1", "--workers", "2"), "--workers: must not be given"),
        (("-o", "nowhere/out.h5"), "does not exist"),
        (("-o", "."), "is a folder"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(run, folder, arguments, words):
    outcome = run(*QUICK, *arguments)
    assert outcome.status == 2
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_without_a_model_one_line_says_how_to_install_it(run, folder, monkeypatch):
    monkeypatch.setattr(whole, "NEEDED", ("no_such_package",))
    monkeypatch.setattr(whole, "study", lambda *_: read(folder / "known.h5"))
    assembled(*fake()).save(folder / "known.h5")
    outcome = run("ablation", "-o", "out.h5", "--quick")
    assert outcome.status == 0
    assert outcome.out.splitlines()[0].startswith("the trained model is left out: pip install")
    refused = run("ablation", "-o", "other.h5", "--quick", "--trained")
    assert refused.status == 2
    assert "pip install" in refused.err


def fake():
    """Outcomes of a study that was never made."""
    options = Options(seeds=2, quick=True)
    known = dict.fromkeys(FOUND, 0.5) | {"found": 1.0, "error": 0.1, "confirmed": 1.0}
    return options, {one.index: Outcome(one.index, "finished", "", known) for one in points_of(options)}, 1.0


def test_trained_half_is_gone_on_with(folder, monkeypatch):
    """A small encoder: the study is interrupted after its first sequence, and then ends."""
    pytest.importorskip("safetensors.numpy")
    from tests.unit.small_encoder import encoder

    small = encoder(folder / "model")
    monkeypatch.setattr(whole, "has_model", lambda: True)
    monkeypatch.setattr(whole, "study", kept_study)
    part = TrainedOptions(sequences=3, length=9, passes=1, texts=False, components=2, starts=0, folder=small)
    part = replace(part, variants=VARIANTS[:2])
    part = replace(part, file=whole._beside(folder / "out.h5", "trained"))
    monkeypatch.setattr(whole, "_parts", lambda *_: {"trained": part})
    asked = []

    def interrupted():
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(KeyboardInterrupt):
        mf.ablate("out.h5", quick=True, seeds=2, interrupted=interrupted)
    assert sorted(path.name for path in folder.iterdir()) == ["model", "out.h5", "out.h5.trained"]
    found = mf.ablate("out.h5", quick=True, seeds=2, resume=True)
    assert sorted(path.name for path in folder.iterdir()) == ["model", "out.h5"]
    assert found.groups["trained"].sizes["sequence"] == 3
    assert mf.open("out.h5").summary()["trained"]["sequences"] == 3


def test_a_replacement_that_was_interrupted_is_gone_on_with(folder, monkeypatch):
    """What is there stays until the new study is whole, and is not taken for it."""
    known = fake()[1][0].measures
    monkeypatch.setattr(
        "meanfield_pde.ablation.study.outcomes",
        lambda _, points, __: ([Outcome(one.index, "finished", "", known)] for one in points),
    )
    monkeypatch.setattr("meanfield_pde.ablation.study.connected", Nothing)
    assembled(*fake()).save(folder / "out.h5")
    flags = {"quick": True, "seeds": 3, "trained": False}
    with pytest.raises(KeyboardInterrupt):
        mf.ablate("out.h5", **flags, overwrite=True, interrupted=lambda: True)
    assert read(folder / "out.h5").attributes["seeds"] == 2
    assert mf.ablate("out.h5", **flags, resume=True).attributes["seeds"] == 3
    assert read(folder / "out.h5").attributes["seeds"] == 3
    assert [path.name for path in folder.iterdir()] == ["out.h5"]
    with pytest.raises(mf.InputError, match="another study"):
        mf.ablate("out.h5", **flags | {"seeds": 4}, resume=True)


def kept_study(options, request):  # noqa: ARG001
    """Return the study of made-up outcomes, or what is there."""
    if not request.output.exists():
        assembled(*fake()).save(request.output)
    return read(request.output)
