"""The torus T² against explicit sums, quadrature, closed forms, and products of circles."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Head, reference
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.attention.pairwise import Pairwise
from meanfield_pde.attention.scattered import ScatteredField, kernel_space
from meanfield_pde.errors import InputError
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.base import on_line
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.torus import Torus
from tests.cases import SEEDS, turned, unit_vectors

VOLUME = 4.0 * np.pi**2
SIZES = st.sampled_from([4, 8, 9, 16, 21])


def embedded(angles):
    return unit_vectors(angles).reshape(*angles.shape[:-1], 4)


def basis(angles, degree):
    """Orthonormal functions (coefficients, n) of the coefficients' order, shell by shell, one by one."""
    modes = [
        (m1, m2)
        for shell in range(1, degree + 1)
        for m1 in range(-shell, shell + 1)
        for m2 in range(shell + 1)
        if max(abs(m1), m2) == shell and (m2 > 0 or m1 > 0)
    ]
    rows = [np.ones(len(angles))]
    for mode in modes:
        phase = angles @ np.array(mode)
        rows += [np.sqrt(2.0) * np.cos(phase), np.sqrt(2.0) * np.sin(phase)]
    return np.array(rows), np.array([0] + [m for m in modes for _ in range(2)], dtype=object)


def eigenvalue(mode):
    return 0.0 if isinstance(mode, int) else float(mode[0] ** 2 + mode[1] ** 2)


def smooth(space, rows, rng, decay=0.5):
    """Coefficients of densities whose modes fall off like e^{−decay |m|₁}, positive for the first of them."""
    length = np.sqrt(space.eigenvalues)
    coefficients = 0.1 * np.exp(-decay * length) * rng.uniform(-1.0, 1.0, (rows, length.size))
    coefficients[:, 0] = 1.0
    return coefficients


def product(space, first, second):
    """Coefficients of ρ₁ ⊗ ρ₂ from values on the axes."""
    return space.analyse(np.outer(first, second).ravel())


def vonmises(space, centers, concentrations):
    """Values along each axis of a von Mises density."""
    return [
        np.exp(k * (np.cos(space.circle.angles - c) - 1.0)) / (2.0 * np.pi * special.ive(0, k))
        for c, k in zip(centers, concentrations, strict=True)
    ]


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_transforms_are_explicit_sums(resolution, seed):
    """c_k = ∫ρ e_k by quadrature, ρ = Σ c_k e_k / |M|: sums of up to 21² terms of order one."""
    space = Torus(resolution)
    functions, modes = basis(space.angles, space.modes)
    rng = np.random.default_rng(seed)
    coefficients = rng.standard_normal((2, 3, space.uniform().size))
    values = space.synthesise(coefficients)
    assert values.shape == (2, 3, resolution**2)
    assert np.abs(values - coefficients @ functions / VOLUME).max() < 1e-13
    assert np.abs(space.analyse(values) - coefficients).max() < 1e-12
    rough = rng.standard_normal((2, resolution**2))
    assert np.abs(space.analyse(rough) - (rough * space.weights) @ functions.T).max() < 1e-12
    assert (space.eigenvalues == [eigenvalue(mode) for mode in modes]).all()
    assert space.width(space.modes) == space.eigenvalues.size == space.uniform().size


