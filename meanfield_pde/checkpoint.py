"""Checkpoints: all that a run needs to go on as if it had not been stopped, in the file of its solution."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.errors import InputError
from meanfield_pde.records import Record, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["GROUP", "Checkpoint", "pack", "unpack"]

#: Name of the group in the file.
GROUP = "checkpoint"
#: Share of the time that putting together and writing may take: a positive interval grows where it is slow.
WRITING_SHARE = 0.05


def pack(content: Mapping[str, Any]) -> Record:
    """Record of nested dictionaries and lists of numbers, texts and arrays; equal objects are kept once."""
    arrays: list[np.ndarray[Any, Any]] = []
    places: dict[int, int] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if id(value) not in places:
                places[id(value)] = len(arrays)
                arrays.append(value)
            return {"array": places[id(value)]}
        if isinstance(value, dict):
            return {"table": {str(key): plain(entry) for key, entry in value.items()}}
        if isinstance(value, list | tuple):
            return [plain(entry) for entry in value]
        return value.item() if isinstance(value, np.generic) else value

    text = json.dumps(plain(dict(content)))
    shapes = json.dumps([[list(array.shape), array.dtype.str] for array in arrays])
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    parts = {"content": text.encode(), "arrays": shapes.encode(), "data": data}
    return Record(
        {
            name: Variable((f"{name}_byte",), np.frombuffer(part or b"\0", np.uint8), f"checkpoint: {name}")
            for name, part in parts.items()
        }
    )


def unpack(record: Record) -> dict[str, Any]:
    """Invert ``pack``.

    Raises
    ------
    InputError
        When the record is not what ``pack`` makes.
    """
    try:
        text, shapes = (record[name].tobytes() for name in ("content", "arrays"))
        data = memoryview(record["data"].tobytes())
        arrays: list[np.ndarray[Any, Any]] = []
        start = 0
        for shape, dtype in json.loads(shapes):
            arrays.append(_array(data[start:], shape, np.dtype(dtype)))
            start += arrays[-1].nbytes
        result = _restored(json.loads(text), arrays)
    except (InputError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise InputError(f"the checkpoint cannot be read ({error})") from error
    if not isinstance(result, dict):
        raise InputError("the checkpoint cannot be read (it is not a table)")
    return result


def _array(data: memoryview[int], shape: list[int], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return a copy of the array at the beginning of the data."""
    if min(shape, default=0) < 0:
        raise ValueError(f"an array has the shape {shape}")
    size = dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(data[:size], dtype).reshape(shape).copy()


def _restored(value: Any, arrays: list[np.ndarray[Any, Any]]) -> Any:
    if isinstance(value, list):
        return [_restored(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    return {key: _restored(entry, arrays) for key, entry in value["table"].items()}


@dataclass
class Checkpoint:
    """When and where checkpoints are written.

    Parameters
    ----------
    path
        The file of the solution, replaced as a whole by every checkpoint.
    interval
        Seconds of wall time between two of them, longer where writing takes long; 0: after every chunk of
        steps, a few times a second, whatever it costs.
    overwrite
        Whether a file that is there at first may be replaced.
    kept
        Whether the file holds a checkpoint of this run.
    """

    path: Path
    interval: float
    overwrite: bool = False
    kept: bool = False
    _written: float = field(default_factory=time.monotonic)
    _seconds: float = 0.0

    def due(self) -> bool:
        """Tell whether it is time."""
        waiting = max(self.interval, self._seconds / WRITING_SHARE)
        return self.interval == 0.0 or time.monotonic() - self._written >= waiting

    def write(self, make: Callable[[], Record]) -> None:
        """Write what ``make`` gives, and from then on replace what was written.

        Raises
        ------
        InputError, ComputationError
            As `Record.save`; what was there before stays.
        """
        started = time.monotonic()
        make().save(self.path, overwrite=self.overwrite or self.kept)
        self.kept = True
        self._written = time.monotonic()
        self._seconds = self._written - started
