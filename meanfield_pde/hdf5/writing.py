"""Writing a record: whole or not at all, and sealed by a checksum."""

from __future__ import annotations

import io
import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from meanfield_pde import integrity
from meanfield_pde.errors import InputError
from meanfield_pde.files import replacing
from meanfield_pde.hdf5.names import BARE_DIMENSION, ENCODING, INTEGRITY, VERSION
from meanfield_pde.records import Record, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["write"]

_FORMAT = ("v110", "v110")  # its tables carry checksums, and HDF5 1.10 of 2016 reads it
_SMALL, _CHUNK = 2**16, 2**20  # bytes: arrays stored in one piece, and the size of a chunk of the others


def write(record: Record, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a record, whole or not at all; the errors are those of `Record.save`."""
    if VERSION not in record.attributes:
        raise InputError(f"{path}: a record needs the attribute {VERSION!r} to be saved")
    if INTEGRITY in {*record.variables, *record.groups, *record.sizes}:
        raise InputError(f"{path}: the name {INTEGRITY!r} in a record is taken by the checksum of the file")
    sealed = replace(record, groups={**record.groups, INTEGRITY: _seal()})
    with replacing(path, overwrite=overwrite) as temporary:
        _reserve(temporary, _bound(sealed))
        with h5py.File(temporary, "r+", libver=_FORMAT, track_order=True) as file:
            _write_group(file, sealed, {})
        integrity.seal(temporary)  # bytes within the file: this needs no more space


def _seal() -> Record:
    """Return the group of the checksum: an array in one piece, the bytes of the seal in their order."""
    what = "a mark of 32 bytes, and the SHA-256 of this file computed with zeros in place of the SHA-256"
    return Record({"sha256": Variable(("byte",), np.frombuffer(integrity.SEAL, np.uint8), what)})


def _reserve(path: Path, size: int) -> None:
    """Make an empty HDF5 file and claim the disk space for `size` bytes, which closing gives back.

    HDF5 ends the whole process when the disk fills up while it writes, so it must never come to that.
    """
    empty = io.BytesIO()
    h5py.File(empty, "w", libver=_FORMAT, track_order=True).close()
    with path.open("wb") as file:
        file.write(empty.getvalue())
        file.flush()
        os.posix_fallocate(file.fileno(), 0, size)


def _bound(record: Record) -> int:
    """Bytes that a record takes at most: numbers that do not compress, padded chunks, texts, tables."""
    texts = sum(len(str(text).encode()) + 256 for text in record.attributes.values())
    arrays = sum(_padded(variable.values) + 2**13 for variable in record.variables.values())
    indices = sum(8 * size + 2**13 for size in record.sizes.values())
    return 2**16 + texts + arrays + indices + sum(_bound(group) for group in record.groups.values())


def _padded(values: np.ndarray[Any, np.dtype[Any]]) -> int:
    """Bytes of an array in whole chunks, with what finds and checks each of them."""
    if values.nbytes <= _SMALL:
        return int(values.nbytes)
    chunk = _chunks(values)
    count = math.prod(-(-size // part) for size, part in zip(values.shape, chunk, strict=True))
    return int(count * (math.prod(chunk) * values.itemsize + 256))


def _write_group(group: h5py.Group, record: Record, outer: Mapping[str, h5py.Dataset]) -> None:
    group.attrs.update(record.attributes)
    for name, variable in record.variables.items():
        _write_dataset(group, name, variable)
    scales = dict(outer)
    for name, size in record.sizes.items():
        if name in record.variables:
            scales[name] = group[name]
            group[name].make_scale(name)
        elif name not in outer or outer[name].size != size:
            index = Variable((name,), np.arange(size), f"index of {name}")
            scales[name] = _write_dataset(group, name, index)
            scales[name].make_scale(f"{BARE_DIMENSION.decode()}{size:10d}")
    for name, variable in record.variables.items():
        if variable.dims != (name,):
            for axis, dimension in enumerate(variable.dims):
                group[name].dims[axis].attach_scale(scales[dimension])
    for name, inner in record.groups.items():
        _write_group(group.create_group(name, track_order=True), inner, scales)


def _write_dataset(group: h5py.Group, name: str, variable: Variable) -> h5py.Dataset:
    text, truth = (variable.values.dtype.kind == kind for kind in "Ub")
    values = _encoded(variable.values) if text else variable.values
    storage: dict[str, Any] = {}
    if values.nbytes > _SMALL:
        storage = {"chunks": _chunks(values), "compression": "gzip", "compression_opts": 1}
        storage |= {"shuffle": True, "fletcher32": True}
    stored = h5py.string_dtype("utf-8", values.itemsize) if text else "i1" if truth else values.dtype
    dataset = group.create_dataset(name, data=values.astype(stored), dtype=stored, **storage)
    dataset.attrs["long_name"] = variable.long_name
    dataset.attrs["units"] = variable.units
    if truth:
        dataset.attrs["dtype"] = "bool"  # as xarray marks it; netCDF has no boolean numbers
    if text:
        dataset.attrs.create(*ENCODING)
    return dataset


def _encoded(texts: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """Texts as UTF-8 in fields of equal length, of one byte at least."""
    encoded = np.char.encode(texts, ENCODING[1])
    return encoded.astype(f"S{max(encoded.itemsize, 1)}")


def _chunks(values: np.ndarray[Any, np.dtype[Any]]) -> tuple[int, ...]:
    """Cut along the first axes, so that the state at one depth is read without the others."""
    shape = list(values.shape)
    for axis, size in enumerate(shape):
        rest = math.prod(shape[axis + 1 :]) * values.itemsize
        pieces = -(-size // max(1, _CHUNK // rest))
        shape[axis] = -(-size // pieces)  # even pieces: the last one is padded, and padding takes space
        if rest <= _CHUNK:
            break
    return tuple(shape)
