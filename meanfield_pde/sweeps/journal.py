"""The journal of a sweep: one line for every point that is finished, on the disk before anything goes on.

Beside OUT.h5, as OUT.h5.journal, until the cube is complete. A line begins with the checksum of the rest,
so that one which a kill cut short is known for what it is: its point was not finished yet.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.files import replacing
from meanfield_pde.sweeps.points import Outcome, known

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Journal", "discard", "journal_of"]

_DIGITS = 16  # of the checksum


def journal_of(output: Path) -> Path:
    """Place of the journal of an output file."""
    target = output.resolve()
    return target.with_name(f"{target.name}.journal")


@dataclass(frozen=True)
class Journal:
    """A journal that is open for this process alone.

    Parameters
    ----------
    path, descriptor
        Its file.
    identity
        What is swept: the content of its first line.
    outcomes
        The points that were finished when it was opened.
    """

    path: Path
    descriptor: int
    identity: dict[str, Any]
    outcomes: tuple[Outcome, ...]

    @classmethod
    def created(cls, path: Path, identity: dict[str, Any]) -> Journal:
        """Begin a journal, in the place of another one if there is one."""
        with replacing(path, overwrite=True) as temporary:
            temporary.write_bytes(_line(identity))
        return cls.opened(path)

    @classmethod
    def opened(cls, path: Path) -> Journal:
        """Open a journal to go on with it; what follows its last whole line is cut off.

        Raises
        ------
        InputError
            It is damaged, or another process writes it.
        """
        descriptor = _locked(path)
        try:
            data = path.read_bytes()
            lines = _whole_lines(path, data)
            os.ftruncate(descriptor, sum(map(len, lines)))
            contents = [_content(path, line) for line in lines]
            outcomes = tuple(known(content) for content in contents[1:])
            return cls(path, descriptor, dict(contents[0]), outcomes)
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(
                f"{path}: another process is writing this sweep; wait until it has ended"
            ) from None
        except (InputError, ValueError, TypeError, KeyError, IndexError) as error:
            os.close(descriptor)
            raise InputError(
                f"{path}: is damaged ({error}); remove it, or sweep anew (--overwrite)"
            ) from error

    def append(self, outcomes: Iterable[Outcome]) -> None:
        """Add points; they are on the disk when this returns.

        Raises
        ------
        ComputationError
            They could not be written.
        """
        data = b"".join(_line(outcome.content()) for outcome in outcomes)
        try:
            while data:
                data = data[os.write(self.descriptor, data) :]
            os.fsync(self.descriptor)
        except OSError as error:
            raise ComputationError(f"{self.path}: could not be written ({error})") from error

    def close(self) -> None:
        """Leave the journal as it is."""
        os.close(self.descriptor)

    def remove(self) -> None:
        """Remove the journal of a sweep whose cube is complete."""
        self.path.unlink(missing_ok=True)
        self.close()


def discard(path: Path) -> None:
    """Remove a journal, if there is one.

    Raises
    ------
    InputError
        Another process is writing it.
    """
    if path.exists():
        descriptor = _locked(path)
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path) -> int:
    """Open a journal for this process alone."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(f"{path}: another process is writing this sweep; wait until it has ended") from None
    return descriptor


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content)
    return f"{_checksum(text)} {text}\n".encode()


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _whole_lines(path: Path, data: bytes) -> list[bytes]:
    """Lines that are whole; the last one need not be, where a kill cut it short."""
    lines = data.splitlines(keepends=True)
    if lines and not _is_whole(lines[-1]):
        lines.pop()
    bad = [number for number, line in enumerate(lines, 1) if not _is_whole(line)]
    if bad or not lines:
        raise InputError(f"line {bad[0]} is not as it was written" if bad else f"{path.name} holds no line")
    return lines


def _is_whole(line: bytes) -> bool:
    checksum, _, text = line.decode(errors="replace").rstrip("\n").partition(" ")
    return line.endswith(b"\n") and checksum == _checksum(text)


def _content(path: Path, line: bytes) -> dict[str, Any]:
    found = json.loads(line.decode()[_DIGITS + 1 :])
    if not isinstance(found, dict):
        raise TypeError(f"{path.name}: a line holds no table")
    return found
