"""The sphere on paper: an equal-area map, a globe as seen from afar, and values between grid points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Mollweide", "Orthographic", "Projection", "Sampler", "View", "vectors"]

_HALVINGS = 52  # bits of a double: bisection cannot come nearer
_ALMOST = 1 - 1e-9  # of the half axes: the poles of a map, and the limb of a globe, have no direction


@dataclass(frozen=True, eq=False)
class View:
    """Where the eye is.

    Parameters
    ----------
    axes
        Orthonormal rows (3, 3): to the right, upwards, towards the eye.
    """

    axes: NDArray[np.float64]

    @classmethod
    def along(cls, direction: NDArray[np.float64]) -> View:
        """Look at the sphere from this direction, with e_3 upwards as far as it can be."""
        toward = direction / np.linalg.norm(direction)
        pole = np.array([0.0, 0.0, 1.0]) if abs(toward[2]) < 0.99 else np.array([-toward[2], 0.0, 0.0])
        up = pole - (pole @ toward) * toward
        up /= np.linalg.norm(up)
        return cls(np.stack([np.cross(up, toward), up, toward]))

    @classmethod
    def upright(cls, direction: NDArray[np.float64]) -> View:
        """Look from the longitude of this direction, from the equator."""
        longitude = np.arctan2(direction[1], direction[0])
        return cls.along(np.array([np.cos(longitude), np.sin(longitude), 0.0]))


class Projection(Protocol):
    """A map from the sphere, or half of it, onto the inside of an ellipse about the origin."""

    @property
    def half_axes(self) -> tuple[float, float]:
        """Half axes of the ellipse."""

    def project(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates on paper of points (..., 3)."""

    def lift(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) with these coordinates; beyond the ellipse those of its nearest points, about."""

    def in_view(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (..., 3) are seen."""


@dataclass(frozen=True, eq=False)
class Mollweide:
    """Mollweide's equal-area map of the whole sphere, whose middle is what the eye looks at.

    With the latitude φ and the longitude λ from there, and 2τ + sin 2τ = π sin φ,
    x = (2√2/π) λ cos τ, y = √2 sin τ: an ellipse of area 4π.
    """

    view: View

    @property
    def half_axes(self) -> tuple[float, float]:
        """Half axes of the ellipse."""
        return 2 * np.sqrt(2.0), np.sqrt(2.0)

    def project(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates on paper of points (..., 3)."""
        right, up, toward = np.moveaxis(points @ self.view.axes.T, -1, 0)
        angle = _auxiliary_angle(np.clip(up, -1.0, 1.0))
        longitude = np.arctan2(right, toward)
        return np.sqrt(8.0) / np.pi * longitude * np.cos(angle), np.sqrt(2.0) * np.sin(angle)

    def lift(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) with these coordinates; beyond the ellipse those of its edge at the same height."""
        sine = np.clip(y / np.sqrt(2.0), -_ALMOST, _ALMOST)
        angle = np.arcsin(sine)
        up = (2 * angle + np.sin(2 * angle)) / np.pi
        longitude = np.clip(np.pi * x / (np.sqrt(8.0) * np.cos(angle)), -np.pi, np.pi)
        level = np.sqrt((1 - up) * (1 + up))
        local = np.stack([level * np.sin(longitude), up, level * np.cos(longitude)], axis=-1)
        return np.asarray(local @ self.view.axes)

    def in_view(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """All points are seen."""
        return np.ones(points.shape[:-1], dtype=bool)


@dataclass(frozen=True, eq=False)
class Orthographic:
    """The half of the sphere that is seen from afar: the unit disc."""

    view: View

    @property
    def half_axes(self) -> tuple[float, float]:
        """Half axes of the ellipse."""
        return 1.0, 1.0

    def project(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates on paper of points (..., 3), also of those behind."""
        right, up, _ = np.moveaxis(points @ self.view.axes.T, -1, 0)
        return right, up

    def lift(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) in front with these coordinates; beyond the disc those of its edge."""
        shrink = np.minimum(1.0, _ALMOST / np.maximum(np.hypot(x, y), 1e-300))
        x, y = x * shrink, y * shrink
        return np.asarray(np.stack([x, y, np.sqrt(1 - x**2 - y**2)], axis=-1) @ self.view.axes)

    def in_view(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (..., 3) are in front."""
        return np.asarray(points @ self.view.axes[2] >= 0)


@dataclass(frozen=True, eq=False)
class Sampler:
    """Bilinear interpolation from a grid of colatitudes and longitudes, across the poles as anywhere else.

    Parameters
    ----------
    rows, columns
        Lower corner of the cell about each point, in the grid that has a row more beyond each pole.
    down, across
        Where in the cell it is, from 0 to 1.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    down: NDArray[np.float64]
    across: NDArray[np.float64]

    @classmethod
    def at(
        cls, colatitude: NDArray[np.float64], longitude: NDArray[np.float64], points: NDArray[np.float64]
    ) -> Sampler:
        """Prepare for points (..., 3) of the sphere."""
        rings = np.concatenate([-colatitude[:1], colatitude, 2 * np.pi - colatitude[-1:]])
        meridians = np.concatenate([longitude, longitude[:1] + 2 * np.pi])
        polar = np.arctan2(np.hypot(points[..., 0], points[..., 1]), points[..., 2])
        turn = longitude[0] + (np.arctan2(points[..., 1], points[..., 0]) - longitude[0]) % (2 * np.pi)
        (rows, down), (columns, across) = _cell(rings, polar), _cell(meridians, turn)
        return cls(rows, columns, down, across)

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values at the points of a function (colatitude, longitude)."""
        grid = np.concatenate([_beyond(values[:1]), values, _beyond(values[-1:])])
        grid = np.concatenate([grid, grid[:, :1]], axis=1)
        above, below = (
            (1 - self.across) * grid[row, self.columns] + self.across * grid[row, self.columns + 1]
            for row in (self.rows, self.rows + 1)
        )
        return np.asarray((1 - self.down) * above + self.down * below)


def vectors(colatitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (..., 3) of the unit sphere, x = (sin θ cos φ, sin θ sin φ, cos θ)."""
    level = np.sin(colatitude)
    parts = level * np.cos(longitude), level * np.sin(longitude), np.cos(colatitude) + 0 * longitude
    return np.stack(parts, axis=-1)


def _auxiliary_angle(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve 2τ + sin 2τ = π·height, whose left side increases; Newton's method would fail at the poles."""
    low, high = np.full_like(height, -np.pi / 2), np.full_like(height, np.pi / 2)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = 2 * middle + np.sin(2 * middle) < np.pi * height
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def _cell(
    edges: NDArray[np.float64], places: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the interval in which each place is, and where in it."""
    lower = np.clip(np.searchsorted(edges, places, side="right") - 1, 0, len(edges) - 2)
    return lower, (places - edges[lower]) / (edges[lower + 1] - edges[lower])


def _beyond(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values beyond a pole: those of the nearest ring half a turn away."""
    half = ring.shape[1] // 2
    return (np.roll(ring, half, axis=1) + np.roll(ring, -half, axis=1)) / 2
