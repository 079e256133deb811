"""What the file of a solution holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meanfield_pde.contents.grid import (
    GRID,
    NUMBER,
    TEXTS,
    check_coordinates,
    check_mass,
    check_mean,
    check_weights,
    flat,
    laid_out,
)
from meanfield_pde.contents.limit import GROUP, check_group
from meanfield_pde.contents.rules import Datasets, Dimensions, check_attributes, check_order
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Record

__all__ = ["LAST_ONLY", "SOLUTION", "check_solution"]

_TIME = ("time",)

#: The datasets that every solution holds, each with its dimensions.
SOLUTION: Mapping[str, Dimensions] = {
    "time": _TIME,
    **GRID,
    "density": ("time", "aux", "token"),
    "marginal": ("time", "token"),
    "mass_error": _TIME,
    "minimum": _TIME,
    "interaction_energy": _TIME,
    "free_energy": _TIME,
    "dissipation": _TIME,
    "entropy": _TIME,
    "order_parameter": _TIME,
    "conditional_concentration": _TIME,
    "attention_entropy": _TIME,
    "spectral_tail": _TIME,
}

#: What may stand for all depths: the last state alone, under a dimension of its own.
LAST_ONLY: Mapping[str, Dimensions] = {
    "density": ("state", "aux", "token"),
    "position": ("state", "aux", "label"),
}

#: The datasets that a solution may hold besides.
_OPTIONAL: Mapping[str, Dimensions] = {
    "encoding": ("aux", "component"),
    "conditional_mean": ("time", "aux"),
    "conditional_length": ("time", "aux"),
    "position": ("time", "aux", "label"),
    "label_weight": ("aux", "label"),
    "label_start": ("aux", "label"),
    "state": ("state",),
    "grid_size": _TIME,
    "cluster_count": _TIME,
    "cluster_mass": ("time", "cluster"),
    "cluster_position": ("time", "cluster"),
    "plateau_start": ("plateau",),
    "plateau_end": ("plateau",),
    "plateau_clusters": ("plateau",),
    "plateau_order_parameter": ("plateau",),
}

_UNDEFINED = frozenset(
    {
        "interaction_energy",
        "free_energy",
        "dissipation",
        "entropy",
        "attention_entropy",
        "spectral_tail",
        "conditional_mean",
        "cluster_mass",
        "cluster_position",
    }
)
_COUNTS = frozenset({"grid_size", "cluster_count", "plateau_clusters"})
_DATASETS = Datasets(SOLUTION, _OPTIONAL, counts=_COUNTS, undefined=_UNDEFINED)

#: Attributes that a solution may have besides the texts of every file.
_FURTHER: Mapping[str, Any] = {
    **dict.fromkeys(("status", "method", "method_reason", "switch_reason", "density_kind", "space"), str),
    **dict.fromkeys(
        (
            "resolution",
            "dimension",
            "steps",
            "rejected",
            "evaluations",
            "labels",
            "atoms",
            "first_order_steps",
        ),
        int,
    ),
    **dict.fromkeys(
        ("seconds", "period", "w1", "w2", "switched_at", "conceded", "negative_mass_cut"), NUMBER
    ),
}


def check_solution(record: Record) -> None:
    """Raise InputError where a record is no solution, or contradicts itself."""
    record.require(laid_out(SOLUTION, record))
    check_attributes(record, TEXTS, _FURTHER)
    _DATASETS.check(record, lambda datasets: laid_out(datasets, record))
    check_coordinates(record, "time")
    _check_last_state(record)
    check_order(record["order_parameter"], record["conditional_concentration"])
    check_weights(record)
    weights = record["token_weight"]
    density, marginal = flat(record["density"], weights), flat(record["marginal"], weights)
    check_mass("density", density, weights.ravel(), float(abs(record["mass_error"]).max()))
    check_mean("marginal", marginal[-len(density) :], "density", density, record["aux_weight"])
    if GROUP in record.groups:
        check_group(record)


def _check_last_state(record: Record) -> None:
    if record.variables["density"].dims[0] == "state" and len(record["density"]) != 1:
        raise InputError(f"dataset 'density' must hold one state or all, found {len(record['density'])}")
    if "state" in record and record["state"][-1] != record["time"][-1]:
        raise InputError(
            f"dataset 'state' must be the last depth {record['time'][-1]}, found {record['state'][-1]}"
        )
