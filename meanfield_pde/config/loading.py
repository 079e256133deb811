"""From a TOML file and overrides to a configuration, or one clear message."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from meanfield_pde import shipped
from meanfield_pde.config.configuration import Configuration
from meanfield_pde.config.memory import check_memory
from meanfield_pde.config.messages import explain, nearest
from meanfield_pde.config.overrides import apply_overrides
from meanfield_pde.config.strength import check_scores
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["load", "loads"]


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Configuration:
    """Read a configuration.

    Parameters
    ----------
    path
        TOML file, or the name of a shipped configuration when no such file exists.
    overrides
        Values that replace those of the file, by dotted name: ``{"solver.rtol": 1e-6}``.

    Raises
    ------
    InputError
        The file cannot be read, is not TOML, or asks for something that is not allowed: the message names the
        file, the table, the key, what is allowed and what was found.
    """
    source = _find(Path(path))
    label = str(path) if source == Path(path) else source.name
    return loads(_read(source, label), overrides, source=source, label=label)


def loads(
    text: str,
    overrides: Mapping[str, Any] | None = None,
    *,
    source: Path | None = None,
    label: str = "configuration",
) -> Configuration:
    """Read a configuration from TOML text; ``label`` names it in messages."""
    given = dict(overrides or {})
    values = apply_overrides(_parse(text, label), given, Configuration, label)
    try:
        configuration = Configuration.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{label}: {explain(error, Configuration, given)}") from None
    except RecursionError:
        raise InputError(f"{label}: values are nested too deeply") from None
    configuration = configuration.read_from(source, label)
    check_scores(configuration)
    if configuration.nodes is not None:
        check_memory(configuration, configuration.nodes)
    return configuration


def _find(path: Path) -> Path:
    if path.exists():
        return path
    names = shipped.configurations()
    if str(path) in names:
        return names[str(path)]
    if path.name.removesuffix(".toml") in names:
        name = path.name.removesuffix(".toml")
        raise InputError(
            f"{path}: no such file; `meanfield-pde init {name}` writes the shipped configuration"
        )
    close = None if path.suffix or len(path.parts) > 1 else nearest(str(path), names)
    hint = f'; did you mean the shipped configuration "{close}"?' if close else ""
    raise InputError(f"{path}: no such file{hint}")


def _read(path: Path, label: str) -> str:
    if path.is_dir():
        raise InputError(f"{label}: must be a TOML file, is a folder")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{label}: must be UTF-8 text; byte {error.start + 1} is not") from None
    except OSError as error:
        raise InputError(f"{label}: cannot be read: {error.strerror}") from None


def _parse(text: str, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads(f"{text}\n")  # a line break after the last line, so that errors in it name it
    except RecursionError:
        raise InputError(f"{label}: values are nested too deeply") from None
    except ValueError as error:  # syntax, or an integer of more digits than Python reads
        raise InputError(f"{label}: is not valid TOML: {error}") from None
