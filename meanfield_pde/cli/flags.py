"""Arguments and flags that commands have in common."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AsJson",
    "ConfigFile",
    "Output",
    "Overwrite",
    "Quiet",
    "ResultFile",
    "Settings",
    "Threads",
]

ConfigFile = Annotated[
    str, typer.Argument(metavar="CONFIG", help="TOML file, or the name of a shipped configuration.")
]
ResultFile = Annotated[Path, typer.Argument(metavar="OUT.h5", help="File that a command wrote.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a value; repeat for several."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", help="Threads to use (default: all).")]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="OUT.h5", help="File to write.")]
