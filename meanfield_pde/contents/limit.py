"""What the file of a limit holds: the grid, and the limit law in a group that a solution may have as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

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

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.records import Record

__all__ = ["GROUP", "LAWS", "VERDICTS", "check_group", "check_limit"]

#: Name of the group of the limit law.
GROUP = "limit"
#: What the comparison with the pushforward says. Without a limit map there may be no limit law either.
VERDICTS = ("collapsed", "pushforward", "several atoms", "no limit map")
#: What the limit law is: δ_T(z), several atoms at each z, or a density.
LAWS = ("map", "atoms", "density")

_ROOT = Datasets(GRID, {"encoding": ("aux", "component")})
_ROOT_ATTRIBUTES: Mapping[str, Any] = {
    **TEXTS,
    "status": str,
    "space": str,
    "seconds": NUMBER,
    "resolution": int,
}

_LAW: Mapping[str, Dimensions] = {"limit_density": ("aux", "token"), "limit_marginal": ("token",)}
_STATE: Mapping[str, Dimensions] = {"stable": (), "residual": ()}
_MAPS = ("map_position", "map_energy", "map_share", "map_residual", "map_stable", "map_starts")
_RUNGS = ("noise_w1", "noise_w2", "noise_conditional", "noise_predicted")
_OPTIONAL: Mapping[str, Dimensions] = {
    "atoms": ("aux",),
    **dict.fromkeys(("atom_position", "atom_mass", "atom_curvature"), ("aux", "atom")),
    **dict.fromkeys(("pushforward_map", "curvature"), ("aux",)),
    **dict.fromkeys(("eigenvalue_real", "eigenvalue_imaginary"), ("eigenvalue",)),
    **dict.fromkeys(("mode", "growth_rate"), ("mode",)),
    **dict.fromkeys(_MAPS, ("map",)),
    "map_position": ("map", "aux"),
    **dict.fromkeys(("noise", *_RUNGS), ("rung",)),
}
_NEEDS = {
    **together("limit_density", "limit_marginal"),
    **together("atoms", "atom_position", "atom_mass"),
    "atom_curvature": ("atoms",),
    "pushforward_map": ("atoms",),
    "curvature": ("pushforward_map",),
    **together("eigenvalue_real", "eigenvalue_imaginary"),
    **together("mode", "growth_rate"),
    **together(*_MAPS),
    **dict.fromkeys(_RUNGS, ("noise",)),
}
_COUNTS = frozenset({"atoms", "mode", "map_starts"})
_FLAGS = frozenset({"stable", "map_stable"})
_UNDEFINED = frozenset({"residual", "atom_curvature", "curvature", "map_energy", "map_position", *_RUNGS})
_NOT_NEGATIVE = ("residual", "map_residual", "map_starts", *_RUNGS)

#: Length of the longest points of all spaces, those of a torus of two angles.
_LONGEST = np.sqrt(2.0)

#: Numbers of the group that it must and may have; NaN where they are not defined.
_NUMBERS = (
    "sigma",
    "order_parameter",
    "conditional_concentration",
    "entropy",
    "nearest_dirac",
    "effective_rank",
    "attention_entropy",
    "interaction_energy",
    "free_energy",
    "leading_eigenvalue",
    "spectral_gap",
)
_FURTHER = ("w1", "w2", "noise_rate", "compared_depth")


def check_limit(record: Record) -> None:
    """Raise InputError where a record is no limit, or contradicts itself."""
    check_attributes(record, _ROOT_ATTRIBUTES, {"period": NUMBER, "dimension": int})
    _ROOT.check(record, lambda datasets: laid_out(datasets, record))
    check_coordinates(record)
    check_weights(record)
    if GROUP not in record.groups:
        raise InputError(f"no group {GROUP!r}; there are {', '.join(record.groups) or 'none'}")
    check_group(record)


def check_group(record: Record) -> None:
    """Raise InputError where the group of the limit law contradicts itself or the grid of the record."""
    group = record.groups[GROUP]
    try:
        _check_attributes(group)
        _datasets(group).check(group, lambda datasets: laid_out(datasets, record))
        _check_sizes(group, record.sizes)
        if "limit_density" in group:
            _check_law(group, record["token_weight"], record["aux_weight"])
        _check_atoms(group, float(record.attributes.get("period", np.inf)))
        _check_verdict(group)
        _check_numbers(group)
    except InputError as error:
        raise InputError(f"group {GROUP!r}: {error}") from error


def _check_sizes(group: Record, outer: Mapping[str, int]) -> None:
    for name in group.sizes.keys() & outer.keys():
        if group.sizes[name] != outer[name]:
            raise InputError(
                f"dimension {name!r} must have the size {outer[name]} of the file, found {group.sizes[name]}"
            )


def _datasets(group: Record) -> Datasets:
    """Return what the group must hold: without a limit map there may be no law."""
    everything = {**_LAW, **_STATE, **_OPTIONAL}
    required = _STATE if _lawless(group) else {**_LAW, **_STATE}
    direction = "token" if float(group.attributes["sigma"]) > 0 else "atom"
    everything["escape_direction"] = ("aux", direction)
    optional = {name: dims for name, dims in everything.items() if name not in required}
    return Datasets(required, optional, _COUNTS, _FLAGS, _UNDEFINED, _NEEDS)


def _lawless(group: Record) -> bool:
    return group.attributes["verdict"] == "no limit map"


def _check_attributes(group: Record) -> None:
    numbers = dict.fromkeys(_NUMBERS, NUMBER)
    further = {**dict.fromkeys(_FURTHER, NUMBER), "clusters_predicted": int, "reason": str, "law": str}
    check_attributes(group, {"verdict": str, **numbers}, further)
    for name, allowed in {"verdict": VERDICTS, "law": LAWS}.items():
        found = group.attributes.get(name, "none")
        if found not in allowed and (name in group.attributes or not _lawless(group)):
            raise InputError(f"attribute {name!r} must be one of {', '.join(allowed)}, found {found!r}")
    for name in (*_NUMBERS, *_FURTHER):
        check_number(group, name)
    for name in ("w1", "w2", "sigma", "nearest_dirac", "effective_rank", "clusters_predicted"):
        check_number(group, name, 0.0)
    for name in ("order_parameter", "conditional_concentration"):
        check_number(group, name, -VISIBLE, _LONGEST + VISIBLE)
    if np.isnan(float(group.attributes["sigma"])):
        raise InputError("attribute 'sigma' must be >= 0, found nan")


def _check_law(group: Record, token_weight: FloatArray, aux_weight: FloatArray) -> None:
    density, marginal = (
        flat(group["limit_density"], token_weight),
        flat(group["limit_marginal"], token_weight),
    )
    check_mass("limit_density", density, token_weight.ravel())
    check_mean("limit_marginal", marginal, "limit_density", density, aux_weight)


def _check_atoms(group: Record, period: float) -> None:
    """Masses make laws, padding says nothing new, and a map is where there is one atom each."""
    if "atoms" not in group:
        return
    atoms, mass, position = (
        group["atoms"].astype(np.int64)[:, None],
        group["atom_mass"],
        group["atom_position"],
    )
    places = np.arange(mass.shape[1])
    if not ((atoms >= 1) & (atoms <= places.size)).all():
        raise InputError(f"dataset 'atoms' must be from 1 to {places.size}, the size of 'atom_mass'")
    if not ((mass >= 0).all() and (np.abs(mass.sum(axis=1) - 1) <= VISIBLE).all()):
        raise InputError("dataset 'atom_mass' must be >= 0 and sum to 1 for every node")
    if (mass[places >= atoms] != 0).any():
        raise InputError("dataset 'atom_mass' must be 0 beyond the number of 'atoms'")
    final = position[np.arange(len(position))[:, None], np.minimum(places, atoms - 1)]
    if not (np.abs(position - final) <= VISIBLE).all():
        raise InputError("dataset 'atom_position' must repeat the last one beyond the number of 'atoms'")
    if "pushforward_map" not in group:
        return
    if (atoms != 1).any():
        raise InputError("dataset 'pushforward_map' must be there only if 'atoms' is 1 for every node")
    away = np.abs(group["pushforward_map"] - position[:, 0])
    if position.ndim == 2:
        away = np.minimum(away % period, -away % period)
    if not (away <= VISIBLE).all():
        raise InputError("dataset 'pushforward_map' must be 'atom_position'")


def _check_verdict(group: Record) -> None:
    verdict, law = group.attributes["verdict"], group.attributes.get("law")
    if verdict == "pushforward" and "pushforward_map" not in group:
        raise InputError("attribute 'verdict' must not be 'pushforward' without dataset 'pushforward_map'")
    if verdict in {"several atoms", "no limit map"} and "pushforward_map" in group:
        raise InputError(f"attribute 'verdict' must not be {verdict!r} with dataset 'pushforward_map'")
    if law is not None and (law == "density") != (float(group.attributes["sigma"]) > 0):
        raise InputError(f"attribute 'law' must be 'density' where 'sigma' is positive only, found {law!r}")
    for name, dataset in {"map": "pushforward_map", "atoms": "atoms"}.items():
        if law == name and not _lawless(group) and dataset not in group:
            raise InputError(f"attribute 'law' must not be {law!r} without dataset {dataset!r}")


def _check_numbers(group: Record) -> None:
    """Signs, orders and sums."""
    for name in _NOT_NEGATIVE:
        if name in group and (group[name] < 0).any():
            raise InputError(f"dataset {name!r} must be >= 0")
    if "noise" in group and not (group["noise"] > 0).all():
        raise InputError("dataset 'noise' must hold positive numbers")
    if "mode" in group and not ((group["mode"] > 0).all() and (np.diff(group["mode"].astype(int)) > 0).all()):
        raise InputError("dataset 'mode' must hold positive numbers that increase")
    if "map_share" in group:
        shares = group["map_share"]
        if not ((shares >= 0) & (shares <= 1)).all() or shares.sum() > 1 + VISIBLE:
            raise InputError("dataset 'map_share' must be from 0 to 1, and sum to 1 at most")
    if "eigenvalue_real" in group:
        real = group["eigenvalue_real"]
        # Real parts of a conjugate pair are equal up to rounding.
        if not (np.diff(real) <= VISIBLE * np.abs(real).max()).all():
            raise InputError("dataset 'eigenvalue_real' must begin with the largest, and decrease")
