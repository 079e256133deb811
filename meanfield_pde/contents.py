"""What the file of a solution holds, and what its numbers obey: a file that does not is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = ["LAST_ONLY", "SOLUTION", "check_numbers", "check_solution"]

_TIME = ("time",)

#: The datasets that every solution holds, each with its dimensions.
SOLUTION: Mapping[str, tuple[str, ...]] = {
    "time": _TIME,
    "aux": ("aux",),
    "token": ("token",),
    "aux_weight": ("aux",),
    "token_weight": ("token",),
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
LAST_ONLY: Mapping[str, tuple[str, ...]] = {
    "density": ("state", "aux", "token"),
    "position": ("state", "aux", "label"),
}

#: The datasets that a solution may hold besides.
_OPTIONAL: Mapping[str, tuple[str, ...]] = {
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

#: Where NaN says that there is no such thing; infinity says nothing anywhere.
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

#: Datasets that count.
_COUNTS = frozenset({"grid_size", "cluster_count", "plateau_clusters"})

#: The attributes that a solution has, and those that it may have.
_TEXTS = ("title", "configuration", "meanfield_pde_version", "created", "command")
_FURTHER: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("status", "method", "method_reason", "switch_reason", "density_kind", "space"), str),
    **dict.fromkeys(
        ("resolution", "steps", "rejected", "evaluations", "labels", "atoms", "first_order_steps"), int
    ),
    **dict.fromkeys(
        ("seconds", "period", "w1", "w2", "switched_at", "conceded", "negative_mass_cut"), (int, float)
    ),
}

# Axes and their ticks are computed without overflow up to here, far beyond any result.
_LARGEST = 1e100

# Contradictions below this cannot be seen in a figure; rounding in single precision is smaller.
_VISIBLE = 1e-4


def check_numbers(record: Record, required: Mapping[str, tuple[str, ...]]) -> None:
    """Raise InputError for empty datasets, and for coordinates, weights and densities that are not finite."""
    for name in required:
        defining = name in record.sizes or name.endswith(("_weight", "density", "marginal"))
        _check_finite(name, record[name], undefined=not defining)


def check_solution(record: Record) -> None:
    """Raise InputError where a record with the datasets `SOLUTION` contradicts itself."""
    _check_attributes(record)
    optional = {name: dims for name, dims in _OPTIONAL.items() if name in record}
    record.require(optional)
    for name in (*SOLUTION, *optional):
        if record[name].dtype.kind not in ("iu" if name in _COUNTS else "f"):
            kind = "integers" if name in _COUNTS else "floating-point numbers"
            raise InputError(f"dataset {name!r} must hold {kind}, found {record[name].dtype}")
        _check_finite(name, record[name], undefined=name in _UNDEFINED)
    _check_coordinates(record)
    order, most = record["order_parameter"], record["conditional_concentration"]
    if not ((order >= -_VISIBLE) & (order <= most + _VISIBLE)).all():
        raise InputError("dataset 'order_parameter' must be from 0 to 'conditional_concentration'")
    with np.errstate(all="ignore"):  # sums that overflow are not near what they must be
        _check_densities(record)


def _check_finite(name: str, values: FloatArray, *, undefined: bool) -> None:
    if values.size == 0:
        raise InputError(f"dataset {name!r} is empty")
    known = values[~np.isnan(values)] if undefined else values
    with np.errstate(invalid="ignore"):
        extremes = [float(known.min()), float(known.max())] if known.size else []
    if not all(abs(extreme) <= _LARGEST for extreme in extremes):
        raise InputError(f"dataset {name!r} holds numbers that are not finite, or beyond {_LARGEST:g}")


def _check_attributes(record: Record) -> None:
    for name, kind in {**dict.fromkeys(_TEXTS, str), **_FURTHER}.items():
        if name not in record.attributes:
            if name in _TEXTS:
                raise InputError(f"no attribute {name!r}; there are {', '.join(record.attributes)}")
        elif not isinstance(record.attributes[name], kind):
            expected = "a text" if kind is str else "an integer" if kind is int else "a number"
            raise InputError(f"attribute {name!r} must be {expected}, found {record.attributes[name]!r}")


def _check_coordinates(record: Record) -> None:
    time, token = record["time"], record["token"]
    for name in ("time", "token"):
        if not (np.diff(record[name]) > 0).all():
            raise InputError(f"dataset {name!r}, a coordinate, must increase")
    period = record.attributes.get("period")
    if period is not None and not token[-1] - token[0] < float(period) < np.inf:
        raise InputError(f"attribute 'period' must be more than the tokens span, found {period!r}")
    if record.variables["density"].dims[0] == "state" and len(record["density"]) != 1:
        raise InputError(f"dataset 'density' must hold one state or all, found {len(record['density'])}")
    if "state" in record and record["state"][-1] != time[-1]:
        raise InputError(f"dataset 'state' must be the last depth {time[-1]}, found {record['state'][-1]}")


def _check_densities(record: Record) -> None:
    """Weights make averages, densities have mass one up to the error that is stated, marginals follow."""
    for name in ("aux_weight", "token_weight"):
        if not (record[name] > 0).all():
            raise InputError(f"dataset {name!r} must hold positive numbers")
    total = record["aux_weight"].sum()
    if not abs(total - 1) <= _VISIBLE:
        raise InputError(f"dataset 'aux_weight' must sum to 1, found {total}")
    density, marginal = record["density"], record["marginal"]
    drift = np.abs(density @ record["token_weight"] - 1).max()
    if not drift <= abs(record["mass_error"]).max() + _VISIBLE:
        raise InputError(
            f"dataset 'density' must integrate to 1, as 'mass_error' says, found {drift:.2g} off"
        )
    mean = np.matmul(record["aux_weight"], density)
    if not (np.abs(mean - marginal[-len(mean) :]) <= _VISIBLE * np.abs(mean).max()).all():
        raise InputError("dataset 'marginal' must be the mean of 'density' over the auxiliary variable")
