"""Time and peak memory of a rate over nodes, grid points and threads: linear in nodes, or exit status 1.

Every measurement is made in a fresh process. Its memory is the largest that is resident less what was before,
with the package imported and a small problem set up.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import results
from meanfield_pde import auxiliary, encodings, evolution
from meanfield_pde.attention import Alibi, Attention, Bias, Causal, Head, NoBias
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.equation import Equation
from meanfield_pde.spaces.circle import Circle

NODES = (1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)
POINTS = 128
GRIDS = (64, 128, 256, 512, 1024, 2048, 4096)
THREADED = 16_384  # nodes at which grids of 128 points are shared between threads
ON_GRIDS = 256  # nodes on ever finer grids
MEASURED = ("microseconds", "clock", "bytes", "slope")
WITHIN = 0.1  # of the exponent one: caches hold the smaller states
TIMED = 1.0  # seconds that a measurement lasts at least, of several rates
LEAST, MOST = 5, 50  # rates in a measurement
CASES: dict[str, tuple[Bias, Callable[[np.ndarray], encodings.Encoding]]] = {
    "ring, all to all": (NoBias(), lambda z: encodings.additive(encodings.ring(z, 0.5, 2))),
    "ring, causal": (Causal(), lambda z: encodings.additive(encodings.ring(z, 0.5, 2))),
    "rotary, all to all": (NoBias(), lambda z: encodings.rotary(z, 5.0)),
    "rotary, ALiBi": (Alibi(4.0), lambda z: encodings.rotary(z, 5.0)),
}


@dataclass(frozen=True)
class Cost:
    """Least microseconds of a rate, and bytes of memory an unknown (a grid value: nodes times points).

    Other work on the machine only ever adds to a time, so the least of several is the machine's own.

    Parameters
    ----------
    microseconds, clock
        Of the process on all its threads, and by the clock.
    """

    series: str
    case: str
    nodes: int
    points: int
    threads: int
    microseconds: float
    clock: float
    bytes: float

    @property
    def size(self) -> int:
        """Unknowns."""
        return self.nodes * self.points


def equation(case: str, nodes: int, points: int = POINTS) -> Equation:
    """Softmax attention at beta = 2 with this bias and encoding."""
    bias, encode = CASES[case]
    nu = auxiliary.uniform(nodes)
    attention = Attention((Head.plain(2.0, 2, bias),), nu, encode(nu.nodes))
    return Equation(AttentionField(Circle(points), attention), None, 0.05)


def timed(case: str, nodes: int, points: int) -> tuple[float, float]:
    """Least seconds of one rate, of the process and by the clock, warm."""
    described = equation(case, nodes, points)
    state = np.zeros((nodes, described.linear.size))
    state[:, 0] = 0.2 * np.cos(np.arange(nodes))
    described.nonlinear(state)
    own: list[float] = []
    clock: list[float] = []
    while len(clock) < LEAST or (len(clock) < MOST and sum(clock) < TIMED):
        start, before = time.perf_counter(), time.process_time()
        described.nonlinear(state)
        own.append(time.process_time() - before)
        clock.append(time.perf_counter() - start)
    return min(own), min(clock)


def peak() -> int:
    """Bytes of the largest resident memory of this process so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(case: str, nodes: int, points: int, threads: int) -> dict[str, float]:
    """Measure here; this is to be a fresh process."""
    with evolution.limited(threads):
        timed(case, 4, 64)  # imports and compiles
        idle = peak()
        seconds, clock = timed(case, nodes, points)
    return {"seconds": seconds, "clock": clock, "bytes": float(peak() - idle)}


def measured(series: str, case: str, nodes: int, points: int, threads: int = 1) -> Cost:
    """Measure in a fresh process."""
    asked = json.dumps([case, nodes, points, threads])
    command = [sys.executable, "-m", "benchmarks.scaling", asked]
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)  # noqa: S603
    found = json.loads(done.stdout)
    unknowns = nodes * points
    cost = Cost(
        series,
        case,
        nodes,
        points,
        threads,
        1e6 * found["seconds"],
        1e6 * found["clock"],
        found["bytes"] / unknowns,
    )
    print(
        f"{series}: {case}, {nodes} × {points}, {threads} threads: {cost.microseconds:.0f} µs",
        file=sys.stderr,
    )
    return cost


