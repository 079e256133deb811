"""The sphere S² against quadrature, dense sums, closed forms and scipy's harmonics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from meanfield_pde.errors import InputError
from meanfield_pde.spaces import funk_hecke
from meanfield_pde.spaces.base import Atoms, on_line
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.sphere_harmonics import degrees, harmonics
from tests.cases import SEEDS

AREA = 4.0 * np.pi
SIZES = st.sampled_from([1, 2, 3, 4, 7, 12, 15, 16])


def random_directions(rng, count):
    vectors = rng.standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def random_rotation(rng):
    matrix, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return matrix * np.sign(np.linalg.det(matrix))


def random_coefficients(space, rows, rng, decay=0.5):
    label = degrees(space.resolution)
    coefficients = rng.uniform(-1.0, 1.0, (rows, label.size)) * np.exp(-decay * label)
    coefficients[:, 0] = 1.0
    return coefficients


def fisher(space, center, concentration):
    """Coefficients c_l(κ)/c_0(κ) e_lm(μ) of a von Mises–Fisher density."""
    sizes = funk_hecke.coefficients(np.array([concentration]), space.resolution, 3)[0]
    waves = harmonics(np.array([center]), space.resolution)[:, 0]
    return (sizes / sizes[0])[degrees(space.resolution)] * waves


def atoms_of(rng, counts):
    masses = [rng.uniform(0.1, 1.0, count) for count in counts]
    starts = np.concatenate([[0], np.cumsum(counts)])
    places = random_directions(rng, starts[-1])
    return Atoms(places, np.concatenate([part / part.sum() for part in masses]), starts)


def scipy_harmonics(points, degree):
    """√(4π) times scipy's, made real, without the phase (−1)^m: (width, n)."""
    theta = np.arctan2(np.hypot(points[:, 0], points[:, 1]), points[:, 2])
    phi = np.arctan2(points[:, 1], points[:, 0])
    rows = []
    for l in range(degree + 1):  # noqa: E741
        for m in range(-l, l + 1):
            value = special.sph_harm_y(l, abs(m), theta, phi) * np.sqrt(AREA) * (-1.0) ** m
            scale = np.sqrt(2.0) if m else 1.0
            rows.append(scale * (value.imag if m < 0 else value.real))
    return np.array(rows)


def test_harmonics_are_those_of_scipy():
    points = random_directions(np.random.default_rng(0), 40)
    points[:2] = [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]
    # Values up to √41 = 6.4, slopes up to 20 times that, angles of up to π rounded to 4e-16.
    assert np.abs(harmonics(points, 20) - scipy_harmonics(points, 20)).max() < 1e-13


@pytest.mark.parametrize("resolution", [1, 2, 5, 15, 31])
def test_harmonics_are_orthonormal_on_the_grid(resolution):
    space = Sphere(resolution)
    assert space.weights.sum() == pytest.approx(AREA, rel=1e-15)
    waves = harmonics(space.points, resolution)
    gram = (waves * (space.weights / AREA)) @ waves.T
    # Harmonics of up to √63 with an error of about 32 roundings each.
    assert np.abs(gram - np.eye(len(waves))).max() < 1e-13


@pytest.mark.parametrize("resolution", [1, 2, 3, 8, 31])
def test_synthesis_and_analysis_by_dense_sums(resolution):
    space, rng = Sphere(resolution), np.random.default_rng(1)
    coefficients = rng.standard_normal((2, 2, space.width(resolution)))
    waves = harmonics(space.points, resolution)
    values = space.synthesise(coefficients)
    size = np.abs(coefficients).sum(axis=-1).max() * np.sqrt(2 * resolution + 1) / AREA
    assert np.abs(values - coefficients @ waves / AREA).max() < 1e-14 * size  # 32 roundings, two signs
    rough = rng.standard_normal(values.shape)
    found, expected = space.analyse(rough), (rough * space.weights) @ waves.T
    assert np.abs(found - expected).max() < 1e-13  # thousands of terms of 1/thousands times √63
    assert np.abs(space.analyse(values) - coefficients).max() < 1e-13
    assert space.synthesise(coefficients[:0]).shape == (0, 2, len(space.points))
    many = rng.standard_normal((150, space.width(resolution)))  # several blocks for the largest
    assert np.abs(space.analyse(space.synthesise(many)) - many).max() < 1e-13


