"""Encodings E_z(x): what queries, keys and values see of a token x with auxiliary variable z.

Every encoding of the model is an isometry for fixed z: a rotation by an angle followed by a shift,
``E_z(x) = R(angle(z)) x + p(z)``. None has neither, additive encodings only shift, rotary ones only rotate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["Encoding", "additive", "line", "none", "principal_components", "ring", "rotary", "sinusoidal"]


@dataclass(frozen=True)
class Encoding:
    """E_z(x) = R(angle(z)) x + p(z) at the auxiliary nodes.

    Parameters
    ----------
    shifts
        p(z_j), (aux, d), or None for no shift.
    angles
        Rotation angles at the nodes, (aux,) or one for every plane, (aux, planes), radians; None for no
        rotation.
    """

    shifts: FloatArray | None = None
    angles: FloatArray | None = None

    def __post_init__(self) -> None:
        for name, array, axes in (("shifts", self.shifts, (2,)), ("angles", self.angles, (1, 2))):
            if array is not None and (array.ndim not in axes or not np.isfinite(array).all()):
                raise InputError(
                    f"encoding: {name} must be finite with {' or '.join(map(str, axes))} axes, "
                    f"got shape {np.shape(array)}"
                )

    @property
    def is_shifted(self) -> bool:
        """Whether p(z) differs from zero anywhere."""
        return self.shifts is not None and bool(np.any(self.shifts))

    @property
    def is_rotated(self) -> bool:
        """Whether any node rotates its tokens."""
        return self.angles is not None and bool(np.any(self.angles))

    def components(self, count: int, dimension: int) -> FloatArray:
        """p(z_j) for the output, (aux, d); zero without a shift."""
        return np.zeros((count, dimension)) if self.shifts is None else self.shifts

    def at(self, rows: IntArray) -> Encoding:
        """Return the encoding of the nodes with these indices."""
        return Encoding(
            None if self.shifts is None else self.shifts[rows],
            None if self.angles is None else self.angles[rows],
        )


def none() -> Encoding:
    """Encode nothing: u = x."""
    return Encoding()


def additive(shifts: FloatArray) -> Encoding:
    """Shift tokens: u = x + p(z)."""
    return Encoding(shifts=np.asarray(shifts, dtype=np.float64))


def rotary(nodes: FloatArray, frequency: float | Sequence[float]) -> Encoding:
    """Rotate tokens: u = R(ωz) x with ω = ``frequency`` radians per unit of z (RoPE).

    One frequency turns all planes alike, several turn one plane each.
    """
    return Encoding(angles=np.multiply.outer(nodes, np.asarray(frequency, dtype=np.float64)))


def ring(nodes: FloatArray, amplitude: float, dimension: int) -> FloatArray:
    """p(z) = a (cos 2πz, sin 2πz, 0, …), (aux, d)."""
    return _plane(2.0 * np.pi * nodes, amplitude, dimension)


def line(nodes: FloatArray, amplitude: float, dimension: int) -> FloatArray:
    """p(z) = a (2z − 1) e₁, (aux, d)."""
    shifts = np.zeros((nodes.size, dimension))
    shifts[:, 0] = amplitude * (2.0 * nodes - 1.0)
    return shifts


def sinusoidal(count: int, amplitude: float, dimension: int) -> FloatArray:
    """Sinusoidal encoding of the positions j = 0, 1, …, (aux, d).

    p_{2i}(j) = a sin(j / 10000^{2i/d}), p_{2i+1}(j) = a cos(j / 10000^{2i/d}) (Vaswani et al. 2017).
    """
    component = np.arange(dimension)
    phase = np.arange(count)[:, None] / 10000.0 ** ((component - component % 2) / dimension)
    return amplitude * np.where(component % 2 == 0, np.sin(phase), np.cos(phase))


def principal_components(rows: FloatArray, components: list[int]) -> FloatArray:
    """Coordinates of the centred rows along principal components, (aux, len(components)).

    The sign of a component is such that its loading of largest magnitude is positive.
    """
    centred = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    chosen = axes[components]
    largest = np.take_along_axis(chosen, np.abs(chosen).argmax(axis=1)[:, None], axis=1)
    return np.asarray(centred @ (chosen * np.sign(largest)).T)


def _plane(angles: FloatArray, amplitude: float, dimension: int) -> FloatArray:
    shifts = np.zeros((angles.size, dimension))
    shifts[:, 0] = amplitude * np.cos(angles)
    shifts[:, 1] = amplitude * np.sin(angles)
    return shifts
