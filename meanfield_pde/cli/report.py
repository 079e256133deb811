"""What a command prints: a short table for people, or one JSON object, or nothing."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from meanfield_pde.cli.process import Lasting

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """Standard output of a command.

    With ``as_json`` exactly one object, given to :meth:`result`, is printed and nothing else.
    """

    as_json: bool
    quiet: bool

    def result(
        self, values: Mapping[str, Any], *, title: str, names: Mapping[str, str] | None = None
    ) -> None:
        """Print all ``values`` as JSON, or a table of those that ``names`` names, in its order."""
        chosen = names if names is not None else {key: key.replace("_", " ") for key in values}
        rows = {name: values[key] for key, name in chosen.items() if key in values}
        self.results(values, rows, title=title)

    def results(self, values: Mapping[str, Any], rows: Mapping[str, Any], *, title: str) -> None:
        """Print ``values`` as JSON, or a table of ``rows``, which are named for people."""
        if self.as_json:
            Lasting(sys.stdout).write(json.dumps(_plain(values), allow_nan=False) + "\n")
        elif not self.quiet:
            _print_table(title, rows)

    def say(self, text: str) -> None:
        """Print a line for people."""
        if not (self.as_json or self.quiet):
            Lasting(sys.stdout).write(f"{text}\n")


def _plain(value: Any) -> Any:
    """Numpy numbers and arrays as JSON knows them; what is not a finite number is null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def _print_table(title: str, rows: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(Text(name), Text(_shown(value)))
    console = Console(file=cast("TextIO", Lasting(sys.stdout)), highlight=False)
    console.print(Text(title, style="bold"))
    console.print(table)


def _shown(value: Any) -> str:
    plain = _plain(value)
    if plain is None:
        return "—"
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, float):
        return f"{plain:.6g}"
    if isinstance(plain, dict):
        return ", ".join(f"{key} {entry}" for key, entry in plain.items())
    return str(plain)
