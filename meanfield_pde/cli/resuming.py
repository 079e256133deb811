"""Going on from a checkpoint: whether it belongs to this run, and what it holds."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meanfield_pde.config import Configuration
    from meanfield_pde.solution import Solution

__all__ = ["Resumption", "resumption"]

#: Keys that do not bear on the result.
FREE = frozenset({"output.checkpoint"})


@dataclass(frozen=True)
class Resumption:
    """The solution of a run that is finished already, or the content of its checkpoint."""

    finished: Solution | None
    content: dict[str, Any] | None


def resumption(path: Path, configuration: Configuration) -> Resumption:
    """Read a file that is to be completed.

    Raises
    ------
    InputError
        The file is damaged, of another configuration (the message names the first key that differs), of other
        data or of another version, or it holds no checkpoint.
    """
    from meanfield_pde import shipped
    from meanfield_pde.checkpoint import GROUP, unpack
    from meanfield_pde.solution import open_solution

    solution = open_solution(path)
    attributes, groups = solution.attributes, solution.record.groups
    _check_configuration(path, str(attributes["configuration"]), configuration)
    if GROUP not in groups:
        if attributes.get("status") in {"finished", "steady"}:
            return Resumption(solution, None)
        raise InputError(
            f"{path}: holds no checkpoint (status: {attributes.get('status', 'unknown')}): "
            "--resume cannot go on; use --overwrite to solve anew"
        )
    version = str(attributes["meanfield_pde_version"])
    if version != shipped.version():
        raise InputError(
            f"{path}: its checkpoint is of version {version}, this is {shipped.version()}: "
            "use that version, or --overwrite to solve anew"
        )
    try:
        content = unpack(groups[GROUP])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for name, digest in configuration.digests().items():
        if content.get("data", {}).get(name) != digest:
            raise InputError(
                f"{path}: its checkpoint was computed from other data: the file of {name} has changed"
            )
    return Resumption(None, content)


def _check_configuration(path: Path, text: str, configuration: Configuration) -> None:
    try:
        theirs = _flat(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: its configuration cannot be read ({error})") from error
    ours = _flat(tomllib.loads(configuration.to_toml()))
    differing = [key for key in {**theirs, **ours} if key not in FREE and theirs.get(key) != ours.get(key)]
    if differing:
        key = differing[0]
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise InputError(
            f"{path}: its checkpoint is of another configuration: {key} was {_shown(theirs, key)}, "
            f"now it is {_shown(ours, key)}{more}"
        )


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys with dots."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _shown(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "not given"