@given(resolution=SIZES, degree=st.sampled_from([1, 3, 8, 11]), seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_other_degrees_are_synthesised_as_they_are(resolution, degree, seed):
    """Fewer or more modes than the grid keeps, also beyond N/2: sums of 23² terms of order one."""
    space = Torus(resolution)
    functions, _ = basis(space.angles, degree)
    coefficients = np.random.default_rng(seed).standard_normal((2, len(functions)))
    assert np.abs(space.synthesise(coefficients) - coefficients @ functions / VOLUME).max() < 1e-12


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_products_are_not_aliased(resolution, seed):
    space, fine = Torus(resolution), Torus(2 * resolution)
    first, second = np.random.default_rng(seed).standard_normal((2, space.uniform().size))
    products = [grid.synthesise(first) * grid.synthesise(second) for grid in (space, fine)]
    expected = fine.analyse(products[1])[: first.size]
    # Sums of as many products of order one as there are modes, in the scale of the largest.
    assert np.abs(space.analyse(products[0]) - expected).max() < 1e-13 * np.abs(expected).max()


@given(resolution=SIZES, seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_gradient_and_divergence_are_adjoint(resolution, seed):
    """∫ flux·∇f dx = −Σ (div flux)_k f_k / |M|, and div ∇ = Δ: up to 21² terms times K² = 36."""
    space, rng = Torus(resolution), np.random.default_rng(seed)
    coefficients = rng.standard_normal(space.uniform().size)
    flux = rng.standard_normal((resolution**2, 2))
    divergence = space.divergence(flux)
    inner = space.weights @ (flux * space.gradient(coefficients)).sum(axis=1)
    assert inner == pytest.approx(-divergence @ coefficients / VOLUME, abs=1e-11)
    assert divergence[0] == 0.0
    laplacian = space.divergence(space.gradient(coefficients))
    assert np.abs(laplacian + space.eigenvalues * coefficients).max() < 1e-11


def test_gradient_in_closed_form():
    """ρ = e^{3 cos(θ₁ − 0.7) + 2 cos(θ₂ − θ₁)}: 4th and 2nd component of ∇ρ from the exponent."""
    space = Torus(96)
    one, two = space.angles.T
    density = np.exp(3.0 * np.cos(one - 0.7) + 2.0 * np.cos(two - one) - 5.0)
    slope = np.stack([-3.0 * np.sin(one - 0.7) + 2.0 * np.sin(two - one), -2.0 * np.sin(two - one)], axis=1)
    # Modes above K = 31 are below 1e-16 of the largest; derivatives lose a factor of K.
    found = space.gradient(space.analyse(density))
    assert np.abs(found - slope * density[:, None]).max() < 1e-14 * 31


def test_geometry():
    space = Torus(24)
    assert space.weights.sum() == pytest.approx(VOLUME, rel=1e-14)
    assert np.abs((space.points**2).sum(axis=1) - 2.0).max() < 1e-15
    gram = space.frame @ np.swapaxes(space.frame, 1, 2)
    assert np.abs(gram - np.eye(2)).max() < 1e-15
    assert np.abs(np.einsum("ijd,id->ij", space.frame, space.points)).max() < 1e-15
    for axis in (0, 1):
        step = embedded(space.angles + 1e-6 * np.eye(2)[axis]) - space.points
        assert np.abs(np.einsum("id,id->i", space.frame[:, axis], step) - 1e-6).max() < 1e-15
    grid = np.stack(np.meshgrid(*(axis.values for axis in space.axes), indexing="ij"), axis=-1)
    assert (embedded(grid.reshape(-1, 2)) == space.points).all()
    assert (space.frame_at(space.points) == space.frame).all()


def test_places():
    """Each plane is normalised by itself; the zero vector turns to the angle 0."""
    space, angles = Torus(8), np.array([[0.3, -2.0], [3.0, 1.0]])
    scaled = embedded(angles) * np.array([5.0, 5.0, 1e-3, 1e-3])
    assert np.abs(space.locate(scaled) - embedded(angles)).max() < 1e-15
    assert (space.locate(np.zeros((2, 4))) == [1.0, 0.0, 1.0, 0.0]).all()
    assert (space.embed(embedded(angles)) == embedded(angles)).all()
    # Opposite sides of the seam are near: arcs of 0.2 and 0.1.
    near = space.distance(embedded(np.array([0.1, 6.2])), embedded(np.array([-0.1, 6.1])))
    assert near == pytest.approx(np.hypot(0.2, 0.1), rel=1e-13)


def test_steps_and_normals():
    """Steps along the frame move angles; −∇_τ τ by central differences, h = 1e-4: an error of h²/6."""
    space, rng = Torus(8), np.random.default_rng(16)
    angles, steps = rng.uniform(-3.0, 3.0, (2, 6, 2))
    places = embedded(angles)
    assert np.abs(space.moved(places, steps) - embedded(angles + steps)).max() < 1e-15 * 4
    for axis in (0, 1):
        there, back = (space.moved(places, sign * 1e-4 * np.eye(2)[axis]) for sign in (1.0, -1.0))
        slope = (space.frame_at(there)[:, axis] - space.frame_at(back)[:, axis]) / 2e-4
        assert np.abs(space.normals_at(places)[:, axis] + slope).max() < 2e-9
    # Both planes are turned, and one of six places moves by 0.06 in one of them: the best turn leaves 5/6.
    other = angles + np.array([2.0, -1.5]) + 0.06 * np.eye(6)[:, :1] * np.array([1.0, 0.0])
    assert space.apart(places, embedded(other)) == pytest.approx(0.05, abs=1e-5)


@given(seed=SEEDS, pair=st.sampled_from([(0.3, 0.3), (1.0, -2.0), (0.0, 7.0)]))
@settings(max_examples=10, deadline=None)
def test_rotation_of_functions_and_of_points_agree(seed, pair):
    """(Rρ)(x) = ρ(R⁻¹x), for one angle a row or one for each plane; phases of up to 80 radians."""
    space = Torus(24)
    coefficients = smooth(space, 3, np.random.default_rng(seed))
    angles = np.array([pair, (0.0, 0.0), (-0.4, 2.0)])
    functions = np.stack([basis(space.angles - alpha, space.modes)[0] for alpha in angles])
    expected = np.einsum("rc,rcp->rp", coefficients, functions) / VOLUME
    moved = space.rotate(coefficients, angles)
    assert np.abs(space.synthesise(moved) - expected).max() < 1e-14
    for row, (matrix, alpha) in enumerate(zip(space.rotations(angles), angles, strict=True)):
        assert np.abs(space.points @ matrix.T - embedded(space.angles + alpha)).max() < 1e-15 * 8, row
    both = space.rotate(coefficients[:1], angles[:, 0])
    assert np.abs(both - space.rotate(coefficients[:1], angles[:, [0, 0]])).max() == 0.0
    assert both.shape == coefficients.shape
    assert (space.rotations(angles[:, 0]) == space.rotations(angles[:, [0, 0]])).all()


def test_generators_are_derivatives_of_rotations():
    """Central differences with h = 1e-4: an error of h² m³ / 6 with m up to 7."""
    space = Torus(24)
    coefficients = smooth(space, 2, np.random.default_rng(3), decay=1.0)
    moved = space.generators(coefficients)
    for plane in (0, 1):
        step = 1e-4 * np.tile(np.eye(2)[plane], (2, 1))
        slope = (space.rotate(coefficients, step) - space.rotate(coefficients, -step)) / 2e-4
        assert np.abs(moved[plane] - slope).max() < 1e-8


def test_first_moment_by_quadrature():
    space = Torus(24)
    coefficients = smooth(space, 3, np.random.default_rng(4))
    expected = (space.weights * space.synthesise(coefficients)) @ space.points
    for prefix in (coefficients, coefficients[:, :9]):
        assert np.abs(space.first_moment(prefix) - expected).max() < 1e-14


EXPONENTS = {
    "zero": np.zeros((1, 4)),
    "tiny": 1e-9 * np.array([[1.0, 2.0, -3.0, 0.5]]),
    "one plane": np.array([[3.0, 4.0, 0.0, 0.0], [0.0, 0.0, -8.0, 0.1]]),
    "both": np.array([[1.0, -2.0, 0.3, 5.0], [30.0, 0.0, -20.0, 15.0]]),
}


@pytest.mark.parametrize("name", EXPONENTS)
def test_plane_waves_by_quadrature(name):
    """∫e^{⟨ξ,y⟩ − support(ξ)}ρ and the same with y inside: the fine grid has all modes to rounding error."""
    exponents, space, fine = EXPONENTS[name], Torus(96), Torus(160)
    coefficients = smooth(space, 1, np.random.default_rng(1), decay=0.2)[0]
    mass = fine.weights * fine.synthesise(coefficients)
    inner = exponents @ fine.points.T
    support = space.support(exponents)
    assert np.abs(support - np.hypot(*exponents.T[:2]) - np.hypot(*exponents.T[2:])).max() < 1e-14 * 30
    assert (inner.max(axis=1) <= support + 1e-12).all()
    kernel = np.exp(inner - support[:, None])
    found = space.plane_wave(exponents, space.modes) @ coefficients
    assert np.abs(found - kernel @ mass).max() < 1e-14
    vectors = space.plane_wave_gradient(exponents, space.modes) @ coefficients
    assert np.abs(vectors - np.einsum("ni,id,i->nd", kernel, fine.points, mass)).max() < 1e-14


def test_plane_waves_of_huge_exponents():
    """β = 1e4 in both planes: no overflow; the uniform law gives I_0(β)² e^{−2β}, other modes a share."""
    space = Torus(24)
    found = space.plane_wave(np.array([[1e4, 0.0, 0.0, -1e4]]), 3)[0]
    assert found[0] == pytest.approx(special.ive(0, 1e4) ** 2, rel=1e-14)
    assert np.isfinite(space.plane_wave_gradient(np.array([[1e4, 0.0, 0.0, -1e4]]), 3)).all()
    assert np.abs(found[1:]).max() <= np.sqrt(2.0) * found[0]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 30.0, 1e4])
