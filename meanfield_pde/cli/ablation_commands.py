"""The command ablation and its flags."""

from typing import Annotated

import typer

from meanfield_pde.cli.flags import AsJson, Output, Overwrite, Quiet

__all__ = ["ablation"]


def ablation(  # noqa: PLR0913, PLR0917 (one parameter a flag)
    output: Output,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Seeds of every run.")] = 4,
    quick: Annotated[bool, typer.Option("--quick", help="A few small runs, to see what comes out.")] = False,
    trained: Annotated[
        bool | None,
        typer.Option(
            "--trained/--no-trained", help="Study a trained model too (default: where it is installed)."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the runs that are finished.")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes (default: one a core).")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Compute on this cluster of dask.distributed."),
    ] = None,
) -> None:
    """Study what removed and corrupted positional encodings do to tokens and attention."""
    from meanfield_pde.cli.ablating import Job, run
    from meanfield_pde.cli.report import Report

    job = Job(output, seeds, quick, trained, workers, scheduler, overwrite, resume)
    run(job, Report(as_json=as_json, quiet=quiet))
