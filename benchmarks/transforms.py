"""``python -m benchmarks transforms [--write]``: spherical harmonics, time and accuracy against ducc0.

Values on one and the same Gauss–Legendre grid (3L/2 colatitudes, 3L longitudes) to real coefficients up to
degree L and back, for batches of densities, on one thread. Coefficients are random, of one size in every
degree: the hardest case. ducc0 (https://gitlab.mpcdf.mpg.de/mtr/ducc) transforms one map at a time; it holds
m ≥ 0 as complex numbers, which are kept ready for it.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.peers import machine
from benchmarks.results import markdown
from meanfield_pde.spaces.sphere import Sphere

RESULTS = Path(__file__).parent / "results"
DEGREES = (15, 31, 63, 127)
BATCHES = (1, 64)
LEAST_SECONDS = 5e-3  # a timing lasts at least this long: several calls when one is shorter
AREA = 4.0 * np.pi


class Peer:
    """ducc0's transforms of single maps on the grid of a sphere."""

    def __init__(self, space: Sphere) -> None:
        try:
            from ducc0 import sht
        except ImportError as error:
            message = "transforms: needs ducc0, which the package does not: pip install ducc0"
            raise SystemExit(message) from error
        self._sht, self._space = sht, space
        rows, columns = space.grid.shape
        self._rings: dict[str, Any] = {
            "spin": 0,
            "lmax": space.resolution,
            "theta": space.grid.colatitudes,
            "nphi": np.full(rows, columns, dtype=np.uint64),
            "phi0": np.zeros(rows),
            "ringstart": np.arange(rows, dtype=np.uint64) * columns,
            "nthreads": 1,
        }
        self._quadrature = np.ascontiguousarray(space.weights)

    def complex_numbers(self, coefficients: np.ndarray) -> np.ndarray:
        """Our coefficients as ducc0 holds them: m slowest, (−1)^m, orthonormal under the area."""
        degree, parts = self._space.resolution, []
        for m in range(degree + 1):
            l = np.arange(m, degree + 1)  # noqa: E741
            cosine, sine = coefficients[..., l * l + l + m], coefficients[..., l * l + l - m]
            share = 1.0 if m == 0 else (-1.0) ** m / np.sqrt(2.0)
            parts.append(share * (cosine - 1j * sine * (m > 0)) / np.sqrt(AREA))
        return np.ascontiguousarray(np.concatenate(parts, axis=-1))

    def synthesise(self, numbers: np.ndarray) -> np.ndarray:
        """Values of the functions with these complex numbers."""
        return np.stack([self._sht.synthesis(alm=row[None], **self._rings)[0] for row in numbers])

    def analyse(self, values: np.ndarray) -> np.ndarray:
        """Complex numbers of the values: the adjoint of synthesis, with quadrature weights."""
        weighted = values * self._quadrature
        return np.stack([self._sht.adjoint_synthesis(map=row[None], **self._rings)[0] for row in weighted])


def seconds(run: Callable[[], object], repetitions: int) -> float:
    """Median wall time of one call, warm."""
    start = time.perf_counter()
    run()
    calls = max(1, int(LEAST_SECONDS / (time.perf_counter() - start + 1e-9)))
    timings = []
    for _ in range(repetitions):
        start = time.perf_counter()
        for _ in range(calls):
            run()
        timings.append((time.perf_counter() - start) / calls)
    return median(timings)


def measured(degree: int, batch: int, repetitions: int) -> dict[str, Any]:
    """Measure one size: milliseconds, and errors relative to the largest number."""
    space = Sphere(degree)
    peer = Peer(space)
    coefficients = np.random.default_rng(degree).standard_normal((batch, space.width(degree)))
    numbers = peer.complex_numbers(coefficients)
    values, others = space.synthesise(coefficients), peer.synthesise(numbers)
    back, numbers_back = space.analyse(values), peer.analyse(others)
    record: dict[str, Any] = {
        "degree": degree,
        "batch": batch,
        "difference": float(np.abs(values - others).max() / np.abs(others).max()),
        "error": float(np.abs(back - coefficients).max() / np.abs(coefficients).max()),
        "peer_error": float(np.abs(numbers_back - numbers).max() / np.abs(numbers).max()),
    }
    for name, ours, theirs in (
        ("synthesis", lambda: space.synthesise(coefficients), lambda: peer.synthesise(numbers)),
        ("analysis", lambda: space.analyse(values), lambda: peer.analyse(others)),
    ):
        record[f"{name}_ms"] = 1e3 * seconds(ours, repetitions)
        record[f"{name}_peer_ms"] = 1e3 * seconds(theirs, repetitions)
        record[f"{name}_ratio"] = record[f"{name}_peer_ms"] / record[f"{name}_ms"]
    return record


def table(records: list[dict[str, Any]]) -> str:
    """Return the records as a Markdown table."""
    titles = ["degree", "batch"]
    for name in ("synthesis", "analysis"):
        titles += [f"{name}: ms", "ducc0: ms", "times faster"]
    titles += ["values differ by", "there and back: error", "ducc0: error"]
    rows = [
        [str(one["degree"]), str(one["batch"])]
        + [
            text
            for name in ("synthesis", "analysis")
            for text in (
                f"{one[f'{name}_ms']:.3f}",
                f"{one[f'{name}_peer_ms']:.3f}",
                f"{one[f'{name}_ratio']:.2f}",
            )
        ]
        + [f"{one[key]:.0e}" for key in ("difference", "error", "peer_error")]
        for one in records
    ]
    return markdown(titles, rows, names=0)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks transforms", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write results/transforms.json")
    parser.add_argument("--repetitions", type=int, default=9, help="timings of each transform")
    options = parser.parse_args(arguments)
    records = [measured(degree, batch, options.repetitions) for degree in DEGREES for batch in BATCHES]
    print(f"{table(records)}\n\n{machine()}")
    if options.write:
        content = json.dumps({"machine": machine(), "runs": records}, indent=1) + "\n"
        (RESULTS / "transforms.json").write_text(content, encoding="utf-8")
