"""The table [training]: which fields are trained, for which loss of the final token marginal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import model_validator

from meanfield_pde.config.base import Options, Table
from meanfield_pde.config.initial import Center, Initial, MixtureComponent, Mode, as_initial
from meanfield_pde.config.values import (
    Count,
    Index,
    Name,
    NonNegative,
    Positive,
    RuleError,
    choice,
    listing,
    number,
)

if TYPE_CHECKING:
    from meanfield_pde.config.configuration import Configuration

__all__ = ["Training", "TrainingLoss", "TrainingTarget"]


class TrainingTarget(Table):
    """A density of the tokens: the kinds of [initial] that have one, the same at every node."""

    options: ClassVar[Options] = {
        "kind": {
            "uniform": (),
            "fourier": ("modes",),
            "vonmises": ("center", "concentration"),
            "mixture": ("components",),
            "table": ("file", "dataset"),
        }
    }
    required: ClassVar[tuple[str, ...]] = ("modes", "concentration", "components")

    kind: Annotated[
        Literal["uniform", "fourier", "vonmises", "mixture", "table"],
        choice("uniform", "fourier", "vonmises", "mixture", "table"),
    ]
    modes: Annotated[tuple[Mode, ...], listing("a list of rows [m, a, phi]")] | None = None
    center: Center = 0.0
    concentration: NonNegative | None = None
    components: (
        Annotated[tuple[MixtureComponent, ...], listing("a list of tables, at least one component")] | None
    ) = None
    file: Name | None = None
    dataset: Name | None = None

    @model_validator(mode="after")
    def _as_an_initial_law(self) -> Self:
        self.as_initial()
        return self

    def as_initial(self) -> Initial:
        """Return the table [initial] that describes the same density."""
        return as_initial(self)


class TrainingLoss(Table):
    """Loss of the final token marginal: distance from a target, or the mean of a function Σ a e(x)."""

    options: ClassVar[Options] = {
        "kind": {"l2": ("target",), "kl": ("target",), "linear": ("modes",)},
    }
    required: ClassVar[tuple[str, ...]] = ("target", "modes")

    kind: Annotated[Literal["l2", "kl", "linear"], choice("l2", "kl", "linear")] = "l2"
    target: TrainingTarget | None = None
    modes: Annotated[tuple[Mode, ...], listing("a list of rows [m, a, phi]")] | None = None


class Training(Table):
    """Training of the feed-forward drift under an L² penalty, F = Σ_k θ_k(t) g_k."""

    options: ClassVar[Options] = {
        "features": {"harmonics": ("degree",), "perceptron": ("activation", "width", "seed")}
    }
    required: ClassVar[tuple[str, ...]] = ("degree",)

    features: Annotated[Literal["harmonics", "perceptron"], choice("harmonics", "perceptron")] = "harmonics"
    degree: Index | None = None
    activation: Annotated[Literal["relu", "tanh", "gelu"], choice("relu", "tanh", "gelu")] = "relu"
    width: Count | None = None
    seed: Index = 0
    intervals: Count = 200
    regularization: Positive = 0.01
    iterations: Count = 500
    tolerance: Annotated[float, number(above=0, below=1)] = 1e-5
    loss: TrainingLoss

    def check(self, configuration: Configuration) -> None:
        """Raise ``RuleError`` for what does not fit the other tables."""
        token, initial = configuration.token, configuration.initial
        if token.space == "sphere" and token.dimension != 3:
            raise RuleError(
                "dimension",
                'must be 3 for training: densities live on the sphere S^2, or on space = "zonal"',
                value=token.dimension,
                table="token",
            )
        if not configuration.noise.sigma > 0.0:
            raise RuleError("sigma", "must be > 0 for training", value=0.0, table="noise")
        if initial.kind == "points":
            raise RuleError(
                "kind", "must be a density for training, not single tokens", value="points", table="initial"
            )
        if token.space == "zonal" and self.features == "harmonics" and self.degree == 0:
            raise RuleError(
                "degree", "must be at least 1: there is no field below", value=0, table="training"
            )
        _check_loss(configuration, self.loss)


def _check_loss(configuration: Configuration, loss: TrainingLoss) -> None:
    """Raise ``RuleError`` where target or function do not fit the space, as an initial law would not."""
    from meanfield_pde.config.spaces import check_initial, check_rows

    place = "loss" if loss.target is None else "loss.target"
    try:
        if loss.target is not None:
            check_initial(configuration.model_copy(update={"initial": loss.target.as_initial()}))
        elif loss.modes is not None:
            check_rows(configuration, loss.modes)
    except RuleError as error:
        raise RuleError(f"{place}.{error.key}", str(error), value=error.value, table="training") from None
