"""The page of the API has every public name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import meanfield_pde
from generated.markdown import LOGGER

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of a public name that is not on the page."""
    shown = set(Path(env.doc2path("api")).read_text(encoding="utf-8").split())
    for name in meanfield_pde.__all__:
        if name not in shown:
            LOGGER.warning("api: meanfield_pde.%s is public and not on the page", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the check."""
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
