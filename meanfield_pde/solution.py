"""A solution: the record of a solve, with its datasets as attributes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde import clusters, layout, plateaus
from meanfield_pde.contents import LIMIT, kind_of
from meanfield_pde.errors import InputError
from meanfield_pde.observables import DESCRIPTIONS
from meanfield_pde.provenance import grid, provenance
from meanfield_pde.records import Attribute, Record, Variable, read
from meanfield_pde.results import dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.methods import State
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Space

__all__ = ["Solution", "Totals", "assemble", "open_solution", "summary"]


#: Attributes that the closing table shows.
FACTS = (
    "status",
    "method",
    "method_reason",
    "switched_at",
    "switch_reason",
    "resolution",
    "labels",
    "atoms",
    "steps",
    "rejected",
    "seconds",
    "w1",
    "w2",
)


@dataclass(frozen=True)
class Totals:
    """How a solve ended, and its steps and evaluations of the rate."""

    status: str
    steps: int
    rejected: int
    evaluations: int


@dataclass(frozen=True)
class Solution:
    """Datasets of a solve as attributes: ``solution.time``, ``.aux``, ``.token``, ``.density`` and more.

    The density ρ(t, θ | z) has shape (time, aux, token).
    So are those of the limit law (`Limit`) that ``compare`` added, if it did.
    ``solution.record`` holds them with their names, units and attributes.
    """

    record: Record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "record":
            raise AttributeError(name)
        return dataset("solution", name, *self._records)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for record in self._records for name in record.variables)]

    @property
    def _records(self) -> list[Record]:
        """The record, and the limit law that it was compared with."""
        return [self.record, *(group for name, group in self.record.groups.items() if name == LIMIT)]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Title, configuration, version, method, resolution, steps, status, …."""
        return self.record.attributes

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all; an existing file is an error unless ``overwrite``."""
        self.record.save(Path(path), overwrite=overwrite)

    def to_xarray(self) -> Any:
        """Return the datasets as an ``xarray.Dataset``."""
        return self.record.to_xarray()

    def summary(self) -> dict[str, Any]:
        """Say of the last state what the closing table does."""
        return summary(self.record)


def open_solution(path: str | Path) -> Solution:
    """Read a solution back.

    Raises
    ------
    InputError
        When the file is missing, damaged or no solution.
    """
    record = read(Path(path))
    if (kind := kind_of(record)) != "solution":
        raise InputError(f"{path}: must hold a solution, found a {kind} (attribute 'kind')")
    return Solution(record)


def summary(record: Record) -> dict[str, Any]:
    """Make the closing table of a solve, for people and for ``--json``."""
    last = {name: float(record[name][-1]) for name in DESCRIPTIONS}
    facts = {name: record.attributes[name] for name in FACTS if name in record.attributes}
    worst = {"mass_error": float(record["mass_error"].max()), "minimum": float(record["minimum"].min())}
    events = {"plateaus": plateaus.describe(record)}
    return {"depth": float(record["time"][-1]), **last, **worst, **facts, **events}


def assemble(
    problem: Problem,
    saved: Sequence[State],
    totals: Totals,
    seconds: float,
    facts: Mapping[str, Attribute],
    own: Mapping[str, Variable],
    groups: Mapping[str, Record],
) -> Solution:
    """Put all saved states on the finest grid that was used.

    Parameters
    ----------
    facts, own
        Attributes and datasets of the method.
    groups
        A checkpoint, or none.

    Raises
    ------
    InputError
        When nothing was saved yet.
    """
    if not saved:
        raise InputError("solution: no state was saved yet")
    finest = max((state.space for state in saved), key=lambda space: space.resolution)
    comparison = saved[-1].comparison(problem.auxiliary)
    variables = grid(problem, finest) | _diagnostics(saved) | _states(problem, finest, saved)
    variables |= _clusters(problem, saved) | dict(own)
    if any("state" in variable.dims for variable in variables.values()):
        last = np.array([saved[-1].depth])
        variables["state"] = Variable(("state",), last, "depth t of what is kept of one state alone", "1")
    attributes: dict[str, Attribute] = {
        **provenance(problem, finest),
        "kind": "solution",
        "status": totals.status,
        "steps": totals.steps,
        "rejected": totals.rejected,
        "evaluations": totals.evaluations,
        "seconds": seconds,
        "w1": comparison.w1,
        "w2": comparison.w2,
        **facts,
    }
    return Solution(Record(variables, attributes, groups))


def _diagnostics(saved: Sequence[State]) -> dict[str, Variable]:
    series = {
        name: Variable(("time",), np.array([state.diagnostics[name] for state in saved]), text, "1")
        for name, text in DESCRIPTIONS.items()
    }
    depths = np.array([state.depth for state in saved])
    sizes = np.array([state.size for state in saved])
    return {
        "time": Variable(("time",), depths, "depth t", "1"),
        "grid_size": Variable(("time",), sizes, "grid points, cells or labels in use at this depth", "1"),
        **series,
    }


def _clusters(problem: Problem, saved: Sequence[State]) -> dict[str, Variable]:
    """Clusters of the marginal over depth, and the plateaus on which they hardly change: on closed lines."""
    space = saved[0].space
    if space.period is None or space.fields_by == "points":
        return {}
    found = [clusters.find(state.space, state.spectrum(problem.auxiliary)) for state in saved]
    order = np.array([state.diagnostics["order_parameter"] for state in saved])
    return plateaus.variables([state.depth for state in saved], order, found)


def _states(problem: Problem, space: Space, saved: Sequence[State]) -> dict[str, Variable]:
    """Densities, marginals and conditional means of all saved states."""
    times, nodes, points = len(saved), problem.auxiliary.nodes.size, space.weights.size
    kept = times if problem.keep_density else 1
    density = np.empty((kept, nodes, points))
    marginal = np.empty((times, points))
    mean, length = np.empty((times, nodes, *space.place)), np.empty((times, nodes))
    for index, state in enumerate(saved):
        moments = state.moments()
        mean[index], length[index] = space.locate(moments), np.linalg.norm(moments, axis=-1)
        joint = state.joint(space) if kept == times or index == times - 1 else None
        marginal[index] = state.marginal(problem.auxiliary, space, joint)
        if joint is not None:
            density[index if kept == times else 0] = joint
    first = "time" if kept == times else "state"
    symbol, unit = "θ" if space.fields_by == "frame" and space.is_line else "x", layout.density_unit(space)
    return {
        "density": layout.on_tokens(
            space, (first, "aux"), density, f"conditional density ρ(t, {symbol} | z)", unit
        ),
        "marginal": layout.on_tokens(space, ("time",), marginal, f"token marginal μ(t, {symbol})", unit),
        "conditional_mean": layout.at_places(
            space,
            ("time", "aux"),
            mean,
            "angle of the conditional mean ∫xρ(x|z)dx"
            if not space.place
            else "direction of the conditional mean ∫xρ(x|z)dx",
        ),
        "conditional_length": Variable(("time", "aux"), length, "length of the conditional mean", "1"),
    }
