"""Rules that the datasets and attributes of every kind of file obey."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = [
    "VISIBLE",
    "Datasets",
    "Dimensions",
    "check_attributes",
    "check_number",
    "check_numbers",
    "check_order",
    "together",
]

Dimensions = tuple[str, ...]

#: Axes and their ticks are computed without overflow up to here, far beyond any result.
LARGEST = 1e100

#: Contradictions below this cannot be seen in a figure; rounding in single precision is smaller.
VISIBLE = 1e-4


@dataclass(frozen=True)
class Datasets:
    """The datasets of a record, each with its dimensions, and what kind of numbers they hold.

    Parameters
    ----------
    required, optional
        Dimensions by name.
    counts, flags
        Datasets of integers; of integers that are 0 or 1. All others hold floating-point numbers.
    texts
        Datasets of texts.
    undefined
        Where NaN says that there is no such thing; infinity says nothing anywhere.
    needs
        Datasets without which another one cannot be there.
    """

    required: Mapping[str, Dimensions]
    optional: Mapping[str, Dimensions]
    counts: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    undefined: frozenset[str] = frozenset()
    needs: Mapping[str, Iterable[str]] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()

    def check(
        self, record: Record, laid_out: Callable[[Mapping[str, Dimensions]], Mapping[str, Dimensions]]
    ) -> None:
        """Raise InputError for datasets that are missing, of other dimensions or of other numbers.

        ``laid_out`` gives dimensions as they are on the token space of the record.
        """
        required = laid_out(self.required)
        record.require(required)
        optional = laid_out({name: dims for name, dims in self.optional.items() if name in record})
        record.require(optional)
        for name in (*required, *optional):
            self._check_type(name, record[name])
            if name not in self.texts:
                _check_finite(name, record[name], undefined=name in self.undefined)
            for other in self.needs.get(name, ()):
                if other not in record:
                    raise InputError(f"dataset {name!r} must come with {other!r}, which is missing")

    def _check_type(self, name: str, values: NDArray[Any]) -> None:
        if name in self.flags:
            if values.dtype.kind not in "iub" or not ((values == 0) | (values == 1)).all():
                raise InputError(f"dataset {name!r} must hold integers that are 0 or 1")
        elif name in self.texts:
            if values.dtype.kind != "U" or not values.size:
                raise InputError(f"dataset {name!r} must hold texts, found {values.dtype}")
        elif values.dtype.kind not in ("iu" if name in self.counts else "f"):
            kind = "integers" if name in self.counts else "floating-point numbers"
            raise InputError(f"dataset {name!r} must hold {kind}, found {values.dtype}")


def together(*names: str) -> dict[str, Iterable[str]]:
    """State for `Datasets.needs` that none of these is there without the others."""
    return dict.fromkeys(names, names)


def check_numbers(record: Record, required: Mapping[str, Dimensions]) -> None:
    """Raise InputError for empty datasets, and for coordinates, weights and densities that are not finite."""
    for name in required:
        if record[name].dtype.kind == "U":
            raise InputError(f"dataset {name!r} must hold numbers, found texts")
        defining = name in record.sizes or name.endswith(("_weight", "density", "marginal"))
        _check_finite(name, record[name], undefined=not defining)


def check_attributes(record: Record, required: Mapping[str, Any], optional: Mapping[str, Any]) -> None:
    """Raise InputError for attributes that are missing, or not of the type that is given by name."""
    for name, kind in {**required, **optional}.items():
        if name not in record.attributes:
            if name in required:
                raise InputError(f"no attribute {name!r}; there are {', '.join(record.attributes) or 'none'}")
        elif not isinstance(record.attributes[name], kind):
            expected = "a text" if kind is str else "an integer" if kind is int else "a number"
            raise InputError(f"attribute {name!r} must be {expected}, found {record.attributes[name]!r}")


def check_number(record: Record, name: str, low: float = -LARGEST, high: float = LARGEST) -> None:
    """Raise InputError for an attribute that is neither absent, nor NaN, nor from `low` to `high`."""
    value = float(record.attributes.get(name, np.nan))
    if not (np.isnan(value) or low <= value <= high):
        allowed = f"from {low:g} to {high:g}" if high < LARGEST else f">= {low:g} and finite"
        raise InputError(
            f"attribute {name!r} must be {allowed if low > -LARGEST else 'finite'}, found {value}"
        )


def check_order(order: FloatArray, most: FloatArray) -> None:
    """Raise InputError unless R lies between 0 and the mean length of the conditional means."""
    if not ((order >= -VISIBLE) & (order <= most + VISIBLE)).all():
        raise InputError("dataset 'order_parameter' must be from 0 to 'conditional_concentration'")


def _check_finite(name: str, values: NDArray[Any], *, undefined: bool) -> None:
    if values.size == 0:
        raise InputError(f"dataset {name!r} is empty")
    known = values[~np.isnan(values)] if undefined else values
    with np.errstate(invalid="ignore"):
        extremes = [float(known.min()), float(known.max())] if known.size else []
    if not all(abs(extreme) <= LARGEST for extreme in extremes):
        raise InputError(f"dataset {name!r} holds numbers that are not finite, or beyond {LARGEST:g}")
