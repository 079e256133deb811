"""Typed decorators for compiled code, and the type of a compiled rate.

Four kinds of functions make a solver:

* `kernel`: loops over array elements, always compiled (once per argument types, cached on disk);
* `summing_kernel`: the same for long sums, whose order the compiler may choose;
* `either`: calls exchangeable parts; compiled when reached from compiled code, plain Python when not;
* `compiled_rate`: a nonlinear term with the fixed type `RATE`, so that the time loop calling it is compiled
  once for all rates and a new rate compiles nothing but itself.

numba caches by source file: after an edit of a kernel, functions of *other* files that call it must be
recompiled by touching their file too (a fresh install needs nothing).
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numba.types
import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import register_jitable

P = ParamSpec("P")
R = TypeVar("R")

FloatArray = npt.NDArray[np.float64]
Tables = tuple[FloatArray, ...]
Rate = Callable[[FloatArray, FloatArray, Tables], None]

TABLE_COUNT = 16
"""Number of coefficient tables that every rate is handed; unused ones are empty."""

# numba's types carry no annotations.
numba_types: Any = numba.types

MATRIX = numba_types.float64[:, ::1]
TABLES = numba_types.UniTuple(MATRIX, TABLE_COUNT)
RATE_SIGNATURE = numba_types.void(MATRIX, MATRIX, TABLES)
RATE = numba_types.FunctionType(RATE_SIGNATURE)


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a loop over array elements at its first call; later processes find it on disk."""
    return cast("Callable[P, R]", njit(cache=True)(function))


def summing_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compile like `kernel`, and let sums be taken in another order, so that they use vector instructions."""
    order = {"reassoc", "contract", "nsz"}  # not "nnan", "ninf": infinities and NaN keep their meaning
    return cast("Callable[P, R]", njit(cache=True, fastmath=order)(function))


def either(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function run as plain Python, and compiled when compiled code calls it."""
    return register_jitable(function)


def compiled_for(signature: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile for one signature now; later processes find it on disk."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        return cast("Callable[P, R]", njit(signature, cache=True)(function))

    return decorate


def compiled_rate(function: Rate) -> Rate:
    """Compile ``rate(state, out, tables)``, which writes the nonlinear term of ``state`` into ``out``.

    Parameters
    ----------
    function
        Module-level function of a state (rows, columns), an output of the same shape, and a tuple of
        `TABLE_COUNT` two-dimensional arrays. It must not raise, nor change ``state``.
    """
    return compiled_for(RATE_SIGNATURE)(function)


def padded(tables: Tables) -> Tables:
    """Fill up a tuple of tables with empty ones.

    Raises
    ------
    ValueError
        If there are more than `TABLE_COUNT`, or one is not two-dimensional.
    """
    if len(tables) > TABLE_COUNT:
        raise ValueError(f"tables: at most {TABLE_COUNT} fit, got {len(tables)}; join some into one array")
    for index, table in enumerate(tables):
        if table.ndim != 2:
            raise ValueError(f"tables: each must have two dimensions, got shape {table.shape} at {index}")
    own = tuple(np.ascontiguousarray(table, dtype=np.float64) for table in tables)
    return own + tuple(np.empty((0, 0)) for _ in range(TABLE_COUNT - len(own)))
