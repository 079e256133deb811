"""Going on from a checkpoint: whether it belongs to this run, and what it holds."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde import shipped
from meanfield_pde.checkpoint import GROUP, unpack
from meanfield_pde.errors import InputError
from meanfield_pde.solution import open_solution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meanfield_pde.solution import Solution

__all__ = ["Resumption", "check_configuration", "check_data", "check_version", "resumption"]

#: Keys that do not bear on the result, or say when a training ends.
FREE = frozenset({"output.checkpoint", "training.iterations", "training.tolerance"})


#: How a run ends that has nothing left to do.
DONE = frozenset({"finished", "steady"})


@dataclass(frozen=True)
class Resumption:
    """The solution of a run that is finished already, or the content of its checkpoint."""

    finished: Solution | None
    content: dict[str, Any] | None


def resumption(path: Path, configuration: str, data: Mapping[str, str]) -> Resumption:
    """Read a file that is to be completed.

    Parameters
    ----------
    path
        The file of the solution.
    configuration, data
        What is to be solved: the complete configuration, and the digest of each data file.

    Raises
    ------
    InputError
        The file is damaged, of another configuration (the message names the first key that differs), of other
        data or of another version, or it holds no checkpoint.
    """
    solution = open_solution(path)
    attributes, groups = solution.attributes, solution.record.groups
    try:
        check_configuration(str(attributes["configuration"]), configuration)
        if GROUP not in groups:
            _check_finished(str(attributes.get("status", "unknown")))
            return Resumption(solution, None)
        check_version(str(attributes["meanfield_pde_version"]))
        content = unpack(groups[GROUP])
        check_data(content.get("data"), data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return Resumption(None, content)


def check_configuration(text: str, ours_text: str) -> None:
    """Raise InputError, with the first key that differs, unless two configurations give the same result."""
    if text == ours_text:
        return
    try:
        theirs, ours = _flat(tomllib.loads(text)), _flat(tomllib.loads(ours_text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"its checkpoint is of another configuration, which cannot be read ({error})"
        ) from error
    differing = [key for key in {**theirs, **ours} if key not in FREE and theirs.get(key) != ours.get(key)]
    if differing:
        key = differing[0]
        more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
        raise InputError(
            f"its checkpoint is of another configuration: {key} was {_shown(theirs, key)}, "
            f"now it is {_shown(ours, key)}{more}"
        )


def _check_finished(status: str) -> None:
    if status not in DONE:
        raise InputError(
            f"holds no checkpoint (status: {status}): --resume cannot go on; use --overwrite to solve anew"
        )


def check_version(version: str) -> None:
    """Raise InputError for a checkpoint of another version."""
    if version != shipped.version():
        raise InputError(
            f"its checkpoint is of version {version}, this is {shipped.version()}: "
            "use that version, or --overwrite to solve anew"
        )


def check_data(theirs: object, ours: Mapping[str, str]) -> None:
    """Raise InputError unless the digests of the data files are the same."""
    found = theirs if isinstance(theirs, dict) else {}
    for name in {**found, **ours}:
        if found.get(name) != ours.get(name):
            raise InputError(f"its checkpoint was computed from other data: the file of {name} has changed")


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys with dots."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _shown(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "not given"
