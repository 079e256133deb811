"""Row 8 of MODEL.md, section 7: N random tokens differ from the density by O(N^{-1/2}).

Errors are those of all first and second moments of the joint law, Σ_j w_j (|Δ∫x|² + |Δ∫xxᵀ|²). To first
order in a perturbation of the initial laws the moments at a later depth are means ∫h dρ(0) of influence
functions h, so that N tokens a node leave an error of mean square Σ_j Var h_j / N. The variances are found
with the density alone, from its solutions with initial laws ρ(1 + εg) for many functions g.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import pytest
from scipy import stats

from meanfield_pde import auxiliary, encodings, evolution, initial
from meanfield_pde.attention import Attention, Causal, Head
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.methods.embedded import EmbeddedCharacteristics
from meanfield_pde.methods.spectral import Spectral
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from solvers.travel import travel

#: Errors of the methods are far below those of random tokens, which are above 1e-2.
ACCURACY = Accuracy(1e-5, 1e-6)
#: Strength of the initial von Mises law, and its end: the mean grows from 0.3 to about twice that.
CONCENTRATION, DEPTH = 1.0, 1.0
#: Degree up to which powers of the coordinates span influence functions.
DEGREE = 3
#: What powers beyond add to the variances: degrees 4 and 5 add 0.1 % on the sphere, and on the circle 0.3 %
#: without positions and 1.9 % with them.
BEYOND = 0.03
#: An interval of 95 % misses for one seed in twenty: of 47 others 44 had -1/2 in it, and the mean of their
#: slopes was -0.495(4).
SEED = 8
#: Size of perturbations: differences are wrong by as much.
EPSILON = 1e-3


@dataclass(frozen=True)
class Case:
    """A problem on a space, tokens at every node, and how often they are drawn."""

    space: Circle | Sphere
    attention: Attention
    sizes: tuple[int, ...]
    draws: int

    @property
    def center(self):
        return np.array([0.6, 0.8]) if self.space.name == "circle" else np.array([2.0, -1.0, 2.0]) / 3.0

    def problem(self, start):
        return Problem(self.space, self.attention, np.array([0.0, DEPTH]), start, accuracy=ACCURACY)

    def density(self, factors=None):
        """Moments at the end, (aux, d + d²); initial laws times functions of the points, (aux, n)."""
        law = initial.vonmises(self.center, CONCENTRATION)
        profile = law if factors is None else lambda points: law(points) * factors(points)
        method = arrived(Spectral, self.problem(Initial(profile)))
        space = method.equation.space
        return moments(space.points[None], space.synthesise(method.coefficients) * space.weights)

    def initial_law(self):
        """Points of a fine grid, and the probabilities there."""
        grid = self.space.resized(4 * self.space.resolution)
        masses = initial.vonmises(self.center, CONCENTRATION)(grid.points) * grid.weights
        return grid.points, masses / masses.sum()

    def drawn(self, rng, size):
        """Independent tokens (aux, size, d) by rejection: exp(κ(⟨x, c⟩ − 1)) of uniform ones are kept."""
        count = self.attention.auxiliary.nodes.size * size
        kept = np.empty((0, self.center.size))
        while len(kept) < count:
            tried = rng.standard_normal((4 * count, self.center.size))
            tried /= np.linalg.norm(tried, axis=1, keepdims=True)
            chance = np.exp(CONCENTRATION * (tried @ self.center - 1.0))
            kept = np.concatenate([kept, tried[rng.random(len(tried)) < chance]])
        return kept[:count].reshape(-1, size, self.center.size)

    def carried(self, places):
        """Tokens at the end."""
        flat = self.space.name == "circle"
        tokens = np.arctan2(places[..., 1], places[..., 0]) if flat else places
        start = Initial(initial.uniform, tokens=Tokens(tokens, np.ones(places.shape[:2])))
        method = arrived(Characteristics if flat else EmbeddedCharacteristics, self.problem(start))
        found = method.cloud.places.reshape(tokens.shape)
        return np.stack([np.cos(found), np.sin(found)], axis=-1) if flat else found

    def square(self, difference):
        """Norm of differences of moments, squared."""
        return float(self.attention.auxiliary.weights @ (difference**2).sum(axis=1))

    def initial_variance(self):
        """Mean square error of one token a node at depth 0."""
        points, masses = self.initial_law()
        each = moments(points[:, None], np.ones((len(points), 1)))
        return float(masses @ ((each - masses @ each) ** 2).sum(axis=1))

    def variance(self):
        """Mean square error of one token a node at the end, to first order: Σ_j Var h_j."""
        points, masses = self.initial_law()
        covariance = np.cov(powers_of(points), aweights=masses, ddof=0)
        before, total = self.density(), 0.0
        for node in range(len(before)):
            slopes = np.array([self.slope(node, index, before) for index in range(len(covariance))])
            total += np.einsum("ka,kl,la->", slopes, np.linalg.inv(covariance), slopes)
        return float(total)

    def slope(self, node, index, before):
        """∫hg dρ(0) for a power g at a node: how moments (aux · (d + d²),) at the end change with it.

        They are weighted by the roots of the node weights, so that squares add up to the norm.
        """

        def factors(points):
            values = np.ones((len(before), len(points)))
            values[node] += EPSILON * powers_of(points)[index]
            return values

        change = (self.density(factors) - before) / EPSILON
        return (np.sqrt(self.attention.auxiliary.weights)[:, None] * change).ravel()


def arrived(method, problem):
    """Method at the end."""
    with evolution.limited(1):
        running = method.start(problem)
        assert travel(running, [0.0, DEPTH], lambda *_: None) == "reached"
    return running


def moments(points, masses):
    """∫x and ∫xxᵀ of every row, (rows, d + d²), for points (1 or rows, n, d) and masses (rows, n)."""
    points = np.broadcast_to(points, (len(masses), *points.shape[1:]))
    first = np.einsum("an,anp->ap", masses, points)
    second = np.einsum("an,anp,anq->apq", masses, points, points)
    return np.concatenate([first, second.reshape(len(first), -1)], axis=1)


def powers_of(points):
    """Products of coordinates up to the degree, the last at most once, not the constant, (powers, n)."""
    exponents = product(*(range(DEGREE + 1) for _ in range(points.shape[1] - 1)), (0, 1))
    return np.array([np.prod(points**e, axis=1) for e in exponents if 0 < sum(e) <= DEGREE])


def plain(space, beta=2.0):
    """Softmax attention without positions."""
    return Attention((Head.plain(beta, space.points.shape[1]),), auxiliary.none(), encodings.none())


def positioned(space, beta=2.0):
    """Three positions on a ring half as long as tokens, each of which sees those up to its own."""
    nu, dimension = auxiliary.uniform(3), space.points.shape[1]
    ring = encodings.additive(encodings.ring(nu.nodes, 0.5, dimension))
    return Attention((Head.plain(beta, dimension, Causal()),), nu, ring)


SIZES, FEWER = (40, 80, 160, 320, 640, 1280), (16, 32, 64, 128, 256, 512)
CASES = {
    "circle": Case(Circle(64), plain(Circle(64)), SIZES, 24),
    "circle with positions": Case(Circle(64), positioned(Circle(64)), FEWER, 16),
    "sphere": Case(Sphere(24), plain(Sphere(24)), SIZES, 10),
    "sphere with positions": Case(Sphere(24), positioned(Sphere(24)), FEWER, 6),
}


@cache
def errors(name):
    """Squared errors of independent draws at depth 0 and at the end, (2, sizes, draws)."""
    case, rng = CASES[name], np.random.default_rng(SEED)
    points, masses = case.initial_law()
    known = (moments(points[None], masses[None]), case.density())
    found = np.empty((2, len(case.sizes), case.draws))
    for row, draw in product(range(len(case.sizes)), range(case.draws)):
        places = case.drawn(rng, case.sizes[row])
        equal = np.full(places.shape[:2], 1.0 / case.sizes[row])
        for end, tokens in enumerate((places, case.carried(places))):
            found[end, row, draw] = case.square(moments(tokens, equal) - known[end])
    return found


def level(name, end):
    """Mean of N times the squared errors, and its standard error from the scatter of the draws."""
    scaled = np.array(CASES[name].sizes)[:, None] * errors(name)[end]
    return scaled.mean(), scaled.std(ddof=1) / np.sqrt(scaled.size)


@pytest.mark.parametrize("name", CASES)
def test_the_rate_of_random_tokens(name):
    """Least squares in logarithms over 1.5 decades; the interval is Student's, from the scatter of draws."""
    case = CASES[name]
    sizes, logarithms = np.repeat(np.log(case.sizes), case.draws), 0.5 * np.log(errors(name)[1]).ravel()
    fit = stats.linregress(sizes, logarithms)
    half = stats.t.ppf(0.975, sizes.size - 2) * fit.stderr
    assert half < 0.1  # observed 0.04 to 0.08
    assert abs(fit.slope + 0.5) < half, (fit.slope, half)


@pytest.mark.parametrize("name", CASES)
def test_the_level_at_depth_0_and_after(name):
    """At depth 0 the variance of independent samples; attention amplifies it, observed 1.4 to 2.5 times."""
    variance = CASES[name].initial_variance()
    mean, error = level(name, 0)
    assert abs(mean - variance) < 3.0 * error
    mean, error = level(name, 1)
    assert 1.2 * variance < mean < 3.0 * variance
    assert error < 0.1 * mean


@pytest.mark.parametrize("name", ["circle", "circle with positions", "sphere"])
def test_the_level_is_that_of_the_linearised_density(name):
    """Tokens one by one, beside what the spectral method knows of the response to its initial law."""
    mean, error = level(name, 1)
    variance = CASES[name].variance()
    assert abs(mean - variance) < 3.0 * error + BEYOND * variance
