"""Arrays from data files: found beside the configuration or shipped, checked before anybody uses them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meanfield_pde import shipped
from meanfield_pde.config.memory import available_memory
from meanfield_pde.config.messages import nearest, quoted
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["find_file", "read_table", "table_shape"]

TEXT = {".csv": ",", ".txt": None}
"""Separator of columns by suffix; ``None`` is any white space."""


def find_file(name: str, source: Path | None, what: str = "file") -> Path:
    """Find a data file: relative to the folder of the configuration, else among the shipped data.

    Parameters
    ----------
    name
        As the configuration gives it.
    source
        File of the configuration; without one, the current folder counts.
    what
        What the message of an error begins with: file, table and key.

    Raises
    ------
    InputError
        There is no such file in either place.
    """
    folder = source.parent if source is not None else Path()
    beside = folder / Path(name).expanduser()
    if beside.is_file():
        return beside
    if beside.is_dir():
        raise InputError(f"{what}: must be a file, is a folder, got {quoted(name)}")
    own = shipped.data_file(name)
    if own is not None:
        return own
    close = nearest(name, shipped.data_names())
    hint = f'; did you mean the shipped file "{close}"?' if close else ""
    raise InputError(
        f"{what}: no such file beside the configuration or among the shipped data, got {quoted(name)}{hint}"
    )


def read_table(
    path: Path, dataset: str | None, what: str, *, infinite_below: bool = False, most: int = 2
) -> NDArray[np.float64]:
    """Array of one to ``most`` dimensions from an HDF5 dataset, a .npy file or a text table.

    Parameters
    ----------
    path
        HDF5 file, .npy file (without pickled objects), .csv (commas) or .txt (white space).
    dataset
        Name of the dataset: needed for HDF5, meaningless otherwise.
    what
        What the message of an error begins with: file, table and key.
    infinite_below
        Accept -inf, as the bias of a pair that does not see each other.

    Raises
    ------
    InputError
        The file cannot be read, holds no such dataset, or holds anything else than finite real numbers.
    """
    import numpy as np

    raw = _read_text_or_npy(path, dataset, what) if _is_plain(path) else _read_hdf5(path, dataset, what)
    _check_kind(raw.dtype, raw.shape, path, what)
    if raw.ndim > most:
        raise _misshapen(raw.shape, path, what)
    table = np.ascontiguousarray(raw, dtype=np.float64)
    accepted = np.isfinite(table) | (np.isneginf(table) if infinite_below else False)
    if not accepted.all():
        first = tuple(int(index) for index in np.argwhere(~accepted)[0])
        number = "finite numbers or -inf" if infinite_below else "finite numbers"
        raise InputError(
            f"{what}: must hold {number}, {path.name} has {table[first]} at {list(first)} (from 0)"
        )
    return table


def table_shape(path: Path, dataset: str | None, what: str) -> tuple[int, ...]:
    """Shape of what ``read_table`` would give; an HDF5 dataset is not read for it."""
    if _is_plain(path):
        return read_table(path, dataset, what).shape
    with _open(path, what) as file:
        found = _dataset(file, dataset, path, what)
        _check_kind(found.dtype, found.shape, path, what)
        return tuple(found.shape)


def _is_plain(path: Path) -> bool:
    return path.suffix.lower() in {".npy", *TEXT}


def _check_kind(dtype: np.dtype[np.generic], shape: tuple[int, ...] | None, path: Path, what: str) -> None:
    if dtype.kind not in "iuf":
        raise InputError(f"{what}: must hold real numbers, {path.name} holds {dtype}")
    if shape is None or len(shape) not in {1, 2, 3} or 0 in shape:
        raise _misshapen(shape, path, what)


def _misshapen(shape: tuple[int, ...] | None, path: Path, what: str) -> InputError:
    found = "nothing" if shape is None else f"the shape {shape}"
    return InputError(f"{what}: must have one or two dimensions and no empty one, {path.name} has {found}")


def _read_text_or_npy(path: Path, dataset: str | None, what: str) -> NDArray[np.generic]:
    import warnings

    import numpy as np

    if dataset is not None:
        raise InputError(
            f"{what}: dataset has no effect with {path.name}, which is no HDF5 file; got {quoted(dataset)}"
        )
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # an empty file warns and gives an empty array, refused by its shape
            return np.loadtxt(path, delimiter=TEXT[path.suffix.lower()], encoding="utf-8", ndmin=1)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{what}: cannot read {path.name}: {error}") from None


def _open(path: Path, what: str) -> h5py.File:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError:
        raise InputError(
            f"{what}: {path.name} is not an HDF5 file that can be read (other formats: .npy, .csv, .txt)"
        ) from None


def _read_hdf5(path: Path, dataset: str | None, what: str) -> NDArray[np.generic]:
    import numpy as np

    with _open(path, what) as file:
        found = _dataset(file, dataset, path, what)
        if found.size is not None and 8 * found.size > available_memory():
            raise InputError(f"{what}: {path.name} holds {found.shape} numbers, more than fit in memory")
        try:
            return np.asarray(found[()])
        except OSError as error:
            raise InputError(f"{what}: cannot read {path.name}: {error}") from None


def _dataset(file: h5py.File, name: str | None, path: Path, what: str) -> h5py.Dataset:
    import h5py

    names: list[str] = []
    file.visititems(lambda key, entry: names.append(key) if isinstance(entry, h5py.Dataset) else None)
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    place = _dataset_key(what)
    if name is None:
        raise InputError(f"{place}: is required for an HDF5 file and is missing; {path.name} holds: {listed}")
    if name.strip("/") not in names:
        close = nearest(name, names)
        hint = f' (did you mean "{close}"?)' if close else ""
        raise InputError(f"{place}: {path.name} holds {listed or 'no dataset'}{hint}, got {quoted(name)}")
    return file[name]


def _dataset_key(what: str) -> str:
    """Name of the key that names the dataset, beside the key that names the file."""
    if what.endswith("dataset"):
        return what
    return f"{what.removesuffix('file')}dataset" if what.endswith("file") else f"{what}_dataset"
