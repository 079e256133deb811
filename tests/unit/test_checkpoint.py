"""What goes into a checkpoint comes out again; what is damaged is refused."""

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from meanfield_pde import checkpoint
from meanfield_pde.errors import InputError
from meanfield_pde.records import Record, Variable, read

from .example_records import example

SOLUTION = example(nodes=2, resolution=16, depths=3)
DTYPES = st.sampled_from(["<f8", "<f4", "<i8", "<i4", "<u8", "|u1", "|b1", "<c16", ">f8"])
ARRAYS = DTYPES.flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
NUMBERS = st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats() | st.text(max_size=8)
# Words of the format itself are keys like any other.
KEYS = st.text(max_size=6) | st.sampled_from(["array", "table"])
CONTENTS = st.dictionaries(
    KEYS,
    st.recursive(
        ARRAYS | NUMBERS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def equal(first, second):
    """Same structure, types and bits; NaN equals NaN."""
    if isinstance(first, np.ndarray):
        alike = isinstance(second, np.ndarray) and first.dtype == second.dtype and first.shape == second.shape
        return alike and first.tobytes() == second.tobytes()
    if isinstance(first, dict):
        alike = isinstance(second, dict) and list(first) == list(second)
        return alike and all(equal(value, second[key]) for key, value in first.items())
    if isinstance(first, list):
        alike = isinstance(second, list) and len(first) == len(second)
        return alike and all(equal(*pair) for pair in zip(first, second, strict=True))
    if isinstance(first, float) and np.isnan(first):
        return isinstance(second, float) and bool(np.isnan(second))
    return type(first) is type(second) and (first == second) and str(first) == str(second)


@given(content=CONTENTS)
def test_everything_comes_back_bit_by_bit(content):
    assert equal(checkpoint.unpack(checkpoint.pack(content)), content)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=CONTENTS)
def test_everything_comes_back_from_a_file(content, tmp_path):
    path = tmp_path / "checkpoint.h5"
    groups = {checkpoint.GROUP: checkpoint.pack(content)}
    replace(SOLUTION, groups=groups).save(path, overwrite=True)
    assert equal(checkpoint.unpack(read(path).groups[checkpoint.GROUP]), content)


def test_tuples_and_numpy_numbers_become_plain():
    content = {"pair": (1, 2.5), "count": np.int64(3), "size": np.float64(0.1), "yes": np.bool_(True)}
    assert checkpoint.unpack(checkpoint.pack(content)) == {
        "pair": [1, 2.5],
        "count": 3,
        "size": 0.1,
        "yes": True,
    }


def test_an_array_that_occurs_twice_is_kept_once():
    large = np.random.default_rng(0).random(1000)
    record = checkpoint.pack({"first": large, "deep": [{"second": large}], "view": large[:]})
    assert record["data"].size == 2 * large.nbytes  # the view is another object
    back = checkpoint.unpack(record)
    assert back["first"] is back["deep"][0]["second"]
    assert np.array_equal(back["view"], large)


def test_arrays_that_are_not_contiguous_and_those_that_come_back_are_writable():
    table = np.arange(12.0).reshape(3, 4)
    back = checkpoint.unpack(checkpoint.pack({"turned": table.T, "every": table[:, ::2]}))
    assert np.array_equal(back["turned"], table.T)
    assert np.array_equal(back["every"], table[:, ::2])
    back["turned"][0, 0] = 7.0
    assert table[0, 0] == 0.0


def variable(data):
    return Variable(("byte",), np.frombuffer(data, np.uint8), "bytes")


def texts(value):
    return variable(json.dumps(value).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"content": texts([1, 2])},
        {"content": texts({"table": {"x": {"array": 7}}})},
        {"content": texts({"table": {"x": {"array": "0"}}})},
        {"content": texts({"table": 3})},
        {"content": texts({"neither": {}})},
        {"content": variable(b'{"table": {"x"')},
        {"content": variable(b"\xff\xfe\x00")},
        {"arrays": texts([[[3], "<f8"], [[9], "<f8"]])},
        {"arrays": texts([[[3], "no type"]])},
        {"arrays": texts([[[-3], "<f8"]])},
        {"arrays": texts([[[10**9, 10**9], "<f8"]])},
        {"arrays": texts([[[3], "O"]])},
        {"arrays": texts([3])},
        {"data": variable(b"\x00" * 23)},
        {"data": None},
        {"content": None},
    ],
)
def test_damaged_content_is_refused(change):
    record = checkpoint.pack({"x": np.arange(3.0)})
    parts = {name: part for name, part in ({**record.variables, **change}).items() if part is not None}
    with pytest.raises(InputError, match="the checkpoint cannot be read"):
        checkpoint.unpack(Record(parts))


@given(content=CONTENTS, seed=st.integers(0, 2**32 - 1))
def test_any_flipped_byte_is_refused_or_read(content, seed):
    """No other error than InputError; that flipped numbers are not read is for the checksum of the file."""
    rng = np.random.default_rng(seed)
    record = checkpoint.pack(content)
    name = str(rng.choice(["content", "arrays"]))
    values = record[name].copy()
    values[rng.integers(values.size)] ^= np.uint8(rng.integers(1, 256))
    damaged = dict(record.variables) | {name: variable(values.tobytes())}
    with suppress(InputError):
        checkpoint.unpack(Record(damaged))
