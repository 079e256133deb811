"""What every file says of itself: where it comes from, and the grid of its token and auxiliary space."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import layout, shipped
from meanfield_pde.records import Variable

if TYPE_CHECKING:
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Attribute
    from meanfield_pde.spaces import Space

__all__ = ["grid", "provenance"]


def provenance(problem: Problem, space: Space) -> dict[str, Attribute]:
    """Title, configuration, version, date, command, and the space with its resolution."""
    attributes: dict[str, Attribute] = {
        "title": problem.title,
        "configuration": problem.configuration,
        "meanfield_pde_version": shipped.version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "space": space.name,
        "resolution": space.resolution,
        "dimension": space.dimension,
    }
    return attributes if space.period is None else attributes | {"period": space.period}


def grid(problem: Problem, space: Space) -> dict[str, Variable]:
    """Nodes and weights of both spaces, and the additive encoding."""
    auxiliary, dimension = problem.auxiliary, space.points.shape[1]
    shifts = problem.attention.encoding.components(auxiliary.nodes.size, dimension)
    return {
        "aux": Variable(("aux",), auxiliary.nodes, "auxiliary variable z", "1"),
        "aux_weight": Variable(("aux",), auxiliary.weights, "weight of the auxiliary node", "1"),
        "component": Variable(("component",), np.arange(dimension), "component of the embedding", "1"),
        "encoding": Variable(("aux", "component"), shifts, "additive encoding p(z)", "1"),
        "token_weight": layout.on_tokens(
            space, (), space.weights, "quadrature weight of the grid", space.volume_unit
        ),
        **layout.axes(space),
    }
