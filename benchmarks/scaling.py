"""Cost of one evaluation of the rate against the number of auxiliary nodes."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.peers import machine, write
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Alibi, Attention, Bias, Causal, Head, NoBias
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.equation import Equation
from meanfield_pde.spaces.circle import Circle

MARKERS = ("<!-- scaling:begin -->", "<!-- scaling:end -->")
NODES = (64, 256, 1024, 4096, 16384)
POINTS = 128
CASES: dict[str, tuple[Bias, Callable[[np.ndarray], encodings.Encoding]]] = {
    "ring, all to all": (NoBias(), lambda z: encodings.additive(encodings.ring(z, 0.5, 2))),
    "ring, causal": (Causal(), lambda z: encodings.additive(encodings.ring(z, 0.5, 2))),
    "rotary, all to all": (NoBias(), lambda z: encodings.rotary(z, 5.0)),
    "rotary, ALiBi": (Alibi(4.0), lambda z: encodings.rotary(z, 5.0)),
}


def equation(case: str, nodes: int) -> Equation:
    """Softmax attention at beta = 2 with this bias and encoding on 128 angles."""
    bias, encode = CASES[case]
    nu = auxiliary.uniform(nodes)
    attention = Attention((Head.plain(2.0, 2, bias),), nu, encode(nu.nodes))
    return Equation(AttentionField(Circle(POINTS), attention), None, 0.05)


def seconds(case: str, nodes: int, repetitions: int) -> float:
    """Median wall time of one evaluation, warm."""
    described = equation(case, nodes)
    state = np.zeros((nodes, described.linear.size))
    state[:, 0] = 0.2 * np.cos(np.arange(nodes))
    described.nonlinear(state)
    timings = []
    for _ in range(repetitions):
        start = time.perf_counter()
        described.nonlinear(state)
        timings.append(time.perf_counter() - start)
    return median(timings)


def table(repetitions: int) -> str:
    """Microseconds per node for every case and size: constant where the cost is linear."""
    lines = ["| nodes | " + " | ".join(CASES) + " |", "| ---: |" + " ---: |" * len(CASES)]
    for nodes in NODES:
        cells = [f"{1e6 * seconds(case, nodes, repetitions) / nodes:.2f}" for case in CASES]
        lines.append(f"| {nodes:,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--repetitions", type=int, default=7, help="timings of each case")
    options = parser.parse_args(arguments)
    report = f"{table(options.repetitions)}\n\n{machine()}"
    print(report)
    if options.write:
        write(report, Path(__file__).with_name("README.md"), MARKERS)
