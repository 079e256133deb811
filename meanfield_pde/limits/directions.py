"""Directions of conditional means, where these are long enough to begin a search for limit maps from."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.spaces import Space

__all__ = ["directed"]

#: Conditional means shorter than this, relative to the radius, may be those of several atoms, not of one.
DIRECTED = 0.9
#: The same on surfaces, where noise spreads tokens in two directions.
DIRECTED_ON_SURFACES = 0.7


def directed(space: Space, lengths: FloatArray) -> bool:
    """Whether the conditional means of all nodes, of these lengths (aux,), have a direction to speak of."""
    least = DIRECTED_ON_SURFACES if space.place else DIRECTED
    return bool(lengths.min() / space.radius > least)
