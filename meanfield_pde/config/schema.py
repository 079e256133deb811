"""The tables of a configuration on the circle: keys, defaults, ranges, and which keys belong together."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, model_validator

from meanfield_pde.config.base import Options, Table
from meanfield_pde.config.values import (
    MOST,
    Count,
    Finite,
    Index,
    Name,
    NonNegative,
    Positive,
    RuleError,
    as_float,
    choice,
    integer,
    listing,
    number,
)

__all__ = [
    "DEFAULTS",
    "Auxiliary",
    "Drift",
    "Encoding",
    "Noise",
    "Output",
    "Prompt",
    "Solver",
    "Time",
    "Token",
]

FINEST = 2**20
"""Largest resolution accepted at all: far beyond what a density that is worth resolving needs."""

Resolution = Annotated[int, integer(least=8, most=FINEST)]
LARGEST_DIMENSION = 1000
#: Where tokens may live: resolution to begin with, finest resolution, and dimension by default.
DEFAULTS: dict[str, tuple[int, int, int | None]] = {
    "circle": (128, 4096, None),
    "sphere": (31, 255, 3),
    "zonal": (64, 1024, 3),
    "torus": (64, 512, 2),
}
Vector = Annotated[tuple[Finite, ...], listing("a vector, a list of numbers", least=2)]
Points = Annotated[tuple[Vector, ...], listing("a list of vectors, at least one")]
Angles = Annotated[tuple[Finite, ...], listing("a list of angles in radians, at least one")]
Weights = Annotated[tuple[Positive, ...], listing("a list of numbers > 0, one per angle")]


class Token(Table):
    """Token space and the resolution that the computation starts from.

    ``resolution`` counts grid points (circle, torus: per axis) or is the highest degree (sphere, zonal).
    ``dimension`` is d for spheres in R^d, and the number of angles of a torus.
    """

    options: ClassVar[Options] = {
        "space": {
            "circle": (),
            "sphere": ("dimension",),
            "zonal": ("dimension",),
            "torus": ("dimension",),
        }
    }

    space: Annotated[
        Literal["circle", "sphere", "zonal", "torus"], choice("circle", "sphere", "zonal", "torus")
    ] = "circle"
    resolution: Resolution = 128
    dimension: Annotated[int, integer(least=1, most=LARGEST_DIMENSION)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_space(cls, values: Any) -> Any:
        space = values.get("space", "circle") if isinstance(values, dict) else None
        if not isinstance(space, str) or space not in DEFAULTS:
            return values  # wrong: its own error is the one to report
        resolution, _, dimension = DEFAULTS[space]
        filled = {"resolution": resolution} | values
        return filled if dimension is None else {"dimension": dimension} | filled

    @model_validator(mode="after")
    def _dimension_of_the_space(self) -> Self:
        if self.dimension is None:
            return self
        if self.space == "torus" and self.dimension > 2:
            raise RuleError("dimension", 'must be 1 or 2 with space = "torus"', value=self.dimension)
        if self.space != "torus" and self.dimension < 2:
            raise RuleError("dimension", f'must be >= 2 with space = "{self.space}"', value=self.dimension)
        return self

    @property
    def embedding(self) -> int:
        """Dimension of the space that holds the tokens as vectors."""
        if self.space == "torus":
            return 2 * (self.dimension or 2)
        return self.dimension or 2

    @property
    def planes(self) -> int:
        """Number of planes that rotary encodings turn."""
        return self.embedding // 2

    @property
    def points(self) -> int:
        """Grid points, about."""
        per_axis = {"circle": 1.0, "zonal": 1.5, "sphere": 4.5, "torus": 1.0}[self.space]
        two = (self.space == "sphere" and self.dimension == 3) or (self.space == "torus" and not self.is_line)
        return int(per_axis * self.resolution ** (2 if two else 1))

    @property
    def counted(self) -> str:
        """What the resolution counts, as tables say it."""
        words = {"circle": "angles", "torus": "angles per axis", "zonal": "degrees", "sphere": "degrees"}
        return words[self.space]

    def highest_mode(self, finest: int) -> float:
        """Bound of the orders that the finest resolution may hold."""
        return finest / 2 if self.space in {"circle", "torus"} else finest

    @property
    def bound_of_modes(self) -> str:
        """The same, in words."""
        return "solver.max_resolution / 2" if self.space in {"circle", "torus"} else "solver.max_resolution"

    @property
    def is_line(self) -> bool:
        """Whether the space is a circle, whose points are angles."""
        return self.space == "circle" or (self.space == "torus" and self.dimension == 1)


class Auxiliary(Table):
    """Nodes and weights of the auxiliary distribution."""

    options: ClassVar[Options] = {
        "kind": {
            "none": (),
            "uniform": ("nodes",),
            "legendre": ("nodes",),
            "table": ("file", "dataset", "z_dataset", "weights_dataset"),
        }
    }
    required: ClassVar[tuple[str, ...]] = ("nodes", "file")

    kind: Annotated[
        Literal["none", "uniform", "legendre", "table"], choice("none", "uniform", "legendre", "table")
    ] = "none"
    nodes: Count | None = None
    file: Name | None = None
    dataset: Name | None = None
    z_dataset: Name | None = None
    weights_dataset: Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_node_without_auxiliary(cls, values: Any) -> Any:
        # nodes = 1 says the same as its absence: nothing is ignored.
        single = (
            isinstance(values, dict) and values.get("kind", "none") == "none" and values.get("nodes") == 1
        )
        if single and not isinstance(values["nodes"], bool):
            return {key: value for key, value in values.items() if key != "nodes"}
        return values


class Encoding(Table):
    """How the auxiliary variable enters what queries, keys and values see."""

    options: ClassVar[Options] = {
        "kind": {
            "none": (),
            "additive": ("shape", "amplitude", "file", "dataset", "components", "corruption", "seed"),
            "rotary": ("frequency",),
        },
        "shape": {"ring": (), "line": (), "sinusoidal": (), "table": ("file", "dataset", "components")},
    }
    required: ClassVar[tuple[str, ...]] = ("frequency", "file")
    # Switching an encoding off is the ablation that everybody runs: its other keys may stay in the file.
    tolerated: ClassVar[frozenset[tuple[str, str]]] = frozenset({("kind", "none")})

    kind: Annotated[Literal["none", "additive", "rotary"], choice("none", "additive", "rotary")] = "none"
    shape: Annotated[
        Literal["ring", "line", "sinusoidal", "table"], choice("ring", "line", "sinusoidal", "table")
    ] = "ring"
    amplitude: Finite = 1.0
    frequency: Finite | Annotated[tuple[Finite, ...], listing("a list of frequencies")] | None = None
    file: Name | None = None
    dataset: Name | None = None
    components: Annotated[tuple[Index, ...], listing("a list of component numbers from 0")] | None = None
    corruption: NonNegative = 0.0
    seed: Index = 0

    @model_validator(mode="after")
    def _components_differ(self) -> Self:
        if self.components and len(set(self.components)) < len(self.components):
            raise RuleError("components", "must be different component numbers", value=self.components)
        return self


class Prompt(Table):
    """Fixed tokens that all others attend to."""

    angles: Angles | None = None
    points: Points | None = None
    weights: Weights | None = None
    fraction: Annotated[float, number(least=0, below=1)]
    per_node: Name | None = None
    per_node_dataset: Name | None = None
    positions: Annotated[tuple[Finite, ...], listing("a list of numbers, the z of each angle")] | None = None

    @model_validator(mode="after")
    def _either_shared_or_per_node(self) -> Self:
        if self.per_node is None:
            self._check_shared()
            return self
        for key in ("angles", "points", "weights", "positions"):
            if getattr(self, key) is not None:
                raise RuleError(
                    key,
                    "has no effect with per_node, which gives one prompt per node: remove one of them",
                    value=getattr(self, key),
                )
        return self

    def _check_shared(self) -> None:
        if self.angles is None and self.points is None:
            raise RuleError(
                "angles", "is required (or points, or per_node, for one prompt per node) and is missing"
            )
        if self.angles is not None and self.points is not None:
            raise RuleError("points", "must be given, or angles, and not both", value=self.points)
        if self.per_node_dataset is not None:
            raise RuleError("per_node_dataset", "has no effect without per_node", value=self.per_node_dataset)
        for key in ("weights", "positions"):
            values = getattr(self, key)
            if values is not None and len(values) != self.tokens:
                raise RuleError(
                    key, f"must have one entry per angle, that is {self.tokens} of them", value=values
                )

    @property
    def tokens(self) -> int:
        """Number of shared prompt tokens."""
        return len(self.angles or self.points or ())

    @property
    def shares(self) -> tuple[float, ...]:
        """Weights of the shared prompt tokens, normalised to sum 1; equal when none are given."""
        weights = self.weights or (1.0,) * self.tokens
        return tuple(weight / sum(weights) for weight in weights)


def _constant_parameters(value: object) -> object:
    if isinstance(value, (list, tuple)) and value and all(isinstance(row, (list, tuple)) for row in value):
        raise ValueError(
            "is not available yet in this version as a list of rows; one row, constant in depth, is"
        )
    if not isinstance(value, (list, tuple)):
        raise ValueError("must be a list of numbers")  # noqa: TRY004 (pydantic collects ValueError only)
    return value


class Drift(Table):
    """Feed-forward drift with fixed parameters on tangential fields of the space.

    Harmonics up to a degree, on the circle 1, cos θ, sin θ, …, cos Kθ, sin Kθ; or those of a perceptron
    P_x W a(Ux + b), whose W is given row by row.
    """

    options: ClassVar[Options] = {
        "features": {"harmonics": ("degree",), "perceptron": ("activation", "width", "seed")}
    }
    required: ClassVar[tuple[str, ...]] = ("degree",)
    later: ClassVar[frozenset[str]] = frozenset({"intervals"})

    features: Annotated[Literal["harmonics", "perceptron"], choice("harmonics", "perceptron")] = "harmonics"
    degree: Index | None = None
    activation: Annotated[Literal["relu", "tanh", "gelu"], choice("relu", "tanh", "gelu")] = "relu"
    width: Count | None = None
    seed: Index = 0
    parameters: Annotated[tuple[Finite, ...], BeforeValidator(_constant_parameters)]


class Noise(Table):
    """Noise strength of the tokens."""

    sigma: NonNegative = 0.0


def _count_or_depths(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= MOST:
        return value
    depths = [as_float(depth) for depth in value] if isinstance(value, (list, tuple)) else []
    if len(depths) < 2 or not all(map(math.isfinite, depths)):
        raise ValueError("must be an integer >= 2 or an increasing list of depths from 0 to final")
    return tuple(depths)


class Time(Table):
    """Depth at which the computation ends, and the depths at which states are saved."""

    options: ClassVar[Options] = {"stop": {"final": (), "steady": ("tolerance",)}}

    final: Positive
    save: Annotated[int | tuple[float, ...], BeforeValidator(_count_or_depths)] = 101
    stop: Annotated[Literal["final", "steady"], choice("final", "steady")] = "final"
    tolerance: Positive = 1e-8

    @model_validator(mode="after")
    def _depths_cover_the_interval(self) -> Self:
        if isinstance(self.save, int):
            return self
        increasing = all(earlier < later for earlier, later in pairwise(self.save))
        if not increasing or self.save[0] != 0 or self.save[-1] != self.final:
            raise RuleError(
                "save", f"must be depths that increase from 0 to final = {self.final:g}", value=self.save
            )
        return self

    @property
    def states(self) -> int:
        """Number of saved states."""
        return self.save if isinstance(self.save, int) else len(self.save)


class Solver(Table):
    """Method, its tolerances, and the most grid points (or labels per node) it may refine to."""

    method: Annotated[
        Literal["auto", "spectral", "finite-volume", "characteristics"],
        choice("auto", "spectral", "finite-volume", "characteristics"),
    ] = "auto"
    rtol: Annotated[float, number(least=1e-14, most=0.1)] = 1e-8
    atol: Annotated[float, number(least=1e-14, most=0.1)] = 1e-10
    max_resolution: Resolution = 4096


class Output(Table):
    """What the file holds of the density, all saved states or the last, and seconds between checkpoints.

    0 writes one after every chunk of steps; with more, writing takes at most a twentieth of the time.
    """

    density: Annotated[Literal["all", "last"], choice("all", "last")] = "all"
    checkpoint: NonNegative = 30.0
