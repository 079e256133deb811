"""Characteristics as the token space asks for them: labels along a line, or vectors of the embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.methods.embedded import EmbeddedCharacteristics
from meanfield_pde.methods.embedded_cloud import EmbeddedCloud
from meanfield_pde.methods.labels import Cloud
from meanfield_pde.methods.saved_labels import LabelState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.problem import Problem

__all__ = ["FlowMap", "begun", "restored", "restored_state"]

FlowMap = Characteristics | EmbeddedCharacteristics


def begun(problem: Problem) -> FlowMap:
    """Begin at the first depth."""
    return EmbeddedCharacteristics.start(problem) if problem.space.place else Characteristics.start(problem)


def restored(problem: Problem, memory: Mapping[str, Any]) -> FlowMap:
    """Return the method under way whose ``memory`` this is."""
    if problem.space.place:
        return EmbeddedCharacteristics.restored(problem, memory)
    return Characteristics.restored(problem, memory)


def restored_state(
    problem: Problem, content: Mapping[str, Any]
) -> LabelState[Cloud] | LabelState[EmbeddedCloud]:
    """Return the saved state whose ``content`` this is."""
    if problem.space.place:
        return LabelState.restored(problem, content, EmbeddedCloud.restored)
    return LabelState.restored(problem, content, Cloud.restored)
