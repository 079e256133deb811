"""Zonal densities against the circle, quadrature on spheres and closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from meanfield_pde import auxiliary, initial
from meanfield_pde.attention import Attention, Head
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.plain import Plain
from meanfield_pde.equation import Equation
from meanfield_pde.errors import InputError
from meanfield_pde.methods.spectral import Spectral
from meanfield_pde.potential import potential
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.gegenbauer import climbing, gauss, slopes, stacked
from meanfield_pde.spaces.zonal import Zonal, folded
from solvers.finite_volume import Cells, FiniteVolumeStepper, Transport

DIMENSIONS = [2, 3, 5, 8, 64, 1000]


def densities(space, rows=2, seed=0, decay=0.4):
    """Coefficients of smooth functions of mass one; in the mean square they are nearly uniform."""
    rng = np.random.default_rng(seed)
    degree = np.arange(space.resolution + 1)
    coefficients = 0.3 * rng.standard_normal((rows, degree.size)) * np.exp(-decay * degree)
    coefficients[:, 0] = 1.0
    return coefficients


def everywhere(angles):
    """One row of atoms of equal mass."""
    return Atoms(angles, np.full(angles.size, 1.0 / angles.size), np.array([0, angles.size], dtype=np.intp))


def by_ring(kernel, dimension, count=160):
    """Means of kernel(y1, y2) times e_0 … e_16, over the sphere: Gauss on t, and on the projected radius."""
    cosines, shares = gauss(count, dimension)
    across, parts = gauss(count, dimension - 1) if dimension > 2 else (np.array([-1.0, 1.0]), np.full(2, 0.5))
    first = np.broadcast_to(cosines[:, None], (count, across.size))
    second = np.sqrt(1.0 - cosines**2)[:, None] * across
    return (kernel(first, second) @ parts * shares) @ stacked(cosines, 16, dimension).T


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_basis_is_orthonormal(dimension):
    """Recurrences of 64 steps; gradients likewise, relative to their norms, the eigenvalues of −Δ."""
    space = Zonal(64, dimension)
    values = np.stack([space.synthesise(row) for row in np.eye(65)]) * space.volume
    assert np.abs((values * space.probabilities) @ values.T - np.eye(65)).max() < 65e-15
    tangents = np.stack([space.gradient(row)[:, 0] for row in np.eye(65)]) * space.volume
    products = (tangents * space.probabilities) @ tangents.T - np.diag(space.eigenvalues)
    assert np.abs(products).max() < 65e-15 * space.eigenvalues.max()
    assert space.weights.sum() == pytest.approx(space.volume, rel=1e-14)
    # Against differences: errors (h l)²/6 in units of 1/√d, on which e_l varies, and rounding over h.
    unit = dimension**-0.5
    angles, step = np.pi / 2.0 + unit * np.linspace(-0.4, 0.3, 7), 3e-6 * unit
    found = slopes(np.cos(angles), np.sin(angles), 5, dimension)
    ends = [stacked(np.cos(angles + sign * step), 5, dimension) for sign in (1, -1)]
    assert np.abs((ends[0] - ends[1]) / (2.0 * step) - found).max() < 1e-9 * np.abs(found).max()


@pytest.mark.parametrize("dimension", [2, 3, 7, 400])
def test_polynomials_against_scipy(dimension):
    """P_l(t) = C_l^λ(t) / C_l^λ(1) times √dim_l; Chebyshev's for d = 2. Recurrences of 12 steps."""
    cosines = np.linspace(-0.4, 0.4, 9)
    shape = (dimension - 3) / 2.0
    for degree, found in enumerate(stacked(cosines, 12, dimension)):
        scaled = special.eval_jacobi(degree, shape, shape, cosines) / special.eval_jacobi(
            degree, shape, shape, 1.0
        )
        size = math.comb(degree + dimension - 1, dimension - 1) - math.comb(
            max(degree + dimension - 3, 0), dimension - 1
        )
        assert np.abs(found - math.sqrt(size) * scaled).max() < 1e-14 * max(1.0, np.abs(found).max())


