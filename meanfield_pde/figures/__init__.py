"""Drawing from records, never solving: one record of any kind, or several solutions side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meanfield_pde.contents import kind_of
from meanfield_pde.contents.grid import laid_out
from meanfield_pde.errors import InputError
from meanfield_pde.files import check_target, replacing
from meanfield_pde.records import SOLUTION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from meanfield_pde.records import Record

__all__ = ["FORMATS", "MOST", "check_figure", "draw", "draw_comparison", "figure"]

FORMATS = (".png", ".pdf")
MOST = 6  # solutions side by side: more do not fit across a page


def check_figure(path: str | Path, *, overwrite: bool = False) -> Path:
    """Resolve the path of a figure, refusing it before any work is done for it.

    Raises
    ------
    InputError
        The suffix is none of `FORMATS`, or the file cannot be written there.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a figure must end in {' or '.join(FORMATS)}, got {Path(path).suffix!r}")
    return check_target(path, overwrite=overwrite)


def draw(records: Sequence[Record], path: str | Path, overwrite: bool = False) -> None:
    """Draw one record of any kind, or two to six solutions side by side, as PNG or PDF.

    Raises
    ------
    InputError
        The path is not allowed (`check_figure`), the number of records is not, or one is not what it says.
    ComputationError
        The file could not be written; what was there is untouched.
    """
    from meanfield_pde.figures import style

    check_figure(path, overwrite=overwrite)
    _write(figure(records), " | ".join(style.title(record) for record in records), path, overwrite)


def draw_comparison(record: Record, path: str | Path, overwrite: bool = False) -> None:
    """Draw a solution beside the limit that it was compared with; path and errors are those of `draw`."""
    from meanfield_pde.figures import style

    check_figure(path, overwrite=overwrite)
    with style.applied():
        page = _limit(record)
    _write(page, style.title(record), path, overwrite)


def figure(records: Sequence[Record]) -> Figure:
    """Return the page that `draw` writes, to be changed further; the errors are those of `draw`."""
    if not 1 <= len(records) <= MOST:
        raise InputError(f"a figure shows 1 to {MOST} solutions, got {len(records)}")
    kinds = [kind_of(record) for record in records]
    if len(records) > 1 and set(kinds) != {"solution"}:
        raise InputError(
            f"only solutions are drawn side by side, got {', '.join(kinds)}: draw each of the others alone"
        )
    from meanfield_pde.figures import style
    from meanfield_pde.figures.ablation import ablation
    from meanfield_pde.figures.bifurcation import bifurcation
    from meanfield_pde.figures.comparison import comparison
    from meanfield_pde.figures.design import design
    from meanfield_pde.figures.sweep import sweep
    from meanfield_pde.figures.trained import trained
    from meanfield_pde.figures.training import training

    pages: dict[str, Callable[[Record], Figure]] = {
        "limit": _limit,
        "bifurcation": bifurcation,
        "design": design,
        "sweep": sweep,
        "training": training,
        "ablation": ablation,
        "trained-ablation": trained,
    }
    with style.applied():
        if kinds[0] in pages:
            return pages[kinds[0]](records[0])
        for record in records:
            record.require(laid_out(SOLUTION, record))
        if len(records) == 1:
            return _overview(records[0])
        _check_beside(records)
        return comparison(records)


def _overview(record: Record) -> Figure:
    """Draw a solution as suits its token space."""
    from meanfield_pde.figures import overview, sphere, torus, zonal
    from meanfield_pde.figures.places import space_of

    pages = {"sphere": sphere.overview, "zonal": zonal.overview, "torus": torus.overview}
    return pages.get(space_of(record), overview.overview)(record)


def _limit(record: Record) -> Figure:
    """Draw a limit, or a solution that was compared with it, as suits its token space."""
    from meanfield_pde.figures import limits, sphere, torus, zonal
    from meanfield_pde.figures.places import space_of

    pages = {"sphere": sphere.limit, "zonal": zonal.limit, "torus": torus.limit}
    return pages.get(space_of(record), limits.limit)(record)


def _check_beside(records: Sequence[Record]) -> None:
    """Raise InputError unless the tokens of all solutions lie on a line, of which columns are made."""
    from meanfield_pde.figures.places import space_of

    others = sorted({space_of(record) for record in records} - {"circle"})
    if others:
        raise InputError(
            f"only solutions on the circle are drawn side by side, got {', '.join(others)}: draw each alone"
        )


def _write(page: Figure, title: str, path: str | Path, overwrite: bool) -> None:
    """Write a page into a file, whole or not at all."""
    from meanfield_pde.figures import style

    suffix = Path(path).suffix.lower()
    # No date: the same record gives the same file.
    date = {"CreationDate": None} if suffix == ".pdf" else {}
    with replacing(path, overwrite=overwrite) as temporary, style.applied():
        page.savefig(temporary, format=suffix[1:], dpi=style.RESOLUTION, metadata={"Title": title} | date)
