r"""Runs of the study and what is measured at their end: single tokens without noise, and densities with it.

Attention is uniform where its entropy is log n over n positions (of all that a token may see, if causal). As
contexts grow, entropy is log n but for a constant whatever attention does: so that its divergence from
uniform attention, this constant, is told beside it. The continuum has no entropy, only the divergence.

* Entropy is that of the marginal; single tokens are seen with a Gaussian error of `BLUR`.
* The information of token and position is exact for densities, Σ_j w_j ∫ρ(x|z_j) log(ρ(x|z_j)/μ(x)) dx. A
  single token a position has no law given its position: its information is that of Gaussian variables, beyond
  chance, as in a trained model (``measures.py``), of the token seen with that error and codes of positions.
* The predicted pushforward is T_#ν with T of the whole encoding (``Scheme.prescribed``), turned so that
  tokens lie about it: by the mean of their differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from scipy.integrate import solve_ivp

from meanfield_pde.ablation.measures import COLLAPSED, ORDERS, depth_of_collapse
from meanfield_pde.ablation.token_field import TokenField
from meanfield_pde.errors import ComputationError
from meanfield_pde.initial import Initial, fourier, sampled
from meanfield_pde.limits.comparison import last_marginal
from meanfield_pde.limits.measures import Tokens, spread
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.named import space_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfield_pde.ablation.schemes import Scheme
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.solution import Solution
    from meanfield_pde.spaces import Space

__all__ = ["FOUND", "SIGMA", "Stage", "carried", "density_run", "token_run"]

#: What is measured in every run, and what it is.
FOUND = {
    "order_parameter": "order parameter R = |∫x dμ|",
    "entropy": "entropy −∫μ log μ of the token marginal",
    "pushforward_distance": "W₂ to the predicted pushforward of ν",
    "nearest_dirac": "W₂ to the nearest Dirac mass",
    "effective_rank": "effective rank of the token covariance",
    "attention_entropy": "entropy of attention over that of uniform attention, log n",
    "attention_divergence": "divergence of attention from uniform attention, nats",
    "information": "mutual information of token and position, nats",
    "collapse_depth": f"depth from which on R >= {COLLAPSED:g}",
    "uniform_depth": f"depth from which on the entropy of attention is {COLLAPSED:g} log n or more",
}
#: Standard error with which single tokens are seen, radians; modes beyond are below e^{−40}.
BLUR, BLUR_MODES = 0.1, 90
#: Noise of densities: alone it leaves R = 0.995.
SIGMA = 0.01
#: States over depth.
SAVED = 61
#: Error of a step in angles of single tokens, root mean square: random angles are known to 1/√n.
STEP = 1e-4
#: Least relative tolerance that scipy accepts; angles are controlled absolutely.
ROUNDING = 2.5e-14
#: Densities to three digits; the random parts of laws vary more.
ACCURACY = Accuracy(1e-3, 1e-5, 2048)
#: Grid to begin with, weak bias of initial densities, and size of their random part.
GRID, BIAS, PERTURBATION = 64, 0.3, 0.5
#: Codes that are combinations of others to this are left out.
INDEPENDENT = 1e-9


@dataclass(frozen=True)
class Stage:
    """A scheme, from the last stage on until a depth."""

    scheme: Scheme
    until: float


def token_run(
    stages: Sequence[Stage], auxiliary: Auxiliary, beta: float, context: int | None, seed: int
) -> dict[str, float]:
    """One token at every node, in a random direction at depth 0, without noise.

    Where ``context`` is None the nodes are a quadrature of the continuum, several tokens of each at the same
    z, whose directions are a quadrature of 1 + BIAS cos: there is no chance then.
    """
    angles = _directions(auxiliary, context, seed)
    course = _Course()
    begin = 0.0
    for stage in stages:
        layer = TokenField(stage.scheme.attention(auxiliary, beta, context))
        saved = np.linspace(begin, stage.until, max(round(SAVED * stage.until / stages[-1].until), 2))
        path = carried(layer, angles, saved)
        for depth, row in list(zip(saved, path, strict=True))[0 if begin == 0.0 else 1 :]:
            order = float(abs(auxiliary.mean(np.exp(1j * row))))
            course.add(depth, order, *layer.attention_entropy(row), context)
        angles, begin = path[-1], stage.until
    scheme = stages[0].scheme
    tokens = Tokens(angles, auxiliary.weights)
    space = space_named("circle", GRID)
    predicted = _turned(scheme.prescribed(auxiliary, context), angles, auxiliary.weights)
    codes = scheme.codes(auxiliary, context)
    return {
        **spread(space, tokens),
        **course.told(),
        "entropy": _blurred_entropy(tokens),
        "pushforward_distance": space.wasserstein_atoms(
            angles % (2.0 * math.pi), auxiliary.weights, predicted % (2.0 * math.pi), auxiliary.weights, 2
        ),
        "information": math.nan if context is None else _information(angles, codes, seed),
    }


def density_run(stages: Sequence[Stage], auxiliary: Auxiliary, beta: float, seed: int) -> dict[str, float]:
    """Densities at every node with a little noise, from a weak bias and a random part of each node."""
    initial = Initial(fourier([(1, BIAS, 0.0)]), perturbation=PERTURBATION, seed=seed)
    count = auxiliary.nodes.size
    solutions: list[Solution] = []
    begin = 0.0
    for stage in stages:
        number = max(round(SAVED * stage.until / stages[-1].until), 2)
        problem = Problem(
            space_named("circle", GRID),
            stage.scheme.attention(auxiliary, beta, count),
            np.linspace(begin, stage.until, number),
            initial=initial,
            sigma=SIGMA,
            accuracy=ACCURACY,
            keep_density=False,
        )
        solutions.append(_solved(problem))
        initial = _continued(solutions[-1])
        begin = stage.until
    return _of_densities([stage.scheme for stage in stages], auxiliary, solutions)


def _solved(problem: Problem) -> Solution:
    from meanfield_pde.evolution import solve

    return solve(problem, threads=1)


def _continued(solution: Solution) -> Initial:
    """Take the last densities as initial ones."""
    table = np.asarray(solution.density[-1])
    return Initial(sampled(space_named("circle", table.shape[1]), table), degree=table.shape[1] // 2)


def _of_densities(
    schemes: Sequence[Scheme], auxiliary: Auxiliary, solutions: Sequence[Solution]
) -> dict[str, float]:
    last, count = solutions[-1], auxiliary.nodes.size
    density = np.asarray(last.density[-1])
    space = space_named("circle", density.shape[1])
    marginal = auxiliary.mean(space.analyse(density))
    course = _Course()
    for scheme, solution in zip(schemes, solutions, strict=True):
        seen = _seen(scheme, auxiliary)
        for place in range(0 if solution is solutions[0] else 1, len(solution.time)):
            order, entropy = solution.order_parameter[place], solution.attention_entropy[place]
            course.add(float(solution.time[place]), float(order), float(entropy), seen, count)
    moments = space.first_moment(space.analyse(density))
    means = space.locate(moments)
    predicted = _turned(schemes[0].prescribed(auxiliary, count), means, auxiliary.weights)
    return {
        **spread(space, last_marginal(space, last.record)),
        **course.told(),
        "entropy": float(last.entropy[-1]),
        "pushforward_distance": space.wasserstein(
            marginal, predicted % (2.0 * math.pi), auxiliary.weights, 2
        ),
        "information": _exact_information(density, auxiliary, space),
    }


def _exact_information(density: FloatArray, auxiliary: Auxiliary, space: Space) -> float:
    """Σ_j w_j ∫ρ_j log(ρ_j/μ); densities may be negative by their tolerance, where they count as nothing."""
    positive = np.maximum(density, 0.0)
    marginal = auxiliary.mean(positive)
    divergence = special.rel_entr(positive, np.broadcast_to(marginal, positive.shape)) @ space.weights
    return float(auxiliary.mean(divergence))


def _seen(scheme: Scheme, auxiliary: Auxiliary) -> float:
    """Mean log of the share of positions that a token may see."""
    if scheme.encoding != "causal":
        return 0.0
    below = auxiliary.weights @ (auxiliary.nodes[:, None] <= auxiliary.nodes)
    return float(auxiliary.mean(np.log(below)))


def _directions(auxiliary: Auxiliary, context: int | None, seed: int) -> FloatArray:
    """Random angles; or in the continuum for every z quantiles of 1 + BIAS cos."""
    if context is not None:
        return np.random.default_rng([seed, 0]).uniform(0.0, 2.0 * math.pi, auxiliary.nodes.size)
    copies = int((auxiliary.nodes == auxiliary.nodes[0]).sum())
    grid = np.linspace(0.0, 2.0 * math.pi, 4097)
    shares = (np.arange(copies) + 0.5) / copies
    quantiles = np.interp(shares, (grid + BIAS * np.sin(grid)) / (2.0 * math.pi), grid)
    return np.tile(quantiles, auxiliary.nodes.size // copies)


def carried(tokens: TokenField, angles: FloatArray, depths: FloatArray, error: float = STEP) -> FloatArray:
    """Angles at all depths, (depths, aux), with this error of a step."""
    run = solve_ivp(
        lambda _, state: tokens.velocity(state),
        (depths[0], depths[-1]),
        angles,
        "RK45",
        depths,
        rtol=ROUNDING,
        atol=error,
    )
    if not run.success:
        raise ComputationError(f"ablation: stopped at depth {run.t[-1]:.6g}: {run.message}")
    return np.asarray(run.y.T)


@dataclass(frozen=True)
class _Course:
    """R and attention over depth."""

    depths: list[float] = field(default_factory=list)
    orders: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    divergences: list[float] = field(default_factory=list)

    def add(self, depth: float, order: float, entropy: float, seen: float, context: int | None) -> None:
        """Add a state: R, and entropies of its attention and of uniform attention, less that of ν."""
        count = math.nan if context is None else math.log(context)
        self.depths.append(float(depth))
        self.orders.append(order)
        self.shares.append((count + entropy) / (count + seen))
        self.divergences.append(seen - entropy)

    def told(self) -> dict[str, float]:
        """Depths of both kinds of collapse, and attention at the end."""
        return {
            "attention_entropy": self.shares[-1],
            "attention_divergence": self.divergences[-1],
            "collapse_depth": self._from(self.orders),
            "uniform_depth": math.nan if math.isnan(self.shares[-1]) else self._from(self.shares),
        }

    def _from(self, series: list[float]) -> float:
        """Depth from which on what is told stays at the threshold or above."""
        index = float(depth_of_collapse(np.array(series)))
        return math.nan if math.isnan(index) else self.depths[int(index)]


def _turned(prescribed: FloatArray, angles: FloatArray, weights: FloatArray) -> FloatArray:
    """Turn a map so that tokens lie about it: by the mean of the differences."""
    turn = np.angle(weights @ np.exp(1j * (angles - prescribed)))
    return prescribed + float(turn)


def _blurred_entropy(tokens: Tokens) -> float:
    """Entropy of tokens that are seen with a Gaussian error."""
    orders = np.arange(BLUR_MODES + 1)
    phase = np.exp(-1j * tokens.places)
    power, moments = tokens.masses.astype(np.complex128), np.empty(BLUR_MODES + 1, dtype=np.complex128)
    for order in orders:
        moments[order] = power.sum()
        power = power * phase
    moments *= np.exp(-0.5 * (BLUR * orders) ** 2)
    count = 4 * BLUR_MODES
    density = np.fft.irfft(moments, count) * count / (2.0 * math.pi)
    positive = np.maximum(density, 0.0)  # e^{−40} may be left of the modes beyond
    return float(-special.xlogy(positive, positive).sum() * 2.0 * math.pi / count)


def _information(angles: FloatArray, codes: FloatArray, seed: int) -> float:
    """Information of tokens in the plane, seen with an error, and codes of positions, beyond chance.

    That of Gaussian variables, ½ log det(C + s²) − ½ log det(C − E + s²), C the covariance of tokens, E what
    the codes explain of it by regression. It is 0 for a point.
    """
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    centred = points - points.mean(axis=0)
    codes = codes - codes.mean(axis=0)
    left, sizes, _ = np.linalg.svd(codes, full_matrices=False)
    columns = left[:, sizes > INDEPENDENT * sizes[0]]
    orders = np.random.default_rng([seed, 2]).permuted(np.tile(np.arange(len(points)), (ORDERS, 1)), axis=1)
    by_chance = [_explained(columns[order], centred) for order in orders]
    return _explained(columns, centred) - float(np.mean(by_chance))


def _explained(columns: FloatArray, centred: FloatArray) -> float:
    products = columns.T @ centred
    covariance = centred.T @ centred / len(centred) + BLUR**2 * np.eye(2)
    left_over = covariance - products.T @ products / len(centred)
    return 0.5 * float(np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(left_over)[1])
