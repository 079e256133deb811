"""The command plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meanfield_pde.figures import check_figure, draw
from meanfield_pde.records import read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meanfield_pde.cli.report import Report

__all__ = ["plot_files"]


def plot_files(results: Sequence[Path], output: Path | None, *, overwrite: bool, report: Report) -> None:
    """Draw one overview page that suits the kind of file, or several solutions side by side.

    Raises
    ------
    InputError
        A file is damaged or cannot be drawn beside the others, or the figure cannot be written or exists.
    """
    figure = output if output is not None else _beside(results)
    check_figure(figure, overwrite=overwrite)
    draw([read(path) for path in results], figure, overwrite=overwrite)
    report.say(f"{figure} written")
    if report.as_json:
        report.result({"figure": str(figure)}, title="")


def _beside(results: Sequence[Path]) -> Path:
    first = results[0]
    return first.with_suffix(".png") if len(results) == 1 else first.with_name(f"{first.stem}-comparison.png")