def test_the_degree_that_a_kernel_feels(exponent):
    """What the coefficients above it contribute, relative to the mean, is below the tolerance for each."""
    space = Torus(8)
    degree = space.degree(exponent, 1e-12)
    for vector in ([exponent, 0.0, 0.0, 0.0], [0.0, 0.6 * exponent, -0.8 * exponent, 0.0]):
        row = space.plane_wave(np.array([vector]), degree + 3)[0]
        beyond = np.abs(row[space.width(degree) :]).max() / row[0]
        assert beyond <= 1e-12 * np.sqrt(2.0)
    assert space.at_least(degree).modes >= degree


@pytest.mark.parametrize("beta", [0.0, 0.4, 4.0])
@pytest.mark.parametrize(
    ("sizes", "turns", "values"),
    [
        ((1.0, 1.0), (0.0, 0.0), (1.0, 1.0)),
        ((-0.8, 1.1), (0.0, 0.7), (1.3, -0.4)),
        ((0.0, 1.0), (0, 0), (1, 1)),
    ],
)
def test_convolution_by_dense_sums(beta, sizes, turns, values):
    """Kernel e^{β⟨Bx,y⟩ − support(βBx)} and its tangential field over all pairs of the grid.

    The kernel's modes beyond the grid's 13 are below 1e-13 of its largest at β = 4, and alias in the sums.
    """
    space = Torus(40)
    metric, value = np.zeros((2, 4, 4))
    for plane in (0, 1):
        block = slice(2 * plane, 2 * plane + 2)
        turn = Circle(8).rotations(np.array([turns[plane], 0.5 * turns[plane]]))
        metric[block, block], value[block, block] = sizes[plane] * turn[0], values[plane] * turn[1]
    coefficients = smooth(space, 2, np.random.default_rng(2))
    mass = space.weights * space.synthesise(coefficients)
    exponents = beta * space.points @ metric.T
    kernel = np.exp(exponents @ space.points.T - space.support(exponents)[:, None])
    multipliers, field = space.convolution(beta, metric, value)
    for given_ones in (coefficients, coefficients[:, : space.width(multipliers.shape[-1] - 1)]):
        found = space.synthesise(space.apply_multipliers(given_ones, multipliers))
        assert np.abs(found - mass @ kernel.T).max() < 1e-12
        vectors = space.convolved_field(given_ones, field)
        inside = np.stack([mass @ (kernel * component).T for component in value @ space.points.T], axis=-1)
        assert np.abs(vectors - np.einsum("itd,rid->rit", space.frame, inside)).max() < 1e-12


