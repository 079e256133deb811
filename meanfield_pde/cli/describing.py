"""The commands info and compare: what a file holds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.process import Lasting
from meanfield_pde.records import read

if TYPE_CHECKING:
    from pathlib import Path

    from meanfield_pde.cli.report import Report
    from meanfield_pde.records import Record

__all__ = ["compare_with_pushforward", "describe", "print_configuration"]

COMPARISON = {
    "depth": "depth",
    "w1": "W₁ to the pushforward",
    "w2": "W₂ to the pushforward",
    "order_parameter": "order parameter R",
    "conditional_concentration": "conditional concentration",
    "atoms": "atoms",
    "stable": "stable",
    "residual": "residual",
}


def describe(path: Path, report: Report) -> None:
    """Print title, version, command, sizes, status, and every diagnostic at the end."""
    record = read(path)
    attributes = {key: value for key, value in record.attributes.items() if key != "configuration"}
    values: dict[str, Any] = {**attributes, "sizes": record.sizes, **_at_the_end(record)}
    names = {key: key.replace("_", " ") for key in values}
    report.result(values, title=str(path), names=names)


def print_configuration(path: Path, report: Report) -> None:
    """Print the complete configuration that the file holds, as TOML."""
    text = str(read(path).attributes.get("configuration", ""))
    if report.as_json:
        report.result({"configuration": text}, title="")
    else:
        Lasting(sys.stdout).write(text)


def compare_with_pushforward(path: Path, report: Report) -> None:
    """Print the distances between the last marginal and the pushforward."""
    from meanfield_pde import api

    report.result(api.compare(api.open(path)), title=str(path), names=COMPARISON)


def _at_the_end(record: Record) -> dict[str, Any]:
    return {
        name: variable.values[-1]
        for name, variable in record.variables.items()
        if variable.dims == ("time",) and variable.values.size
    }
