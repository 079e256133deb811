"""The file that a command writes: checked before the computation, and kept somewhere in any case after it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from meanfield_pde.config import data_files, load, parse_assignments
from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import check_target, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meanfield_pde.config import Configuration

__all__ = ["Job", "Result", "check_output", "keep"]


class Result(Protocol):
    """What a computation leaves."""

    def save(self, path: Path, overwrite: bool = False) -> None:
        """Write HDF5, whole or not at all."""


@dataclass(frozen=True)
class Job:
    """What the command line asks for: a configuration with changes, the file to write, and how."""

    config: str
    settings: tuple[str, ...]
    output: Path
    overwrite: bool
    threads: int | None
    resume: bool = False

    def configuration(self) -> Configuration:
        """Read the configuration, with the changes."""
        return load(self.config, parse_assignments(self.settings))


def check_output(job: Job, configuration: Configuration, further: Iterable[Path] = ()) -> None:
    """Refuse an output file that cannot be written, or that is one of the inputs; tidy up around it.

    Raises
    ------
    InputError
        The file exists and may not be replaced, its folder is missing or closed, or it is an input.
    """
    target = check_target(job.output, overwrite=job.overwrite or job.resume)
    inputs = [configuration.source, *data_files(configuration), *further]
    if any(path is not None and path.resolve() == target for path in inputs):
        raise InputError(f"{job.output}: is an input of the computation; give the output another name")
    remove_leftovers(target.parent)


def keep(result: Result, output: Path, *, overwrite: bool) -> Path:
    """Save a result; where that fails, under another name rather than not at all.

    Raises
    ------
    ComputationError
        The output could not be written; the message says where the result is instead.
    """
    try:
        result.save(output, overwrite=overwrite)
    except (InputError, ComputationError, OSError) as error:
        spare = _save_elsewhere(result, output)
        where = f"is in {spare} instead" if spare else "fits in no other place either"
        raise ComputationError(f"{error}; the result {where}") from error
    return output


def _save_elsewhere(result: Result, output: Path) -> Path | None:
    """Save beside the output, in the current or in the temporary folder; None where nothing can be saved."""
    for folder in (output.parent, Path(), Path(tempfile.gettempdir())):
        for number in range(1, 100):
            spare = folder / f"{output.stem}-{number}{output.suffix}"
            if spare.exists():
                continue
            try:
                result.save(spare)
            except (InputError, ComputationError, OSError):
                break
            return spare
    return None
