"""The command info: what a file holds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.process import Lasting
from meanfield_pde.contents import kind_of
from meanfield_pde.records import read

if TYPE_CHECKING:
    from pathlib import Path

    from meanfield_pde.cli.report import Report
    from meanfield_pde.records import Record

__all__ = ["describe", "print_configuration"]


def describe(path: Path, report: Report) -> None:
    """Print title, version, command, sizes, status, every diagnostic at the end, and the same of groups.

    A group is one row a value for people, and an object of its own for ``--json``.
    """
    record = read(path)
    values = {"kind": kind_of(record), **_values(record)}
    for name, group in record.groups.items():
        if group.attributes:  # bytes of a checkpoint have none
            found = _values(group)
            rows = {f"{name} {key}": value for key, value in found.items()}
            values |= {name: found} if report.as_json else rows
    report.result(values, title=str(path))


def print_configuration(path: Path, report: Report) -> None:
    """Print the complete configuration that the file holds, as TOML."""
    text = str(read(path).attributes.get("configuration", ""))
    if report.as_json:
        report.result({"configuration": text}, title="")
    else:
        Lasting(sys.stdout).write(text)


def _values(record: Record) -> dict[str, Any]:
    """Attributes but the configuration, sizes, single numbers, and series over depth at their end."""
    attributes = {key: value for key, value in record.attributes.items() if key != "configuration"}
    numbers = {
        name: variable.values if variable.dims == () else variable.values[-1]
        for name, variable in record.variables.items()
        if variable.dims in ((), ("time",))
    }
    return {**attributes, "sizes": record.sizes, **numbers}
