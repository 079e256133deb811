"""Rows 1 to 5 of MODEL.md, section 7: about the uniform law, in 2, 3, 5, 8 and 64 dimensions."""

from collections.abc import Iterator

import numpy as np

import meanfield_pde as mf
from benchmarks import exact
from benchmarks.checks import TIGHT, Check, bare, check, layer, over_noise, problem_of, relative
from meanfield_pde.building import build
from meanfield_pde.config import loads
from meanfield_pde.initial import Initial, fourier, vonmises
from meanfield_pde.limits.linear_theory import Growth, growth_rates
from meanfield_pde.spaces import Space
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus
from meanfield_pde.spaces.zonal import Zonal

DIMENSIONS = (2, 3, 5, 8, 64)
NORMALIZATIONS = ("softmax", "none")
RATES, PROMISED = 1e-9, 1e-6
SHARE = 0.0137  # of β_*, within which the change of the verdict is looked for, not about its middle


def _spaces() -> dict[str, Space]:
    zonal = {f"zonal, d = {d}": Zonal(12, d) for d in DIMENSIONS}
    return {**zonal, "circle": Circle(48), "sphere": Sphere(10), "torus T²": Torus(32)}


def _axis(space: Space) -> np.ndarray:
    """Point about which initial laws are concentrated: but for zonal ones none of the grid's."""
    if space.name == "zonal":
        return np.array([1.0, 0.0])
    return {2: np.array([0.6, 0.8]), 3: np.array([2.0, -1.0, 2.0]) / 3.0}.get(
        space.points.shape[1], np.array([0.6, 0.8, 0.0, -1.0])
    )


def decay() -> Iterator[Check]:
    """Row 1: attention off, all coefficients at two depths; shown is the rate of the lowest mode."""
    sigma, depths = 0.07, [0.0, 0.4, 1.5]
    for name, space in _spaces().items():
        off = layer(space.points.shape[1], 1.0, value=0.0)
        solution = mf.solve(
            problem_of(space, off, depths, Initial(vonmises(_axis(space), 2.0)), sigma, TIGHT)
        )
        grid = space.resized(int(solution.attributes["resolution"]))
        found = grid.analyse(solution.density.reshape(3, -1))
        expected = found[0] * np.exp(-sigma * np.multiply.outer(np.array(depths), grid.eigenvalues))
        lowest = int(np.argmax(np.abs(found[0, grid.constant :]))) + grid.constant
        rate = -np.log(found[2, lowest] / found[0, lowest]) / (sigma * depths[2])
        error = float(np.abs(found - expected).max())
        why = "rounding of coefficients of order one"
        yield Check(
            1, f"{name}: λ of mode 1", float(rate), float(grid.eigenvalues[lowest]), error, RATES, why
        )


def rates() -> Iterator[Check]:
    """Row 2: growth rates of all modes, relative to l(l + d − 2); shown is the fastest."""
    beta, sigma = 5.0, 0.1
    for normalization in NORMALIZATIONS:
        for name, space in _spaces().items():
            if space.name == "torus":
                continue  # no function of ⟨x, y⟩ on a sphere: modes have two numbers
            attention = layer(space.points.shape[1], beta, normalization)
            found = _growth(problem_of(space, attention, [0.0, 1.0], Initial(fourier([])), sigma))
            known = np.array(
                [exact.growth(int(k), beta, sigma, space.dimension, normalization) for k in found.degrees]
            )
            scale = found.degrees * (found.degrees + space.dimension - 2)
            top = int(np.argmax(known))
            error = float((np.abs(found.rates - known) / scale).max())
            what = f"{name}, {normalization}: rate of mode {found.degrees[top]}"
            why = "rounding, relative to l(l + d − 2)"
            yield Check(2, what, float(found.rates[top]), float(known[top]), error, RATES, why)
    yield from _short_solves()
    for normalization in NORMALIZATIONS:
        circle = problem_of(Circle(64), layer(2, 5.0, normalization), [0.0, 1.0], Initial(fourier([])))
        what = f"S¹, β = 5, {normalization}: metastable clusters"
        yield check(2, what, _growth(circle).clusters, 3, 0.0, "a count")


def _growth(problem: mf.Problem) -> Growth:
    found = growth_rates(problem)
    if found is None:
        raise ValueError("the uniform law is not stationary")
    return found


def _tilted(size: float, center: np.ndarray) -> Initial:
    """1 + ε⟨x, c⟩."""
    return Initial(lambda points: 1.0 + size * (points @ center))


