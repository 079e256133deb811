r"""The flat torus T² in R⁴, x = (cos θ₁, sin θ₁, cos θ₂, sin θ₂): trigonometric polynomials on a square grid.

Scores are β Σ_i cos differences of angles, |x|² = 2. On N × N angles the modes max(|m₁|, |m₂|) ≤ K are kept,
K = ⌊(N − 1)/3⌋, so that the product of two such functions has no aliasing error (Orszag's 2/3 rule).
``torus_modes.py`` says how they are held as real coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft

from meanfield_pde.spaces.base import Axis
from meanfield_pde.spaces.circle import MODE_TOLERANCE, PARALLEL_SIZE, TURN, Circle
from meanfield_pde.spaces.torus_modes import (
    ROOT,
    degree_of,
    half_plane,
    joined,
    product_functional,
    signed,
    split,
    waves,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.spaces.base import Atoms
    from solvers.compiled import Rate

__all__ = ["Torus"]

VOLUME = TURN**2
#: The two planes of R⁴.
PLANES = (slice(0, 2), slice(2, 4))
#: Points of a covering at most, and the generator of that Fibonacci lattice, which spreads them best.
COVER, GENERATOR = 610, 377
#: Least grid on which distances see a density, 2^FINE angles an axis.
FINE = 8


@dataclass(frozen=True)
class Torus:
    """The torus T² with ``resolution`` equispaced angles an axis; points are ordered by θ₁, then θ₂."""

    resolution: int
    name: str = "torus"
    constant: int = 1
    period: float | None = None
    dimension: int = 4
    counted: str = "grid points"
    fields_by: Literal["frame", "embedding", "points"] = "frame"
    volume_unit: str = "rad^2"
    place: tuple[int, ...] = (4,)
    is_line: bool = False
    radius: float = ROOT

    @cached_property
    def circle(self) -> Circle:
        """Either axis."""
        return Circle(self.resolution)

    @cached_property
    def angles(self) -> FloatArray:
        """Angles of the grid points, (points, 2), radians."""
        pair = np.meshgrid(self.circle.angles, self.circle.angles, indexing="ij")
        return np.stack(pair, axis=-1).reshape(-1, 2)

    @cached_property
    def points(self) -> FloatArray:
        """Grid points, (points, 4)."""
        return _embedded(self.angles)

    @cached_property
    def weights(self) -> FloatArray:
        """Equal quadrature weights (2π/N)²."""
        return np.full(self.resolution**2, VOLUME / self.resolution**2)

    @cached_property
    def frame(self) -> FloatArray:
        """Unit tangents along θ₁ and θ₂, (points, 2, 4)."""
        return self.frame_at(self.points)

    @property
    def modes(self) -> int:
        """Highest mode K that is kept along either axis."""
        return self.circle.modes

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues m₁² + m₂² of −Δ."""
        squares = (half_plane(self.modes).astype(np.float64) ** 2).sum(axis=0)
        return np.concatenate([[0.0], np.repeat(squares, 2)])

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The two angles."""
        angles = self.circle.angles
        return (
            Axis("angle_1", angles, "first token angle θ₁", "rad"),
            Axis("angle_2", angles, "second token angle θ₂", "rad"),
        )

    def uniform(self) -> FloatArray:
        """Coefficients of 1/(4π²)."""
        coefficients = np.zeros(self.width(self.modes))
        coefficients[0] = 1.0
        return coefficients

    def analyse(self, values: FloatArray) -> FloatArray:
        """Coefficients up to degree K of the function with these values on the grid."""
        spectrum = fft.rfft2(self._square(values), axes=(-2, -1), workers=_workers(values))
        one, two = half_plane(self.modes)
        pairs = np.conj(spectrum[..., one, two]) * (ROOT * VOLUME / self.resolution**2)
        return joined(spectrum[..., 0, 0].real * (VOLUME / self.resolution**2), pairs)

    def synthesise(self, coefficients: FloatArray) -> FloatArray:
        """Values on the grid; for degrees of N/2 or more on one that refines it."""
        finer = 2 * degree_of(coefficients.shape[-1]) // self.resolution + 1
        values = _synthesised(coefficients, finer * self.resolution)[..., ::finer, ::finer]
        return values.reshape(*values.shape[:-2], -1)

    def _square(self, values: FloatArray) -> FloatArray:
        return values.reshape(*values.shape[:-1], self.resolution, self.resolution)

    def gradient(self, coefficients: FloatArray) -> FloatArray:
        """Differentiate along θ₁ and θ₂, (..., points, 2)."""
        return np.stack([self.synthesise(-part) for part in self._turned(coefficients)], axis=-1)

    def divergence(self, flux: FloatArray) -> FloatArray:
        """Coefficients of ∂_1 of the first component and ∂_2 of the second."""
        first, second = (self.analyse(flux[..., component]) for component in (0, 1))
        return -(self._turned(first)[0] + self._turned(second)[1])

    def synthesise_transposed(self, values: FloatArray, count: int) -> FloatArray:
        """√2 conj Σ_i g_i e^{−i m·θ_i} / (4π²); the sums have the period N in m₁ and in m₂."""
        spectrum = fft.rfft2(self._square(values), axes=(-2, -1), workers=_workers(values))
        one, two = half_plane(degree_of(count))
        second = two % self.resolution
        mirrored = second > self.resolution // 2
        first = np.where(mirrored, -one, one) % self.resolution
        found = spectrum[..., first, np.where(mirrored, self.resolution - second, second)]
        pairs = np.where(mirrored, found, np.conj(found)) * (ROOT / VOLUME)
        return joined(spectrum[..., 0, 0].real / VOLUME, pairs)

    def gradient_transposed(self, field: FloatArray, count: int) -> FloatArray:
        """Turn, and that is minus the transpose of turning, after the transposed syntheses."""
        first, second = (self.synthesise_transposed(field[..., part], count) for part in (0, 1))
        return self._turned(first)[0] + self._turned(second)[1]

    def divergence_transposed(self, dual: FloatArray) -> FloatArray:
        """Minus weights times the gradient of Σ λ_k e_k."""
        return self.gradient(dual) * -((VOLUME / self.resolution) ** 2)

    @staticmethod
    def _turned(coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """−∂_1 and −∂_2 of functions, thus their derivatives as they are turned along either axis."""
        constant, pairs = split(coefficients)
        both = half_plane(degree_of(coefficients.shape[-1]))
        first, second = (joined(np.zeros_like(constant), 1j * mode * pairs) for mode in both)
        return first, second

    def tangential(self, coefficients: FloatArray) -> FloatArray:
        """Components along the two tangents at the grid points."""
        return np.asarray(np.einsum("ipd,...di->...ip", self.frame, self.synthesise(coefficients)))

    def features(self, degree: int) -> FloatArray:
        """1, √2 cos m·θ, √2 sin m·θ, … up to the degree along θ₁, then the same along θ₂."""
        functions = VOLUME * self.synthesise(np.eye(self.width(degree)))
        zero = np.zeros_like(functions)
        return np.concatenate([np.stack([functions, zero], axis=-1), np.stack([zero, functions], axis=-1)])

    def rotate(self, coefficients: FloatArray, angles: FloatArray) -> FloatArray:
        """Multiply F_m of row j by exp(−i m·α_j): angles (rows,), the same in both planes, or (rows, 2)."""
        constant, pairs = split(coefficients)
        both = half_plane(degree_of(coefficients.shape[-1]))
        phases = _pairs(angles) @ both
        return joined(np.broadcast_to(constant, len(phases)), pairs * np.exp(1j * phases))

    def generators(self, coefficients: FloatArray) -> FloatArray:
        """Multiply F_m by −im_1 and by −im_2: the rotations of either plane."""
        return np.stack(self._turned(coefficients))

    def rotations(self, angles: FloatArray) -> FloatArray:
        """Rotation matrices (rows, 4, 4), one block a plane."""
        pairs = _pairs(angles)
        result = np.zeros((len(pairs), 4, 4))
        for plane, column in zip(PLANES, pairs.T, strict=True):
            result[:, plane, plane] = self.circle.rotations(column)
        return result

    def first_moment(self, coefficients: FloatArray) -> FloatArray:
        """F_(1,0) and F_(0,1) as the mean vectors of both planes."""
        one, two = half_plane(1)
        first, second = (1 + 2 * int(np.flatnonzero((one == m) & (two == 1 - m))[0]) for m in (1, 0))
        return coefficients[..., [first, first + 1, second, second + 1]] / ROOT

    def support(self, exponents: FloatArray) -> FloatArray:
        """Largest ⟨ξ,y⟩ of all points y, |ξ_1| + |ξ_2| of the parts of ξ in both planes: (..., 4) → (...)."""
        return np.asarray(sum(np.hypot(*np.moveaxis(exponents[..., plane], -1, 0)) for plane in PLANES))

    def plane_wave(self, exponents: FloatArray, degree: int) -> FloatArray:
        """Functionals of exp(⟨ξ,y⟩ − support(ξ)): Jacobi–Anger in both planes."""
        first, second = (waves(exponents[:, plane], degree)[0] for plane in PLANES)
        return product_functional(first, second)

    def plane_wave_gradient(self, exponents: FloatArray, degree: int) -> FloatArray:
        """Differentiate the one factor or the other."""
        (first, by_first), (second, by_second) = (waves(exponents[:, plane], degree) for plane in PLANES)
        return np.stack(
            [product_functional(part, second) for part in by_first]
            + [product_functional(first, part) for part in by_second],
            axis=1,
        )

    def degree(self, exponent: float, tolerance: float) -> int:
        """As on the circle: ξ may lie in one plane."""
        return self.circle.degree(exponent, tolerance)

    def width(self, degree: int) -> int:
        """(2 degree + 1)² modes."""
        return width(degree)

    def at_least(self, degree: int) -> Torus:
        """Return the torus with enough angles to keep all modes up to this degree."""
        return Torus(max(self.resolution, 3 * degree + 1))

    def wider(self) -> Torus:
        """Twice the angles an axis, four times the coefficients."""
        return Torus(2 * self.resolution)

    def covering(self, degree: int) -> FloatArray:
        """Return 3 degree + 1 angles an axis, or 610 points of a lattice where these are fewer."""
        if (3 * degree + 1) ** 2 <= COVER:
            return Torus(3 * degree + 1).points
        rank = np.arange(COVER)
        lattice = np.stack([rank, GENERATOR * rank % COVER], axis=1).astype(np.float64)
        return _embedded(TURN / COVER * lattice)

    def convolution(
        self, beta: float, metric: FloatArray, value: FloatArray
    ) -> tuple[ComplexArray, ComplexArray] | None:
        """Multipliers when B and V are a scaled rotation in each plane: products of the circle's.

        Those of the kernel are held by planes, (2, degrees), those of its field by components and planes,
        (2, 2, degrees): the multiplier of a mode is the product of those of m₁ and m₂.
        """
        first, second = (
            self.circle.convolution(beta, metric[plane, plane], value[plane, plane]) for plane in PLANES
        )
        mixes = any(matrix[PLANES[i], PLANES[1 - i]].any() for matrix in (metric, value) for i in (0, 1))
        if first is None or second is None or mixes:
            return None
        kernel = _stacked([first[0], second[0]])
        own = _stacked([first[1], second[1]])
        return kernel, np.stack([np.stack([own[0], kernel[1]]), np.stack([kernel[0], own[1]])])

    def apply_multipliers(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Multiply the modes that both have; the values of the result are those of the kernel's integral."""
        degree = min(degree_of(coefficients.shape[-1]), multipliers.shape[-1] - 1)
        constant, pairs = split(coefficients[..., : self.width(degree)])
        first, second = (
            signed(table, mode) for table, mode in zip(multipliers, half_plane(degree), strict=True)
        )
        mean = float((multipliers[0, 0] * multipliers[1, 0]).real)
        return joined(VOLUME * mean * constant, VOLUME * np.conj(first * second) * pairs)

    def convolved_field(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Synthesise both components."""
        return np.stack(
            [self.synthesise(self.apply_multipliers(coefficients, part)) for part in multipliers], axis=-1
        )

    def convolved_field_transposed(
        self, field: FloatArray, multipliers: ComplexArray, count: int
    ) -> FloatArray:
        """Add both components, each multiplied after its transposed synthesis."""
        first, second = (
            self.apply_multipliers(self.synthesise_transposed(field[..., part], count), np.conj(own))
            for part, own in enumerate(multipliers)
        )
        return first + second

    def resized(self, resolution: int) -> Torus:
        """Return the torus with another number of angles an axis."""
        return Torus(resolution)

    def pad(self, coefficients: FloatArray) -> FloatArray:
        """Cut or extend by zero modes."""
        result = np.zeros((*coefficients.shape[:-1], self.width(self.modes)))
        count = min(coefficients.shape[-1], result.shape[-1])
        result[..., :count] = coefficients[..., :count]
        return result

    def locate(self, vectors: FloatArray) -> FloatArray:
        """Divide the parts in both planes by their lengths; zero turns to the angle 0."""
        return _embedded(_angles(vectors))

    def wasserstein(
        self, coefficients: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ by geodesic distance, the density by its ``equivalent``."""
        return self.wasserstein_atoms(*self.equivalent(coefficients), atoms, weights, order)

    def wasserstein_atoms(
        self, places: FloatArray, masses: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ by geodesic distance, exactly."""
        from meanfield_pde.spaces.torus_transport import transported

        cost = self.distance(places[:, None], atoms[None]) ** order
        return float(max(transported(cost, masses, weights), 0.0) ** (1.0 / order))

    def equivalent(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Centres of 2000 squares, smaller where there is more mass (negative rounding counts as zero)."""
        from meanfield_pde.spaces.torus_transport import pieces

        degree = degree_of(coefficients.shape[-1])
        size = 2 ** max(FINE, (4 * degree - 1).bit_length())
        places, masses = pieces(np.maximum(_synthesised(coefficients, size), 0.0))
        return _embedded(TURN / size * places), masses

    def distance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Length of the straight line between the pairs of angles."""
        arcs = self.circle.distance(_angles(first), _angles(second))
        return np.asarray(np.hypot(arcs[..., 0], arcs[..., 1]))

    def nearest_dirac(self, places: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
        """Fréchet mean: squared distances are sums over both angles, each of which has its own mean."""
        means = [self.circle.nearest_dirac(column, masses) for column in _angles(places).T]
        return _embedded(np.stack([mean[0] for mean in means])), math.hypot(*(mean[1] for mean in means))

    def compiled_rates(self) -> Mapping[str, Rate]:
        """None."""
        return {}

    def embed(self, places: FloatArray) -> FloatArray:
        """Places are points."""
        return np.asarray(places)

    def retract(self, positions: FloatArray) -> FloatArray:
        """Nearest points of the torus, (n, 4): both planes normalised."""
        planes = positions.reshape(*positions.shape[:-1], 2, 2)
        return np.asarray((planes / np.linalg.norm(planes, axis=-1, keepdims=True)).reshape(positions.shape))

    def project(self, positions: FloatArray, vectors: FloatArray) -> FloatArray:
        """Tangential parts of vectors at positions, (n, 4), plane by plane."""
        places, parts = (both.reshape(*both.shape[:-1], 2, 2) for both in (positions, vectors))
        normal = (places * parts).sum(axis=-1, keepdims=True)
        return np.asarray((parts - normal * places).reshape(vectors.shape))

    def frame_at(self, places: FloatArray) -> FloatArray:
        """(−sin θ₁, cos θ₁, 0, 0) and (0, 0, −sin θ₂, cos θ₂), (n, 2, 4)."""
        result = np.zeros((len(places), 2, 4))
        for row, plane in enumerate(PLANES):
            result[:, row, plane] = self.circle.frame_at(_angles(places)[:, row])[:, 0]
        return result

    def normals_at(self, places: FloatArray) -> FloatArray:
        """(cos θ₁, sin θ₁, 0, 0) and (0, 0, cos θ₂, sin θ₂), (n, 2, 4)."""
        result = np.zeros((len(places), 2, 4))
        for row, plane in enumerate(PLANES):
            result[:, row, plane] = places[:, plane]
        return result

    def moved(self, places: FloatArray, steps: FloatArray) -> FloatArray:
        """Add to the angles: along geodesics."""
        return _embedded(_angles(places) + steps)

    def apart(self, first: FloatArray, second: FloatArray) -> float:
        """Turn each plane by the mean difference."""
        differences = _angles(first) - _angles(second)
        turn = np.angle(np.exp(1j * differences).mean(axis=0))
        return float(self.distance(self.moved(first, -turn), second).max())

    def analyse_atoms(self, atoms: Atoms, degree: int | None = None) -> FloatArray:
        """Σ mass e_k for the modes that the grid keeps."""
        from meanfield_pde.spaces.torus_points import atoms_coefficients

        highest = self.modes if degree is None else min(degree, self.modes)
        return atoms_coefficients(_angles(atoms.places), atoms.masses, atoms.starts, highest)

    def interpolate(self, values: FloatArray, atoms: Atoms) -> FloatArray:
        """Trigonometric interpolation by all modes of the grid."""
        from meanfield_pde.spaces.torus_points import interpolated

        functions = self._square(values)[..., None]
        return interpolated(functions, _angles(atoms.places), atoms.starts)[:, 0]

    def interpolate_scaled(
        self, values: FloatArray, exponents: FloatArray, atoms: Atoms
    ) -> tuple[FloatArray, FloatArray]:
        """Trigonometric interpolation relative to the largest exponent of the row."""
        from meanfield_pde.spaces.torus_points import interpolated

        exponents = np.broadcast_to(exponents, (exponents.shape[0], self.resolution**2))
        highest = exponents.max(axis=1)
        scaled = values * np.exp(exponents - highest[:, None])[..., None]
        functions = scaled.reshape(len(scaled), self.resolution, self.resolution, -1)
        reference = np.broadcast_to(highest, atoms.starts.size - 1)[atoms.rows]
        return interpolated(functions, _angles(atoms.places), atoms.starts), reference

    def interpolation_resolution(
        self,
        exponent: float,
        tolerance: float,
        nearby: float = math.inf,  # noqa: ARG002
    ) -> int:
        """Smallest fast size that keeps all modes: interpolation adds no error, so that no value is finer."""
        degree = self.degree(exponent, min(tolerance, MODE_TOLERANCE))
        return int(fft.next_fast_len(3 * degree + 1, real=True))

    def tail_weights(self) -> FloatArray:
        """One for the upper sixth of the degrees, six of them at least: symmetric densities have gaps."""
        first = min(math.floor(5 * self.modes / 6), self.modes - 6)
        high = np.abs(half_plane(self.modes)).max(axis=0) > max(0, first)
        return np.concatenate([[0.0], np.repeat(high.astype(np.float64), 2)])


def _synthesised(coefficients: FloatArray, points: int) -> FloatArray:
    """Values (..., points, points) on a grid of so many angles an axis, more than twice the degree."""
    constant, pairs = split(coefficients)
    spectrum = np.zeros((*constant.shape, points, points // 2 + 1), dtype=np.complex128)
    one, two = half_plane(degree_of(coefficients.shape[-1]))
    spectrum[..., one, two] = np.conj(pairs) / ROOT
    edge = two == 0  # both signs of m₁ are in the half plane m₂ ≥ 0 that is transformed
    spectrum[..., -one[edge], 0] = pairs[..., edge] / ROOT
    spectrum[..., 0, 0] = constant
    values = fft.irfft2(spectrum, s=(points, points), axes=(-2, -1), workers=_workers(spectrum))
    return np.asarray(values * (points**2 / VOLUME))


def _angles(vectors: FloatArray) -> FloatArray:
    """Angles (..., 2) of the parts of vectors (..., 4) in both planes."""
    return np.asarray(np.arctan2(vectors[..., 1::2], vectors[..., ::2]))


def _embedded(angles: FloatArray) -> FloatArray:
    """Points (..., 4) at pairs of angles (..., 2)."""
    pairs = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return pairs.reshape(*angles.shape[:-1], 4)


def _pairs(angles: FloatArray) -> FloatArray:
    """Angles (rows, 2) of both planes, from (rows,) or (rows, 2)."""
    return np.broadcast_to(angles.reshape(len(angles), -1), (len(angles), 2))


def _stacked(tables: list[ComplexArray]) -> ComplexArray:
    """Stack tables for m = 0, 1, …, the shorter ones filled with zeros."""
    count = max(table.size for table in tables)
    return np.stack([np.pad(table, (0, count - table.size)) for table in tables])


def _workers(values: FloatArray | ComplexArray) -> int | None:
    """One thread for small batches, where threads cost more than they save; else what scipy is set to."""
    return None if values.size > PARALLEL_SIZE else 1
