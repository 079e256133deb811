"""What a file of each kind holds, read off the rules that every file is checked by."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from generated.markdown import LOGGER, directive, table
from meanfield_pde.contents import KINDS
from meanfield_pde.contents.ablation import MEASURES as RUNS
from meanfield_pde.contents.sweep import MEASURES, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

    from meanfield_pde.contents.rules import Datasets, Dimensions

__all__ = ["setup"]

#: ``long_name`` and ``units`` of datasets in the files of the shipped configurations, from docs/gallery.py.
NAMES = Path(__file__).with_name("long_names.json")
#: The datasets every point of a sweep has, besides its measures.
ENDS = {
    "status": "how the point ended: finished, failed, pending",
    "reason": "why it failed",
    "seconds": "seconds that it took",
}


#: Where the rules of a kind stand, where it is not `_DATASETS` of the module of its name.
PLACES = {
    "limit": ("limit", "_ROOT"),
    "ablation": ("ablation", "_CHECKS"),
    "trained-ablation": ("trained", "_DATASETS"),
}


def _rules(kind: str) -> Datasets:
    module, name = PLACES.get(kind, (kind, "_DATASETS"))
    found: Datasets = vars(import_module(f"meanfield_pde.contents.{module}"))[name]
    return found


def holds(kind: str) -> str:
    """Return a table of the datasets of a kind of file."""
    rules = _rules(kind)
    return _table(_names(kind), [(rules.required, "always"), (rules.optional, "where there is one")])


def group() -> str:
    """Return a table of the datasets of the group of a limit."""
    module = vars(import_module("meanfield_pde.contents.limit"))
    optional = {**module["_LAW"], **module["_OPTIONAL"]}
    return _table(_names("limit/limit"), [(module["_STATE"], "always"), (optional, "where there is one")])


def _names(place: str) -> dict[str, list[str]]:
    """Return long names and units of the datasets of a kind of file, as far as they are known."""
    found: dict[str, list[str]] = json.loads(NAMES.read_text(encoding="utf-8")).get(place, {})
    return found


def _table(names: Mapping[str, list[str]], parts: Iterable[tuple[Mapping[str, Dimensions], str]]) -> str:
    rows = [
        [f"`{name}`", ", ".join(dims) or "(a number)", presence, *names.get(name, ["", ""])]
        for datasets, presence in parts
        for name, dims in datasets.items()
    ]
    return table(["dataset", "dimensions", "there", "what", "unit"], rows)


def measures(of: str) -> str:
    """Return a table of what a sweep measures at every point, or the ablation in every run."""
    if of == "ablation":
        names = _names("ablation/family")
        return table(["dataset", "what"], [[f"`{name}`", names.get(name, [""])[0]] for name in RUNS])
    rows = [[f"`{name}`", what] for name, what in {**ENDS, **MEASURES[of], **WORDS[of]}.items()]
    return table(["dataset", "what"], rows)


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of kinds of files, and of datasets that are always there, that are not described."""
    page = Path(env.doc2path("files")).read_text(encoding="utf-8")
    for kind in KINDS:
        shown = "{file-measures} limit" if kind == "sweep" else f"{{file-contents}} {kind}\n"
        if shown not in page:
            LOGGER.warning("files: no table of what a %s holds", kind)
        for name in () if kind == "sweep" else _rules(kind).required:
            if name not in _names(kind):
                LOGGER.warning("files: %s of a %s is not in %s: run docs/gallery.py", name, kind, NAMES.name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives and the check."""
    app.add_directive("file-contents", directive(holds, 1))
    app.add_directive("file-group", directive(group, 0))
    app.add_directive("file-measures", directive(measures, 1))
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
