"""What the file of the ablation holds: predictions with their verdicts, families of runs, a trained model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents.grid import NUMBER
from meanfield_pde.contents.rules import VISIBLE, Datasets, Dimensions, check_attributes, check_number
from meanfield_pde.contents.trained import check_trained
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Record

__all__ = ["ENDS", "MEASURES", "TRAINED", "check_ablation", "families_of"]

#: Measures of every run; NaN where there is no such thing, and of runs that failed.
MEASURES = (
    "order_parameter",
    "entropy",
    "pushforward_distance",
    "nearest_dirac",
    "effective_rank",
    "attention_entropy",
    "attention_divergence",
    "information",
    "collapse_depth",
    "uniform_depth",
)
#: How a run ended; there is none of some encodings in the continuum.
ENDS = ("finished", "failed", "none")
#: Groups of a trained model, and of the limits of its mean-field equation.
TRAINED, LIMITS = ("trained", "trained_marked"), "trained_mean_field"

_NUMBERS = (
    "found",
    "error",
    "confirmed",
    "spread_ends",
    "collapsed_ends",
    "map_ends",
    "spread_order",
    "spread_order_beyond",
    "collapsed_order",
    "collapsed_order_beyond",
)
_CURVES = ("strengths", "up", "down")
_CHECKS = Datasets(
    {
        **dict.fromkeys(("check", "prediction", *_NUMBERS), ("check",)),
        **dict.fromkeys(_CURVES, ("check", "rung")),
    },
    {},
    undefined=frozenset({*_NUMBERS, *_CURVES}),
    texts=frozenset({"check", "prediction"}),
)
_LIMITS = ("order_parameter", "effective_rank", "nearest_dirac", "attention_entropy")
_REDUCED = Datasets(
    {"scale": ("scale",), **dict.fromkeys(("reached", *_LIMITS), ("case", "scale", "start"))},
    {},
    flags=frozenset({"reached"}),
    undefined=frozenset(_LIMITS),
)
_ATTRIBUTES: Mapping[str, Any] = {
    **dict.fromkeys(("title", "meanfield_pde_version", "status", "study", "failures"), str),
    **dict.fromkeys(("seeds", "points", "failed"), int),
    **dict.fromkeys(("seconds", "work"), NUMBER),
}
_FAILURE = {"family", "encoding", "value", "seed", "reason"}


def families_of(record: Record) -> dict[str, Record]:
    """Return families of runs by the names of what varies in them."""
    return {name: group for name, group in record.groups.items() if name not in {*TRAINED, LIMITS}}


def check_ablation(record: Record) -> None:
    """Raise InputError where a record is no ablation, or contradicts itself."""
    check_attributes(record, _ATTRIBUTES, {})
    check_number(record, "seconds", 0.0)
    _CHECKS.check(record, dict)
    verdicts = record["confirmed"]
    if not np.isin(verdicts[~np.isnan(verdicts)], (0, 1)).all():
        raise InputError("dataset 'confirmed' must be 0 or 1")
    families = families_of(record)
    if not families:
        raise InputError("there must be a group for every family of runs, found none")
    for name, family in families.items():
        with_name(name, family, _check_family)
    _check_counts(record, families)
    for name in set(TRAINED) & set(record.groups):
        with_name(name, record.groups[name], lambda _, group: check_trained(group))
    if LIMITS in record.groups:
        with_name(LIMITS, record.groups[LIMITS], lambda _, group: _REDUCED.check(group, dict))


def with_name(name: str, group: Record, judge: Any) -> None:
    """Check a group; what is wrong is told with its name."""
    try:
        judge(name, group)
    except InputError as error:
        raise InputError(f"group {name!r}: {error}") from error


def _check_family(name: str, family: Record) -> None:
    """Refuse cubes that are no measures, and means that are not those of the seeds."""
    check_attributes(family, {"title": str, "of": str}, {})
    whole: Dimensions = ("encoding", name, "seed")
    means = [f"{measure}_{part}" for measure in MEASURES for part in ("mean", "half", "count")]
    family.require({name: (name,)})
    if np.isnan(family[name]).any() or family[name].dtype.kind != "f":
        raise InputError(f"dataset {name!r} must hold numbers")
    Datasets(
        {
            "encoding": ("encoding",),
            **dict.fromkeys(("status", *MEASURES), whole),
            **dict.fromkeys(means, whole[:2]),
        },
        {},
        counts=frozenset(one for one in means if one.endswith("_count")),
        undefined=frozenset({*MEASURES, *means}),
        texts=frozenset({"encoding", "status"}),
    ).check(family, dict)
    if not np.isin(family["status"], ENDS).all():
        raise InputError(f"dataset 'status' must hold {', '.join(ENDS)}")
    for measure in MEASURES:
        _check_measure(family, measure)
    for number in range(family.sizes["encoding"]):
        if not isinstance(family.attributes.get(f"encoding_{number}"), str):
            raise InputError(f"attribute 'encoding_{number}' must name that encoding")


def _check_measure(family: Record, measure: str) -> None:
    values = family[measure]
    known = ~np.isnan(values)
    if (known & (family["status"] != "finished")).any():
        raise InputError(f"dataset {measure!r} must be NaN where 'status' is not finished")
    if measure == "order_parameter" and not ((values >= -VISIBLE) & (values <= 1 + VISIBLE))[known].all():
        raise InputError(f"dataset {measure!r} must be from 0 to 1")
    count = known.sum(axis=-1)
    mean = np.where(count > 1, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)
    if not np.array_equal(family[f"{measure}_count"], count):
        raise InputError(f"dataset '{measure}_count' must count the seeds that have {measure!r}")
    if not np.allclose(family[f"{measure}_mean"], mean, rtol=VISIBLE, atol=VISIBLE, equal_nan=True):
        raise InputError(f"dataset '{measure}_mean' must be the mean of {measure!r} over seeds")


def _check_counts(record: Record, families: Mapping[str, Record]) -> None:
    """Refuse numbers of runs, and of those that failed, that are not those of the groups."""
    runs = sum(int((family["status"] != "none").sum()) for family in families.values())
    points = runs + record.sizes["check"]
    if record.attributes["points"] != points:
        raise InputError(f"attribute 'points' must be {points}, found {record.attributes['points']!r}")
    try:
        failures = json.loads(str(record.attributes["failures"]))
        known = isinstance(failures, list) and all(set(one) == _FAILURE for one in failures)
    except (ValueError, TypeError, RecursionError):
        known = False
    if not known:
        raise InputError("attribute 'failures' must be a list as JSON, with the reason of every run")
    failed = sum(int((family["status"] == "failed").sum()) for family in families.values())
    failed += int(np.isnan(record["confirmed"]).sum())
    if record.attributes["failed"] != failed or len(failures) != failed:
        raise InputError(f"attribute 'failed' must be {failed}, found {record.attributes['failed']!r}")
