"""Limits and bifurcation diagrams: the records of a computation, with their datasets as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.contents import LIMIT
from meanfield_pde.errors import InputError
from meanfield_pde.records import Attribute, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Bifurcation", "Limit", "dataset"]

#: Attributes that the closing table of a limit shows; None where there is none.
_FACTS = (
    "order_parameter",
    "verdict",
    "law",
    "sigma",
    "leading_eigenvalue",
    "spectral_gap",
    "conditional_concentration",
    "entropy",
    "nearest_dirac",
    "effective_rank",
    "attention_entropy",
    "interaction_energy",
    "free_energy",
    "clusters_predicted",
    "noise_rate",
)
_NOISE = ("w1", "w2", "conditional", "predicted")


def dataset(what: str, name: str, *records: Record) -> Any:
    """Values of a dataset, from the first record that has it; AttributeError where none has."""
    for record in records:
        if name in record:
            return record[name]
    there = sorted({name for record in records for name in record.variables})
    raise AttributeError(f"the {what} has no dataset {name!r}; it has {', '.join(there)}")


@dataclass(frozen=True)
class Limit:
    """Datasets of a limiting distribution as attributes: ``limit.pushforward_map``, ``.atoms`` and more.

    The density ``limit.limit_density`` has shape (aux, token), the limit map T ``limit.pushforward_map``
    shape (aux,) and ``limit.atoms``, the number of atoms at each z, as well.

    Parameters
    ----------
    record
        The grid, and all that belongs to the limit law in the group ``limit``: also the record of a solution
        that was compared.

    Raises
    ------
    InputError
        The record has no group ``limit``.
    """

    record: Record

    def __post_init__(self) -> None:
        if LIMIT not in self.record.groups:
            raise InputError(f"limit: the record must have a group {LIMIT!r}, got {list(self.record.groups)}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return dataset("limit", name, self._law, self.record)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.record.variables, *self._law.variables]

    @property
    def _law(self) -> Record:
        return self.record.groups[LIMIT]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Title, configuration, version, status, …, and those of the limit law."""
        return {**self.record.attributes, **self._law.attributes}

    @property
    def stable(self) -> bool:
        """Whether small perturbations decay."""
        return bool(self._law["stable"])

    @property
    def residual(self) -> float:
        """How far the limit law is from stationary."""
        return float(self._law["residual"])

    @property
    def w1(self) -> float:
        """W₁ between the token marginal and T#ν; NaN where there is no T."""
        return float(self._law.attributes.get("w1", np.nan))

    @property
    def w2(self) -> float:
        """W₂ between the token marginal and T#ν; NaN where there is no T."""
        return float(self._law.attributes.get("w2", np.nan))

    @property
    def verdict(self) -> str:
        """``collapsed``, ``pushforward``, ``several atoms`` or ``no limit map``."""
        return str(self._law.attributes["verdict"])

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all; an existing file is an error unless ``overwrite``."""
        self.record.save(Path(path), overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return grid and limit law as one ``xarray.Dataset``."""
        return Record({**self.record.variables, **self._law.variables}, self.attributes).to_xarray()

    def summary(self) -> dict[str, Any]:
        """Make the closing table, for people and for ``--json``; None for what is not known."""
        law, attributes = self._law, self.attributes
        facts = {name: law.attributes.get(name) for name in _FACTS}
        return {
            "w1": law.attributes.get("w1"),
            "w2": law.attributes.get("w2"),
            "atoms": int(law["atoms"].max()) if "atoms" in law else None,
            "stable": self.stable,
            "residual": self.residual,
            **facts,
            "growth_rates": _growth_rates(law),
            "maps": _maps(law),
            "noise": _noise(law),
            "status": attributes.get("status"),
            "seconds": attributes.get("seconds"),
        }


@dataclass(frozen=True)
class Bifurcation:
    """Datasets of a bifurcation diagram as attributes: ``.parameter``, ``.branch``, ``.order_parameter``, ….

    One entry a point, one branch after the other, each in the order of arclength.
    """

    record: Record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return dataset("bifurcation diagram", name, self.record)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.record.variables]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Title, configuration, version, name and range of the parameter, names of the branches, …."""
        return self.record.attributes

    @property
    def transition(self) -> str:
        """``continuous``, ``discontinuous`` or ``none``."""
        return str(self.record.attributes["transition"])

    @property
    def folds(self) -> list[dict[str, Any]]:
        """Where branches turn back: ``value`` of the parameter, ``order_parameter``, ``branch``."""
        return _rows(self.record, "fold", ("value", "order_parameter", "branch"))

    @property
    def branch_points(self) -> list[dict[str, Any]]:
        """Where branches meet: as `folds`, and the ``mode`` that grows (-1: not at the uniform state)."""
        return _rows(self.record, "branch_point", ("value", "order_parameter", "branch", "mode"))

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all; an existing file is an error unless ``overwrite``."""
        self.record.save(Path(path), overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return the datasets as an ``xarray.Dataset``."""
        return self.record.to_xarray()

    def summary(self) -> dict[str, Any]:
        """Make the closing table, for people and for ``--json``; None for what is not known."""
        attributes = self.record.attributes
        facts = ("transition", "spinodal_low", "spinodal_high")
        return {
            "parameter": attributes["parameter"],
            "folds": self.folds,
            "branch_points": self.branch_points,
            **{name: attributes.get(name) for name in facts},
            "branches": self._branches(),
            "status": attributes.get("status"),
            "seconds": attributes.get("seconds"),
        }

    def _branches(self) -> list[dict[str, Any]]:
        """Name of each branch, its number of points, and the parameter at its first and last."""
        rows = []
        for number in np.unique(self.record["branch"]).tolist():
            values = self.record["parameter"][self.record["branch"] == number]
            name = self.record.attributes[f"branch_{number}"]
            ends = {"from": float(values[0]), "to": float(values[-1])}
            rows.append({"name": name, "points": len(values), **ends})
        return rows


def _rows(record: Record, prefix: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One dictionary an entry of the datasets ``prefix_name``; none where they are not there."""
    if f"{prefix}_{names[0]}" not in record:
        return []
    columns = [record[f"{prefix}_{name}"].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _growth_rates(law: Record) -> dict[int, float]:
    return dict(zip(law["mode"].tolist(), law["growth_rate"].tolist(), strict=True)) if "mode" in law else {}


def _maps(law: Record) -> list[dict[str, Any]]:
    rows = _rows(law, "map", ("share", "energy", "stable", "residual", "starts"))
    return [{**row, "stable": bool(row["stable"])} for row in rows]


def _noise(law: Record) -> list[dict[str, Any]]:
    """Return the rungs along σ → 0, each with what is known of it."""
    if "noise" not in law:
        return []
    known = [name for name in _NOISE if f"noise_{name}" in law]
    columns = [law["noise"].tolist(), *(law[f"noise_{name}"].tolist() for name in known)]
    return [dict(zip(["sigma", *known], row, strict=True)) for row in zip(*columns, strict=True)]
