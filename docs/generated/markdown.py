"""Tables in Markdown, and the directive that puts what a function writes into a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from docutils import nodes

__all__ = ["LOGGER", "directive", "table"]

LOGGER = logging.getLogger(__name__)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; bars within cells are escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(map(_cell, cells)) + " |" for cells in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def directive(write: Callable[..., str], arguments: int) -> type[SphinxDirective]:
    """Return a directive whose content is the Markdown that ``write`` returns for its arguments."""

    class Generated(SphinxDirective):
        required_arguments = arguments

        def run(self) -> list[nodes.Node]:
            try:
                text = write(*self.arguments)
            except (KeyError, OSError, ValueError) as error:
                raise ExtensionError(f"{self.env.docname}: {self.name}: {error!r}") from error
            made: list[Any] = self.parse_text_to_nodes(text)
            return made

    return Generated
