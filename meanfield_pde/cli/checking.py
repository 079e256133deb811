"""The command validate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meanfield_pde.config import estimate_memory, load, parse_assignments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfield_pde.cli.report import Report

__all__ = ["check"]

NAMES = {
    "title": "title",
    "nodes": "nodes",
    "resolution": "resolution",
    "states": "saved states",
    "heads": "heads",
    "gibibytes": "memory, about (GiB)",
}


def check(config: str, settings: Sequence[str], report: Report) -> None:
    """Do all that comes before solving: read, check, build, and tell what would be solved."""
    from meanfield_pde.building import build
    from meanfield_pde.designs.wanted import wanted_of

    configuration = load(config, parse_assignments(settings))
    problem = build(configuration)
    if configuration.design is not None:
        wanted_of(configuration)
    nodes = len(problem.auxiliary.nodes)
    needed = estimate_memory(configuration, nodes) + problem.kernel_bytes()
    values = {
        "valid": True,
        "title": configuration.title,
        "nodes": nodes,
        "resolution": configuration.token.resolution,
        "states": configuration.time.states,
        "heads": len(configuration.heads),
        "gibibytes": round(needed / 2**30, 2),
    }
    names = NAMES | {"resolution": configuration.token.counted}
    report.result(values, title=f"{config}: valid", names=names)
