"""Records: what is saved comes back bit by bit, and what is damaged or foreign is refused in one sentence."""

import builtins
import os
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from meanfield_pde import integrity
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import check_target
from meanfield_pde.hdf5 import writing
from meanfield_pde.records import SOLUTION, Record, Variable, read
from tests.damage import CONTENTS, EDITS, at, edit, has, last, rewrite, silent, without

from .example_records import example

ANY = {}  # no dataset is required


def small(**variables):
    return Record(
        variables, {"meanfield_pde_version": "0.1.0", "title": "Größe ρ", "empty": "", "w1": 0.25, "n": 3}
    )


@pytest.fixture
def saved(tmp_path):
    example(4, 3, 16).save(tmp_path / "a.h5")
    return tmp_path / "a.h5"


def assert_same(one, two):
    assert list(one.variables) == list(two.variables)
    for name, variable in one.variables.items():
        other = two.variables[name]
        assert (variable.dims, variable.long_name, variable.units) == (
            other.dims,
            other.long_name,
            other.units,
        )
        assert (variable.values.dtype, variable.values.shape) == (other.values.dtype, other.values.shape)
        assert variable.values.tobytes() == other.values.tobytes()
    assert {k: (type(v), repr(v)) for k, v in one.attributes.items()} == {
        k: (type(v), repr(v)) for k, v in two.attributes.items()
    }  # so that nan is nan
    assert list(one.groups) == list(two.groups)
    for name, group in one.groups.items():
        assert_same(group, two.groups[name])


def with_group():
    limit = Record(
        {
            "map": Variable(("aux",), np.linspace(0, 1, 4), "map T", "rad"),
            "stable": Variable(("aux",), np.array([True, False, True, True]), "whether stable"),
            "atoms": Variable(("aux", "rank"), np.ones((4, 3), dtype=np.int32), "atoms"),
            "residual": Variable((), np.float64(1e-12), "residual"),
        },
        {"w1": np.float32(0.5), "count": np.int64(7), "yes": np.True_},
    )
    return replace(example(4, 3, 16), groups={"more": limit})


def test_round_trip_is_exact(tmp_path):
    record = with_group()
    record.save(tmp_path / "a.h5")
    assert_same(record, read(tmp_path / "a.h5"))


@pytest.mark.parametrize("shape", [(7, 300, 64), (2, 3, 70_000), (40_000, 1, 3), (1, 1, 300_000)])
def test_large_incompressible_arrays(tmp_path, shape):
    values = np.random.default_rng(0).standard_normal(shape)
    record = small(x=Variable(("time", "aux", "token"), values, "x"))
    record.save(tmp_path / "a.h5")
    assert read(tmp_path / "a.h5", ANY)["x"].tobytes() == values.tobytes()
    # The space that is claimed beforehand is what keeps a full disk from ending the process.
    assert (tmp_path / "a.h5").stat().st_size <= writing._bound(record)
    with h5py.File(tmp_path / "a.h5") as file:
        assert 8 * np.prod(file["x"].chunks) <= writing._CHUNK
        assert (file["x"].compression, file["x"].shuffle, file["x"].fletcher32) == ("gzip", True, True)


@pytest.mark.parametrize("values", [np.zeros((0, 2)), np.arange(6, dtype=">f8").reshape(3, 2)[:, ::-1]])
def test_odd_arrays(tmp_path, values):
    small(x=Variable(("a", "b"), values, "x")).save(tmp_path / "a.h5")
    np.testing.assert_array_equal(read(tmp_path / "a.h5", ANY)["x"], values)


def test_texts_come_back_and_are_texts_for_xarray(tmp_path):
    xarray = pytest.importorskip("xarray")
    kinds = Variable(("kind",), np.array(["none", "größer", "ρ"]), "kind of encoding")
    reasons = Variable(("kind", "seed"), np.array([["", "no limit"], ["", ""], ["", ""]]), "reason")
    record = small(kind=kinds, reason=reasons, nothing=Variable(("kind",), np.array([""] * 3), "empty"))
    record.save(tmp_path / "a.h5")
    assert_same(record, read(tmp_path / "a.h5", ANY))
    with pytest.raises(InputError, match="'reason' must hold numbers, found texts"):
        read(tmp_path / "a.h5", {"reason": ("kind", "seed")})
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        assert dataset.reason.sel(kind="none").values.tolist() == ["", "no limit"]


