"""Values set beside the file: ``table.key=value`` on the command line, a mapping in Python."""

from __future__ import annotations

import copy
import tomllib
from typing import TYPE_CHECKING, Any, get_args

from meanfield_pde.config.base import Table
from meanfield_pde.config.messages import quoted
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["apply_overrides", "parse_assignments"]


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """``["solver.rtol=1e-6", "encoding.kind=none"]`` as a mapping; bare words are strings."""
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        parts = [part.strip() for part in name.split(".")]
        if not equals or not all(parts) or not text.strip():
            raise InputError(f"--set: must be table.key=value, got {quoted(assignment)}")
        overrides[".".join(parts)] = _value(text.strip())
    return overrides


def _value(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return values["value"] if values.keys() == {"value"} else text


def apply_overrides(
    values: Mapping[str, Any], overrides: Mapping[str, Any], root: type[Table], label: str
) -> dict[str, Any]:
    """Return the values of a file with the overrides in their place.

    Changing what kind a table is (``encoding.kind``, ``attention.bias``) leaves behind the keys of the file
    that only the old kind knows; keys that are overridden themselves stay, and are refused if they have no
    effect.
    """
    result: dict[str, Any] = copy.deepcopy(dict(values))
    for dotted, value in overrides.items():
        _assign(result, dotted, _plain(value), label)
    for name, table in result.items():
        model = _model(root.model_fields[name].annotation) if name in root.model_fields else None
        if isinstance(table, dict) and model is not None:
            own = {dotted.partition(".")[2] for dotted in overrides if dotted.partition(".")[0] == name}
            for key, (switch, _) in model.idle(table).items():
                if switch in own and key not in own:
                    table.pop(key, None)
    return result


def _model(annotation: Any) -> type[Table] | None:
    """Table that a field holds, also where it may be missing: ``Design | None``."""
    parts = (annotation, *get_args(annotation))
    return next((part for part in parts if isinstance(part, type) and issubclass(part, Table)), None)


def _assign(values: dict[str, Any], dotted: str, value: Any, label: str) -> None:
    *tables, last = dotted.split(".")
    place: Any = values
    for depth, part in enumerate(tables):
        if isinstance(place, dict):
            place = place.setdefault(part, {})
        elif isinstance(place, list) and part.isdecimal() and int(part) < len(place):
            place = place[int(part)]
        if not isinstance(place, (dict, list)):
            where = ".".join(tables[: depth + 1])
            raise InputError(
                f"{label}: {dotted} cannot be set: {where} is not a table, it is {quoted(place)}"
            )
    if isinstance(place, dict):
        place[last] = value
    elif last.isdecimal() and int(last) < len(place):
        place[int(last)] = value
    else:
        raise InputError(
            f"{label}: {dotted} cannot be set: {'.'.join(tables)} has {len(place)} entries, counted from 0"
        )


def _plain(value: Any) -> Any:
    """Arrays and numpy scalars as lists and numbers."""
    return value.tolist() if hasattr(value, "tolist") else value
