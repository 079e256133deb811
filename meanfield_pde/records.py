"""What a computation leaves: named arrays with dimensions, a description of each, and attributes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents import LAST_ONLY, SOLUTION, check, check_numbers
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SOLUTION", "Attribute", "Record", "Variable", "read"]

Attribute = str | float | int

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True, eq=False)
class Variable:
    """An array of real, integer or boolean numbers, or of texts, whose axes have names.

    Parameters
    ----------
    dims
        The name of each axis. A variable named as its only dimension is the coordinate of that dimension.
    values
        The numbers or texts; no dimension: a single one.
    long_name
        What it is, for people: the label of an axis.
    units
        The unit, ``"1"`` for pure numbers. Not ``"s"``, ``"days"``...: xarray makes time differences of them.

    Raises
    ------
    InputError
        The array has another number of axes than `dims`, or holds neither numbers nor texts.
    """

    dims: tuple[str, ...]
    values: np.ndarray[Any, np.dtype[Any]]
    long_name: str
    units: str = "1"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dims", tuple(self.dims))
        object.__setattr__(self, "values", np.asarray(self.values))
        if self.values.ndim != len(self.dims) or len(set(self.dims)) != len(self.dims):
            raise InputError(
                f"variable ({self.long_name}): every axis must have its own name, "
                f"got shape {self.values.shape} and dimensions {self.dims}"
            )
        if self.values.dtype.kind not in "fiubU":
            raise InputError(f"variable ({self.long_name}): must hold real numbers, got {self.values.dtype}")
        texts = self.values.ravel().tolist() if self.values.dtype.kind == "U" else ()
        for text in (self.long_name, self.units, *texts):
            _check_text(text, f"variable ({self.long_name!r})")


@dataclass(frozen=True, eq=False)
class Record:
    """Variables that share their dimensions, attributes, and further records as groups.

    ``record["density"]`` is the array of a variable.

    Parameters
    ----------
    variables
        By name: a letter, then letters, digits and underscores.
    attributes
        Texts and numbers. The attributes of a record that is saved hold at least ``meanfield_pde_version``.
    groups
        Records within this one. They may use its dimensions and add their own.

    Raises
    ------
    InputError
        A name is not allowed, a dimension has two sizes, or an attribute is neither text nor number.
    """

    variables: Mapping[str, Variable]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    groups: Mapping[str, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "variables", dict(self.variables))
        object.__setattr__(self, "attributes", {name: _plain(name, a) for name, a in self.attributes.items()})
        object.__setattr__(self, "groups", dict(self.groups))
        sizes = self.sizes
        for name in (*self.variables, *self.attributes, *self.groups, *sizes):
            if not _NAME.fullmatch(name):
                raise InputError(f"record: a name must be a letter, then letters, digits and _, got {name!r}")
        for name in self.groups:
            if name in self.variables or name in sizes:
                raise InputError(f"record: the group {name!r} has the name of a variable or dimension")
        for name, variable in self.variables.items():
            if name in sizes and variable.dims != (name,):
                raise InputError(
                    f"record: {name!r} is a dimension, so it must be its coordinate, got {variable.dims}"
                )

    def __getitem__(self, name: str) -> np.ndarray[Any, np.dtype[Any]]:
        """Return the values of a variable; InputError if there is none of that name."""
        if name not in self.variables:
            raise InputError(
                f"record: there is no dataset {name!r}, only {', '.join(self.variables) or 'none at all'}"
            )
        return self.variables[name].values

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a variable of that name."""
        return name in self.variables

    @property
    def sizes(self) -> dict[str, int]:
        """The size of every dimension; InputError where two variables differ."""
        sizes: dict[str, int] = {}
        for name, variable in self.variables.items():
            for dimension, size in zip(variable.dims, variable.values.shape, strict=True):
                if sizes.setdefault(dimension, size) != size:
                    raise InputError(
                        f"record: dimension {dimension!r} has size {size} in {name!r} "
                        f"and {sizes[dimension]} elsewhere"
                    )
        return sizes

    def require(self, datasets: Mapping[str, tuple[str, ...]]) -> None:
        """Raise InputError unless the record holds these datasets with these dimensions."""
        missing = [name for name in datasets if name not in self.variables]
        if missing:
            raise InputError(
                f"no dataset {', '.join(missing)}; there are {', '.join(self.variables) or 'none'}"
            )
        for name, dims in datasets.items():
            found = self.variables[name].dims
            if found not in (dims, _last_only(name, dims)):
                raise InputError(f"dataset {name!r} must have the dimensions {dims}, found {found}")

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write an HDF5 file, whole or not at all, with a checksum of all its bytes.

        Raises
        ------
        InputError
            The file exists and `overwrite` is false, or its folder is missing or closed.
            The record has no attribute ``meanfield_pde_version``, or something named ``integrity``.
        ComputationError
            The file could not be written (full disk, input/output error); what was there is untouched.
        """
        from meanfield_pde import hdf5

        hdf5.write(self, path, overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return the variables as an xarray.Dataset that shares their memory (groups: one by one).

        Raises
        ------
        InputError
            xarray is not installed.
        """
        try:
            import xarray
        except ImportError as error:
            raise InputError('to_xarray needs xarray: pip install "meanfield-pde[xarray]"') from error
        arrays = {
            name: xarray.Variable(v.dims, v.values, {"long_name": v.long_name, "units": v.units})
            for name, v in self.variables.items()
        }
        coordinates = {name: arrays.pop(name) for name in self.sizes if name in arrays}
        return xarray.Dataset(arrays, coordinates, dict(self.attributes))


def read(path: str | Path, required: Mapping[str, tuple[str, ...]] | None = None) -> Record:
    """Read a file that `Record.save` wrote.

    Parameters
    ----------
    path
        The HDF5 file.
    required
        The datasets that it must hold, with their dimensions, whatever its kind. By default the attribute
        ``kind`` says what it holds: a solution (also where there is no such attribute), a limit, or a
        bifurcation diagram, whose datasets must agree with each other.

    Raises
    ------
    InputError
        The file is missing, damaged, of another program, lacks what is required, or contradicts itself.
    """
    from meanfield_pde import hdf5

    record = hdf5.read(path)
    try:
        if required is None:
            check(record)
        else:
            record.require(required)
            check_numbers(record, required)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return record


def _last_only(name: str, dims: tuple[str, ...]) -> tuple[str, ...]:
    """Dimensions of a dataset that may hold the last state alone."""
    return ("state", *dims[1:]) if name in LAST_ONLY else dims


def _plain(name: str, value: Any) -> Attribute:
    """Turn a numpy scalar into a Python one, and refuse what HDF5 cannot hold."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, bool):
        plain = int(plain)
    if isinstance(plain, int) and not -(2**63) <= plain < 2**63:
        raise InputError(f"attribute {name!r}: must fit into 64 bits, got {plain}")
    if not isinstance(plain, str | float | int):
        raise InputError(f"attribute {name!r}: must be a text or a number, got {value!r}")
    if isinstance(plain, str):
        _check_text(plain, f"attribute {name!r}")
    return plain


def _check_text(text: str, what: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"{what}: text must be proper Unicode without the character 0, got {text!r}")
