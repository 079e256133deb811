"""Which method solves a problem, and why: one line for the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meanfield_pde.errors import ComputationError, InputError
from meanfield_pde.methods.spectral import Spectral, SpectralState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.methods.base import Method, State
    from meanfield_pde.problem import Problem

__all__ = ["Choice", "begin", "restored", "restored_state"]


@dataclass(frozen=True)
class Choice:
    """A method at its start, and in one line why it was chosen."""

    method: Method
    reason: str


def begin(problem: Problem) -> Choice:
    """Start the method that the problem asks for, or the one that suits it.

    Raises
    ------
    InputError
        When the method does not serve the problem.
    ComputationError
        When the initial densities cannot be represented.
    """
    from meanfield_pde.methods.finite_volume import FiniteVolume
    from meanfield_pde.methods.flow_maps import begun

    wanted = problem.method
    if wanted == "finite-volume" and not problem.space.is_line:
        raise InputError(
            f'{problem.label}: [solver] method: must be "auto", "spectral" or "characteristics" on this '
            'space, got "finite-volume", which needs a line'
        )
    if problem.sigma > 0.0 and (wanted == "characteristics" or problem.initial.tokens is not None):
        raise InputError(
            f"{problem.label}: {_misfit(problem)} needs noise.sigma = 0, got {problem.sigma:g}: "
            "noise spreads every token"
        )
    if problem.initial.tokens is not None and wanted in {"spectral", "finite-volume"}:
        raise InputError(
            f'{problem.label}: [solver] method: must be "characteristics" or "auto" for single tokens '
            f'(initial.kind = "points"), got "{wanted}"'
        )
    if wanted == "spectral":
        return Choice(Spectral.start(problem), "as asked")
    if wanted == "finite-volume":
        return Choice(FiniteVolume.start(problem), "as asked")
    if wanted == "characteristics":
        return Choice(begun(problem), "as asked")
    if problem.sigma == 0.0:
        what = (
            "tokens stay tokens"
            if problem.initial.tokens is not None
            else "densities sharpen to Dirac masses"
        )
        return Choice(begun(problem), f"sigma = 0: without noise {what}")
    return _with_noise(problem)


def _with_noise(problem: Problem) -> Choice:
    """Spectral where the initial densities are smooth enough for the finest grid, else finite volumes."""
    from meanfield_pde.methods.finite_volume import FiniteVolume

    try:
        method = Spectral.start(problem)
    except ComputationError:
        if not problem.space.is_line:
            raise
        finest = problem.accuracy.max_resolution
        return Choice(
            FiniteVolume.start(problem),
            f"sigma = {problem.sigma:g} > 0, but the initial density is too rough for {finest} "
            f"{problem.space.counted}",
        )
    beta = max(head.beta for head in problem.attention.heads)
    return Choice(
        method, f"sigma = {problem.sigma:g} > 0 keeps densities smooth, from a smooth start (beta = {beta:g})"
    )


def _misfit(problem: Problem) -> str:
    if problem.initial.tokens is not None:
        return '[initial] kind = "points"'
    return '[solver] method = "characteristics"'


def restored(problem: Problem, name: str, memory: Mapping[str, Any]) -> Method:
    """Return the method under way whose ``memory`` this is."""
    from meanfield_pde.methods import flow_maps
    from meanfield_pde.methods.finite_volume import FiniteVolume

    if name == "spectral":
        return Spectral.restored(problem, memory)
    if name == "finite-volume":
        return FiniteVolume.restored(problem, memory)
    return flow_maps.restored(problem, memory)


def restored_state(problem: Problem, content: Mapping[str, Any]) -> State:
    """Return the saved state whose ``content`` this is."""
    from meanfield_pde.methods import flow_maps
    from meanfield_pde.methods.finite_volume import CellState

    if content["method"] == "spectral":
        return SpectralState.restored(problem, content)
    if content["method"] == "finite-volume":
        return CellState.restored(problem, content)
    return flow_maps.restored_state(problem, content)
