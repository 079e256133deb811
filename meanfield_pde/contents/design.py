"""What the file of a design holds: the grid, what was designed, its limit map, the target and the test."""

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
    laid_out,
)
from meanfield_pde.contents.rules import (
    VISIBLE,
    Datasets,
    Dimensions,
    check_attributes,
    check_number,
    together,
)
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Record

__all__ = ["DESIGNS", "check_design"]

#: What may be designed.
DESIGNS = ("additive", "prompt", "rotary")

_REQUIRED: Mapping[str, Dimensions] = {
    **GRID,
    "encoding": ("aux", "component"),
    "target_map": ("aux",),
    "limit_map": ("aux",),
}
_EIGENVALUES = ("eigenvalue_real", "eigenvalue_imaginary")
_TRIALS = ("trial_amplitude", "trial_leading")
_TESTED = ("verified_map", "verified_length")
_OPTIONAL: Mapping[str, Dimensions] = {
    "prompt": ("aux",),
    "curvature": ("aux",),
    "target_density": ("token",),
    **dict.fromkeys(_TESTED, ("aux",)),
    **dict.fromkeys(_EIGENVALUES, ("eigenvalue",)),
    **dict.fromkeys(_TRIALS, ("trial",)),
}
_DATASETS = Datasets(
    _REQUIRED,
    _OPTIONAL,
    undefined=frozenset({"limit_map", "trial_leading"}),
    needs={**together(*_EIGENVALUES), **together(*_TRIALS), **together(*_TESTED)},
)
_DISTANCES = ("w1", "w2", "w1_continuous", "w2_continuous", "quantization", "residual")
_VERIFIED = (
    "verified_w1",
    "verified_w2",
    "verified_w2_initial",
    "verified_w2_near",
    "verified_w2_continuous",
    "verified_depth",
)
_PARAMETERS = ("amplitude", "least_amplitude", "fraction")
_ATTRIBUTES: Mapping[str, Any] = {
    **TEXTS,
    **dict.fromkeys(("status", "space", "design", "verified_from"), str),
    **dict.fromkeys(("seconds", "leading", *_DISTANCES), NUMBER),
    **dict.fromkeys(("resolution", "reached", "stable", "neutral", "newton_steps"), int),
}
_FURTHER: Mapping[str, Any] = {
    **dict.fromkeys(("period", "frequency", "turned", "rotation", *_VERIFIED, *_PARAMETERS), NUMBER),
    **dict.fromkeys(("reason", "least_reason", "verified_status", "designed", "designed_lines"), str),
    "dimension": int,
}


def check_design(record: Record) -> None:
    """Raise InputError where a record is no design, or contradicts itself."""
    check_attributes(record, _ATTRIBUTES, _FURTHER)
    _DATASETS.check(record, lambda datasets: laid_out(datasets, record))
    check_coordinates(record)
    check_weights(record)
    _check_attributes(record)
    _check_kind(record)
    if "target_density" in record:
        check_mass("target_density", record["target_density"], record["token_weight"])
    if "verified_length" in record:
        lengths = record["verified_length"]
        if not ((lengths >= 0) & (lengths <= 1 + VISIBLE)).all():
            raise InputError("dataset 'verified_length' must be from 0 to 1")
    if "trial_amplitude" in record and not (
        (record["trial_amplitude"] > 0).all() and (np.diff(record["trial_amplitude"]) >= 0).all()
    ):
        raise InputError("dataset 'trial_amplitude' must hold positive numbers that do not decrease")
    if "eigenvalue_real" in record:
        real = record["eigenvalue_real"]
        # Real parts of a conjugate pair are equal up to rounding.
        if not (np.diff(real) <= VISIBLE * np.abs(real).max()).all():
            raise InputError("dataset 'eigenvalue_real' must begin with the largest, and decrease")


def _check_attributes(record: Record) -> None:
    for name in (*_DISTANCES, *_VERIFIED, *_PARAMETERS):
        check_number(record, name, 0.0)
    check_number(record, "leading")
    for name in ("reached", "stable"):
        if record.attributes[name] not in {0, 1}:
            raise InputError(f"attribute {name!r} must be 0 or 1, found {record.attributes[name]!r}")
    if record.attributes["reached"] and not record.attributes["stable"]:
        raise InputError("attribute 'reached' must not be 1 where 'stable' is 0")
    if record.attributes["reached"] and "reason" in record.attributes:
        raise InputError("attribute 'reason' must not be there where 'reached' is 1")


def _check_kind(record: Record) -> None:
    kind = record.attributes["design"]
    if kind not in DESIGNS:
        raise InputError(f"attribute 'design' must be one of {', '.join(DESIGNS)}, found {kind!r}")
    if (kind == "prompt") != ("prompt" in record):
        raise InputError(
            "dataset 'prompt' must be there where attribute 'design' is 'prompt', and only there"
        )
    needed = {"additive": "amplitude", "prompt": "fraction", "rotary": "frequency"}[kind]
    if needed not in record.attributes:
        raise InputError(f"attribute {needed!r} must be there where attribute 'design' is {kind!r}")
