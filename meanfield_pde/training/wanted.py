"""What the table [training] of a configuration asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import config, initial
from meanfield_pde.auxiliary import none
from meanfield_pde.building import build, fields
from meanfield_pde.errors import InputError
from meanfield_pde.training.losses import Divergence, Linear, Square
from meanfield_pde.training.plan import Plan

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.config import Configuration
    from meanfield_pde.initial import Initial
    from meanfield_pde.spaces import Space
    from meanfield_pde.training.losses import Loss, Values

__all__ = ["plan_of"]


@dataclass
class Density:
    """Density of a law of the tokens on any grid; the last one is kept, since losses ask for it often."""

    law: Initial
    _last: tuple[Space, FloatArray] | None = field(default=None, repr=False)

    def __call__(self, space: Space) -> FloatArray:
        """Return values at the grid points, (points,)."""
        if self._last is None or self._last[0] is not space:
            values = space.synthesise(self.law.coefficients(space, none()))[0]
            self._last = space, values
        return self._last[1]


@dataclass(frozen=True)
class Sum:
    """A sum of harmonics Σ a e(x), as the rows [m, a, φ] of [initial] name them."""

    modes: tuple[tuple[float, ...], ...]

    def __call__(self, space: Space) -> FloatArray:
        """Return values at the grid points, (points,)."""
        return np.asarray(initial.fourier(self.modes, space.name, space.dimension)(space.points) - 1.0)


def plan_of(configuration: Configuration) -> Plan:
    """Return what is to be trained; the data of the target are read here.

    Raises
    ------
    InputError
        When there is no table [training], or its target is no density.
    """
    training = configuration.training
    if training is None:
        raise InputError(
            f"{configuration.label}: [training] is required to train and is missing: it says which fields "
            "are trained (training.features) for which loss (training.loss)"
        )
    return Plan(
        fields(configuration, training),
        _loss(configuration, training.loss),
        training.intervals,
        training.regularization,
        training.iterations,
        training.tolerance,
    )


def _loss(configuration: Configuration, loss: config.TrainingLoss) -> Loss:
    if loss.kind == "linear":
        return Linear(Sum(loss.modes or ()))
    target = _target(configuration, loss)
    return Square(target) if loss.kind == "l2" else Divergence(target)


def _target(configuration: Configuration, loss: config.TrainingLoss) -> Values:
    """Density that [training.loss] target describes, as a law at a single node without anything else."""
    if loss.target is None:
        raise InputError(f"{configuration.label}: [training.loss] target is required and is missing")
    alone = {
        "auxiliary": config.Auxiliary(),
        "encoding": config.Encoding(),
        "attention": config.Attention(beta=0.0),
        "prompt": None,
        "drift": None,
        "design": None,
        "training": None,
        "initial": loss.target.as_initial(),
    }
    try:
        problem = build(configuration.model_copy(update=alone))
        density = Density(problem.initial)
        density(problem.space)
    except InputError as error:
        raise InputError(str(error).replace("[initial]", "[training.loss.target]")) from None
    return density
