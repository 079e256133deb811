"""The command limit: the limiting distribution of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meanfield_pde.cli.computing import Outcome, carry_out
from meanfield_pde.cli.limit_table import limit_rows
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meanfield_pde.cli.outputs import Job
    from meanfield_pde.cli.report import Report
    from meanfield_pde.problem import Problem
    from meanfield_pde.results import Limit
    from meanfield_pde.solution import Solution

__all__ = ["Search", "run"]

MOST_HALVINGS = 20


@dataclass(frozen=True)
class Search:
    """How the limit is looked for: the flags of the command.

    Raises
    ------
    InputError
        A number is out of range.
    """

    starts: int = 1
    seed: int = 0
    halvings: int = 3
    start: Path | None = None

    def __post_init__(self) -> None:
        if self.starts < 1:
            raise InputError(f"--starts: must be an integer of at least 1, got {self.starts}")
        if self.seed < 0:
            raise InputError(f"--seed: must be an integer of at least 0, got {self.seed}")
        if not 0 <= self.halvings <= MOST_HALVINGS:
            raise InputError(f"--halvings: must be an integer from 0 to {MOST_HALVINGS}, got {self.halvings}")

    @property
    def quantity(self) -> str:
        """Quantity whose value the progress shows."""
        return "depth"

    @property
    def inputs(self) -> list[Path]:
        """The file to start from, if there is one."""
        return [] if self.start is None else [self.start]

    def compute(
        self, problem: Problem, threads: int | None, progress: Callable[[str, float], None]
    ) -> Outcome[Limit]:
        """Find the limit."""
        from meanfield_pde import api

        start = None if self.start is None else _start(self.start)
        try:
            found = api.limit(
                problem,
                start=start,
                starts=self.starts,
                seed=self.seed,
                halvings=self.halvings,
                threads=threads,
                progress=progress,
            )
        except api.LimitError as error:
            return Outcome(error.limit, str(error))
        return Outcome(found)

    def tell(self, result: Limit, report: Report, title: str) -> None:
        """Print the closing table."""
        report.results(result.summary(), limit_rows(result), title=title)


def run(job: Job, search: Search, report: Report) -> None:
    """Find the limit, save and print it; the errors are those of `carry_out`."""
    carry_out(job, search, report)


def _start(path: Path) -> Solution | Limit:
    """Solution, or limit with a map, to start from."""
    from meanfield_pde import api
    from meanfield_pde.contents import LIMIT
    from meanfield_pde.results import Limit
    from meanfield_pde.solution import Solution

    found = api.open(path)
    if not isinstance(found, Limit | Solution):
        kind = found.attributes["kind"]
        raise InputError(f"--from: {path} must hold a solution or a limit, found a {kind}")
    if isinstance(found, Limit) and "pushforward_map" not in found.record.groups[LIMIT]:
        raise InputError(f"--from: {path} must hold a limit map, found the verdict {found.verdict!r}")
    return found