@pytest.mark.parametrize("dimension", [2, 3, 6, 900])
def test_the_basis_two_dimensions_higher(dimension):
    """e_l = a_l e_l^{(d+2)} − c_l e_{l−2}^{(d+2)}: a few roundings."""
    cosines = np.linspace(-0.5, 0.5, 5)
    above = stacked(cosines, 9, dimension + 2)
    raised, lowered = climbing(9, dimension)
    found = raised[:, None] * above
    found[2:] -= lowered[2:, None] * above[:-2]
    exact = stacked(cosines, 9, dimension)
    assert (np.abs(found - exact).max(axis=1) < 1e-14 * np.abs(exact).max(axis=1)).all()


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_analysis_inverts_synthesis_and_products_are_not_aliased(dimension):
    """One product with matrices of 65 columns there and back; products as on a grid three times as fine."""
    space = Zonal(64, dimension)
    first, second = np.random.default_rng(1).standard_normal((2, 65))
    # Relative to the scale 1/|M| of values, all numbers are of order one in the mean square.
    assert np.abs(space.analyse(space.synthesise(first)) - first).max() < 65e-15
    coarse, fine = (
        grid.analyse(grid.synthesise(grid.pad(first)) * grid.volume * grid.synthesise(grid.pad(second)))[:65]
        for grid in (Zonal(64, dimension), Zonal(100, dimension))
    )
    assert np.abs(coarse - fine).max() < 1e-13 * np.abs(fine).max()


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_derivatives_and_the_laplacian(dimension):
    space = Zonal(24, dimension)
    coefficients = densities(space)
    # The eigenvalue multiplies what quadrature rounds.
    laplacian = space.divergence(space.gradient(coefficients))
    assert np.abs(laplacian + space.eigenvalues * coefficients).max() < 1e-15 * 24 * space.eigenvalues.max()
    # By parts, with the flux of a density that moves along ∇e_2: exact in polynomials.
    flux = space.synthesise(coefficients)[..., None] * space.features(2)[1]
    fine = Zonal(60, dimension)
    precise = fine.divergence(fine.synthesise(coefficients)[..., None] * fine.features(2)[1])[:, :25]
    assert np.abs(space.divergence(flux) - precise).max() < 1e-13 * np.abs(precise).max()
    assert (space.divergence(flux)[:, 0] == 0.0).all()


def test_geometry():
    space = Zonal(20, 5)
    assert (np.diff(space.axes[0].values) > 0.0).all()
    assert np.abs((space.frame[:, 0] * space.points).sum(axis=1)).max() < 1e-16
    step = np.stack([np.cos(space.angles + 1e-6), np.sin(space.angles + 1e-6)], axis=1) - space.points
    assert ((space.frame[:, 0] * step).sum(axis=1) > 0.0).all()
    assert np.abs(space.embed(space.angles) - space.points).max() < 1e-15
    places = np.array([0.3, -0.3, 2.0 * np.pi - 0.3, 2.0 * np.pi + 0.3, 3.0])
    assert np.abs(folded(places) - [0.3, 0.3, 0.3, 0.3, 3.0]).max() < 1e-15
    assert np.abs(space.locate(2.0 * space.embed(places)) - folded(places)).max() < 1e-15
    assert space.locate(np.zeros(2)) == 0.0
    assert Zonal(8, 3).weights.sum() == pytest.approx(4.0 * np.pi, rel=1e-14)
    assert [Zonal(8, d).volume_unit for d in (2, 3, 4)] == ["rad", "sr", "1"]
    assert 0.0 < Zonal(8, 250).weights.sum() < 1e-144
    assert Zonal(8, 251).weights.sum() == pytest.approx(1.0, rel=1e-14)


