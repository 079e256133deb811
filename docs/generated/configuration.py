"""The configuration, read off its models: keys, what they may be, defaults, and when they have an effect."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from generated.markdown import LOGGER, directive, table
from meanfield_pde.config import Configuration
from meanfield_pde.config.base import Table
from meanfield_pde.config.schema import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

MEANINGS = Path(__file__).with_name("meanings.toml")
#: No value of a configuration: what is said about it is what is allowed.
NOTHING = object()
#: What models and pydantic say before they say what is allowed.
OPENINGS = ("Value error, ", "must be ", "Input should be ")


def tables() -> dict[str, type[Table]]:
    """Return the models of all tables by their path; keys outside of tables have the path ""."""
    return {"": Configuration, **dict(_below(Configuration, ""))}


def _below(model: type[Table], place: str) -> Iterator[tuple[str, type[Table]]]:
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            yield place + name, inner
            yield from _below(inner, f"{place}{name}.")


def _models(annotation: Any) -> list[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def keys(path: str) -> str:
    """Return the table of the keys of one table of the configuration."""
    path = "" if path == "(root)" else path
    model, meanings = tables()[path], _meanings()
    rows = [
        [f"`{name}`", _allowed(model, name), _default(model, name, field), *_meaning(meanings, path, name)]
        for name, field in model.model_fields.items()
        if not _models(field.annotation) or path
    ]
    effects = [_effect(model, name) for name in model.model_fields if not _models_at(model, name) or path]
    if not any(effects):
        return table(["key", "allowed", "default", "what"], rows)
    shown = [[*row[:3], effect, row[3]] for row, effect in zip(rows, effects, strict=True)]
    return table(["key", "allowed", "default", "only with", "what"], shown)


def _models_at(model: type[Table], name: str) -> list[type[Table]]:
    return _models(model.model_fields[name].annotation)


def _meanings() -> dict[str, dict[str, str]]:
    return tomllib.loads(MEANINGS.read_text(encoding="utf-8"))


def _meaning(meanings: dict[str, dict[str, str]], path: str, name: str) -> list[str]:
    return [meanings.get(path or "(root)", {}).get(name, "")]


def _allowed(model: type[Table], name: str) -> str:
    """Say what is allowed in the words of the message that a wrong value meets."""
    if _models_at(model, name):
        return "a table, below" if name in {"target", "loss"} else "a list of tables, below"
    try:
        model.model_validate({name: NOTHING})
    except ValidationError as error:
        found = [each["msg"] for each in error.errors() if each["loc"][:1] == (name,)]
        return " or ".join(dict.fromkeys(map(_spoken, found)))
    raise ValueError(f"{model.__name__}.{name}: takes any value")


def _spoken(message: str) -> str:
    for opening in OPENINGS:
        message = message.removeprefix(opening)
    return message


def _default(model: type[Table], name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if name in model.required:
        return "required where it has an effect"
    if field.default in {None, ()} or field.default is PydanticUndefined or isinstance(field.default, Table):
        return ""
    return f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _effect(model: type[Table], name: str) -> str:
    found = []
    for switch, cases in model.options.items():
        states = [state for state, names in cases.items() if name in names]
        if states:
            found.append(f"{switch} = " + " or ".join(f'"{state}"' for state in states))
    return ", ".join(f"`{each}`" for each in found)


def resolutions() -> str:
    """Return the defaults that depend on the token space."""
    rows = [
        [f"`{space}`", str(first), str(finest), "" if dimension is None else str(dimension)]
        for space, (first, finest, dimension) in DEFAULTS.items()
    ]
    return table(["space", "token.resolution", "solver.max_resolution", "token.dimension"], rows)


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of keys without a meaning, of meanings without a key, and of tables that no page shows."""
    meanings = _meanings()
    known = {path or "(root)": set(model.model_fields) for path, model in tables().items()}
    for path in sorted(known.keys() | meanings.keys()):
        below = (name for name in known.get(path, ()) if _models_at(Configuration, name))
        shown = known.get(path, set()) - set(below if path == "(root)" else ())
        for name in sorted(shown ^ set(meanings.get(path, {}))):
            LOGGER.warning("configuration: %s.%s must be in the models and in %s", path, name, MEANINGS.name)
    page = Path(env.doc2path("configuration")).read_text(encoding="utf-8")
    for path in sorted(known):
        if f"{{configuration-keys}} {path}\n" not in page:
            LOGGER.warning("configuration: no directive configuration-keys for the table %s", path)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives and the check."""
    app.add_directive("configuration-keys", directive(keys, 1))
    app.add_directive("configuration-resolutions", directive(resolutions, 0))
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
