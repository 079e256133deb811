"""Where a sweep is kept while it goes on: the cube now and then, every finished point in the journal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.checkpoint import Checkpoint
from meanfield_pde.contents import kind_of
from meanfield_pde.errors import InputError
from meanfield_pde.records import read
from meanfield_pde.resumption import check_configuration, check_data, check_version
from meanfield_pde.sweeps.cube import cube, outcomes_of
from meanfield_pde.sweeps.journal import Journal, discard, journal_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meanfield_pde.records import Record
    from meanfield_pde.sweeps.checking import Checked
    from meanfield_pde.sweeps.points import Outcome

__all__ = ["Store"]


@dataclass
class Store:
    """A sweep on the disk: a kill at any moment loses no point that was kept.

    Parameters
    ----------
    sweep
        What is swept.
    checkpoint
        The file of the cube, and how often it is written.
    known
        The points that were computed before.
    journal
        All points that were finished since the sweep began; None before `begin`.
    """

    sweep: Checked
    checkpoint: Checkpoint
    known: dict[int, Outcome]
    journal: Journal | None = None

    @classmethod
    def fresh(cls, output: Path, sweep: Checked, *, overwrite: bool) -> Store:
        """Begin anew.

        Raises
        ------
        InputError
            There is the journal of another sweep, and it may not be replaced.
        """
        path = journal_of(output)
        if path.exists() and not overwrite:
            raise InputError(
                f"{path}: holds the finished points of an interrupted sweep; go on with it (--resume), "
                "or sweep anew (--overwrite)"
            )
        return cls(sweep, Checkpoint(output, _interval(sweep), overwrite=overwrite), {})

    @classmethod
    def resumed(cls, output: Path, sweep: Checked) -> Store:
        """Go on from the cube and from the journal, whichever is there.

        Raises
        ------
        InputError
            One of them is damaged, of another sweep, configuration, version or of other data, or is being
            written.
        """
        path = journal_of(output)
        known: dict[int, Outcome] = {}
        journal = Journal.opened(path) if path.exists() else None
        try:
            if output.exists():
                known |= _cube_points(output, sweep)
            if journal is not None:
                _check_identity(path, journal.identity, sweep)
                known |= {outcome.index: outcome for outcome in journal.outcomes}
        except InputError:
            if journal is not None:
                journal.close()
            raise
        return cls(sweep, Checkpoint(output, _interval(sweep), kept=output.exists()), known, journal)

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing left to compute or to write."""
        return len(self.known) == self.sweep.plan.size and self.journal is None

    def forget_failures(self) -> None:
        """Take points that failed as pending."""
        self.known = {index: one for index, one in self.known.items() if one.status == "finished"}

    def begin(self) -> None:
        """Write what is known, and open the journal.

        Raises
        ------
        InputError, ComputationError
            As `Record.save`; or another process is writing the journal of this file.
        """
        path = journal_of(self.checkpoint.path)
        if self.journal is None:
            discard(path)  # first, so that it is never beside the cube of another sweep
        self.write(self.known, 0.0)
        if self.journal is None:
            self.journal = Journal.created(path, self.sweep.identity)

    def keep(self, batch: list[Outcome], outcomes: Mapping[int, Outcome], seconds: float) -> None:
        """Write finished points into the journal, and all into the cube where it is time.

        Raises
        ------
        ComputationError
            They could not be written.
        """
        if self.journal is not None and batch:
            self.journal.append(batch)
        if batch and self.checkpoint.due():
            self.write(outcomes, seconds)

    def write(self, outcomes: Mapping[int, Outcome], seconds: float) -> Record:
        """Write the cube, whole or not at all, and return it."""
        record = cube(self.sweep, outcomes, seconds)
        self.checkpoint.write(lambda: record)
        return record

    def close(self, *, complete: bool) -> None:
        """Remove the journal of a complete cube; leave any other for who goes on."""
        if self.journal is not None:
            (self.journal.remove if complete else self.journal.close)()
            self.journal = None


def _interval(sweep: Checked) -> float:
    return sweep.configuration.output.checkpoint


def _cube_points(output: Path, sweep: Checked) -> dict[int, Outcome]:
    record = read(output)
    if (kind := kind_of(record)) != "sweep":
        raise InputError(f"{output}: must hold a sweep to go on with, found a {kind} (attribute 'kind')")
    found = record.attributes
    identity = {
        "configuration": found["configuration"],
        "version": found["meanfield_pde_version"],
        **{name: json.loads(str(found[name])) for name in ("plan", "data")},
    }
    _check_identity(output, identity, sweep)
    return outcomes_of(record)


def _check_identity(path: Path, identity: Mapping[str, Any], sweep: Checked) -> None:
    """Raise InputError unless points were computed for this very sweep."""
    ours = sweep.identity
    try:
        check_configuration(str(identity.get("configuration", "")), ours["configuration"])
        _check_plan(identity.get("plan"), ours["plan"])
        check_version(str(identity.get("version", "unknown")))
        check_data(identity.get("data"), ours["data"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_plan(theirs: object, ours: Mapping[str, Any]) -> None:
    found = theirs if isinstance(theirs, dict) else {}
    for flag, name in (("--of", "of"), ("--over", "over"), ("--random", "random"), ("--over", "points")):
        if found.get(name) != ours[name]:
            raise InputError(
                f"its checkpoint is of another sweep: {flag} was {_brief(found.get(name))}, "
                f"now it is {_brief(ours[name])}"
            )


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:120]}…"
