"""Saved labels of a flow map, on a line or as vectors: what every one of their states holds and tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from meanfield_pde.observables import compare_atoms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.observables import Comparison
    from meanfield_pde.problem import Problem
    from meanfield_pde.spaces import Atoms, Space

__all__ = ["LabelCloud", "LabelState"]


class LabelCloud(Protocol):
    """Labels at a depth, and the atoms that they have become."""

    @property
    def atoms(self) -> Atoms:
        """The atoms."""

    def stored(self, states: int) -> Self | None:
        """Return the same cloud in little memory, None where so many of them would take too much."""

    def content(self) -> dict[str, Any]:
        """Arrays that make it up."""


CloudT = TypeVar("CloudT", bound=LabelCloud)


@dataclass(frozen=True)
class LabelState(Generic[CloudT]):
    """Labels at a depth, and what is shown of them.

    Parameters
    ----------
    space, density
        Grid, and histogram of every conditional law on it, (aux, points): its zonal average on hyperspheres.
    first, waves
        First moments, (aux, d), and coefficients of the marginal.
    size
        Labels per node, the most of any.
    cloud
        The labels; None where they are too many to be kept at all depths.
    """

    depth: float
    space: Space
    density: FloatArray
    first: FloatArray
    waves: FloatArray
    size: int
    diagnostics: Mapping[str, float]
    cloud: CloudT | None

    def lighter(self, states: int) -> LabelState[CloudT]:
        """Leave the labels out where so many states of them would take too much memory."""
        return replace(self, cloud=None if self.cloud is None else self.cloud.stored(states))

    def joint(self, space: Space) -> FloatArray:  # noqa: ARG002 (it has but one)
        """Conservative histogram: the mass in every cell about a grid point over its volume."""
        return self.density

    def marginal(self, auxiliary: Auxiliary, space: Space, joint: FloatArray | None = None) -> FloatArray:  # noqa: ARG002
        """Mean histogram."""
        return auxiliary.mean(self.density)

    def moments(self) -> FloatArray:
        """Σ mass x."""
        return self.first

    def spectrum(self, auxiliary: Auxiliary) -> FloatArray:  # noqa: ARG002
        """Exact, up to the degree that clusters feel, or a low one."""
        return self.waves

    def comparison(self, auxiliary: Auxiliary) -> Comparison:
        """Exact, between atoms."""
        if self.cloud is None:
            raise ValueError("labels: were left out of this state")
        return compare_atoms(self.space, auxiliary, self.cloud.atoms, self.first)

    def content(self) -> dict[str, Any]:
        """Labels and atoms."""
        return {
            "method": "characteristics",
            "depth": self.depth,
            "density": self.density,
            "first": self.first,
            "waves": self.waves,
            "size": self.size,
            "diagnostics": dict(self.diagnostics),
            "cloud": None if self.cloud is None else self.cloud.content(),
        }

    @staticmethod
    def restored(
        problem: Problem, content: Mapping[str, Any], cloud: Callable[[Mapping[str, Any]], CloudT]
    ) -> LabelState[CloudT]:
        """Invert ``content``; ``cloud`` does so for the labels."""
        return LabelState(
            content["depth"],
            problem.space,
            content["density"],
            content["first"],
            content["waves"],
            int(content["size"]),
            content["diagnostics"],
            None if content["cloud"] is None else cloud(content["cloud"]),
        )
