"""The checksum: no changed, lost or added byte gets past it, and nothing else comes into its way."""

import hashlib
import secrets

import h5py
import numpy as np
import pytest

from meanfield_pde import integrity
from meanfield_pde.errors import InputError
from meanfield_pde.hdf5 import reading
from meanfield_pde.records import Record, Variable, read

from .example_records import example

DAMAGED = "checksum|not an HDF5 file"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A file with everything: compressed chunks, small arrays, texts, groups."""
    path = tmp_path_factory.mktemp("integrity") / "a.h5"
    record = example(6, 30, 64)
    state = Record({"state": Variable(("byte",), np.arange(256, dtype=np.uint8), "state")}, {"step": 3})
    Record(record.variables, record.attributes, {"checkpoint": state}).save(path)
    assert path.stat().st_size > 50_000
    return path.read_bytes()


@pytest.fixture
def refuse(tmp_path, monkeypatch):
    """Say that a file of these bytes is refused before HDF5 sees it."""

    def parsed(*_args):
        raise AssertionError("a damaged file was given to HDF5")

    def refused(content, words=DAMAGED):
        path = tmp_path / "a.h5"
        path.write_bytes(content)
        with monkeypatch.context() as patch:
            patch.setattr(reading.h5py, "File", parsed)
            with pytest.raises(InputError, match=words) as caught:
                read(path)
        assert str(caught.value).startswith(f"{path}: ")

    return refused


def flipped(content, places, bits):
    changed = bytearray(content)
    for place, bit in zip(places, bits, strict=True):
        changed[place] ^= bit
    return bytes(changed)


def seal_of(content):
    assert content.count(integrity.SEAL[:32]) == 1
    return content.index(integrity.SEAL[:32])


def test_the_digest_is_what_it_says(original):
    """Computed again from the description that is in the file."""
    place = seal_of(original) + 32
    blank = original[:place] + bytes(32) + original[place + 32 :]
    assert hashlib.sha256(blank).digest() == original[place : place + 32]


def test_the_whole_file_is_read_back(original, tmp_path):
    (tmp_path / "a.h5").write_bytes(original)
    record = read(tmp_path / "a.h5")
    assert record["density"].tobytes() == example(6, 30, 64)["density"].tobytes()
    assert list(record.groups) == ["checkpoint"]
    assert record.groups["checkpoint"]["state"].dtype == np.uint8


def test_every_byte_counts(original, refuse):
    """One bit: in the signature, all over the file (gaps included), and in each byte of the seal."""
    seal = seal_of(original)
    places = [*range(8), *range(8, len(original), len(original) // 400), *range(seal, seal + 64)]
    random = np.random.default_rng(1)
    for place in places:
        refuse(flipped(original, [place], [1 << random.integers(8)]))


@pytest.mark.parametrize("count", [2, 10, 1000])
def test_many_bytes(original, refuse, count):
    random = np.random.default_rng(count)
    for _ in range(20):
        places = random.choice(len(original), count, replace=False)
        refuse(flipped(original, places, random.integers(1, 256, count).tolist()))


def test_every_truncation(original, refuse):
    seal, size = seal_of(original), len(original)
    for length in {*range(64), *range(64, size, size // 200), *range(seal, seal + 65), size - 1}:
        refuse(original[:length])


@pytest.mark.parametrize("added", [b"\0", b"\xff" * 4096, integrity.SEAL])
def test_added_bytes(original, refuse, added):
    refuse(original + added)
    refuse(added + original)
    middle = len(original) // 2
    refuse(original[:middle] + added + original[middle:])


def test_pieces_of_two_files(original, refuse):
    refuse(original + original)
    other = flipped(original, [len(original) // 3], [1])
    refuse(original[: len(original) // 2] + other[len(original) // 2 :] + original)


def test_the_message_says_what_to_do(original, refuse):
    refuse(b"time,density\n", "is not an HDF5 file")
    refuse(
        flipped(original, [len(original) // 2], [1]), r"is damaged, or was changed .* checksum does not fit"
    )
    refuse(original[: seal_of(original)], "has no checksum .* solve again, or copy its datasets")


def test_files_of_other_programs(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["density"] = np.ones(3)
        file.attrs["meanfield_pde_version"] = "0.1.0"
    with pytest.raises(InputError, match="has no checksum"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize("shift", [0, 1, 31, 32, 33, 63, 64, 65, 2**20])
def test_the_seal_may_be_anywhere(tmp_path, shift):
    """Also across the blocks in which a file is read: the seal begins ``shift`` bytes before their border."""
    path = tmp_path / "x"
    path.write_bytes(secrets.token_bytes(2**20 - shift) + integrity.SEAL + secrets.token_bytes(2**20))
    integrity.seal(path)
    integrity.check(path)
    content = path.read_bytes()
    assert integrity.SEAL not in content
    path.write_bytes(flipped(content, [2**20 - 1], [1]))
    with pytest.raises(InputError):
        integrity.check(path)


@pytest.mark.parametrize("content", [b"", b"no seal", integrity.SEAL[:63], 2 * integrity.SEAL])
def test_what_cannot_be_sealed(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="must hold the mark of its checksum once"):
        integrity.seal(tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == content


def test_a_record_cannot_take_the_place_of_the_checksum(tmp_path):
    version = {"meanfield_pde_version": "0"}
    taken = Variable((), np.float64(1), "x")
    raw = Variable(("byte",), np.frombuffer(integrity.SEAL, np.uint8), "a seal of its own")
    for variables, groups in [
        ({"integrity": taken}, {}),
        ({}, {"integrity": Record({})}),
        ({"raw": raw}, {}),
    ]:
        with pytest.raises(InputError, match="checksum"):
            Record(variables, version, groups).save(tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_saving_twice(tmp_path):
    """The same record gives the same bytes; another record over it gives another file that is whole."""
    for name in ("a.h5", "b.h5"):
        example(4, 3, 16).save(tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    for _ in range(2):
        example(5, 3, 16).save(tmp_path / "a.h5", overwrite=True)
        assert read(tmp_path / "a.h5")["aux"].size == 5


def test_other_programs_open_it_without_a_word(original, tmp_path):
    """No warning (the suite turns them into errors), no further dimension or variable."""
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    path = tmp_path / "a.h5"
    path.write_bytes(original)
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        assert set(dataset.sizes) == {"time", "aux", "token", "component"}
        assert set(dataset.variables) == set(example(2, 2, 8).variables)
        xarray.testing.assert_identical(dataset.load(), read(path).to_xarray())
    with xarray.open_dataset(path, engine="h5netcdf", group="integrity") as dataset:
        assert dataset.sha256.dtype == np.uint8
        assert dataset.sha256.shape == (64,)
    integrity.check(path)  # reading with another program changes nothing
