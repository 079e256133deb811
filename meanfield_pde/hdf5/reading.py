"""Reading a record: nothing is parsed before the checksum fits, and only what `write` makes is taken."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from meanfield_pde import integrity
from meanfield_pde.errors import InputError
from meanfield_pde.hdf5.names import BARE_DIMENSION, ENCODING, INTEGRITY, VERSION
from meanfield_pde.records import Attribute, Record, Variable

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_INTERNAL = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS"}
_DEPTH = 8  # groups within groups: more is a loop or an attack


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
        _check_signature(Path(path))
        integrity.check(path)  # first: HDF5 itself is not safe against damaged files
        with h5py.File(path, "r") as file:
            _check_origin(file)
            _check_memory(file)
            record = _read_group(file)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it") from error
    # What h5py raises on damaged files is not documented: any of these was seen.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError) as error:
        raise InputError(f"{path}: is damaged, or not an HDF5 file of meanfield-pde ({error})") from error
    return replace(record, groups={name: group for name, group in record.groups.items() if name != INTEGRITY})


def _check_signature(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            raise InputError("is not an HDF5 file, or damaged at its beginning")


def _check_origin(file: h5py.File) -> None:
    if VERSION not in file.attrs:
        raise InputError(f"is not a file of meanfield-pde (no attribute {VERSION!r})")


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
        elif found.dtype.kind not in "fiuS":
            raise InputError(f"dataset {name!r} must hold real numbers or texts, found {found.dtype}")
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
    texts = [attributes.get(text) for text in ("long_name", "units")]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"dataset {name!r} must have the texts long_name and units, found {texts}")
    truth = attributes.get("dtype") == "bool"
    values = dataset[()].astype(dataset.dtype.newbyteorder("="), copy=False)
    values = np.char.decode(values, ENCODING[1]) if values.dtype.kind == "S" else values
    dims = (name,) if dataset.is_scale else tuple(map(_dimension, dataset.dims, dataset.shape))
    return Variable(dims, values.astype(bool) if truth else values, *map(str, texts))


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
    return bool(dataset.is_scale) and h5py.h5ds.get_scale_name(dataset.id).startswith(BARE_DIMENSION)
