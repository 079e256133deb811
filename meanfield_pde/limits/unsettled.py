"""The error of a flow that does not come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meanfield_pde.errors import ComputationError

if TYPE_CHECKING:
    from meanfield_pde.methods import State

__all__ = ["UncertainError", "UnsettledError"]


class UnsettledError(ComputationError):
    """There is no limit, or it was not reached; ``state`` is how far the flow came."""

    def __init__(self, message: str, state: State) -> None:
        super().__init__(message)
        self.state = state


class UncertainError(Exception):
    """The limit is not certain yet, and why."""
