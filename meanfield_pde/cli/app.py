"""The commands and their flags; each hands over to the module that does its work."""

from pathlib import Path
from typing import Annotated

import typer

from meanfield_pde.cli.ablation_commands import ablation
from meanfield_pde.cli.design_commands import design
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
from meanfield_pde.cli.limit_commands import bifurcation, compare, limit
from meanfield_pde.cli.sweep_commands import sweep
from meanfield_pde.cli.train_commands import train

__all__ = ["app"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="The mean-field limit of Transformers, solved as a PDE: the joint law of tokens and auxiliary "
    "variables. Exit status: 0 done, 2 wrong input, 3 the computation could not be finished, "
    "130 interrupted.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from meanfield_pde.shipped import version

        typer.echo(f"meanfield-pde {version()}")
        raise typer.Exit


@app.callback()
def options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Shipped configuration.")] = "starter",
    names: Annotated[bool, typer.Option("--list", help="List the shipped configurations.")] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a commented configuration to start from."""
    from meanfield_pde.cli.report import Report
    from meanfield_pde.cli.starting import list_configurations, write_configuration

    report = Report(as_json=as_json, quiet=quiet)
    if names:
        list_configurations(report)
    else:
        write_configuration(name, overwrite=overwrite, report=report)


@app.command()
def validate(
    config: ConfigFile,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a configuration and its data."""
    from meanfield_pde.cli.checking import check
    from meanfield_pde.cli.report import Report

    check(config, settings or [], Report(as_json=as_json, quiet=quiet))


@app.command()
def solve(  # noqa: PLR0913, PLR0917 (one parameter a flag)
    config: ConfigFile,
    output: Output,
    settings: Settings = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    overwrite: Overwrite = False,
    threads: Threads = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in OUT.h5, if there is one.")
    ] = False,
) -> None:
    """Solve the PDE and write the solution."""
    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.process import limit_threads
    from meanfield_pde.cli.report import Report
    from meanfield_pde.cli.solving import run

    limit_threads(threads)
    job = Job(config, tuple(settings or ()), output, overwrite=overwrite, threads=threads, resume=resume)
    run(job, Report(as_json=as_json, quiet=quiet))


for command in (limit, compare, bifurcation, train, design, sweep, ablation):
    app.command()(command)


@app.command()
def info(
    result: ResultFile,
    configuration: Annotated[
        bool, typer.Option("--configuration", help="Print the configuration that the file holds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Describe what a file holds."""
    from meanfield_pde.cli.describing import describe, print_configuration
    from meanfield_pde.cli.report import Report

    if configuration:
        print_configuration(result, Report(as_json=as_json, quiet=False))
    else:
        describe(result, Report(as_json=as_json, quiet=False))


@app.command()
def plot(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="OUT.h5...", help="A file of results, or several solutions side by side."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FIG", help=".png or .pdf (default: OUT.png beside the file)."
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw results, or solutions side by side."""
    from meanfield_pde.cli.drawing import plot_files
    from meanfield_pde.cli.report import Report

    plot_files(results, output, overwrite=overwrite, report=Report(as_json=as_json, quiet=quiet))


@app.command()
def animate(
    result: ResultFile,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help=".gif or .mp4 (default: OUT.gif beside the file)."
        ),
    ] = None,
    fps: Annotated[int, typer.Option("--fps", metavar="N", help="Frames per second, 1 to 50.")] = 20,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw a solution in motion: one frame for every saved state."""
    from meanfield_pde.cli.animating import animate_file
    from meanfield_pde.cli.report import Report

    animate_file(result, output, fps, overwrite=overwrite, report=Report(as_json=as_json, quiet=quiet))