def test_what_mixes_planes_is_no_convolution():
    space, mixing = Torus(16), np.eye(4)
    mixing[0, 2] = 0.1
    assert space.convolution(1.0, mixing, np.eye(4)) is None
    assert space.convolution(1.0, np.eye(4), mixing) is None
    assert space.convolution(1.0, np.diag([1.0, 2.0, 1.0, 1.0]), np.eye(4)) is None
    assert space.convolution(1.0, np.zeros((4, 4)), np.zeros((4, 4))) is not None


def layer(beta, normalization, metric=None, encoding=None, nodes=1):
    identity = np.eye(4)
    head = Head(beta, identity if metric is None else metric, identity, identity)
    code = encodings.none() if encoding is None else encoding
    return Attention((head,), auxiliary.uniform(nodes), code, normalization)


def skewed():
    """A metric that mixes the planes."""
    return np.eye(4) + 0.2 * np.random.default_rng(8).standard_normal((4, 4))


@pytest.mark.parametrize("normalization", ["softmax", "none"])
@pytest.mark.parametrize("mixing", [False, True])
@pytest.mark.parametrize("values", ["none", "encoded", "token"])
def test_velocity_by_the_definition(normalization, mixing, values):
    """No code or a rotary one, by convolution or by tables of plane waves, against the sum over all pairs."""
    space, code = Torus(30), None if values == "none" else encodings.rotary(np.linspace(0.0, 1.0, 2), 1.7)
    attention = layer(1.2, normalization, skewed() if mixing else None, code, 2)
    attention = replace(attention, values="token" if values == "token" else "encoded")
    coefficients = smooth(space, 2, np.random.default_rng(5))
    expected = reference.velocity(space, attention, space.synthesise(coefficients))
    found = AttentionField(space, attention).velocity(coefficients)
    # The kernel's modes beyond N − K = 21 alias in the dense sum: below 1e-16 of its largest, e^{2.4 · 1.5}.
    assert np.abs(found - expected).max() < 1e-13 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_additive_encodings_by_the_definition(normalization):
    """All pairs of nodes by low modes: the largest exponents are those of both planes."""
    space, rng = Torus(27), np.random.default_rng(14)
    coefficients = smooth(space, 3, rng)
    attention = layer(0.8, normalization, None, encodings.additive(0.4 * rng.standard_normal((3, 4))), 3)
    field = AttentionField(space, attention)
    assert isinstance(field.heads[0].operator, Pairwise)
    expected = reference.velocity(space, attention, space.synthesise(coefficients))
    assert np.abs(field.velocity(coefficients) - expected).max() < 1e-13 * np.abs(expected).max()


