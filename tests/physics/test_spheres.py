"""Exact results of MODEL.md, section 7, rows 1 to 4, on spheres of any dimension."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import optimize, special

import meanfield_pde as mf
from meanfield_pde import auxiliary, encodings, evolution
from meanfield_pde.attention import Attention, Head
from meanfield_pde.bifurcations.densities import DensityFamily
from meanfield_pde.bifurcations.parameters import varied
from meanfield_pde.building import build
from meanfield_pde.config import loads
from meanfield_pde.initial import Initial, vonmises
from meanfield_pde.limits.linear_theory import growth_rates
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.zonal import Zonal

DIMENSIONS = [2, 3, 5, 8, 64]
#: Zonal densities on spheres of any dimension, and all densities on that of three.
SPACES = [Zonal(12, dimension) for dimension in DIMENSIONS] + [Sphere(10)]
NAMES = [f"{space.name}-{space.dimension}" for space in SPACES]
#: What is promised of rates, and of critical values and folds.
RATES, PROMISED = 1e-9, 1e-6
TIGHT = Accuracy(rtol=1e-12, atol=1e-13)
#: An axis that is none of the grid's.
OBLIQUE = np.array([2.0, -1.0, 2.0]) / 3.0

every_space = pytest.mark.parametrize("space", SPACES, ids=NAMES)
every_normalization = pytest.mark.parametrize("normalization", ["softmax", "none"])


def eigenvalue(degree, beta, dimension):
    """c_l(β) = Γ(d/2) (2/β)^{d/2−1} I_{l+d/2−1}(β)."""
    order = dimension / 2.0 - 1.0
    size = math.lgamma(dimension / 2.0) + order * math.log(2.0 / beta) + beta
    return math.exp(size) * special.ive(degree + order, beta)


def gain(degree, beta, dimension, normalization):
    """c_l/β, over c_0 for softmax."""
    share = eigenvalue(0, beta, dimension) if normalization == "softmax" else 1.0
    return eigenvalue(degree, beta, dimension) / beta / share


def growth(degree, beta, sigma, dimension, normalization):
    """Row 2."""
    return degree * (degree + dimension - 2) * (gain(degree, beta, dimension, normalization) - sigma)


def layer(space, beta, normalization="none", **options):
    count = space.points.shape[1]
    head = Head(beta, np.eye(count), np.eye(count), options.pop("value", 1.0) * np.eye(count))
    return Attention((head,), auxiliary.none(), encodings.none(), normalization, **options)


def axis(space):
    """Unit vector about which data are symmetric: that of zonal densities, or an oblique one."""
    return np.array([1.0, 0.0]) if space.name == "zonal" else OBLIQUE


def harmonic(space, degree):
    """The harmonic about the axis with mean square one: Gegenbauer polynomials, cosines in the plane."""
    order = space.dimension / 2.0 - 1.0
    if order == 0.0:
        return lambda points: (
            math.sqrt(2.0) * np.cos(degree * np.arccos(np.clip(points @ axis(space), -1, 1)))
        )
    mean_square = order / (degree + order) * special.eval_gegenbauer(degree, order, 1.0)
    return lambda points: (
        special.eval_gegenbauer(degree, order, points @ axis(space)) / math.sqrt(mean_square)
    )


def solved(space, attention, depths, profile, sigma, accuracy=TIGHT):
    """Coefficients (depths, coefficients) of the only node."""
    problem = Problem(
        space,
        attention,
        np.asarray(depths, dtype=float),
        Initial(profile, degree=8),
        sigma,
        accuracy=accuracy,
        method="spectral",
    )
    solution = evolution.solve(problem)
    grid = space.resized(int(solution.attributes["resolution"]))
    return grid, grid.analyse(solution.density.reshape(len(depths), -1))


def sizes(grid, coefficients, degree):
    """Norms of the coefficients of a degree, (depths,)."""
    chosen = grid.eigenvalues == degree * (degree + grid.dimension - 2)
    return np.linalg.norm(coefficients[:, chosen], axis=1)


# Row 1


@every_space
def test_without_attention_modes_decay_by_diffusion(space):
    """The exponential integrator is exact here, up to roundings of coefficients of order one."""
    depths, sigma = np.array([0.0, 0.4, 1.5]), 0.07
    off = layer(space, 1.0, value=0.0)
    grid, found = solved(space, off, depths, vonmises(axis(space), 2.0), sigma)
    expected = found[0] * np.exp(-sigma * grid.eigenvalues * depths[:, None])
    assert np.abs(found - expected).max() < RATES
    assert sizes(grid, found, 1)[0] > 0.2
    assert sizes(grid, found, 2)[0] > 0.02


# Row 2


@every_normalization
@every_space
def test_growth_rates_of_the_linearisation(space, normalization):
    for beta, sigma in ((0.7, 0.0), (5.0, 0.1)):
        problem = Problem(space, layer(space, beta, normalization), [0.0, 1.0], sigma=sigma)
        found = growth_rates(problem)
        expected = [growth(k, beta, sigma, space.dimension, normalization) for k in found.degrees]
        # Rates of the degree l are as exact as l(l + d − 2) times what they multiply.
        scale = found.degrees * (found.degrees + space.dimension - 2)
        assert found.degrees[-1] >= 10
        assert np.abs((found.rates - expected) / scale).max() < RATES
        assert found.clusters == (0 if max(expected) <= 0.0 else 1 + int(np.argmax(expected)))


@every_normalization
@pytest.mark.parametrize("degree", [1, 2, 4])
@every_space
def test_growth_rates_of_short_solves(space, degree, normalization):
    """Half the difference of solutions from ±ε: what is left of order ε² = 1e-10, and roundings / ε."""
    beta, sigma, size = 4.0, 0.02, 1e-5
    wave = harmonic(space, degree)
    scale = degree * (degree + space.dimension - 2)
    depth = 0.1 / scale
    ends = []
    for sign in (1.0, -1.0):
        attention = layer(space, beta, normalization)
        grid, found = solved(
            space, attention, [0.0, depth], lambda x, e=sign * size: 1.0 + e * wave(x), sigma
        )
        ends.append(found)
    before, after = sizes(grid, ends[0] - ends[1], degree)
    expected = growth(degree, beta, sigma, space.dimension, normalization)
    assert abs(math.log(after / before) / depth - expected) / scale < RATES


# Rows 3 and 4


def turning_beta(dimension):
    """β_*: I_{d/2+1}(β)/I_{d/2}(β) = 1/d."""

    def gap(beta):
        return special.ive(dimension / 2 + 1, beta) / special.ive(dimension / 2, beta) - 1.0 / dimension

    return optimize.brentq(gap, 0.5, 5.0, xtol=1e-14)


def test_where_the_transition_changes():
    """The digits of MODEL.md."""
    assert turning_beta(2) == pytest.approx(2.4469183, abs=5e-8)
    assert turning_beta(3) == pytest.approx(1.8161545, abs=5e-8)


@cache
def over_noise(dimension, share, normalization="none"):
    """Diagram about the critical noise at a multiple of β_*: an interval in which one branch is followed."""
    beta = share * turning_beta(dimension)
    problem = build(
        loads(
            f"""
            token = {{ space = "zonal", dimension = {dimension}, resolution = 8 }}
            attention = {{ beta = {beta!r}, normalization = "{normalization}" }}
            noise = {{ sigma = 1.0 }}
            initial = {{ kind = "vonmises", concentration = 1.0 }}
            time = {{ final = 1.0, save = 2 }}
            """
        )
    )
    noise, width = gain(1, beta, dimension, normalization), 1e-3 if dimension < 64 else 2e-4
    return noise, mf.bifurcation(problem, "noise.sigma", (1.0 - width) * noise, (1.0 + width) * noise)


@pytest.mark.parametrize(("share", "transition"), [(0.985, "continuous"), (1.015, "discontinuous")])
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_transition_on_either_side(dimension, share, transition):
    """Rows 3 and 4, without normalisation."""
    noise, found = over_noise(dimension, share)
    (point,) = found.branch_points
    assert point["mode"] == 1
    assert abs(point["value"] / noise - 1.0) < PROMISED
    assert found.transition == transition
    assert len(found.folds) == (transition == "discontinuous")
    uniform = found.branch == point["branch"]
    above = found.parameter > noise
    away = np.abs(found.parameter / noise - 1.0) > 1e-12  # the critical value itself, to rounding
    assert np.array_equal(found.stable[uniform & away] == 1, above[uniform & away])
    ordered = found.order_parameter > 0.02
    assert np.count_nonzero(ordered) > 5
    if transition == "continuous":
        assert (found.parameter[ordered] < noise).all()
        assert found.stable[ordered].all()


@pytest.mark.parametrize("dimension", [3, 8])
def test_the_critical_noise_of_softmax(dimension):
    """Row 3; there is no fold whatever β."""
    noise, found = over_noise(dimension, 1.5, "softmax")
    (point,) = found.branch_points
    assert abs(point["value"] / noise - 1.0) < PROMISED
    assert found.folds == []
    assert found.transition == "continuous"


def zonal_kernel(beta, dimension, count=32):
    """Cosines, their probabilities, and the mean of e^{β⟨x,y⟩} over the rings through x and y, by quadrature.

    Gauss–Jacobi in the cosines and in the angle between the rings: nothing is expanded in harmonics.
    """
    power = (dimension - 3) / 2.0
    cosine, weight = special.roots_jacobi(count, power, power)
    sine = np.sqrt(1.0 - cosine**2)
    if dimension == 2:
        turn, share = np.array([-1.0, 1.0]), np.full(2, 0.5)
    else:
        turn, share = special.roots_jacobi(count, power - 0.5, power - 0.5)
    inner = np.multiply.outer(cosine, cosine)[..., None] + np.multiply.outer(sine, sine)[..., None] * turn
    return cosine, weight / weight.sum(), np.exp(beta * inner) @ (share / share.sum())


def folded_noise(beta, dimension):
    """Largest noise with an ordered state, and its order parameter: ρ ∝ exp(Φ[ρ]/σ) on the nodes alone."""
    cosine, weight, kernel = zonal_kernel(beta, dimension)

    def density(potential, sigma):
        shape = weight * np.exp((potential - potential.max()) / sigma)
        return shape / shape.sum()

    def noise(order):
        def gap(unknown):
            law = density(unknown[1:], unknown[0])
            return np.append(cosine @ law - order, kernel @ law / beta - unknown[1:])

        tilt = optimize.brentq(lambda k: cosine @ density(k * cosine, 1.0) - order, 1e-3, 1e3)
        potential = kernel @ density(tilt * cosine, 1.0) / beta
        slope = np.polynomial.polynomial.polyfit(cosine, potential, 1, w=np.sqrt(weight))[1]
        found = optimize.root(gap, np.append(slope / tilt, potential), tol=1e-15)
        assert np.abs(gap(found.x)).max() < 1e-12  # roundings
        return found.x[0]

    top = optimize.minimize_scalar(lambda order: -noise(order), bounds=(0.08, 0.2), method="bounded")
    return -top.fun, top.x


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_the_clustered_branch_folds(dimension):
    """Row 4 against a solution without any harmonics; R at the fold is the place of a flat maximum."""
    noise, found = over_noise(dimension, 1.015)
    (fold,) = found.folds
    sigma, order = folded_noise(1.015 * turning_beta(dimension), dimension)
    # The fold lies but 1e-4 above the critical noise: that distance is what is to be seen, too.
    assert abs(fold["value"] - sigma) < PROMISED * (sigma - noise)
    assert abs(fold["order_parameter"] - order) < math.sqrt(PROMISED)
    assert found.attributes["spinodal_low"] == pytest.approx(noise, rel=PROMISED)
    assert found.attributes["spinodal_high"] == pytest.approx(sigma, rel=PROMISED)
    assert np.abs(found.residual).max() < 1e-10  # the continuation's own tolerance


@pytest.mark.parametrize("space", [Zonal(16, 3), Zonal(16, 5), Sphere(12)], ids=NAMES[1:3] + NAMES[-1:])
def test_ordered_states_beyond_the_critical_noise(space):
    """Row 4 at 1.3 β_*: both states are stable, and the ordered one is that of the zonal quadrature."""
    dimension = space.dimension
    beta = 1.3 * turning_beta(dimension)
    cosine, weight, kernel = zonal_kernel(beta, dimension)
    sigma = 1.01 * gain(1, beta, dimension, "none")
    law = weight * np.exp(5.0 * cosine)
    for _ in range(1000):  # towards a stable state
        law = weight * np.exp(kernel @ (law / law.sum()) / beta / sigma)
    problem = Problem(space, layer(space, beta), [0.0, 1.0], Initial(vonmises(axis(space), 5.0)), sigma)
    found = mf.limit(problem)
    assert cosine @ law / law.sum() > 0.4
    assert abs(order_of(problem, found) - cosine @ law / law.sum()) < RATES
    assert found.summary()["stable"]
    uniform = mf.limit(replace(problem, initial=Initial(vonmises(axis(space), 0.1))))
    assert order_of(problem, uniform) < RATES
    assert uniform.summary()["stable"]


def order_of(problem, limit):
    """|∫x dμ| by the quadrature of the grid; no density is known across the axis of zonal ones."""
    grid = problem.space.resized(int(limit.attributes["resolution"]))
    mean = (limit.limit_marginal.ravel() * grid.weights) @ grid.points
    return abs(mean[0]) if grid.name == "zonal" else np.linalg.norm(mean)


def test_values_that_a_parameter_may_not_have_are_no_states():
    """Newton's method may step to a negative noise: that is a failed step, no error of the user."""
    space = Sphere(8)
    problem = Problem(space, layer(space, 1.0), [0.0, 1.0], sigma=0.5)
    family = DensityFamily(varied(problem, "noise.sigma"), (0.4, 0.6))
    state = np.zeros(space.eigenvalues.size - space.constant)
    assert np.abs(family.residual(state, 0.5)).max() < RATES
    assert np.isnan(family.residual(state, -0.5)).all()
