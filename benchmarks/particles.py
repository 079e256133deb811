"""Propagation of chaos: how far N tokens are from the density, with bands over seeds and the fitted rate."""

import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

import meanfield_pde as mf
from benchmarks import results
from benchmarks.checks import layer
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Causal
from meanfield_pde.initial import Initial, vonmises
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus

FloatArray = NDArray[np.float64]

SIZES = (100, 316, 1000, 3162, 10_000, 31_623, 100_000)
SEEDS = (32, 32, 32, 32, 32, 16, 12)  # independent runs of each size, on lines
FEWER = (32, 32, 32, 16, 16, 8, 6)  # and elsewhere, where they take longer
BETA, DEPTH, SIGMA, CONCENTRATION, DEGREE = 2.0, 1.0, 0.1, 1.0, 2
TRANSPORT = 1000  # tokens, beyond which transport off the circle is no linear program to wait for
FINEST = 24  # degree of the density that tokens are transported to
CURVES = (100, 10_000)  # tokens whose order parameter is shown over depth
CENTERS = {2: [0.6, 0.8], 3: [2.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0], 4: [0.6, 0.8, 0.0, -1.0]}
MEASURES = {"modes": "low modes", "w1": "W₁", "w2": "W₂"}


@dataclass(frozen=True)
class Point:
    """One measure of one case at one size: mean, quantiles of 2.5 and 97.5 %, and the values over seeds."""

    case: str
    measure: str
    tokens: int
    mean: float
    low: float
    high: float
    values: list[float]


@dataclass(frozen=True)
class Fit:
    """Slope of log distance over log N by least squares, with Student's interval of 95 %."""

    case: str
    measure: str
    slope: float
    half: float

    @property
    def passed(self) -> bool | None:
        """Whether −1/2 is in the interval; low modes and distances on the circle only, else None."""
        claimed = self.measure == "modes" or self.case.startswith("circle")
        return abs(self.slope + 0.5) <= self.half + BIAS if claimed else None


BIAS = 0.02  # what terms of order 1/N at a hundred tokens add to a slope over three decades


def cases() -> dict[str, mf.Problem]:
    """Spaces, encodings, with noise and without."""
    nu = auxiliary.uniform(3)
    ring = encodings.additive(encodings.ring(nu.nodes, 0.5, 2))
    rotary = encodings.rotary(nu.nodes, 5.0)
    plain, causal = layer(2, BETA), layer(2, BETA, nu=nu, encoding=ring, bias=Causal())
    return {
        "circle": _problem(Circle(64), plain, SIGMA),
        "circle, no noise": _problem(Circle(64), plain, 0.0),
        "circle, causal ring": _problem(Circle(64), causal, SIGMA),
        "circle, rotary": _problem(Circle(64), layer(2, BETA, nu=nu, encoding=rotary), SIGMA),
        "torus T²": _problem(Torus(32), layer(4, BETA), SIGMA),
        "sphere S²": _problem(Sphere(16), layer(3, BETA), SIGMA),
    }


def _problem(space: Any, attention: Any, sigma: float) -> mf.Problem:
    start = Initial(vonmises(np.array(CENTERS[space.points.shape[1]]), CONCENTRATION))
    return mf.Problem(space, attention, np.array([0.0, DEPTH]), start, sigma, method="spectral")


def density(problem: mf.Problem) -> FloatArray:
    """Coefficients of the conditional densities at the end, (aux, coefficients), on the grid of the run."""
    solution = mf.solve(problem)
    grid = problem.space.resized(int(solution.attributes["resolution"]))
    return np.asarray(grid.analyse(solution.density[-1].reshape(problem.auxiliary.nodes.size, -1)))


def distances(
    problem: mf.Problem, known: FloatArray, tokens: int, seed: int, step: float | None
) -> dict[str, float]:
    """Root mean square of the low modes' errors, and W₁ and W₂ of the marginals where they are to be had."""
    found = mf.particles(problem, tokens, seed=seed, step=step)
    space = problem.space
    width = space.width(DEGREE)
    off = (found.coefficients(DEGREE) - known[:, :width])[:, space.constant :]
    result = {"modes": float(np.sqrt(np.mean(off**2)))}
    if space.is_line or tokens <= TRANSPORT:
        marginal = problem.auxiliary.mean(known[:, : space.width(FINEST)])
        result |= {f"w{order}": found.wasserstein(marginal, order) for order in (1, 2)}
    return result


