"""Progress on standard error: a bar for a computation in depth, a line for a search."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from meanfield_pde.cli.process import Lasting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["State", "progress_bar", "progress_line"]

REDRAW = 0.1
"""Seconds between two updates: steps may be much shorter."""


UNITS = {"finite-volume": "cells", "characteristics": "labels"}
"""What the resolution of a method counts."""


class State(Protocol):
    """How far a computation is."""

    @property
    def depth(self) -> float:
        """Depth reached."""

    @property
    def final(self) -> float:
        """Depth at which it ends."""

    @property
    def step(self) -> float:
        """Size of the current step."""

    @property
    def method(self) -> str:
        """Method in use."""

    @property
    def resolution(self) -> int:
        """Grid points, cells or labels per node."""

    @property
    def counted(self) -> str:
        """What the grid of the token space counts."""

    @property
    def rejected(self) -> int:
        """Steps rejected so far."""


@contextmanager
def progress_bar(*, wanted: bool) -> Iterator[Callable[[State], None] | None]:
    """Give the function that redraws the bar on standard error; ``None`` where nobody watches."""
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("depth {task.completed:.4g}/{task.total:.4g}"),
        BarColumn(),
        TextColumn("step {task.fields[step]:.2e}  {task.fields[resolution]} {task.fields[unit]}"),
        TextColumn("{task.fields[rejected]} rejected"),
        TimeRemainingColumn(),
    )
    console = Console(file=cast("TextIO", Lasting(sys.stderr)))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, step=0.0, resolution=0, unit="", rejected=0)
        last = 0.0

        def update(state: State) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= REDRAW or state.depth >= state.final:
                last = now
                bar.update(
                    task,
                    completed=state.depth,
                    total=state.final,
                    step=state.step,
                    resolution=state.resolution,
                    unit=UNITS.get(state.method, state.counted),
                    rejected=state.rejected,
                )

        yield update


@contextmanager
def progress_line(quantity: str, *, wanted: bool) -> Iterator[Callable[[str, float], None]]:
    """Give the function that tells on standard error what is being done, and the value of a quantity.

    Where nobody watches it does nothing.
    """
    if not wanted or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(file=cast("TextIO", Lasting(sys.stderr)))
    with Progress(*columns, console=console, transient=True) as line:
        task = line.add_task("preparing")
        last = 0.0

        def update(text: str, value: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= REDRAW:
                last = now
                line.update(task, description=escape(f"{text}: {quantity} {value:.4g}"))

        yield update