@pytest.mark.parametrize("normalization", ["softmax", "none"])
def test_scattered_tokens_by_the_definition(normalization):
    """More tokens than are summed pair by pair, through the grid: errors relative to e^{3.6}."""
    rng = np.random.default_rng(15)
    atoms = scattered(rng, (70, 50))
    attention = layer(1.8, normalization, None, encodings.rotary(np.array([0.0, 1.0]), 0.6), 2)
    space = kernel_space(Torus(8), attention)
    tokens = ScatteredField(AttentionField(space, attention), None)
    field = reference.token_velocity(space, attention, atoms)
    expected = np.einsum("npd,nd->np", space.frame_at(atoms.places), field)
    assert np.abs(tokens.velocity(atoms) - expected).max() < 1e-13 * np.exp(3.6)


def test_product_densities_stay_products():
    """SA: the velocity along θ_i is that of the circle for ρ_i alone; USA: times the sum of the other."""
    space, beta = Torus(48), 3.0
    factors = vonmises(space, (1.0, 4.0), (2.0, 3.0))
    velocity = AttentionField(space, layer(beta, "softmax")).velocity(product(space, *factors)[None])[0]
    grids = velocity.reshape(48, 48, 2)
    flat = space.circle.weights[:, None, None]
    sums, along = [], []
    for axis, density in enumerate(factors):
        gap = space.circle.angles[:, None] - space.circle.angles
        kernel = np.exp(beta * (np.cos(gap) - 1.0))
        sums.append(kernel @ (density * flat[:, 0, 0]))
        along.append(-(kernel * np.sin(gap)) @ (density * flat[:, 0, 0]))
        expected = np.expand_dims(along[axis] / sums[axis], 1 - axis)
        # The circle's own sum has 48 terms; modes beyond K = 15 of the densities are below 1e-13.
        assert np.abs(grids[..., axis] - expected).max() < 1e-11
    _, field = space.convolution(beta, np.eye(4), np.eye(4))
    unnormalised = space.convolved_field(product(space, *factors), field).reshape(48, 48, 2)
    expected = np.stack([np.outer(along[0], sums[1]), np.outer(sums[0], along[1])], axis=-1)
    assert np.abs(unnormalised - expected).max() < 1e-12


