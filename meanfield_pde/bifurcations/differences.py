"""Derivatives by the parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.arrays import FloatArray

__all__ = ["slope"]


def slope(
    residual: Callable[[float], FloatArray], value: float, interval: tuple[float, float], share: float
) -> FloatArray:
    """Central difference with a share of the interval as step; of second order at the ends, too."""
    low, high = interval
    step = share * (high - low)
    centre = min(max(value, low + step), high - step)
    ahead, behind = (residual(centre + sign * step) for sign in (1.0, -1.0))
    found: FloatArray = (ahead - behind) / (2.0 * step)
    if centre == value:
        return found
    return found + (value - centre) * (ahead - 2.0 * residual(centre) + behind) / step**2
