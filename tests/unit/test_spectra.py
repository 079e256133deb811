"""Null directions and leading eigenvalues of matrices for which both are known."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from solvers import nullspace, spectrum
from solvers.nullspace import null_directions
from solvers.spectrum import leading_eigenvalues

#: Sizes that are decomposed, and searched where the limit is lowered to the one between.
SMALL, LIMIT, LARGE = 30, 100, 160


@pytest.fixture
def low_limit(monkeypatch):
    monkeypatch.setattr(nullspace, "DECOMPOSED", LIMIT)


def orthogonal(size, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]


def singular(size, zeros, smallest=0.1):
    """A matrix that is not symmetric, and its right and left null vectors as rows."""
    left, right = orthogonal(size, 1), orthogonal(size, 2)
    values = np.geomspace(10.0, smallest, size - zeros)
    matrix = (left[:, : size - zeros] * values) @ right[: size - zeros]
    return matrix, right[size - zeros :], left[:, size - zeros :].T


def separation(found, expected):
    """Largest part of unit vectors of one space that lies outside the other."""
    return np.abs(found - found @ expected.T @ expected).max(initial=0.0)


@pytest.mark.usefixtures("low_limit")
@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("smallest", [1e-1, 1e-4])
def test_null_directions_are_found(size, zeros, smallest):
    """Roundings of 30 at most in a matrix of norm 10, over the smallest singular value that is not zero.

    Inverse iteration shifts the matrix by 1e-14 of its largest row sum (200 here), another 2e-12 over it.
    """
    matrix, right, left = singular(size, zeros, smallest)
    found = null_directions(matrix)
    for rows, exact in zip(found, (right, left), strict=True):
        assert rows.shape == (zeros, size)
        assert np.abs(rows @ rows.T - np.eye(zeros)).max(initial=0.0) < 1e-13
        assert separation(rows, exact) < 5e-12 / smallest


def test_large_matrices_give_at_most_four_directions():
    """The most that are looked for: all of them are null vectors."""
    matrix, right, left = singular(nullspace.DECOMPOSED + 37, 6)
    found = null_directions(matrix)
    for rows, exact in zip(found, (right, left), strict=True):
        assert len(rows) == nullspace.MOST
        assert separation(rows, exact) < 5e-11  # as above


@pytest.mark.usefixtures("low_limit")
def test_what_is_small_counts_as_zero_only_at_rounding_level():
    """Largest row sums are 100 at most here: 1e-7 is no zero, 1e-13 is one, by either way."""
    for size in (SMALL, LARGE):
        left, right = orthogonal(size, 3), orthogonal(size, 4)
        for value, count in ((1e-7, 0), (1e-13, 1)):
            values = np.append(np.geomspace(3.0, 1.0, size - 1), value)
            assert len(null_directions((left * values) @ right)[0]) == count


def test_the_zero_matrix_is_all_null():
    for rows in null_directions(np.zeros((3, 3))):
        assert np.array_equal(rows, np.eye(3))


def with_spectrum(size, seed, coupling=0.3):
    """A matrix that is not normal, with two complex and some real eigenvalues to the right of the others."""
    rng = np.random.default_rng(seed)
    values = np.linspace(-30.0, -2.0, size - 8)
    matrix = np.diag(np.concatenate([[1.5, 1.0, 1.0, 0.5, 0.25, 0.0, -0.5, -1.0], values]))
    matrix += np.triu(coupling * rng.standard_normal((size, size)), 1) / np.sqrt(size)
    matrix[1, 2], matrix[2, 1] = 2.0, -2.0
    turn = orthogonal(size, seed + 1)
    return turn @ matrix @ turn.T


@pytest.mark.parametrize("size", [1, 2, 5, 60])
def test_small_matrices_are_decomposed(size):
    """All eigenvalues, those of numpy, largest real part first; vectors to roundings of norm 30."""
    matrix = with_spectrum(80, 5)[:size, :size]
    values, vectors = leading_eigenvalues(matrix, 2)
    assert values.size == size
    assert (np.diff(values.real) <= 0.0).all()
    expected = np.linalg.eigvals(matrix)
    assert np.abs(np.sort_complex(values) - np.sort_complex(expected)).max() < 1e-11
    assert np.abs(matrix @ vectors - vectors * values).max() < 1e-11


@pytest.mark.parametrize("kind", ["matrix", "operator"])
def test_large_ones_are_iterated(kind, monkeypatch):
    """Leading eigenvalues to the tolerance 1e-9 of ARPACK, relative to the norm 30, times their condition."""
    monkeypatch.setattr(spectrum, "DECOMPOSED", 150)
    matrix = with_spectrum(200, 6)
    exact = np.linalg.eigvals(matrix)
    exact = exact[np.argsort(-exact.real)]
    shown = matrix if kind == "matrix" else aslinearoperator(matrix)
    values, vectors = leading_eigenvalues(shown, 6)
    assert values.size == 6
    assert (np.diff(values.real) <= 0.0).all()
    assert np.abs(np.sort_complex(values) - np.sort_complex(exact[:6])).max() < 1e-7
    assert np.abs(matrix @ vectors - vectors * values).max() < 1e-6


@pytest.mark.parametrize("size", [1, 2, 3, 6, 9, 30])
def test_small_operators_have_eigenvalues_too(size):
    """Krylov spaces of ARPACK need room: operators without it are decomposed."""
    matrix = with_spectrum(80, 7)[:size, :size]
    values, vectors = leading_eigenvalues(aslinearoperator(matrix), 8)
    exact = np.linalg.eigvals(matrix)
    assert values.size == size
    assert np.abs(np.sort_complex(values) - np.sort_complex(exact)).max() < 1e-11  # roundings of norm 30
    assert np.abs(matrix @ vectors - vectors * values).max() < 1e-11
