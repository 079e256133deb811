"""What varies in a sweep: lists and grids of values of a key, and ranges to draw values from."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass
from typing import Any

import numpy as np

from meanfield_pde.config.values import as_float
from meanfield_pde.config.writing import inline
from meanfield_pde.errors import InputError

__all__ = ["Axis", "Span", "label", "parse"]

_KEY = re.compile(r"[A-Za-z]\w*(\.\w+)*", re.ASCII)
_GRID = re.compile(r"(?P<low>[^:,]+):(?P<high>[^:,]+)(:(?P<count>\d+))?(?P<log>:log)?")
#: Values of one key at most.
MOST = 100_000


@dataclass(frozen=True)
class Axis:
    """Values of a key: numbers in increasing order, or anything else that TOML knows, as it was given.

    Raises
    ------
    InputError
        The key cannot be one, there is no value, or one is there twice.
    """

    key: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        _check_key(self.key)
        values = tuple(_plain(value) for value in self.values)
        if not 1 <= len(values) <= MOST:
            raise InputError(f"--over {self.key}: must have 1 to {MOST} values, got {len(values)}")
        if all(_is_number(value) for value in values):
            values = tuple(sorted(values))
        seen = set()
        for value in values:
            if (known := value if _is_number(value) else label(value)) in seen:
                raise InputError(f"--over {self.key}: every value must be there once, got {known} twice")
            seen.add(known)
        object.__setattr__(self, "values", values)

    @property
    def name(self) -> str:
        """Name of its dimension in the cube."""
        return self.key.replace(".", "_")

    def at(self, share: float) -> Any:
        """Value at a share in [0, 1) of the list."""
        return self.values[int(share * len(self.values))]

    def content(self) -> dict[str, Any]:
        """Say in JSON what varies."""
        return {"key": self.key, "values": list(self.values)}


@dataclass(frozen=True)
class Span:
    """Range of numbers that a key is drawn from, evenly or evenly in the logarithm; of integers if it is.

    Raises
    ------
    InputError
        The key cannot be one, or the ends are no range.
    """

    key: str
    low: float
    high: float
    logarithmic: bool = False
    integers: bool = False

    def __post_init__(self) -> None:
        _check_key(self.key)
        ends = f"{self.low:g}:{self.high:g}"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"--over {self.key}: must be a range a:b of finite numbers a < b, got {ends}")
        if self.logarithmic and self.low <= 0:
            raise InputError(
                f"--over {self.key}: a logarithmic range must be of positive numbers, got {ends}"
            )

    @property
    def name(self) -> str:
        """Name of its values in the cube."""
        return self.key.replace(".", "_")

    def at(self, share: float) -> float | int:
        """Value at a share in [0, 1) of the range."""
        low, high = (self.low, self.high + 1) if self.integers else (self.low, self.high)
        value = low * (high / low) ** share if self.logarithmic else low + (high - low) * share
        return math.floor(value) if self.integers else float(value)

    def content(self) -> dict[str, Any]:
        """Say in JSON what varies."""
        return {"key": self.key, "range": [self.low, self.high], "log": self.logarithmic}


def parse(text: str) -> Axis | Span:
    """``attention.beta=1:8:15``, ``1:100:20:log``, ``0,0.5,1``, ``none,rotary``; ranges ``1:8``, ``1:8:log``.

    Raises
    ------
    InputError
        It is none of these.
    """
    key, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not values:
        raise InputError(f"--over: must be table.key=values, such as attention.beta=1:8:15, got {text!r}")
    found = _GRID.fullmatch(values)
    low, high = (_number(found[name]) for name in ("low", "high")) if found else (None, None)
    if not found or low is None or high is None:
        return Axis(key, _listed(values))
    if found["count"] is None:
        return Span(key, low, high, logarithmic=found["log"] is not None)
    return Axis(key, _grid(key, low, high, int(found["count"]), logarithmic=found["log"] is not None))


def label(value: Any) -> str:
    """Value for people: texts bare, all else as TOML writes it."""
    return value if isinstance(value, str) else inline(value)


def _grid(key: str, low: float, high: float, count: int, *, logarithmic: bool) -> tuple[float, ...]:
    """Equally spaced values, both ends included; integers where ends are integers and all values are."""
    Span(key, min(low, high), max(low, high), logarithmic)  # refuses what is no range
    if not 2 <= count <= MOST:
        raise InputError(f"--over {key}: a grid must have 2 to {MOST} values, got {count}")
    spaced = np.geomspace(low, high, count) if logarithmic else np.linspace(low, high, count)
    whole = np.round(spaced)
    # Rounding of a geometric progression: some units in the last place.
    if isinstance(low, int) and isinstance(high, int) and (np.abs(spaced - whole) <= 1e-12 * whole).all():
        return tuple(int(value) for value in whole)
    return tuple(float(f"{value:.12g}") for value in spaced)  # 5.2, not 5.199999999999999


def _listed(text: str) -> tuple[Any, ...]:
    """Values between commas: as TOML reads them, or else bare words."""
    try:
        return tuple(tomllib.loads(f"values = [{text}]")["values"])
    except (ValueError, RecursionError):
        return tuple(_word(part.strip()) for part in text.split(","))


def _word(text: str) -> Any:
    if not text:
        raise InputError("--over: a value between commas is missing")
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> float | int | None:
    """Read a number as TOML writes it; None for anything else."""
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except (ValueError, RecursionError, KeyError):
        return None
    return value if _is_number(value) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(as_float(value))


def _plain(value: Any) -> Any:
    """Arrays and numpy scalars as lists and numbers, dates as texts."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.tolist() if hasattr(value, "tolist") else value


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise InputError(f"--over: must begin with a key such as attention.beta, got {key!r}")
