"""Rows 6 to 11 of MODEL.md, section 7: tokens, symmetries, finite numbers, limits with positions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

import meanfield_pde as mf
from benchmarks import exact
from benchmarks.checks import Check, bare, check, layer, problem_of
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Causal, Table
from meanfield_pde.initial import Initial, Tokens, fourier, uniform, vonmises
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.hypersphere import Hypersphere
from meanfield_pde.spaces.sphere import Sphere

if TYPE_CHECKING:
    from meanfield_pde.spaces import Space

PROMISED = 1e-8
BUMPS = [(1, 0.4, 0.3), (2, 0.3, 2.0)]
SIZES, DRAWS = (100, 200, 400, 800, 1600, 3200), 16


def orthonormal() -> Iterator[Check]:
    """Row 6: n tokens with equal inner products on S^{n−1}, and two of them on the circle."""
    for count in (3, 8, 64):
        for normalization, depth in (("softmax", 6.0), ("none", 1.0)):
            start = Initial(uniform, tokens=Tokens(np.eye(count)[None], np.ones((1, count))))
            attention = layer(count, 1.0, normalization)
            solution = mf.solve(problem_of(Hypersphere(count, 16), attention, [0.0, depth], start))
            places = solution.position[-1].reshape(count, count)
            products = (places @ places.T)[~np.eye(count, dtype=bool)]
            known = exact.equal_products(count, 1.0, normalization, 0.0, depth)
            error = float(np.abs(products - known).max())
            what = f"n = {count}, {normalization}: ρ at t = {depth:g}"
            yield Check(6, what, float(products.mean()), known, error, PROMISED, "rtol = 1e-8, all pairs")
    gap, depth = 2.6, 10.0
    start = Initial(uniform, tokens=Tokens(np.array([[0.4, 0.4 - gap]]), np.ones((1, 2))))
    solution = mf.solve(problem_of(Circle(64), layer(2, 1.0), [0.0, depth], start))
    between = solution.position[-1].ravel()
    known = exact.equal_products(2, 1.0, "softmax", float(np.cos(gap)), depth)
    yield check(
        6, "n = 2 on the circle: ρ at t = 10", np.cos(between[1] - between[0]), known, PROMISED, "rtol = 1e-8"
    )


def _modes(solution: mf.Solution) -> np.ndarray:
    """Fourier modes 0 … 8 of all conditionals at the last depth, (aux, 9)."""
    density = solution.density[-1]
    return np.asarray(np.fft.fft(density)[:, :9] * (2.0 * np.pi / density.shape[-1]))


def equivariance() -> Iterator[Check]:
    """Row 7: rotated data and encodings, relabelled nodes."""
    turn, nu = 1.234, auxiliary.uniform(3)
    ring, found = encodings.ring(nu.nodes, 0.5, 2), []
    for angle in (0.0, turn):
        cosine, sine = np.cos(angle), np.sin(angle)
        code = encodings.additive(ring @ np.array([[cosine, sine], [-sine, cosine]]))
        bumps = [(mode, size, phase + angle) for mode, size, phase in BUMPS]
        attention = layer(2, 2.0, nu=nu, encoding=code, bias=Causal())
        start = Initial(fourier(bumps), turns=0.2)
        found.append(_modes(mf.solve(problem_of(Circle(64), attention, [0.0, 0.5], start, 0.05))))
    error = float(np.abs(found[1] - np.exp(-1j * turn * np.arange(9)) * found[0]).max())
    yield Check(7, "rotated data and encodings: modes", error, 0.0, error, 1e-10, "the same steps, rounding")
    yield _relabelled()
    yield _turned_sphere()


def _relabelled() -> Check:
    rng, count = np.random.default_rng(8), 6
    order, nodes, bias = rng.permutation(count), rng.random(count), rng.standard_normal((count, count))
    weights = rng.uniform(0.5, 1.0, count)
    weights /= weights.sum()
    found = []
    for rows in (np.arange(count), order):
        nu = auxiliary.Auxiliary(nodes[rows], weights[rows])
        code = encodings.additive(encodings.ring(nu.nodes, 0.8, 2))
        table = Table(bias[np.ix_(rows, rows)], nu.nodes)
        attention = layer(2, 2.0, nu=nu, encoding=code, bias=table)
        start = Initial(fourier(BUMPS), turns=0.7)
        found.append(_modes(mf.solve(problem_of(Circle(64), attention, [0.0, 1.0], start, 0.05))))
    error = float(np.abs(found[1] - found[0][order]).max())
    return Check(7, "relabelled nodes: modes", error, 0.0, error, 1e-11, "sums in another order")


def _turned_sphere() -> Check:
    """Compare free energy and R of the same law about two axes of S²."""
    found = []
    for center in (np.array([0.0, 0.0, 1.0]), np.array([2.0, -1.0, 2.0]) / 3.0):
        start = Initial(vonmises(center, 2.0))
        solution = mf.solve(problem_of(Sphere(12), layer(3, 3.0), [0.0, 1.0], start, 0.1))
        found.append([solution.order_parameter[-1], solution.free_energy[-1]])
    error = float(np.abs(np.array(found[1]) - np.array(found[0])).max())
    return Check(7, "S²: R about two axes", found[1][0], found[0][0], error, 1e-9, "no pole artefacts")


def chaos() -> Iterator[Check]:
    """Row 8: slope of log error against log N, with the interval of 95 % from the scatter of the draws."""
    cases: dict[str, tuple[Space, Attention]] = {
        "circle, σ = 0.2": (Circle(48), layer(2, 2.0)),
        "circle, causal ring, σ = 0.2": (Circle(48), _causal_ring()),
    }
    for name, (space, attention) in cases.items():
        start = Initial(vonmises(np.array([0.6, 0.8]), 1.0))
        problem = problem_of(space, attention, [0.0, 0.6], start, 0.2)
        known = _coefficients(problem)
        errors = [
            [_distance(problem, known, size, 1000 * row + draw) for draw in range(DRAWS)]
            for row, size in enumerate(SIZES)
        ]
        fit = stats.linregress(np.repeat(np.log(SIZES), DRAWS), np.log(errors).ravel())
        half = float(stats.t.ppf(0.975, len(SIZES) * DRAWS - 2) * fit.stderr)
        yield check(
            8, f"{name}: slope over N", fit.slope, -0.5, half, f"95 % of {DRAWS} draws of {len(SIZES)} sizes"
        )


def _causal_ring() -> Attention:
    nu = auxiliary.uniform(3)
    code = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    return layer(2, 2.0, nu=nu, encoding=code, bias=Causal())


def _coefficients(problem: mf.Problem) -> np.ndarray:
    """Coefficients up to degree 2 of the density at the end."""
    solution = mf.solve(problem)
    grid = problem.space.resized(int(solution.attributes["resolution"]))
    return np.asarray(grid.analyse(solution.density[-1])[:, : grid.width(2)])


def _distance(problem: mf.Problem, known: np.ndarray, size: int, seed: int) -> float:
    tokens = mf.particles(problem, size, seed=seed, step=0.15)
    return float(np.sqrt(np.mean((tokens.coefficients(2) - known)[:, problem.space.constant :] ** 2)))


def rotary() -> Iterator[Check]:
    """Rows 9 and 10: rotary positions whose values carry the rotation, and whose values do not."""
    for turns in (0.25, 0.75, 1.5):
        nu = auxiliary.legendre(16)
        code = encodings.rotary(nu.nodes, 2.0 * np.pi * turns)
        start = Initial(fourier([(1, 0.3, 0.4), (2, 0.2, 1.0)]))
        own = problem_of(Circle(64), layer(2, 1.0, nu=nu, encoding=code), [0.0, 1.0], start)
        found = mf.limit(own).summary()
        what = f"a = {turns}: R of the limit"
        known = exact.sinc(turns)
        yield check(9, what, found["order_parameter"], known, PROMISED, "16 Gauss nodes: ν exact to 1e-12")
        nearly = Initial(vonmises(np.array([0.6, 0.8]), 30.0))
        without = problem_of(Circle(64), bare(layer(2, 1.0, nu=nu, encoding=code)), [0.0, 1.0], nearly)
        found = mf.limit(without).summary()
        yield check(
            10, f"a = {turns}: R of the limit, bare values", found["order_parameter"], 1.0, PROMISED, "Newton"
        )
    yield _characteristic()


def _characteristic() -> Check:
    """Row 9 with noise: modes of μ are those of the law of u times the characteristic function of ν."""
    frequency, sigma, nu = 5.0, 0.1, auxiliary.legendre(12)
    code = encodings.rotary(nu.nodes, frequency)
    single = mf.solve(problem_of(Circle(64), layer(2, 2.0), [0.0, 1.0], Initial(fourier(BUMPS)), sigma))
    start = Initial(fourier(BUMPS), turns=-frequency / (2.0 * np.pi))
    turning = mf.solve(problem_of(Circle(64), layer(2, 2.0, nu=nu, encoding=code), [0.0, 1.0], start, sigma))
    exponent = 1j * frequency * np.arange(1, 4)
    known = _modes(single)[0, 1:4] * (np.exp(exponent) - 1.0) / exponent
    found = nu.weights @ _modes(turning)[:, 1:4]
    error = float(np.abs(found - known).max())
    why = "12 Gauss nodes of ν, both runs at 1e-8"
    return Check(
        9, "σ = 0.1: modes 1–3 of μ", float(abs(found[0])), float(abs(known[0])), error, PROMISED, why
    )


def ring() -> Iterator[Check]:
    """Row 11: a ring spreads tokens where it is large, and does not where it is small."""
    nodes = 16
    problem = mf.load(
        "additive-ring",
        {"token.resolution": 64, "auxiliary.nodes": nodes, "noise.sigma": 0.0, "attention.beta": 2.0},
    )
    nu = auxiliary.uniform(nodes)
    spread = {}
    for amplitude in (0.1, 1.5):
        code = encodings.additive(encodings.ring(nu.nodes, amplitude, 2))
        start = Initial(fourier([(1, 0.1, 0.5)]))
        found = mf.limit(problem_of(Circle(64), layer(2, 2.0, nu=nu, encoding=code), [0.0, 1.0], start))
        spread[amplitude] = found.summary()["order_parameter"], found
    yield check(
        11, "a = 1.5: R of the limit", spread[1.5][0], 0.0, 1e-10, "residual 1e-12 over the restoring rate"
    )
    lag = np.exp(1j * (spread[1.5][1].pushforward_map - 2.0 * np.pi * nu.nodes))
    error = float(np.abs(lag - lag.mean()).max())
    yield Check(11, "a = 1.5: T(z) − 2πz − const", error, 0.0, error, 1e-10, "the same")
    collapsed = spread[0.1][0]
    # T(z) differs from its mean by about a/(1 + a) sin: 1 − R is at most a²/2 to first order.
    yield check(11, "a = 0.1: R of the limit", collapsed, 1.0, 0.1**2 / 2.0, "means differ by at most a")
    diagram = mf.bifurcation(problem, "encoding.amplitude", 0.1, 1.2)
    known = exact.spread_threshold(nodes, 2.0)
    point = min(diagram.branch_points, key=lambda one: abs(one["value"] - known), default={"value": np.nan})
    why = "beside eigenvalues of the definition"
    yield check(11, "amplitude from which the spread map is stable", point["value"], known, 1e-6, why)
