"""What a value of a configuration may be: each kind of value says in one phrase what is allowed."""

from __future__ import annotations

import math
import numbers
import unicodedata
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "MOST",
    "Count",
    "Finite",
    "Index",
    "Line",
    "Name",
    "NonNegative",
    "Positive",
    "RuleError",
    "as_float",
    "choice",
    "integer",
    "listing",
    "number",
    "spoken",
]


class RuleError(ValueError):
    """A value that contradicts another one; names its own key, which pydantic cannot know.

    ``table`` is empty when the key belongs to the table that raises; ``value`` is left out of the message
    when it is ``None``.
    """

    def __init__(self, key: str, message: str, *, value: object = None, table: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.table = table
        self.value = value


def _bounds(
    kind: str, least: float | None, above: float | None, most: float | None, below: float | None
) -> str:
    parts = [f">= {least}"] if least is not None else []
    parts += [f"> {above}"] if above is not None else []
    parts += [f"<= {most}"] if most is not None else []
    parts += [f"< {below}"] if below is not None else []
    return f"{kind} {' and '.join(parts)}".rstrip()


def number(
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    largest: float = 1e9,
) -> BeforeValidator:
    """Finite real number within bounds; integers are accepted, truth values are not numbers.

    ``largest`` bounds the magnitude: beyond it, sums with numbers of order one lose the digits that the
    tolerances ask for.
    """
    allowed = _bounds("a finite number", least, above, most, below)

    def check(value: object) -> float:
        found = as_float(value)
        inside = (
            math.isfinite(found)
            and (least is None or found >= least)
            and (above is None or found > above)
            and (most is None or found <= most)
            and (below is None or found < below)
        )
        if not inside:
            raise ValueError(f"must be {allowed}")
        if abs(found) > largest:
            raise ValueError(f"must be {allowed}, at most {largest:g} in magnitude")
        return found

    return BeforeValidator(check)


def as_float(value: object) -> float:
    """Real number as a float; nan for anything else, inf for integers beyond the range."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:  # an integer beyond 1e308
        return math.inf


def integer(*, least: int, most: int | None = None) -> BeforeValidator:
    """Integer within bounds; 64.0 is not an integer."""
    allowed = _bounds("an integer", least, None, most, None)

    def check(value: object) -> int:
        is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        found = int(value) if is_integer else least - 1  # type: ignore[call-overload]
        if found < least or (most is not None and found > most):
            raise ValueError(f"must be {allowed}")
        return found

    return BeforeValidator(check)


def choice(*allowed: str, later: Iterable[str] = ()) -> BeforeValidator:
    """One of the names ``allowed``; the names ``later`` are known and refused as not available yet."""
    announced = frozenset(later)

    def check(value: object) -> str:
        if isinstance(value, str) and value in announced:
            raise ValueError(f"is not available yet in this version; available: {spoken(allowed)}")
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be {'one of ' if len(allowed) > 1 else ''}{spoken(allowed)}")
        return value

    return BeforeValidator(check)


def listing(what: str, *, least: int = 1) -> BeforeValidator:
    """List with at least ``least`` entries; the entries are checked by their own type."""

    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or len(value) < least:
            raise ValueError(f"must be {what}")
        return tuple(value)

    return BeforeValidator(check)


def spoken(names: Iterable[str]) -> str:
    """Join names as they are typed in the file: ``"a" | "b"``."""
    return " | ".join(f'"{name}"' for name in names)


def _text(description: str, accept: Callable[[str], bool]) -> BeforeValidator:
    def check(value: object) -> str:
        if not isinstance(value, str) or not accept(value):
            raise ValueError(f"must be {description}")
        return value

    return BeforeValidator(check)


def _printable(text: str) -> bool:
    # Control characters and lone surrogates cannot be stored as attributes of an HDF5 file.
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


Finite = Annotated[float, number(largest=1e6)]
Positive = Annotated[float, number(above=0)]
NonNegative = Annotated[float, number(least=0)]
MOST = 10**12
"""Largest count that is read at all; far smaller ones are refused for their memory."""

Count = Annotated[int, integer(least=1, most=MOST)]
Index = Annotated[int, integer(least=0)]
Line = Annotated[str, _text("a text in one line without control characters", _printable)]
Name = Annotated[str, _text("a non-empty name", lambda text: bool(text.strip()) and _printable(text))]
