"""The configuration that a design leads to: what to write so that its file is read back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.config import Auxiliary, Configuration, Encoding, Initial, Noise, Prompt, Time
from meanfield_pde.config.writing import toml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.records import Attribute

__all__ = ["designed_configuration", "designed_lines", "turned"]

TURN = 2.0 * np.pi
#: Keys that are written in any case, and tables that a design changes.
SAID = frozenset({"kind", "shape", "amplitude"})
CHANGED = ("auxiliary", "encoding", "prompt", "noise", "initial", "time")


def designed_configuration(
    configuration: Configuration, attributes: Mapping[str, Attribute], file: str
) -> Configuration:
    """Return the configuration that solves with the design in this file until its tokens rest."""
    kind = attributes["design"]
    update: dict[str, Any] = {"design": None, "noise": Noise(sigma=0.0)}
    depth = float(attributes.get("verified_depth", configuration.time.final))
    save = configuration.time.save
    final = max(float(math.ceil(depth)), configuration.time.final)
    update["time"] = Time(final=final, save=save) if isinstance(save, int) else Time(final=final)
    if kind == "additive":
        update["encoding"] = Encoding(
            kind="additive", shape="table", file=file, dataset="encoding", amplitude=1.0
        )
    elif kind == "prompt":
        fraction = float(attributes["fraction"])
        update["prompt"] = Prompt(per_node=file, per_node_dataset="prompt", fraction=fraction)
    else:
        update["auxiliary"] = Auxiliary(
            kind="table", file=file, dataset="aux", z_dataset="aux", weights_dataset="aux_weight"
        )
        update["encoding"] = Encoding(kind="rotary", frequency=float(attributes["frequency"]))
        initial = turned(configuration.initial, float(attributes["turned"]))
        update["initial"] = configuration.initial if initial is None else initial
    return configuration.model_copy(update=update)


def designed_lines(configuration: Configuration, attributes: Mapping[str, Attribute], file: str) -> str:
    """TOML of the tables that differ from those of the configuration."""
    designed = designed_configuration(configuration, attributes, file)
    before, after = configuration.content(), designed.content()
    changed = [name for name in CHANGED if name in after and after[name] != before.get(name)]
    return toml({name: _given(getattr(designed, name), after[name]) for name in changed})


def _given(table: Any, content: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that say something: what a table is, and what is not its default."""
    fields = type(table).model_fields
    return {key: content[key] for key in content if key in SAID or getattr(table, key) != fields[key].default}


def turned(initial: Initial, angle: float) -> Initial | None:
    """Return an initial law on a circle, turned; None where the table cannot say it."""
    if angle == 0.0:
        return initial
    if (
        initial.perturbation
        or initial.kind in {"uniform", "table"}
        or (initial.kind == "points" and initial.angles is None)
    ):
        return None
    update: dict[str, Any] = {}
    if initial.kind == "fourier":
        update["modes"] = tuple((*mode[:-1], mode[-1] + angle) for mode in initial.modes or ())
    elif initial.kind == "vonmises":
        update["center"] = _sum(initial.center, angle)
    elif initial.kind == "mixture":
        parts = initial.components or ()
        update["components"] = tuple(
            part.model_copy(update={"center": _sum(part.center, angle)}) for part in parts
        )
    elif initial.kind == "points":
        update["angles"] = tuple(_sum(one, angle) for one in initial.angles or ())
    return initial.model_copy(update=update)


def _sum(center: Any, angle: float) -> float:
    return float((center + angle) % TURN)
