"""What a file of each kind holds, and what its numbers obey: a file that does not is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.contents.ablation import check_ablation
from meanfield_pde.contents.bifurcation import check_bifurcation
from meanfield_pde.contents.design import check_design
from meanfield_pde.contents.grid import token_dims
from meanfield_pde.contents.limit import GROUP as LIMIT
from meanfield_pde.contents.limit import check_limit
from meanfield_pde.contents.rules import check_numbers
from meanfield_pde.contents.solution import LAST_ONLY, SOLUTION, check_solution
from meanfield_pde.contents.sweep import check_sweep
from meanfield_pde.contents.trained import check_trained
from meanfield_pde.contents.training import check_training
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meanfield_pde.records import Record

__all__ = ["KINDS", "LAST_ONLY", "LIMIT", "SOLUTION", "check", "check_numbers", "kind_of", "token_dims"]

_CHECKS: Mapping[str, Callable[[Record], None]] = {
    "solution": check_solution,
    "limit": check_limit,
    "bifurcation": check_bifurcation,
    "design": check_design,
    "sweep": check_sweep,
    "training": check_training,
    "ablation": check_ablation,
    "trained-ablation": check_trained,
}
#: What the root attribute ``kind`` may say; files without it are older, and hold a solution.
KINDS = tuple(_CHECKS)


def kind_of(record: Record) -> str:
    """Return the kind of a record; InputError where it is none of `KINDS`."""
    kind = record.attributes.get("kind", KINDS[0])
    if kind not in KINDS:
        raise InputError(f"attribute 'kind' must be one of {', '.join(KINDS)}, found {kind!r}")
    return str(kind)


def check(record: Record) -> None:
    """Raise InputError where a record is none of `KINDS`, lacks what one needs, or contradicts itself."""
    with np.errstate(all="ignore"):  # sums that overflow are not near what they must be
        _CHECKS[kind_of(record)](record)