@pytest.mark.parametrize("beta", [0.7, 3.0])
def test_growth_about_the_uniform_law(beta):
    """MODEL.md, section 7, 2 with c_m = I_{m₁}(β) I_{m₂}(β), σ = 0: |m|² c_m/β (USA), over c_0 (SA)."""
    space = Torus(32)
    _, modes = basis(np.zeros((1, 2)), 4)
    share = np.array([1.0] + [float(np.prod(special.ive(np.array(m), beta))) for m in modes[1:]])
    rates = space.eigenvalues[: share.size] * share / beta
    bumps = np.pad(np.eye(share.size)[1:], ((0, 0), (0, space.eigenvalues.size - share.size)))
    _, field = space.convolution(beta, np.eye(4), np.eye(4))

    matrix = np.array([-space.divergence(space.convolved_field(bump, field) / VOLUME) for bump in bumps])
    # ρV to first order: the uniform density times the field of the bump. Times |m|² = 32 at most.
    assert np.abs(matrix[:, 1 : share.size] - np.diag(rates[1:])).max() < 1e-14 * 32
    attention, change = AttentionField(space, layer(beta, "softmax")), 1e-3
    slopes = []
    for bump in bumps:
        plus, minus = (attention.velocity((space.uniform() + s * bump)[None])[0] for s in (change, -change))
        slopes.append(-space.divergence((plus - minus) / (2.0 * change * VOLUME)))
    # Central differences of a ratio: an error of a few change² = 1e-6, relative.
    exact = np.diag(rates[1:] / special.ive(0, beta) ** 2)
    assert np.abs(np.array(slopes)[:, 1 : share.size] - exact).max() < 1e-5 * rates.max()


def scattered(rng, counts=(1, 5, 40)):
    starts = np.concatenate([[0], np.cumsum(counts)])
    masses = np.concatenate([part / part.sum() for part in (rng.uniform(0.1, 1.0, n) for n in counts)])
    return Atoms(embedded(rng.uniform(-4.0, 9.0, (starts[-1], 2))), masses, starts)


def angles_of(atoms):
    return np.arctan2(atoms.places[:, 1::2], atoms.places[:, ::2])


def test_atoms_by_explicit_sums():
    space, atoms = Torus(24), scattered(np.random.default_rng(6))
    for degree in (None, 3, 50):
        functions, _ = basis(angles_of(atoms), space.modes if degree is None else min(degree, space.modes))
        expected = atoms.sums(functions.T)
        assert np.abs(space.analyse_atoms(atoms, degree) - expected).max() < 1e-14 * 7  # phases m θ


@pytest.mark.parametrize("resolution", [15, 16])
@pytest.mark.parametrize("rows", [1, 3])
def test_interpolation_is_evaluation(resolution, rows):
    """All modes below N/2 = 7.5 or 8, and values at grid points of any function."""
    space, rng = Torus(resolution), np.random.default_rng(7)
    atoms = scattered(rng)
    functions, _ = basis(angles_of(atoms), 7)
    coefficients = rng.standard_normal((rows, len(functions)))
    chosen = coefficients[atoms.rows if rows > 1 else np.zeros_like(atoms.rows)]
    expected = np.einsum("ac,ca->a", chosen, functions) / VOLUME
    assert np.abs(space.interpolate(space.synthesise(coefficients), atoms) - expected).max() < 1e-13
    rough = rng.standard_normal((1, resolution**2))
    everywhere = Atoms(space.points, space.weights / VOLUME, np.array([0, resolution**2]))
    assert np.abs(space.interpolate(rough, everywhere) - rough[0]).max() < 1e-13


def test_interpolation_of_scaled_functions():
    """e^{⟨ξ,x⟩} times 1 and times cos θ₁, as value and exponent: exact relative to the largest, e^{900}."""
    rng = np.random.default_rng(9)
    space, atoms = Torus(16), scattered(rng)
    space = space.resized(space.interpolation_resolution(9.0, 1e-15))
    shift, turn = np.array([[900.0], [-900.0], [0.0]]), np.array([4.0, -1.0, 3.0, 5.0])
    values = np.stack([np.ones_like(space.points[:, 0]), space.points[:, 0]], axis=-1)
    slowly = 0.1 * space.points[:, 2]  # what is divided out need not be all of the exponent
    values = np.exp(space.points @ turn - 9.0 - slowly)[:, None] * values
    found, reference_exponent = space.interpolate_scaled(np.tile(values, (3, 1, 1)), shift + slowly, atoms)
    exponent = atoms.places @ turn - 9.0 + shift[atoms.rows, 0] - reference_exponent
    expected = np.exp(exponent)[:, None] * np.stack([np.ones(len(exponent)), atoms.places[:, 0]], axis=1)
    assert np.abs(found - expected).max() < 1e-14
    alone, _ = space.interpolate_scaled(values[None], slowly[None], atoms)
    assert np.abs(alone - found).max() < 1e-14


