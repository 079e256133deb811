"""The gallery: one page for every shipped configuration, and their figures side by side."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from generated.markdown import LOGGER, directive
from meanfield_pde import shipped

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

FOLDER = Path(__file__).resolve().parent.parent / "gallery"


def figures() -> str:
    """Return the titles of all shipped configurations, each with its figure and a link to its page."""
    entries = [_figure(name, shipped.title(path)) for name, path in shipped.configurations().items()]
    return "```{raw} html\n<div class='gallery'>\n" + "\n".join(entries) + "\n</div>\n```\n"


def _figure(name: str, title: str) -> str:
    said = escape(title, quote=True)
    image = f"<img src='_images/{name}.png' alt='{said}' loading='lazy'>"
    return f"<figure><a href='gallery/{name}.html'>{image}<figcaption>{said}</figcaption></a></figure>"


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of a shipped configuration without a page or a figure, and of a page of none."""
    known = set(shipped.configurations())
    pages = {name.removeprefix("gallery/") for name in env.found_docs if name.startswith("gallery/")}
    drawn = {path.stem for path in FOLDER.glob("*.png")}
    for name in sorted(known ^ pages):
        LOGGER.warning("gallery: %s must be a shipped configuration and a page: run docs/gallery.py", name)
    for name in sorted(known - drawn):
        LOGGER.warning("gallery: no figure of %s: run docs/gallery.py", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and the check."""
    app.add_directive("gallery-figures", directive(figures, 0))
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
