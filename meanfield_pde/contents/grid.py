"""The grid that every kind of file holds: nodes and weights of z, coordinates and weights of the tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.contents.rules import VISIBLE, Dimensions
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = ["GRID", "NUMBER", "TEXTS", "check_coordinates", "check_mass", "check_mean", "check_weights"]

GRID: Mapping[str, Dimensions] = {
    "aux": ("aux",),
    "token": ("token",),
    "aux_weight": ("aux",),
    "token_weight": ("token",),
}

#: Attributes of every file, all texts.
TEXTS = dict.fromkeys(("title", "configuration", "meanfield_pde_version", "created", "command"), str)

#: The type of attributes that are real numbers.
NUMBER = (int, float)


def check_coordinates(record: Record, *names: str) -> None:
    """Raise InputError unless these datasets increase and the tokens lie within one period."""
    for name in names:
        if not (np.diff(record[name]) > 0).all():
            raise InputError(f"dataset {name!r}, a coordinate, must increase")
    token, period = record["token"], record.attributes.get("period")
    if period is not None and not token[-1] - token[0] < float(period) < np.inf:
        raise InputError(f"attribute 'period' must be more than the tokens span, found {period!r}")


def check_weights(record: Record) -> None:
    """Raise InputError unless the weights are positive and those of z sum to one."""
    for name in ("aux_weight", "token_weight"):
        if not (record[name] > 0).all():
            raise InputError(f"dataset {name!r} must hold positive numbers")
    total = record["aux_weight"].sum()
    if not abs(total - 1) <= VISIBLE:
        raise InputError(f"dataset 'aux_weight' must sum to 1, found {total}")


def check_mass(name: str, density: FloatArray, weights: FloatArray, stated: float | None = None) -> None:
    """Raise InputError unless every density has mass one, up to the error that the file states."""
    drift = np.abs(density @ weights - 1).max()
    if not drift <= (stated or 0.0) + VISIBLE:
        excuse = "" if stated is None else ", as 'mass_error' says"
        raise InputError(f"dataset {name!r} must integrate to 1{excuse}, found {drift:.2g} off")


def check_mean(name: str, marginal: FloatArray, of: str, density: FloatArray, weights: FloatArray) -> None:
    """Raise InputError unless a marginal is the mean over z of the density, the dataset `of`."""
    mean = np.matmul(weights, density)
    if not (np.abs(mean - marginal) <= VISIBLE * np.abs(mean).max()).all():
        raise InputError(f"dataset {name!r} must be the mean of {of!r} over the auxiliary variable")
