"""``python -m benchmarks adjoint [--write]``: what a gradient of training costs, in forward solves.

A forward solve is J by the same steps on the same grid. Both are timed in turns in one process on one
thread; the ratio is the median of those of single turns. Three ways of keeping what going back asks for:
all that transposes rates (tape), the state at the start of every step, or two levels of those. Memory is
the largest that numpy had allocated at once.

On the circle the same beside JAX (`jax_circle`), whose gradients must agree; without jax that table is left
out. At the end the wall time of training the escape problem from θ = 0, with as many threads as `train`
takes.
"""

import importlib.util
import math
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from statistics import median
from typing import Literal

import numpy as np

import meanfield_pde as mf
from benchmarks import escape_problem
from benchmarks.results import Record, markdown, options, publish
from benchmarks.tuning import cpu_seconds
from meanfield_pde import auxiliary, encodings, initial
from meanfield_pde.arrays import FloatArray
from meanfield_pde.attention import Attention, Head
from meanfield_pde.attention.layer import Normalization
from meanfield_pde.evolution import limited
from meanfield_pde.features import Features, Harmonics, Perceptron, units
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces import Space
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.zonal import Zonal
from meanfield_pde.training.losses import Square
from meanfield_pde.training.objective import Objective
from meanfield_pde.training.plan import Plan

Memory = Literal["tape", "states", "two levels"]
Transforms = Literal["fft", "matrices"]
WAYS: tuple[Memory, ...] = ("tape", "states", "two levels")
#: Forward solves that a gradient may cost.
MOST = 4.0
#: Largest difference of our gradient from that of JAX, relative to its largest entry.
AGREEMENT = 1e-10
#: Dimension of the zonal sphere, units of perceptrons, nodes of the ring, intervals of the short problems.
ZONAL, WIDTH, NODES, INTERVALS = 8, 8, 16, 50
#: A timing lasts at least this long: several calls where one is shorter.
LEAST_SECONDS = 0.05


@dataclass(frozen=True)
class Case:
    """An objective, in words."""

    space: str
    features: str
    attention: str
    objective: Objective

    @property
    def parameters(self) -> FloatArray:
        """As large as those of training."""
        return np.random.default_rng(0).normal(0.0, 0.2, self.objective.shape)


def cases() -> Iterator[Case]:
    """On the circle, S² and a zonal sphere, with harmonics and perceptrons."""
    for points in (64, 256):
        name = f"circle, {points} points"
        yield Case(name, "harmonics", "unnormalised", escape(points, "none"))
        yield Case(name, "harmonics", "softmax", escape(points, "softmax"))
    yield Case("circle, 64 points", "perceptron", "softmax", escape(64, "softmax", perceptron(2)))
    ring = encodings.additive(encodings.ring(auxiliary.uniform(NODES).nodes, 0.5, 2))
    name = f"softmax, ring of {NODES}"
    yield Case("circle, 64 points", "harmonics", name, short(Circle(64), 2, Harmonics(2), ring))
    for degree in (15, 31):
        yield Case(f"S², degree {degree}", "harmonics", "softmax", short(Sphere(degree), 3, Harmonics(2)))
        yield Case(f"S², degree {degree}", "perceptron", "softmax", short(Sphere(degree), 3, perceptron(3)))
    for points in (32, 128):
        space, name = Zonal(points, ZONAL), f"zonal in R^{ZONAL}, {points} points"
        yield Case(name, "harmonics", "softmax", short(space, 2, Harmonics(2)))
        yield Case(name, "perceptron", "softmax", short(space, 2, perceptron(ZONAL)))


def perceptron(dimension: int) -> Perceptron:
    """Units drawn at random."""
    return Perceptron("tanh", *units(dimension, WIDTH))


def escape(points: int, normalization: Normalization, features: Features | None = None) -> Objective:
    """Return the escape problem, one step in an interval."""
    plan = escape_problem.plan(features=features or escape_problem.FEATURES)
    return objective(escape_problem.problem(points=points, normalization=normalization), plan)