@pytest.mark.parametrize("degree", [0, 3, 8, 11, 12, 13, 24, 25, 40])
def test_any_degree_is_evaluated_on_any_grid(degree):
    """Also orders that the longitudes cannot tell apart (25 of them): values are those of the function."""
    space, rng = Sphere(8), np.random.default_rng(2)
    assert space.grid.shape == (14, 25)
    coefficients = rng.standard_normal((2, space.width(degree)))
    waves = harmonics(space.points, degree)
    size = max(1.0, np.abs(coefficients).sum(axis=-1).max() * np.sqrt(2 * degree + 1) / AREA)
    # A few roundings of the sum of all absolute terms.
    assert np.abs(space.synthesise(coefficients) - coefficients @ waves / AREA).max() < 2e-15 * size
    found = space.gradient(coefficients)
    # Derivatives by turning about e_i are −(e_i × x)·∇f; of f = ⟨x,…⟩ they determine ∇f.
    turned = space.generators(coefficients) @ waves / AREA
    axes = np.cross(np.eye(3)[:, None], space.points[None])
    expected = np.einsum("rni,rid,ied->nie", turned, -axes, space.frame)
    assert np.abs(found - expected).max() < 2e-15 * (degree + 1) * size  # derivatives of degree l: a factor l


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_divergence_is_the_adjoint_of_the_gradient(resolution, seed):
    space, rng = Sphere(resolution), np.random.default_rng(seed)
    flux = rng.standard_normal((3, len(space.points), 2))
    gradients = AREA * space.gradient(np.eye(space.width(resolution)))
    expected = -np.einsum("nie,kie,i->nk", flux, gradients, space.weights)
    found = space.divergence(flux)
    assert not found[:, 0].any()
    assert (
        np.abs(found - expected).max() < 1e-13
    )  # sums of numbers of order l √(2l + 1) ≤ 100, mean weight 4π/n


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_the_flux_of_a_gradient_field(resolution, seed):
    """div(ρ∇Φ) = ½[Δ(ρΦ) + ρΔΦ − ΦΔρ]: all products of two kept functions, analysed without aliasing."""
    space, rng = Sphere(resolution), np.random.default_rng(seed)
    density, potential = rng.standard_normal((2, space.width(resolution)))
    found = space.divergence(space.synthesise(density)[:, None] * space.gradient(potential))
    values = [space.synthesise(part) for part in (density, potential)]
    curved = [space.synthesise(-space.eigenvalues * part) for part in (density, potential)]
    product = -space.eigenvalues * space.analyse(values[0] * values[1])
    expected = 0.5 * (product + space.analyse(values[0] * curved[1] - values[1] * curved[0]))
    scale = np.abs(values[0]).max() * np.abs(values[1]).max() * space.eigenvalues.max()
    assert np.abs(found - expected).max() < 1e-13 * max(
        scale, 1.0
    )  # terms of that size times √33 at the most


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_products_are_not_aliased(resolution, seed):
    space, rng = Sphere(resolution), np.random.default_rng(seed)
    a, b = rng.standard_normal((2, space.width(resolution)))
    fine = Sphere(2 * resolution)
    expected = fine.analyse(fine.synthesise(a) * fine.synthesise(b))[: a.size]
    found = space.analyse(space.synthesise(a) * space.synthesise(b))
    assert np.abs(found - expected).max() < 1e-13 * max(1.0, np.abs(expected).max())  # up to 33 roundings


