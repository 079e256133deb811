"""The commands about limits and their flags; each hands over to the module that does its work."""

from pathlib import Path
from typing import Annotated

import typer

from meanfield_pde.cli.flags import (
    AsJson,
    ConfigFile,
    Output,
    Overwrite,
    Quiet,
    ResultFile,
    Settings,
    Threads,
)

__all__ = ["bifurcation", "compare", "limit"]


def limit(  # noqa: PLR0913, PLR0917 (one parameter a flag)
    config: ConfigFile,
    output: Output,
    settings: Settings = None,
    starts: Annotated[
        int,
        typer.Option(
            "--starts", metavar="N", help="Initial laws to try: that of CONFIG, others drawn from it."
        ),
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Seed of the drawn ones.")] = 0,
    halvings: Annotated[
        int, typer.Option("--halvings", metavar="N", help="How often noise, if any, is halved.")
    ] = 3,
    start: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE.h5", help="Solution or limit near which the map is looked for."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Compute the limiting distribution directly."""
    from meanfield_pde.cli.limiting import Search, run
    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.process import limit_threads
    from meanfield_pde.cli.report import Report

    limit_threads(threads)
    job = Job(config, tuple(settings or ()), output, overwrite=overwrite, threads=threads)
    run(job, Search(starts, seed, halvings, start), Report(as_json=as_json, quiet=quiet))


def compare(
    result: ResultFile,
    limit: Annotated[
        Path | None,
        typer.Argument(metavar="[LIMIT.h5]", help="Limit to compare with (default: it is computed)."),
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FIG", help="Figure to draw, .png or .pdf.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a figure that exists.")] = False,
    no_save: Annotated[bool, typer.Option("--no-save", help="Do not keep the comparison in OUT.h5.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compare the last state with the pushforward."""
    from meanfield_pde.cli.comparing import Comparison, run
    from meanfield_pde.cli.report import Report

    wanted = Comparison(result, limit, figure, overwrite=overwrite, save=not no_save)
    run(wanted, Report(as_json=as_json, quiet=quiet))


def bifurcation(  # noqa: PLR0913, PLR0917 (one parameter a flag)
    config: ConfigFile,
    parameter: Annotated[
        str,
        typer.Option("--parameter", metavar="TABLE.KEY", help="What varies, e.g. noise.sigma."),
    ],
    low: Annotated[float, typer.Option("--from", metavar="A", help="One end of its values.")],
    high: Annotated[float, typer.Option("--to", metavar="B", help="The other end.")],
    output: Output,
    settings: Settings = None,
    points: Annotated[int, typer.Option("--points", metavar="N", help="Points of a branch, at most.")] = 400,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
) -> None:
    """Follow stationary states along a parameter."""
    from meanfield_pde.cli.bifurcating import Range, run
    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.process import limit_threads
    from meanfield_pde.cli.report import Report

    limit_threads(threads)
    job = Job(config, tuple(settings or ()), output, overwrite=overwrite, threads=threads)
    run(job, Range(parameter, low, high, points), Report(as_json=as_json, quiet=quiet))
