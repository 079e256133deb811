"""Docstrings are plain text with mathematics: what reStructuredText would take for markup is escaped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]

#: Literals, roles and formulas stay as they are; elsewhere these characters stand for themselves.
LITERAL = re.compile(r"(``[^`]+``|:\w+:`[^`]+`|`[^`]+`)")
MARKUP = re.compile(r"([*|]|(?<=\w)_(?!\w))")


def escape(text: str) -> str:
    """Escape stars, bars and trailing underscores outside of literals."""
    parts = LITERAL.split(text)
    return "".join(part if LITERAL.fullmatch(part) else MARKUP.sub(r"\\\1", part) for part in parts)


def plain(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Escape the lines of a docstring in place, but not those of formulas and of examples."""
    formula = False
    for number, line in enumerate(lines):
        text = line.strip()
        formula = text.startswith(".. math::") or (formula and (not text or line.startswith(" ")))
        if not formula and not text.startswith((">>>", "...", "..")):
            lines[number] = escape(line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Escape before napoleon reads the sections."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    return {"parallel_read_safe": True}