def test_steps_beyond_a_pole():
    """A step along the frame goes on down the other side, and what is measured is folded."""
    space = Zonal(8, 3)
    places = np.array([0.1, 3.0])
    after = space.moved(places, np.array([[-0.3], [0.5]]))
    assert np.abs(folded(after) - [0.2, 2.0 * np.pi - 3.5]).max() < 1e-15
    assert space.apart(after, places) == pytest.approx(6.5 - 2.0 * np.pi, rel=1e-14)
    # n = −∇_τ τ, by differences along the meridian: h² / 6.
    ends = [space.frame_at(places + sign * 1e-5)[:, 0] for sign in (1, -1)]
    assert np.abs(space.normals_at(places)[:, 0] + (ends[0] - ends[1]) / 2e-5).max() < 1e-10


def test_only_the_identity_is_a_rotation():
    space = Zonal(8, 3)
    coefficients = densities(space)
    assert (space.rotate(coefficients, np.zeros(2)) == coefficients).all()
    assert (space.rotations(np.zeros(3)) == np.eye(2)).all()
    assert space.generators(coefficients).shape == (0, 2, 9)
    with pytest.raises(ValueError, match=r"got 0\.5"):
        space.rotate(coefficients, np.array([0.0, 0.5]))


def test_what_cannot_be_held_is_refused():
    with pytest.raises(InputError, match="dimension"):
        Zonal(8, 1)
    with pytest.raises(InputError, match="resolution"):
        Zonal(0, 3)
    with pytest.raises(InputError, match="overflow with 1501 nodes"):
        _ = Zonal(1000, 1000).points


def as_circle(coefficients):
    """Fourier coefficients of the symmetric density: e_l = √2 cos lα, so c_m = c_l/√2."""
    spectrum = coefficients / math.sqrt(2.0)
    spectrum[..., 0] = coefficients[..., 0]
    return np.stack([spectrum, np.zeros_like(spectrum)], axis=-1).reshape(*coefficients.shape[:-1], -1)


def test_in_the_plane_it_is_the_circle():
    """All operators on symmetric densities, at the same angles: roundings of 40 modes."""
    zonal, circle = Zonal(40, 2), Circle(121)
    coefficients = densities(zonal)
    spectrum = as_circle(coefficients)
    around = everywhere(zonal.angles)
    for ours, theirs in (
        (zonal.synthesise(coefficients), circle.synthesise(spectrum)),
        (zonal.gradient(coefficients)[..., 0], circle.gradient(spectrum)[..., 0]),
    ):
        waves = Circle(1024)  # interpolates: 9 digits of its local polynomials are to spare
        fine = waves.synthesise(waves.pad(circle.analyse(theirs)))
        for row, values in zip(ours, fine, strict=True):
            assert np.abs(waves.interpolate(values[None], around) - row).max() < 1e-12
    assert np.abs(zonal.first_moment(coefficients) - circle.first_moment(spectrum)).max() < 1e-15
    exponents = np.random.default_rng(3).standard_normal((5, 2))
    for ours, theirs in (
        (zonal.plane_wave(exponents, 40), circle.plane_wave(exponents, 40)),
        (zonal.plane_wave_gradient(exponents, 40), circle.plane_wave_gradient(exponents, 40)),
    ):
        assert np.abs(ours @ coefficients[0] - theirs @ spectrum[0]).max() < 1e-15
    for ours, theirs in zip(
        zonal.convolution(3.0, -0.5 * np.eye(2), 2.0 * np.eye(2)),
        circle.convolution(3.0, -0.5 * np.eye(2), 2.0 * np.eye(2)),
        strict=True,
    ):
        values = zonal.synthesise(zonal.apply_multipliers(coefficients, ours))
        same = circle.synthesise(circle.apply_multipliers(spectrum, theirs))
        if np.abs(theirs.imag).max() < 1e-14:
            assert np.abs(Circle(1024).interpolate(_fine(circle, same), around) - values[0]).max() < 1e-12
        else:
            field = zonal.convolved_field(coefficients, ours)[0, :, 0]
            assert np.abs(Circle(1024).interpolate(_fine(circle, same), around) - field).max() < 1e-12