def test_texts_longer_than_an_attribute_block(tmp_path):
    record = Record(
        {}, {"meanfield_pde_version": "0", "configuration": "ρ" * 200_000} | {f"a{i}": i for i in range(50)}
    )
    record.save(tmp_path / "a.h5")
    assert_same(record, read(tmp_path / "a.h5", ANY))


def test_xarray_opens_it_as_it_is(tmp_path):
    xarray = pytest.importorskip("xarray")
    record = with_group()
    record.save(tmp_path / "a.h5")
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf") as dataset:
        xarray.testing.assert_identical(dataset.load(), record.to_xarray())
        assert dataset.density.dims == ("time", "aux", "token")
        assert dataset.density.sel(time=20.0, method="nearest").shape == (4, 16)
        assert set(dataset.coords) == {"time", "aux", "token", "component"}
        assert dataset.token.attrs == {"long_name": "angle of the token", "units": "rad"}
    with xarray.open_dataset(tmp_path / "a.h5", engine="h5netcdf", group="more") as dataset:
        xarray.testing.assert_identical(dataset.load(), record.groups["more"].to_xarray())


def test_every_dataset_is_described_and_scaled(saved):
    with h5py.File(saved) as file:
        for name in example(4, 3, 16).variables:
            dataset = file[name]
            assert isinstance(dataset.attrs["long_name"], str)
            assert isinstance(dataset.attrs["units"], str)
            if not dataset.is_scale:
                assert [axis[0].name for axis in dataset.dims] == [
                    f"/{d}" for d in example(4, 3, 16).variables[name].dims
                ]


def test_without_xarray(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "xarray":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install \"meanfield-pde\[xarray\]\""):
        example(2, 2, 8).to_xarray()


# Writing: whole or not at all


def test_an_existing_file_is_kept(saved):
    before = saved.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        small().save(saved)
    assert saved.read_bytes() == before
    small().save(saved, overwrite=True)
    assert read(saved, ANY).attributes["n"] == 3
    assert list(saved.parent.iterdir()) == [saved]


def test_a_link_stays_a_link(saved):
    link = saved.with_name("link.h5")
    link.symlink_to(saved)
    small().save(link, overwrite=True)
    assert link.is_symlink()
    assert read(saved, ANY).attributes["n"] == 3


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, MemoryError, OSError("no more space"), RuntimeError("broken")]
)
def test_a_failure_leaves_nothing(saved, monkeypatch, error):
    before = saved.read_bytes()
    calls = []

    def fail(*args):
        calls.append(args)
        if len(calls) == 3:
            raise error
        return original(*args)

    original = writing._write_dataset
    monkeypatch.setattr(writing, "_write_dataset", fail)
    with pytest.raises(
        ComputationError
        if isinstance(error, OSError)
        else type(error)
        if isinstance(error, Exception)
        else error
    ):
        example(4, 3, 16).save(saved, overwrite=True)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


FULL_DISK = """
import resource, signal, sys
import numpy as np
from meanfield_pde.errors import ComputationError
from meanfield_pde.records import Record, Variable
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
numbers = Variable(("a",), np.random.default_rng(0).random(100_000), "x")
record = Record({"x": numbers}, {"meanfield_pde_version": "0"})
for limit in (0, 500, 100_000, 790_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        record.save(sys.argv[1], overwrite=True)
    except ComputationError as error:
        assert "could not be written" in str(error)
    else:
        raise AssertionError(limit)
"""


def test_no_room_for_the_file(saved):
    before = saved.read_bytes()
    subprocess.run([sys.executable, "-c", FULL_DISK, str(saved)], check=True, timeout=60)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "folder or a device"),
        ("none/a.h5", "does not exist"),
        ("a\0b", "cannot be a file name"),
        ("x" * 300, "cannot be a file name"),
        ("loop", "cannot be a file name|does not exist"),
        ("/dev/null", "folder or a device"),
    ],
)
def test_targets_that_cannot_be(tmp_path, name, message):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match=message):
        check_target(tmp_path / name, overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_closed_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"):
        check_target(tmp_path / "a.h5")


# Reading: what is damaged or foreign


def shortened(part):
    return lambda path: os.truncate(path, int(path.stat().st_size * part))


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("time,density\n"),
    "zip": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(200)),
    "nearly empty": shortened(0.02),
    "half": shortened(0.5),
    "last bytes missing": shortened(0.99),
}


