"""The command ablation: no run that is finished is lost, and one that fails does not end the others."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from meanfield_pde.cli.process import AtOnce, Interrupted, Lasting, stop_signals
from meanfield_pde.errors import ComputationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from meanfield_pde.ablation.result import Ablation
    from meanfield_pde.cli.report import Report

__all__ = ["Job", "run"]

#: Reasons of failure that the closing table names.
REASONS = 3


@dataclass(frozen=True)
class Job:
    """What the command line asks for."""

    output: Path
    seeds: int
    quick: bool
    trained: bool | None
    workers: int | None
    scheduler: str | None
    overwrite: bool
    resume: bool


def run(job: Job, report: Report) -> None:
    """Study, save and print.

    Raises
    ------
    InputError
        A flag, the output file or the scheduler is wrong, or what is there belongs to another study.
    ComputationError
        All runs failed, or what was found could not be written.
    Interrupted
        By the user or the system; all finished runs are kept, and ``--resume`` goes on from there.
    """
    from meanfield_pde.ablation.whole import LEFT_OUT, ablate, has_model

    kept = (
        f"interrupted; --resume goes on with the runs that are finished, which are kept beside {job.output}"
    )
    try:
        with stop_signals() as interrupted, _bar(wanted=not report.quiet) as show:
            found = ablate(**asdict(job), progress=show, interrupted=interrupted)
    except (AtOnce, KeyboardInterrupt):
        raise Interrupted(kept) from None
    except ComputationError as error:
        raise ComputationError(f"{error}; --resume goes on with the runs that are finished") from error
    if job.trained is None and not has_model():
        report.say(LEFT_OUT)
    _print(found, job, report)


def _print(found: Ablation, job: Job, report: Report) -> None:
    """Print the closing table.

    Raises
    ------
    ComputationError
        Every run failed.
    """
    values = found.summary()
    report.results(values, _rows(values), title=f"{found.attributes['title']} → {job.output}")
    if values["failed"] == values["points"]:
        raise ComputationError(f"ablation: all {values['points']} runs failed: {values['reasons'][0]}")


def _rows(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of the closing table: predictions, then depths of both kinds of collapse, then the model."""
    rows = {_named(one["name"]): _verdict(one) for one in values["predictions"]}
    for key, name in (("collapse_depth", "collapsed"), ("uniform_depth", "uniform")):
        for encoding, depths in values.get(key, {}).items():
            rows[f"{name}: {_named(encoding)}"] = _depths(depths)
    for key, name in (("trained", "model"), ("trained_marked", "marked")):
        rows |= _trained(values[key], name) if values[key] else {}
    reasons = {f"reason {number}": one for number, one in enumerate(values["reasons"][:REASONS], 1)}
    facts = {"runs": values["points"], "failed": values["failed"], **reasons, "seeds": values["seeds"]}
    return {**rows, **facts, "seconds": values["seconds"]}


def _named(name: str) -> str:
    """Name of an encoding or prediction for people: 0.5 was 0p5."""
    return name.replace("_", " ").replace("0p5", "0.5")


def _verdict(one: Mapping[str, Any]) -> str:
    if one["confirmed"] is None:
        return "not finished"
    verdict = "confirmed" if one["confirmed"] else "REFUTED"
    text = f"{verdict}: {one['found']:.4g} ± {one['error']:.2g}"
    if "spread_ends" in one:
        text += f" (spread from {one['spread_ends']:.4g}, collapsed to {one['collapsed_ends']:.4g})"
    return text


def _depths(depths: Mapping[str, Mapping[str, Any]]) -> str:
    """Depths by context, ``7.3 ± 0.4 at 64``; of those that collapse, if not all do; – if none does."""
    if all(one["mean"] is None for one in depths.values()):
        return "nowhere"
    places = {
        context: "in the continuum" if context == "continuum" else f"at {context}" for context in depths
    }
    return ", ".join(f"{_depth(one)} {places[context]}" for context, one in depths.items())


def _depth(one: Mapping[str, Any]) -> str:
    if one["mean"] is None:
        return "–"
    text = f"{one['mean']:.3g}" + ("" if one["half"] is None else f" ± {one['half']:.2g}")
    return text if one["count"] == one["runs"] else f"{text} ({one['count']} of {one['runs']})"


def _trained(facts: Mapping[str, Any], name: str) -> dict[str, str]:
    """Tell R, rank and collapse of every variant."""
    rows = {}
    for title, one in facts.items():
        if isinstance(one, dict):
            rows[f"{name}: {title}"] = (
                f"{one['collapsed']} of {facts['sequences']} collapsed, R {one['order_parameter']:.3f} ± "
                f"{one['order_parameter_half']:.3f}, attention {one['attention_entropy']:.3f} ± "
                f"{one['attention_entropy_half']:.3f}"
            )
    return rows


@contextmanager
def _bar(*, wanted: bool) -> Iterator[Callable[[str, float], None]]:
    """Give the function that shows on standard error what is being done, and the time left."""
    if not wanted or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.BarColumn(), rich.TextColumn("{task.description}"), rich.TimeRemainingColumn())
    console = Console(file=cast("TextIO", Lasting(sys.stderr)))
    with rich.Progress(*columns, console=console, transient=True, speed_estimate_period=240.0) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda words, done: bar.update(task, description=words, completed=done)
