"""The command design and its flags."""

from pathlib import Path
from typing import Annotated

import typer

from meanfield_pde.cli.flags import AsJson, ConfigFile, Output, Overwrite, Quiet, Settings, Threads

__all__ = ["design"]


def design(  # noqa: PLR0913, PLR0917 (one parameter a flag)
    config: ConfigFile,
    output: Output,
    settings: Settings = None,
    toml: Annotated[
        Path | None,
        typer.Option(
            "--toml", metavar="FILE.toml", help="Configuration to write that solves with the design."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Find the encoding whose limit is a target."""
    from meanfield_pde.cli.designing import run
    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.process import limit_threads
    from meanfield_pde.cli.report import Report

    limit_threads(threads)
    job = Job(config, tuple(settings or ()), output, overwrite=overwrite, threads=threads)
    run(job, toml, Report(as_json=as_json, quiet=quiet))
