"""What the file of a sweep holds: a cube of measures over its parameters, and how every point ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents.grid import NUMBER, TEXTS
from meanfield_pde.contents.rules import VISIBLE, Datasets, Dimensions, check_attributes, check_number
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = ["ENDS", "MEASURES", "WORDS", "check_sweep", "dims_of", "parameters_of", "rule_of"]

#: How a point ends, or that it has not been computed yet.
ENDS = ("finished", "failed", "pending")

#: What is measured at every point, by what is computed there; NaN where there is no such thing.
MEASURES: Mapping[str, Mapping[str, str]] = {
    "limit": {
        "order_parameter": "order parameter R = |∫x dμ|",
        "w1": "W₁ between the token marginal and the pushforward of ν",
        "w2": "W₂ between the token marginal and the pushforward of ν",
        "nearest_dirac": "W₂ to the nearest Dirac mass",
        "conditional_concentration": "conditional concentration Σ w |∫x ρ(x|z) dx|",
        "entropy": "entropy −∫μ log μ of the token marginal",
        "effective_rank": "effective rank of the token covariance",
        "attention_entropy": "mean entropy of attention relative to uniform attention (0 at most)",
        "interaction_energy": "interaction energy E",
        "free_energy": "free energy F_σ = −E + σ Σ w ∫ρ log ρ",
        "atoms": "largest number of atoms at a node",
        "stable": "whether every perturbation decays (1) or not (0)",
        "leading_eigenvalue": "largest growth rate of a perturbation",
        "residual": "residual of the stationary equation",
    },
    "solve": {
        "order_parameter": "order parameter R = |∫x dμ|",
        "w1": "W₁ between the token marginal and the pushforward of ν by conditional means",
        "w2": "W₂ between the token marginal and the pushforward of ν by conditional means",
        "nearest_dirac": "W₂ to the nearest Dirac mass",
        "conditional_concentration": "conditional concentration Σ w |∫x ρ(x|z) dx|",
        "entropy": "entropy −∫μ log μ of the token marginal",
        "effective_rank": "effective rank of the token covariance",
        "attention_entropy": "mean entropy of attention relative to uniform attention (0 at most)",
        "interaction_energy": "interaction energy E",
        "free_energy": "free energy F_σ = −E + σ Σ w ∫ρ log ρ",
        "dissipation": "dissipation Σ w ∫ρ |V + F − σ∇log ρ|²",
        "clusters": "number of clusters of the token marginal",
        "mass_error": "largest |∫ρ(x|z) dx − 1| over z and depth",
        "minimum": "smallest value of ρ(x|z) over depth",
        "depth": "depth t reached",
        "steps": "steps",
        "resolution": "finest resolution in use",
    },
    "train": {
        "loss": "objective J",
        "terminal_loss": "loss of the last state",
        "order_parameter": "order parameter R at the end",
        "untrained_order_parameter": "order parameter R at the end without the drift",
        "free_energy": "free energy F_σ at the end",
        "arrival": "depth at which tokens arrive on the clustered plateau",
        "escape": "depth at which they escape from it",
        "plateau_share": "share of the depth between both",
        "control_energy": "control energy ½∫|θ|² dt",
        "gradient_norm": "norm of the gradient of J",
        "iterations": "iterations",
    },
}

#: What is said of every point in words.
WORDS: Mapping[str, Mapping[str, str]] = {
    "limit": {"verdict": "what the limit law is"},
    "solve": {"method": "method of the solve"},
    "train": {},
}

_ATTRIBUTES: Mapping[str, Any] = {
    **TEXTS,
    **dict.fromkeys(("status", "of", "parameters", "plan", "data"), str),
    **dict.fromkeys(("points", "failed", "pending"), int),
    "seconds": NUMBER,
}
#: Length of the longest points of all spaces, those of a torus of two angles.
_LONGEST = np.sqrt(2.0)
_LENGTHS = frozenset({"order_parameter", "untrained_order_parameter", "conditional_concentration"})
_NOT_NEGATIVE = frozenset(
    {
        "seconds",
        "w1",
        "w2",
        "nearest_dirac",
        "residual",
        "effective_rank",
        "mass_error",
        "gradient_norm",
        "arrival",
        "escape",
        "plateau_share",
        "control_energy",
    }
)


def parameters_of(record: Record) -> dict[str, str]:
    """Keys of the configuration that vary, by the names of their datasets."""
    return {key.replace(".", "_"): key for key in str(record.attributes["parameters"]).split()}


def dims_of(record: Record) -> Dimensions:
    """Dimensions of the cube: the parameters, or ``point`` of a random design."""
    return record.variables["status"].dims


def check_sweep(record: Record) -> None:
    """Raise InputError where a record is no sweep, or contradicts itself."""
    check_attributes(record, _ATTRIBUTES, {})
    of = str(record.attributes["of"])
    if of not in MEASURES:
        raise InputError(f"attribute 'of' must be one of {', '.join(MEASURES)}, found {of!r}")
    names = tuple(parameters_of(record))
    if not names or not all(name in record for name in names) or "status" not in record:
        raise InputError(f"datasets 'status' and {', '.join(names)}, the parameters, must be there")
    dims = ("point",) if dims_of(record) == ("point",) else names
    _datasets(record, of, names, dims).check(record, dict)
    _check_parameters(record, names, dims)
    _check_attributes(record)
    _check_ends(record, of)
    _check_numbers(record)


def _datasets(record: Record, of: str, names: Dimensions, dims: Dimensions) -> Datasets:
    """Return what must be there; parameters are numbers or texts."""
    texts = {"status", "reason", *WORDS[of]} | {name for name in names if _kind(record, name) == "U"}
    counts = {name for name in names if _kind(record, name) in "iu"}
    own = {name: dims if dims == ("point",) else (name,) for name in names}
    cube = dict.fromkeys(("status", "reason", "seconds", *MEASURES[of], *WORDS[of]), dims)
    return Datasets(
        own | cube,
        {},
        counts=frozenset(counts),
        undefined=frozenset({"seconds", *MEASURES[of]}),
        texts=frozenset(texts),
    )


def _kind(record: Record, name: str) -> str:
    return record[name].dtype.kind


def _check_parameters(record: Record, names: Dimensions, dims: Dimensions) -> None:
    """Raise InputError where coordinates of the cube do not increase, or texts are there twice."""
    for name in names if dims != ("point",) else ():
        values = record[name]
        distinct = len(set(values.tolist())) == len(values)
        if not (distinct if _kind(record, name) == "U" else (np.diff(values) > 0).all()):
            raise InputError(f"dataset {name!r}, a coordinate, must hold distinct texts or increase")


def _check_attributes(record: Record) -> None:
    status = record["status"]
    unknown = sorted(set(status.ravel().tolist()) - set(ENDS))
    if unknown:
        raise InputError(f"dataset 'status' must hold {', '.join(ENDS)}, found {unknown[0]!r}")
    counts = {"points": status.size} | {end: int((status == end).sum()) for end in ENDS[1:]}
    for name, count in counts.items():
        if record.attributes[name] != count:
            raise InputError(f"attribute {name!r} must be {count}, found {record.attributes[name]!r}")
    check_number(record, "seconds", 0.0)
    for name in ("plan", "data"):
        try:
            known = isinstance(json.loads(str(record.attributes[name])), dict)
        except (ValueError, RecursionError):
            known = False
        if not known:
            raise InputError(f"attribute {name!r} must be a table as JSON")


def _check_ends(record: Record, of: str) -> None:
    """Raise InputError where a point that is not finished has measures, or a failed one no reason."""
    status, reason = record["status"], record["reason"]
    if ((reason != "") != (status == "failed")).any():
        raise InputError("dataset 'reason' must be there where 'status' is failed, and only there")
    for name in MEASURES[of]:
        if not np.isnan(record[name][status != "finished"]).all():
            raise InputError(f"dataset {name!r} must be NaN where 'status' is not finished")
    if np.isnan(record["seconds"][status != "pending"]).any():
        raise InputError("dataset 'seconds' must be known where 'status' is not pending")


def _check_numbers(record: Record) -> None:
    for name in ("seconds", *MEASURES[str(record.attributes["of"])]):
        rule, kept = rule_of(name, record[name])
        if not kept.all():
            raise InputError(f"dataset {name!r} must be {rule}")


def rule_of(name: str, values: FloatArray) -> tuple[str, NDArray[np.bool_]]:
    """Say which rule a measure obeys, and where values keep it; NaN keeps any."""
    unknown = np.isnan(values)
    with np.errstate(invalid="ignore"):
        if name in _NOT_NEGATIVE:
            return ">= 0", unknown | (values >= 0)
        if name in _LENGTHS:
            return "at most the length of the longest points", unknown | (values <= _LONGEST + VISIBLE)
        if name == "stable":
            return "0 or 1", unknown | np.isin(values, (0, 1))
    return "finite", np.ones(np.shape(values), dtype=bool)
