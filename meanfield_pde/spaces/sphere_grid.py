"""Gauss–Legendre colatitudes times equispaced longitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray

__all__ = ["Grid", "northern_nodes"]

TURN = 2.0 * math.pi
#: Newton steps from an asymptotic colatitude, which is right to 1e-3 of the spacing: three steps suffice.
STEPS = 5


@dataclass(frozen=True)
class Grid:
    """Gauss–Legendre colatitudes times equispaced longitudes, for products of two functions of a degree.

    Three functions of that degree are integrated exactly. There are as many colatitudes north and south.
    """

    degree: int

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Numbers of colatitudes (even) and of longitudes."""
        return 2 * ((3 * self.degree + 5) // 4), int(fft.next_fast_len(3 * self.degree + 1, real=True))

    @cached_property
    def northern(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Cosines, sines and weights of the northern colatitudes, from the pole; the weights sum to one."""
        angles, weights = northern_nodes(self.shape[0])
        return np.cos(angles), np.sin(angles), weights

    @cached_property
    def colatitudes(self) -> FloatArray:
        """Colatitudes θ, increasing, radians."""
        north, _ = northern_nodes(self.shape[0])
        return np.concatenate([north, math.pi - north[::-1]])

    @cached_property
    def longitudes(self) -> FloatArray:
        """Longitudes φ from zero, radians."""
        return TURN * np.arange(self.shape[1]) / self.shape[1]

    @cached_property
    def weights(self) -> FloatArray:
        """Quadrature weights of all points, steradians, colatitude slowest."""
        _, _, weights = self.northern
        return np.repeat(np.concatenate([weights, weights[::-1]]), self.shape[1]) * (TURN / self.shape[1])

    @cached_property
    def frame(self) -> FloatArray:
        """Directions of the radius and of growing θ and φ at the points, (points, 3, 3)."""
        theta, phi = np.meshgrid(self.colatitudes, self.longitudes, indexing="ij")
        cosine, sine = np.cos(theta), np.sin(theta)
        along, across = np.cos(phi), np.sin(phi)
        radius = np.stack([sine * along, sine * across, cosine], axis=-1)
        southward = np.stack([cosine * along, cosine * across, -sine], axis=-1)
        eastward = np.stack([-across, along, np.zeros_like(phi)], axis=-1)
        return np.stack([radius, southward, eastward], axis=2).reshape(-1, 3, 3)


def northern_nodes(count: int) -> tuple[FloatArray, FloatArray]:
    r"""Northern zeros θ of the Legendre polynomial of even degree, and weights :math:`2/(dP/d\theta)^2`.

    By the recurrence of its differences, with 1 − cos θ = 2 sin²(θ/2): with cos θ itself the weights next to
    the pole lose a factor n² of accuracy (1e-10 at n = 192).
    """
    angles = np.asarray((np.arange(1, count // 2 + 1) - 0.25) * math.pi / (count + 0.5), dtype=np.float64)
    for _ in range(STEPS):
        value, slope = _legendre(count, angles)
        angles = angles - value / slope
    return angles, 2.0 / _legendre(count, angles)[1] ** 2


def _legendre(degree: int, angles: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Legendre polynomial of cos θ, and its derivative by θ."""
    versine = 2.0 * np.sin(angles / 2.0) ** 2
    value, step = np.ones_like(angles), np.zeros_like(angles)
    for order in range(1, degree + 1):
        below = value
        step = ((order - 1.0) * step - (2.0 * order - 1.0) * versine * below) / order
        value = below + step
    return value, degree * (step - versine * value) / np.sin(angles)
