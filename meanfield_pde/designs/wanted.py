"""What the table [design] of a configuration asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meanfield_pde import config
from meanfield_pde.auxiliary import none
from meanfield_pde.building import build
from meanfield_pde.config.design import LEAST
from meanfield_pde.designs.find import Wanted
from meanfield_pde.designs.line_laws import LineLaw
from meanfield_pde.designs.targets import LineTarget, target_of
from meanfield_pde.designs.writing import turned
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.config import Configuration
    from meanfield_pde.designs.targets import Target
    from meanfield_pde.problem import Problem

__all__ = ["turned_in", "wanted_of"]


def wanted_of(configuration: Configuration) -> Wanted:
    """Return what is to be designed; the data of the target are read here.

    Raises
    ------
    InputError
        When there is no table [design], or its target is no law.
    """
    design, encoding = configuration.design, configuration.encoding
    if design is None:
        raise InputError(
            f"{configuration.label}: [design] is required for a design and is missing: it says what the "
            "limit should be (design.target) and what may be chosen (design.encoding)"
        )
    frequency = encoding.frequency if encoding.kind == "rotary" else 1.0
    if isinstance(frequency, tuple):
        frequency = frequency[0]  # of one plane; with several there are no rotary designs
    return Wanted(
        design.encoding,
        _target(configuration, design.target),
        None if design.amplitude == LEAST else float(design.amplitude),
        design.margin,
        design.least,
        design.fraction,
        frequency or 1.0,
    )


def _target(configuration: Configuration, target: config.Target) -> Target:
    """Law that the table [design.target] describes, as one at a single node without anything else."""
    if target.kind == "arc":
        center = target.center if isinstance(target.center, float) else 0.0
        return LineTarget(LineLaw.uniform(center, target.width or 0.0))
    if target.kind == "uniform" and configuration.token.is_line:
        return LineTarget(LineLaw.uniform())
    alone = {
        "auxiliary": config.Auxiliary(),
        "encoding": config.Encoding(),
        "attention": config.Attention(beta=0.0),
        "prompt": None,
        "drift": None,
        "design": None,
        "initial": target.as_initial(),
    }
    try:
        problem = build(configuration.model_copy(update=alone))
        return target_of(problem.space, problem.initial, none())
    except InputError as error:
        raise InputError(str(error).replace("[initial]", "[design.target]")) from None


def turned_in(problem: Problem) -> Callable[[Problem, float], Problem | None]:
    """Return what turns the initial law of a designed problem, as a configuration can say it."""

    def turn(designed: Problem, angle: float) -> Problem | None:
        if not problem.configuration:
            return None
        configuration = config.loads(problem.configuration, source=problem.source, label=problem.label)
        initial = turned(configuration.initial, angle)
        if initial is None:
            return None
        law = build(configuration.model_copy(update={"initial": initial})).initial
        return replace(designed, initial=law)

    return turn
