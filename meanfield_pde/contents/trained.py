"""What the file of the ablation in a trained model holds: measures by sequence, variant, layer, and means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from meanfield_pde.contents.grid import NUMBER
from meanfield_pde.contents.rules import VISIBLE, Datasets, Dimensions, check_attributes, check_number
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Record

__all__ = ["check_trained", "share_interval"]

_MEASURES = ("order_parameter", "effective_rank", "nearest_dirac", "attention_entropy", "information")
_DEPTHS = ("collapse_depth", "uniform_depth")
_REQUIRED: Mapping[str, Dimensions] = {
    "layer": ("layer",),
    "length": ("sequence",),
    **dict.fromkeys(_MEASURES, ("sequence", "variant", "layer")),
    **dict.fromkeys(_DEPTHS, ("sequence", "variant")),
}
_MEANS = {part: tuple(f"{name}_{part}" for name in _MEASURES) for part in ("mean", "half", "count")}
_ALL_MEANS = tuple(name for names in _MEANS.values() for name in names)
_DATASETS = Datasets(
    _REQUIRED,
    dict.fromkeys(_ALL_MEANS, ("variant", "layer")),
    counts=frozenset({"layer", "length", *_MEANS["count"]}),
    undefined=frozenset({"effective_rank", "information", *_DEPTHS, *_MEANS["mean"], *_MEANS["half"]}),
    needs=dict.fromkeys(_ALL_MEANS, _ALL_MEANS),
)
_ATTRIBUTES: Mapping[str, Any] = {
    **dict.fromkeys(("title", "meanfield_pde_version", "settings", "status", "model_sha256"), str),
    **dict.fromkeys(("random_sequences", "layers_per_pass"), int),
    "seconds": NUMBER,
}
#: Measures that lie between zero and one.
_SHARES = ("order_parameter", "attention_entropy")


def check_trained(record: Record) -> None:
    """Raise InputError where a record is no ablation in a trained model, or contradicts itself."""
    check_attributes(record, _ATTRIBUTES, {})
    check_number(record, "seconds", 0.0)
    _DATASETS.check(record, dict)
    sizes = record.sizes
    if not np.array_equal(record["layer"], np.arange(sizes["layer"])):
        raise InputError("dataset 'layer' must count the layers from 0")
    for number in range(sizes["variant"]):
        if not isinstance(record.attributes.get(f"variant_{number}"), str):
            raise InputError(f"attribute 'variant_{number}' must name that variant of the positions")
    for name in _SHARES:
        if not ((record[name] >= -VISIBLE) & (record[name] <= 1.0 + VISIBLE)).all():
            raise InputError(f"dataset {name!r} must be from 0 to 1")
    for name in _DEPTHS:
        known = record[name][~np.isnan(record[name])]
        if not np.isin(known, record["layer"]).all():
            raise InputError(f"dataset {name!r} must hold layers")
    _check_means(record, int(record.attributes["random_sequences"]))


def _check_means(record: Record, count: int) -> None:
    """Refuse means that are not those of the random sequences."""
    if _ALL_MEANS[0] not in record:
        return
    if not 2 <= count <= record.sizes["sequence"]:
        raise InputError(
            f"attribute 'random_sequences' must be from 2 to {record.sizes['sequence']}, found {count}"
        )
    for name in _MEASURES:
        values = record[name][:count]
        known = ~np.isnan(values)
        told, least = known.sum(axis=0), np.where(known.sum(axis=0) > 1, 1.0, np.nan)
        mean = least * np.where(known, values, 0.0).sum(axis=0) / np.maximum(told, 1)
        if not np.array_equal(record[f"{name}_count"], told):
            raise InputError(f"dataset '{name}_count' must count the random sequences that have {name!r}")
        if not np.allclose(record[f"{name}_mean"], mean, rtol=VISIBLE, atol=VISIBLE, equal_nan=True):
            raise InputError(f"dataset '{name}_mean' must be the mean of {name!r} over the random sequences")


def share_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a share of which ``count`` of ``total`` were seen (Clopper & Pearson 1934)."""
    tail = 0.5 * (1.0 - level)
    low = special.betaincinv(count, total - count + 1, tail) if count else 0.0
    high = special.betaincinv(count + 1, total - count, 1.0 - tail) if count < total else 1.0
    return float(low), float(high)
