"""The record of a bifurcation diagram."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.bifurcations.densities import DensityFamily
from meanfield_pde.bifurcations.verdict import branch_points_of, folds_of, is_stable, verdict
from meanfield_pde.layout import at_places, density_unit, on_tokens
from meanfield_pde.limits.law import rested
from meanfield_pde.limits.measures import Tokens, distances
from meanfield_pde.limits.tokens import TokenSystem
from meanfield_pde.provenance import grid, provenance
from meanfield_pde.records import Record, Variable
from meanfield_pde.results import Bifurcation
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.bifurcations.diagram import Diagram, Sheet
    from meanfield_pde.records import Attribute
    from meanfield_pde.spaces import Space
    from solvers.continuation import Point

__all__ = ["assembled"]

#: Conditional means shorter than this are near no limit map.
DIRECTED = 0.5
#: Largest residual of a limit map.
TOLERANCE = 1e-12


def assembled(
    diagram: Diagram, failure: str = "", progress: Callable[[str, float], None] = lambda *_: None
) -> Bifurcation:
    """Put all branches one after the other."""
    space = _finest(diagram)
    found = verdict(diagram)
    variables = {
        name: variable
        for name, variable in grid(diagram.problem, space).items()
        if name not in {"component", "encoding"} or (name == "component" and space.place)
    }
    variables |= (
        _points(diagram) | _states(diagram, space, progress) | _folds(diagram) | _branch_points(diagram)
    )
    attributes: dict[str, Attribute] = {
        **provenance(diagram.problem, space),
        "kind": "bifurcation",
        "status": "stopped" if failure else "finished",
        "seconds": diagram.seconds,
        "parameter": diagram.parameter,
        "parameter_from": diagram.interval[0],
        "parameter_to": diagram.interval[1],
        "transition": found.transition,
        "sigma": diagram.problem.sigma,
        **{f"branch_{index}": sheet.name for index, sheet in enumerate(diagram.sheets)},
    }
    if found.spinodal is not None:
        attributes |= {"spinodal_low": found.spinodal[0], "spinodal_high": found.spinodal[1]}
    notes = [failure] * bool(failure) + [note for note in diagram.notes if note not in failure]
    if notes:
        attributes["notes"] = "; ".join(notes)
    return Bifurcation(Record(variables, attributes))


def _finest(diagram: Diagram) -> Space:
    """Finest grid of any state."""
    family = diagram.family
    if not isinstance(family, DensityFamily):
        return diagram.problem.space
    spaces = [
        family.system(
            max(sheet.branch.points, key=lambda point: point.state.size).state, point.value
        ).equation.space
        for sheet in diagram.sheets
        for point in sheet.branch.points[:1]
    ]
    return max([diagram.problem.space, *spaces], key=lambda space: space.resolution)


def _points(diagram: Diagram) -> dict[str, Variable]:
    """All that is one number a point."""
    pairs = [
        pair for sheet in diagram.sheets for pair in zip(sheet.branch.points, sheet.measures, strict=True)
    ]
    branch = [index for index, sheet in enumerate(diagram.sheets) for _ in sheet.branch.points]
    columns = {
        "parameter": ([point.value for point, _ in pairs], diagram.parameter),
        "branch": (branch, "number of the branch"),
        "stable": ([int(is_stable(*pair)) for pair in pairs], "whether the state is stable (1) or not (0)"),
        "order_parameter": ([one.order_parameter for _, one in pairs], "order parameter R = |∫x dμ|"),
        "conditional_concentration": (
            [one.conditional_concentration for _, one in pairs],
            "conditional concentration",
        ),
        "free_energy": ([one.free_energy for _, one in pairs], "free energy"),
        "leading_eigenvalue": ([point.leading for point, _ in pairs], "leading eigenvalue of the flow"),
        "residual": ([point.residual for point, _ in pairs], "residual of the stationary equation"),
    }
    return {name: Variable(("point",), np.array(values), text) for name, (values, text) in columns.items()}


def _states(diagram: Diagram, space: Space, progress: Callable[[str, float], None]) -> dict[str, Variable]:
    """Limit maps; or token marginals, with their distances from the pushforwards."""
    family = diagram.family
    if not isinstance(family, DensityFamily):
        places = [family.places(point.state) for sheet in diagram.sheets for point in sheet.branch.points]
        return {"map_position": at_places(space, ("point", "aux"), np.stack(places), "limit map T(z)")}
    marginals, apart = [], []
    for sheet in diagram.sheets:
        progress(f"pushforwards along {sheet.name}", sheet.branch.points[0].value)
        start: FloatArray | None = None
        for point in sheet.branch.points:
            coefficients = family.coefficients(point.state, point.value)
            mean = diagram.problem.auxiliary.mean(coefficients)
            marginals.append(space.synthesise(space.pad(mean)))
            start, distance = _pushforward(family, space, point, coefficients, start)
            apart.append(distance)
    variables = {
        "marginal": on_tokens(space, ("point",), np.stack(marginals), "token marginal", density_unit(space)),
    }
    if diagram.problem.auxiliary.nodes.size > 1:
        variables["w2"] = Variable(("point",), np.array(apart), "W₂ of the token marginal to the pushforward")
    return variables


def _pushforward(
    family: DensityFamily, space: Space, point: Point, coefficients: FloatArray, start: FloatArray | None
) -> tuple[FloatArray | None, float]:
    """Limit map near a start, else near the conditional means, and W₂ of the marginal to its pushforward."""
    problem = replace(family.at(point.value), sigma=0.0)
    if problem.auxiliary.nodes.size == 1:
        return None, math.nan
    moments = space.first_moment(coefficients)
    if np.linalg.norm(moments, axis=1).min() < DIRECTED:
        return None, math.nan
    system = TokenSystem.of_maps(problem)
    try:
        places = rested(system, space.locate(moments) if start is None else start, TOLERANCE).state
    except StalledError:
        return None, math.nan
    if not (system.curvature(places) > 0.0).all():
        return None, math.nan
    grown = space.pad(coefficients)
    marginal = Tokens.of_density(space, problem.auxiliary.mean(grown))
    return places, distances(space, marginal, Tokens.of_atoms(problem.auxiliary, system.atoms(places)))["w2"]


def _folds(diagram: Diagram) -> dict[str, Variable]:
    found = [
        (fold.value, _order(sheet, fold), index)
        for index, sheet in enumerate(diagram.sheets)
        for fold in folds_of(diagram, sheet)
    ]
    if not found:
        return {}
    value, order, branch = (np.array(column) for column in zip(*found, strict=True))
    return {
        "fold_value": Variable(("fold",), value, f"{diagram.parameter} of a fold"),
        "fold_order_parameter": Variable(("fold",), order, "order parameter of a fold"),
        "fold_branch": Variable(("fold",), branch, "branch of a fold"),
    }


def _branch_points(diagram: Diagram) -> dict[str, Variable]:
    """Where branches leave; at the uniform law with the mode that does."""
    modes = {critical.value: critical.mode for critical in diagram.critical}
    found = [
        (point.value, _order(sheet, point), index, modes.get(point.value, -1) if sheet.mode == 0 else -1)
        for index, sheet in enumerate(diagram.sheets)
        for point in branch_points_of(diagram, sheet)
    ]
    if not found:
        return {}
    value, order, branch, mode = (np.array(column) for column in zip(*found, strict=True))
    return {
        "branch_point_value": Variable(("branch_point",), value, f"{diagram.parameter} of a branch point"),
        "branch_point_order_parameter": Variable(
            ("branch_point",), order, "order parameter of a branch point"
        ),
        "branch_point_branch": Variable(("branch_point",), branch, "branch of a branch point"),
        "branch_point_mode": Variable(("branch_point",), mode, "mode of the uniform law, −1 elsewhere"),
    }


def _order(sheet: Sheet, point: Point) -> float:
    """Order parameter of a point of a branch."""
    return sheet.measures[sheet.branch.points.index(point)].order_parameter
