"""The command sweep and its flags."""

from pathlib import Path
from typing import Annotated

import typer

from meanfield_pde.cli.flags import AsJson, ConfigFile, Output, Overwrite, Quiet, Settings

__all__ = ["sweep"]


def sweep(  # noqa: PLR0913, PLR0917 (one parameter a flag)
    config: ConfigFile,
    output: Output,
    over: Annotated[
        list[str],
        typer.Option(
            "--over",
            metavar="TABLE.KEY=VALUES",
            help="What varies: a:b:n, a:b:n:log, a list, or a:b with --random; repeat for several.",
        ),
    ],
    of: Annotated[str, typer.Option("--of", metavar="limit|solve|train", help="What is computed.")] = "limit",
    random: Annotated[
        int | None, typer.Option("--random", metavar="N", help="N random points in the place of a grid.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Seed of the random points.")] = 0,
    sampler: Annotated[
        str, typer.Option("--sampler", metavar="sobol|latin", help="Design of the random points.")
    ] = "sobol",
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what is in OUT.h5 and its journal.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="With --resume: compute points that failed again.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes (default: one a core).")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads of each point.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Compute on this cluster of dask.distributed."),
    ] = None,
) -> None:
    """Compute limits, solves or trainings at many points, in parallel."""
    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.process import limit_threads
    from meanfield_pde.cli.report import Report
    from meanfield_pde.cli.sweeping import Request, run

    limit_threads(threads)
    request = Request(tuple(over), of, random, seed, sampler, workers, scheduler, retry=retry)
    job = Job(config, tuple(settings or ()), Path(output), overwrite, threads, resume)
    run(job, request, Report(as_json=as_json, quiet=quiet))