def test_distances_of_atoms():
    """Two atoms against two: the cheaper of both plans, and shifted sets by the shift."""
    space, rng = Torus(16), np.random.default_rng(10)
    places, others = embedded(rng.uniform(0.0, 6.0, (2, 2, 2)))
    half = np.full(2, 0.5)
    for order in (1, 2):
        cost = space.distance(places[:, None], others[None]) ** order
        best = min(cost[0, 0] + cost[1, 1], cost[0, 1] + cost[1, 0]) / 2.0
        found = space.wasserstein_atoms(places, half, others, half, order)
        assert found == pytest.approx(best ** (1.0 / order), rel=1e-12)
        angles, shift = rng.normal(1.0, 0.1, (50, 2)), np.array([0.3, -0.4])
        weights = np.full(50, 0.02)
        moved = space.wasserstein_atoms(embedded(angles), weights, embedded(angles + shift), weights, order)
        # A cluster of radius 0.3 goes straight there: W₁ = W₂ = |shift| (translation is optimal).
        assert moved == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("center", [(1.0, 4.0), (0.0, 0.0)])
@pytest.mark.parametrize("concentration", [0.0, 3.0, 200.0])
def test_distance_of_a_density_from_a_point(center, concentration):
    """W₂² is the sum over both axes of ∫θ²ρ, 2π²/3 when uniform; W₁ by quadrature."""
    space = Torus(360)  # modes e^{−m²/2κ} up to m = 119
    density = vonmises(space, center, (concentration, concentration))
    coefficients = product(space, *density)
    arcs = np.pi * (np.arange(2000) + 0.5) / 2000
    weight = np.exp(concentration * (np.cos(arcs) - 1.0))
    weight /= weight.sum()
    point = (embedded(np.array([center])), np.ones(1))
    squares = 2.0 * weight @ arcs**2
    length = weight @ np.hypot(arcs[:, None], arcs) @ weight
    # 1024 to 2048 squares lose their own variance, about 1/1024 of the whole, half of it after the root.
    found = [space.wasserstein(coefficients, *point, order) for order in (1, 2)]
    assert found[1] == pytest.approx(np.sqrt(squares), rel=2e-3)
    assert found[0] == pytest.approx(length, rel=2e-3)


def test_what_stands_for_a_density():
    """Masses sum to one, and means of cos and sin are those of the density."""
    space = Torus(64)
    coefficients = smooth(space, 1, np.random.default_rng(11))[0]
    places, masses = space.equivalent(coefficients)
    assert masses.sum() == pytest.approx(1.0, abs=1e-14)
    assert 1000 < masses.size <= 2048
    assert np.abs((places.reshape(-1, 2, 2) ** 2).sum(axis=-1) - 1.0).max() < 1e-15
    # Centres on the circle lack the curvature within a square, h²/24 with h = 2π/32.
    assert np.abs(masses @ places - space.first_moment(coefficients)).max() < (2.0 * np.pi / 32.0) ** 2 / 24.0
    atoms, fine = space.points[[5 * 64 + 3, 40 * 64 + 50]], Torus(512)
    two = np.exp(300.0 * (fine.points @ atoms.T - 2.0)).sum(axis=1)
    narrow = fine.analyse(two / (fine.weights @ two))
    # Each half goes to its own point: √(2/κ) in W₂ to order 1/κ; nothing is taken across.
    found = space.wasserstein(narrow, atoms, np.full(2, 0.5), 2)
    assert found == pytest.approx(np.sqrt(2.0 / 300.0), rel=5e-3)


def test_nearest_dirac_is_the_best_of_a_grid():
    """No point of a grid of 90 × 90 is better than the Fréchet mean, and the distance is its own."""
    space, grid = Torus(16), Torus(90)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        places, masses = embedded(rng.uniform(0.0, 6.3, (9, 2))), rng.uniform(0.1, 1.0, 9)
        masses /= masses.sum()
        found, distance = space.nearest_dirac(places, masses)
        own = space.distance(places, np.broadcast_to(found, places.shape))
        assert distance == pytest.approx(np.sqrt(masses @ own**2), rel=1e-12)
        every = np.sqrt(space.distance(grid.points[:, None], places[None]) ** 2 @ masses)
        assert distance <= every.min()
        # The best grid point is at most 0.05 away, and squares grow by the square of that.
        assert every.min() ** 2 <= distance**2 + 0.05**2


