"""The table [initial]: the density that the computation starts from."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, ValidationError, model_validator

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

__all__ = ["Initial", "MixtureComponent", "Mode", "PlaneMode", "as_initial", "check_fourier"]

KINDS = ("uniform", "fourier", "vonmises", "mixture", "table", "points")


def _mode_row(value: object) -> object:
    row = value if isinstance(value, (list, tuple)) else ()
    if len(row) == 4 and all(_is_order(order, -MOST) for order in row[:2]) and any(row[:2]):
        return int(row[0]), int(row[1]), *row[2:]
    if len(row) != 3 or not _is_order(row[0], 1):
        raise ValueError(
            "must be a row [m, a, phi]: integer order m >= 1, amplitude, phase in radians "
            "(torus of two angles: [m1, m2, a, phi])"
        )
    return int(row[0]), *row[1:]


def _is_order(value: object, least: int) -> bool:
    whole = isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= MOST
    return whole and value == int(value)  # type: ignore[call-overload]


PlaneMode = tuple[int, Finite, Finite]
TorusMode = tuple[int, int, Finite, Finite]
Mode = Annotated[PlaneMode | TorusMode, BeforeValidator(_mode_row)]
Vector = Annotated[tuple[Finite, ...], listing("a vector, a list of numbers", least=2)]
Center = Finite | Vector


class MixtureComponent(Table):
    """One von Mises density of a mixture; weights are relative to their sum."""

    center: Center = 0.0
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
            "points": ("angles", "points", "weights", "file", "dataset", "weights_dataset"),
        }
    }
    required: ClassVar[tuple[str, ...]] = ("modes", "concentration", "components")

    kind: Annotated[
        Literal["uniform", "fourier", "vonmises", "mixture", "table", "points"], choice(*KINDS)
    ] = "uniform"
    modes: Annotated[tuple[Mode, ...], listing("a list of rows [m, a, phi]")] | None = None
    center: Center = 0.0
    concentration: NonNegative | None = None
    components: (
        Annotated[tuple[MixtureComponent, ...], listing("a list of tables, at least one component")] | None
    ) = None
    file: Name | None = None
    dataset: Name | None = None
    weights_dataset: Name | None = None
    angles: Annotated[tuple[Finite, ...], listing("a list of angles in radians, at least one")] | None = None
    points: Annotated[tuple[Vector, ...], listing("a list of vectors, at least one")] | None = None
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
        if sum(given is not None for given in (self.angles, self.points, self.file)) != 1:
            raise RuleError(
                "angles", "must be given, or points, or file, and not two of them", value=self.angles
            )
        given = self.angles or self.points
        if given is None and self.weights is not None:
            raise RuleError("weights", "has no effect with file: use weights_dataset", value=self.weights)
        for key in ("dataset", "weights_dataset"):
            if self.file is None and getattr(self, key) is not None:
                raise RuleError(key, "has no effect without file", value=getattr(self, key))
        if self.weights is not None and given is not None and len(self.weights) != len(given):
            raise RuleError(
                "weights",
                f"must have one entry per angle, that is {len(given)} of them",
                value=self.weights,
            )
        return self


def as_initial(table: Table) -> Initial:
    """Return the table [initial] that describes the law of a target, which has the same keys.

    Raises
    ------
    RuleError, ValueError
        There is none: what [initial] says of it.
    """
    try:
        return Initial.model_validate({key: getattr(table, key) for key in table.model_fields_set})
    except ValidationError as error:
        cause = error.errors()[0].get("ctx", {}).get("error")
        raise (cause if isinstance(cause, RuleError) else ValueError(str(error))) from None


def check_fourier(modes: tuple[PlaneMode, ...]) -> None:
    """Raise ``RuleError`` where a Fourier density on the circle is negative somewhere."""
    least = _least_relative_density(modes)
    # Sixteen points in the shortest wave and rounding: a density that touches zero passes.
    if least < -1e-12 * len(modes):
        raise RuleError(
            "modes",
            f"must give a density that is nowhere negative; 2 pi times it reaches {least:.3g}",
            value=modes,
            table="initial",
        )


def _least_relative_density(modes: tuple[PlaneMode, ...]) -> float:
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
