"""The command train and its flags."""

from typing import Annotated

import typer

from meanfield_pde.cli.flags import AsJson, ConfigFile, Output, Overwrite, Quiet, Settings, Threads

__all__ = ["train"]


def train(  # noqa: PLR0913, PLR0917 (one parameter a flag)
    config: ConfigFile,
    output: Output,
    settings: Settings = None,
    theory: Annotated[
        bool,
        typer.Option(
            "--theory", help="Compare the gradient at θ = 0, and its decay in depth, with their theory."
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the iterates in OUT.h5.")] = False,
    threads: Threads = None,
) -> None:
    """Train the feed-forward drift under an L² penalty."""
    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.process import limit_threads
    from meanfield_pde.cli.report import Report
    from meanfield_pde.cli.training import run

    limit_threads(threads)
    job = Job(config, tuple(settings or ()), output, overwrite=overwrite, threads=threads, resume=resume)
    run(job, Report(as_json=as_json, quiet=quiet), theory=theory)
