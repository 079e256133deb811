"""Work on blocks of nodes, by as many threads as scipy's transforms may use (``scipy.fft.set_workers``).

Threads of the linear algebra library wait for each other actively, which costs dearly on a shared machine;
blocks wait for nobody. Results do not depend on the number of threads: blocks are the same for any.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meanfield_pde.arrays import FloatArray

__all__ = ["BLOCK", "EVERY", "blocks", "each", "over", "own"]

S = TypeVar("S")
T = TypeVar("T")

#: Nodes in a block: few enough for the cache, many enough for the matrix products.
BLOCK = 128
#: All nodes as a block.
EVERY = slice(None)


def blocks(count: int) -> list[slice]:
    """Blocks of at most ``BLOCK`` rows that make up ``count`` rows."""
    return [slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK)]


def own(values: FloatArray, rows: slice) -> FloatArray:
    """Rows of a block from values of all nodes, or the one row that all nodes share."""
    return values if len(values) == 1 else values[rows]


def each(function: Callable[[slice], T], count: int) -> list[T]:
    """Results of the function for every block, in order."""
    return over(function, blocks(count))


def over(function: Callable[[S], T], parts: Sequence[S]) -> list[T]:
    """Results of the function for every part, in order."""
    threads = fft.get_workers()
    if threads == 1 or len(parts) == 1:
        return [function(part) for part in parts]
    return list(_pool(threads).map(function, parts))


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="nodes")
