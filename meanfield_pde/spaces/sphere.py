r"""The sphere S² in R³: spherical harmonics on a Gauss–Legendre grid.

A density is held by its coefficients

.. math:: c_{lm} = \int e_{lm}(x)\, \rho(x)\, dx, \qquad
    \rho = \frac{1}{4\pi} \sum_{l \le L} \sum_{|m| \le l} c_{lm} e_{lm},

in the order l² + l + m, with the real harmonics e_lm of ``sphere_harmonics.py``. The grid integrates products
of three functions of degree L exactly, so that the product of two has no aliasing error (Orszag's 3/2 rule).
Colatitude θ and longitude φ mean x = (sin θ cos φ, sin θ sin φ, cos θ); no grid point is a pole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde.spaces import funk_hecke
from meanfield_pde.spaces import sphere_transforms as transforms
from meanfield_pde.spaces import sphere_transport as transport
from meanfield_pde.spaces.base import Axis
from meanfield_pde.spaces.sphere_grid import Grid
from meanfield_pde.spaces.sphere_harmonics import (
    coordinate_matrices,
    degree_of,
    degrees,
    harmonics,
    rotation_matrices,
)
from meanfield_pde.spaces.sphere_points import atoms_coefficients, evaluated, fibonacci
from meanfield_pde.spaces.sphere_transforms import AREA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.spaces.base import Atoms
    from solvers.compiled import Rate

__all__ = ["Sphere"]

#: Degrees of a kernel below this share of the largest are rounding error.
MODE_TOLERANCE = 1e-17
#: Points of a covering at most.
COVER = 600
#: Least degree of the grid on which distances see a density: points 1.3° apart, far closer than the pieces.
FINE = 95
#: Where e_1, e_2, e_3 are among the functions of degree one.
AXES = [3, 1, 2]


@dataclass(frozen=True)
class Sphere:
    """The sphere S² with harmonics up to the degree ``resolution``."""

    resolution: int
    name: str = "sphere"
    constant: int = 1
    period: float | None = None
    dimension: int = 3
    counted: str = "degrees"
    radius: float = 1.0
    fields_by: Literal["frame", "embedding", "points"] = "embedding"
    volume_unit: str = "sr"
    place: tuple[int, ...] = (3,)
    is_line: bool = False

    @cached_property
    def grid(self) -> Grid:
        """Colatitudes and longitudes."""
        return Grid(self.resolution)

    @cached_property
    def points(self) -> FloatArray:
        """Grid points, (points, 3), colatitude slowest."""
        return np.ascontiguousarray(self.grid.frame[:, 0])

    @property
    def weights(self) -> FloatArray:
        """Gauss–Legendre weights times equal ones."""
        return self.grid.weights

    @cached_property
    def frame(self) -> FloatArray:
        """Unit tangents along growing colatitude and longitude, (points, 2, 3)."""
        return np.ascontiguousarray(self.grid.frame[:, 1:])

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues l(l + 1) of −Δ, 2l + 1 times each."""
        order = degrees(self.resolution).astype(np.float64)
        return order * (order + 1.0)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Colatitude and longitude."""
        return (
            Axis("colatitude", self.grid.colatitudes, "token colatitude θ", "rad"),
            Axis("longitude", self.grid.longitudes, "token longitude φ", "rad"),
        )

    def uniform(self) -> FloatArray:
        """Coefficients of 1/(4π)."""
        coefficients = np.zeros(self.width(self.resolution))
        coefficients[0] = 1.0
        return coefficients

    def analyse(self, values: FloatArray) -> FloatArray:
        """Coefficients up to degree L of the function with these values on the grid."""
        rows = values.reshape(-1, values.shape[-1])
        return _shaped(transforms.analyse(rows, self.grid, self.resolution), values.shape[:-1])

    def synthesise(self, coefficients: FloatArray) -> FloatArray:
        """Values on the grid, whatever the degree."""
        rows = coefficients.reshape(-1, coefficients.shape[-1])
        return _shaped(transforms.synthesise(rows, self.grid), coefficients.shape[:-1])

    def gradient(self, coefficients: FloatArray) -> FloatArray:
        """(∂_θ f, ∂_φ f / sin θ), (..., points, 2)."""
        rows = coefficients.reshape(-1, coefficients.shape[-1])
        return _shaped(transforms.gradient(rows, self.grid), coefficients.shape[:-1])

    def divergence(self, flux: FloatArray) -> FloatArray:
        """−∫ flux·∇e_lm dx: the constant stays as it is, exactly."""
        rows = flux.reshape(-1, *flux.shape[-2:])
        return _shaped(transforms.divergence(rows, self.grid, self.resolution), flux.shape[:-2])

    def synthesise_transposed(self, values: FloatArray, count: int) -> FloatArray:
        """Σ_i g_i e_lm(x_i) / (4π)."""
        grid, rows = _unaliased(self.grid, values.reshape(-1, values.shape[-1], 1), degree_of(count))
        return _shaped(transforms.analyse(rows[..., 0], grid, degree_of(count)), values.shape[:-1])

    def gradient_transposed(self, field: FloatArray, count: int) -> FloatArray:
        """Σ_i ⟨g_i, ∇e_lm(x_i)⟩ / (4π)."""
        grid, rows = _unaliased(self.grid, field.reshape(-1, *field.shape[-2:]), degree_of(count))
        return -_shaped(transforms.divergence(rows, grid, degree_of(count)), field.shape[:-2])

    def divergence_transposed(self, dual: FloatArray) -> FloatArray:
        """Minus weights times the gradient of Σ λ_lm e_lm."""
        return self.gradient(dual) * (-AREA * self.weights)[:, None]

    def tangential(self, coefficients: FloatArray) -> FloatArray:
        """Components along the two tangents at the grid points."""
        values = self.synthesise(coefficients)
        result = np.empty((*values.shape[:-2], values.shape[-1], 2))
        for tangent in range(2):
            parts = (self.frame[:, tangent, part] * values[..., part, :] for part in range(3))
            result[..., tangent] = sum(parts, start=np.zeros(()))
        return result

    def features(self, degree: int) -> FloatArray:
        """∇e_lm for 1 ≤ l ≤ degree, then the same turned to the left, x × ∇e_lm."""
        gradients = AREA * self.gradient(np.eye(self.width(degree))[1:])
        turned = np.stack([-gradients[..., 1], gradients[..., 0]], axis=-1)
        return np.concatenate([gradients, turned])

    def rotate(self, coefficients: FloatArray, angles: FloatArray) -> FloatArray:
        """Turn about e_3, in the plane (e_1, e_2): a_m − i b_m of row j is multiplied by exp(−i m α_j)."""
        degree = degree_of(coefficients.shape[-1])
        label = degrees(degree)
        order = np.arange(label.size) - label * (label + 1)
        mirrored = coefficients[..., label * (label + 1) - order]
        phases = np.outer(_single(angles), order)
        return np.asarray(np.cos(phases) * coefficients - np.sin(phases) * mirrored)

    def generators(self, coefficients: FloatArray) -> FloatArray:
        """Apply −(e_i × x)·∇ for the rotations about e_1, e_2, e_3, (3, rows, coefficients)."""
        matrices = rotation_matrices(degree_of(coefficients.shape[-1]))
        return np.stack([(matrix @ coefficients.T).T for matrix in matrices])

    def rotations(self, angles: FloatArray) -> FloatArray:
        """Rotation matrices (rows, 3, 3) about e_3."""
        angles = _single(angles)
        result = np.zeros((angles.size, 3, 3))
        result[:, 0, 0] = result[:, 1, 1] = np.cos(angles)
        result[:, 1, 0] = np.sin(angles)
        result[:, 0, 1], result[:, 2, 2] = -result[:, 1, 0], 1.0
        return result

    def first_moment(self, coefficients: FloatArray) -> FloatArray:
        """(c_{1,1}, c_{1,−1}, c_{1,0}) / √3."""
        return coefficients[..., AXES] / math.sqrt(3.0)

    def support(self, exponents: FloatArray) -> FloatArray:
        """|ξ|."""
        return np.asarray(np.linalg.norm(exponents, axis=-1))

    def plane_wave(self, exponents: FloatArray, degree: int) -> FloatArray:
        r"""Funk–Hecke, :math:`\int e^{\langle\xi,y\rangle}\rho\,dy=\sum c_l(|\xi|)e_{lm}(\hat\xi)c_{lm}`."""
        eigenvalues = funk_hecke.coefficients(self.support(exponents), degree, 3).T
        waves = harmonics(transport.directions(exponents), degree)
        for order, eigenvalue in enumerate(eigenvalues):
            waves[order**2 : (order + 1) ** 2] *= eigenvalue
        return np.ascontiguousarray(waves.T)

    def plane_wave_gradient(self, exponents: FloatArray, degree: int) -> FloatArray:
        """Expand y_i e_lm in harmonics: no direction is differentiated, ξ = 0 and poles are as others."""
        waves = self.plane_wave(exponents, degree + 1)
        return np.stack([waves @ matrix for matrix in coordinate_matrices(degree)], axis=1)

    def degree(self, exponent: float, tolerance: float) -> int:
        """Smallest degree above which √(2l + 1) c_l(X)/c_0(X) is below the tolerance."""
        return funk_hecke.degree(exponent, tolerance, 3)

    def width(self, degree: int) -> int:
        """(degree + 1)²."""
        return (degree + 1) ** 2

    def at_least(self, degree: int) -> Sphere:
        """Return the sphere with all harmonics up to this degree."""
        return Sphere(max(self.resolution, degree))

    def wider(self) -> Sphere:
        """Twice the degree, four times the coefficients."""
        return Sphere(2 * self.resolution)

    def covering(self, degree: int) -> FloatArray:
        """As many points of a Fibonacci spiral as there are harmonics, 600 at most."""
        return fibonacci(min(self.width(degree), COVER))

    def convolution(
        self, beta: float, metric: FloatArray, value: FloatArray
    ) -> tuple[ComplexArray, ComplexArray] | None:
        """Eigenvalues of the kernel and multipliers of its field when B = bI and V = vI.

        The kernel e^{β⟨Bx,y⟩} multiplies degree l by c_l(βb), which is (−1)^l c_l(β|b|) for b < 0, and the
        tangential part of ∫ e^{β⟨Bx,y⟩} V y ρ(y) dy is the gradient of what has the multipliers
        v c_l(βb)/(βb), l ≥ 1: v/3 for l = 1 alone where βb = 0.
        """
        scaled, valued = float(metric[0, 0]), float(value[0, 0])
        identity = np.eye(3)
        if (metric != scaled * identity).any() or (value != valued * identity).any():
            return None
        exponent = np.array([beta * abs(scaled)])
        degree = self.degree(float(exponent[0]), MODE_TOLERANCE)
        signs = (-1.0 if scaled < 0.0 else 1.0) ** np.arange(degree + 1)
        kernel = signs * funk_hecke.coefficients(exponent, degree, 3)[0]
        field = np.zeros(degree + 1)
        field[1:] = valued * signs[:-1] * funk_hecke.divided(exponent, degree, 3)[0]
        return kernel.astype(np.complex128), field.astype(np.complex128)

    def apply_multipliers(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Multiply the degrees that both have: values of the result are those of the kernel's integral."""
        degree = min(degree_of(coefficients.shape[-1]), multipliers.size - 1)
        factors = AREA * multipliers.real[degrees(degree)]
        return np.asarray(factors * coefficients[..., : factors.size])

    def convolved_field(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Differentiate what has the multipliers of the field."""
        return self.gradient(self.apply_multipliers(coefficients, multipliers))

    def convolved_field_transposed(
        self, field: FloatArray, multipliers: ComplexArray, count: int
    ) -> FloatArray:
        """Multiply after the transposed gradient."""
        return self.apply_multipliers(self.gradient_transposed(field, count), multipliers)

    def resized(self, resolution: int) -> Sphere:
        """Return the sphere with another highest degree."""
        return Sphere(resolution)

    def pad(self, coefficients: FloatArray) -> FloatArray:
        """Cut or extend by zero modes."""
        result = np.zeros((*coefficients.shape[:-1], self.width(self.resolution)))
        count = min(coefficients.shape[-1], result.shape[-1])
        result[..., :count] = coefficients[..., :count]
        return result

    def locate(self, vectors: FloatArray) -> FloatArray:
        """Divide by the length; zero goes to e_1."""
        return transport.directions(vectors)

    def wasserstein(
        self, coefficients: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ by geodesic distance, the density by its ``equivalent``."""
        return self.wasserstein_atoms(*self.equivalent(coefficients), atoms, weights, order)

    def wasserstein_atoms(
        self, places: FloatArray, masses: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ by geodesic distance, exactly for up to 2000 atoms; of more, groups move together."""
        moved, taken = transport.pieces(places, masses), transport.pieces(atoms, weights)
        return transport.transported(*moved, *taken, order)

    def equivalent(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centres of 2000 pieces, smaller where there is more mass (negative rounding counts as zero)."""
        fine = Sphere(max(degree_of(coefficients.shape[-1]), FINE))
        return transport.pieces(fine.points, fine.weights * np.maximum(fine.synthesise(coefficients), 0.0))

    def distance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Angle between them."""
        return transport.distance(first, second)

    def nearest_dirac(self, places: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
        """Fréchet mean."""
        return transport.nearest_dirac(places, masses)

    def compiled_rates(self) -> Mapping[str, Rate]:
        """None."""
        return {}

    def embed(self, places: FloatArray) -> FloatArray:
        """Places are points."""
        return np.asarray(places)

    def retract(self, positions: FloatArray) -> FloatArray:
        """Nearest points of the sphere, (n, 3)."""
        return np.asarray(positions / np.linalg.norm(positions, axis=-1, keepdims=True))

    def project(self, positions: FloatArray, vectors: FloatArray) -> FloatArray:
        """Tangential parts of vectors at positions, (n, 3)."""
        normal = np.einsum("nd,nd->n", positions, vectors)
        return np.asarray(vectors - normal[:, None] * positions)

    def frame_at(self, places: FloatArray) -> FloatArray:
        """Tangents along growing colatitude and longitude, (n, 2, 3); at the poles those of φ = 0."""
        longitude = np.arctan2(places[:, 1], places[:, 0])
        cosine, sine = np.cos(longitude), np.sin(longitude)
        height, radius = places[:, 2], np.hypot(places[:, 0], places[:, 1])
        southward = np.stack([height * cosine, height * sine, -radius], axis=-1)
        eastward = np.stack([-sine, cosine, np.zeros_like(sine)], axis=-1)
        return np.stack([southward, eastward], axis=1)

    def normals_at(self, places: FloatArray) -> FloatArray:
        """Repeat the points themselves for both tangents, (n, 2, 3)."""
        return np.repeat(places[:, None], 2, axis=1)

    def moved(self, places: FloatArray, steps: FloatArray) -> FloatArray:
        """Go along geodesics."""
        tangent = np.einsum("ned,ne->nd", self.frame_at(places), steps)
        length = np.linalg.norm(steps, axis=1)[:, None]
        return transport.directions(np.cos(length) * places + np.sinc(length / math.pi) * tangent)

    def apart(self, first: FloatArray, second: FloatArray) -> float:
        """Turn by the rotation of least Σ chord² (Kabsch, Acta Cryst. A32, 1976)."""
        left, _, right = np.linalg.svd(first.T @ second)
        left[:, 2] *= np.linalg.det(left @ right)
        return float(self.distance(first @ (left @ right), second).max())

    def analyse_atoms(self, atoms: Atoms, degree: int | None = None) -> FloatArray:
        """Σ mass e_lm for the degrees that the grid keeps."""
        highest = self.resolution if degree is None else min(degree, self.resolution)
        return atoms_coefficients(atoms.places, atoms.masses, atoms.starts, highest)

    def interpolate(self, values: FloatArray, atoms: Atoms) -> FloatArray:
        """Evaluate the harmonics up to degree L."""
        return evaluated(self.analyse(values)[:, None], atoms.places, atoms.starts)[:, 0]

    def interpolate_scaled(
        self, values: FloatArray, exponents: FloatArray, atoms: Atoms
    ) -> tuple[FloatArray, FloatArray]:
        """Evaluate harmonics, relative to the largest exponent of the row."""
        exponents = np.broadcast_to(exponents, (exponents.shape[0], len(self.points)))
        highest = exponents.max(axis=1)
        scaled = values * np.exp(exponents - highest[:, None])[..., None]
        functions = self.analyse(np.moveaxis(scaled, -1, 1))
        reference = np.broadcast_to(highest, atoms.starts.size - 1)[atoms.rows]
        return evaluated(functions, atoms.places, atoms.starts), reference

    def interpolation_resolution(
        self,
        exponent: float,
        tolerance: float,
        nearby: float = math.inf,  # noqa: ARG002
    ) -> int:
        """Smallest degree that keeps all parts of the kernel: interpolation adds no error of its own."""
        return funk_hecke.reach(exponent, min(tolerance, MODE_TOLERANCE), 3)

    def tail_weights(self) -> FloatArray:
        """One for the upper sixth of the degrees, six of them at least: symmetric densities have gaps."""
        first = min(math.floor(5 * self.resolution / 6), self.resolution - 6)
        return (degrees(self.resolution) > max(0, first)).astype(np.float64)


@dataclass(frozen=True)
class _Refined(Grid):
    """The colatitudes of a grid with several times its longitudes."""

    factor: int

    @cached_property
    def shape(self) -> tuple[int, int]:
        rows, columns = Grid(self.degree).shape
        return rows, self.factor * columns


def _unaliased(grid: Grid, values: FloatArray, degree: int) -> tuple[Grid, FloatArray]:
    """Values (n, points, parts) over area and weights, on a grid that tells all orders up to a degree apart.

    Its further points have the value zero: sums over the points are as they were.
    """
    scaled = values / (AREA * grid.weights)[:, None]
    factor = 2 * degree // grid.shape[1] + 1
    if factor == 1:
        return grid, scaled
    finer = np.zeros((*scaled.shape[:2], factor, scaled.shape[2]))
    finer[:, :, 0] = factor * scaled
    return _Refined(grid.degree, factor), finer.reshape(len(values), -1, scaled.shape[2])


def _shaped(rows: FloatArray, leading: tuple[int, ...]) -> FloatArray:
    """Give the rows of a batch the axes that it had."""
    return rows.reshape(*leading, *rows.shape[1:])


def _single(angles: FloatArray) -> FloatArray:
    """One angle a row, (rows,), of angles (rows,) or (rows, 1): there is one plane."""
    return angles.reshape(len(angles))