def _fine(circle, values):
    fine = Circle(1024)
    return fine.synthesise(fine.pad(circle.analyse(values[:1])))


@pytest.mark.parametrize("length", [0.0, 1e-9, 1.0, 30.0])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_plane_waves_by_quadrature(dimension, length):
    """∫e^{⟨ξ,y⟩ − |ξ|} e_l dP and with y₁ and the radial y₂ inside; ξ also along the axis and across it.

    All values are below one; the quadrature has 160 nodes in t and in the projected radius.
    """
    space = Zonal(16, dimension)
    angles = np.array([0.0, 0.7, np.pi / 2.0, 2.5, np.pi, -1.0])
    exponents = length * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    waves, gradients = space.plane_wave(exponents, 16), space.plane_wave_gradient(exponents, 16)
    assert space.support(exponents) == pytest.approx(length, rel=1e-15)
    for row, (along, across) in enumerate(exponents):

        def kernel(first, second, along=along, across=across):
            return np.exp(along * first + across * second - length)

        assert np.abs(by_ring(kernel, dimension) - waves[row]).max() < 1e-14
        weighted = [
            by_ring(lambda one, two, by=by, kernel=kernel: (one, two)[by] * kernel(one, two), dimension)
            for by in (0, 1)
        ]
        assert np.abs(np.stack(weighted) - gradients[row]).max() < 1e-14


def test_on_the_ordinary_sphere_by_quadrature_in_space():
    """Plane waves and moments of ρ(cos α) on S², summed over colatitude and longitude."""
    space = Zonal(12, 3)
    coefficients = densities(space, rows=1)[0]
    heights, shares = np.polynomial.legendre.leggauss(60)
    longitudes = 2.0 * np.pi * np.arange(80) / 80
    radius = np.sqrt(1.0 - heights**2)[:, None]
    body = np.stack(
        [
            heights[:, None] + 0.0 * longitudes,
            radius * np.cos(longitudes),
            radius * np.sin(longitudes),
        ],
        axis=-1,
    )
    mass = (shares[:, None] * 2.0 * np.pi / 80) * (coefficients @ stacked(heights, 12, 3) / (4.0 * np.pi))[
        :, None
    ]
    for exponent in ([1.3, -0.4], [0.0, 2.0]):
        kernel = mass * np.exp(body[..., :2] @ np.array(exponent) - np.hypot(*exponent))
        total = (space.plane_wave(np.array([exponent]), 12) @ coefficients)[0]
        assert total == pytest.approx(kernel.sum(), abs=1e-14)  # a sum of 4800 terms
        vector = np.einsum("ij,ijd->d", kernel, body)
        found = space.plane_wave_gradient(np.array([exponent]), 12)[0] @ coefficients
        assert np.abs(found - vector[:2]).max() < 1e-14
        assert abs(vector[2]) < 1e-14
    assert np.abs(space.first_moment(coefficients) - np.einsum("ij,ijd->d", mass, body)[:2]).max() < 1e-14