def _short_solves() -> Iterator[Check]:
    """Compare rates of nonlinear runs: half the difference of solutions from ±ε."""
    beta, sigma, size, depth = 4.0, 0.02, 1e-5, 0.05
    for name, space in (("circle", Circle(48)), ("sphere", Sphere(10)), ("zonal, d = 8", Zonal(12, 8))):
        dimension = space.dimension
        ends = []
        for sign in (1.0, -1.0):
            start = _tilted(sign * size, _axis(space))
            attention = layer(space.points.shape[1], beta)
            solution = mf.solve(problem_of(space, attention, [0.0, depth], start, sigma, TIGHT))
            grid = space.resized(int(solution.attributes["resolution"]))
            ends.append(grid.analyse(solution.density.reshape(2, -1)))
        before, after = np.linalg.norm((ends[0] - ends[1])[:, grid.constant :], axis=1)
        rate = float(np.log(after / before) / depth)
        known = exact.growth(1, beta, sigma, dimension, "softmax")
        yield check(
            2,
            f"{name}: rate of mode 1, nonlinear run",
            rate,
            known,
            5e-9 * dimension,
            "ε² = 1e-10, 1e-16/(εt)",
        )


def transitions() -> Iterator[Check]:
    """Rows 3 and 4, by diagrams of stationary densities over the noise."""
    for dimension in DIMENSIONS:
        turning = exact.turning_beta(dimension)
        width = 1e-3 if dimension < 64 else 2e-4  # the fold lies 1e-4 above the critical noise
        for normalization in NORMALIZATIONS:
            critical, found = over_noise(dimension, 1.015 * turning, normalization, width)
            point = min(found.branch_points, key=lambda one: abs(one["value"] - critical))
            error = relative(point["value"], critical)
            what = f"d = {dimension}, {normalization}: σ_c at 1.015 β_*"
            yield Check(3, what, point["value"], critical, error, RATES, "relative; located to rounding")
            if normalization == "none":
                yield _fold(
                    f"d = {dimension}: fold at 1.015 β_*", found, exact.fold(1.015 * turning, dimension)[0]
                )
        yield _turning(dimension, turning, width)
    _, found = over_noise(2, 4.0, "none", 0.1)
    noise, order = exact.fold(4.0, 2, (0.4, 0.7))
    yield _fold("d = 2, β = 4: fold", found, noise)
    why = "the place of a flat maximum: root of 1e-6"
    yield check(4, "d = 2, β = 4: R at the fold", found.folds[0]["order_parameter"], order, 1e-3, why)


def _fold(what: str, found: mf.Bifurcation, known: float) -> Check:
    value = found.folds[0]["value"] if found.folds else np.nan
    return Check(
        4, what, value, known, relative(value, known), PROMISED, "relative; beside a zonal quadrature"
    )


def _turning(dimension: int, known: float, width: float) -> Check:
    """Bisect for the β at which the verdict changes from continuous to discontinuous."""
    low, high = (1.0 - SHARE) * known, (1.0 + 1.3 * SHARE) * known
    sides = [over_noise(dimension, beta, "none", width)[1].transition for beta in (low, high)]
    if sides != ["continuous", "discontinuous"]:
        return check(4, f"d = {dimension}: β_*", np.nan, known, PROMISED, " and ".join(sides))
    while high - low > PROMISED * known:
        middle = 0.5 * (low + high)
        verdict = over_noise(dimension, middle, "none", width)[1].transition
        low, high = (middle, high) if verdict == "continuous" else (low, middle)
    found = 0.5 * (low + high)
    error = relative(found, known)
    return Check(
        4, f"d = {dimension}: β_*", found, known, error, PROMISED, "relative; bisection of the verdict"
    )


def kuramoto() -> Iterator[Check]:
    """Row 5: Poisson kernels without noise, stationary order and critical noise with it."""
    start, depths = 0.3, [0.0, 1.0, 3.0, 8.0]

    def poisson(points: np.ndarray) -> np.ndarray:
        return np.asarray((1.0 - start**2) / (1.0 - 2.0 * start * points[:, 0] + start**2))

    attention = bare(layer(2, 0.0))
    solution = mf.solve(problem_of(Circle(64), attention, depths, Initial(poisson)))
    known = np.array([exact.kuramoto_order(start, depth) for depth in depths])
    error = float(np.abs(solution.order_parameter - known).max())
    found = float(solution.order_parameter[-1])
    yield Check(5, "σ = 0: r at t = 8", found, float(known[-1]), error, 1e-8, "rtol = 1e-8, all depths")
    for sigma in (0.1, 0.3, 0.6):
        run = mf.solve(
            problem_of(Circle(64), attention, [0.0, 250.0], Initial(fourier([(1, 0.4, 1.0)])), sigma)
        )
        known_r = exact.kuramoto_stationary(sigma)
        yield check(
            5, f"σ = {sigma}: stationary r", run.order_parameter[-1], known_r, 1e-9, "relaxed by e^{−25}"
        )
    problem = build(
        loads(
            """
            token = { resolution = 64 }
            attention = { beta = 0.0, values = "token" }
            noise = { sigma = 1.0 }
            initial = { kind = "fourier", modes = [[1, 0.4, 0.0]] }
            time = { final = 1.0, save = 2 }
            """
        )
    )
    diagram = mf.bifurcation(problem, "noise.sigma", 0.45, 0.55)
    yield check(5, "critical σ", diagram.branch_points[0]["value"], 0.5, RATES, "located to rounding")
