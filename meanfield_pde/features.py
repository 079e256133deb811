r"""Tangential fields g_k that a feed-forward drift F = Σ_k θ_k g_k is combined of.

Harmonics are the fields of a space up to a degree. Those of a perceptron with fixed units,

.. math:: F(x) = P_x\, W a(Ux + b), \qquad g_{ij}(x) = P_x e_i\, a_j(x),

have the entries of W (d, units) as parameters, row by row. On zonal spheres, whose axis is e_1, the units see
x_1 alone and the output lies along the axis: W is one row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import special

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.spaces import Space

__all__ = ["ACTIVATIONS", "Activation", "Features", "Harmonics", "Perceptron", "units"]

#: Called with a space, gives the fields at its grid points along the frame, (fields, points, d − 1).
Features = Callable[["Space"], "FloatArray"]
Activation = Literal["relu", "tanh", "gelu"]


def _relu(values: FloatArray) -> FloatArray:
    return np.maximum(values, 0.0)


def _gelu(values: FloatArray) -> FloatArray:
    """Return s Φ(s), Φ the distribution function of the standard normal law (Hendrycks & Gimpel 2016)."""
    return np.asarray(values * special.ndtr(values))


ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {"relu": _relu, "tanh": np.tanh, "gelu": _gelu}


@dataclass(frozen=True)
class Harmonics:
    """The tangential fields of a space up to a degree: on the circle 1, cos θ, sin θ, …, cos Kθ, sin Kθ."""

    degree: int

    def __post_init__(self) -> None:
        if self.degree < 0:
            raise InputError(f"harmonics: degree must be at least 0, got {self.degree}")

    def __call__(self, space: Space) -> FloatArray:
        """Return the fields, (fields, points, d − 1)."""
        return space.features(self.degree)


@dataclass(frozen=True, eq=False)
class Perceptron:
    """Fields P_x e_i a(⟨U_j, x⟩ + b_j), one for every entry of W.

    Parameters
    ----------
    activation
        "relu", "tanh" or "gelu" (s Φ(s)).
    weights, biases
        U, (units, d), and b, (units,); see ``units``.

    Raises
    ------
    InputError
        When the activation is unknown or shapes do not fit.
    """

    activation: Activation
    weights: FloatArray
    biases: FloatArray

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise InputError(f"perceptron: activation must be one of {known}, got {self.activation!r}")
        if self.weights.ndim != 2 or self.biases.shape != self.weights.shape[:1]:
            raise InputError(
                "perceptron: weights must be (units, d) and biases (units,), "
                f"got {self.weights.shape} and {self.biases.shape}"
            )

    def __call__(self, space: Space) -> FloatArray:
        """Return the fields, (d · units, points, d − 1), on zonal spheres (units, points, 1)."""
        return self._fields(space, space.points, space.frame)

    def at(self, space: Space, places: FloatArray) -> FloatArray:
        """Return the fields at places of a space, (fields, places, d − 1)."""
        return self._fields(space, space.embed(places), space.frame_at(places))

    def _fields(self, space: Space, points: FloatArray, frame: FloatArray) -> FloatArray:
        zonal = space.fields_by == "points"
        outputs, seen = (1, points[:, :1]) if zonal else (points.shape[1], points)
        weights = self.weights[:, :1] if zonal else self.weights
        if weights.shape[1] != seen.shape[1]:
            raise InputError(
                f"perceptron: weights must have {seen.shape[1]} columns on this space, got {weights.shape[1]}"
            )
        values = ACTIVATIONS[self.activation](seen @ weights.T + self.biases)
        fields = np.einsum("ipd,im->dmip", frame[..., :outputs], values)
        return np.ascontiguousarray(fields.reshape(-1, *frame.shape[:2]))


def units(dimension: int, width: int | None = None, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """U and b of a perceptron: U = I and b = 0 without a width, else drawn.

    Rows of U are uniform on the sphere of R^d and entries of b uniform in [−1, 1]: the planes
    ⟨U_j, x⟩ + b_j = 0 cut the sphere everywhere.
    """
    if width is None:
        return np.eye(dimension), np.zeros(dimension)
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((width, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions, rng.uniform(-1.0, 1.0, width)