@pytest.mark.parametrize("beta", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_convolutions_are_plane_waves(dimension, beta):
    """Multipliers for B = −0.7 I and V = 1.3 I, against the functionals of every query."""
    metric, value = -0.7 * np.eye(2), 1.3 * np.eye(2)
    space = Zonal(16, dimension)
    coefficients = densities(space)
    exponents = beta * space.points @ metric.T
    kernel, field = space.convolution(beta, metric, value)
    total = space.synthesise(space.apply_multipliers(coefficients, kernel))
    assert np.abs(total - coefficients @ space.plane_wave(exponents, 16).T).max() < 1e-14
    tangent = (space.frame[:, 0] @ value)[..., None] * space.plane_wave_gradient(exponents, 16)
    expected = coefficients @ tangent.sum(axis=1).T
    assert np.abs(space.convolved_field(coefficients, field)[..., 0] - expected).max() < 1e-14
    assert space.convolution(1.0, np.diag([1.0, 0.5]), value) is None
    assert space.convolution(1.0, metric, np.diag([1.0, 0.5])) is None


def layer(beta=3.0, normalization="softmax", value=None):
    head = Head.plain(beta, 2) if value is None else Head(beta, np.eye(2), np.eye(2), value)
    return Attention((head,), auxiliary.none(), normalization=normalization)


@pytest.mark.parametrize("normalization", ["none", "softmax"])
@pytest.mark.parametrize("dimension", [2, 3, 5, 8, 64])
@pytest.mark.parametrize("beta", [0.5, 5.0])
def test_growth_rates_about_the_uniform_law(dimension, beta, normalization):
    """Row 2 of section 7: l(l+d−2)(c_l/β − σ), with c_l/(β c_0) for softmax; c_l by Bessel functions.

    A difference of ±1e-5: the third order of SA leaves 1e-10, rounding 1e-16 / 1e-5.
    """
    sigma, step = 0.05, 1e-5
    space = Zonal(12, dimension)
    equation = Equation(AttentionField(space, layer(beta, normalization)), None, sigma)
    order, half = np.arange(13), dimension / 2.0
    kernel = special.gamma(half) * (2.0 / beta) ** (half - 1.0) * special.iv(order + half - 1.0, beta)
    unit = kernel[0] if normalization == "softmax" else 1.0
    rates = (order * (order + dimension - 2.0) * (kernel / (beta * unit) - sigma))[1:]
    states = step * np.eye(12)
    moved = np.array(
        [
            [(equation.nonlinear(s[None]) + equation.linear * s)[0] for s in (state, -state)]
            for state in states
        ]
    )
    found = np.diagonal((moved[:, 0] - moved[:, 1]) / (2.0 * step))
    assert np.abs(found - rates).max() < 1e-9 * np.abs(rates).max()


@pytest.mark.parametrize("dimension", [2, 3, 64])
def test_special_and_general_operator_agree(dimension):
    """The convolution against the plain operator, and matrices diag(a, b), which keep the axis."""
    space = Zonal(20, dimension)
    coefficients = densities(space)[:1]
    setting = AttentionField(space, layer()).heads[0].setting
    first, second = AttentionField(space, layer()).heads[0].operator.sums(coefficients), Plain(setting)
    assert np.abs(first.total - second.sums(coefficients).total).max() < 1e-14
    assert np.abs(first.field - second.sums(coefficients).field).max() < 1e-14
    # In the plane of axis and radius V = diag(1, 1/2) halves the radial component of A.
    plain = AttentionField(space, layer()).velocity(coefficients)[0, :, 0]
    halved = AttentionField(space, layer(value=np.diag([1.0, 0.5]))).velocity(coefficients)[0, :, 0]
    axial = AttentionField(space, layer(value=np.diag([1.0, 0.0]))).velocity(coefficients)[0, :, 0]
    assert np.abs(halved - (plain + axial) / 2.0).max() < 1e-14


def spectral(problem):
    """Coefficients at the last depth by the spectral method."""
    method = Spectral.start(problem)
    while method.advance(problem.depths[-1], 10**4) != "reached":
        pass
    return method.coefficients


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_heat(dimension):
    """Attention off (V = 0): mode l decays as exp(−σ l(l+d−2) t), exactly but for atol."""
    space = Zonal(16, dimension)
    start = initial.Initial(lambda points: 1.0 + 0.4 * points[..., 0] + 0.3 * points[..., 0] ** 2)
    sigma = 0.3 / dimension
    depths = np.array([0.0, 1.0])
    problem = Problem(space, layer(value=np.zeros((2, 2))), depths, start, sigma, method="spectral")
    first, last = start.coefficients(space, problem.auxiliary)[0], spectral(problem)[0]
    assert np.abs(last[:17] - np.exp(-sigma * space.eigenvalues) * first).max() < 1e-10
    assert min(abs(first[1:3])) > 1e-4  # there is something to decay


@pytest.mark.parametrize("dimension", [2, 3, 8, 64, 1000])
def test_cells(dimension):
    """Cells hold the weights of their points, and means are integrals by Gauss–Legendre over each cell."""
    space = Zonal(20, dimension)
    coefficients = densities(space)
    volumes, conductances, closed = space.line()
    assert not closed
    assert volumes.size == len(space.points) == conductances.size + 1
    edges = np.concatenate([[np.pi], np.arctan2(space._edges.sines, space._edges.cosines), [0.0]])
    assert (edges[1:-1] < space.angles[:-1]).all()
    assert (edges[1:-1] > space.angles[1:]).all()
    nodes, weights = np.polynomial.legendre.leggauss(60)
    half = -np.diff(edges)[:, None] / 2.0
    angles = (edges[1:] + edges[:-1])[:, None] / 2.0 + half * nodes
    law = np.exp((dimension - 2.0) * np.log(np.sin(angles)) - special.betaln((dimension - 1) / 2.0, 0.5))
    share = half * weights * law * space.volume
    # The largest errors are those of sin^{d−2} α from its logarithm: d roundings.
    allowed = 1e-15 * (20 + dimension)
    assert np.abs(share.sum(axis=1) - volumes).max() < allowed * space.volume
    values = coefficients @ stacked(np.cos(angles).ravel(), 20, dimension) / space.volume
    expected = (share * values.reshape(2, *angles.shape)).sum(axis=2)
    assert np.abs(space.cell_means(coefficients) * volumes - expected).max() < allowed
    mass = space.cell_means(coefficients) @ volumes
    assert np.abs(mass - 1.0).max() < 1e-14


def test_tiny_cells_stay_positive():
    """d = 250: the last cells would underflow. What they would hold is below 1e-300."""
    space = Zonal(1000, 250)
    volumes, conductances, _ = space.line()
    Cells(volumes, conductances, periodic=False)  # refuses what is not positive and finite
    assert (space.volume * space.probabilities).min() < 1e-300 == volumes.min()


def test_work_along_the_grid():
    """∫ v dα from point to point of v = sin α + sin 3α / 2, odd at the poles: fourth order, and its sign."""
    errors = []
    for resolution in (16, 32):
        space = Zonal(resolution, 4)
        primitive = -np.cos(space.angles) - np.cos(3.0 * space.angles) / 6.0
        velocity = np.sin(space.angles) + np.sin(3.0 * space.angles) / 2.0
        errors.append(np.abs(space.work(velocity[None])[0] - np.diff(primitive)).max())
    # The work of one interval is of fifth order; points are at (k + const)/(n + 1).
    assert errors[1] < 1e-5
    assert 4.6 < np.log2(errors[0] / errors[1]) / np.log2(50 / 26) < 5.4


def finite_volumes(problem, resolution, depth):
    """Run the stepper on the cells of the zonal line, with the work of the potential or of the velocity."""
    space = problem.space.resized(resolution)
    field = AttentionField(space, problem.attention)
    flat = not problem.attention.heads[0].value.any()

    def work(density):
        coefficients = space.analyse(density)
        if flat:
            return space.work(field.velocity(coefficients)[..., 0])
        return np.diff(potential(field, coefficients))

    coefficients = problem.initial.coefficients(Zonal(50, space.dimension), problem.auxiliary)
    start = np.maximum(space.cell_means(coefficients), 0.0)
    # What was cut off is rounding error in cells about the poles, where next to no mass is.
    assert np.abs(start @ space.weights - 1.0).max() < 1e-12
    stepper = FiniteVolumeStepper(Cells(*space.line()), Transport(problem.sigma, work), 1e-6, start)
    assert stepper.advance(depth, 10**5) == "reached"
    return space, stepper.density


@pytest.mark.parametrize("attending", [False, True])
@pytest.mark.parametrize("dimension", [2, 3, 5, 64])
def test_finite_volumes_tend_to_the_spectral_solution(dimension, attending):
    """Errors in L¹ against the means of the spectral solution fall with the second power of the spacing.

    Points are π/(n + d/2 − 1) apart. Time steps may add 1e-6, less than a hundredth.
    """
    attention = layer() if attending else layer(value=np.zeros((2, 2)))
    concentration = 2.0 * max(1.0, dimension / 8.0)
    start = initial.Initial(initial.vonmises(np.array([1.0, 0.0]), concentration))
    sigma, depth = (0.3 if dimension < 10 else 0.02), 0.3
    problem = Problem(
        Zonal(16, dimension), attention, np.array([0.0, depth]), start, sigma, method="spectral"
    )
    coefficients = spectral(replace(problem, accuracy=Accuracy(1e-9, 1e-11)))
    errors, spacing = [], []
    for resolution in (32, 64):
        space, density = finite_volumes(problem, resolution, depth)
        assert density.min() >= 0.0
        assert np.abs(density @ space.weights - 1.0).max() < 1e-13
        errors.append((np.abs(density - space.cell_means(coefficients)) @ space.weights)[0])
        spacing.append(1.0 / (len(space.points) + dimension / 2.0 - 1.0))
    order = np.log(errors[0] / errors[1]) / np.log(spacing[0] / spacing[1])
    assert 1.9 < order < 2.2
    assert errors[1] < 5e-3


def test_interpolation_at_any_angle():
    """e^{6 cos α}, also relative to a large exponent; α, −α and 2π − α are one point."""
    rng = np.random.default_rng(5)
    angles = rng.uniform(-4.0, 9.0, 60)
    atoms = Atoms(angles, np.full(60, 1.0 / 20), np.array([0, 20, 60], dtype=np.intp))
    for dimension in (2, 3, 8):
        space = Zonal(8, dimension)
        space = space.resized(space.interpolation_resolution(6.0, 1e-15))
        values = np.exp(6.0 * (space.cosines - 1.0))
        both = np.stack([values, -2.0 * values])
        exact = np.exp(6.0 * (np.cos(angles) - 1.0)) * np.where(atoms.rows == 0, 1.0, -2.0)
        # √dim_L times the rounding errors at the poles, and sums of L terms.
        assert np.abs(space.interpolate(both, atoms) - exact).max() < 1e-12
        assert (
            np.abs(
                space.interpolate(values[None], everywhere(angles))
                - np.abs(exact) / np.where(atoms.rows == 0, 1.0, 2.0)
            ).max()
            < 1e-12
        )
        scaled, reference = space.interpolate_scaled(
            np.ones((1, values.size, 1)), 700.0 + 6.0 * (space.cosines[None] - 1.0), atoms
        )
        found = scaled[:, 0] * np.exp(reference - 700.0)
        assert np.abs(found - np.exp(6.0 * (np.cos(angles) - 1.0))).max() < 1e-12


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_atoms_are_rings(dimension):
    """∫ e_l of rings at quantiles is that of the density: the sum over 2048 pieces converges."""
    space = Zonal(6, dimension)
    coefficients = densities(space, rows=1, decay=1.5)[0]
    places, masses = space.equivalent(coefficients)
    found = space.analyse_atoms(Atoms(places, masses, np.array([0, places.size], dtype=np.intp)))
    # Midpoints of 2048 quantiles: the tails beyond the outermost move e_6 by its size times 1/4096.
    assert np.abs(found - coefficients).max() < 0.02
    assert np.abs(found - coefficients)[0, :3].max() < 1e-3
    pole = Atoms(np.array([0.0]), np.ones(1), np.array([0, 1], dtype=np.intp))
    dims = [
        math.comb(k + dimension - 1, dimension - 1) - math.comb(k + dimension - 3, dimension - 1)
        for k in (2, 3)
    ]
    assert space.analyse_atoms(pole)[0, 2:4] == pytest.approx(np.sqrt(dims), rel=1e-13)
    assert space.analyse_atoms(pole, 2).shape == (1, 3)


@pytest.mark.parametrize("order", [1, 2])
def test_distances_of_the_uniform_law(order):
    """From a pole of S²: ∫ α^p sin α / 2 = π/2, π²/2 − 2; of S¹: π/2, π²/3. Quantiles: π/(8 · 2048)."""
    exact = {2: {1: np.pi / 2.0, 2: np.pi**2 / 3.0}, 3: {1: np.pi / 2.0, 2: np.pi**2 / 2.0 - 2.0}}
    for dimension, moments in exact.items():
        space = Zonal(8, dimension)
        found = space.wasserstein(space.uniform(), np.array([0.0]), np.ones(1), order)
        assert found == pytest.approx(moments[order] ** (1.0 / order), abs=np.pi / (8 * 2048))


@pytest.mark.parametrize("order", [1, 2])
def test_distances_of_rings(order):
    """0.3 of the mass at 0.2 and 0.7 at 1.0, against halves at 0.4 and 2.0; ring by ring by hand."""
    space = Zonal(8, 4)
    places, masses = np.array([1.0, 2.0 * np.pi - 0.2]), np.array([0.7, 0.3])
    atoms, weights = np.array([-2.0, 0.4]), np.array([0.5, 0.5])
    exact = (0.3 * 0.2**order + 0.2 * 0.6**order + 0.5 * 1.0**order) ** (1.0 / order)
    assert space.wasserstein_atoms(places, masses, atoms, weights, order) == pytest.approx(exact, rel=1e-14)
    assert space.distance(places, atoms) == pytest.approx([1.0, 0.2], rel=1e-14)


def test_the_same_distances_as_on_the_circle():
    zonal, circle = Zonal(24, 2), Circle(73)
    coefficients = densities(zonal, rows=1)[0]
    found = zonal.wasserstein(coefficients, np.array([0.5, 2.0]), np.array([0.4, 0.6]), 2)
    mirrored = np.array([0.5, -0.5, 2.0, -2.0]), np.array([0.2, 0.2, 0.3, 0.3])
    # Both by 2048 quantiles; POT stops at 1e-6 for the squared distance.
    assert found == pytest.approx(circle.wasserstein(as_circle(coefficients), *mirrored, 2), abs=1e-3)


def test_the_nearest_pole():
    space = Zonal(8, 3)
    place, far = space.nearest_dirac(np.array([0.3, -0.1]), np.array([0.5, 0.5]))
    assert (place, far) == (0.0, pytest.approx(math.sqrt(0.05), rel=1e-14))
    place, far = space.nearest_dirac(np.array([np.pi - 0.2]), np.ones(1))
    assert (place, far) == (pytest.approx(np.pi), pytest.approx(0.2, rel=1e-14))


def test_sizes():
    space = Zonal(12, 6)
    assert space.width(12) == space.uniform().size == space.eigenvalues.size == 13
    assert space.pad(np.arange(20.0)).tolist() == list(range(13))
    assert space.resized(20).pad(np.ones(13))[13:].tolist() == [0.0] * 8
    assert (space.at_least(30).resolution, space.at_least(3).resolution, space.wider().resolution) == (
        30,
        12,
        36,
    )
    assert space.features(3).shape == (3, len(space.points), 1)
    tail = Zonal(60, 6).tail_weights()
    assert tail.sum() == 10
    assert tail[-10:].all()
    # Coefficients of a higher degree than the grid keeps are evaluated where the points are.
    longer = densities(Zonal(30, 6))
    assert (
        np.abs(space.synthesise(longer) * space.volume - longer @ stacked(space.cosines, 30, 6)).max() < 1e-13
    )
    assert space.gradient(longer).shape == (2, len(space.points), 1)
    disc = space.covering(10)
    assert np.linalg.norm(disc, axis=1).max() == pytest.approx(1.0)
    # No point of the disc is farther from all of them than a wave of degree 10 is long.
    tried = np.random.default_rng(6).uniform(-1.0, 1.0, (400, 2))
    tried = tried[np.linalg.norm(tried, axis=1) <= 1.0]
    assert np.linalg.norm(tried[:, None] - disc, axis=-1).min(axis=1).max() < 2.0 * np.pi / 10 / 2
