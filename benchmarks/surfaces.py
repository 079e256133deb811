"""``python -m benchmarks surfaces [--write]``: a right-hand side on S² against its scalar transforms alone.

The transforms of a step are those of ρ, of the normaliser, of the gradient of a function and of a divergence,
at all nodes: the least that softmax attention can do on a grid.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.peers import machine
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Head
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.equation import Equation
from meanfield_pde.spaces.sphere import Sphere

RESULTS = Path(__file__).parent / "results"
CASES = ((15, 1), (31, 1), (63, 1), (15, 64), (31, 16), (31, 64), (31, 256), (63, 64))
KINDS = ("none", "ring")
#: Amplitude of the ring, inverse temperature, error of the kernel.
AMPLITUDE, BETA, KERNEL = 1.0, 2.0, 1e-9


def equation(kind: str, degree: int, nodes: int) -> Equation:
    """Softmax attention with an additive ring or without encoding."""
    nu = auxiliary.uniform(nodes)
    code = encodings.none() if kind == "none" else encodings.additive(encodings.ring(nu.nodes, AMPLITUDE, 3))
    attention = Attention((Head.plain(BETA, 3),), nu, code)
    return Equation(AttentionField(Sphere(degree), attention, KERNEL), None, 0.1)


def seconds(task: Callable[[], object], repetitions: int) -> float:
    """Median wall time, warm."""
    task()
    timings = []
    for _ in range(repetitions):
        start = time.perf_counter()
        task()
        timings.append(time.perf_counter() - start)
    return median(timings)


def row(kind: str, degree: int, nodes: int, repetitions: int) -> dict[str, object]:
    """Time a right-hand side and its transforms."""
    described = equation(kind, degree, nodes)
    space = described.space
    rng = np.random.default_rng(0)
    state = (
        0.05 * rng.standard_normal((nodes, described.linear.size)) / (1.0 + described.space.eigenvalues[1:])
    )
    coefficients = described.coefficients(state)
    flux = rng.standard_normal((nodes, *space.frame.shape[:2]))

    def transforms() -> None:
        space.synthesise(coefficients)
        space.synthesise(coefficients)
        space.gradient(coefficients)
        space.divergence(flux)

    began = time.perf_counter()
    operator = type(described.attention.heads[0].operator).__name__
    described.nonlinear(state)
    prepared = time.perf_counter() - began
    rate = seconds(lambda: described.nonlinear(state), repetitions)
    alone = seconds(transforms, repetitions)
    return {
        "encoding": kind,
        "degree": degree,
        "nodes": nodes,
        "operator": operator,
        "prepared_s": round(prepared, 2),
        "rate_ms": round(1e3 * rate, 2),
        "transforms_ms": round(1e3 * alone, 2),
        "ratio": round(rate / alone, 2),
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks surfaces", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write results/surfaces.json")
    parser.add_argument("--repetitions", type=int, default=7, help="timings of each case")
    options = parser.parse_args(arguments)
    rows = []
    for kind in KINDS:
        for degree, nodes in CASES:
            if kind == "ring" and nodes == 1:
                continue
            rows.append(row(kind, degree, nodes, options.repetitions))
            print(json.dumps(rows[-1]), flush=True)
    print(machine())
    if options.write:
        found = {"rows": rows, "machine": machine()}
        (RESULTS / "surfaces.json").write_text(json.dumps(found, indent=1) + "\n")