def test_the_laplacian_and_a_closed_form():
    """ρ = e^{κ⟨μ,x⟩} is resolved by degree 40: ∇ρ = κ ρ P_x μ, and div ∇ρ = Δρ."""
    space, center = Sphere(40), np.array([0.36, -0.48, 0.8])
    coefficients = fisher(space, center, 5.0)
    density = space.synthesise(coefficients)
    expected = np.exp(5.0 * (space.points @ center))
    expected *= 5.0 / (AREA * np.sinh(5.0))
    assert np.abs(density - expected).max() < 1e-13
    gradient = space.gradient(coefficients)
    assert np.abs(gradient - 5.0 * expected[:, None] * (space.frame @ center)).max() < 1e-12  # degree 40
    second = space.divergence(gradient)
    assert np.abs(second + space.eigenvalues * coefficients).max() < 1e-12 * 40  # l(l + 1) times roundings
    mean = 1.0 / np.tanh(5.0) - 0.2
    assert np.abs(space.first_moment(coefficients) - mean * center).max() < 1e-15


def test_geometry():
    space = Sphere(9)
    vectors = np.concatenate([space.points[:, None], space.frame], axis=1)
    assert np.abs(vectors @ np.swapaxes(vectors, 1, 2) - np.eye(3)).max() < 1e-15
    assert np.linalg.det(vectors) == pytest.approx(np.ones(len(vectors)), abs=1e-14)
    assert (
        np.abs(space.frame_at(space.points) - space.frame).max() < 1e-14
    )  # points next to the pole: 1/sin θ
    assert [axis.name for axis in space.axes] == ["colatitude", "longitude"]
    theta, phi = (axis.values for axis in space.axes)
    assert (np.diff(theta) > 0).all()
    assert phi[0] == 0.0
    assert len(space.points) == theta.size * phi.size
    assert space.points[phi.size + 2] == pytest.approx(
        [np.sin(theta[1]) * np.cos(phi[2]), np.sin(theta[1]) * np.sin(phi[2]), np.cos(theta[1])], abs=1e-15
    )
    poles = space.frame_at(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]))
    assert (poles == [[[1, 0, 0], [0, 1, 0]], [[-1, 0, 0], [0, 1, 0]]]).all()
    places = space.locate(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, -1e-320], [3e200, 4e200, 0.0]]))
    assert np.abs(places - [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.6, 0.8, 0.0]]).max() < 1e-15
    with pytest.raises(InputError, match="sphere: finite volumes need grid points on a line"):
        on_line(space)
    with pytest.raises(ValueError, match="got 5"):
        space.synthesise(np.ones(5))


@given(seed=SEEDS, angle=st.floats(-10.0, 10.0))
@settings(max_examples=15, deadline=None)
def test_rotation_about_the_third_axis(seed, angle):
    space, rng = Sphere(12), np.random.default_rng(seed)
    coefficients, angles = random_coefficients(space, 2, rng), np.array([angle, -0.3])
    turned = space.rotate(coefficients, angles)
    for row, matrix in enumerate(space.rotations(angles)):
        expected = coefficients[row] @ harmonics(space.points @ matrix, 12)  # rows of points: (R⁻¹x)ᵀ = xᵀR
        assert np.abs(turned[row] @ harmonics(space.points, 12) - expected).max() < 1e-12  # phases 12 · 10
    assert (space.rotate(coefficients, angles[:, None]) == turned).all()
    # One row for all angles.
    assert (space.rotate(coefficients[:1], angles)[0] == turned[0]).all()


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_every_rotation_keeps_the_degrees(seed):
    """Atoms turned by a matrix, analysed, evaluated at turned points: as without, degree by degree."""
    space, rng = Sphere(15), np.random.default_rng(seed)
    matrix, atoms = random_rotation(rng), atoms_of(rng, [30])
    turned = Atoms(atoms.places @ matrix.T, atoms.masses, atoms.starts)
    probes = atoms_of(rng, [40])
    moved = Atoms(probes.places @ matrix.T, probes.masses, probes.starts)
    for degree in (1, 4, 15):
        first, second = (space.pad(space.analyse_atoms(part, degree)) for part in (atoms, turned))
        here = space.interpolate(space.synthesise(first), probes)
        there = space.interpolate(space.synthesise(second), moved)
        assert np.abs(here - there).max() < 1e-12 / AREA * 256  # 256 harmonics of up to √31


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_generators_are_derivatives_of_rotations(seed):
    space, rng = Sphere(10), np.random.default_rng(seed)
    coefficients, step = random_coefficients(space, 2, rng), 1e-4
    found = space.generators(coefficients)
    assert found.shape == (3, 2, space.width(10))
    for axis in range(3):
        cross = np.cross(np.eye(3)[axis], np.eye(3)).T  # matrix of e × x
        ahead, behind = (np.eye(3) + s * cross + 0.5 * s**2 * cross @ cross for s in (step, -step))
        difference = [
            space.analyse(coefficients @ harmonics(space.locate(space.points @ matrix), 10))
            for matrix in (ahead, behind)
        ]
        slope = (difference[0] - difference[1]) / (2.0 * step) / AREA
        # Third derivatives of degree l with e^{−l/2}: at most 30 · step²/6 each, some 20 of them.
        assert np.abs(slope - found[axis]).max() < 1e-5
    exact = np.sin(1e-3)  # about e_3 a rotation is known: (R(α) − R(−α)) / 2 = sin(m α)/m times the generator
    turned = [space.rotate(coefficients, np.full(2, sign * 1e-3)) for sign in (1.0, -1.0)]
    ones = degrees(10) == 1
    assert np.abs((turned[0] - turned[1])[:, ones] / 2.0 - exact * found[2][:, ones]).max() < 1e-15


