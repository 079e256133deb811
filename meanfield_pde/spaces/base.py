"""What the equation needs to know of a token space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.arrays import ComplexArray, FloatArray, IntArray
    from solvers.compiled import Rate

__all__ = ["Atoms", "Axis", "Line", "Space", "Surface", "Transposable", "on_line", "surface", "transposable"]


@dataclass(frozen=True, eq=False)
class Axis:
    """A coordinate of the grid as the output has it: a dimension of its own, increasing."""

    name: str
    values: FloatArray
    long_name: str
    units: str


@dataclass(frozen=True)
class Atoms:
    """Point masses of several rows (nodes): row j holds the atoms ``starts[j]`` to ``starts[j + 1]``.

    Parameters
    ----------
    places
        Where they are, (atoms, *place): see ``Space.place``.
    masses
        (atoms,); they sum to one in every row.
    starts
        (rows + 1,), from 0 to the number of atoms.
    """

    places: FloatArray
    masses: FloatArray
    starts: IntArray

    @property
    def rows(self) -> IntArray:
        """Row of every atom."""
        return np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))

    def sums(self, values: FloatArray) -> FloatArray:
        """Σ mass · value over the atoms of every row, for values (atoms, ...)."""
        weighted = self.masses.reshape(-1, *(1,) * (values.ndim - 1)) * values
        return np.asarray(np.add.reduceat(weighted, self.starts[:-1], axis=0))


class Space(Protocol):
    """A compact token space M in R^d with a grid and a basis in which its Laplacian is diagonal.

    A density ρ is held as real *coefficients* (last axis), the first ``constant`` of which carry its
    mass alone; a function on the grid as *values* (last axis). Tangential fields have a further
    axis for their components along ``frame``. Coefficients are ordered by degree, so that those up to a
    degree come first; the coefficients of a probability density begin with 1.
    """

    @property
    def name(self) -> str:
        """Name in the configuration."""

    @property
    def resolution(self) -> int:
        """Size of the grid as the configuration counts it."""

    @property
    def dimension(self) -> int:
        """Dimension d of the space R^d that holds the tokens (not of its reduced form, where it has one)."""

    @property
    def counted(self) -> str:
        """What ``resolution`` counts, in words: "grid points" or "degrees"."""

    @property
    def points(self) -> FloatArray:
        """Grid points in the embedding, (points, d)."""

    @property
    def radius(self) -> float:
        """Length |x| of all points."""

    def support(self, exponents: FloatArray) -> FloatArray:
        """Largest ⟨ξ,y⟩ over all points y, for vectors ξ (..., d): |ξ| on spheres."""

    @property
    def weights(self) -> FloatArray:
        """Quadrature weights of the grid, (points,); they sum to the volume of M."""

    @property
    def frame(self) -> FloatArray:
        """Orthonormal tangent vectors at the grid points, (points, d − 1, d)."""

    @property
    def fields_by(self) -> Literal["frame", "embedding", "points"]:
        """How smooth tangential fields are held by coefficients.

        By those of their components along the frame, where these are smooth; by those of the vector in the
        embedding (``tangential``); or not at all, but by values at the grid points.
        """

    @property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues of −Δ, one for each coefficient."""

    @property
    def constant(self) -> int:
        """Number of leading coefficients that carry the mass and never move."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Coordinates of the grid, whose points are their product, the last one fastest."""

    @property
    def volume_unit(self) -> str:
        """Unit of the volume measure dx, thus of the weights."""

    @property
    def place(self) -> tuple[int, ...]:
        """Shape of the coordinates of one point: () for an angle, (d,) for a vector of the embedding."""

    @property
    def is_line(self) -> bool:
        """Whether places are angles along one line, which flow maps and finite volumes are made for."""

    @property
    def period(self) -> float | None:
        """Period of the coordinate of a closed line, None elsewhere."""

    def uniform(self) -> FloatArray:
        """Coefficients of the uniform probability density."""

    def analyse(self, values: FloatArray) -> FloatArray:
        """Coefficients (..., coefficients) of the function with these values, dealiased."""

    def synthesise(self, coefficients: FloatArray) -> FloatArray:
        """Values (..., points) of a function with these coefficients (of any degree)."""

    def gradient(self, coefficients: FloatArray) -> FloatArray:
        """Components (..., points, d − 1) of the gradient along ``frame``."""

    def divergence(self, flux: FloatArray) -> FloatArray:
        """Coefficients of the divergence of a tangential field (..., points, d − 1), dealiased."""

    def tangential(self, coefficients: FloatArray) -> FloatArray:
        """Components (..., points, d − 1) along the frame of a vector field (..., d, coefficients) of R^d."""

    def features(self, degree: int) -> FloatArray:
        """Tangential fields that span those up to a degree, (fields, points, d − 1)."""

    def rotate(self, coefficients: FloatArray, angles: FloatArray) -> FloatArray:
        """Rotate the functions (rows, coefficients) by one angle a row: (Rρ)(x) = ρ(R⁻¹x)."""

    def generators(self, coefficients: FloatArray) -> FloatArray:
        """Differentiate rotated functions by the angle, (d(d − 1)/2 or fewer, rows, coefficients)."""

    def rotations(self, angles: FloatArray) -> FloatArray:
        """Matrices (rows, d, d) of what ``rotate`` does, for angles (rows,) or (rows, planes)."""

    def first_moment(self, coefficients: FloatArray) -> FloatArray:
        """First moment ∫ x ρ(x) dx, (..., d)."""

    def plane_wave(self, exponents: FloatArray, degree: int) -> FloatArray:
        """Functionals (n, coefficients): ∫ exp(⟨ξ,y⟩ − h(ξ)) ρ(y) dy for rows ξ (n, d), h = ``support``."""

    def plane_wave_gradient(self, exponents: FloatArray, degree: int) -> FloatArray:
        """Functionals (n, d, coefficients) with L·ρ = ∫ y exp(⟨ξ,y⟩ − h(ξ)) ρ(y) dy."""

    def degree(self, exponent: float, tolerance: float) -> int:
        """Degree above which ∫ exp(⟨ξ,y⟩) ρ(y) dy, |ξ| = exponent, no longer feels the coefficients of ρ."""

    def width(self, degree: int) -> int:
        """Count the coefficients up to this degree."""

    def at_least(self, degree: int) -> Space:
        """Return a space of the same kind whose coefficients reach this degree."""

    def wider(self) -> Space:
        """Return a space with several times the coefficients, on which functions are judged resolved."""

    def covering(self, degree: int) -> FloatArray:
        """Points (n, d) that are as close to each other as functions of this degree ask for."""

    def convolution(
        self, beta: float, metric: FloatArray, value: FloatArray
    ) -> tuple[ComplexArray, ComplexArray] | None:
        """Multipliers of exp(β⟨Bx,y⟩ − β|B|) and of its tangential field, None where it is no convolution.

        One for every degree from 0 on, (degrees,) each, for ``apply_multipliers`` and ``convolved_field``.
        """

    def apply_multipliers(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Multiply coefficients by multipliers of ``convolution``."""

    def convolved_field(self, coefficients: FloatArray, multipliers: ComplexArray) -> FloatArray:
        """Components (..., points, d − 1) of the field of ``convolution``, from (..., coefficients)."""

    def resized(self, resolution: int) -> Space:
        """Return the same space on another grid."""

    def pad(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients of another resolution, on this one (cut or filled with zeros)."""

    def locate(self, vectors: FloatArray) -> FloatArray:
        """Place (..., *place) of the point of M nearest to vectors (..., d)."""

    def wasserstein(
        self, coefficients: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W_order between a density and atoms at these places, by geodesic distance."""

    def wasserstein_atoms(
        self, places: FloatArray, masses: FloatArray, atoms: FloatArray, weights: FloatArray, order: int
    ) -> float:
        """W_order between two sets of atoms."""

    def equivalent(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Places (points, *place) and masses (points,) of points that stand for a density."""

    def distance(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """Geodesic distance of points at these places, elementwise."""

    def nearest_dirac(self, places: FloatArray, masses: FloatArray) -> tuple[FloatArray, float]:
        """Place of the Dirac mass that is nearest in W₂ to a set of atoms, and the distance."""

    def compiled_rates(self) -> Mapping[str, Rate]:
        """Compiled rates, where there are any, by what they serve: "banded", "convolution", "factored"."""

    def embed(self, places: FloatArray) -> FloatArray:
        """Points (..., d) at these places (..., *place)."""

    def frame_at(self, places: FloatArray) -> FloatArray:
        """Orthonormal tangent vectors at these places, (n, d − 1, d)."""

    def normals_at(self, places: FloatArray) -> FloatArray:
        """Return normal vectors n_p = −∇_{τ_p}τ_p at these places, (n, d − 1, d): x itself on spheres.

        A vector A turns by −⟨n_p, A⟩ along τ_p; different tangents of the frame bend no other.
        """

    def moved(self, places: FloatArray, steps: FloatArray) -> FloatArray:
        """Places after steps (n, d − 1) along ``frame_at``: a retraction."""

    def apart(self, first: FloatArray, second: FloatArray) -> float:
        """Largest distance between corresponding places of two laws, after the best common rotation."""

    def analyse_atoms(self, atoms: Atoms, degree: int | None = None) -> FloatArray:
        """Coefficients (rows, coefficients) of atoms: all that the grid keeps, or up to a degree."""

    def interpolate(self, values: FloatArray, atoms: Atoms) -> FloatArray:
        """Values (atoms,) of functions (rows or 1, points) that the grid resolves for interpolation."""

    def interpolate_scaled(
        self, values: FloatArray, exponents: FloatArray, atoms: Atoms
    ) -> tuple[FloatArray, FloatArray]:
        """Interpolate value · e^{exponent}, (rows or 1, points, n) and (rows or 1, points).

        Returns the values (atoms, n), and exponents (atoms,) whose e^{} they are still to be multiplied by.
        """

    def interpolation_resolution(self, exponent: float, tolerance: float, nearby: float = np.inf) -> int:
        """Resolution of a grid that keeps and interpolates all modes of exp(⟨ξ,y⟩), |ξ| = exponent.

        Errors are below ``tolerance`` relative to the largest value, and ``nearby`` relative to the value.
        """

    def tail_weights(self) -> FloatArray:
        """One for the highest coefficients, by which the truncation error is judged, zero elsewhere."""


@runtime_checkable
class Transposable(Protocol):
    """Transposes, under plain dot products, of the transforms of a space with densities on a grid.

    Those of the others follow: ``rotate`` by the angles is transposed by ``rotate`` by minus the angles,
    ``apply_multipliers`` by itself with the conjugate multipliers, and ``tangential`` is ``synthesise`` and
    the frame. Where the Laplacian's eigenfunctions are orthonormal under the quadrature these are its
    transforms themselves with weights; but coefficients of a space need not have the same norm.
    """

    def synthesise_transposed(self, values: FloatArray, count: int) -> FloatArray:
        """Of ``synthesise`` of so many coefficients: (..., points) to (..., count)."""

    def gradient_transposed(self, field: FloatArray, count: int) -> FloatArray:
        """Of ``gradient`` of so many coefficients: (..., points, d − 1) to (..., count)."""

    def divergence_transposed(self, dual: FloatArray) -> FloatArray:
        """Of ``divergence``: (..., coefficients) to (..., points, d − 1)."""

    def convolved_field_transposed(
        self, field: FloatArray, multipliers: ComplexArray, count: int
    ) -> FloatArray:
        """Of ``convolved_field`` of so many coefficients: (..., points, d − 1) to (..., count)."""


def transposable(space: Space) -> Transposable:
    """Return the space with the transposes of its transforms.

    Raises
    ------
    InputError
        When densities have no grid there.
    """
    if not isinstance(space, Transposable):
        raise InputError(f"{space.name}: transposes are for densities on a grid, here there is none")
    return space


@runtime_checkable
class Surface(Protocol):
    """What flows of vectors need of a space whose places are vectors of the embedding."""

    def retract(self, positions: FloatArray) -> FloatArray:
        """Nearest points of the space, for vectors (..., d) about it."""

    def project(self, positions: FloatArray, vectors: FloatArray) -> FloatArray:
        """Tangential parts of vectors (..., d) at points of the space."""


def surface(space: Space) -> Surface:
    """Return the space with what flows of vectors need of it.

    Raises
    ------
    InputError
        When its places are no vectors.
    """
    if not isinstance(space, Surface):
        raise InputError(f"{space.name}: places are angles here, and flows of vectors are for vectors")
    return space


@runtime_checkable
class Line(Protocol):
    """What finite volumes need of a space whose grid points lie on a line, open or closed."""

    def cell_means(self, coefficients: FloatArray) -> FloatArray:
        """Means (..., points) over the cells about the grid points, of a function with these coefficients."""

    def work(self, velocity: FloatArray) -> FloatArray:
        """∫ of a velocity from every grid point to the next, (rows, faces)."""

    def line(self) -> tuple[FloatArray, FloatArray, bool]:
        """Volumes of the cells, conductances of the faces between them, and whether the line is closed."""


def on_line(space: Space) -> Line:
    """Return the space with what finite volumes need of it.

    Raises
    ------
    InputError
        When its grid points do not lie on a line.
    """
    if not isinstance(space, Line):
        raise InputError(f"{space.name}: finite volumes need grid points on a line, here they are not")
    return space
