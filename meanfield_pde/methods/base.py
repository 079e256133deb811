"""What the loop over depths needs of a discretisation, and the output of its saved states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.observables import Comparison
    from meanfield_pde.records import Variable
    from meanfield_pde.spaces import Space
    from solvers.system import Reason

__all__ = ["STEADY_DEGREE", "Method", "State"]

#: Highest degree of the coefficients by whose rates of change a state is judged steady.
STEADY_DEGREE = 8


class State(Protocol):
    """One saved state, held as its method holds it."""

    @property
    def depth(self) -> float:
        """Depth t."""

    @property
    def diagnostics(self) -> Mapping[str, float]:
        """By the names of ``observables.DESCRIPTIONS``."""

    @property
    def space(self) -> Space:
        """Grid on which it is shown at least."""

    @property
    def size(self) -> int:
        """Grid points, cells or labels (per node) in use."""

    def lighter(self, states: int) -> State:
        """Leave out what can be spared of all but the last of so many states."""

    def joint(self, space: Space) -> FloatArray:
        """Conditional densities on a grid, (aux, points)."""

    def marginal(self, auxiliary: Auxiliary, space: Space, joint: FloatArray | None = None) -> FloatArray:
        """Token marginal on a grid, (points,); ``joint`` where it is known already."""

    def moments(self) -> FloatArray:
        """First moments ∫xρ(x|z)dx, (aux, d)."""

    def spectrum(self, auxiliary: Auxiliary) -> FloatArray:
        """Coefficients of the token marginal, as many as clusters feel or there are."""

    def comparison(self, auxiliary: Auxiliary) -> Comparison:
        """Distances to the pushforward of ν by the conditional means."""

    def content(self) -> dict[str, Any]:
        """Numbers and arrays that make it up, for a checkpoint."""


class Method(Protocol):
    """A discretisation under way (a ``Stepper`` of ``solvers``); pauses and restarts change nothing."""

    @property
    def name(self) -> str:
        """Name in the configuration."""

    @property
    def depth(self) -> float:
        """Depth reached."""

    @property
    def step(self) -> float:
        """Size of the next step."""

    @property
    def size(self) -> int:
        """Grid points, cells or labels (per node) in use."""

    @property
    def counts(self) -> tuple[int, int, int]:
        """Accepted steps, rejected steps, evaluations of the rate."""

    def advance(self, stop: float, most_steps: int) -> Reason:
        """Step to ``stop``, in chunks."""

    def state(self) -> State:
        """Return the present state with its diagnostics."""

    def change(self) -> float:
        """Largest |d/dt ∫e_k ρ(x|z) dx| over nodes and basis functions e_k up to ``STEADY_DEGREE``."""

    def memory(self) -> dict[str, Any]:
        """All that goes into a checkpoint."""

    def variables(self, states: Sequence[State]) -> dict[str, Variable]:
        """Return datasets that only this method has."""

    def facts(self) -> dict[str, str | float | int]:
        """Return attributes that only this method has."""
