"""The table [initial]: the density that the computation starts from."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, model_validator

from meanfield_pde.config.base import Options, Table
from meanfield_pde.config.values import (
    MOST,
    Finite,
    Index,
    Name,
    NonNegative,
    Positive,
    RuleError,
    choice,
    listing,
    number,
)

__all__ = ["Initial", "MixtureComponent"]

KINDS = ("uniform", "fourier", "vonmises", "mixture", "table", "points")


def _mode_row(value: object) -> object:
    row = value if isinstance(value, (list, tuple)) else ()
    order = row[0] if len(row) == 3 else None
    whole = isinstance(order, (int, float)) and not isinstance(order, bool) and 1 <= order <= MOST
    if order is None or not whole or order != int(order):
        raise ValueError("must be a row [m, a, phi]: integer order m >= 1, amplitude, phase in radians")
    return int(order), *row[1:]


Mode = Annotated[tuple[int, Finite, Finite], BeforeValidator(_mode_row)]


class MixtureComponent(Table):
    """One von Mises density of a mixture; weights are relative to their sum."""

    center: Finite = 0.0
    concentration: NonNegative
    weight: Positive = 1.0


class Initial(Table):
    """Density at depth 0, the same for every node up to the shift by ``turns`` and the perturbation."""

    options: ClassVar[Options] = {
        "kind": {
            "uniform": ("perturbation", "seed"),
            "fourier": ("modes", "perturbation", "seed"),
            "vonmises": ("center", "concentration", "perturbation", "seed"),
            "mixture": ("components", "perturbation", "seed"),
            "table": ("file", "dataset", "perturbation", "seed"),
            "points": ("angles", "weights", "file", "dataset", "weights_dataset"),
        }
    }
    required: ClassVar[tuple[str, ...]] = ("modes", "concentration", "components")

    kind: Annotated[
        Literal["uniform", "fourier", "vonmises", "mixture", "table", "points"], choice(*KINDS)
    ] = "uniform"
    modes: Annotated[tuple[Mode, ...], listing("a list of rows [m, a, phi]")] | None = None
    center: Finite = 0.0
    concentration: NonNegative | None = None
    components: (
        Annotated[tuple[MixtureComponent, ...], listing("a list of tables, at least one component")] | None
    ) = None
    file: Name | None = None
    dataset: Name | None = None
    weights_dataset: Name | None = None
    angles: Annotated[tuple[Finite, ...], listing("a list of angles in radians, at least one")] | None = None
    weights: Annotated[tuple[Positive, ...], listing("a list of numbers > 0, one per angle")] | None = None
    turns: Finite = 0.0
    perturbation: Annotated[float, number(least=0, below=1)] = 0.0
    seed: Index = 0

    @model_validator(mode="after")
    def _file_where_needed(self) -> Self:
        if self.kind == "table" and self.file is None:
            raise RuleError("file", 'is required with kind = "table" and is missing')
        if self.kind != "points":
            return self
        if (self.angles is None) == (self.file is None):
            raise RuleError("angles", "must be given, or file, and not both", value=self.angles)
        if self.angles is None and self.weights is not None:
            raise RuleError("weights", "has no effect with file: use weights_dataset", value=self.weights)
        for key in ("dataset", "weights_dataset"):
            if self.file is None and getattr(self, key) is not None:
                raise RuleError(key, "has no effect without file", value=getattr(self, key))
        if self.weights is not None and self.angles is not None and len(self.weights) != len(self.angles):
            raise RuleError(
                "weights",
                f"must have one entry per angle, that is {len(self.angles)} of them",
                value=self.weights,
            )
        return self

    @model_validator(mode="after")
    def _fourier_density_is_not_negative(self) -> Self:
        if self.kind == "fourier" and self.modes:
            least = _least_relative_density(self.modes)
            # Sixteen points in the shortest wave and rounding: a density that touches zero passes.
            if least < -1e-12 * len(self.modes):
                raise RuleError(
                    "modes",
                    f"must give a density that is nowhere negative; 2 pi times it reaches {least:.3g}",
                    value=self.modes,
                )
        return self


def _least_relative_density(modes: tuple[tuple[int, float, float], ...]) -> float:
    """Minimum of 1 + Σ a cos(m(θ − φ)) over a grid."""
    if sum(abs(amplitude) for _, amplitude, _ in modes) <= 1:
        return 0.0
    import numpy as np

    highest = max(order for order, _, _ in modes)
    angles = np.linspace(0, 2 * np.pi, max(4096, 16 * min(highest, 2**19)), endpoint=False)
    density = np.ones_like(angles)
    for order, amplitude, phase in modes:
        density += amplitude * np.cos(order * (angles - phase))
    return float(density.min())