def refused(path, word):
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert word in str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_are_refused(saved, damage):
    damage(saved)
    refused(saved, "is not an HDF5 file" if saved.read_bytes()[:4] != b"\x89HDF" else "checksum")


@pytest.mark.parametrize(("change", "word"), EDITS.values(), ids=EDITS)
def test_edited_files_are_refused(saved, change, word):
    """By their checksum; and where that was made to fit, by what they hold."""
    edit(saved, change, sealed=False)
    refused(saved, "checksum does not fit")
    integrity.seal(saved)
    refused(saved, word)


@pytest.mark.parametrize(("change", "word"), CONTENTS.values(), ids=CONTENTS)
def test_contents_that_no_solution_has_are_refused(saved, change, word):
    rewrite(saved, change)
    refused(saved, word)


LEGAL = {
    "nothing changed": lambda record: record,
    "energy not defined": has(free_energy=lambda values: np.nan * values),
    "direction not defined": has(conditional_mean=at(0, np.nan)),
    "single precision": has(density=lambda values: values.astype(np.float32)),
    "negative by rounding": has(order_parameter=at(0, -1e-17)),
    "last state alone": last(1),
    "mass lost and said so": lambda record: has(
        density=1.01 * record["density"],
        marginal=1.01 * record["marginal"],
        mass_error=np.full(3, 0.0101),
    )(record),
    "no means": without("conditional_mean"),
    "no period": silent("period"),
}


@pytest.mark.parametrize("change", LEGAL.values(), ids=LEGAL)
def test_contents_that_a_solution_may_have(saved, change):
    rewrite(saved, change)
    assert read(saved)["time"].size == 3


@pytest.mark.parametrize("name", ["none.h5", ".", "a\0"])
def test_no_file(tmp_path, name):
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / name)


def test_an_unknown_dataset_is_named(saved):
    with pytest.raises(InputError, match="no dataset 'densty', only time, aux"):
        read(saved)["densty"]


def test_a_file_of_another_kind_is_read_with_its_own_requirements(tmp_path):
    small(fold=Variable(("branch",), np.zeros(2), "fold")).save(tmp_path / "a.h5")
    assert "fold" in read(tmp_path / "a.h5", {"fold": ("branch",)})
    with pytest.raises(InputError, match="no dataset time, aux"):
        read(tmp_path / "a.h5", SOLUTION)


# Construction


@pytest.mark.parametrize(
    "build",
    [
        lambda: Variable(("a",), np.zeros((2, 2)), "x"),
        lambda: Variable(("a", "a"), np.zeros((2, 2)), "x"),
        lambda: Variable(("a",), np.array([b"bytes"]), "x"),
        lambda: Variable(("a",), np.array(["te\0xt"]), "x"),
        lambda: Variable(("a",), np.array([1j]), "x"),
        lambda: Variable(("a",), np.zeros(1), "\0"),
        lambda: small(x=Variable(("a",), np.zeros(2), "x"), y=Variable(("a",), np.zeros(3), "y")),
        lambda: small(a=Variable(("b",), np.zeros(2), "a"), x=Variable(("a",), np.zeros(2), "x")),
        lambda: small(**{"a/b": Variable((), np.zeros(()), "x")}),
        lambda: small(x=Variable(("a b",), np.zeros(2), "x")),
        lambda: Record({}, {"x": [1, 2]}),
        lambda: Record({}, {"x": None}),
        lambda: Record({}, {"x": 2**70}),
        lambda: Record({}, {"x": "\ud800"}),
        lambda: Record({"x": Variable((), np.zeros(()), "x")}, {}, {"x": Record({})}),
        lambda: Record({}).save("never.h5"),
    ],
)
def test_what_cannot_be_stored_is_refused(build):
    with pytest.raises(InputError):
        build()
