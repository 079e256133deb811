r"""The circle S¹ in R²: trigonometric polynomials on equispaced angles.

A density is held by its Fourier coefficients

.. math:: c_m = \int_0^{2\pi} e^{-im\theta} \rho(\theta)\, d\theta, \qquad m = 0, \dots, K,

stored as real and imaginary parts in turn (Re c₀, Im c₀, Re c₁, …). On a grid of N angles
K = ⌊(N − 1)/3⌋, so that the product of two such functions has no aliasing error (Orszag's 2/3 rule).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft, special

from meanfield_pde.spaces import fourier
from meanfield_pde.spaces.base import Axis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.spaces.base import Atoms
    from solvers.compiled import Rate

__all__ = ["Circle"]

TURN = 2.0 * math.pi
#: Batches above this size are transformed in parallel.
PARALLEL_SIZE = 2**17
#: Modes of a kernel below this share of the largest are rounding error.
MODE_TOLERANCE = 1e-17
#: Pieces of equal mass by which distances see a density: its error is about a turn over eight times as many.
QUANTILES = 2048


@dataclass(frozen=True)
class Circle:
    """The circle with ``resolution`` equispaced angles θ_i = 2πi/N; x = (cos θ, sin θ)."""

    resolution: int
    name: str = "circle"
    constant: int = 2
    period: float | None = TURN
    dimension: int = 2
    counted: str = "grid points"
    fields_by: Literal["frame", "embedding", "points"] = "frame"
    volume_unit: str = "rad"
    place: tuple[int, ...] = ()
    is_line: bool = True
    radius: float = 1.0

    @cached_property
    def angles(self) -> FloatArray:
        """Angles of the grid, (points,), radians."""
        return TURN * np.arange(self.resolution) / self.resolution

    @cached_property
    def points(self) -> FloatArray:
        """Grid points, (points, 2)."""
        return np.stack([np.cos(self.angles), np.sin(self.angles)], axis=1)

    def support(self, exponents: FloatArray) -> FloatArray:
        """|ξ|."""
        return np.asarray(np.linalg.norm(exponents, axis=-1))

    @cached_property
    def weights(self) -> FloatArray:
        """Equal quadrature weights 2π/N."""
        return np.full(self.resolution, TURN / self.resolution)

    @cached_property
    def frame(self) -> FloatArray:
        """Unit tangent (−sin θ, cos θ), (points, 1, 2)."""
        return np.stack([-np.sin(self.angles), np.cos(self.angles)], axis=1)[:, None, :]

    @property
    def modes(self) -> int:
        """Highest mode K that is kept."""
        return (self.resolution - 1) // 3

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues m² of −Δ, twice each."""
        return np.repeat(np.arange(self.modes + 1, dtype=np.float64) ** 2, 2)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The angle."""
        return (Axis("token", self.angles, "token angle θ", "rad"),)

    def uniform(self) -> FloatArray:
        """Coefficients of 1/(2π)."""
        coefficients = np.zeros(self.width(self.modes))
        coefficients[0] = 1.0
        return coefficients

    def analyse(self, values: FloatArray) -> FloatArray:
        """Coefficients up to mode K of the function with these values on the grid."""
        spectrum = fft.rfft(values, axis=-1, workers=_workers(values))[..., : self.modes + 1]
        return fourier.interleaved(spectrum * (TURN / self.resolution))

    def synthesise(self, coefficients: FloatArray) -> FloatArray:
        """Values on the grid; modes above N/2, if any, are folded onto the grid exactly."""
        folded = fourier.folded_onto(fourier.complex_view(coefficients), self.resolution)
        values = fft.irfft(folded, n=self.resolution, axis=-1, workers=_workers(coefficients))
        return np.asarray(values * (self.resolution / TURN))

    def gradient(self, coefficients: FloatArray) -> FloatArray:
        """Differentiate along θ, (..., points, 1)."""
        spectrum = fourier.complex_view(coefficients)
        return self.synthesise(fourier.interleaved(1j * np.arange(spectrum.shape[-1]) * spectrum))[..., None]

    def divergence(self, flux: FloatArray) -> FloatArray:
        """Coefficients of ∂_θ of the only component of the field."""
        spectrum = fourier.complex_view(self.analyse(flux[..., 0]))
        return fourier.interleaved(1j * np.arange(self.modes + 1) * spectrum)

    def synthesise_transposed(self, values: FloatArray, count: int) -> FloatArray:
        """Σ_i g_i e^{−imθ_i} / π, half of that for m = 0."""
        spectrum = fft.rfft(values, axis=-1, workers=_workers(values))
        result = fourier.interleaved(fourier.unfolded(spectrum, self.resolution, count // 2) * (2.0 / TURN))
        result[..., 0] *= 0.5
        return result

    def gradient_transposed(self, field: FloatArray, count: int) -> FloatArray:
        """Multiply mode m by −im after the transposed synthesis."""
        spectrum = fourier.complex_view(self.synthesise_transposed(field[..., 0], count))
        return fourier.interleaved(-1j * np.arange(count // 2) * spectrum)

    @cached_property
    def _spread(self) -> ComplexArray:
        return np.asarray(-0.5j * TURN * np.arange(self.modes + 1), dtype=np.complex128)

    def divergence_transposed(self, dual: FloatArray) -> FloatArray:
        """−(2π/N) Re Σ_m im λ_m e^{imθ}."""
        spectrum = fourier.complex_view(dual) * self._spread
        return np.asarray(fft.irfft(spectrum, n=self.resolution, axis=-1, workers=_workers(dual)))[..., None]

    def tangential(self, coefficients: FloatArray) -> FloatArray:
        """Components along the tangent at the grid points."""
        return np.asarray(np.einsum("ipd,...di->...ip", self.frame, self.synthesise(coefficients)))

    def features(self, degree: int) -> FloatArray:
        """1, cos θ, sin θ, …, cos Kθ, sin Kθ."""
        phases = np.outer(np.arange(1, degree + 1), self.angles)
        waves = np.stack([np.cos(phases), np.sin(phases)], axis=1).reshape(-1, self.resolution)
        return np.concatenate([np.ones((1, self.resolution)), waves])[..., None]

    def cell_means(self, coefficients: FloatArray) -> FloatArray:
        """Multiply mode m by sin(mh/2)/(mh/2)."""
        spectrum = fourier.complex_view(coefficients)
        factor = np.sinc(np.arange(spectrum.shape[-1]) / self.resolution)
        return self.synthesise(fourier.interleaved(spectrum * factor))

    def work(self, velocity: FloatArray) -> FloatArray:
        """Fourth-order quadrature from four neighbours: local, so that rough velocities make no ripples."""
        one, two, three = (np.roll(velocity, -shift, axis=-1) for shift in (1, 2, -1))
        return np.asarray(TURN / self.resolution / 24.0 * (13.0 * (velocity + one) - two - three))

    def line(self) -> tuple[FloatArray, FloatArray, bool]:
        """Equal cells around the circle."""
        return self.weights, 1.0 / self.weights, True

    def rotate(self, coefficients: FloatArray, angles: FloatArray) -> FloatArray:
        """Multiply mode m of row j by exp(−i m α_j)."""
        spectrum = fourier.complex_view(coefficients)
        return fourier.interleaved(spectrum * np.exp(-1j * np.outer(angles, np.arange(spectrum.shape[-1]))))

    def generators(self, coefficients: FloatArray) -> FloatArray:
        """Multiply mode m by −im: the only rotation."""
        spectrum = fourier.complex_view(coefficients)
        return fourier.interleaved(-1j * np.arange(spectrum.shape[-1]) * spectrum)[None]

    def rotations(self, angles: FloatArray) -> FloatArray:
        """Rotation matrices (rows, 2, 2)."""
        cosine, sine = np.cos(angles), np.sin(angles)
        return np.moveaxis(np.array([[cosine, -sine], [sine, cosine]]), -1, 0)

    def first_moment(self, coefficients: FloatArray) -> FloatArray:
        """(Re c₁, −Im c₁)."""
        return np.asarray(coefficients[..., 2:4] * np.array([1.0, -1.0]))

    def plane_wave(self, exponents: FloatArray, degree: int) -> FloatArray:
        r"""Jacobi–Anger: :math:`\int e^{\langle\xi,y\rangle}\rho\,dy=\sum_m I_m(|\xi|)e^{im\varphi}c_m`."""
        bessel, phase = fourier.jacobi_anger(exponents, degree)
        return fourier.real_functional(bessel * phase)

    def plane_wave_gradient(self, exponents: FloatArray, degree: int) -> FloatArray:
        r"""From :math:`(\partial_1 \pm i\partial_2)\, I_m e^{im\varphi} = I_{m\pm1} e^{i(m\pm1)\varphi}`."""
        bessel, phase = fourier.jacobi_anger(exponents, degree + 1)
        modes = np.arange(degree + 1)
        above = bessel[:, modes + 1] * phase[:, modes + 1]
        below = bessel[:, abs(modes - 1)] * np.where(
            modes > 0, phase[:, abs(modes - 1)], phase[:, [1]].conj()
        )
        first, second = (above + below) / 2.0, (above - below) / 2.0j
        return np.stack([fourier.real_functional(first), fourier.real_functional(second)], axis=1)

    def degree(self, exponent: float, tolerance: float) -> int:
        """Smallest m with I_m(X)/I_0(X) below the tolerance."""
        bound = int(40 + 12.0 * math.sqrt(exponent) + min(exponent, 40.0))
        ratio = special.ive(np.arange(bound + 1), exponent) / special.ive(0, exponent)
        return max(1, int(np.count_nonzero(ratio > tolerance)))

    def width(self, degree: int) -> int:
        """Real numbers of the modes 0 … degree."""
        return 2 * (degree + 1)

    def at_least(self, degree: int) -> Circle:
        """Return the circle with enough angles to keep all modes up to this degree."""
        return Circle(max(self.resolution, 3 * degree + 1), self.name)

    def wider(self) -> Circle:
        """Three times the angles."""
        return Circle(3 * self.resolution, self.name)

    def covering(self, degree: int) -> FloatArray:
        """Three times the degree and one more."""
        return Circle(3 * degree + 1).points

    def convolution(
        self, beta: float, metric: FloatArray, value: FloatArray
    ) -> tuple[ComplexArray, ComplexArray] | None:
        r"""Multipliers of the kernel and its field when B and V are scaled rotations.

        With B = b R_ψ, V = α R_χ and δ = ψ + χ the kernel e^{β⟨Bx,y⟩} multiplies c_m by
        I_m(βb) e^{imψ}, and the tangential part of ∫ e^{β⟨Bx,y⟩} V y ρ(y) dy has the multipliers
        (α/2)(i e^{−iδ} I_{m−1} − i e^{iδ} I_{m+1}) e^{imψ}; for B = V = I that is i (m/β) I_m(β).
        """
        scaled, valued = _conformal(metric), _conformal(value)
        if scaled is None or valued is None:
            return None
        degree = self.degree(beta * abs(scaled), 1e-17)
        bessel = special.ive(np.arange(-1, degree + 2), beta * abs(scaled))
        modes = np.arange(degree + 1)
        turn = np.exp(1j * modes * np.angle(scaled))
        delta = np.exp(1j * np.angle(scaled)) * valued
        field = 0.5j * (np.conj(delta) * bessel[:-2] - delta * bessel[2:])
        field[0] = field[0].real
        return bessel[1:-1] * turn, field * turn

    def apply_multipliers(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Multiply the modes that both have; the values of the result are those of the kernel's integral."""
        count = min(coefficients.shape[-1] // 2, multipliers.size)
        return fourier.interleaved(
            fourier.complex_view(coefficients[..., : 2 * count]) * (TURN * multipliers[:count])
        )

    def convolved_field(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Synthesise the only component."""
        return self.synthesise(self.apply_multipliers(coefficients, multipliers))[..., None]

    def convolved_field_transposed(
        self, field: FloatArray, multipliers: ComplexArray, count: int
    ) -> FloatArray:
        """Multiply by the conjugate multipliers after the transposed synthesis."""
        dual = self.synthesise_transposed(field[..., 0], count)
        return self.apply_multipliers(dual, np.conj(multipliers))

    def resized(self, resolution: int) -> Circle:
        """Return the circle with another number of angles."""
        return Circle(resolution, self.name)

    def pad(self, coefficients: FloatArray) -> FloatArray:
        """Cut or extend by zero modes."""
        result = np.zeros((*coefficients.shape[:-1], self.width(self.modes)))
        count = min(coefficients.shape[-1], result.shape[-1])
        result[..., :count] = coefficients[..., :count]
        return result

    def locate(self, vectors: FloatArray) -> FloatArray:
        """Angle in [0, 2π)."""
        return np.asarray(np.arctan2(vectors[..., 1], vectors[..., 0]) % TURN)

    def wasserstein(
        self, coefficients: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ by arc length, the density by its quantiles."""
        return self.wasserstein_atoms(*self.equivalent(coefficients), atoms, weights, order)

    def wasserstein_atoms(
        self, places: FloatArray, masses: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W₁ or W₂ by arc length: W₁ exactly, W₂ by POT's solver for the circle.

        That one now and then ends at a plan that is not the best: of the circle and its mirror image the
        lower value is right.
        """
        if order == 1:
            return _transported(np.concatenate([places, atoms]), np.concatenate([masses, -weights]))
        import ot

        costs = [
            ot.wasserstein_circle(
                sign * places / TURN % 1.0, sign * atoms / TURN % 1.0, masses, weights, p=order
            )
            for sign in (1.0, -1.0)
        ]
        return float(TURN * max(float(np.min(costs)), 0.0) ** (1.0 / order))

    def equivalent(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Angles that halve ``QUANTILES`` pieces of equal mass."""
        quantiles = _quantiles(coefficients)
        return quantiles, np.full(quantiles.size, 1.0 / quantiles.size)

    def distance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Arc length."""
        return np.asarray(np.abs((first - second + TURN / 2.0) % TURN - TURN / 2.0))

    def nearest_dirac(self, places: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
        """Fréchet mean: the best of the means of the atoms cut open between two neighbours.

        Its antipode lies in the gap that it is best to cut at (Hotz & Huckemann, AISM 67, 2015).
        """
        order = np.argsort(places % TURN)
        angles, weights = (places % TURN)[order], masses[order] / masses.sum()
        mean = float(weights @ angles)
        before = np.concatenate([[0.0], np.cumsum(weights)[:-1]])  # mass that is moved beyond the cut
        moved = np.concatenate([[0.0], np.cumsum(weights * angles)[:-1]])
        means = mean + TURN * before
        squares = weights @ angles**2 + 2.0 * TURN * moved + TURN**2 * before
        best = int(np.argmin(squares - means**2))
        centre = np.asarray(means[best] % TURN)
        return centre, float(np.sqrt(weights @ self.distance(angles, np.full_like(angles, centre)) ** 2))

    def embed(self, places: FloatArray) -> FloatArray:
        """(cos θ, sin θ), (..., 2)."""
        return np.stack([np.cos(places), np.sin(places)], axis=-1)

    def frame_at(self, places: FloatArray) -> FloatArray:
        """(−sin θ, cos θ), (n, 1, 2)."""
        return np.stack([-np.sin(places), np.cos(places)], axis=-1)[:, None, :]

    def normals_at(self, places: FloatArray) -> FloatArray:
        """(cos θ, sin θ), (n, 1, 2)."""
        return self.embed(places)[:, None, :]

    def moved(self, places: FloatArray, steps: FloatArray) -> FloatArray:
        """Add, in [0, 2π)."""
        return np.asarray((places + steps[:, 0]) % TURN)

    def apart(self, first: FloatArray, second: FloatArray) -> float:
        """Turn by the mean difference."""
        turn = np.angle(np.exp(1j * (first - second)).mean())
        return float(self.distance(first - turn, second).max())

    def analyse_atoms(self, atoms: Atoms, degree: int | None = None) -> FloatArray:
        """Σ mass e^{−imθ} for the modes that the grid keeps."""
        from meanfield_pde.spaces.circle_points import atoms_spectrum

        highest = self.modes if degree is None else min(degree, self.modes)
        return atoms_spectrum(atoms.places, atoms.masses, atoms.starts, highest)

    def interpolate(self, values: FloatArray, atoms: Atoms) -> FloatArray:
        """Local polynomials."""
        from meanfield_pde.spaces.circle_points import interpolated

        return interpolated(np.ascontiguousarray(values), atoms.places, atoms.starts)

    def interpolate_scaled(
        self, values: FloatArray, exponents: FloatArray, atoms: Atoms
    ) -> tuple[FloatArray, FloatArray]:
        """Local polynomials, relative to the largest exponent of the points that they take."""
        from meanfield_pde.spaces.circle_points import scaled_interpolation

        exponents = np.broadcast_to(exponents, (exponents.shape[0], self.resolution))
        return scaled_interpolation(
            np.ascontiguousarray(values), np.ascontiguousarray(exponents), atoms.places, atoms.starts
        )

    def interpolation_resolution(self, exponent: float, tolerance: float, nearby: float = math.inf) -> int:
        """Smallest fast size at which the errors of Lagrange are tolerable.

        They are about (0.452 m h)^p for mode m, and (0.904 sinh(sh/2))^p for e^{sθ} relative to itself.
        """
        from meanfield_pde.spaces.circle_points import STENCIL

        degree = self.degree(exponent, MODE_TOLERANCE)
        modes = np.arange(degree + 1)
        weights = special.ive(modes, exponent) / special.ive(0, exponent)
        points = 3 * degree + 1
        while weights @ (0.452 * modes * TURN / points) ** STENCIL > tolerance:
            points = int(1.1 * points) + 1
        if nearby < math.inf:
            widest = 2.0 * math.asinh(nearby ** (1.0 / STENCIL) / 0.904)
            points = max(points, math.ceil(TURN * exponent / widest))
        return int(fft.next_fast_len(max(points, 2 * STENCIL), real=True))

    def compiled_rates(self) -> Mapping[str, Rate]:
        """Those of ``circle_kernels``."""
        from meanfield_pde.spaces import circle_kernels

        return {
            "banded": circle_kernels.banded_rate,
            "convolution": circle_kernels.convolution_rate,
            "factored": circle_kernels.factored_rate,
        }

    def tail_weights(self) -> FloatArray:
        """One for the upper sixth of the modes, six of them at least: symmetric densities have gaps."""
        first = min(math.floor(5 * self.modes / 6), self.modes - 6)
        return np.repeat((np.arange(self.modes + 1) > max(0, first)).astype(np.float64), 2)


def _quantiles(coefficients: FloatArray, count: int = QUANTILES) -> FloatArray:
    """Angles that halve ``count`` pieces of equal mass of a density (negative rounding counts as zero)."""
    fine = Circle(4 * count)
    density = np.maximum(fine.synthesise(coefficients), 0.0)
    mass = np.concatenate([[0.0], np.cumsum((density + np.roll(density, -1)) / 2.0)])
    levels = (np.arange(count) + 0.5) / count
    return np.interp(levels, mass / mass[-1], TURN * np.arange(4 * count + 1) / (4 * count))


def _workers(values: FloatArray) -> int | None:
    """One thread for small batches, where threads cost more than they save; else what scipy is set to."""
    return None if values.size > PARALLEL_SIZE else 1


def _conformal(matrix: FloatArray) -> complex | None:
    """Return b e^{iψ} when the matrix is b R_ψ, else None."""
    (a, b), (c, d) = matrix
    if a == d and b == -c:
        return complex(a, c)
    return None


def _transported(places: FloatArray, masses: FloatArray) -> float:
    """W₁ of signed masses that sum to zero: the flow across every arc, less its median by arc length.

    POT 0.9.7 leaves out the arc before the first token, and is wrong where that is long.
    """
    order = np.argsort(places % TURN)
    angles = (places % TURN)[order]
    arcs = np.diff(angles, append=angles[0] + TURN)
    flow = np.cumsum(masses[order])
    rank = np.argsort(flow)
    median = rank[min(int(np.searchsorted(np.cumsum(arcs[rank]), 0.5 * TURN)), rank.size - 1)]
    return float(np.abs(flow - flow[median]) @ arcs)