def step_of(problem: mf.Problem, tokens: int) -> float | None:
    """Step whose error no sample of so many tokens shows."""
    return mf.particles(problem, tokens, seed=1).step if problem.sigma else None


def points(
    name: str, problem: mf.Problem, sizes: tuple[int, ...], seeds: tuple[int, ...], first: int = 0
) -> list[Point]:
    """All sizes of a case; seeds from ``first`` on."""
    known, found = density(problem), []
    step = step_of(problem, max(sizes))
    for row, (tokens, count) in enumerate(zip(sizes, seeds, strict=True)):
        start = time.perf_counter()
        runs = [distances(problem, known, tokens, first + 1000 * row + seed, step) for seed in range(count)]
        for measure in runs[0]:
            values = [run[measure] for run in runs]
            low, high = np.quantile(values, (0.025, 0.975))
            found.append(
                Point(name, measure, tokens, float(np.mean(values)), float(low), float(high), values)
            )
        print(
            f"{name}, {tokens} tokens: {(time.perf_counter() - start) / count:.2f} s a run", file=sys.stderr
        )
    return found


def fits(found: list[Point]) -> list[Fit]:
    """Rates of every measure of every case."""
    result = []
    for case, measure in dict.fromkeys((one.case, one.measure) for one in found):
        own = [one for one in found if (one.case, one.measure) == (case, measure)]
        sizes = np.concatenate([np.full(len(one.values), math.log(one.tokens)) for one in own])
        logarithms = np.log(np.concatenate([one.values for one in own]))
        fit = stats.linregress(sizes, logarithms)
        half = float(stats.t.ppf(0.975, sizes.size - 2) * fit.stderr)
        result.append(Fit(case, measure, float(fit.slope), half))
    return result


def curves(tokens: tuple[int, ...], draws: int) -> dict[str, Any]:
    """Order parameter over depth of tokens on the circle: quantiles over seeds, and that of the density."""
    problem = replace(cases()["circle"], depths=np.linspace(0.0, 6.0, 25))
    step = step_of(problem, max(tokens))
    found: dict[str, Any] = {
        "depth": problem.depths.tolist(),
        "density": np.asarray(mf.solve(problem).order_parameter).tolist(),
    }
    for count in tokens:
        runs = [mf.particles(problem, count, seed=seed, step=step).order_parameter for seed in range(draws)]
        found[str(count)] = np.quantile(runs, (0.025, 0.5, 0.975), axis=0).tolist()
    return found


def table(found: list[Point], rates: list[Fit]) -> str:
    """One line a measure of a case: means and bands at every other size, and the rate."""
    shown = sorted({one.tokens for one in found})[::2]
    rows = []
    for rate in rates:
        own = {one.tokens: one for one in found if (one.case, one.measure) == (rate.case, rate.measure)}
        cells = [
            f"{own[size].mean:.1e} ({own[size].low:.1e} … {own[size].high:.1e})" if size in own else ""
            for size in shown
        ]
        verdict = "" if rate.passed is None else ("pass" if rate.passed else "FAIL")
        rows.append(
            [rate.case, MEASURES[rate.measure], *cells, f"{rate.slope:.3f} ± {rate.half:.3f}", verdict]
        )
    titles = ["case", "distance", *(f"N = {size:,}" for size in shown), "rate", "−1/2"]
    return results.markdown(titles, rows, names=2)


def main(arguments: list[str]) -> None:
    from benchmarks import particles_figure

    parser = results.parser_of("particles", __doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="most tokens (not with --write)")
    options = parser.parse_args(arguments)
    if options.write and options.most != SIZES[-1]:
        parser.error("--write needs all sizes")
    sizes = tuple(size for size in SIZES if size <= options.most)
    found = []
    for rank, (name, problem) in enumerate(cases().items()):
        seeds = (SEEDS if problem.space.is_line else FEWER)[: len(sizes)]
        found += points(name, problem, sizes, seeds, 1_000_000 * rank)
    rates = fits(found)
    records = [asdict(one) for one in rates] + [
        {**asdict(one), "size": f"{one.tokens} tokens"} for one in found
    ]
    over_depth = curves(CURVES, SEEDS[0]) if options.write else {}
    records += [{"case": "circle", "measure": "order parameter over depth", **over_depth}]
    results.publish("particles", table(found, rates), records, keep=options.write, measured=("mean", "slope"))
    if options.write:
        particles_figure.draw(found, rates, over_depth, results.FOLDER / "particles.png")
    if any(rate.passed is False for rate in rates):
        sys.exit(1)