def short(
    space: Space, size: int, features: Features, encoding: encodings.Encoding | None = None
) -> Objective:
    """Depth 2 from a bump to two wells on the first axis."""
    axis = np.eye(size)[0]

    def wells(space: Space) -> FloatArray:
        values = np.exp(2.0 * (space.points @ axis) ** 2)
        return np.asarray(values / (values @ space.weights))

    nu = auxiliary.none() if encoding is None else auxiliary.uniform(NODES)
    attention = Attention((Head.plain(1.0, size),), nu, encoding or encodings.none())
    start = Initial(initial.vonmises(-axis, 0.8))
    problem = Problem(space, attention, np.array([0.0, 2.0]), start, 0.3)
    return objective(problem, Plan(features, Square(wells), INTERVALS, 0.05))


def objective(problem: Problem, plan: Plan) -> Objective:
    """On the grid of the space itself."""
    start = problem.initial.coefficients(problem.space, problem.auxiliary)
    return Objective(problem, plan, problem.equation(problem.space), start, 1)


def keeping(objective: Objective, memory: Memory) -> Objective:
    """Return the objective with as much room as a way of keeping asks for."""
    count = objective.plan.intervals * objective.steps
    size = objective.equation.state(objective.start).size
    room = {"tape": 2**40, "states": count * size, "two levels": (math.isqrt(4 * count) + 1) * size}
    return replace(objective, kept=room[memory])


def costs(case: Case, memory: Memory, repetitions: int) -> Record:
    """Time J and its gradient in turns."""
    kept, parameters = keeping(case.objective, memory), case.parameters

    def forward() -> object:
        return kept.value(parameters)

    def gradient() -> object:
        return kept.value_and_gradient(parameters)

    solves, gradients = turns([forward, gradient], repetitions)
    return {
        "space": case.space,
        "features": case.features,
        "attention": case.attention,
        "memory": memory,
        "steps": kept.plan.intervals,
        "unknowns": int(kept.equation.state(kept.start).size),
        "parameters": int(np.prod(kept.shape)),
        "forward_seconds": median(solves),
        "seconds": median(gradients),
        "ratio": quotient(gradients, solves),
        "forward_mb": megabytes(forward),
        "mb": megabytes(gradient),
    }


def turns(runs: list[Callable[[], object]], repetitions: int) -> list[list[float]]:
    """CPU seconds of every run in every turn, warm."""
    for run in runs:
        run()
    calls = [max(1, math.ceil(LEAST_SECONDS / cpu_seconds(run))) for run in runs]
    pairs = list(zip(runs, calls, strict=True))
    found = [[cpu_seconds(run, count) for run, count in pairs] for _ in range(repetitions)]
    return [list(times) for times in zip(*found, strict=True)]


def quotient(times: list[float], others: list[float]) -> float:
    """Median of the ratios of single turns."""
    return median(first / second for first, second in zip(times, others, strict=True))


def megabytes(run: Callable[[], object]) -> float:
    """Most that a run had allocated at once."""
    tracemalloc.start()
    run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def beside_jax(repetitions: int) -> list[Record]:
    """Gradients of the escape problem here and in JAX, in turns; none without jax."""
    if importlib.util.find_spec("jax") is None:
        print("jax is not installed: no comparison with it")
        return []
    kinds: tuple[Normalization, ...] = ("none", "softmax")
    ways: tuple[Memory, ...] = ("tape", "two levels")
    transforms: tuple[Transforms, ...] = ("fft", "matrices")
    chosen = product((64, 256), kinds, transforms, ways)
    return [with_jax(*setting, repetitions) for setting in chosen if setting[0] == 64 or setting[3] == "tape"]


