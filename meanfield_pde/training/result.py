"""A training: the record of what was found, with its datasets as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.results import dataset

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meanfield_pde.records import Attribute, Record

__all__ = ["Training"]

#: Attributes that the closing table shows; None where there is none.
FACTS = (
    "iterations",
    "evaluations",
    "converged",
    "arrival",
    "escape",
    "plateau_share",
    "control_energy",
    "late_control",
    "step_error",
    "resolution",
    "steps",
    "theory_mismatch",
    "theory_decay_rate",
    "theory_spectral_gap",
    "reason",
    "status",
    "seconds",
)


@dataclass(frozen=True)
class Training:
    """Datasets of a training as attributes: ``training.parameters``, (interval, feature), ``.loss``, ….

    ``untrained_marginal`` and others with this prefix belong to the same equation without the drift.
    """

    record: Record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return dataset("training", name, self.record)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.record.variables]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Title, configuration, version, arrival, plateau, escape, …."""
        return self.record.attributes

    @property
    def escapes(self) -> bool:
        """Whether the tokens leave the clustered plateau before the end."""
        return "escape" in self.record.attributes

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all; an existing file is an error unless ``overwrite``."""
        self.record.save(path, overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return the datasets as an ``xarray.Dataset``."""
        return self.record.to_xarray()

    def summary(self) -> dict[str, Any]:
        """Make the closing table, for people and for ``--json``; None for what is not known."""
        attributes, variables = self.record.attributes, self.record.variables
        ends = {
            f"{which}_{name}": float(variables[f"{prefix}{name}"].values[-1])
            for which, prefix in (("final", ""), ("untrained", "untrained_"))
            for name in ("order_parameter", "free_energy")
            if f"{prefix}{name}" in variables
        }
        return {
            "loss": attributes["final_loss"],
            "terminal_loss": attributes["final_terminal_loss"],
            "gradient_norm": attributes["final_gradient_norm"],
            **ends,
            **{name: attributes.get(name) for name in FACTS},
        }
