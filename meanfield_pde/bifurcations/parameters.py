"""A problem as a function of one of its numbers, named as in the configuration."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import encodings
from meanfield_pde.building import build
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.problem import Problem

__all__ = ["PARAMETERS", "varied"]

#: Parameters that a problem made in Python has, too; a configuration may vary any of its numbers.
PARAMETERS = (
    "noise.sigma",
    "attention.beta",
    "encoding.amplitude",
    "encoding.frequency",
    "encoding.corruption",
    "prompt.fraction",
)


def varied(problem: Problem, parameter: str) -> Callable[[float], Problem]:
    """Problem as a function of the parameter.

    Problems of a configuration are built anew where that is needed; of problems that were made in Python,
    β of all heads, the shifts (times the amplitude) or the angles (in units of the frequency) are replaced.

    Raises
    ------
    InputError
        When there is no such parameter, or it has no effect on this problem; and, by what is returned, when a
        value is not allowed.
    """
    if parameter == "noise.sigma":
        return lambda value: replace(problem, sigma=value)
    if parameter == "prompt.fraction":
        return _prompted(problem)
    if problem.configuration:
        return _configured(problem, parameter)
    if parameter not in PARAMETERS:
        close = difflib.get_close_matches(parameter, PARAMETERS, n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(PARAMETERS)}"
        raise InputError(f"bifurcation: there is no parameter {parameter!r}; {hint}")
    return _made(problem, parameter)


def _prompted(problem: Problem) -> Callable[[float], Problem]:
    prompt = problem.attention.prompt
    if prompt is None:
        raise InputError(f"{problem.label}: prompt.fraction cannot vary: there is no [prompt]")

    def at(value: float) -> Problem:
        return replace(problem, attention=replace(problem.attention, prompt=replace(prompt, fraction=value)))

    return at


def _configured(problem: Problem, parameter: str) -> Callable[[float], Problem]:
    """Read the configuration again, with the parameter replaced; additive encodings are affine in theirs."""
    from meanfield_pde import config

    source = problem.source

    def at(value: float) -> Problem:
        settings = {parameter: float(value)}
        changed = config.loads(problem.configuration, settings, source=source, label=problem.label)
        return replace(build(changed), space=problem.space)

    if parameter not in {"encoding.amplitude", "encoding.corruption"}:
        return at
    zero, one = at(0.0).attention.encoding.shifts, at(1.0).attention.encoding.shifts
    if zero is None or one is None:
        raise InputError(f"{problem.label}: {parameter} cannot vary: the encoding is not additive")
    slope = one - zero

    def shifted(value: float) -> Problem:
        encoding = encodings.additive(zero + value * slope)
        return replace(problem, attention=replace(problem.attention, encoding=encoding))

    return shifted


def _made(problem: Problem, parameter: str) -> Callable[[float], Problem]:
    attention, encoding = problem.attention, problem.attention.encoding
    if parameter == "attention.beta":
        return lambda value: replace(
            problem,
            attention=replace(attention, heads=tuple(replace(head, beta=value) for head in attention.heads)),
        )
    if parameter == "encoding.amplitude" and encoding.shifts is not None:
        shifts = encoding.shifts
        return lambda value: replace(
            problem, attention=replace(attention, encoding=encodings.additive(value * shifts))
        )
    if parameter == "encoding.frequency" and encoding.angles is not None:
        nodes = np.asarray(problem.auxiliary.nodes)
        return lambda value: replace(
            problem, attention=replace(attention, encoding=encodings.rotary(nodes, value))
        )
    raise InputError(f"bifurcation: {parameter} has no effect on this problem")
