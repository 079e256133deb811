"""What varies in the study: families of runs, each over encodings, one number, and seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde import auxiliary as auxiliaries
from meanfield_pde.ablation.runs import Stage, density_run, token_run
from meanfield_pde.ablation.schemes import CURVES, Scheme
from meanfield_pde.auxiliary import Auxiliary
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BETA", "STRENGTH", "Family", "families"]

#: Strength of encodings where it does not vary; inverse temperature of densities, and of contexts.
STRENGTH, BETA, BETA_OF_CONTEXTS = 0.75, 2.0, 1.0
#: Positions of densities; of single tokens where they do not vary; nodes of the continuum, tokens at each.
POSITIONS, TOKENS, NODES, COPIES = 32, 256, 32, 32
#: Depth at which densities, and single tokens, are looked at.
DEPTH, LONG = 30.0, 40.0
#: Share γ of log n that β is, at most, where it grows with the context.
QUARTER, WHOLE = 0.25, 1.0

#: Families of which few small runs are made to see what comes out.
QUICK = ("amplitude", "removed", "temperature", "context")

_ALL = ("none", "sinusoidal", "learned", "rotary_encoded", "rotary_bare", "alibi", "causal", "prompt")
_EACH = ("rotary_encoded_each", "alibi_each")
_OF_POSITIONS = (*CURVES, "rotary_encoded", "rotary_bare")
_STRONG = (*_OF_POSITIONS, "alibi", "prompt")


@dataclass(frozen=True)
class Family:
    """Runs over encodings, values of one number, and seeds.

    Parameters
    ----------
    name, title, axis
        Of the family; what varies, for people.
    of
        ``tokens``: one at every position, without noise; ``densities`` with a little.
    encodings, values
        Infinity as a context is the continuum.
    """

    name: str
    title: str
    axis: str
    of: Literal["tokens", "densities"]
    encodings: tuple[str, ...]
    values: tuple[float, ...]

    def has(self, encoding: str, value: float) -> bool:
        """Whether there is such a run: encodings of every single position have no continuum."""
        return not (encoding in _EACH and math.isinf(value))

    def measured(self, encoding: str, value: float, seed: int) -> Mapping[str, float]:
        """Run, and return what is found.

        Raises
        ------
        InputError, ComputationError
            The run could not be made or finished.
        """
        if self.of == "densities":
            stages = _stages(self.name, encoding, value, seed)
            return density_run(stages, auxiliaries.uniform(POSITIONS), BETA, seed)
        context = TOKENS if self.name == "temperature" else value
        auxiliary = _continuum() if math.isinf(context) else auxiliaries.uniform(int(context))
        stages = [Stage(Scheme(encoding, STRENGTH, seed=seed), LONG)]
        count = None if math.isinf(context) else int(context)
        return token_run(stages, auxiliary, _beta(self.name, value), count, seed)


def _stages(name: str, encoding: str, value: float, seed: int) -> list[Stage]:
    """Schemes of a family of densities, one after the other."""
    if name == "removed":
        whole = Stage(Scheme(encoding, STRENGTH, seed=seed), min(value, DEPTH))
        bare = Stage(Scheme("none", 0.0), DEPTH)
        return [whole] if value >= DEPTH else [whole, bare] if value > 0.0 else [bare]
    changed = {"amplitude": "strength"}.get(name, name)
    numbers: dict[str, float] = {"strength": STRENGTH, changed: value}
    strength = numbers.pop("strength")
    return [Stage(Scheme(encoding, strength, seed=seed, **numbers), DEPTH)]


def _beta(name: str, value: float) -> float:
    if name == "temperature":
        return value
    if name == "context":
        return BETA_OF_CONTEXTS
    if math.isinf(value):
        raise InputError(f"ablation: {name} has no continuum, where β grows without bound")
    return {"context_quarter": QUARTER, "context_whole": WHOLE}[name] * math.log(value)


def _continuum() -> Auxiliary:
    """Gauss–Legendre nodes of [0, 1], so many tokens at each."""
    rule = auxiliaries.legendre(NODES)
    weights = np.repeat(rule.weights / COPIES, COPIES)
    return Auxiliary(np.repeat(rule.nodes, COPIES), weights / weights.sum())


def families(*, quick: bool = False) -> tuple[Family, ...]:
    """Return the families of the study; with ``quick`` those of a few small runs."""
    contexts = (64.0, 256.0) if quick else (64.0, 256.0, 1024.0, 4096.0, 16384.0)
    amplitudes = (0.0, 0.75) if quick else (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5)
    grown = r"number of positions n, β = γ log n"
    whole = (
        Family("amplitude", "Strength", "strength a", "densities", _STRONG, amplitudes),
        Family(
            "noise",
            "Gaussian noise",
            "noise, relative",
            "densities",
            _OF_POSITIONS,
            (0.0, 0.25, 0.5, 1.0),
        ),
        Family(
            "zeroed",
            "Positions left out",
            "share left out",
            "densities",
            _OF_POSITIONS,
            (0.0, 0.25, 0.5, 0.75, 0.9, 1.0),
        ),
        Family(
            "shuffled", "Positions shuffled", "share shuffled", "densities", _OF_POSITIONS, (0.0, 0.5, 1.0)
        ),
        Family(
            "frequency",
            "Frequency",
            "factor of the frequency",
            "densities",
            ("sinusoidal", "learned", "rotary_encoded", "rotary_bare"),
            (0.125, 0.25, 0.5, 1.0),
        ),
        Family(
            "removed",
            "Removed from a depth on",
            "depth of removal",
            "densities",
            (*_STRONG, "causal"),
            (1.0, 3.0, 10.0, 30.0),
        ),
        Family(
            "temperature",
            "Temperature",
            "inverse temperature β",
            "tokens",
            _ALL,
            (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
        ),
        Family(
            "context",
            "Context, β fixed",
            "number of positions n",
            "tokens",
            (*_ALL, *_EACH),
            (*contexts, math.inf),
        ),
        Family("context_quarter", "Context, γ = 1/4", grown, "tokens", (*_ALL, *_EACH), contexts),
        Family("context_whole", "Context, γ = 1", grown, "tokens", (*_ALL, *_EACH), contexts),
    )
    return tuple(_quick(family) for family in whole if family.name in QUICK) if quick else whole


def _quick(family: Family) -> Family:
    """Keep the ends of what varies, and few encodings."""
    few = ("none", "learned") if family.of == "tokens" else ("learned",)
    ends = (family.values[0], family.values[-1])
    return Family(family.name, family.title, family.axis, family.of, few, ends)
