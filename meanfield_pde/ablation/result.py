"""The result of the ablation: its measures, verdicts of the predictions, depths of both kinds of collapse."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents.trained import share_interval
from meanfield_pde.results import dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Attribute, Record

__all__ = ["MARKED", "MEAN_FIELD", "TRAINED", "Ablation"]

#: Groups of the trained model: sequences as they are, between marks, and limits of its mean-field equation.
TRAINED, MARKED, MEAN_FIELD = "trained", "trained_marked", "trained_mean_field"
#: What one sequence of a prototype gave at the end of 120 layers, by variant and measure.
PROTOTYPE: Mapping[tuple[str, str], float] = {
    ("removed", "order_parameter"): 0.996,
    ("removed", "effective_rank"): 1.00,
    ("present", "order_parameter"): 0.73,
    ("present", "effective_rank"): 3.2,
    ("added at every pass", "order_parameter"): 0.77,
    ("added at every pass", "effective_rank"): 7.7,
}


@dataclass(frozen=True)
class Ablation:
    """Verdicts as attributes, ``ablation.confirmed``, and a record for every family in ``ablation.groups``.

    A record of a trained model alone has its measures as attributes.
    """

    record: Record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return dataset("ablation", name, self.record)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.record.variables]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Title, version, what was studied, what failed, ...."""
        return self.record.attributes

    @property
    def groups(self) -> Mapping[str, Record]:
        """Families of runs by name, and the trained model."""
        return self.record.groups

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all; an existing file is an error unless ``overwrite``."""
        self.record.save(Path(path), overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return the verdicts as an ``xarray.Dataset``; groups one by one, by their records."""
        return self.record.to_xarray()

    def summary(self) -> dict[str, Any]:
        """Make the closing table, for people and for ``--json``."""
        facts = {name: self.attributes[name] for name in ("points", "failed", "seeds", "seconds")}
        failures = json.loads(str(self.attributes["failures"]))
        context = self.groups.get("context")
        depths = ("collapse_depth", "uniform_depth")
        return {
            **facts,
            "reasons": sorted({str(one["reason"]) for one in failures}),
            "predictions": self._predictions(),
            **({name: depths_of(context, name) for name in depths} if context else {}),
            "trained": trained_facts(self.groups[TRAINED]) if TRAINED in self.groups else None,
            "trained_marked": trained_facts(self.groups[MARKED]) if MARKED in self.groups else None,
        }

    def _predictions(self) -> list[dict[str, Any]]:
        """Return every check: what was found, its error, whether it is confirmed; None if it failed."""
        rows = []
        for place, name in enumerate(self.record["check"]):
            facts = {
                key: float(self.record[key][place])
                for key in ("found", "error", "spread_ends", "collapsed_ends", "map_ends")
            }
            known = {key: value for key, value in facts.items() if not math.isnan(value)}
            verdict = float(self.record["confirmed"][place])
            rows.append(
                {
                    "name": str(name),
                    "prediction": str(self.record["prediction"][place]),
                    "confirmed": None if math.isnan(verdict) else bool(verdict),
                    **known,
                }
            )
        return rows


def depths_of(family: Record, name: str) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Depth by encoding and context: mean over seeds that have it, its interval, and how many do."""
    found: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for row, encoding in enumerate(family["encoding"]):
        found[str(encoding)] = {}
        for place, context in enumerate(family["context"]):
            runs = int((family["status"][row, place] == "finished").sum())
            if not runs:
                continue
            values = family[name][row, place]
            known = values[~np.isnan(values)]
            half = float(family[f"{name}_half"][row, place])
            key = "continuum" if math.isinf(context) else f"{context:.0f}"
            found[str(encoding)][key] = {
                "mean": float(known.mean()) if known.size else None,
                "half": None if math.isnan(half) else half,
                "count": int(known.size),
                "runs": runs,
            }
    return found


def trained_facts(group: Record) -> dict[str, Any]:
    """Say of every variant what is left at the end, and how many sequences have collapsed, with intervals."""
    total = int(group.attributes["random_sequences"])
    facts: dict[str, Any] = {"sequences": total, "layers": int(group["layer"][-1])}
    for row in range(group.sizes["variant"]):
        title = str(group.attributes[f"variant_{row}"])
        collapsed = int((~np.isnan(group["collapse_depth"][:total, row])).sum())
        uniform = int((~np.isnan(group["uniform_depth"][:total, row])).sum())
        low, high = share_interval(collapsed, total)
        facts[title] = {
            **_ends(group, "order_parameter", row),
            **_ends(group, "effective_rank", row),
            **_ends(group, "attention_entropy", row),
            "collapsed": collapsed,
            "collapsed_low": low,
            "collapsed_high": high,
            "uniform": uniform,
            **_prototype(group, title, row),
        }
    return facts


def _ends(group: Record, name: str, row: int) -> dict[str, float]:
    return {
        name: float(group[f"{name}_mean"][row, -1]),
        f"{name}_half": float(group[f"{name}_half"][row, -1]),
    }


def _prototype(group: Record, title: str, row: int) -> dict[str, Any]:
    """Tell whether intervals hold what a prototype saw; only where all sequences have the measure."""
    told: dict[str, Any] = {}
    for (variant, name), value in PROTOTYPE.items():
        if variant == title:
            mean, half = (float(group[f"{name}_{part}"][row, -1]) for part in ("mean", "half"))
            whole = group[f"{name}_count"][row, -1] == group.attributes["random_sequences"]
            told[f"prototype_{name}"] = value
            told[f"prototype_{name}_within"] = bool(abs(value - mean) <= half) if whole else None
    return told