def exponent(costs: list[Cost]) -> tuple[float, float]:
    """Slope of log time over log nodes, with half of Student's interval of 95 %."""
    fit = stats.linregress(np.log([one.nodes for one in costs]), np.log([one.microseconds for one in costs]))
    return float(fit.slope), float(stats.t.ppf(0.975, len(costs) - 2) * fit.stderr)


def over_nodes(costs: list[Cost]) -> str:
    """Microseconds a node, bytes an unknown in brackets, and the exponents."""
    rows = []
    for nodes in sorted({one.nodes for one in costs}):
        own = {one.case: one for one in costs if one.nodes == nodes}
        cells = [f"{own[case].microseconds / nodes:.2f} ({own[case].bytes:.0f})" for case in CASES]
        rows.append([f"{nodes:,}", *cells])
    fits = [exponent([one for one in costs if one.case == case]) for case in CASES]
    rows.append(["exponent of time", *(f"{slope:.3f} ± {half:.3f}" for slope, half in fits)])
    return results.markdown(["nodes", *CASES], rows, names=1)


def over_points(costs: list[Cost]) -> str:
    """Nanoseconds and bytes an unknown."""
    rows = [
        [f"{one.points:,}", f"{1e3 * one.microseconds / one.size:.1f}", f"{one.bytes:.0f}"] for one in costs
    ]
    return results.markdown(["points", "ns an unknown", "bytes an unknown"], rows, names=1)


def over_threads(costs: list[Cost]) -> str:
    """Milliseconds by the clock, and how many times less than with one thread."""
    rows = []
    for case in CASES:
        own = [one for one in costs if one.case == case]
        rows += [
            [
                case,
                str(one.threads),
                f"{one.clock / 1e3:.1f}",
                f"{own[0].clock / one.clock:.2f}",
            ]
            for one in own
        ]
    return results.markdown(["case", "threads", "ms", "times less"], rows, names=1)


def main(arguments: list[str]) -> None:
    parser = results.parser_of("scaling", __doc__)
    parser.add_argument("--most", type=int, default=NODES[-1], help="most nodes (not with --write)")
    options = parser.parse_args(arguments)
    if options.write and options.most != NODES[-1]:
        parser.error("--write needs all sizes")
    sizes = [nodes for nodes in NODES if nodes <= options.most]
    nodes = [measured("nodes", case, count, POINTS) for case in CASES for count in sizes]
    grids = [measured("points", "ring, all to all", ON_GRIDS, points) for points in GRIDS]
    several = range(1, evolution.available_cores() + 1)
    count = min(THREADED, options.most)
    threads = [measured("threads", case, count, POINTS, used) for case in CASES for used in several]
    table = "\n\n".join(
        [
            f"Microseconds a node, one thread, {POINTS} angles; in brackets bytes of memory an unknown:",
            over_nodes(nodes),
            f"Ring, all to all, {ON_GRIDS} nodes:\n\n{over_points(grids)}",
            f"{count:,} nodes, {POINTS} angles:\n\n{over_threads(threads)}",
        ]
    )
    fits = [exponent([one for one in nodes if one.case == case]) for case in CASES]
    records: list[dict[str, Any]] = [
        {"series": "exponent", "case": case, "slope": slope, "half": half}
        for case, (slope, half) in zip(CASES, fits, strict=True)
    ]
    records += [
        {**asdict(one), "size": f"{one.nodes} × {one.points}, {one.threads}"}
        for one in [*nodes, *grids, *threads]
    ]
    results.publish("scaling", table, records, keep=options.write, measured=MEASURED)
    steep = [case for case, (slope, half) in zip(CASES, fits, strict=True) if slope - half > 1.0 + WITHIN]
    if steep:
        sys.exit(f"not linear in the nodes: {', '.join(steep)}")


if __name__ == "__main__":
    print(json.dumps(alone(*json.loads(sys.argv[1]))))
