"""One message for a configuration that is wrong: file, table, key, what is allowed, what was found."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_args

from meanfield_pde.config.base import Table
from meanfield_pde.config.values import RuleError
from meanfield_pde.config.writing import inline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pydantic import ValidationError

__all__ = ["explain", "nearest", "quoted", "spot"]

LONGEST_VALUE = 60

_PLAIN_WORDS = {
    "missing": "is required and is missing",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "tuple_type": "must be a list",
}


def explain(error: ValidationError, root: type[Table], overridden: Collection[str] = ()) -> str:
    """First problem of a validation, and how many more there are.

    Parameters
    ----------
    error
        What pydantic found.
    root
        Model of the whole file.
    overridden
        Dotted names that were not in the file but set beside it; the message says so.
    """
    # An unknown key first: a misspelt key often makes another one missing.
    problems = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    first = _explain_one(problems[0], root, overridden)
    more = len(problems) - 1
    return first + (f" (and {more} more problem{'s' if more > 1 else ''})" if more else "")


def _explain_one(problem: Any, root: type[Table], overridden: Collection[str]) -> str:
    path: tuple[str | int, ...] = tuple(part for part in problem["loc"] if part != "tuple")
    cause = problem.get("ctx", {}).get("error")
    value = problem["input"]
    if isinstance(cause, RuleError):
        path = (*((cause.table,) if cause.table else path), cause.key)
        value, text = cause.value, str(cause)
    elif problem["type"] == "extra_forbidden":
        text, value = _unknown_key(path, root), None
    elif problem["type"] == "missing":
        text, value = _PLAIN_WORDS["missing"], None
    else:
        text = str(cause) if cause is not None else _PLAIN_WORDS.get(problem["type"], problem["msg"])
    note = " (overridden)" if any(_covers(name, path) for name in overridden) else ""
    found = "" if value is None else f", got {quoted(value)}"
    return f"{spot(path)}{note}: {text}{found}"


def _covers(dotted: str, path: Sequence[str | int]) -> bool:
    """Whether the name holds, or lies in, the place: one is the beginning of the other."""
    pairs = zip(dotted.split("."), map(str, path), strict=False)
    return all(one == other for one, other in pairs)


def spot(path: Sequence[str | int]) -> str:
    """``("attention", "heads", 0, "beta")`` as ``[attention] heads[0].beta``."""
    names = ""
    for part in path[1:]:
        names += f"[{part}]" if isinstance(part, int) else f".{part}" if names else part
    if not path:
        return "the configuration"
    return f"[{path[0]}] {names}" if names else f"{path[0]}"


def quoted(value: object) -> str:
    """Return the value as TOML writes it, shortened when it is long."""
    if isinstance(value, Table):
        value = value.content()
    text = " ".join(inline(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` most likely stands for, if one is near."""
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


def _unknown_key(path: Sequence[str | int], root: type[Table]) -> str:
    model = _model_at(path[:-1], root)
    name = str(path[-1])
    what = "table or key" if model is root else "key"
    if name in model.later:
        return "is not available yet in this version"
    close = nearest(name, model.model_fields)
    if close:
        return f'unknown {what}; did you mean "{close}"?'
    homes = [f"[{table}]" for table, fields in _keys_by_table(root).items() if name in fields]
    if homes:
        return f"unknown {what} here; it belongs in {' or '.join(homes)}"
    return f"unknown {what}; known: {', '.join(sorted(model.model_fields))}"


def _keys_by_table(root: type[Table]) -> Mapping[str, Collection[str]]:
    models = {name: _table_of(field.annotation) for name, field in root.model_fields.items()}
    return {name: model.model_fields for name, model in models.items() if model is not None}


def _model_at(path: Sequence[str | int], root: type[Table]) -> type[Table]:
    model = root
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _table_of(model.model_fields[part].annotation) or model
    return model


def _table_of(annotation: Any) -> type[Table] | None:
    """Table type inside an annotation such as ``Prompt | None`` or ``tuple[HeadTable, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_of(part)) is not None), None)
