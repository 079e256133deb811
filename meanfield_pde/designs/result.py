"""A design: the record of what was found, with its datasets as attributes, and the TOML that uses it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meanfield_pde.results import dataset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.config import Configuration
    from meanfield_pde.records import Attribute, Record

__all__ = ["Design"]

#: Attributes that the closing table shows; None where there is none.
FACTS = (
    "w1",
    "w2",
    "w1_continuous",
    "w2_continuous",
    "quantization",
    "residual",
    "newton_steps",
    "leading",
    "neutral",
    "amplitude",
    "least_amplitude",
    "least_reason",
    "fraction",
    "frequency",
    "turned",
    "rotation",
    "verified_w1",
    "verified_w2",
    "verified_w2_continuous",
    "verified_from",
    "verified_status",
    "verified_depth",
    "verified_w2_initial",
    "verified_w2_near",
    "reason",
    "status",
    "seconds",
)


@dataclass(frozen=True)
class Design:
    """Datasets of a design as attributes: ``design.encoding``, ``.limit_map``, ``.target_map`` and more.

    p(z) is ``design.encoding``, (aux, component); prompts are ``design.prompt``, (aux,) angles or vectors;
    positions of rotary encodings ``design.aux``.
    """

    record: Record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return dataset("design", name, self.record)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.record.variables]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Title, configuration, version, distances, stability, the forward run, …."""
        return self.record.attributes

    @property
    def reached(self) -> bool:
        """Whether the limit is the target, stable, and a forward run came to it."""
        return bool(self.record.attributes["reached"])

    @property
    def stable(self) -> bool:
        """Whether small perturbations of the designed map decay."""
        return bool(self.record.attributes["stable"])

    @property
    def residual(self) -> float:
        """Largest speed of a token at the target, relative to the longest attention vector."""
        return float(self.record.attributes["residual"])

    @property
    def w2(self) -> float:
        """W₂ between the pushforward of ν by the limit map and the atoms that stand for the target."""
        return float(self.record.attributes["w2"])

    def toml(self, file: str | Path, *, whole: bool = True) -> str:
        """Return the configuration that solves with the design in ``file``, or the tables that it changes.

        Empty where the problem was made without a configuration.
        """
        from meanfield_pde.designs.writing import designed_configuration, designed_lines

        configuration = self._configuration()
        if configuration is None:
            return ""
        if whole:
            return designed_configuration(configuration, self.attributes, str(file)).to_toml()
        return designed_lines(configuration, self.attributes, str(file))

    def _configuration(self) -> Configuration | None:
        from meanfield_pde import config

        text = str(self.record.attributes.get("configuration", ""))
        return config.loads(text, label="design") if text else None

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all; an existing file is an error unless ``overwrite``.

        The attributes ``designed`` and ``designed_lines`` hold the TOML that reads this very file.
        """
        name = Path(path).name
        told = {"designed": self.toml(name), "designed_lines": self.toml(name, whole=False)}
        told = {key: text for key, text in told.items() if text}
        record = replace(self.record, attributes={**self.record.attributes, **told})
        record.save(Path(path), overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return the datasets as an ``xarray.Dataset``."""
        return self.record.to_xarray()

    def summary(self) -> dict[str, Any]:
        """Make the closing table, for people and for ``--json``; None for what is not known."""
        attributes = self.record.attributes
        return {
            "design": attributes["design"],
            "reached": self.reached,
            "stable": self.stable,
            "nodes": int(self.record["aux"].size),
            **{name: attributes.get(name) for name in FACTS},
        }
