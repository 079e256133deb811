"""The points of a sweep: all combinations of values, or points drawn at random."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from meanfield_pde.errors import InputError
from meanfield_pde.sweeps.axes import Axis, Span, label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.config import Configuration

__all__ = ["KINDS", "SAMPLERS", "Draw", "Plan", "planned"]

#: What may be computed at every point.
KINDS = ("limit", "solve", "train")
#: Designs of random points: Sobol' sequences and Latin hypercubes, both scrambled by the seed.
SAMPLERS = ("sobol", "latin")
#: Points at most: their results are held in memory.
MOST = 1_000_000


@dataclass(frozen=True)
class Draw:
    """Random design: number of points, seed, sampler.

    Raises
    ------
    InputError
        One of them is out of range.
    """

    count: int
    seed: int = 0
    sampler: str = "sobol"

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST:
            raise InputError(f"--random: must be from 1 to {MOST} points, got {self.count}")
        if self.seed < 0:
            raise InputError(f"--seed: must be an integer >= 0, got {self.seed}")
        if self.sampler not in SAMPLERS:
            raise InputError(f"--sampler: must be {' or '.join(SAMPLERS)}, got {self.sampler!r}")

    def shares(self, dimension: int) -> FloatArray:
        """Points in the unit cube, (count, dimension)."""
        from scipy.stats import qmc

        if self.sampler == "latin":
            drawn = qmc.LatinHypercube(dimension, seed=self.seed).random(self.count)
        else:
            # Whole powers of two keep the balance of the sequence; its beginning is used.
            power = max(self.count - 1, 0).bit_length()
            drawn = qmc.Sobol(dimension, seed=self.seed).random_base2(power)[: self.count]
        return drawn  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Plan:
    """What is computed, and at which points.

    Parameters
    ----------
    of
        One of `KINDS`.
    parameters
        What varies: with a random design also ranges.
    draw
        The random design; None for all combinations, the last parameter varying fastest.

    Raises
    ------
    InputError
        Nothing varies, a key twice, there are too many points, or a range is given without a random design.
    """

    of: str
    parameters: tuple[Axis | Span, ...]
    draw: Draw | None = None

    def __post_init__(self) -> None:
        if self.of not in KINDS:
            raise InputError(f"--of: must be one of {', '.join(KINDS)}, got {self.of!r}")
        if not self.parameters:
            raise InputError("--over: nothing varies; give table.key=values, such as attention.beta=1:8:15")
        names = [parameter.name for parameter in self.parameters]
        for place, parameter in enumerate(self.parameters):
            if parameter.name in names[:place]:
                raise InputError(f"--over {parameter.key}: must be given once, got it twice")
            if isinstance(parameter, Span) and self.draw is None:
                ends = f"{parameter.low:g}:{parameter.high:g}"
                raise InputError(
                    f"--over {parameter.key}: must be a list or a grid a:b:n, got the range {ends}; "
                    "ranges are for random designs (--random N)"
                )
        if self.size > MOST:
            raise InputError(f"--over: must make at most {MOST} points, got {self.size}")

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the cube."""
        return ("point",) if self.draw else tuple(parameter.name for parameter in self.parameters)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The parameters of a grid."""
        return tuple(parameter for parameter in self.parameters if isinstance(parameter, Axis))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the cube."""
        return (self.draw.count,) if self.draw else tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @cached_property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """Values of the parameters at every point, in the order of the flattened cube."""
        if self.draw is None:
            return tuple(itertools.product(*(axis.values for axis in self.axes)))
        shares = self.draw.shares(len(self.parameters)).tolist()
        return tuple(
            tuple(parameter.at(share) for parameter, share in zip(self.parameters, row, strict=True))
            for row in shares
        )

    def overrides(self, index: int) -> dict[str, Any]:
        """Values of a point by key."""
        keys = (parameter.key for parameter in self.parameters)
        return dict(zip(keys, self.rows[index], strict=True))

    def spoken(self, index: int) -> str:
        """Name a point."""
        return ", ".join(f"{key} = {label(value)}" for key, value in self.overrides(index).items())

    def content(self) -> dict[str, Any]:
        """Say in JSON what is swept; two sweeps of one configuration are the same where this is."""
        drawn = None
        if self.draw:
            drawn = {"points": self.draw.count, "seed": self.draw.seed, "sampler": self.draw.sampler}
        return {
            "of": self.of,
            "over": [parameter.content() for parameter in self.parameters],
            "random": drawn,
            # Of the points themselves: a sampler may draw others in another version of its library.
            "points": hashlib.sha256(json.dumps(self.rows).encode()).hexdigest(),
        }


def planned(
    configuration: Configuration, of: str, parameters: Sequence[Axis | Span], draw: Draw | None = None
) -> Plan:
    """Plan of a sweep; ranges of keys that are integers in this configuration are of integers.

    Raises
    ------
    InputError
        As `Plan`.
    """
    content = configuration.content()
    fitted = [
        replace(one, integers=_is_integer(content, one.key)) if isinstance(one, Span) else one
        for one in parameters
    ]
    return Plan(of, tuple(fitted), draw)


def _is_integer(content: Mapping[str, Any], key: str) -> bool:
    """Tell whether the configuration holds an integer there; all its real numbers are floats."""
    place: Any = content
    for part in key.split("."):
        if isinstance(place, dict):
            place = place.get(part)
        elif isinstance(place, list) and part.isdecimal() and int(part) < len(place):
            place = place[int(part)]
        else:
            return False
    return isinstance(place, int) and not isinstance(place, bool)
