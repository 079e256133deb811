r"""Low-rank form of the exponential kernel :math:`e^{\langle\xi, w\rangle}` between two sets in R^d.

.. math:: e^{\langle\xi, w\rangle} \approx \sum_k e^{\langle\xi, w_k\rangle} L_k(w)

with *skeleton keys* w_k among the keys (interpolative decomposition, Halko, Martinsson & Tropp 2011). Every
query ξ is scaled by its largest exponent, so that the error is relative to the largest entry of its row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from solvers.compiled import FloatArray

__all__ = ["Skeleton", "fit", "support"]

#: Random queries and keys on which a skeleton is tested, rounds of enrichment, and what a round adds at most.
SAMPLES, ROUNDS, WORST = 1024, 5, 512
#: Factor by which the error of a single pair may exceed the mean that is accepted.
SINGLE = 30.0
#: First size of a random sketch, the size from which it grows more slowly, and by which factor then.
SKETCH, LARGE, GROWTH = 256, 512, 1.4
#: The same where the rank is known, about, as a multiple of it.
ROOM = 1.2

Indices = npt.NDArray[np.intp]
Sampler = Callable[[np.random.Generator, int], FloatArray]
Body = Callable[[FloatArray], FloatArray]


def length(queries: FloatArray) -> FloatArray:
    """|ξ| of every ξ, (n,): the largest ⟨ξ, y⟩ over |y| = 1."""
    return np.asarray(np.linalg.norm(queries, axis=-1))


def support(queries: FloatArray, shifts: FloatArray, body: Body = length) -> FloatArray:
    """Largest exponent max_p ⟨ξ, p⟩ + h(ξ) of every ξ, (n,), over keys p + y, with h the largest ⟨ξ, y⟩."""
    return np.asarray((queries @ shifts.T).max(axis=1) + body(queries))


@dataclass(frozen=True)
class Skeleton:
    """Skeleton keys w_k, (rank, d), and queries ξ_l, (rank, d), at which a measure is probed.

    With K_lk = e^{⟨ξ_l,w_k⟩ − h(ξ_l)} = Q D U (pivoted QR, D diagonal, U unit triangular and well
    conditioned) the charges of a measure with probes g are U⁻¹(D⁻¹Qᵀg): two steps (``charge``, ``probe``),
    since their product would lose the digits of the small pivots. ``support`` holds the h(ξ_l).
    """

    keys: FloatArray
    queries: FloatArray
    support: FloatArray
    probe: FloatArray
    charge: FloatArray

    @staticmethod
    def build(
        queries: FloatArray, keys: FloatArray, bound: FloatArray, tolerance: float, expected: float = 0.0
    ) -> Skeleton:
        """Choose skeleton points among candidates: columns first, then rows; ``bound`` as ``support``.

        ``expected`` is about the rank, from which the search begins.
        """
        kernel = np.exp(queries @ keys.T - bound[:, None])
        columns = _pivots(kernel, tolerance, max(SKETCH, int(ROOM * expected)))
        rows = _spanning(kernel[:, columns])
        orthogonal, triangle, order = linalg.qr(kernel[np.ix_(rows, columns)], mode="economic", pivoting=True)
        columns = columns[order]
        diagonal = np.diag(triangle)
        charge = linalg.solve_triangular(
            triangle / diagonal[:, None], np.eye(columns.size), unit_diagonal=True
        )
        return Skeleton(keys[columns], queries[rows], bound[rows], orthogonal.T / diagonal[:, None], charge)

    def charges(self, probes: FloatArray) -> FloatArray:
        """Charges (..., rank) of measures with these probes ∫ e^{⟨ξ_l,w⟩ − h(ξ_l)} dm, (..., rank)."""
        return np.asarray((probes @ self.probe.T) @ self.charge.T)

    def errors(self, queries: FloatArray, keys: FloatArray, bound: FloatArray) -> FloatArray:
        """Errors (queries, keys) of the kernel, or of the kernel times the key where those are larger."""
        bound = bound[:, None]
        charges = self.charges(np.exp(keys @ self.queries.T - self.support))
        weights = np.exp(queries @ self.keys.T - bound)
        exact = np.exp(queries @ keys.T - bound)
        worst = np.abs(weights @ charges.T - exact)
        for mine, theirs in zip(self.keys.T, keys.T, strict=True):
            worst = np.maximum(worst, np.abs((weights * mine) @ charges.T - exact * theirs))
        return worst


def fit(
    start: tuple[FloatArray, FloatArray],
    draw: tuple[Sampler, Sampler],
    largest: Body,
    tolerances: tuple[float, float],
    expected: float = 0.0,
) -> Skeleton | None:
    """Build a skeleton from candidates, enriched by the worst of fresh samples until all errors are accepted.

    Parameters
    ----------
    start
        Candidate queries and keys, (n, d) each: a few times the rank, the extreme ones among them.
    draw
        For queries and keys: ``draw(rng, count)`` gives random points of the set, (count, d).
    largest
        Largest exponent of queries over all keys, (n, d) to (n,), as `support`.
    tolerances
        Pivots that are kept, relative to the largest; and the error, relative to the largest entry of a row,
        that fresh samples may show: root mean square over the keys for every query; single pairs may be 30
        times worse.
    expected
        About the rank.

    Returns
    -------
    Skeleton or None
        None when the error is not reached in a few rounds.
    """
    rng = np.random.default_rng(0)
    (queries, keys), (tolerance, accepted) = start, tolerances
    for _ in range(ROUNDS):
        skeleton = Skeleton.build(queries, keys, largest(queries), tolerance, expected)
        more_queries, more_keys = (sample(rng, SAMPLES) for sample in draw)
        errors = skeleton.errors(more_queries, more_keys, largest(more_queries))
        if errors.max() <= SINGLE * accepted and np.sqrt((errors**2).mean(axis=1)).max() <= accepted:
            return skeleton
        queries = np.concatenate([queries, more_queries[_largest(errors.max(axis=1), accepted)]])
        keys = np.concatenate([keys, more_keys[_largest(errors.max(axis=0), accepted)]])
    return None


def _largest(errors: FloatArray, accepted: float) -> Indices:
    order = np.argsort(errors)[::-1][:WORST]
    return np.asarray(order[errors[order] > 0.1 * accepted])


def _pivots(matrix: FloatArray, tolerance: float, size: int) -> Indices:
    """Columns that span the others, by QR of a Gaussian sketch, enlarged until its last pivot is small."""
    rows, columns = matrix.shape
    size = min(rows, columns, size)
    while True:
        sketch = matrix
        if size < rows:
            sketch = np.random.default_rng(0).standard_normal((size, rows)) @ matrix / np.sqrt(size)
        chosen = np.arange(columns) if size < LARGE else _exchanged(sketch.T)[:size]
        triangle, order = linalg.qr(sketch[:, chosen], mode="r", pivoting=True)
        pivots = np.abs(np.diag(triangle))
        rank = int(np.count_nonzero(pivots > tolerance * pivots[0]))
        if rank < 0.9 * size or size >= min(rows, columns):
            return np.asarray(chosen[order[:rank]])
        size = min(rows, columns, 2 * size if size < LARGE else int(GROWTH * size))


def _spanning(matrix: FloatArray) -> Indices:
    """As many rows as there are columns, that span the others."""
    rank = matrix.shape[1]
    if rank < LARGE:
        return np.asarray(linalg.qr(matrix.T, mode="r", pivoting=True)[1][:rank])
    return _exchanged(matrix)[:rank]


def _exchanged(matrix: FloatArray) -> Indices:
    """Order of the rows by LU with partial pivoting: those that span the others come first.

    Of random sketches it chooses as well as pivoted QR, many times quicker (Dong & Martinsson, Advances in
    Computational Mathematics 49:66, 2023); where a matrix is singular to rounding error, the rest is in no
    order.
    """
    _, exchanges, _ = linalg.lapack.dgetrf(matrix)
    order = np.arange(len(matrix))
    for place, other in enumerate(exchanges):
        order[[place, other]] = order[[other, place]]
    return order