@pytest.mark.parametrize("length", [0.0, 1e-9, 1.0, 30.0, 200.0])
def test_plane_waves_by_quadrature(length):
    """∫e^{⟨ξ,y⟩ − |ξ|}ρ and the same with y inside, poles included, on a grid that resolves them."""
    space, fine = Sphere(16), Sphere(120)
    rng = np.random.default_rng(1)
    coefficients = random_coefficients(space, 1, rng, decay=0.2)[0]
    directions = np.concatenate([random_directions(rng, 4), [[0, 0, 1], [0, 0, -1], [1, 0, 0]]])
    exponents = length * directions
    mass = fine.weights * fine.synthesise(coefficients)
    kernel = np.exp(exponents @ fine.points.T - length)
    found = space.plane_wave(exponents, 16) @ coefficients
    size = np.abs(mass).sum()  # of order ten
    assert np.abs(found - kernel @ mass).max() < 1e-14 * size
    vectors = space.plane_wave_gradient(exponents, 16) @ coefficients
    assert vectors.shape == (7, 3)
    assert np.abs(vectors - np.einsum("ni,id,i->nd", kernel, fine.points, mass)).max() < 1e-14 * size
    lower = space.plane_wave_gradient(exponents, 5) @ coefficients[:36]
    low = fine.weights * fine.synthesise(coefficients[:36])
    assert np.abs(lower - np.einsum("ni,id,i->nd", kernel, fine.points, low)).max() < 1e-14 * size


@pytest.mark.parametrize(("beta", "scale"), [(0.0, 1.0), (0.3, 1.0), (5.0, -0.8), (20.0, 1.2), (3.0, 0.0)])
def test_convolution_by_dense_sums(beta, scale):
    """Multipliers of e^{β⟨Bx,y⟩ − β|B|} and of its tangential field, for B = bI and V = vI."""
    space, value = Sphere(48), -1.3
    coefficients = fisher(space, np.array([0.6, 0.0, 0.8]), 3.0)
    coefficients += 0.1 * random_coefficients(space, 1, np.random.default_rng(2))[0]
    mass = space.weights * space.synthesise(coefficients)
    some = space.points[::50]
    kernel = np.exp(beta * scale * (some @ space.points.T) - beta * abs(scale))
    multipliers = space.convolution(beta, scale * np.eye(3), value * np.eye(3))
    found = space.synthesise(space.apply_multipliers(coefficients, multipliers[0]))[::50]
    assert np.abs(found - kernel @ mass).max() < 1e-13  # 10⁴ terms with total mass 1.1
    field = space.convolved_field(coefficients, multipliers[1])[::50]
    expected = value * np.einsum("ied,id->ie", space.frame[::50], kernel @ (mass[:, None] * space.points))
    assert np.abs(field - expected).max() < 1e-13


def test_only_multiples_of_the_identity_are_convolutions():
    space = Sphere(8)
    assert space.convolution(1.0, np.diag([1.0, 1.0, 2.0]), np.eye(3)) is None
    assert space.convolution(1.0, np.eye(3), np.eye(3)[::-1]) is None


