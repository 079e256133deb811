"""How functions on a token space, and places there, are laid out as named arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meanfield_pde.records import Variable

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.spaces import Space

__all__ = ["at_places", "axes", "density_unit", "on_tokens"]


def axes(space: Space) -> dict[str, Variable]:
    """Coordinates of the grid, each a dimension of its own."""
    return {axis.name: Variable((axis.name,), axis.values, axis.long_name, axis.units) for axis in space.axes}


def density_unit(space: Space) -> str:
    """Return the unit of a density against the volume measure."""
    return "1" if space.volume_unit == "1" else f"1/{space.volume_unit}"


def on_tokens(
    space: Space, dims: tuple[str, ...], values: FloatArray, long_name: str, units: str = "1"
) -> Variable:
    """Functions (*dims, points) on the grid, with the dimensions of the grid in the place of its points."""
    shape = tuple(axis.values.size for axis in space.axes)
    names = tuple(axis.name for axis in space.axes)
    return Variable((*dims, *names), values.reshape(*values.shape[:-1], *shape), long_name, units)


def at_places(space: Space, dims: tuple[str, ...], places: FloatArray, long_name: str) -> Variable:
    """Places (*dims, *place): angles, or vectors with the dimension ``component``."""
    if space.place:
        return Variable((*dims, "component"), places, long_name, "1")
    return Variable(dims, places, long_name, "rad")
