"""Refuse what cannot fit in memory, before anything is allocated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.config.configuration import Configuration

__all__ = ["available_memory", "check_memory", "estimate_memory"]

BYTES = 8
WORK_STATES = 40
"""States of the size of the density that a step holds at once: stages, spectra, products on finer grids."""

FIXED = 300 * 2**20
"""Interpreter, libraries and compiled code."""

UNKNOWN_SYSTEM = 64 * 2**30
"""Assumed where the system does not tell how much memory it has."""


def estimate_memory(configuration: Configuration, nodes: int) -> int:
    """Bytes that a solve needs at the resolution that it starts with.

    ``8 (saved + 40) nodes points`` for the states, ``8 nodes²`` for every table of biases.
    """
    states = configuration.time.states if configuration.output.density == "all" else 2
    points = configuration.token.points
    density = nodes * points * BYTES
    dense = sum(head.bias == "table" for head in configuration.heads) * nodes**2 * BYTES
    # Diagnostics, marginal and conditional means are saved at every depth, whatever becomes of the density.
    saved = configuration.time.states * (nodes * 2 + points + 20) * BYTES
    return FIXED + (states + WORK_STATES) * density + saved + dense


def check_memory(configuration: Configuration, nodes: int) -> None:
    """Raise ``InputError`` with the estimate when a solve with so many nodes cannot fit."""
    needed, available = estimate_memory(configuration, nodes), available_memory()
    if needed <= available:
        return
    grid = f"{nodes} nodes x {configuration.token.points} {_what(configuration)}"
    raise InputError(
        f"{configuration.label}: {_largest(configuration, nodes)}: needs about {_size(needed)} of memory and "
        f"{_size(available)} are available ({grid}, "
        f"{configuration.time.states} saved states); lower {_what_to_lower(configuration)}"
    )


def _what(configuration: Configuration) -> str:
    return "angles" if configuration.token.space == "circle" else "grid points"


def _largest(configuration: Configuration, nodes: int) -> str:
    sizes = {
        "[auxiliary] nodes": nodes,
        "[token] resolution": configuration.token.resolution,
        "[time] save": configuration.time.states,
    }
    return max(sizes, key=lambda key: sizes[key])


def _what_to_lower(configuration: Configuration) -> str:
    nodes = (
        "the number of rows of the table" if configuration.auxiliary.kind == "table" else "auxiliary.nodes"
    )
    lighter = ', or set output.density = "last"' if configuration.output.density == "all" else ""
    return f"{nodes}, token.resolution or time.save{lighter}"


def _size(count: int) -> str:
    gibibytes = count // 2**20 / 1024  # integer division first: sizes may exceed the range of floats
    return f"{gibibytes:.3g} GiB"


def available_memory() -> int:
    """Bytes that this process may still use: of the machine, and of the container that it runs in."""
    limits = [limit for limit in (_machine(), _container()) if limit is not None]
    return min(limits, default=UNKNOWN_SYSTEM)


def _machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(free.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # systems without sysconf or without these names
        return None


def _container() -> int | None:
    group = Path("/sys/fs/cgroup")
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            # The limit itself bounds: what is used counts cached files, which are given back on demand.
            return int((group / limit).read_text())
        except (OSError, ValueError):  # no such group, or "max": no limit
            continue
    return None
