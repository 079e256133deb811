"""Entry point: runs a command and turns what it raises into one line on standard error and an exit status."""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING

from meanfield_pde.cli.process import Interrupted, Lasting, finish_streams, open_streams
from meanfield_pde.errors import ComputationError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["main"]

PROGRAM = "meanfield-pde"
WRONG_INPUT = 2
UNFINISHED = 3
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    0 done; 2 the input is wrong; 3 the computation could not be finished, what was reached is in the file;
    130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    open_streams()
    status = _guarded(given)
    try:
        finish_streams()
    except OSError as error:
        return _fail(f"what was printed could not be written: {error.strerror}", max(status, UNFINISHED))
    return status


def _guarded(given: list[str]) -> int:
    try:
        return _run(given)
    except InputError as error:
        return _fail(error, WRONG_INPUT)
    except ComputationError as error:
        return _fail(error, UNFINISHED)
    except Interrupted as error:
        return _fail(error, INTERRUPTED)
    except MemoryError:
        return _fail("not enough memory: lower auxiliary.nodes, token.resolution or time.save", UNFINISHED)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}", WRONG_INPUT)


def _run(given: list[str]) -> int:
    """Run a command; wrong usage becomes ``InputError``, an interrupt its exit status."""
    from typer import Abort
    from typer.main import get_command

    from meanfield_pde.cli.app import app

    command = get_command(app)
    _check_command(given[0], getattr(command, "commands", {}))
    try:
        status = command.main(args=given, prog_name=PROGRAM, standalone_mode=False)
    except (KeyboardInterrupt, Abort):
        status = INTERRUPTED
    except Exception as error:
        # Every release of typer has its own class for wrong usage; all of them can format themselves.
        if not hasattr(error, "format_message"):
            raise
        raise InputError(f"{error.format_message()} (`{_help_for(given)}` tells more)") from None
    if status == INTERRUPTED:  # typer returns it where it catches the interrupt itself
        raise Interrupted("interrupted; nothing was written since the last checkpoint")
    return status if isinstance(status, int) else 0


def _check_command(name: str, commands: Iterable[str]) -> None:
    if name.startswith("-") or name in commands:
        return
    close = difflib.get_close_matches(name, list(commands), n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(commands)}"
    raise InputError(f"no such command: {name}; {hint}")


def _help_for(given: list[str]) -> str:
    command = "" if given[0].startswith("-") else f" {given[0]}"
    return f"{PROGRAM}{command} --help"


def _fail(message: object, status: int) -> int:
    text = " ".join(str(message).split())
    Lasting(sys.stderr).write(f"{PROGRAM}: {text}\n".encode(errors="backslashreplace").decode())
    return status
