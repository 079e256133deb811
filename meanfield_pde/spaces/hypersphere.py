r"""Spheres S^{d−1} in R^d of any dimension, for tokens one by one: unit vectors, and no grid of densities.

What is shown of a law there is its zonal average about the axis e_1, on the grid of ``Zonal`` of the same
dimension. Rotations of encodings turn the planes (e_1, e_2), (e_3, e_4), …; of odd d the last axis stays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np

from meanfield_pde.errors import InputError
from meanfield_pde.spaces import hypersphere_laws as laws
from meanfield_pde.spaces.sphere_transport import directions
from meanfield_pde.spaces.zonal import Zonal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.spaces.base import Atoms, Axis
    from solvers.compiled import Rate

__all__ = ["Hypersphere"]


@dataclass(frozen=True)
class Hypersphere:
    """The unit sphere of R^``dimension``, its zonal averages shown up to the degree ``resolution``."""

    dimension: int
    resolution: int
    name: str = "sphere"
    constant: int = 1
    period: float | None = None
    counted: str = "degrees"
    radius: float = 1.0
    fields_by: Literal["frame", "embedding", "points"] = "embedding"
    is_line: bool = False

    def __post_init__(self) -> None:
        if self.dimension < 2:
            raise InputError(f"sphere: dimension must be at least 2, got {self.dimension}")
        if self.resolution < 1:
            raise InputError(f"sphere: resolution must be at least 1, got {self.resolution}")

    @cached_property
    def zonal(self) -> Zonal:
        """Zonal functions about e_1: the grid on which laws are shown."""
        return Zonal(self.resolution, self.dimension)

    @property
    def place(self) -> tuple[int, ...]:
        """Unit vectors."""
        return (self.dimension,)

    @property
    def points(self) -> FloatArray:
        """None: (0, d)."""
        return np.empty((0, self.dimension))

    @property
    def frame(self) -> FloatArray:
        """None: (0, d − 1, d)."""
        return np.empty((0, self.dimension - 1, self.dimension))

    @property
    def weights(self) -> FloatArray:
        """Volumes of the rings of ``zonal``."""
        return self.zonal.weights

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The cosine of the angle to e_1."""
        return self.zonal.axes

    @property
    def volume_unit(self) -> str:
        """As for zonal densities."""
        return self.zonal.volume_unit

    def support(self, exponents: FloatArray) -> FloatArray:
        """|ξ|."""
        return np.asarray(np.linalg.norm(exponents, axis=-1))

    def retract(self, positions: FloatArray) -> FloatArray:
        """Nearest points of the sphere, x/|x|, for vectors (..., d) that are not zero."""
        return np.asarray(positions / np.linalg.norm(positions, axis=-1, keepdims=True))

    def project(self, positions: FloatArray, vectors: FloatArray) -> FloatArray:
        """Tangential parts P_x v = v − ⟨x, v⟩ x of vectors (..., d) at unit vectors x."""
        along = np.einsum("...d,...d->...", positions, vectors)
        return np.asarray(vectors - along[..., None] * positions)

    def rotations(self, angles: FloatArray) -> FloatArray:
        """Rotation matrices (rows, d, d), one block a plane."""
        planes = self.dimension // 2
        turns = np.broadcast_to(angles.reshape(len(angles), -1), (len(angles), planes))
        result = np.zeros((len(angles), self.dimension, self.dimension))
        first, second = np.arange(0, 2 * planes, 2), np.arange(1, 2 * planes, 2)
        result[:, first, first] = result[:, second, second] = np.cos(turns)
        result[:, second, first] = np.sin(turns)
        result[:, first, second] = -result[:, second, first]
        if self.dimension % 2:
            result[:, -1, -1] = 1.0
        return result

    def locate(self, vectors: FloatArray) -> FloatArray:
        """Divide by the length; zero goes to e_1."""
        return directions(vectors)

    def embed(self, places: FloatArray) -> FloatArray:
        """Places are points."""
        return np.asarray(places)

    def frame_at(self, places: FloatArray) -> FloatArray:
        """Images of e_2, …, e_d under the reflection that takes ∓e_1 to x, (n, d − 1, d): for small d."""
        normal, scale = _mirror(places)
        frame = np.tile(np.eye(self.dimension)[1:], (len(places), 1, 1))
        return np.asarray(frame - (scale[:, None] * normal[:, 1:])[:, :, None] * normal[:, None, :])

    def normals_at(self, places: FloatArray) -> FloatArray:
        """Repeat x, (n, d − 1, d)."""
        return np.repeat(places[:, None], self.dimension - 1, axis=1)

    def moved(self, places: FloatArray, steps: FloatArray) -> FloatArray:
        """Normalise x + Σ step_p τ_p, without laying out the frame."""
        normal, scale = _mirror(places)
        along = scale * np.einsum("np,np->n", normal[:, 1:], steps)
        vectors = -along[:, None] * normal
        vectors[:, 1:] += steps
        return self.retract(places + vectors)

    def apart(self, first: FloatArray, second: FloatArray) -> float:
        """Rotate by the matrix of the least squares (Kabsch), which may also reflect."""
        left, _, right = np.linalg.svd(first.T @ second)
        return float(self.distance(self.retract(first @ (left @ right)), second).max())

    def distance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Angle between unit vectors: exact to rounding, also of near and of antipodal ones."""
        return laws.distance(first, second)

    def wasserstein_atoms(
        self, places: FloatArray, masses: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ by angles, exactly for up to 2000 atoms (POT's network simplex)."""
        return laws.transported((places, masses), (atoms, weights), order)

    def nearest_dirac(self, places: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
        """Fréchet mean."""
        return laws.nearest_dirac(places, masses)

    def analyse_atoms(self, atoms: Atoms, degree: int | None = None) -> FloatArray:
        """Coefficients (rows, degrees) of the zonal averages of atoms."""
        angles = self.distance(atoms.places, np.eye(1, self.dimension))
        return self.zonal.analyse_atoms(replace(atoms, places=angles), degree)

    def shown(self, atoms: Atoms) -> FloatArray:
        """Zonal averages of atoms as densities on the grid: mass in a ring over its volume, (rows, rings)."""
        return laws.rings(self.zonal, atoms)

    def resized(self, resolution: int) -> Hypersphere:
        """Return the same sphere with zonal averages up to another degree."""
        return replace(self, resolution=resolution)

    def compiled_rates(self) -> Mapping[str, Rate]:
        """None."""
        return {}

    def width(self, degree: int) -> int:
        """One number a degree, of zonal averages."""
        return degree + 1

    def degree(self, exponent: float, tolerance: float) -> int:
        """As for zonal densities."""
        return self.zonal.degree(exponent, tolerance)

    def _no_density(self, member: str) -> NoReturn:
        raise InputError(
            f"sphere of dimension {self.dimension}: {member} is for densities, which live on the sphere of "
            'dimension 3 or on zonal spheres; here tokens are given one by one: [initial] kind = "points"'
        )

    @property
    def eigenvalues(self) -> FloatArray:
        """Raise InputError."""
        self._no_density("eigenvalues")

    def uniform(self) -> FloatArray:
        """Raise InputError."""
        self._no_density("uniform")

    def analyse(self, values: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("analyse")

    def synthesise(self, coefficients: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("synthesise")

    def gradient(self, coefficients: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("gradient")

    def divergence(self, flux: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("divergence")

    def tangential(self, coefficients: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("tangential")

    def features(self, degree: int) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("features")

    def rotate(self, coefficients: FloatArray, angles: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("rotate")

    def generators(self, coefficients: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("generators")

    def first_moment(self, coefficients: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("first_moment")

    def plane_wave(self, exponents: FloatArray, degree: int) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("plane_wave")

    def plane_wave_gradient(self, exponents: FloatArray, degree: int) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("plane_wave_gradient")

    def at_least(self, degree: int) -> Hypersphere:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("at_least")

    def wider(self) -> Hypersphere:
        """Raise InputError."""
        self._no_density("wider")

    def covering(self, degree: int) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("covering")

    def convolution(
        self,
        beta: float,  # noqa: ARG002
        metric: FloatArray,  # noqa: ARG002
        value: FloatArray,  # noqa: ARG002
    ) -> tuple[ComplexArray, ComplexArray] | None:
        """Raise InputError."""
        self._no_density("convolution")

    def apply_multipliers(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("apply_multipliers")

    def convolved_field(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("convolved_field")

    def pad(self, coefficients: FloatArray) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("pad")

    def wasserstein(
        self,
        coefficients: FloatArray,  # noqa: ARG002
        atoms: FloatArray,  # noqa: ARG002
        weights: FloatArray,  # noqa: ARG002
        order: int,  # noqa: ARG002
    ) -> float:
        """Raise InputError."""
        self._no_density("wasserstein")

    def equivalent(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("equivalent")

    def interpolate(self, values: FloatArray, atoms: Atoms) -> FloatArray:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("interpolate")

    def interpolate_scaled(
        self,
        values: FloatArray,  # noqa: ARG002
        exponents: FloatArray,  # noqa: ARG002
        atoms: Atoms,  # noqa: ARG002
    ) -> tuple[FloatArray, FloatArray]:
        """Raise InputError."""
        self._no_density("interpolate_scaled")

    def interpolation_resolution(self, exponent: float, tolerance: float, nearby: float = np.inf) -> int:  # noqa: ARG002
        """Raise InputError."""
        self._no_density("interpolation_resolution")

    def tail_weights(self) -> FloatArray:
        """Raise InputError."""
        self._no_density("tail_weights")


def _mirror(places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return normals n (places, d) of mirrors that take ∓e_1 to x, and 2/|n|²: v goes to v − 2⟨n,v⟩n/|n|²."""
    normal = places.copy()
    normal[:, 0] += np.where(places[:, 0] > 0.0, 1.0, -1.0)
    return normal, 2.0 / (normal**2).sum(axis=1)
