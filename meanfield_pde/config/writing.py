"""Tables as TOML text; Python reads TOML and does not write it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["inline", "toml"]


def toml(content: Mapping[str, Any]) -> str:
    """TOML of a mapping of values and tables; lists of tables inside a table become arrays of tables."""
    blocks = [_lines({key: value for key, value in content.items() if not isinstance(value, dict)})]
    for name, table in content.items():
        if isinstance(table, dict):
            blocks += _table(name, table)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _table(name: str, table: Mapping[str, Any]) -> list[str]:
    rows = {key: value for key, value in table.items() if _holds_tables(value)}
    own = {key: value for key, value in table.items() if key not in rows}
    blocks = [f"[{name}]\n{_lines(own)}".rstrip()]
    blocks += [f"[[{name}.{key}]]\n{_lines(row)}".rstrip() for key, many in rows.items() for row in many]
    return blocks


def _holds_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, dict) for entry in value)


def _lines(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{key} = {inline(value)}" for key, value in values.items())


def inline(value: Any) -> str:
    """Value as TOML; strings without control characters are written in TOML as in JSON."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {inline(entry)}' for key, entry in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(inline(entry) for entry in value)}]"
    if isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, (int, float)) else str(value)  # floats to the last bit
