"""Branches of stationary states over an interval of a parameter, and what they say of the transition."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.bifurcations.densities import DensityFamily
from meanfield_pde.bifurcations.maps import MapFamily
from meanfield_pde.bifurcations.sheets import Measured, measured
from meanfield_pde.bifurcations.uniform import (
    Critical,
    branch_point,
    critical_values,
    direction,
    leaves_continuously,
    uniform_state,
)
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.limits.flow import follow as follow_flow
from meanfield_pde.limits.settling import settle
from solvers.constrained import at_value
from solvers.continuation import Branch, Control, Point, RejectedError, follow, switch
from solvers.newton import StalledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem

__all__ = ["Diagram", "Sheet", "explore", "failure_of"]

#: Size of the first state on a branch that leaves another one.
AMPLITUDE = 0.02
#: Branches at most.
MOST = 12
#: Two states are one when order parameter and energy agree to this.
SAME = 1e-5
#: They are near each other where they agree to this.
JOINED = 0.02
#: Change of the parameter along a branch, as shares of its interval, that is a fold; folds that are one.
TURNING, SAME_TURN = 1e-6, 1e-8
#: Why the continuation cannot begin, or a limit does not exist.
FAILURES = (StalledError, RejectedError, np.linalg.LinAlgError, ComputationError)


@dataclass
class Sheet:
    """A branch with its name, and what is measured at its points."""

    name: str
    branch: Branch
    measures: list[Measured]
    mode: int = -1

    def knows(self, value: float, other: Measured) -> bool:
        """Whether a state is, to the eye, one of its end points."""
        for index in (0, -1):
            own, point = self.measures[index], self.branch.points[index]
            if abs(point.value - value) < 1e-9 * max(1.0, abs(value)) and own.agrees(other, SAME):
                return True
        return False


@dataclass
class Diagram:
    """All branches that were found, with the critical values of the uniform law."""

    problem: Problem
    parameter: str
    interval: tuple[float, float]
    family: DensityFamily | MapFamily
    sheets: list[Sheet] = field(default_factory=list)
    critical: list[Critical] = field(default_factory=list)
    continuous: bool | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def control(self) -> Control:
        """Steps along branches."""
        return self._control

    _control: Control = field(default_factory=Control)


def explore(
    problem: Problem,
    at: Callable[[float], Problem],
    parameter: str,
    interval: tuple[float, float],
    *,
    points: int = 400,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> Diagram:
    """Follow the branches of the uniform law, of the initial law at both ends, and those that leave them.

    Raises
    ------
    InputError
        When the space has no densities, but single tokens alone; when limit maps have too many nodes.
    """
    if not len(problem.space.points):
        raise InputError(
            f"bifurcation: branches of single tokens on a sphere of dimension {problem.space.dimension} are "
            'not available; follow densities (token.space = "zonal", or "sphere" with dimension = 3), or '
            "compare limits of the tokens at several values"
        )
    began = time.perf_counter()
    noisy = parameter == "noise.sigma" or problem.sigma > 0.0
    family = DensityFamily(at, interval) if noisy else MapFamily(at, interval)
    if isinstance(family, MapFamily):
        family.check()
    diagram = Diagram(problem, parameter, interval, family, _control=Control(most=points))
    explorer = _Explorer(diagram, progress)
    if isinstance(family, DensityFamily):
        explorer.from_uniform(family)
    explorer.from_ends()
    explorer.from_branch_points()
    explorer.join()
    diagram.seconds = time.perf_counter() - began
    return diagram


def failure_of(diagram: Diagram) -> str:
    """Say why the diagram is not complete, nothing where it is: branches that were not followed."""
    if not diagram.sheets:
        return "; ".join(diagram.notes) or "no stationary state was found"
    return "; ".join(note for note in diagram.notes if not note.startswith("from from"))


class _Explorer:
    """Adds branches to a diagram."""

    def __init__(self, diagram: Diagram, progress: Callable[[str, float], None]) -> None:
        self.diagram, self.progress = diagram, progress

    def from_uniform(self, family: DensityFamily) -> None:
        """Follow the uniform law, where it is stationary, and the branches of modes that turn unstable."""
        found = critical_values(family.at, family.interval)
        if found is None:
            return
        values, rates, self.diagram.critical = found
        self._add_uniform(family, values, rates)
        for critical in self.diagram.critical:
            if critical.first and self.diagram.continuous is None:
                self.diagram.continuous = leaves_continuously(family, critical)
            name = f"mode {critical.mode} of the uniform law"
            self._leave(name, branch_point(family, critical), direction(family, critical), critical.mode)

    def _add_uniform(self, family: DensityFamily, values: FloatArray, rates: FloatArray) -> None:
        """Points of the uniform law, its critical values among them."""
        leading = dict(zip(values.tolist(), rates.max(axis=1).tolist(), strict=True))
        leading |= {critical.value: critical.leading for critical in self.diagram.critical}
        points = []
        for value in sorted(leading):
            state = uniform_state(family, value)
            tangent = (np.zeros_like(state), 1.0)
            residual = float(np.abs(family.residual(state, value)).max())
            points.append(Point(state, value, tangent, value - values[0], leading[value], residual))
        critical_set = {critical.value for critical in self.diagram.critical}
        marked = tuple(point for point in points if point.value in critical_set)
        branch = Branch(tuple(points), (), marked, "limits")
        self._add("uniform law", branch, 0)

    def from_ends(self) -> None:
        """Follow what the initial law tends to at both ends of the interval, where that is not known yet."""
        for value, towards in zip(self.diagram.interval, (1, -1), strict=True):
            self.progress("limit at an end", value)
            try:
                state = self._limit(value)
            except FAILURES as error:
                self.diagram.notes.append(f"no limit at {value:g}: {error}")
                continue
            if state is None or self._is_known(state, value):
                continue
            self._follow(f"from the initial law at {value:g}", state, value, towards)

    def _limit(self, value: float) -> FloatArray | None:
        """State that the initial law tends to, None where that is no map."""
        problem, family = self.diagram.family.at(value), self.diagram.family
        if isinstance(family, DensityFamily):
            found = settle(problem, lambda depth: self.progress("flow", depth)).stationary
            return np.asarray(found.coefficients[:, found.equation.space.constant :].ravel())
        law = follow_flow(problem, lambda depth: self.progress("flow", depth)).law
        if not law.is_map:
            self.diagram.notes.append(f"the limit at {value:g} has several atoms at some z")
            return None
        return family.state(law.places)

    def from_branch_points(self) -> None:
        """Follow what leaves the branch points of all branches but the uniform law."""
        queue = [sheet for sheet in self.diagram.sheets if sheet.mode != 0]
        while queue and len(self.diagram.sheets) < MOST:
            sheet = queue.pop(0)
            for point in sheet.branch.branch_points:
                if np.abs(point.state).max() < AMPLITUDE and sheet.mode > 0:
                    continue  # back at the uniform law
                before = sheet.branch.points[max(sheet.branch.points.index(point) - 1, 0)]
                self.diagram.family.near(before.state, before.value)
                along = self.diagram.family.direction(point.state, point.value)
                along = along / np.sqrt(self.diagram.family.weights(point.state) @ along**2)
                for sign in (1.0, -1.0):
                    known = len(self.diagram.sheets)
                    self._leave(f"from {sheet.name}", point, sign * along, -1)
                    queue += self.diagram.sheets[known:]

    def join(self) -> None:
        """Tell of branches that end where another one passes, though their last step does not converge."""
        for sheet in self.diagram.sheets:
            if not sheet.branch.ended.startswith("stalled"):
                continue
            value, own = sheet.branch.points[-1].value, sheet.measures[-1]
            met = [
                other
                for other in self.diagram.sheets
                if other is not sheet and _around(other, value, own, JOINED)
            ]
            if met:
                sheet.branch = replace(sheet.branch, ended=f"stopped: joins {met[0].name}")
            else:
                self.diagram.notes.append(f"{sheet.name}: ended at {value:.6g} ({sheet.branch.ended})")

    def _leave(self, name: str, point: Point, along: FloatArray, mode: int) -> None:
        """Follow the branch that leaves a point along a direction."""
        family, control = self.diagram.family, self.diagram.control
        if len(self.diagram.sheets) >= MOST:
            return
        start = None
        for symmetry in (along, None):
            family.leave(point.state, point.value, symmetry)
            try:
                start = switch(
                    family, point, along, amplitude=AMPLITUDE, limits=self.diagram.interval, control=control
                )
            except FAILURES:
                start = None
            if start is not None:
                break
        if start is None:
            return
        try:
            state = family.fitted(*start)
        except StalledError as error:
            self.diagram.notes.append(f"{name}: not followed: {error}")
            return
        tangent = state - family.grown(point.state, state, start[1]), start[1] - point.value
        self._follow(name, state, start[1], tangent, mode)

    def _follow(
        self,
        name: str,
        state: FloatArray,
        value: float,
        towards: int | tuple[FloatArray, float],
        mode: int = -1,
    ) -> None:
        family = self.diagram.family

        low, high = self.diagram.interval
        turns: list[float] = []

        def observe(point: Point) -> str | None:
            self.progress(name, point.value)
            if abs(point.tangent[1]) < TURNING * (high - low):
                if any(abs(point.value - turn) < SAME_TURN * (high - low) for turn in turns[:-1]):
                    return "closed, up to a symmetry"
                turns.append(point.value)
            near = isinstance(family, DensityFamily) and np.abs(point.state).max() < AMPLITUDE / 2.0
            return "joins the uniform law" if near and self.diagram.critical else None

        family.begin()
        try:
            branch = follow(
                family,
                state,
                value,
                towards=towards,
                limits=self.diagram.interval,
                control=self.diagram.control,
                observe=observe,
            )
        except FAILURES as error:
            self.diagram.notes.append(f"{name}: not followed: {error}")
            return
        if branch.ended == "points":
            self.diagram.notes.append(f"{name}: ended at {branch.points[-1].value:.6g} ({branch.ended})")
        self._add(name, branch, mode)

    def _add(self, name: str, branch: Branch, mode: int) -> None:
        measures = measured(self.diagram.family, branch.points)
        branch, measures = _unmirrored(branch, measures)
        if not any(self._repeats(sheet, branch, measures) for sheet in self.diagram.sheets):
            self.diagram.sheets.append(Sheet(name, branch, measures, mode))

    def _is_known(self, state: FloatArray, value: float) -> bool:
        """Whether a branch that was followed ends in this state, or passes it."""
        point = Point(state, value, (state, 0.0), 0.0, 0.0, 0.0)
        own = measured(self.diagram.family, (point,))[0]
        return any(sheet.knows(value, own) or self._meets(sheet, value, own) for sheet in self.diagram.sheets)

    def _repeats(self, sheet: Sheet, branch: Branch, measures: list[Measured]) -> bool:
        """Whether a branch is another one again, or its mirror image: by points away from where it began."""
        chosen = {len(measures) // 3, len(measures) // 2, (3 * len(measures)) // 4} - {0}
        return bool(chosen) and all(
            self._meets(sheet, branch.points[index].value, measures[index]) for index in chosen
        )

    def _meets(self, sheet: Sheet, value: float, own: Measured) -> bool:
        """Whether a branch passes a state: where it may, its own state there is solved for and measured."""
        family = self.diagram.family
        for index in _around(sheet, value, own, SAME):
            nearest = min(sheet.branch.points[index : index + 2], key=lambda point: abs(point.value - value))
            family.near(nearest.state, nearest.value)
            try:
                found = at_value(family, nearest.state, value, self.diagram.control.tolerance)
            except FAILURES:
                return True
            point = Point(found.state, value, (found.state, 0.0), 0.0, 0.0, 0.0)
            if measured(family, (point,))[0].agrees(own, SAME):
                return True
        return False


def _around(sheet: Sheet, value: float, own: Measured, tolerance: float) -> list[int]:
    """Points of a branch between which, and the next ones, the state lies, by what is measured."""
    values = np.array([point.value for point in sheet.branch.points])
    found = np.flatnonzero((values[:-1] - value) * (values[1:] - value) <= 0.0).tolist()
    measures = sheet.measures
    return [index for index in found if own.between(measures[index], measures[index + 1], tolerance)]


def _unmirrored(branch: Branch, measures: list[Measured]) -> tuple[Branch, list[Measured]]:
    """Cut a branch where it turns back on itself: at branch points of symmetric problems."""
    for point in branch.branch_points:
        index = branch.points.index(point)
        if not 0 < index < len(branch.points) - 1:
            continue
        after, own = branch.points[index + 1], measures[index + 1]
        values = [one.value for one in branch.points[: index + 1]]
        back = next(
            (
                k
                for k in range(index, 0, -1)
                if (values[k] - after.value) * (values[k - 1] - after.value) <= 0.0
            ),
            None,
        )
        if back is not None and own.between(measures[back - 1], measures[back], SAME):
            return (
                replace(
                    branch,
                    points=branch.points[: index + 1],
                    folds=tuple(fold for fold in branch.folds if fold.arclength <= point.arclength),
                    branch_points=tuple(
                        one for one in branch.branch_points if one.arclength <= point.arclength
                    ),
                    ended="stopped: turns back on itself",
                ),
                measures[: index + 1],
            )
    return branch, measures
