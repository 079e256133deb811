"""The command bifurcation: branches of stationary states as a parameter varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.cli.computing import Outcome, carry_out
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.report import Report
    from meanfield_pde.problem import Problem
    from meanfield_pde.results import Bifurcation

__all__ = ["Range", "run"]

TRANSITIONS = {
    "continuous": "continuous",
    "discontinuous": "discontinuous",
    "none": "none between the two values",
}


@dataclass(frozen=True)
class Range:
    """Which parameter varies, between which values, and how many points a branch may have at most.

    Raises
    ------
    InputError
        A number is out of range.
    """

    parameter: str
    low: float
    high: float
    points: int = 400

    def __post_init__(self) -> None:
        for flag, value in (("--from", self.low), ("--to", self.high)):
            if not math.isfinite(value):
                raise InputError(f"{flag}: must be a finite number, got {value}")
        if self.low == self.high:
            raise InputError(f"--to: must be another number than --from, got {self.high:g}")
        if self.points < 2:
            raise InputError(f"--points: must be an integer of at least 2, got {self.points}")

    @property
    def quantity(self) -> str:
        """Quantity whose value the progress shows."""
        return self.parameter

    @property
    def inputs(self) -> list[Path]:
        """Nothing but the configuration."""
        return []

    def compute(
        self, problem: Problem, threads: int | None, progress: Callable[[str, float], None]
    ) -> Outcome[Bifurcation]:
        """Follow the branches."""
        from meanfield_pde import api

        try:
            found = api.bifurcation(
                problem,
                self.parameter,
                self.low,
                self.high,
                points=self.points,
                threads=threads,
                progress=progress,
            )
        except api.BifurcationError as error:
            return Outcome(error.diagram, str(error))
        return Outcome(found)

    def tell(self, result: Bifurcation, report: Report, title: str) -> None:
        """Print the closing table."""
        report.results(result.summary(), _rows(result), title=title)


def run(job: Job, interval: Range, report: Report) -> None:
    """Follow the branches, save and print them; the errors are those of `carry_out`."""
    carry_out(job, interval, report)


def _rows(diagram: Bifurcation) -> dict[str, Any]:
    """Rows of the closing table; what is not known is left out."""
    values = diagram.summary()
    parameter, low, high = values["parameter"], values["spinodal_low"], values["spinodal_high"]
    rows = {
        "parameter": parameter,
        "transition": TRANSITIONS[values["transition"]],
        **_numbered("fold", [_place(parameter, one) for one in values["folds"]]),
        **_numbered("branch point", [_place(parameter, one) for one in values["branch_points"]]),
        "two stable states": None if low is None else f"from {low:.8g} to {high:.8g}",
        **{f"branch {number}": _branch(one) for number, one in enumerate(values["branches"])},
        "notes": diagram.attributes.get("notes"),
        "seconds": values["seconds"],
    }
    return {name: value for name, value in rows.items() if value is not None}


def _numbered(what: str, texts: list[str]) -> dict[str, str]:
    return {f"{what} {number}": text for number, text in enumerate(texts, 1)}


def _place(parameter: str, one: dict[str, Any]) -> str:
    mode = f", mode {one['mode']} of the uniform law" if one.get("mode", -1) >= 1 else ""
    return f"{parameter} = {one['value']:.8g}, R = {one['order_parameter']:.4g}{mode}"


def _branch(one: dict[str, Any]) -> str:
    return f"{one['name']}: {one['points']} points, from {one['from']:.6g} to {one['to']:.6g}"
