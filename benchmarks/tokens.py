"""Cost of one right-hand side of tokens one by one, against their number and dimension.

By the compiled loop over pairs, by products of matrices, and as it is chosen. Unit vectors in R^d with
softmax attention at β = 1; causal rotary attention (one token a position) in the last column.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import numpy as np

from benchmarks.peers import machine
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Causal, Head, blocks
from meanfield_pde.spaces.hypersphere import Hypersphere

TOKENS = (2, 8, 32, 128, 512, 2048)
DIMENSIONS = (2, 4, 16, 64, 256, 768)
#: Numbers in all pairs beyond which the loop is not waited for.
LONGEST = 3e9
#: Seconds that a measurement takes at least, and the evaluations that it takes at most.
SECONDS, MOST = 0.05, 200


def attention_of(tokens: int, dimension: int, *, causal: bool) -> blocks.TokenAttention:
    """Tokens of one population, or one a position with causal rotary attention."""
    space = Hypersphere(dimension, 8)
    if not causal:
        layer = Attention((Head.plain(1.0, dimension),), auxiliary.none())
        return blocks.TokenAttention(space, layer, np.zeros(tokens, np.intp), np.full(tokens, 1.0 / tokens))
    nu = auxiliary.uniform(tokens)
    planes = dimension // 2
    frequencies = [tokens * 10000.0 ** (-plane / planes) for plane in range(planes)]
    code = encodings.rotary(nu.nodes, frequencies)
    layer = Attention((Head.plain(1.0, dimension, Causal()),), nu, code)
    return blocks.TokenAttention(space, layer, np.arange(tokens), np.ones(tokens))


@contextmanager
def path(compiled: float) -> Iterator[None]:
    """Choose the compiled loop for work up to this."""
    before = blocks.COMPILED
    blocks.COMPILED = compiled  # type: ignore[assignment]
    try:
        yield
    finally:
        blocks.COMPILED = before


def milliseconds(function: Callable[[], object]) -> float:
    """Median wall time, warm."""
    function()
    timings: list[float] = []
    while not timings or (sum(timings) < SECONDS and len(timings) < MOST):
        start = time.perf_counter()
        function()
        timings.append(time.perf_counter() - start)
    return 1e3 * median(timings)


def row(tokens: int, dimension: int) -> str:
    """Milliseconds of all paths for one size."""
    vectors = np.random.default_rng(1).standard_normal((tokens, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    plain = attention_of(tokens, dimension, causal=False)
    cells = []
    for compiled in (np.inf, 0.0, blocks.COMPILED):
        if compiled == np.inf and tokens**2 * (8 + dimension) > LONGEST:
            cells.append("–")
            continue
        with path(compiled):
            cells.append(f"{milliseconds(lambda: plain.vectors(vectors)):.3g}")
    causal = attention_of(tokens, dimension, causal=True)
    cells.append(f"{milliseconds(lambda: causal.vectors(vectors)):.3g}")
    return f"| {tokens:,} | {dimension} | " + " | ".join(cells) + " |"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks tokens", description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS)
    parser.add_argument("--dimensions", type=int, nargs="+", default=DIMENSIONS)
    options = parser.parse_args(arguments)
    print("milliseconds for one right-hand side\n")
    print("| tokens | d | compiled loop | products | as chosen | causal, rotary |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for dimension in options.dimensions:
        for tokens in options.tokens:
            print(row(tokens, dimension), flush=True)
    print(f"\n{machine()}")
