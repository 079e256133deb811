"""Leading eigenvalues: those with the largest real parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

if TYPE_CHECKING:
    from solvers.compiled import FloatArray

__all__ = ["leading_eigenvalues"]

ComplexArray = NDArray[np.complex128]

#: Matrices up to this size are decomposed, of larger ones a few eigenvalues are found.
DECOMPOSED = 1000
#: Relative error of eigenvalues that are found by iteration.
TOLERANCE = 1e-9


def leading_eigenvalues(
    matrix: FloatArray | LinearOperator, count: int = 6
) -> tuple[ComplexArray, ComplexArray]:
    """Eigenvalues (k,) and eigenvectors (n, k), largest real part first; all of them for small matrices.

    Larger ones and operators: at most ``count``, by ARPACK; fewer, or none, when it does not converge.
    """
    size = matrix.shape[0]
    if isinstance(matrix, np.ndarray) and size <= DECOMPOSED:
        values, vectors = linalg.eig(matrix)
    else:
        values, vectors = _iterated(matrix, min(count, size - 2))
    order = np.argsort(-values.real, kind="stable")
    return np.asarray(values[order]), np.asarray(vectors[:, order])


def _iterated(matrix: FloatArray | LinearOperator, count: int) -> tuple[ComplexArray, ComplexArray]:
    size = matrix.shape[0]
    start = np.random.default_rng(0).standard_normal(size)
    try:
        found = eigs(
            matrix, k=count, which="LR", v0=start, tol=TOLERANCE, ncv=min(size - 1, max(8 * count, 40))
        )
    except ArpackNoConvergence as error:
        found = (error.eigenvalues, error.eigenvectors)
    return np.asarray(found[0], dtype=complex), np.asarray(found[1], dtype=complex)
