"""Order and level of every method on every space, beside references by another; exit status 1 on a miss."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import DOP853

from benchmarks import results
from benchmarks.checks import layer
from meanfield_pde import evolution
from meanfield_pde.initial import Initial, Tokens, vonmises
from meanfield_pde.methods import choose
from meanfield_pde.methods.characteristics import Characteristics
from meanfield_pde.methods.embedded import EmbeddedCharacteristics
from meanfield_pde.methods.finite_volume import FiniteVolume
from meanfield_pde.methods.spectral import Spectral
from meanfield_pde.problem import Accuracy, MethodName, Problem
from meanfield_pde.spaces import Atoms, Space
from meanfield_pde.spaces.base import on_line
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus
from meanfield_pde.spaces.zonal import Zonal
from solvers.integrate import Control, Semilinear, advance
from solvers.loop import ACCEPTED, SIDE, STEP, Columns, Limits, remember, run
from solvers.travel import travel

FloatArray = NDArray[np.float64]
Kind = Literal["exponential", "algebraic", "tolerance"]

SPACES: dict[str, Space] = {
    "circle": Circle(64),
    "torus T¹": Circle(64, "torus"),
    "torus T²": Torus(32),
    "sphere S²": Sphere(16),
    "zonal, d = 3": Zonal(24, 3),
    "zonal, d = 8": Zonal(24, 8),
}
CENTERS = {2: [0.6, 0.8], 3: [2.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0], 4: [0.6, 0.8, 0.0, -1.0]}
BETA, DEPTH, NOISE, CONCENTRATION = 4.0, 1.0, 0.1, 2.0
DEGREE = 3  # of the coefficients that errors are of
EXACT = Accuracy(1e-12, 1e-13)
AGREEMENT = 1e-11  # of the two references without noise

DEGREES = (4, 6, 8, 10, 12, 14, 16, 20)
LABELS = (3, 4, 6, 8, 10, 12, 14, 16, 20)
CELLS = (40, 80, 160, 320, 640)
TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10)
LONGER = 4.0  # depth that is gone through in equal steps
STEPS = {"exponential": (12, 16, 24, 32, 48), "DOP853": (14, 16, 18, 20, 24)}

FLOOR = 3e-13  # errors below are roundings, and those of references
DIGITS = 0.2  # digits that a degree must gain at least
STRAIGHT = 0.9  # share of the variance of log errors that a line over the degree explains
SMALL = 1e-10  # where exponential convergence must end


@dataclass(frozen=True)
class Series:
    """Errors of one method on one space as its resolution grows.

    Parameters
    ----------
    kind
        "exponential" in the resolution, "algebraic" of the order ``expected`` within ``within``, or
        "tolerance": errors below the tolerances that the sizes are the reciprocals of.
    last
        Finest runs that an order is of.
    """

    space: str
    method: str
    counted: str
    kind: Kind
    sizes: list[float]
    errors: list[float]
    expected: float = 0.0
    within: float = 0.0
    last: int = 3

    @property
    def _resolved(self) -> tuple[FloatArray, FloatArray]:
        """Sizes and log10 of errors as far as they are no roundings; for orders the finest of them."""
        sizes, errors = np.array(self.sizes), np.array(self.errors)
        used = np.flatnonzero(errors > FLOOR)
        if self.kind == "algebraic":
            used = used[-self.last :]
        return sizes[used], np.log10(errors[used])

    @property
    def rate(self) -> float:
        """Digits gained by a degree, the observed order, or the largest error over its tolerance."""
        sizes, logarithms = self._resolved
        if self.kind == "tolerance":
            return float(np.max(np.array(self.errors) * np.array(self.sizes)))
        over = sizes if self.kind == "exponential" else np.log10(sizes)
        return -float(np.polyfit(over, logarithms, 1)[0])

    @property
    def straightness(self) -> float:
        """Squared correlation of log errors with the size, or with its logarithm."""
        sizes, logarithms = self._resolved
        over = sizes if self.kind == "exponential" else np.log10(sizes)
        return float(np.corrcoef(over, logarithms)[0, 1] ** 2)

    @property
    def level(self) -> float:
        """Error at the finest resolution."""
        return self.errors[-1]

    @property
    def passed(self) -> bool:
        """Whether order and level are those that are claimed."""
        if self.kind == "tolerance":
            return bool(self.rate < 1.0)
        if self.kind == "exponential":
            return bool(self.rate > DIGITS and self.straightness > STRAIGHT and self.level < SMALL)
        return bool(abs(self.rate - self.expected) < self.within)

    @property
    def claim(self) -> str:
        """What is asked."""
        if self.kind == "tolerance":
            return "< 1"
        if self.kind == "exponential":
            return f"> {DIGITS:g}, r² > {STRAIGHT:g}, < {SMALL:.0e} at the end"
        return f"{self.expected:g} ± {self.within:g}"

    @property
    def verdict(self) -> str:
        """What was observed, in words."""
        if self.kind == "tolerance":
            return f"error / rtol ≤ {self.rate:.0e}"
        return f"{self.rate:.2f} digits a degree" if self.kind == "exponential" else f"order {self.rate:.2f}"


def problem_of(name: str, sigma: float, method: MethodName, accuracy: Accuracy = EXACT) -> Problem:
    """Softmax attention at β = 4 without positions from a von Mises–Fisher law, κ = 2, to depth 1."""
    space = SPACES[name]
    dimension = space.points.shape[1]
    center = np.array([1.0, 0.0] if space.name == "zonal" else CENTERS[dimension])
    start = Initial(vonmises(center, CONCENTRATION))
    attention = layer(dimension, BETA)
    return Problem(space, attention, np.array([0.0, DEPTH]), start, sigma, accuracy=accuracy, method=method)


def low(space: Space, law: Atoms | FloatArray) -> FloatArray:
    """Coefficients up to degree 3 of the only node, of atoms or from coefficients."""
    if isinstance(law, Atoms):
        law = space.at_least(DEGREE).analyse_atoms(law, DEGREE)
    return np.asarray(law[0, : space.width(DEGREE)])


def apart(found: FloatArray, known: FloatArray) -> float:
    """Largest difference."""
    return float(np.abs(found - known).max())


def solved(problem: Problem) -> FloatArray:
    """Low coefficients at the end, by whatever method the problem asks for, as users run it."""
    with evolution.limited(1):
        method = choose.begin(problem).method
        reason = travel(method, [DEPTH], lambda *_: None)
    if reason != "reached":
        raise RuntimeError(f"convergence: {problem.method} ended at {method.depth}: {reason}")
    if isinstance(method, Characteristics | EmbeddedCharacteristics):
        return low(problem.space, method.cloud.atoms)
    if isinstance(method, Spectral):
        return low(problem.space, method.coefficients)
    if isinstance(method, FiniteVolume):
        return _of_means(method)
    raise TypeError(type(method).__name__)


def _of_means(method: FiniteVolume) -> FloatArray:
    """Low coefficients whose cell means are nearest to those of the cells (the sine of mode 0 is none)."""
    state = method.state()
    space = state.space
    functions = np.eye(space.width(DEGREE))
    line = on_line(space)
    means = line.cell_means(space.pad(functions))  # of every basis function over every cell
    volumes, _, _ = line.line()
    gram = (means * volumes) @ means.T
    return np.asarray(np.linalg.lstsq(gram, (means * volumes) @ state.density[0])[0])


@cache
def reference(name: str, sigma: float) -> FloatArray:
    """By the spectral method; without noise by characteristics, with which it must agree.

    Raises
    ------
    RuntimeError
        When the two differ.
    """
    spectral = solved(problem_of(name, sigma, "spectral"))
    if sigma > 0.0:
        return spectral
    labels = solved(problem_of(name, sigma, "characteristics"))
    if apart(spectral, labels) > AGREEMENT:
        raise RuntimeError(f"convergence: methods differ by {apart(spectral, labels):.1e} on the {name}")
    return labels


def spectral_in_degree(name: str) -> Series:
    """On grids that stay as they are, in exact steps, without noise; reference: labels."""
    problem, errors = problem_of(name, 0.0, "spectral"), []
    wide = problem.initial.coefficients(problem.space.resized(1).at_least(60), problem.auxiliary)
    for degree in DEGREES:
        space = problem.space.resized(1).at_least(degree)
        equation = problem.equation(space)
        outcome = advance(
            equation.system(), equation.state(space.pad(wide)), 0.0, DEPTH, Control(1e-13, 1e-15)
        )
        errors.append(apart(low(space, equation.coefficients(outcome.state)), reference(name, 0.0)))
    return Series(name, "spectral", "degree", "exponential", [float(k) for k in DEGREES], errors)


def labels_in_degree(name: str) -> Series:
    """Quadrature points of the initial law, carried in exact steps; reference: the spectral method."""
    problem, errors = problem_of(name, 0.0, "characteristics"), []
    known = solved(problem_of(name, 0.0, "spectral"))
    for degree in LABELS:
        grid = problem.space.resized(1).at_least(degree)
        law = grid.synthesise(problem.initial.coefficients(problem.space.at_least(60), problem.auxiliary))
        places = grid.locate(grid.points)[None]
        start = Initial(problem.initial.profile, tokens=Tokens(places, law * grid.weights))
        errors.append(apart(solved(replace(problem, initial=start)), known))
    return Series(
        name, "characteristics", "degree of the rule", "exponential", [float(k) for k in LABELS], errors
    )


def labels_in_tolerance(name: str) -> Series:
    """Characteristics as users run them; reference: the spectral method."""
    known = solved(problem_of(name, 0.0, "spectral"))
    errors = [
        apart(solved(problem_of(name, 0.0, "characteristics", Accuracy(rtol, 1e-2 * rtol))), known)
        for rtol in TOLERANCES
    ]
    return Series(name, "characteristics", "1/rtol", "tolerance", [1.0 / rtol for rtol in TOLERANCES], errors)


def spectral_in_tolerance(name: str) -> Series:
    """Measure the spectral method as users run it, without noise; reference: characteristics."""
    known = reference(name, 0.0)
    errors = [
        apart(solved(problem_of(name, 0.0, "spectral", Accuracy(rtol, 1e-2 * rtol))), known)
        for rtol in TOLERANCES
    ]
    return Series(name, "spectral", "1/rtol", "tolerance", [1.0 / rtol for rtol in TOLERANCES], errors)


def cells(name: str, sigma: float) -> Series:
    """Finite volumes, with noise by Scharfetter–Gummel and without by the limiter."""
    known, errors = reference(name, sigma), []
    for count in CELLS:
        problem = problem_of(name, sigma, "finite-volume", Accuracy(1e-10, 1e-12))
        errors.append(apart(solved(replace(problem, space=_with_cells(problem.space, count))), known))
    method = "finite-volume" if sigma else "finite-volume, σ = 0"
    return Series(name, method, "cells", "algebraic", [float(n) for n in CELLS], errors, 2.0, 0.15)


def _with_cells(space: Space, count: int) -> Space:
    """Zonal grids have about 3/2 points a degree."""
    return space.resized(count if space.name != "zonal" else (2 * count - 2) // 3)


def exponential_steps(name: str) -> Series:
    """Equal steps of the exponential scheme on the equation with noise, beside steps a tenth as long."""
    problem = problem_of(name, NOISE, "spectral")
    space = problem.space.resized(1).at_least(12)
    equation = problem.equation(space)
    state = equation.state(problem.initial.coefficients(space, problem.auxiliary))
    known = _equal_steps(equation.plain(), state, 20 * max(STEPS["exponential"]))
    errors = [apart(_equal_steps(equation.plain(), state, count), known) for count in STEPS["exponential"]]
    sizes = [float(n) for n in STEPS["exponential"]]
    return Series(name, "exponential steps", "steps", "algebraic", sizes, errors, 5.0, 0.3)


def _equal_steps(system: Semilinear, state: FloatArray, count: int) -> FloatArray:
    """Let the tolerance accept all steps, and overrule what they propose."""
    memory = remember(state, system.linear, 0.0, LONGER / count)
    columns = Columns(system.linear, np.empty(0), np.empty(0))
    for index in range(1, count + 1):
        memory.numbers[STEP] = LONGER
        run(system.rate, (), memory, columns, Limits(LONGER * index / count, 1e30, 1e30, 0.0, 10))
    if memory.counts[ACCEPTED] != count:
        raise RuntimeError("convergence: steps were not as asked")
    return np.asarray(memory.states[memory.counts[SIDE]])


def label_steps(name: str) -> Series:
    """Equal steps of DOP853, which moves labels, beside many."""
    problem = replace(problem_of(name, 0.0, "characteristics"), depths=np.array([0.0, LONGER]))
    method = choose.begin(problem).method
    if not isinstance(method, Characteristics | EmbeddedCharacteristics):
        raise TypeError(type(method).__name__)
    start, last = method.cloud.positions.ravel(), float(problem.depths[-1])

    def carried(count: int) -> FloatArray:
        length = last / count
        stepper = DOP853(
            method.rate, 0.0, start, last, first_step=length, max_step=length, rtol=1e3, atol=1e3
        )
        while stepper.status == "running":
            stepper.step()
        return np.asarray(stepper.y)

    known = carried(72)
    errors = [apart(carried(count), known) for count in STEPS["DOP853"]]
    sizes = [float(count) for count in STEPS["DOP853"]]
    return Series(name, "DOP853 steps", "steps", "algebraic", sizes, errors, 8.0, 1.0, last=len(sizes))


def all_series() -> Iterator[Series]:
    """Every method on every space that it serves, then the steps on three of them."""
    every: tuple[Callable[[str], Series], ...] = (
        spectral_in_degree,
        spectral_in_tolerance,
        labels_in_degree,
        labels_in_tolerance,
    )
    for name, space in SPACES.items():
        for measure in every:
            yield measure(name)
        if space.is_line:
            yield cells(name, NOISE)
            yield cells(name, 0.0)
    for name in ("circle", "sphere S²", "zonal, d = 8"):
        yield exponential_steps(name)
    for name in ("circle", "sphere S²", "zonal, d = 3"):
        yield label_steps(name)


def table(found: list[Series]) -> str:
    """One line a series."""
    rows = []
    for one in found:
        span = f"{one.sizes[0]:g} … {one.sizes[-1]:g}"
        rows.append(
            [
                one.space,
                one.method,
                one.counted,
                span,
                f"{one.errors[0]:.1e} … {one.level:.1e}",
                one.verdict,
                one.claim,
                "pass" if one.passed else "FAIL",
            ]
        )
    titles = ["space", "method", "over", "from … to", "error", "observed", "asked", "verdict"]
    return results.markdown(titles, rows, names=len(titles))


def main(arguments: list[str]) -> None:
    from benchmarks import convergence_figure

    parser = results.parser_of("convergence", __doc__)
    parser.add_argument("--space", choices=list(SPACES), help="one space only (not with --write)")
    options = parser.parse_args(arguments)
    if options.write and options.space:
        parser.error("--write needs all spaces")
    if options.space:
        for name in set(SPACES) - {options.space}:
            del SPACES[name]
    found = []
    for one in all_series() if not options.space else (s for s in all_series() if s.space == options.space):
        found.append(one)
        print(
            f"{one.space}, {one.method} over {one.counted}: {one.rate:.2f}, {one.level:.1e}", file=sys.stderr
        )
    records = [{**asdict(one), "rate": one.rate, "level": one.level, "passed": one.passed} for one in found]
    results.publish("convergence", table(found), records, keep=options.write, measured=("rate", "level"))
    if options.write:
        convergence_figure.draw(found, results.FOLDER / "convergence.png")
    missed = [one for one in found if not one.passed]
    for one in missed:
        print(f"missed: {one.space}, {one.method} over {one.counted}: {one.errors}", file=sys.stderr)
    if missed:
        sys.exit(1)
