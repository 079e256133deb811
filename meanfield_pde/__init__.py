"""The mean-field limit of Transformers, solved as a PDE.

>>> import meanfield_pde as mf
>>> problem = mf.load("ring.toml", {"solver.rtol": 1e-6})  # doctest: +SKIP
>>> solution = mf.solve(problem)  # doctest: +SKIP
>>> solution.density.shape  # (time, aux, token)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meanfield_pde.ablation.result import Ablation as Ablation
    from meanfield_pde.ablation.whole import ablate as ablate
    from meanfield_pde.api import BifurcationError as BifurcationError
    from meanfield_pde.api import DesignError as DesignError
    from meanfield_pde.api import LimitError as LimitError
    from meanfield_pde.api import bifurcation as bifurcation
    from meanfield_pde.api import compare as compare
    from meanfield_pde.api import compared as compared
    from meanfield_pde.api import design as design
    from meanfield_pde.api import limit as limit
    from meanfield_pde.api import load as load
    from meanfield_pde.api import open as open  # noqa: A004
    from meanfield_pde.api import train as train
    from meanfield_pde.designs.result import Design as Design
    from meanfield_pde.errors import ComputationError as ComputationError
    from meanfield_pde.errors import InputError as InputError
    from meanfield_pde.evolution import solve as solve
    from meanfield_pde.finite.run import Particles as Particles
    from meanfield_pde.finite.run import particles as particles
    from meanfield_pde.problem import Problem as Problem
    from meanfield_pde.results import Bifurcation as Bifurcation
    from meanfield_pde.results import Limit as Limit
    from meanfield_pde.solution import Solution as Solution
    from meanfield_pde.sweeps.result import Sweep as Sweep
    from meanfield_pde.sweeps.sweep import SweepError as SweepError
    from meanfield_pde.sweeps.sweep import sweep as sweep
    from meanfield_pde.training.result import Training as Training

_HOMES = {
    "Ablation": "meanfield_pde.ablation.result",
    "ablate": "meanfield_pde.ablation.whole",
    "load": "meanfield_pde.api",
    "open": "meanfield_pde.api",
    "bifurcation": "meanfield_pde.api",
    "BifurcationError": "meanfield_pde.api",
    "compare": "meanfield_pde.api",
    "compared": "meanfield_pde.api",
    "limit": "meanfield_pde.api",
    "LimitError": "meanfield_pde.api",
    "design": "meanfield_pde.api",
    "DesignError": "meanfield_pde.api",
    "Design": "meanfield_pde.designs.result",
    "train": "meanfield_pde.api",
    "Training": "meanfield_pde.training.result",
    "Limit": "meanfield_pde.results",
    "Bifurcation": "meanfield_pde.results",
    "solve": "meanfield_pde.evolution",
    "Particles": "meanfield_pde.finite.run",
    "particles": "meanfield_pde.finite.run",
    "Problem": "meanfield_pde.problem",
    "Solution": "meanfield_pde.solution",
    "Sweep": "meanfield_pde.sweeps.result",
    "SweepError": "meanfield_pde.sweeps.sweep",
    "sweep": "meanfield_pde.sweeps.sweep",
    "InputError": "meanfield_pde.errors",
    "ComputationError": "meanfield_pde.errors",
}

__all__ = [
    "Ablation",
    "Bifurcation",
    "BifurcationError",
    "ComputationError",
    "Design",
    "DesignError",
    "InputError",
    "Limit",
    "LimitError",
    "Particles",
    "Problem",
    "Solution",
    "Sweep",
    "SweepError",
    "Training",
    "ablate",
    "bifurcation",
    "compare",
    "compared",
    "design",
    "limit",
    "load",
    "open",
    "particles",
    "solve",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line starts without numpy."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
