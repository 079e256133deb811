"""Limits and bifurcation diagrams: described as they are, and refused in one line where they are damaged."""

import json

import h5py
import numpy as np
import pytest

import meanfield_pde as mf
from meanfield_pde import integrity
from meanfield_pde.errors import InputError
from tests.unit.example_results import compared, diagram, limit, several_atoms

EXAMPLES = {"limit": limit, "atoms": several_atoms, "bifurcation": diagram, "compared": compared}
ALL = pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
NAME = "out.h5"


@ALL
def test_info(run, folder, make):
    make().save(folder / NAME)
    for arguments in (["info", NAME], ["info", NAME, "--configuration"]):
        outcome = run(*arguments)
        assert (outcome.status, outcome.err) == (0, "")
        assert outcome.out
    described = json.loads(run("info", NAME, "--json").out)
    assert described["kind"] == make().attributes.get("kind", "solution")
    assert described["title"] == "Additive positional encoding"
    assert described["sizes"]["token"] == 16
    if "limit" in make().groups:
        assert described["limit"]["stable"] == 1
        assert described["limit"]["verdict"] in {"pushforward", "several atoms"}
        assert described["limit"]["free_energy"] is None  # NaN: not defined
        assert "limit verdict" in run("info", NAME).out
    else:
        assert described["transition"] == "discontinuous"
        assert described["branch_1"] == "mode 1"


def test_resuming_needs_a_solution(run, folder):
    limit().save(folder / NAME)
    outcome = run("solve", "starter", "--resume", "-o", NAME)
    assert (outcome.status, outcome.out) == (2, "")
    assert f"{NAME}: must hold a solution, found a limit" in outcome.err


def accepted(path):
    """Say whether a file is read, and can be summed up then; anything but InputError is a fault."""
    try:
        opened = mf.open(path)
    except InputError as error:
        message = str(error)
    else:
        assert opened.summary()
        return True
    assert message.startswith(f"{path}: ")
    return False


@ALL
def test_flipped_bytes(run, folder, make):
    make().save(folder / NAME)
    original = np.frombuffer((folder / NAME).read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    for count in (1, 10, 1000):
        changed = original.copy()
        changed[random.choice(changed.size, count, replace=False)] ^= np.uint8(0x55)
        (folder / NAME).write_bytes(changed.tobytes())
        assert not accepted(folder / NAME)
        for command in (["info", NAME], ["plot", NAME]):
            outcome = run(*command)
            assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)


#: What is put where there was something else.
NUMBERS = (np.nan, np.inf, -np.inf, -1e300, -1.0, 0.0, 0.5, 7.0, 1e99, 2.0**63)


@ALL
def test_other_numbers_under_a_right_checksum(folder, make):
    """Each dataset in turn, one number or all of them: read or refused."""
    record = make()
    record.save(folder / NAME)
    original = (folder / NAME).read_bytes()
    random = np.random.default_rng(1)
    places = [
        *record.variables,
        *(f"{g}/{name}" for g, part in record.groups.items() for name in part.variables),
    ]
    refused = 0
    for place in places:
        (folder / NAME).write_bytes(original)
        with h5py.File(folder / NAME, "r+") as file:
            dataset = file[place]
            number = random.choice(NUMBERS)
            values = np.asarray(dataset[()]).copy()
            with np.errstate(all="ignore"):
                put = np.asarray(number).astype(values.dtype)
            values.reshape(-1)[slice(None) if random.random() < 0.3 else random.integers(values.size)] = put
            dataset[...] = values
        integrity.seal(folder / NAME)
        refused += not accepted(folder / NAME)
    assert refused > len(places) / 3  # most of the numbers contradict something


@ALL
def test_other_attributes_under_a_right_checksum(folder, make):
    record = make()
    record.save(folder / NAME)
    original = (folder / NAME).read_bytes()
    random = np.random.default_rng(2)
    names = [("/", name) for name in record.attributes]
    names += [(group, name) for group, part in record.groups.items() for name in part.attributes]
    others = ("", "word", 3, -1, 0.5, np.nan, np.inf, -np.inf, 2**62)
    for place, name in names:
        (folder / NAME).write_bytes(original)
        with h5py.File(folder / NAME, "r+") as file:
            file[place].attrs[name] = others[random.integers(len(others))]
        integrity.seal(folder / NAME)
        accepted(folder / NAME)
        with h5py.File(folder / NAME, "r+") as file:
            del file[place].attrs[name]
        integrity.seal(folder / NAME)
        accepted(folder / NAME)
