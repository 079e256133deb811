"""Directions along which a matrix is singular to rounding error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

if TYPE_CHECKING:
    from solvers.compiled import FloatArray

__all__ = ["null_directions"]

#: Singular values below this share of the largest row sum are zero.
ROUNDING = 1e-11
#: Matrices up to this size are decomposed, larger ones searched by inverse iteration.
DECOMPOSED = 150
#: Directions that are looked for in large matrices, and rounds of inverse iteration: each gains all digits
#: that separate a zero from the next singular value.
MOST, ROUNDS = 4, 4


def null_directions(matrix: FloatArray, rounding: float = ROUNDING) -> tuple[FloatArray, FloatArray]:
    """Orthonormal right and left null vectors, (k, n) each, of a square matrix.

    Large matrices: at most ``MOST`` of them, by block inverse iteration with one LU decomposition.
    """
    size = float(np.abs(matrix).sum(axis=1).max(initial=0.0))
    if size == 0.0:
        return np.eye(len(matrix)), np.eye(len(matrix))
    if len(matrix) <= DECOMPOSED:
        left, values, right = linalg.svd(matrix)
        zero = values <= rounding * size
        return np.asarray(right[zero]), np.asarray(left.T[zero])
    return _searched(matrix, rounding * size)


def _searched(matrix: FloatArray, threshold: float) -> tuple[FloatArray, FloatArray]:
    """Iterate with (JᵀJ)⁻¹, the matrix shifted by less than what counts as zero."""
    shifted = matrix + 1e-3 * threshold * np.eye(len(matrix))
    factors = linalg.lu_factor(shifted)
    block = np.random.default_rng(0).standard_normal((len(matrix), MOST))
    for _ in range(ROUNDS):
        block = linalg.qr(linalg.lu_solve(factors, block, trans=1), mode="economic")[0]
        block = linalg.qr(linalg.lu_solve(factors, block), mode="economic")[0]
    _, values, right = linalg.svd(matrix @ block, full_matrices=False)
    zero = values <= threshold
    lefts = linalg.lu_solve(factors, block @ right.T, trans=1)
    lefts = lefts[:, zero] / np.linalg.norm(lefts[:, zero], axis=0)
    return np.asarray((block @ right.T).T[zero]), np.asarray(_orthonormal(lefts).T)


def _orthonormal(columns: FloatArray) -> FloatArray:
    return np.asarray(linalg.qr(columns, mode="economic")[0]) if columns.size else columns
