"""Drawing from records, never solving: an overview of one solution, or several side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from meanfield_pde.errors import InputError
from meanfield_pde.files import check_target, replacing
from meanfield_pde.records import SOLUTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from meanfield_pde.records import Record

__all__ = ["FORMATS", "MOST", "check_figure", "draw", "figure"]

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
    """Draw one solution as an overview, or two to six side by side, into a PNG or PDF file.

    Raises
    ------
    InputError
        The path is not allowed (`check_figure`), the number of records is not, or one is not a solution.
    ComputationError
        The file could not be written; what was there is untouched.
    """
    from meanfield_pde.figures import style

    check_figure(path, overwrite=overwrite)
    page = figure(records)
    suffix = Path(path).suffix.lower()
    title = " | ".join(style.title(record) for record in records)
    # No date: the same solution gives the same file.
    date = {"CreationDate": None} if suffix == ".pdf" else {}
    with replacing(path, overwrite=overwrite) as temporary, style.applied():
        page.savefig(temporary, format=suffix[1:], dpi=style.RESOLUTION, metadata={"Title": title} | date)


def figure(records: Sequence[Record]) -> Figure:
    """Return the page that `draw` writes, to be changed further; the errors are those of `draw`."""
    if not 1 <= len(records) <= MOST:
        raise InputError(f"a figure shows 1 to {MOST} solutions, got {len(records)}")
    for record in records:
        record.require(SOLUTION)
    from meanfield_pde.figures import style
    from meanfield_pde.figures.comparison import comparison
    from meanfield_pde.figures.overview import overview

    with style.applied():
        return overview(records[0]) if len(records) == 1 else comparison(records)