def test_atoms_by_dense_sums():
    space, rng = Sphere(12), np.random.default_rng(5)
    atoms = atoms_of(rng, [1, 700, 2, 900, 1])  # several blocks of atoms, and rows across them
    waves = harmonics(atoms.places, 12)
    expected = atoms.sums(waves.T)
    found = space.analyse_atoms(atoms)
    assert np.abs(found - expected).max() < 1e-14  # hundreds of terms of total mass one, times 5
    assert np.abs(space.analyse_atoms(atoms, 4) - found[:, :25]).max() < 1e-14  # other blocks
    assert space.analyse_atoms(atoms, 40).shape == found.shape
    functions = rng.standard_normal((5, 169))
    values = space.synthesise(functions)
    expected = np.einsum("nk,kn->n", functions[atoms.rows], waves) / AREA
    assert np.abs(space.interpolate(values, atoms) - expected).max() < 1e-13  # 169 harmonics of up to 5
    shared = functions[0] @ waves / AREA
    assert np.abs(space.interpolate(values[:1], atoms) - shared).max() < 1e-13


@pytest.mark.parametrize("rows", [1, 2])
def test_scaled_interpolation(rows):
    """Functions x_i e^{⟨ξ_j, x⟩} with exponents far beyond what e^{} holds."""
    rng = np.random.default_rng(6)
    space = Sphere(Sphere(1).interpolation_resolution(30.0, 1e-15))
    atoms, vectors = atoms_of(rng, [20, 30]), 29.0 * random_directions(rng, rows)
    exponents = vectors @ space.points.T + 1000.0
    values = np.broadcast_to(space.points, (rows, *space.points.shape))
    found, reference = space.interpolate_scaled(values, exponents, atoms)
    own = vectors[atoms.rows if rows > 1 else 0]
    expected = atoms.places * np.exp((own * atoms.places).sum(axis=-1) + 1000.0 - reference)[:, None]
    assert found.shape == (50, 3)
    assert np.abs(found - expected).max() < 1e-13  # relative to the largest value, about 50 degrees


@pytest.mark.parametrize("exponent", [0.0, 1.0, 6.0, 30.0, 200.0])
def test_the_resolution_that_holds_a_kernel(exponent):
    space = Sphere(Sphere(1).interpolation_resolution(exponent, 1e-15))
    center = np.array([0.48, 0.6, 0.64])
    kernel = np.exp(exponent * (space.points @ center - 1.0))
    others = random_directions(np.random.default_rng(7), 50)
    others[0] = center
    atoms = Atoms(others, np.full(50, 0.02), np.array([0, 50]))
    found = space.interpolate(kernel[None], atoms)
    assert np.abs(found - np.exp(exponent * (others @ center - 1.0))).max() < 1e-13  # rounding: 130 degrees


def test_the_degree_that_a_kernel_feels():
    space = Sphere(4)
    for exponent in (0.0, 1.0, 30.0, 600.0):
        degree = space.degree(exponent, 1e-16)
        sizes = funk_hecke.coefficients(np.array([exponent]), degree + 30, 3)[0]
        sizes *= np.sqrt(2.0 * np.arange(degree + 31) + 1.0) / sizes[0]
        assert sizes[degree + 1 :].max() < 1e-16
        assert degree == 1 or sizes[degree] > 0.99e-16


