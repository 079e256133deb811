"""The table [design]: the law of the tokens that is to be the limit, and what may be chosen for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, model_validator

from meanfield_pde.config.base import Options, Table
from meanfield_pde.config.initial import Center, Initial, MixtureComponent, Mode, Vector, as_initial
from meanfield_pde.config.values import (
    Finite,
    Name,
    NonNegative,
    Positive,
    RuleError,
    as_float,
    choice,
    listing,
    number,
)

if TYPE_CHECKING:
    from meanfield_pde.config.configuration import Configuration

__all__ = ["LEAST", "Design", "Target"]

#: The amplitude that says: as small as can be.
LEAST = "least"
KINDS = ("uniform", "fourier", "vonmises", "mixture", "table", "points", "arc")
TURN = 6.283185307179587


class Target(Table):
    """A law of the tokens: the kinds of [initial], and a uniform arc of the circle."""

    options: ClassVar[Options] = {
        "kind": {
            "uniform": (),
            "fourier": ("modes",),
            "vonmises": ("center", "concentration"),
            "mixture": ("components",),
            "table": ("file", "dataset"),
            "points": ("angles", "points", "weights", "file", "dataset", "weights_dataset"),
            "arc": ("center", "width"),
        }
    }
    required: ClassVar[tuple[str, ...]] = ("modes", "concentration", "components", "width")

    kind: Annotated[
        Literal["uniform", "fourier", "vonmises", "mixture", "table", "points", "arc"], choice(*KINDS)
    ]
    modes: Annotated[tuple[Mode, ...], listing("a list of rows [m, a, phi]")] | None = None
    center: Center = 0.0
    concentration: NonNegative | None = None
    width: Annotated[float, number(above=0, most=TURN)] | None = None
    components: (
        Annotated[tuple[MixtureComponent, ...], listing("a list of tables, at least one component")] | None
    ) = None
    file: Name | None = None
    dataset: Name | None = None
    weights_dataset: Name | None = None
    angles: Annotated[tuple[Finite, ...], listing("a list of angles in radians, at least one")] | None = None
    points: Annotated[tuple[Vector, ...], listing("a list of vectors, at least one")] | None = None
    weights: Annotated[tuple[Positive, ...], listing("a list of numbers > 0, one per angle")] | None = None

    @model_validator(mode="after")
    def _as_an_initial_law(self) -> Self:
        if self.kind != "arc":
            self.as_initial()
        elif isinstance(self.center, tuple):
            raise RuleError("center", "must be an angle", value=self.center)
        return self

    def as_initial(self) -> Initial:
        """Return the table [initial] that describes the same law; there is none for an arc."""
        return as_initial(self)


def _amplitude(value: object) -> float | str:
    if value == LEAST:
        return LEAST
    found = as_float(value)
    if not 0.0 < found <= 1e6:
        raise ValueError(f'must be "{LEAST}" or a number > 0 and at most 1e6')
    return found


class Design(Table):
    """What is designed for which target."""

    options: ClassVar[Options] = {
        "encoding": {"additive": ("amplitude", "margin", "least"), "prompt": ("fraction",), "rotary": ()}
    }

    encoding: Annotated[Literal["additive", "prompt", "rotary"], choice("additive", "prompt", "rotary")] = (
        "additive"
    )
    amplitude: Annotated[float | str, BeforeValidator(_amplitude)] = LEAST
    margin: Annotated[float, number(least=0, most=10)] = 0.2
    least: bool = False
    fraction: Annotated[float, number(above=0, below=1)] = 0.5
    target: Target

    @model_validator(mode="after")
    def _margin_of_the_least(self) -> Self:
        if "margin" in self.model_fields_set and self.amplitude != LEAST and self.margin != 0.2:
            raise RuleError("margin", f'has no effect unless amplitude = "{LEAST}"', value=self.margin)
        return self

    def check(self, configuration: Configuration) -> None:
        """Raise ``RuleError`` for what does not fit the other tables."""
        token, encoding = configuration.token, configuration.encoding
        if token.space == "zonal":
            raise RuleError(
                "encoding",
                "does not keep the axis of zonal spheres, whose prompts and encodings lie on it: "
                'use token.space = "sphere"',
                value=self.encoding,
                table="design",
            )
        if token.space == "sphere" and token.dimension != 3:
            raise RuleError(
                "dimension",
                "must be 3 for a design: stability is known on the circle, the torus and the sphere S^2",
                value=token.dimension,
                table="token",
            )
        allowed = {"additive": ("none", "additive"), "rotary": ("none", "rotary")}.get(self.encoding)
        if allowed is not None and encoding.kind not in allowed:
            raise RuleError(
                "kind",
                f'must be {" or ".join(allowed)} with design.encoding = "{self.encoding}", which replaces it',
                value=encoding.kind,
                table="encoding",
            )
        if self.encoding == "prompt" and configuration.prompt is not None:
            raise RuleError(
                "fraction",
                'must not be there with design.encoding = "prompt", which makes the prompts: '
                "remove [prompt], and set design.fraction",
                value=configuration.prompt.fraction,
                table="prompt",
            )
        if self.encoding == "rotary":
            _check_rotary(configuration)
        _check_target(configuration, self.target)


def _check_rotary(configuration: Configuration) -> None:
    """Raise ``RuleError`` unless tokens with rotary positions can come to lie anywhere."""
    token, encoding = configuration.token, configuration.encoding
    if not token.is_line:
        raise RuleError(
            "encoding",
            'must be "additive" or "prompt" on this space: rotations by one angle move tokens along a curve, '
            "so that few laws can be reached",
            value="rotary",
            table="design",
        )
    if configuration.attention.values != "encoded":
        raise RuleError(
            "values",
            'must be "encoded" with design.encoding = "rotary": with bare values all tokens meet',
            value=configuration.attention.values,
            table="attention",
        )
    if configuration.drift is not None:
        raise RuleError(
            "features",
            'must not be there with design.encoding = "rotary": a drift does not turn with the tokens',
            value=configuration.drift.features,
            table="drift",
        )
    if encoding.kind == "rotary" and encoding.frequency in (0.0, (0.0,)):
        raise RuleError("frequency", "must not be 0: positions would not matter", value=0.0, table="encoding")


def _check_target(configuration: Configuration, target: Target) -> None:
    """Raise ``RuleError`` where the target does not fit the space, as an initial law would not."""
    from meanfield_pde.config.spaces import check_initial

    if target.kind == "arc":
        if not configuration.token.is_line:
            raise RuleError(
                "target.kind",
                "must be another one on this space: arcs are on circles",
                value="arc",
                table="design",
            )
        return
    try:
        check_initial(configuration.model_copy(update={"initial": target.as_initial()}))
    except RuleError as error:
        raise RuleError(f"target.{error.key}", str(error), value=error.value, table="design") from None
