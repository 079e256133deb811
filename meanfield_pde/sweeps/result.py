"""The result of a sweep: its cube, with the datasets as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents.sweep import dims_of, parameters_of
from meanfield_pde.results import dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Attribute, Record

__all__ = ["Sweep"]


@dataclass(frozen=True)
class Sweep:
    """Measures over the parameters as attributes: ``sweep.order_parameter``, ``.status``, ``.reason``, ….

    The dimensions are the parameters, in their order: ``sweep.attention_beta`` holds the values of
    attention.beta. A random design has one dimension, ``point``.
    """

    record: Record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return dataset("sweep", name, self.record)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.record.variables]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Title, configuration, version, what was swept, ...."""
        return self.record.attributes

    @property
    def failures(self) -> list[dict[str, Any]]:
        """Points that failed: values of their parameters by key, and the ``reason``."""
        keys, dims = parameters_of(self.record), dims_of(self.record)
        places = np.argwhere(self.record["status"] == "failed").tolist()
        rows = []
        for place in places:
            at = dict(zip(dims, place, strict=True))
            values = {key: self.record[name][at.get(name, place[0])].item() for name, key in keys.items()}
            rows.append({**values, "reason": str(self.record["reason"][tuple(place)])})
        return rows

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all; an existing file is an error unless ``overwrite``."""
        self.record.save(Path(path), overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return the cube as an ``xarray.Dataset``."""
        return self.record.to_xarray()

    def summary(self) -> dict[str, Any]:
        """Make the closing table, for people and for ``--json``."""
        facts = ("of", "points", "failed", "pending", "status", "seconds")
        return {
            **{name: self.record.attributes[name] for name in facts},
            "parameters": str(self.record.attributes["parameters"]).split(),
            "sizes": dict(zip(dims_of(self.record), self.record["status"].shape, strict=True)),
            "reasons": self._reasons(),
        }

    def _reasons(self) -> dict[str, int]:
        """Return how often points failed for each reason, the most frequent first."""
        reasons, counts = np.unique(
            self.record["reason"][self.record["status"] == "failed"], return_counts=True
        )
        order = np.argsort(-counts, kind="stable")
        return {str(reasons[place]): int(counts[place]) for place in order}