def with_jax(
    points: int, normalization: Normalization, transforms: Transforms, memory: Memory, repetitions: int
) -> Record:
    """Compare one gradient."""
    from benchmarks import jax_circle

    own = keeping(escape(points, normalization), memory)
    parameters = np.random.default_rng(0).normal(0.0, 0.2, own.shape)
    circle = jax_circle.Circle(
        points,
        normalization == "softmax",
        transforms,
        escape_problem.INTERVALS,
        own.steps,
        escape_problem.DEPTH,
        escape_problem.REGULARIZATION,
    )
    value, gradient = jax_circle.programs(circle, memory, parameters)
    expected, slope = own.value_and_gradient(parameters)
    found, other = gradient.run(parameters)
    apart = float(np.abs(np.asarray(other) - slope).max() / np.abs(slope).max())
    if not apart <= AGREEMENT:
        raise RuntimeError(f"gradients differ by {apart:.1e} of the largest entry")
    runs: list[Callable[[], object]] = [
        lambda: own.value(parameters),
        lambda: own.value_and_gradient(parameters),
        lambda: value.run(parameters),
        lambda: gradient.run(parameters),
    ]
    here, back, there, back_there = turns(runs, repetitions)
    return {
        "peer": "jax",
        "points": points,
        "attention": "unnormalised" if normalization == "none" else "softmax",
        "transforms": transforms,
        "memory": memory,
        "loss_difference": abs(float(found) / expected - 1.0),
        "gradient_difference": apart,
        "seconds": median(back),
        "ratio": quotient(back, here),
        "jax_seconds": median(back_there),
        "jax_ratio": quotient(back_there, there),
        "times_jax": quotient(back, back_there),
        "compilation_seconds": gradient.compilation,
        "jax_mb": gradient.bytes / 1e6,
    }


def training() -> Record:
    """Train the shipped escape problem from θ = 0."""
    began, used = time.perf_counter(), time.process_time()
    trained = mf.train(mf.load("escape-circle"))
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    facts = {name: trained.attributes[name] for name in ("evaluations", "iterations", "steps", "resolution")}
    return {
        "run": "training of the escape problem",
        "intervals": len(trained.parameters),
        **facts,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "loss": trained.attributes["final_loss"],
        "end": trained.attributes["reason"],
    }


def cost_table(records: list[Record]) -> str:
    """Write the costs."""
    titles = ["space", "fields", "attention", "kept", "steps", "unknowns", "forward, ms", "gradient, ms",
              "ratio", "forward, MB", "gradient, MB"]  # fmt: skip
    rows = [
        [
            *(record[name] for name in ("space", "features", "attention", "memory")),
            *(str(record[name]) for name in ("steps", "unknowns")),
            *(f"{1e3 * record[name]:.3g}" for name in ("forward_seconds", "seconds")),
            f"{record['ratio']:.2f}",
            *(f"{record[name]:.2g}" for name in ("forward_mb", "mb")),
        ]
        for record in records
    ]
    return markdown(titles, rows, names=4)


def peer_table(records: list[Record]) -> str:
    """Write the comparison with JAX."""
    titles = ["attention", "transforms in JAX", "kept", "points", "difference", "gradient, ms", "in solves",
              "JAX, ms", "in solves", "times JAX", "compiling, s"]  # fmt: skip
    rows = [
        [
            record["attention"],
            record["transforms"],
            record["memory"],
            str(record["points"]),
            f"{record['gradient_difference']:.0e}",
            f"{1e3 * record['seconds']:.3g}",
            f"{record['ratio']:.2f}",
            f"{1e3 * record['jax_seconds']:.3g}",
            f"{record['jax_ratio']:.2f}",
            f"{record['times_jax']:.1f}",
            f"{record['compilation_seconds']:.1f}",
        ]
        for record in records
    ]
    return markdown(titles, rows, names=3)


def training_sentence(record: Record) -> str:
    """Write what training took."""
    return (
        f"Training the escape problem with {record['intervals']} intervals from θ = 0: "
        f"{record['seconds']:.0f} s wall time ({record['cpu_seconds']:.0f} s CPU), "
        f"{record['evaluations']} gradients, {record['iterations']} iterations, "
        f"J = {record['loss']:.7f}; {record['end']}."
    )


def main(arguments: list[str]) -> None:
    chosen = options("adjoint", __doc__, arguments)
    with limited(1), np.errstate(all="ignore"):
        records = [costs(case, memory, chosen.repetitions) for case in cases() for memory in WAYS]
        peers = beside_jax(chosen.repetitions)
    trained = training()
    worst = max(record["ratio"] for record in records)
    parts = [cost_table(records), f"The largest ratio is {worst:.2f}; {MOST:g} is the aim."]
    parts += [peer_table(peers)] if peers else []
    table = "\n\n".join([*parts, training_sentence(trained)])
    publish("adjoint", table, [*records, *peers, trained], keep=chosen.write, measured=("seconds", "ratio"))
