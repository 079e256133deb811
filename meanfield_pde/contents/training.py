"""What the file of a training holds: the grid, parameters, iterates, and the tokens over depth."""

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
from meanfield_pde.contents.rules import VISIBLE, Datasets, Dimensions, check_attributes, check_number
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Record

__all__ = ["check_training"]

_NUMBERS = ("interaction_energy", "confinement", "free_energy", "order_parameter", "clustering")
_OVER_DEPTH: Mapping[str, Dimensions] = {
    "time": ("time",),
    **{f"{prefix}{name}": ("time",) for prefix in ("", "untrained_") for name in _NUMBERS},
    "marginal": ("time", "token"),
    "untrained_marginal": ("time", "token"),
}
_REQUIRED: Mapping[str, Dimensions] = {
    **GRID,
    "interval": ("interval",),
    "feature": ("feature",),
    "iteration": ("iteration",),
    "parameters": ("interval", "feature"),
    "parameter_norm": ("interval",),
    "loss": ("iteration",),
    "terminal_loss": ("iteration",),
    "gradient_norm": ("iteration",),
}
_OPTIONAL: Mapping[str, Dimensions] = {
    **_OVER_DEPTH,
    "encoding": ("aux", "component"),
    "component": ("component",),
    "density": ("time", "aux", "token"),
    "clusters": ("time",),
    "untrained_clusters": ("time",),
    "theory_gradient": ("interval", "feature"),
    "theory_continuous": ("interval", "feature"),
}
_DATASETS = Datasets(
    _REQUIRED,
    _OPTIONAL,
    counts=frozenset({"feature", "iteration", "clusters", "untrained_clusters", "component"}),
    needs={"theory_gradient": ("theory_continuous",), "theory_continuous": ("theory_gradient",)},
)
_FINAL = ("final_loss", "final_terminal_loss", "final_gradient_norm")
_SHARES = ("plateau_share", "late_control")
_ATTRIBUTES: Mapping[str, Any] = {
    **TEXTS,
    **dict.fromkeys(("status", "reason", "space", "loss_kind"), str),
    **dict.fromkeys(("regularization", "sigma", *_FINAL), NUMBER),
    **dict.fromkeys(("resolution", "converged", "iterations", "evaluations"), int),
}
_FURTHER: Mapping[str, Any] = {
    **dict.fromkeys(
        (
            "period",
            "seconds",
            "step_error",
            "arrival",
            "escape",
            "control_energy",
            "theory_mismatch",
            "theory_decay_rate",
            "theory_spectral_gap",
            *_SHARES,
        ),
        NUMBER,
    ),
    "dimension": int,
    "steps": int,
}


def check_training(record: Record) -> None:
    """Raise InputError where a record is no training, or contradicts itself."""
    check_attributes(record, _ATTRIBUTES, _FURTHER)
    _DATASETS.check(record, lambda datasets: laid_out(datasets, record))
    check_coordinates(record)
    check_weights(record)
    for name in ("regularization", "control_energy", "final_gradient_norm"):
        check_number(record, name, 0.0)
    if int(record.attributes["iterations"]) + 1 != record["loss"].size:
        raise InputError(
            f"attribute 'iterations' must be one less than the {record['loss'].size} entries of dataset "
            f"'loss', found {record.attributes['iterations']}"
        )
    if (record["gradient_norm"] < 0.0).any():
        raise InputError("dataset 'gradient_norm' must not be negative")
    if record.attributes["status"] != "running":
        _check_depths(record)


def _check_depths(record: Record) -> None:
    """Check what a training that has ended holds besides."""
    missing = [name for name in _OVER_DEPTH if name not in record]
    if missing:
        raise InputError(f"dataset {missing[0]!r} is required where attribute 'status' is not 'running'")
    for name in ("marginal", "untrained_marginal"):
        check_mass(name, record[name], record["token_weight"])
    for name in _SHARES:
        check_number(record, name, 0.0, 1.0 + VISIBLE)
    if not (np.diff(record["time"]) > 0.0).all():
        raise InputError("dataset 'time' must increase")
    for name in ("order_parameter", "untrained_order_parameter"):
        if not (record[name] >= 0.0).all():
            raise InputError(f"dataset {name!r} must not be negative")
