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

__all__ = [
    "GRID",
    "NUMBER",
    "PLACES",
    "TEXTS",
    "check_coordinates",
    "check_mass",
    "check_mean",
    "check_weights",
    "flat",
    "laid_out",
    "token_dims",
]

#: Stands for the dimensions of the grid of the tokens, whatever they are called on their space.
TOKEN = "token"  # noqa: S105 (the tokens of a Transformer)
#: Places are vectors, with the dimension ``component``, on grids of these dimensions.
VECTORS = (("colatitude", "longitude"), ("angle_1", "angle_2"))
#: What else the grids of token spaces may be called.
GRIDS = ((TOKEN,), ("cosine",), *VECTORS)

#: Datasets of places on the token space: angles, or vectors.
PLACES = frozenset(
    {
        "conditional_mean",
        "position",
        "label_start",
        "pushforward_map",
        "atom_position",
        "map_position",
        "target_map",
        "limit_map",
        "verified_map",
        "prompt",
        "escape_direction",
    }
)

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


def token_dims(record: Record) -> Dimensions:
    """Dimensions of the grid of the tokens: those of its weights.

    Raises
    ------
    InputError
        When there are no weights, or not on a grid that is known.
    """
    if "token_weight" not in record:
        raise InputError(f"no dataset token_weight; there are {', '.join(record.variables) or 'none'}")
    dims = record.variables["token_weight"].dims
    if dims not in GRIDS:
        allowed = ", ".join(" x ".join(names) for names in GRIDS)
        raise InputError(f"dataset 'token_weight' must have the dimensions {allowed}, found {dims}")
    return dims


def laid_out(datasets: Mapping[str, Dimensions], record: Record) -> dict[str, Dimensions]:
    """Dimensions by name on the grid of a record, which hold ``token``, and places, on a circle."""
    tokens = token_dims(record)
    vectors = tokens in VECTORS or "component" in _place_dims(record)
    result: dict[str, Dimensions] = {}
    for name, dims in datasets.items():
        if dims == (TOKEN,) and name == TOKEN:
            result |= {axis: (axis,) for axis in tokens}
            continue
        own = tuple(part for dim in dims for part in (tokens if dim == TOKEN else (dim,)))
        placed = vectors and name in PLACES and TOKEN not in dims
        result[name] = (*own, "component") if placed else own
    return result


def _place_dims(record: Record) -> Dimensions:
    """Dimensions of the places in a record: tokens in many dimensions are vectors, but shown on a line."""
    held = [record, *record.groups.values()]
    found = [one.variables[name].dims for one in held for name in PLACES if name in one]
    return found[0] if found else ()


def check_coordinates(record: Record, *names: str) -> None:
    """Raise InputError unless these and those of the grid increase, and the tokens lie within one period."""
    tokens = token_dims(record)
    for name in (*names, *tokens):
        if not (np.diff(record[name]) > 0).all():
            raise InputError(f"dataset {name!r}, a coordinate, must increase")
    token, period = record[tokens[0]], record.attributes.get("period")
    if len(tokens) == 1 and period is not None and not token[-1] - token[0] < float(period) < np.inf:
        raise InputError(f"attribute 'period' must be more than the tokens span, found {period!r}")


def check_weights(record: Record) -> None:
    """Raise InputError unless the weights are positive and those of z sum to one."""
    for name in ("aux_weight", "token_weight"):
        if not (record[name] > 0).all():
            raise InputError(f"dataset {name!r} must hold positive numbers")
    total = record["aux_weight"].sum()
    if not abs(total - 1) <= VISIBLE:
        raise InputError(f"dataset 'aux_weight' must sum to 1, found {total}")


def flat(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Join the dimensions of the grid, those of its weights, at the end of an array: (…, points)."""
    return np.reshape(values, (*values.shape[: values.ndim - weights.ndim], -1))


def check_mass(name: str, density: FloatArray, weights: FloatArray, stated: float | None = None) -> None:
    """Raise InputError unless every density has mass one, up to the error that the file states."""
    drift = np.abs(flat(density, weights) @ weights.ravel() - 1).max()
    if not drift <= (stated or 0.0) + VISIBLE:
        excuse = "" if stated is None else ", as 'mass_error' says"
        raise InputError(f"dataset {name!r} must integrate to 1{excuse}, found {drift:.2g} off")


def check_mean(name: str, marginal: FloatArray, of: str, density: FloatArray, weights: FloatArray) -> None:
    """Raise InputError unless a marginal (…, points) is the mean over z of the density, the dataset `of`."""
    mean = np.matmul(weights, density)
    if not (np.abs(mean - marginal) <= VISIBLE * np.abs(mean).max()).all():
        raise InputError(f"dataset {name!r} must be the mean of {of!r} over the auxiliary variable")
