"""A solution's last state beside the limit law: the pushforward of ν where there is a map."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.contents import LIMIT, token_dims
from meanfield_pde.contents.grid import TOKEN
from meanfield_pde.errors import InputError
from meanfield_pde.limits.assembly import law_group
from meanfield_pde.limits.directions import directed
from meanfield_pde.limits.find import Found, Search, find
from meanfield_pde.limits.measures import OBSERVED, Tokens, distances, spread
from meanfield_pde.limits.tables import spectrum_variables
from meanfield_pde.records import Record, Variable
from meanfield_pde.spaces.named import space_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Attribute
    from meanfield_pde.spaces import Space

__all__ = ["beside_law", "beside_limit", "last_marginal"]


def beside_law(
    problem: Problem, record: Record, between: Callable[[str, float], None] = lambda *_: None
) -> Record:
    """Solution with a group ``limit``: its last state beside the limit law of its problem.

    The law is looked for near the last conditional means where these are long, else the initial law is
    followed.

    Raises
    ------
    InputError
        When the solution has other nodes than the problem.
    """
    nodes = problem.auxiliary.nodes.size
    if record["aux"].size != nodes:
        raise InputError(f"compare: the solution has {record['aux'].size} nodes, its problem {nodes}")
    still = replace(problem, sigma=0.0, method="auto")
    long = directed(problem.space, record["conditional_length"][-1])
    start = np.asarray(record["conditional_mean"][-1]) if long else None
    found = find(still, Search(start=start), between=between)
    return _joined(problem.space, record, _law(problem.space, record, found, problem.sigma))


def _law(space: Space, record: Record, found: Found, sigma: float) -> Record:
    marginal = last_marginal(space, record)
    group = law_group(found.problem, found.law, marginal)
    law = found.law
    residual, stable = (math.nan, False) if law is None else (law.residual, law.stable)
    variables = dict(group.variables)
    if law is not None:
        spectrum = spectrum_variables(law.eigenvalues, ("aux", "atom"), np.zeros((0, 0)))
        variables |= {name: spectrum[name] for name in spectrum if name != "escape_direction"}
    variables["residual"] = Variable((), np.array(residual), "residual of the limit law")
    variables["stable"] = Variable((), np.array(int(stable)), "whether every perturbation decays (1) or not")
    leading = math.nan if law is None else law.leading
    attributes: dict[str, Attribute] = {
        **group.attributes,
        "sigma": sigma,
        "leading_eigenvalue": leading,
        "spectral_gap": max(-leading, 0.0) if math.isfinite(leading) else math.nan,
        "law": _kind(law is None, law is not None and law.is_map, sigma),
    }
    if found.reason:
        attributes["reason"] = found.reason
    return Record(variables, attributes)


def _kind(unknown: bool, is_map: bool, sigma: float) -> str:
    if sigma > 0.0 or unknown:
        return "density"
    return "map" if is_map else "atoms"


def beside_limit(record: Record, limit: Record) -> Record:
    """Solution with the group ``limit`` of a limit's file, the distances those of its own last state.

    Raises
    ------
    InputError
        When the two have other nodes, or live on other spaces.
    """
    group, own, space = limit.groups[LIMIT], _space_of(record), _space_of(limit)
    if (type(own), own.dimension) != (type(space), space.dimension):
        raise InputError(
            "compare: solution and limit must live on the same space, got "
            f"{own.name} in R^{own.dimension} and {space.name} in R^{space.dimension}"
        )
    for name in ("aux", "aux_weight"):
        if record[name].shape != limit[name].shape or not np.allclose(record[name], limit[name]):
            raise InputError(f"compare: solution and limit must have the same nodes, {name!r} differs")
    kept = {
        name: variable
        for name, variable in group.variables.items()
        if not {"rung", *token_dims(limit)} & set(variable.dims)
    }
    attributes = dict(group.attributes)
    if "atom_position" in group:
        law = _shared(space, group["atom_position"], limit["aux_weight"][:, None] * group["atom_mass"])
        attributes |= distances(space, last_marginal(space, record), law)
    return _joined(space, record, Record(kept, attributes))


def _space_of(record: Record) -> Space:
    """Token space of a record, on its grid."""
    found = record.attributes
    line = token_dims(record) == (TOKEN,)  # files tell the dimension of the embedding, 2 of one angle
    dimension = 1 if line else found.get("dimension")
    return space_named(
        str(found["space"]), int(found["resolution"]), None if dimension is None else int(dimension)
    )


def _joined(space: Space, record: Record, group: Record) -> Record:
    """Add last state and its measures to the group, and the group to the record."""
    density, marginal = record.variables["density"], record.variables["marginal"]
    shown = {
        "limit_density": replace(
            density,
            dims=density.dims[1:],
            values=density.values[-1],
            long_name="conditional densities that are compared",
        ),
        "limit_marginal": replace(
            marginal, dims=marginal.dims[1:], values=marginal.values[-1], long_name="token marginal compared"
        ),
    }
    attributes = {
        **group.attributes,
        **{name: float(record[name][-1]) for name in OBSERVED},
        **spread(space, last_marginal(space, record)),
        "compared_depth": float(record["time"][-1]),
    }
    group = Record(shown | dict(group.variables), attributes)
    return Record(record.variables, record.attributes, {**record.groups, LIMIT: group})


def last_marginal(space: Space, record: Record) -> Tokens:
    """Token marginal of the last state as points: the labels where there are any, else quantiles."""
    weights = record["aux_weight"]
    if "position" in record and "label_weight" in record:
        return _shared(space, record["position"][-1], weights[:, None] * record["label_weight"])
    marginal = record["marginal"][-1].ravel()
    grid = space.resized(int(record.attributes["resolution"]))
    if record.attributes.get("density_kind") == "histogram":
        return _shared(space, grid.locate(grid.points), marginal * record["token_weight"].ravel())
    return Tokens.of_density(grid, grid.wider().pad(grid.analyse(marginal)))


def _shared(space: Space, places: FloatArray, masses: FloatArray) -> Tokens:
    held = masses.ravel() > 0.0
    return Tokens(places.reshape(-1, *space.place)[held], masses.ravel()[held])