@given(few=SIZES, many=SIZES, seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_padding_keeps_the_common_degrees(few, many, seed):
    source, target = Sphere(few), Sphere(many)
    coefficients = np.random.default_rng(seed).standard_normal((2, source.uniform().size))
    padded, common = target.pad(coefficients), source.width(min(few, many))
    assert padded.shape == (2, target.uniform().size)
    assert (padded[:, :common] == coefficients[:, :common]).all()
    assert not padded[:, common:].any()
    assert target.at_least(few).resolution == max(few, many)


@pytest.mark.parametrize("resolution", [3, 8, 31, 127])
def test_the_tail_is_the_upper_end_of_the_spectrum(resolution):
    tail = Sphere(resolution).tail_weights()
    label = degrees(resolution)
    assert not tail[0]
    assert (tail[label == resolution] == 1.0).all()
    assert set(np.unique(tail)) <= {0.0, 1.0}
    assert (np.diff(tail) >= 0.0).all()
    assert np.unique(label[tail > 0]).size >= min(6, resolution)


@pytest.mark.parametrize("degree", [1, 5, 40])
def test_a_covering_leaves_no_hole(degree):
    """Every direction has a point within 1.5 times the radius of a disc of the area of one point, 2/√n."""
    space = Sphere(4)
    points = space.covering(degree)
    assert len(points) == min((degree + 1) ** 2, 600)
    assert np.abs(np.linalg.norm(points, axis=1) - 1.0).max() < 1e-15
    probes = random_directions(np.random.default_rng(8), 4000)
    assert np.arccos((probes @ points.T).max(axis=1)).max() < 1.5 * 2.0 / np.sqrt(len(points))


def test_features_are_orthogonal_fields():
    """∫ ∇e·∇e' dP = l(l + 1) δ; turned fields are divergence-free and orthogonal to gradients."""
    space = Sphere(8)
    fields = space.features(2)
    assert fields.shape == (16, len(space.points), 2)
    gram = np.einsum("fie,gie,i->fg", fields, fields, space.weights / AREA)
    expected = np.diag(np.tile(space.eigenvalues[1:9], 2))
    assert np.abs(gram - expected).max() < 1e-13
    divergence = space.divergence(fields)
    assert np.abs(divergence[:8, 1:9] + AREA * np.diag(space.eigenvalues[1:9])).max() < 1e-12
    assert np.abs(divergence[8:]).max() < 1e-12
    # ∇e_{1,1} = √3 P_x e_1, and turned √3 x × e_1: the index of (l, m) = (1, 1) is 2.
    along = np.sqrt(3.0) * space.frame[:, :, 0]
    assert np.abs(fields[2] - along).max() < 1e-14
    cross = np.sqrt(3.0) * np.cross(space.points, np.eye(3)[0])
    assert np.abs(fields[10] - np.einsum("ied,id->ie", space.frame, cross)).max() < 1e-14


def test_tangential_parts_of_fields_of_the_embedding():
    space, rng = Sphere(6), np.random.default_rng(3)
    coefficients = rng.standard_normal((2, 3, space.width(6)))
    expected = np.einsum("ied,ndi->nie", space.frame, space.synthesise(coefficients))
    assert np.abs(space.tangential(coefficients) - expected).max() < 1e-15 * 10


@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_steps_along_geodesics(seed):
    space, rng = Sphere(4), np.random.default_rng(seed)
    places, steps = random_directions(rng, 6), rng.uniform(-1.5, 1.5, (6, 2))
    places[:2], steps[2] = [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], 0.0
    moved = space.moved(places, steps)
    assert np.abs(np.linalg.norm(moved, axis=1) - 1.0).max() < 1e-15
    assert np.abs(space.distance(places, moved) - np.linalg.norm(steps, axis=1)).max() < 1e-14
    left = moved - (moved * places).sum(axis=1)[:, None] * places  # along the step
    along = np.einsum("ned,nd->ne", space.frame_at(places), left)
    assert np.abs(along[:, 0] * steps[:, 1] - along[:, 1] * steps[:, 0]).max() < 1e-14
    assert ((along * steps).sum(axis=1) >= 0.0).all()
    # Two steps of one geodesic accelerate along −x only, for either tangent.
    size = 1e-3
    bent = space.moved(places, np.array([[size, 0.0]] * 6)) + space.moved(
        places, np.array([[-size, 0.0]] * 6)
    )
    curvature = (2.0 * places - bent) / size**2
    assert (
        np.abs(curvature - space.normals_at(places)[:, 0]).max() < 1e-6
    )  # size²/12 and roundings 1e-16/size²
    assert (space.normals_at(places)[:, 1] == places).all()


@given(seed=SEEDS, count=st.sampled_from([1, 2, 3, 20]))
@settings(max_examples=15, deadline=None)
def test_laws_that_differ_by_a_rotation(seed, count):
    space, rng = Sphere(4), np.random.default_rng(seed)
    places = random_directions(rng, count)
    turned = places @ random_rotation(rng).T
    assert space.apart(places, turned) < 1e-14
    if count > 3:  # a mirror image of points in general position is no rotation
        assert space.apart(places, turned * [1.0, 1.0, -1.0]) > 0.1


def test_distances_of_points():
    space = Sphere(4)
    pole = np.array([0.0, 0.0, 1.0])
    angles = np.array([0.0, 1e-9, 1.0, np.pi - 1e-9, np.pi])
    points = np.stack([np.sin(angles), np.zeros(5), np.cos(angles)], axis=1)
    assert np.abs(space.distance(pole, points) - angles).max() < 1e-15


@pytest.mark.parametrize("order", [1, 2])
def test_distances_of_atoms(order):
    """Dirac masses; and points moved by less than a third of their distance, each to its own image."""
    space, rng = Sphere(4), np.random.default_rng(9)
    ones, points = np.ones(1), space.covering(9)
    first, second = random_directions(rng, 2)
    exact = space.distance(first, second)
    assert space.wasserstein_atoms(first[None], ones, second[None], ones, order) == pytest.approx(
        exact, abs=1e-15
    )
    matrix, masses = space.rotations(np.array([0.05]))[0], np.full(100, 0.01)
    moved = points @ matrix.T
    ways = space.distance(points, moved)
    expected = np.mean(ways**order) ** (1.0 / order)
    found = space.wasserstein_atoms(points, masses, rng.permutation(moved), masses, order)
    assert found == pytest.approx(expected, rel=1e-12)  # a sum of a hundred terms


@pytest.mark.parametrize("concentration", [0.0, 2.0, 30.0])
def test_distance_of_a_density_from_a_point(concentration):
    """(∫ angle^p ρ)^{1/p} about the centre."""
    space, center = Sphere(40), np.array([0.0, 0.6, 0.8])
    coefficients = fisher(space, center, concentration)
    fine = Sphere(95)
    mass, angle = fine.weights * fine.synthesise(coefficients), fine.distance(fine.points, center)
    for order in (1, 2):
        expected = float(mass @ angle**order) ** (1.0 / order)
        found = space.wasserstein(coefficients, center[None], np.ones(1), order)
        # 2000 pieces of 0.08 rad: what is lost of W₂² is their variance, about 4π/2000/6 of the whole.
        assert found == pytest.approx(expected, rel=5e-4)


def test_pieces_of_a_density():
    space = Sphere(31)
    coefficients = fisher(space, np.array([0.6, 0.0, 0.8]), 10.0)
    places, masses = space.equivalent(coefficients)
    assert places.shape == (2000, 3)
    assert masses.sum() == pytest.approx(1.0, abs=1e-13)
    assert (masses > 0.0).all()
    # Centres lie on the sphere: their mean is off by half the variance of a piece, at most 0.05²/2.
    assert np.abs(masses @ places - space.first_moment(coefficients)).max() < 1e-3
    few = np.abs(np.random.default_rng(1).standard_normal(5))
    assert space.wasserstein_atoms(places[:5], few / few.sum(), places[:5], few / few.sum(), 2) < 1e-7


@given(seed=SEEDS)
@settings(max_examples=8, deadline=None)
def test_the_nearest_dirac_mass(seed):
    """No point of a dense covering is nearer, and the gradient Σ mass · log vanishes."""
    space, rng = Sphere(4), np.random.default_rng(seed)
    points, masses = random_directions(rng, 30), rng.uniform(0.1, 1.0, 30)
    masses /= masses.sum()
    centre, distance = space.nearest_dirac(points, masses)
    assert distance == pytest.approx(np.sqrt(masses @ space.distance(points, centre) ** 2), rel=1e-14)
    covering = Sphere(20).points
    squares = space.distance(covering[:, None], points[None]) ** 2 @ masses
    assert distance <= np.sqrt(squares.min()) + 1e-12
    single, nothing = space.nearest_dirac(points[:1], np.ones(1))
    assert nothing < 1e-15
    assert np.abs(single - points[0]).max() < 1e-15
