"""The command compare: the last state of a solution beside the limit law."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.computing import lasting, searching
from meanfield_pde.cli.limit_table import limit_rows
from meanfield_pde.errors import ComputationError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meanfield_pde.cli.report import Report
    from meanfield_pde.results import Limit
    from meanfield_pde.solution import Solution

__all__ = ["Comparison", "run"]

BY_MEANS = {
    "depth": "depth compared",
    "w1": "W₁ to the pushforward by conditional means",
    "w2": "W₂ to the pushforward by conditional means",
    "order_parameter": "order parameter R",
    "conditional_concentration": "conditional concentration",
    "entropy": "entropy",
    "attention_entropy": "attention entropy",
}


@dataclass(frozen=True)
class Comparison:
    """What the command line asks for: two files, a figure, whether the first file keeps the comparison."""

    result: Path
    limit: Path | None = None
    figure: Path | None = None
    overwrite: bool = False
    save: bool = True


def run(wanted: Comparison, report: Report) -> None:
    """Compare, keep the comparison in the file of the solution, draw and print it.

    Raises
    ------
    InputError
        A file is damaged or of another kind, the two do not fit, or the figure cannot be written.
    ComputationError
        There is no limit law; or the comparison, which was printed, could not be kept or drawn.
    Interrupted
        By the user or the system; the file is as it was, or complete.
    """
    with lasting(wanted.result) as interrupted:
        failures = _run(wanted, report, interrupted)
    if failures:
        raise ComputationError("; ".join(failures))


def _run(wanted: Comparison, report: Report, interrupted: Callable[[], bool]) -> list[str]:
    from meanfield_pde import api
    from meanfield_pde.results import Limit
    from meanfield_pde.solution import Solution

    _check_figure(wanted)
    before = _fingerprint(wanted.result)
    opened = api.open(wanted.result)
    if isinstance(opened, Limit):
        return _show_limit(wanted, opened, report)
    if not isinstance(opened, Solution):
        kind = opened.attributes["kind"]
        raise InputError(f"{wanted.result}: must hold a solution or a limit, found a {kind}")
    limit = None if wanted.limit is None else _limit(wanted.limit)
    if limit is None and not opened.attributes.get("configuration"):
        return _show_means(wanted, opened, report)
    with searching("depth", interrupted, report) as progress:
        compared = _compared(wanted, opened, limit, progress)
    failures = [*_kept(wanted, compared, before), *_drawn(wanted, compared)]
    return [*failures, *_show_comparison(wanted, compared, report)]


def _compared(
    wanted: Comparison, solution: Solution, limit: Limit | None, progress: Callable[[str, float], None]
) -> Solution:
    from meanfield_pde import api

    try:
        return api.compared(solution, limit, progress)
    except InputError as error:
        if limit is not None:
            raise
        raise InputError(f"{wanted.result}: {error}") from error


def _check_figure(wanted: Comparison) -> None:
    if wanted.figure is None:
        return
    from meanfield_pde.figures import check_figure

    target = check_figure(wanted.figure, overwrite=wanted.overwrite)
    if any(path is not None and path.resolve() == target for path in (wanted.result, wanted.limit)):
        raise InputError(f"{wanted.figure}: is compared; give the figure another name")


def _limit(path: Path) -> Limit:
    from meanfield_pde import api
    from meanfield_pde.contents import kind_of
    from meanfield_pde.results import Limit

    found = api.open(path)
    if not isinstance(found, Limit):
        raise InputError(f"{path}: must hold a limit, found a {kind_of(found.record)}")
    return found


def _show_limit(wanted: Comparison, limit: Limit, report: Report) -> list[str]:
    """Print and draw a limit, whose file holds its own comparison."""
    if wanted.limit is not None:
        raise InputError(f"{wanted.result}: must hold a solution to be compared with a limit, found a limit")
    if wanted.figure is not None:
        from meanfield_pde.figures import draw

        draw([limit.record], wanted.figure, overwrite=wanted.overwrite)
    report.results(limit.summary(), limit_rows(limit), title=str(wanted.result))
    return []


def _show_means(wanted: Comparison, solution: Solution, report: Report) -> list[str]:
    """Print how far a solution without configuration is from the pushforward by its conditional means."""
    from meanfield_pde import api

    if wanted.figure is not None:
        raise InputError(
            f"{wanted.result}: holds no configuration, so there is no limit to draw; give LIMIT.h5, too"
        )
    report.result(api.compare(solution), title=str(wanted.result), names=BY_MEANS)
    return []


def _show_comparison(wanted: Comparison, compared: Solution, report: Report) -> list[str]:
    from meanfield_pde.results import Limit

    limit, depth = Limit(compared.record), float(compared.record["time"][-1])
    values: dict[str, Any] = {"depth": depth, **limit.summary()}
    report.results(values, limit_rows(limit, depth), title=str(wanted.result))
    if limit.verdict != "no limit map":
        return []
    return [str(limit.attributes.get("reason", f"{wanted.limit or wanted.result}: there is no limit map"))]


def _kept(wanted: Comparison, compared: Solution, before: tuple[int, ...]) -> list[str]:
    """Put the comparison into the file, unless another process has written it meanwhile; say what failed."""
    if not wanted.save:
        return []
    target = wanted.result.resolve()
    mode = stat.S_IMODE(target.stat().st_mode)
    try:
        _check_kept(wanted.result, mode, before)
        compared.save(target, overwrite=True)
        target.chmod(mode)
    except (InputError, ComputationError, OSError) as error:
        return [f"{error}; the comparison is not kept in the file (--no-save does not try)"]
    return []


def _check_kept(path: Path, mode: int, before: tuple[int, ...]) -> None:
    """Refuse to replace what is not the file that was read, or may not be changed."""
    if _fingerprint(path) != before:  # a solve that goes on, whose newer states would be lost
        raise InputError(f"{path}: was written by another process meanwhile; compare again")
    if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
        raise InputError(f"{path}: no permission to write it")


def _drawn(wanted: Comparison, compared: Solution) -> list[str]:
    """Draw the comparison, if that is wanted; say what failed."""
    if wanted.figure is None:
        return []
    from meanfield_pde.figures import draw_comparison

    try:
        draw_comparison(compared.record, wanted.figure, overwrite=wanted.overwrite)
    except (InputError, ComputationError) as error:
        return [str(error)]
    return []


def _fingerprint(path: Path) -> tuple[int, ...]:
    """Return what changes when a file is written; nothing for one that is not there."""
    if not path.exists():
        return ()
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
