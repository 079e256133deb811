"""What scripts call: load, open, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meanfield_pde.contents import kind_of
from meanfield_pde.problem import Problem, build
from meanfield_pde.records import read
from meanfield_pde.results import Bifurcation, Limit
from meanfield_pde.solution import Solution, summary

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meanfield_pde.records import Record

__all__ = ["compare", "load", "open"]


def load(path: str | Path, overrides: Mapping[str, Any] | None = None) -> Problem:
    """Problem of a TOML configuration, with overrides such as ``{"solver.rtol": 1e-6}``.

    Raises
    ------
    InputError
        When anything in the configuration or its data files is wrong.
    """
    from meanfield_pde import config

    return build(config.load(path, overrides or {}))


def open(path: str | Path) -> Solution | Limit | Bifurcation:  # noqa: A001
    """Solution, limit or bifurcation diagram of an HDF5 file, as its attribute ``kind`` says.

    Raises
    ------
    InputError
        When the file is missing, damaged or of no such kind.
    """
    record = read(path)
    kind = kind_of(record)
    if kind == "limit":
        return Limit(record)
    return Bifurcation(record) if kind == "bifurcation" else Solution(record)


def compare(solution: Solution | Record) -> dict[str, Any]:
    """Last state beside the pushforward of ν by its conditional means, as the command ``compare`` reports it.

    ``atoms``, ``stable`` and ``residual`` are those of a limit map, None as long as none is known.
    """
    record = solution.record if isinstance(solution, Solution) else solution
    last = summary(record)
    keys = (
        "depth",
        "w1",
        "w2",
        "order_parameter",
        "conditional_concentration",
        "entropy",
        "attention_entropy",
    )
    return {**{key: last.get(key) for key in keys}, "atoms": None, "stable": None, "residual": None}
