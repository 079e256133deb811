r"""Linear systems with rows and columns around them, dense or given by an operator.

Where a symmetry moves solutions along a direction, the Jacobian is singular; the linear system is bordered,

.. math::

    \begin{pmatrix} J & C^\top \\ R & D \end{pmatrix} \begin{pmatrix} x \\ s \end{pmatrix}
    = \begin{pmatrix} b \\ g \end{pmatrix}

(Govaerts 2000, chapter 3): regular where R is of full rank on the null space of J, C on its left null space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.linalg import lapack
from scipy.sparse.linalg import LinearOperator, gmres

if TYPE_CHECKING:
    from solvers.compiled import FloatArray

__all__ = ["Border", "Jacobian", "bordered", "solve_linear"]

Jacobian: TypeAlias = "FloatArray | LinearOperator"

#: Krylov vectors kept, and restarts. Identity minus compact takes a few tens of vectors.
VECTORS, RESTARTS = 150, 4
#: Part of the right side that GMRES may leave, however large the solution: singular systems leave more.
LEAST_GAIN = 1e-3


@dataclass(frozen=True)
class Border:
    """Rows and columns around a matrix: [[J, columns.T], [rows, corner]].

    Parameters
    ----------
    columns, rows
        (k, n); k may be 0.
    corner
        (k, k).

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """

    columns: FloatArray
    rows: FloatArray
    corner: FloatArray

    def __post_init__(self) -> None:
        """Refuse what does not fit."""
        if self.columns.ndim != 2 or self.rows.shape != self.columns.shape:
            raise ValueError(
                f"Border: columns and rows must be (k, n), got {self.columns.shape} and {self.rows.shape}"
            )
        if self.corner.shape != (self.count, self.count):
            raise ValueError(
                f"Border: corner must be ({self.count}, {self.count}), got {self.corner.shape}; "
                "give one row and column a border"
            )

    @property
    def count(self) -> int:
        """Number k of rows and columns."""
        return len(self.columns)

    def scaled(self) -> tuple[Border, FloatArray, FloatArray]:
        """Return the border with columns, then rows, of norm one, and the norms (k,) that they had."""
        columns = _norms(np.hstack([self.columns, self.corner.T]))
        corner = self.corner / columns
        rows = _norms(np.hstack([self.rows, corner]))
        scaled = Border(self.columns / columns[:, None], self.rows / rows[:, None], corner / rows[:, None])
        return scaled, columns, rows


def _norms(rows: FloatArray) -> FloatArray:
    """Norms of rows; 1 where a row vanishes, so that one may divide."""
    norms = np.linalg.norm(rows, axis=1)
    return np.where(norms > 0.0, norms, 1.0)


def bordered(jacobian: Jacobian, border: Border) -> Jacobian:
    """Return [[J, columns.T], [rows, corner]], (n + k, n + k): an array for an array, else an operator."""
    if isinstance(jacobian, np.ndarray):
        return np.block([[jacobian, border.columns.T], [border.rows, border.corner]])
    size = jacobian.shape[0]

    def apply(vector: FloatArray) -> FloatArray:
        state, rest = vector.ravel()[:size], vector.ravel()[size:]
        top = jacobian.matvec(state) + border.columns.T @ rest
        return np.concatenate([top, border.rows @ state + border.corner @ rest])

    total = size + border.count
    return LinearOperator((total, total), matvec=apply, dtype=np.float64)


def solve_linear(
    jacobian: Jacobian,
    right: FloatArray,
    border: Border | None = None,
    below: FloatArray | None = None,
    *,
    tolerance: float = 1e-10,
) -> tuple[FloatArray, FloatArray]:
    """Solve [[J, columns.T], [rows, corner]] [x; s] = [right; below].

    Arrays are factorised (LU); operators are solved by GMRES on the bordered operator. That suits identity
    minus compact, which needs no preconditioner.

    Parameters
    ----------
    jacobian
        (n, n).
    right, below
        (n,), and (k,), 0 when left out.
    tolerance
        For operators: largest residual, relative to the right side or, where that is smaller (near singular
        systems), to the solution.

    Returns
    -------
    tuple of array
        x, (n,), and s, (k,), empty without a border.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the bordered system is singular, not finite, or GMRES does not reach the tolerance.
    """
    if border is None or border.count == 0:
        with np.errstate(all="ignore"):
            return _solved(jacobian, right, tolerance), np.empty(0)
    with np.errstate(all="ignore"):  # what is not finite is found in the result
        scaled, columns, rows = border.scaled()
        given = np.zeros(border.count) if below is None else below / rows
        solution = _solved(bordered(jacobian, scaled), np.concatenate([right, given]), tolerance)
    return solution[: right.size], solution[right.size :] / columns


def _solved(matrix: Jacobian, right: FloatArray, tolerance: float) -> FloatArray:
    solution = (
        _factorised(matrix, right) if isinstance(matrix, np.ndarray) else _krylov(matrix, right, tolerance)
    )
    if not np.all(np.isfinite(solution)):
        raise np.linalg.LinAlgError("solve_linear: the system or its solution is not finite")
    return solution


def _factorised(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """LU without scipy's warning of near singular matrices: next to branch points they are expected."""
    *_, solution, info = lapack.dgesv(matrix, right)
    if info > 0:
        raise np.linalg.LinAlgError(
            f"solve_linear: the matrix is singular, pivot {info} of {right.size} is zero; border it"
        )
    return np.asarray(solution).reshape(right.shape)


def _krylov(operator: LinearOperator, right: FloatArray, tolerance: float) -> FloatArray:
    size, vectors = float(np.linalg.norm(right)), min(VECTORS, right.size)
    solution, miss = np.zeros_like(right), size
    for _ in range(RESTARTS):
        solution, _ = gmres(
            operator, right, x0=solution, rtol=0.5 * tolerance, atol=0.0, restart=vectors, maxiter=1
        )
        miss = float(np.linalg.norm(right - operator.matvec(solution)))
        if miss <= min(tolerance * max(size, float(np.linalg.norm(solution))), LEAST_GAIN * size):
            return np.asarray(solution)
    raise np.linalg.LinAlgError(
        f"solve_linear: GMRES left {miss:.1e} of {size:.1e} in {RESTARTS} times {vectors} vectors; "
        "the operator is singular or far from identity minus compact"
    )
