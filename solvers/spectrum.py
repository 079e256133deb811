"""Leading eigenvalues: those with the largest real parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

if TYPE_CHECKING:
    from solvers.compiled import FloatArray

__all__ = ["largest_eigenvalues", "leading_eigenvalues"]

ComplexArray = NDArray[np.complex128]

#: Matrices up to this size are decomposed, of larger ones a few eigenvalues are found.
DECOMPOSED = 1000
#: Relative error of eigenvalues that are found by iteration.
TOLERANCE = 1e-9
#: Restarts of ARPACK.
RESTARTS = 100


def leading_eigenvalues(
    matrix: FloatArray | LinearOperator, count: int = 6
) -> tuple[ComplexArray, ComplexArray]:
    """Eigenvalues (k,) and eigenvectors (n, k), largest real part first; all of them for small matrices.

    Larger ones and operators: at most ``count``, by ARPACK; fewer, or none, when it does not converge.
    Operators that a Krylov space would fill are turned into matrices.
    """
    size = matrix.shape[0]
    if isinstance(matrix, LinearOperator) and size <= _krylov_size(count):
        matrix = np.asarray(matrix @ np.eye(size))
    if isinstance(matrix, np.ndarray) and size <= DECOMPOSED:
        values, vectors = linalg.eig(matrix)
    else:
        values, vectors = largest_eigenvalues(matrix, count, TOLERANCE, "LR", vectors=_krylov_size(count))
    order = np.argsort(-values.real, kind="stable")
    return np.asarray(values[order]), np.asarray(vectors[:, order])


def _krylov_size(count: int) -> int:
    """Vectors that ARPACK keeps: with fewer, it skips eigenvalues where their real parts count."""
    return max(8 * count, 40)


def largest_eigenvalues(
    operator: FloatArray | LinearOperator,
    count: int,
    tolerance: float,
    which: str = "LM",
    restarts: int = RESTARTS,
    vectors: int | None = None,
) -> tuple[ComplexArray, ComplexArray]:
    """Eigenvalues (k,) of largest magnitude (or what ARPACK calls ``which``), and eigenvectors (n, k).

    Fewer than ``count`` where ARPACK does not separate them all in so many restarts, with so many Krylov
    vectors (five times the count, 16 at least).
    """
    size = operator.shape[0]
    start = np.random.default_rng(0).standard_normal(size)
    kept = min(size - 1, vectors or max(5 * count, 16))
    try:
        found = eigs(operator, k=count, which=which, v0=start, tol=tolerance, ncv=kept, maxiter=restarts)
    except ArpackNoConvergence as error:
        found = (error.eigenvalues, error.eigenvectors)
    return np.asarray(found[0], dtype=complex), np.asarray(found[1], dtype=complex)
