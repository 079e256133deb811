"""A file to go on from: of this problem, these data and this version, whoever asks for it."""

from dataclasses import replace

import numpy as np
import pytest

from meanfield_pde import checkpoint, evolution, shipped
from meanfield_pde.errors import InputError
from meanfield_pde.resumption import resumption

from .example_records import example

DATA = {"[encoding] file": "12ab"}
TOML = "[noise]\nsigma = 0.05\n"  # that of the example


@pytest.fixture
def save(tmp_path):
    def write(content=None, **attributes):
        record = example(2, 2, 8)
        groups = {} if content is None else {checkpoint.GROUP: checkpoint.pack(content)}
        known = {**record.attributes, "meanfield_pde_version": shipped.version(), **attributes}
        replace(record, attributes=known, groups=groups).save(tmp_path / "a.h5", overwrite=True)
        return tmp_path / "a.h5"

    return write


def test_the_content_of_the_checkpoint(save):
    path = save({"data": DATA, "depth": 2.0}, status="unfinished")
    found = resumption(path, TOML, DATA)
    assert found.finished is None
    assert found.content == {"data": DATA, "depth": 2.0}
    # How often checkpoints are written does not bear on the result.
    assert resumption(path, TOML + "[output]\ncheckpoint = 7.5\n", DATA).content is not None


@pytest.mark.parametrize("status", ["finished", "steady"])
def test_a_finished_solution(save, status):
    found = resumption(save(status=status), TOML, DATA)
    assert found.content is None
    assert np.array_equal(found.finished.time, example(2, 2, 8)["time"])


@pytest.mark.parametrize(
    ("attributes", "toml", "data", "words"),
    [
        ({}, "[noise]\nsigma = 0.1\n", DATA, "noise.sigma was 0.05, now it is 0.1"),
        ({}, "", DATA, "noise.sigma was 0.05, now it is not given"),
        ({}, "own words", DATA, "of another configuration, which cannot be read"),
        ({"meanfield_pde_version": "0.0.1"}, TOML, DATA, "of version 0.0.1, this is"),
        ({}, TOML, {"[encoding] file": "0"}, r"other data: the file of \[encoding\] file"),
        ({}, TOML, {}, r"other data: the file of \[encoding\] file"),
    ],
)
def test_others_are_refused(save, attributes, toml, data, words):
    path = save({"data": DATA}, **attributes)
    with pytest.raises(InputError, match=words) as caught:
        resumption(path, toml, data)
    assert str(caught.value).startswith(f"{path}: ")


def test_configurations_that_are_no_toml_may_be_the_same(save):
    """Problems built from arrays may say what they like."""
    assert resumption(save({"data": {}}, configuration="own words"), "own words", {}).content


def test_from_python(save):
    class Problem:
        configuration, data = TOML, DATA

    with pytest.raises(InputError, match="holds no checkpoint, since the solve is finished"):
        evolution._content(save(status="finished"), Problem)
    with pytest.raises(InputError, match=r"holds no checkpoint \(status: stopped\)"):
        evolution._content(save(status="stopped"), Problem)
    assert evolution._content(save({"data": DATA}, status="unfinished"), Problem) == {"data": DATA}
