r"""Zonal densities on the sphere S^{d−1}, any d ≥ 2: symmetric about the axis e₁, functions of t = cos α.

Tokens are held in the half-plane of axis and radius, (cos α, sin α) with the polar angle α in (0, π); a point
there stands for the ring of all x with ⟨x, e₁⟩ = cos α. A density is held by

.. math:: c_l = \int_{S^{d-1}} e_l\,\rho\,dx, \qquad l = 0, \dots, L,

with the orthonormal Gegenbauer polynomials e_l of ``gegenbauer``; so ρ = Σ c_l e_l / |S^{d−1}|. The grid is
that of Gauss quadrature with (3L + 2)/2 nodes, exact for products of three such functions (Orszag's rule).

Above d = 250, where |S^{d−1}| underflows when it is squared, dx is the uniform probability in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde.errors import InputError
from meanfield_pde.spaces import funk_hecke, gegenbauer
from meanfield_pde.spaces.base import Axis
from meanfield_pde.spaces.zonal_laws import quantiles, transported
from meanfield_pde.spaces.zonal_line import Edges, work_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.spaces.base import Atoms
    from solvers.compiled import Rate

__all__ = ["Zonal", "folded"]

TURN = 2.0 * math.pi
#: Highest dimension whose spheres have a volume that is used as it is.
MEASURED = 250
#: Modes of a kernel below this share of the largest are rounding error.
MODE_TOLERANCE = 1e-17
#: Pieces of equal mass by which distances see a density: its error is about π over eight times as many.
QUANTILES = 2048
#: Volumes and faces of cells below are raised to it: no mass that matters is there, but none may underflow.
LEAST_CELL = 1e-300


@dataclass(frozen=True)
class Zonal:
    """Zonal densities of highest degree ``resolution`` on the sphere in R^``dimension``."""

    resolution: int
    dimension: int
    name: str = "zonal"
    constant: int = 1
    period: float | None = TURN
    counted: str = "degrees"
    fields_by: Literal["frame", "embedding", "points"] = "points"
    place: tuple[int, ...] = ()
    is_line: bool = True
    radius: float = 1.0

    def __post_init__(self) -> None:
        if self.dimension < 2:
            raise InputError(f"zonal: dimension must be at least 2, got {self.dimension}")
        if self.resolution < 1:
            raise InputError(f"zonal: resolution must be at least 1, got {self.resolution}")

    @property
    def volume_unit(self) -> str:
        """Of an arc, of a solid angle; none beyond, nor of the uniform probability (d > 250)."""
        return {2: "rad", 3: "sr"}.get(self.dimension, "1")

    @cached_property
    def volume(self) -> float:
        """|S^{d−1}| = 2 π^{d/2} / Γ(d/2), or one for d > 250."""
        if self.dimension > MEASURED:
            return 1.0
        half = self.dimension / 2.0
        return 2.0 * math.exp(half * math.log(math.pi) - math.lgamma(half))

    @property
    def _nodes(self) -> tuple[FloatArray, FloatArray]:
        return gegenbauer.gauss((3 * self.resolution + 2) // 2, self.dimension)

    @property
    def cosines(self) -> FloatArray:
        """Cosines t of the grid, increasing, (points,)."""
        return self._nodes[0]

    @property
    def probabilities(self) -> FloatArray:
        """Weights under the uniform probability, (points,)."""
        return self._nodes[1]

    @cached_property
    def sines(self) -> FloatArray:
        """Sin α of the grid, (points,)."""
        return np.sqrt((1.0 - self.cosines) * (1.0 + self.cosines))

    @cached_property
    def angles(self) -> FloatArray:
        """Polar angles of the grid, decreasing, (points,), radians."""
        return np.arctan2(self.sines, self.cosines)

    @cached_property
    def points(self) -> FloatArray:
        """Grid points (cos α, sin α), (points, 2)."""
        return np.stack([self.cosines, self.sines], axis=1)

    def support(self, exponents: FloatArray) -> FloatArray:
        """|ξ|."""
        return np.asarray(np.linalg.norm(exponents, axis=-1))

    @cached_property
    def weights(self) -> FloatArray:
        """Volumes of the cells, those below 1e-300 raised to it."""
        return np.maximum(self.volume * self.probabilities, LEAST_CELL)

    @cached_property
    def frame(self) -> FloatArray:
        """Unit tangent (−sin α, cos α), away from the axis, (points, 1, 2)."""
        return np.stack([-self.sines, self.cosines], axis=1)[:, None, :]

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues l(l + d − 2) of −Δ."""
        return gegenbauer.eigenvalues(self.resolution, self.dimension)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The cosine of the polar angle."""
        return (Axis("cosine", self.cosines, "cosine of the angle to the axis", "1"),)

    @cached_property
    def _values(self) -> FloatArray:
        return gegenbauer.stacked(self.cosines, self.resolution, self.dimension)

    @cached_property
    def _slopes(self) -> FloatArray:
        return gegenbauer.slopes(self.cosines, self.sines, self.resolution, self.dimension)

    @cached_property
    def _edges(self) -> Edges:
        return Edges.between(self.probabilities, self.dimension)

    @cached_property
    def _work_weights(self) -> FloatArray:
        return work_weights(self.angles)

    def uniform(self) -> FloatArray:
        """Coefficients (1, 0, …) of the uniform probability."""
        coefficients = np.zeros(self.width(self.resolution))
        coefficients[0] = 1.0
        return coefficients

    def analyse(self, values: FloatArray) -> FloatArray:
        """Coefficients up to degree L by quadrature."""
        return np.asarray((values * (self.volume * self.probabilities)) @ self._values.T)

    def synthesise(self, coefficients: FloatArray) -> FloatArray:
        """Σ c_l e_l / |S^{d−1}| on the grid, for any degree."""
        return np.asarray(coefficients @ self._first_values(coefficients.shape[-1])) / self.volume

    def _first_values(self, count: int) -> FloatArray:
        """Values of so many functions on the grid, (count, points)."""
        if count > len(self._values):
            return gegenbauer.stacked(self.cosines, count - 1, self.dimension)
        return self._values[:count]

    def _first_slopes(self, count: int) -> FloatArray:
        """Their derivatives along α, (count, points)."""
        if count > len(self._slopes):
            return gegenbauer.slopes(self.cosines, self.sines, count - 1, self.dimension)
        return self._slopes[:count]

    def synthesise_transposed(self, values: FloatArray, count: int) -> FloatArray:
        """Σ_i g_i e_l(t_i) / |S^{d−1}|."""
        return np.asarray(values @ self._first_values(count).T) / self.volume

    def gradient_transposed(self, field: FloatArray, count: int) -> FloatArray:
        """Σ_i g_i ∂_α e_l(t_i) / |S^{d−1}|."""
        return np.asarray(field[..., 0] @ self._first_slopes(count).T) / self.volume

    def divergence_transposed(self, dual: FloatArray) -> FloatArray:
        """Minus weights times Σ λ_l ∂_α e_l."""
        return (-(dual @ self._slopes) * (self.volume * self.probabilities))[..., None]

    def gradient(self, coefficients: FloatArray) -> FloatArray:
        """Differentiate along α, (..., points, 1)."""
        slopes = self._first_slopes(coefficients.shape[-1])
        return (np.asarray(coefficients @ slopes) / self.volume)[..., None]

    def divergence(self, flux: FloatArray) -> FloatArray:
        """−∫ flux · ∇e_l dx by quadrature, exact for the flux of two functions of degree L."""
        return np.asarray(-(flux[..., 0] * (self.volume * self.probabilities)) @ self._slopes.T)

    def tangential(self, coefficients: FloatArray) -> FloatArray:
        """Components along the tangent at the grid points."""
        return np.asarray(np.einsum("ipd,...di->...ip", self.frame, self.synthesise(coefficients)))

    def features(self, degree: int) -> FloatArray:
        """∇e_1, …, ∇e_K."""
        return gegenbauer.slopes(self.cosines, self.sines, degree, self.dimension)[1:, :, None]

    def cell_means(self, coefficients: FloatArray) -> FloatArray:
        """Differences of the fluxes through the edges, exactly; the mean of e_0 is one."""
        fluxes = coefficients @ self._edges.fluxes(coefficients.shape[-1] - 1)
        held = np.diff(fluxes, axis=-1, prepend=0.0, append=0.0) / self.probabilities
        return np.asarray((coefficients[..., :1] + held) / self.volume)

    def work(self, velocity: FloatArray) -> FloatArray:
        """∫ v dα from every point to the next, along decreasing α, (rows, faces): local, of fourth order.

        At the poles velocities along the meridian are odd functions of the angle to the pole.
        """
        beyond = np.concatenate([-velocity[..., :1], velocity, -velocity[..., -1:]], axis=-1)
        faces = velocity.shape[-1] - 1
        pieces = [weight * beyond[..., k : k + faces] for k, weight in enumerate(self._work_weights)]
        return np.asarray(sum(pieces[1:], pieces[0]))

    def line(self) -> tuple[FloatArray, FloatArray, bool]:
        """Rings from the pole α = π to α = 0; what is below 1e-300 is raised to it."""
        conductances = self.volume * self._edges.areas / -np.diff(self.angles)
        return self.weights, np.maximum(conductances, LEAST_CELL), False

    def rotate(self, coefficients: FloatArray, angles: FloatArray) -> FloatArray:
        """Return them as they are: no other rotation than by zero keeps a density zonal.

        Raises
        ------
        ValueError
            If an angle is not zero.
        """
        return np.array(np.broadcast_to(coefficients, (len(self.rotations(angles)), coefficients.shape[-1])))

    def generators(self, coefficients: FloatArray) -> FloatArray:
        """No rotation moves a zonal density within the zonal ones: (0, rows, coefficients)."""
        return np.zeros((0, *coefficients.shape))

    def rotations(self, angles: FloatArray) -> FloatArray:
        """Identities (rows, 2, 2).

        Raises
        ------
        ValueError
            If an angle is not zero.
        """
        turned = np.asarray(angles)[np.asarray(angles) != 0.0]
        if turned.size:
            raise ValueError(
                f"zonal: rotations do not keep the axis, angles must be zero, got {turned.flat[0]:g}"
            )
        return np.tile(np.eye(2), (len(angles), 1, 1))

    def first_moment(self, coefficients: FloatArray) -> FloatArray:
        """(c₁/√d, 0)."""
        along = coefficients[..., 1] / math.sqrt(self.dimension)
        return np.stack([along, np.zeros_like(along)], axis=-1)

    def plane_wave(self, exponents: FloatArray, degree: int) -> FloatArray:
        r"""Funk–Hecke: the integral of :math:`e^{\langle\xi,y\rangle} e_l` is c_l(|ξ|) e_l(ξ₁/|ξ|)."""
        lengths, cosines, _ = _polar(exponents)
        sizes = funk_hecke.coefficients(lengths, degree, self.dimension)
        return np.asarray(sizes * gegenbauer.stacked(cosines, degree, self.dimension).T)

    def plane_wave_gradient(self, exponents: FloatArray, degree: int) -> FloatArray:
        r"""Funk–Hecke for y e_l(y₁), which is a sum of harmonics of degree l ± 1.

        Along the axis y₁ e_l = b_{l+1} e_{l+1} + b_l e_{l−1}; across it y₂ e_l is a_l Y_{l+1} − c_l Y_{l−1}
        (``gegenbauer.climbing``) with the harmonics Y_k = y₂ e^{(d+2)}_{k−1}(y₁).
        """
        d = self.dimension
        lengths, cosines, sines = _polar(exponents)
        sizes = funk_hecke.coefficients(lengths, degree + 1, d).T
        even = sizes * gegenbauer.stacked(cosines, degree + 1, d)
        odd = np.zeros_like(even)
        odd[1:] = sizes[1:] * sines * gegenbauer.stacked(cosines, degree, d + 2)
        ratios = gegenbauer.jacobi(degree + 1, d)[:, None]
        raised, lowered = (factor[:, None] for factor in gegenbauer.climbing(degree, d))
        along, across = ratios * even[1:], raised * odd[1:]
        along[1:] += ratios[:-1] * even[:degree]
        across[1:] -= lowered[1:] * odd[:degree]
        return np.stack([along.T, across.T], axis=1)

    def degree(self, exponent: float, tolerance: float) -> int:
        """Smallest degree above which c_l √dim_l falls below the tolerance relative to c_0."""
        return funk_hecke.degree(exponent, tolerance, self.dimension)

    def width(self, degree: int) -> int:
        """One number a degree."""
        return degree + 1

    def at_least(self, degree: int) -> Zonal:
        """Return the space that keeps all degrees up to this one, at least."""
        return self.resized(max(self.resolution, degree))

    def wider(self) -> Zonal:
        """Three times the degrees."""
        return self.resized(3 * self.resolution)

    def covering(self, degree: int) -> FloatArray:
        """Rings of the unit disc, in which keys lie as the plane sees them; the outermost has radius one."""
        rings = degree // 2 + 1
        radii = np.cos(np.arange(rings) * (math.pi / (2 * rings)))
        angles = TURN * np.arange(2 * degree + 1) / (2 * degree + 1)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        return np.asarray((radii[:, None, None] * circle).reshape(-1, 2))

    def convolution(
        self, beta: float, metric: FloatArray, value: FloatArray
    ) -> tuple[ComplexArray, ComplexArray] | None:
        """Multipliers c_l(βb) of the kernel and v c_l(βb)/(βb), l ≥ 1, of its field for B = b I and V = v I.

        The field is (v/(βb)) ∇ of the kernel's integral.
        """
        scaled, valued = _multiple(metric), _multiple(value)
        if scaled is None or valued is None:
            return None
        exponent = np.array([beta * abs(scaled)])
        degree = self.degree(float(exponent[0]), MODE_TOLERANCE)
        signs = np.where(np.arange(degree + 1) % 2 == 1, math.copysign(1.0, scaled), 1.0)
        kernel = signs * funk_hecke.coefficients(exponent, degree, self.dimension)[0]
        field = np.zeros(degree + 1)
        field[1:] = signs[:-1] * valued * funk_hecke.divided(exponent, degree, self.dimension)[0]
        return kernel.astype(np.complex128), field.astype(np.complex128)

    def apply_multipliers(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Multiply the degrees that both have; the result has the values of the kernel's integral."""
        count = min(coefficients.shape[-1], multipliers.size)
        return np.asarray(coefficients[..., :count] * (self.volume * multipliers[:count].real))

    def convolved_field(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Gradient of the multiplied coefficients."""
        return self.gradient(self.apply_multipliers(coefficients, multipliers))

    def convolved_field_transposed(
        self, field: FloatArray, multipliers: ComplexArray, count: int
    ) -> FloatArray:
        """Multiply after the transposed gradient."""
        return self.apply_multipliers(self.gradient_transposed(field, count), multipliers)

    def resized(self, resolution: int) -> Zonal:
        """Return the same sphere with another highest degree."""
        return replace(self, resolution=resolution)

    def pad(self, coefficients: FloatArray) -> FloatArray:
        """Cut or extend by zero coefficients."""
        result = np.zeros((*coefficients.shape[:-1], self.width(self.resolution)))
        count = min(coefficients.shape[-1], result.shape[-1])
        result[..., :count] = coefficients[..., :count]
        return result

    def locate(self, vectors: FloatArray) -> FloatArray:
        """Polar angle in [0, π]."""
        return np.asarray(np.arctan2(np.abs(vectors[..., 1]), vectors[..., 0]))

    def wasserstein(
        self, coefficients: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ along the meridians, the density by its quantiles."""
        return self.wasserstein_atoms(*self.equivalent(coefficients), atoms, weights, order)

    def wasserstein_atoms(
        self, places: FloatArray, masses: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ between uniform rings at these polar angles, exactly."""
        return transported((folded(places), masses), (folded(atoms), weights), order)

    def equivalent(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Polar angles that halve ``QUANTILES`` pieces of equal mass."""
        return quantiles(coefficients, self.dimension, QUANTILES), np.full(QUANTILES, 1.0 / QUANTILES)

    def distance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Least distance of the rings, |α − α'|."""
        return np.asarray(np.abs(folded(first) - folded(second)))

    def nearest_dirac(self, places: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
        """Choose the better of the two poles, which alone are zonal Dirac masses; also its W₂."""
        angles, weights = folded(places), masses / masses.sum()
        far = [float(np.sqrt(weights @ (angles - pole) ** 2)) for pole in (0.0, math.pi)]
        best = int(np.argmin(far))
        return np.asarray(best * math.pi), far[best]

    def compiled_rates(self) -> Mapping[str, Rate]:
        """None: the transforms are products of matrices."""
        return {}

    def embed(self, places: FloatArray) -> FloatArray:
        """(cos α, sin α), (..., 2)."""
        return np.stack([np.cos(places), np.sin(places)], axis=-1)

    def frame_at(self, places: FloatArray) -> FloatArray:
        """(−sin α, cos α), (n, 1, 2): the mirror image −α has the mirrored frame, turned round."""
        return np.stack([-np.sin(places), np.cos(places)], axis=-1)[:, None, :]

    def normals_at(self, places: FloatArray) -> FloatArray:
        """(cos α, sin α), (n, 1, 2)."""
        return self.embed(places)[:, None, :]

    def moved(self, places: FloatArray, steps: FloatArray) -> FloatArray:
        """Add, in [0, 2π): not folded, so that steps go on in the same sense beyond a pole."""
        return np.asarray((places + steps[:, 0]) % TURN)

    def apart(self, first: FloatArray, second: FloatArray) -> float:
        """Largest distance: no rotation keeps the axis."""
        return float(self.distance(first, second).max())

    def analyse_atoms(self, atoms: Atoms, degree: int | None = None) -> FloatArray:
        """Σ mass e_l(cos α): every atom stands for its ring."""
        from meanfield_pde.spaces.zonal_kernels import ring_coefficients

        highest = self.resolution if degree is None else min(degree, self.resolution)
        ratios = gegenbauer.jacobi(highest, self.dimension)
        return ring_coefficients(np.cos(atoms.places), atoms.masses, atoms.starts, ratios)

    def interpolate(self, values: FloatArray, atoms: Atoms) -> FloatArray:
        """Evaluate the coefficients of zonal functions at the atoms.

        Errors are up to √dim_L roundings of the values towards the poles, where the grid has few points.
        """
        return self._evaluated(values[:, None], atoms)[:, 0]

    def interpolate_scaled(
        self, values: FloatArray, exponents: FloatArray, atoms: Atoms
    ) -> tuple[FloatArray, FloatArray]:
        """Likewise, relative to the largest exponent of the row."""
        largest = exponents.max(axis=1)
        scaled = values * np.exp(exponents - largest[:, None])[..., None]
        reference = np.broadcast_to(largest, atoms.starts.size - 1)[atoms.rows]
        return self._evaluated(np.swapaxes(scaled, 1, 2), atoms), reference

    def _evaluated(self, values: FloatArray, atoms: Atoms) -> FloatArray:
        """Functions (rows or 1, n, points) at the atoms of their row, (atoms, n)."""
        coefficients = self.analyse(values) / self.volume
        rows = atoms.rows if len(values) > 1 else np.zeros(atoms.places.size, dtype=np.intp)
        result = np.zeros((atoms.places.size, values.shape[1]))
        waves = gegenbauer.polynomials(np.cos(atoms.places), self.resolution, self.dimension)
        for level, wave in enumerate(waves):
            result += wave[:, None] * coefficients[rows, :, level]
        return result

    def interpolation_resolution(self, exponent: float, tolerance: float, nearby: float = math.inf) -> int:  # noqa: ARG002
        """Degree to which e^{⟨ξ,y⟩} is resolved; it is exact beyond, near and far."""
        return max(8, funk_hecke.reach(exponent, min(tolerance, MODE_TOLERANCE), self.dimension))

    def tail_weights(self) -> FloatArray:
        """One for the upper sixth of the degrees, six of them at least: symmetric densities have gaps."""
        first = min(math.floor(5 * self.resolution / 6), self.resolution - 6)
        return (np.arange(self.resolution + 1) > max(0, first)).astype(np.float64)


def folded(places: FloatArray) -> FloatArray:
    """Polar angles in [0, π] of angles anywhere: α, −α and 2π − α are one."""
    turned = places % TURN
    return np.minimum(turned, TURN - turned)


def _polar(vectors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lengths of vectors (n, 2), cosines and sines of their directions (the axis for zero)."""
    lengths = np.hypot(vectors[:, 0], vectors[:, 1])
    safe = np.where(lengths > 0.0, lengths, 1.0)
    cosines = np.where(lengths > 0.0, vectors[:, 0] / safe, 1.0)
    return lengths, cosines, vectors[:, 1] / safe


def _multiple(matrix: FloatArray) -> float | None:
    """Return b where the matrix is b I, else None."""
    return float(matrix[0, 0]) if np.array_equal(matrix, matrix[0, 0] * np.eye(len(matrix))) else None
