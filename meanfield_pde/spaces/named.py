"""Token spaces by the names that configurations and files give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.spaces.base import Space

__all__ = ["space_named"]


def space_named(name: str, resolution: int, dimension: int | None = None) -> Space:
    """Return the token space of this name; ``dimension`` is d of spheres, the number of angles of a torus.

    Raises
    ------
    InputError
        When there is none.
    """
    if name == "circle" or (name == "torus" and dimension == 1):
        from meanfield_pde.spaces.circle import Circle

        return Circle(resolution, name)
    if name == "torus":
        from meanfield_pde.spaces.torus import Torus

        return Torus(resolution)
    if name == "zonal":
        from meanfield_pde.spaces.zonal import Zonal

        return Zonal(resolution, dimension or 3)
    if name == "sphere" and dimension in {None, 3}:
        from meanfield_pde.spaces.sphere import Sphere

        return Sphere(resolution)
    if name == "sphere" and dimension is not None:
        from meanfield_pde.spaces.hypersphere import Hypersphere

        return Hypersphere(dimension, resolution)
    raise InputError(f"space: must be circle, sphere, zonal or torus, got {name!r}")
