"""Records as HDF5 files, with dimension scales as netCDF-4 and xarray expect them."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from meanfield_pde.errors import InputError
from meanfield_pde.files import replacing
from meanfield_pde.records import Attribute, Record, Variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["read", "write"]

_MARK = "meanfield_pde_version"  # the attribute by which a file of this program is known
_INTERNAL = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS"}
_BARE_DIMENSION = b"This is a netCDF dimension but not a netCDF variable."
_FORMAT = ("v110", "v110")  # its tables carry checksums, and HDF5 1.10 of 2016 reads it
_SMALL, _CHUNK = 2**16, 2**20  # bytes: arrays stored in one piece, and the size of a chunk of the others
_DEPTH = 8  # groups within groups: more is a loop or an attack


def write(record: Record, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a record, whole or not at all; the errors are those of `Record.save`."""
    if _MARK not in record.attributes:
        raise InputError(f"{path}: a record needs the attribute {_MARK!r} to be saved")
    with replacing(path, overwrite=overwrite) as temporary:
        _reserve(temporary, _bound(record))
        with h5py.File(temporary, "r+", libver=_FORMAT, track_order=True) as file:
            _write_group(file, record, {})


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
            scales[name].make_scale(f"{_BARE_DIMENSION.decode()}{size:10d}")
    for name, variable in record.variables.items():
        if variable.dims != (name,):
            for axis, dimension in enumerate(variable.dims):
                group[name].dims[axis].attach_scale(scales[dimension])
    for name, inner in record.groups.items():
        _write_group(group.create_group(name, track_order=True), inner, scales)


def _write_dataset(group: h5py.Group, name: str, variable: Variable) -> h5py.Dataset:
    values = variable.values
    truth = values.dtype.kind == "b"
    storage: dict[str, Any] = {}
    if values.nbytes > _SMALL:
        storage = {"chunks": _chunks(values), "compression": "gzip", "compression_opts": 1}
        storage |= {"shuffle": True, "fletcher32": True}
    dataset = group.create_dataset(name, data=values.astype("i1") if truth else values, **storage)
    dataset.attrs["long_name"] = variable.long_name
    dataset.attrs["units"] = variable.units
    if truth:
        dataset.attrs["dtype"] = "bool"  # as xarray marks it; netCDF has no boolean numbers
    return dataset


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


def read(path: str | Path) -> Record:
    """Read a record.

    Raises
    ------
    InputError
        The file is missing, cannot be read, is damaged, or was not written by `write`.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            _check_origin(file)
            _check_memory(file)
            return _read_group(file)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    # What h5py raises on damaged files is not documented: any of these was seen.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise InputError(f"{path}: is damaged, or not an HDF5 file of meanfield-pde ({error})") from error


def _check_origin(file: h5py.File) -> None:
    if _MARK not in file.attrs:
        raise InputError(f"is not a file of meanfield-pde (no attribute {_MARK!r})")


def _check_memory(group: h5py.Group) -> None:
    """Refuse what cannot be held: a damaged header may claim any size."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    total = sum(math.prod(dataset.shape) * dataset.dtype.itemsize for _, dataset in _datasets(group, 0))
    if total > available:
        raise InputError(
            f"holds {total / 2**30:.3g} GiB, more than this computer's {available / 2**30:.3g} GiB"
        )


def _datasets(group: h5py.Group, depth: int) -> Iterator[tuple[str, h5py.Dataset]]:
    """All datasets, and nothing else there: no links to elsewhere, no other objects, no empty shells."""
    if depth > _DEPTH:
        raise InputError("groups are nested too deeply")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{name!r} is a link, not a dataset or group")
        found = group[name]
        if isinstance(found, h5py.Group):
            yield from _datasets(found, depth + 1)
        elif not isinstance(found, h5py.Dataset) or found.shape is None:
            raise InputError(f"{name!r} is neither a dataset nor a group")
        elif found.dtype.kind not in "fiu":
            raise InputError(f"dataset {name!r} must hold real numbers, found {found.dtype}")
        elif found.size and not found.id.get_storage_size():
            raise InputError(f"dataset {name!r} was never written")
        else:
            yield name, found


def _read_group(group: h5py.Group) -> Record:
    groups = {name: _read_group(item) for name, item in group.items() if isinstance(item, h5py.Group)}
    variables = {
        name: _read_dataset(name, item)
        for name, item in group.items()
        if isinstance(item, h5py.Dataset) and not _is_bare_dimension(item)
    }
    return Record(variables, _attributes(group), groups)


def _read_dataset(name: str, dataset: h5py.Dataset) -> Variable:
    attributes = _attributes(dataset)
    truth = attributes.get("dtype") == "bool"
    values = dataset[()].astype(dataset.dtype.newbyteorder("="), copy=False)
    dims = (name,) if dataset.is_scale else tuple(map(_dimension, dataset.dims, dataset.shape))
    return Variable(
        dims,
        values.astype(bool) if truth else values,
        str(attributes.get("long_name", name)),
        str(attributes.get("units", "1")),
    )


def _dimension(axis: Any, size: int) -> str:
    if len(axis) != 1 or axis[0].shape != (size,):
        raise InputError(f"every axis must have one dimension scale of its size, found {list(axis.values())}")
    return str(axis[0].name).rsplit("/", 1)[-1]


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Attribute]:
    names = [name for name in item.attrs if name not in _INTERNAL and not name.startswith("_")]
    return {name: _attribute(name, item.attrs[name]) for name in names}


def _attribute(name: str, value: Any) -> Attribute:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]  # netCDF libraries write numbers as arrays of length one
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode()
    if not isinstance(value, str | float | int):
        raise InputError(f"attribute {name!r} must be a text or a number, found {value!r}")
    return value


def _is_bare_dimension(dataset: h5py.Dataset) -> bool:
    return bool(dataset.is_scale) and h5py.h5ds.get_scale_name(dataset.id).startswith(_BARE_DIMENSION)
