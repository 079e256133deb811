"""The command animate."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from meanfield_pde.cli.process import AtOnce, Interrupted, Lasting, stopped_at_once
from meanfield_pde.errors import InputError
from meanfield_pde.figures.animation import animate, check_animation
from meanfield_pde.files import remove_leftovers
from meanfield_pde.records import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from meanfield_pde.cli.report import Report

__all__ = ["animate_file"]


def animate_file(result: Path, output: Path | None, fps: int, *, overwrite: bool, report: Report) -> None:
    """Draw every saved state of a solution into a GIF or an MP4.

    Raises
    ------
    InputError
        The file is damaged, no solution or has a single state; the animation exists, cannot be written,
        or needs a program that is not there.
    ComputationError
        The animation could not be written; nothing was.
    Interrupted
        By the user or the system; there is no half of an animation.
    """
    target = output if output is not None else result.with_suffix(".gif")
    begin = time.monotonic()
    resolved = check_animation(target, fps, overwrite=overwrite)
    if resolved == result.resolve():
        raise InputError(f"{target}: is the file to be drawn; give the animation another name")
    record = read(result)
    remove_leftovers(resolved.parent)
    try:
        with stopped_at_once(), _bar(wanted=not report.quiet) as progress:
            written = animate(record, target, fps, overwrite=overwrite, progress=progress)
    except AtOnce:
        raise Interrupted(f"interrupted; {target} is complete, or as it was before") from None
    except InputError as error:
        raise InputError(f"{result}: {error}") from error
    seconds = time.monotonic() - begin
    some = "" if written.frames == written.states else f" of {written.states} saved states"
    report.say(f"{target} written: {written.frames}{some or ' frames'}")
    if report.as_json:
        report.result({"frames": written.frames, "file": str(target), "seconds": seconds}, title="")


@contextmanager
def _bar(*, wanted: bool) -> Iterator[Callable[[int, int], None]]:
    """Give the function that shows on standard error how many frames are drawn; nothing if nobody watches."""
    if not wanted or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("frame {task.completed}/{task.total}"), BarColumn(), TimeRemainingColumn())
    console = Console(file=cast("TextIO", Lasting(sys.stderr)))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)
