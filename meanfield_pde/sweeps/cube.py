"""The cube of a sweep: how every point ended, and its measures, over the parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.building import build
from meanfield_pde.contents.sweep import ENDS, MEASURES, WORDS
from meanfield_pde.provenance import provenance
from meanfield_pde.records import Record, Variable
from meanfield_pde.sweeps.axes import label
from meanfield_pde.sweeps.points import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.records import Attribute
    from meanfield_pde.sweeps.checking import Checked
    from meanfield_pde.sweeps.plan import Plan

__all__ = ["cube", "outcomes_of"]

#: What a cube says of its origin; the space may vary.
ORIGIN = ("title", "configuration", "meanfield_pde_version", "created", "command")


def cube(sweep: Checked, outcomes: Mapping[int, Outcome], seconds: float) -> Record:
    """Record of all points, those that are not computed yet as pending: the same whatever came first."""
    variables = _parameters(sweep.plan) | _ends(sweep.plan, outcomes) | _measures(sweep.plan, outcomes)
    return Record(variables, _attributes(sweep, outcomes, seconds))


def outcomes_of(record: Record) -> dict[int, Outcome]:
    """Return the points of a cube that were computed, as they came from their workers."""
    of = str(record.attributes["of"])
    columns = {name: record[name].ravel().tolist() for name in (*MEASURES[of], *WORDS[of])}
    status, reason, seconds = (record[name].ravel().tolist() for name in ("status", "reason", "seconds"))
    found: dict[int, Outcome] = {}
    for index in np.flatnonzero(record["status"].ravel() != "pending").tolist():
        finished = status[index] == "finished"
        measures = {name: column[index] for name, column in columns.items()} if finished else {}
        found[index] = Outcome(index, status[index], reason[index], measures, seconds[index])
    return found


def _parameters(plan: Plan) -> dict[str, Variable]:
    """Values of what varies: coordinates of a grid, or one value at every point."""
    if plan.draw is None:
        return {axis.name: Variable((axis.name,), _array(axis.values), axis.key) for axis in plan.axes}
    columns = zip(*plan.rows, strict=True)
    return {
        parameter.name: Variable(("point",), _array(column), parameter.key)
        for parameter, column in zip(plan.parameters, columns, strict=True)
    }


def _array(values: Sequence[Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Numbers as they are, integers where all are; anything else as texts."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values)
    return np.array([label(value) for value in values])


def _ends(plan: Plan, outcomes: Mapping[int, Outcome]) -> dict[str, Variable]:
    status, reason = (np.full(plan.size, text, dtype=object) for text in (ENDS[-1], ""))
    seconds = np.full(plan.size, np.nan)
    for index, outcome in outcomes.items():
        status[index], reason[index], seconds[index] = outcome.status, outcome.reason, outcome.seconds
    return {
        "status": Variable(plan.dims, status.astype(str).reshape(plan.shape), "how the point ended"),
        "reason": Variable(plan.dims, reason.astype(str).reshape(plan.shape), "why the point failed"),
        "seconds": Variable(plan.dims, seconds.reshape(plan.shape), "wall time of the point in seconds"),
    }


def _measures(plan: Plan, outcomes: Mapping[int, Outcome]) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for names, missing in ((MEASURES[plan.of], np.nan), (WORDS[plan.of], "")):
        for name, text in names.items():
            values = np.full(plan.size, missing, dtype=float if missing else object)
            for index, outcome in outcomes.items():
                values[index] = outcome.measures.get(name, missing)
            known = values if missing else values.astype(str)
            found[name] = Variable(plan.dims, known.reshape(plan.shape), text)
    return found


def _attributes(sweep: Checked, outcomes: Mapping[int, Outcome], seconds: float) -> dict[str, Attribute]:
    plan, problem = sweep.plan, build(sweep.configuration)
    origin = provenance(problem, problem.space)
    pending = plan.size - len(outcomes)
    return {
        **{name: origin[name] for name in ORIGIN},
        "kind": "sweep",
        "status": "unfinished" if pending else "finished",
        "of": plan.of,
        "parameters": " ".join(parameter.key for parameter in plan.parameters),
        "points": plan.size,
        "failed": sum(outcome.status == "failed" for outcome in outcomes.values()),
        "pending": pending,
        "seconds": seconds,
        "plan": json.dumps(plan.content()),
        "data": json.dumps(sweep.data),
    }
