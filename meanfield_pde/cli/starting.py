"""The command init: shipped configurations to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meanfield_pde import shipped
from meanfield_pde.errors import InputError
from meanfield_pde.files import check_target, replacing

if TYPE_CHECKING:
    from meanfield_pde.cli.report import Report

__all__ = ["list_configurations", "write_configuration"]


def list_configurations(report: Report) -> None:
    """Print the names of the shipped configurations and their titles."""
    titles = {name: shipped.title(path) for name, path in shipped.configurations().items()}
    if report.as_json:
        report.result({"configurations": titles}, title="")
    else:
        report.result(titles, title="Shipped configurations", names={name: name for name in titles})


def write_configuration(name: str, *, overwrite: bool, report: Report) -> None:
    """Write a shipped configuration into the current folder.

    Raises
    ------
    InputError
        There is no such configuration, or NAME.toml exists and ``overwrite`` is false.
    """
    known = shipped.configurations()
    wanted = name.removesuffix(".toml")
    if wanted not in known:
        from meanfield_pde.config.messages import nearest

        close = nearest(wanted, known)
        hint = f'did you mean "{close}"?' if close else f"there are {', '.join(known)}"
        raise InputError(f"init: no shipped configuration {name!r}; {hint}")
    target = Path(f"{wanted}.toml")
    check_target(target, overwrite=overwrite)
    with replacing(target, overwrite=overwrite) as temporary:
        temporary.write_bytes(known[wanted].read_bytes())
    report.say(f"{target} written; next: meanfield-pde solve {target} -o {wanted}.h5")
    if report.as_json:
        report.result({"configuration": str(target)}, title="")
