"""What a worker process of this computer does first (``preload`` of Dask)."""

from __future__ import annotations

import signal
from typing import Any

__all__ = ["dask_setup"]


def dask_setup(worker: Any) -> None:  # noqa: ARG001 (as Dask calls it)
    """Leave interrupts at the terminal, which reach all processes, to the one that asked for the sweep."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
