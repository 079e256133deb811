"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import platform
import re
import secrets
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from meanfield_pde.errors import ComputationError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_target", "remove_leftovers", "replacing"]

#: Temporary files say by whom they are written: the computer and the process.
_PARTIAL = re.compile(r"\.meanfield-pde-(?P<computer>.*)-(?P<process>\d+)-[0-9a-f]{16}\.partial")
#: Seconds after which nobody is still writing, whoever it was.
_ABANDONED = 24 * 3600.0


def check_target(path: str | Path, *, overwrite: bool = False) -> Path:
    """Resolve a path that is to be written, refusing it before any work is done for it.

    Parameters
    ----------
    path
        The file to write; a symbolic link is followed, so that the link stays a link.
    overwrite
        Whether a file that is there already may be replaced.

    Raises
    ------
    InputError
        The file exists and may not be replaced, is not a plain file, or its folder is missing or closed.
    """
    try:
        target = Path(path).resolve()
        exists, plain = target.exists(), target.is_file()
        folder = target.parent.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{path}: cannot be a file name ({error})") from error
    if exists and not plain:
        raise InputError(f"{path}: is a folder or a device, not a plain file; give another name")
    if exists and not overwrite:
        raise InputError(
            f"{path}: exists already; give another name, or allow it to be replaced (--overwrite)"
        )
    if not folder:
        raise InputError(f"{path}: the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path}: no permission to write into the folder {target.parent}")
    return target


@contextmanager
def replacing(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary file beside `path`, which takes its place when the block ends without an error.

    On any error, an interrupt included, the temporary file is removed and an old file stays as it was.

    Raises
    ------
    InputError
        As `check_target`.
    ComputationError
        The file could not be written: full disk, input/output error.
    """
    target = check_target(path, overwrite=overwrite)
    name = f".meanfield-pde-{_computer()}-{os.getpid()}-{secrets.token_hex(8)}.partial"
    temporary = target.parent / name
    try:
        # Created here, and not by tempfile, so that the result has the permissions of any new file.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        _synchronise(temporary)
        _move(temporary, target, overwrite=overwrite)
    except OSError as error:
        raise ComputationError(f"{path}: could not be written ({error}); nothing was changed") from error
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):  # not every file system can synchronise a folder; the data are safe by now
        _synchronise(target.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of `replacing` whose process was killed: on this computer, or a day ago."""
    for path in folder.glob(".meanfield-pde-*.partial"):
        with suppress(OSError):
            if _abandoned(path):
                path.unlink()


def _abandoned(path: Path) -> bool:
    found = _PARTIAL.fullmatch(path.name)
    if found is not None and found["computer"] == _computer() and not _runs(int(found["process"])):
        return True
    return time.time() - path.lstat().st_mtime > _ABANDONED


def _computer() -> str:
    return re.sub(r"[^A-Za-z0-9.]", "_", platform.node())[:64]


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # that of another user
    return True


def _move(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Rename; without `overwrite` through a hard link, which fails if another process was quicker."""
    if not overwrite:
        try:
            os.link(temporary, target)
        except FileExistsError as error:
            raise InputError(f"{target}: was written by another process in the meantime") from error
        except OSError:
            pass  # a file system without hard links
        else:
            return
    temporary.replace(target)


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