def test_fields_up_to_a_degree():
    space = Torus(12)
    features = space.features(2)
    functions, _ = basis(space.angles, 2)
    assert features.shape == (50, 144, 2)
    assert np.abs(features[:25, :, 0] - functions).max() < 1e-14 * 4
    assert np.abs(features[25:, :, 1] - functions).max() < 1e-14 * 4
    assert not features[:25, :, 1].any()
    assert not features[25:, :, 0].any()


def test_tangential_part_of_a_vector_field():
    """Of ∇(ξ·x) = ξ projected: components −sin θ ξ + cos θ ξ of each plane."""
    space, vector = Torus(12), np.array([1.0, -2.0, 0.5, 3.0])
    fields = np.outer(vector, VOLUME * space.uniform())
    expected = space.gradient(space.analyse(space.points @ vector))
    assert np.abs(space.tangential(fields) - expected).max() < 1e-14 * 4


@given(few=SIZES, many=SIZES, seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_padding_keeps_the_common_modes(few, many, seed):
    source, target = Torus(few), Torus(many)
    coefficients = np.random.default_rng(seed).standard_normal((2, source.uniform().size))
    padded = target.pad(coefficients)
    common = min(coefficients.shape[1], padded.shape[1])
    assert padded.shape == (2, target.uniform().size)
    assert (padded[:, :common] == coefficients[:, :common]).all()
    assert not padded[:, common:].any()
    assert source.wider().modes >= 2 * source.modes


@pytest.mark.parametrize("resolution", [8, 16, 33, 64, 128])
def test_the_tail_is_the_upper_end_of_the_spectrum(resolution):
    space = Torus(resolution)
    tail = space.tail_weights()
    first = int(np.flatnonzero(tail)[0])
    assert (tail == (np.arange(tail.size) >= first)).all()
    degrees = [degree for degree in range(space.modes + 1) if space.width(degree) == first]
    assert degrees  # whole degrees, the upper sixth or six of them, never the mass
    assert space.modes - degrees[0] >= min(6, space.modes, space.modes / 6)
    assert space.modes - degrees[0] <= max(6, space.modes / 6 + 1)


@pytest.mark.parametrize("degree", [2, 7, 8, 40])
def test_a_covering_leaves_no_gaps(degree):
    """At most 610 points; none of the torus is farther from them than a point's share of the area."""
    points = Torus(8).covering(degree)
    assert len(points) == min((3 * degree + 1) ** 2, 610)
    rng = np.random.default_rng(12)
    probes = embedded(rng.uniform(0.0, 2.0 * np.pi, (2000, 2)))
    gap = Torus(8).distance(probes[:, None], points[None]).min(axis=1).max()
    # A square grid of spacing h leaves h/√2; the lattice is as good as square.
    assert gap <= 1.1 * np.sqrt(VOLUME / len(points) / 2.0)


def test_what_lines_have_is_refused():
    space = Torus(8)
    with pytest.raises(InputError, match="torus: finite volumes need grid points on a line"):
        on_line(space)
    assert not space.compiled_rates()


def test_one_angle_is_the_circle():
    """Circle(resolution, "torus") is T¹."""
    one = Circle(16, "torus")
    assert (one.points == Circle(16).points).all()
    assert one.name == "torus"


def test_turned_tokens_and_functions_agree():
    """A rotary code turns both planes by the same angle: turned atoms have turned coefficients."""
    space, atoms = Torus(24), scattered(np.random.default_rng(13))
    angles = np.array([0.4, -1.0, 2.0])
    moved = turned(atoms.places.reshape(-1, 2, 2), angles[atoms.rows][:, None]).reshape(-1, 4)
    found = space.analyse_atoms(Atoms(moved, atoms.masses, atoms.starts))
    assert np.abs(found - space.rotate(space.analyse_atoms(atoms), angles)).max() < 1e-14 * 10
