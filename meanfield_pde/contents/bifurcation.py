"""What the file of a bifurcation diagram holds: points along branches, one branch after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents.grid import (
    GRID,
    NUMBER,
    TEXTS,
    check_coordinates,
    check_mass,
    check_weights,
    flat,
    laid_out,
)
from meanfield_pde.contents.rules import (
    Datasets,
    Dimensions,
    check_attributes,
    check_number,
    check_order,
    together,
)
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Record

__all__ = ["TRANSITIONS", "check_bifurcation"]

#: How the stable state changes along the parameter.
TRANSITIONS = ("continuous", "discontinuous", "none")

_POINT = ("point",)
_SERIES = ("order_parameter", "conditional_concentration", "free_energy", "leading_eigenvalue", "residual")
_REQUIRED: Mapping[str, Dimensions] = {
    **GRID,
    **dict.fromkeys(("parameter", "branch", "stable", *_SERIES), _POINT),
}
_FOLDS = ("fold_value", "fold_order_parameter", "fold_branch")
_BRANCH_POINTS = (
    "branch_point_value",
    "branch_point_order_parameter",
    "branch_point_branch",
    "branch_point_mode",
)
_OPTIONAL: Mapping[str, Dimensions] = {
    "encoding": ("aux", "component"),
    "w2": _POINT,
    "marginal": ("point", "token"),
    "map_position": ("point", "aux"),
    **dict.fromkeys(_FOLDS, ("fold",)),
    **dict.fromkeys(_BRANCH_POINTS, ("branch_point",)),
}
_DATASETS = Datasets(
    _REQUIRED,
    _OPTIONAL,
    counts=frozenset({"branch", "fold_branch", "branch_point_branch", "branch_point_mode"}),
    flags=frozenset({"stable"}),
    undefined=frozenset({"free_energy", "leading_eigenvalue", "w2"}),
    needs={**together(*_FOLDS), **together(*_BRANCH_POINTS), "w2": ("marginal",)},
)
_ATTRIBUTES: Mapping[str, Any] = {
    **TEXTS,
    **dict.fromkeys(("status", "space", "parameter", "transition"), str),
    **dict.fromkeys(("seconds", "parameter_from", "parameter_to", "sigma"), NUMBER),
    "resolution": int,
}
_FURTHER: Mapping[str, Any] = dict.fromkeys(("period", "spinodal_low", "spinodal_high"), NUMBER) | {
    "dimension": int
}


def check_bifurcation(record: Record) -> None:
    """Raise InputError where a record is no bifurcation diagram, or contradicts itself."""
    check_attributes(record, _ATTRIBUTES, _FURTHER)
    _DATASETS.check(record, lambda datasets: laid_out(datasets, record))
    check_coordinates(record)
    check_weights(record)
    _check_attributes(record)
    _check_branches(record)
    check_order(record["order_parameter"], record["conditional_concentration"])
    for name in ("residual", "w2"):
        if name in record and (record[name] < 0).any():
            raise InputError(f"dataset {name!r} must be >= 0")
    if "marginal" in record:
        weights = record["token_weight"]
        check_mass("marginal", flat(record["marginal"], weights), weights.ravel())
    elif "map_position" not in record:
        raise InputError("no dataset 'marginal' nor 'map_position': one of them must say what each point is")


def _check_attributes(record: Record) -> None:
    transition = record.attributes["transition"]
    if transition not in TRANSITIONS:
        raise InputError(
            f"attribute 'transition' must be one of {', '.join(TRANSITIONS)}, found {transition!r}"
        )
    for name in ("parameter_from", "parameter_to", "sigma", "spinodal_low", "spinodal_high"):
        check_number(record, name, 0.0 if name == "sigma" else -1e100)
        if np.isnan(float(record.attributes.get(name, 0.0))):
            raise InputError(f"attribute {name!r} must be a finite number, found nan")
    ends = [
        record.attributes[name] for name in ("spinodal_low", "spinodal_high") if name in record.attributes
    ]
    if len(ends) == 1 or (ends and not float(ends[0]) <= float(ends[1])):
        raise InputError("attributes 'spinodal_low' and 'spinodal_high' must be the two ends of an interval")


def _check_branches(record: Record) -> None:
    """Branches follow each other from 0, each has a name, and what lies on one lies on one that is there."""
    branch = record["branch"].astype(np.int64)
    if branch[0] != 0 or not np.isin(np.diff(branch), (0, 1)).all():
        raise InputError("dataset 'branch' must begin with 0 and hold one branch after the other")
    for number in range(int(branch[-1]) + 1):
        if not isinstance(record.attributes.get(f"branch_{number}"), str):
            raise InputError(f"attribute 'branch_{number}' must name the branch {number} of dataset 'branch'")
    for name in ("fold_branch", "branch_point_branch"):
        if name in record and not ((record[name] >= 0) & (record[name] <= branch[-1])).all():
            raise InputError(f"dataset {name!r} must be from 0 to {branch[-1]}, as 'branch' is")
    if "branch_point_mode" in record and (record["branch_point_mode"] < -1).any():
        raise InputError("dataset 'branch_point_mode' must be a mode, or -1")
