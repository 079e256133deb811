"""Initial conditional densities ρ(0, x | z)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from meanfield_pde.arrays import FloatArray
from meanfield_pde.errors import InputError
from meanfield_pde.spaces.base import Atoms

if TYPE_CHECKING:
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.spaces import Space

__all__ = ["Initial", "Tokens", "fourier", "mixture", "sampled", "uniform", "vonmises"]

Profile = Callable[[FloatArray], FloatArray]

#: Undershoot of a profile, as a share of its peak, that interpolation of a coarse table may leave.
NEGATIVE = 1e-2
#: Points on which the interpolation of a table is tried, relative to its own.
FINER = 4
#: Random plane waves that a perturbation is made of, and the typical length of their wave vectors.
WAVES, WAVE_LENGTH = 12, 2.0


@dataclass(frozen=True)
class Tokens:
    """Tokens one by one: ρ(0, ·|z_j) is a sum of Dirac masses.

    Parameters
    ----------
    places
        Their places, (1 or aux, tokens, *place) as ``Space.place`` says; one row serves all nodes.
    masses
        Their masses, (1 or aux, tokens), positive; each row is divided by its sum.

    Raises
    ------
    InputError
        When shapes do not fit, or a number is not finite or a mass not positive.
    """

    places: FloatArray
    masses: FloatArray

    def __post_init__(self) -> None:
        if (
            self.places.ndim not in {2, 3}
            or self.places.size == 0
            or self.masses.shape not in {self.places.shape[:2], (1, self.places.shape[1])}
        ):
            raise InputError(
                "initial tokens: places must be (1 or aux, tokens), or vectors (1 or aux, tokens, d), "
                "with masses (1 or aux, tokens), "
                f"got shapes {self.places.shape} and {self.masses.shape}"
            )
        if not (np.isfinite(self.places).all() and np.isfinite(self.masses).all() and self.masses.min() > 0):
            raise InputError("initial tokens: places must be finite, masses finite and positive")


@dataclass(frozen=True)
class Initial:
    """ρ(0, x | z): a profile, turned by 2π·turns·z, times 1 + ε g with a smooth random |g| ≤ 1, normalised.

    Parameters
    ----------
    profile
        Density at points (..., d) of the space up to a factor; or with ``per_node`` its values there for
        every node, (aux, ...).
    turns
        The profile is shifted by 2π·turns·z.
    perturbation, seed
        ε in [0, 1) and the seed of g, which differs from node to node.
    degree
        Degree that a grid must reach at least to see the profile at all.
    tokens
        Tokens one by one in the place of the profile, which is then ignored; turned, but not perturbed.
    table
        Values (1 or aux, points), not negative, on equispaced points that the profile interpolates: where
        they step too much for that, the density is constant about every point.
    """

    profile: Profile
    turns: float = 0.0
    perturbation: float = 0.0
    seed: int = 0
    degree: int = 1
    tokens: Tokens | None = None
    table: FloatArray | None = None

    @staticmethod
    def tabulated(
        space: Space, table: FloatArray, turns: float = 0.0, perturbation: float = 0.0, seed: int = 0
    ) -> Initial:
        """Densities given by values on the grid of ``space``, (1 or aux, points).

        Raises
        ------
        InputError
            When a value is negative or not finite.
        """
        if not (np.isfinite(table).all() and table.min() >= 0.0):
            raise InputError(f"initial table: must be finite and not negative, got {table.min():.3g}")
        if not space.is_line or space.fields_by == "points":
            return Initial(interpolated(space, table), turns, perturbation, seed)
        profile, degree = sampled(space, table), table.shape[1] // 2
        return Initial(profile, turns, perturbation, seed, degree, table=table)

    def interpolates(self, space: Space, auxiliary: Auxiliary) -> bool:
        """Whether there is no table, or its profile is nowhere more negative than it may be."""
        if self.table is None:
            return True
        try:
            self.profile_values(space.resized(FINER * self.table.shape[1]), auxiliary.nodes.size)
        except InputError:
            return False
        return True

    def coefficients(self, space: Space, auxiliary: Auxiliary) -> FloatArray:
        """Coefficients (aux, coefficients) on this grid, of mass one.

        Raises
        ------
        InputError
            When the profile is not finite, is negative, or has no mass, or when there are tokens instead.
        """
        count = auxiliary.nodes.size
        result = space.analyse(self.profile_values(space, count))
        if self.turns != 0.0:
            result = space.rotate(result, 2.0 * np.pi * self.turns * auxiliary.nodes)
        if self.perturbation != 0.0:
            result = space.analyse(
                space.synthesise(result) * (1.0 + self.perturbation * self._noise(space, count))
            )
        if not (result[:, 0] > 0).all():
            raise InputError("initial density: must have a positive mass at every node")
        return result / result[:, :1]

    def grid_values(self, space: Space, auxiliary: Auxiliary) -> FloatArray:
        """Values (aux, points), not turned; those of the table on its own points."""
        count = auxiliary.nodes.size
        if self.table is not None and self.table.shape[1] == len(space.points):
            values = np.broadcast_to(self.table, (count, len(space.points)))
        else:
            values = np.maximum(self.profile_values(space, count), 0.0)
        return values * (1.0 + self.perturbation * self._noise(space, count)) if self.perturbation else values

    def profile_values(self, space: Space, count: int) -> FloatArray:
        """Values (aux, points) of the profile on a grid, neither turned nor perturbed.

        Raises
        ------
        InputError
            When they are not finite or negative, or when there are tokens instead.
        """
        if self.tokens is not None:
            raise InputError(
                "initial density: single tokens have none; use noise.sigma = 0 and the method characteristics"
            )
        values = np.asarray(self.profile(space.points), dtype=np.float64)
        if values.shape not in {(len(space.points),), (1, len(space.points)), (count, len(space.points))}:
            raise InputError(
                f"initial density: must have one value a point (and node), got shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise InputError("initial density: must be finite everywhere")
        if values.min() < -NEGATIVE * values.max():
            raise InputError(f"initial density: must not be negative, got {values.min():.3g}")
        return np.broadcast_to(values, (count, len(space.points)))

    def _noise(self, space: Space, count: int) -> FloatArray:
        """g, (aux, points): random plane waves in the embedding, the same on every grid."""
        rng = np.random.default_rng(self.seed)
        vectors = WAVE_LENGTH * rng.standard_normal((count, WAVES, space.points.shape[1]))
        if space.fields_by == "points":
            vectors[..., 1:] = 0.0  # functions of the height along the axis alone are smooth
        phases = rng.uniform(0.0, 2.0 * np.pi, (count, WAVES))
        sizes = rng.standard_normal((count, WAVES))
        waves = np.cos(vectors @ space.points.T + phases[..., None])
        return np.asarray((sizes[..., None] * waves).sum(axis=1) / np.abs(sizes).sum(axis=1)[:, None])


def uniform(points: FloatArray) -> FloatArray:
    """Constant density."""
    return np.ones(points.shape[:-1])


def fourier(modes: Sequence[tuple[float, ...]], space: str = "circle", dimension: int = 2) -> Profile:
    """1 + Σ a e(x) with the real harmonics e of a space, each at most one.

    Rows (m, a, φ): on the circle cos(m(θ − φ)); on the sphere sin^mϑ cos(m(θ − φ)), with ϑ the colatitude and
    θ the longitude; on zonal spheres the Gegenbauer polynomial of degree m that is one on the axis. On the
    torus rows (m₁, m₂, a, φ): cos(m₁θ₁ + m₂θ₂ − φ).
    """
    wave = {"zonal": _gegenbauer, "torus": _plane_wave}.get(space, _sectoral)

    def profile(points: FloatArray) -> FloatArray:
        return np.asarray(1.0 + sum(wave(points, mode, dimension) for mode in modes))

    return profile


def _sectoral(points: FloatArray, mode: tuple[float, ...], dimension: int) -> FloatArray:
    m, a, phase = mode
    angle = np.arctan2(points[..., 1], points[..., 0])
    height = 1.0 if dimension == 2 else np.hypot(points[..., 0], points[..., 1]) ** m
    return np.asarray(a * height * np.cos(m * (angle - phase)))


def _gegenbauer(points: FloatArray, mode: tuple[float, ...], dimension: int) -> FloatArray:
    degree, a, _ = mode
    height = points[..., 0]
    if dimension == 2:
        return np.asarray(a * special.eval_chebyt(int(degree), height))
    order = (dimension - 2) / 2.0
    scale = np.exp(
        special.gammaln(degree + 1) + special.gammaln(2 * order) - special.gammaln(degree + 2 * order)
    )
    return np.asarray(a * scale * special.eval_gegenbauer(int(degree), order, height))


def _plane_wave(points: FloatArray, mode: tuple[float, ...], dimension: int) -> FloatArray:  # noqa: ARG001
    if len(mode) == 3:
        return _sectoral(points, mode, 2)
    first, second, a, phase = mode
    angles = np.arctan2(points[..., 1::2], points[..., ::2])
    return np.asarray(a * np.cos(first * angles[..., 0] + second * angles[..., 1] - phase))


def vonmises(center: FloatArray, concentration: float) -> Profile:
    """exp(κ(⟨x, c⟩ − ⟨c, c⟩)), the von Mises–Fisher density about a point c, up to its constant."""
    return lambda points: np.exp(concentration * (points @ center - center @ center))


def mixture(parts: Sequence[tuple[float, Profile, float]]) -> Profile:
    """Σ weight · profile / constant, for rows (weight, profile, constant)."""
    return lambda points: np.asarray(
        sum(weight * profile(points) / total for weight, profile, total in parts)
    )


def sampled(space: Space, densities: FloatArray) -> Profile:
    """Densities given by values on the grid of ``space``, (1 or aux, points), interpolated by its basis."""
    coefficients = space.resized(3 * space.resolution).analyse(_upsampled(space, densities))

    def profile(points: FloatArray) -> FloatArray:
        return space.resized(len(points)).synthesise(coefficients)

    return profile


def interpolated(space: Space, densities: FloatArray) -> Profile:
    """Densities given by values on the grid of ``space``, by the functions of its basis at any point."""

    def profile(points: FloatArray) -> FloatArray:
        rows, count = len(densities), len(points)
        everywhere = np.tile(space.locate(points), (rows, *(1,) * len(space.place)))
        atoms = Atoms(everywhere, np.ones(rows * count), count * np.arange(rows + 1))
        return space.interpolate(densities, atoms).reshape(rows, count)

    return profile


def _upsampled(space: Space, densities: FloatArray) -> FloatArray:
    """Trigonometric interpolation onto three times as many points, which keeps all modes of the table."""
    from scipy.signal import resample

    return np.asarray(resample(densities, 3 * space.resolution, axis=-1))
