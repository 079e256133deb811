"""All that can be known to be wrong is found before anything starts: every point is read and built."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde import config, shipped
from meanfield_pde.building import build
from meanfield_pde.errors import InputError
from meanfield_pde.sweeps.points import Base, Point

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from meanfield_pde.config import Configuration
    from meanfield_pde.sweeps.plan import Plan

__all__ = ["Checked", "checked"]


@dataclass(frozen=True)
class Checked:
    """A sweep that may begin.

    Parameters
    ----------
    plan, configuration
        What is swept, and the configuration in which nothing varies.
    data
        SHA-256 of every data file of any point, by its path.
    largest
        Bytes that the largest point needs.
    """

    plan: Plan
    configuration: Configuration
    data: dict[str, str]
    largest: int

    @property
    def identity(self) -> dict[str, Any]:
        """What makes the results: two sweeps of the same identity have the same cube."""
        return {
            "configuration": self.configuration.to_toml(),
            "plan": self.plan.content(),
            "data": self.data,
            "version": shipped.version(),
        }

    def points(self, indices: Iterable[int], threads: int) -> list[Point]:
        """Points that are to be computed."""
        configuration, source = self.configuration, self.configuration.source
        resolved = None if source is None else source.resolve()  # workers may be in another folder
        base = Base(configuration.to_toml(), resolved, configuration.label, self.plan.of, threads)
        return [Point(index, base, self.plan.overrides(index)) for index in indices]


def checked(configuration: Configuration, plan: Plan) -> Checked:
    """Read, check and build every point.

    Raises
    ------
    InputError
        A point is wrong: the message names the key and its value, and the point.
    """
    text, source, label = configuration.to_toml(), configuration.source, configuration.label
    files: set[Path] = set(config.data_files(configuration))
    largest = 0
    for index in range(plan.size):
        try:
            found = config.loads(text, plan.overrides(index), source=source, label=label)
            problem = build(found)
        except InputError as error:
            raise InputError(f"{error} (at {plan.spoken(index)})") from None
        _check_of(plan, found)
        files |= set(config.data_files(found))
        needed = config.estimate_memory(found, problem.auxiliary.nodes.size) + problem.kernel_bytes()
        largest = max(largest, needed)
    digests = {str(path): _digest(path) for path in sorted(files)}
    return Checked(plan, configuration, digests, largest)


def _check_of(plan: Plan, configuration: Configuration) -> None:
    if plan.of == "train" and getattr(configuration, "training", None) is None:
        raise InputError(f"{configuration.label}: [training] is required to sweep trainings, and is missing")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
