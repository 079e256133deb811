"""Piecewise polynomials on Gauss panels: exact for polynomials, whatever was halved."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from solvers.panels import ORDER, Panels

SEEDS = st.integers(0, 2**32 - 1)
#: Polynomials of degree 15 with coefficients below one on [0, 3]: values of up to 10 after scaling by 3^15.
LENGTH = 3.0


def random_panels(rng, rows=3):
    """Halved at random, six times over."""
    panels = Panels.even(rows, int(rng.integers(1, 5)), LENGTH)
    for _ in range(6):
        panels = panels.halved(rng.random(panels.row.size) < 0.3)
    return panels


def random_polynomials(rng, rows=3):
    return [Polynomial(rng.uniform(-1.0, 1.0, ORDER), [0.0, LENGTH], [-1.0, 1.0]) for _ in range(rows)]


def on(panels, functions):
    """Values at the nodes, of one function a row."""
    return np.array([functions[row](nodes) for row, nodes in zip(panels.row, panels.nodes, strict=True)])


@given(seed=SEEDS)
def test_halving_keeps_rows_in_order_and_without_gaps(seed):
    rng = np.random.default_rng(seed)
    panels = random_panels(rng)
    assert (np.diff(panels.row) >= 0).all()
    for row in range(3):
        own = panels.row == row
        assert panels.left[own][0] == 0.0
        assert panels.right[own][-1] == LENGTH
        assert np.array_equal(panels.left[own][1:], panels.right[own][:-1])
    assert (panels.right > panels.left).all()
    assert (np.diff(panels.nodes, axis=1) > 0.0).all()
    assert np.abs(np.bincount(panels.row, panels.weights.sum(axis=1)) - LENGTH).max() < 1e-14


@given(seed=SEEDS)
def test_polynomials_are_kept_placed_and_integrated_exactly(seed):
    """Sums of 16 terms of either sign, with Legendre coefficients up to (2·15 + 1)/2: 1e3 roundings."""
    rng = np.random.default_rng(seed)
    panels, functions = random_panels(rng), random_polynomials(rng)
    values = on(panels, functions)
    rows = rng.integers(0, 3, 40)
    points = np.concatenate([[0.0, LENGTH], rng.uniform(0.0, LENGTH, 38)])
    index, local = panels.place(rows, points)
    assert np.array_equal(panels.row[index], rows)
    assert (panels.left[index] <= points).all()
    assert (points <= panels.right[index]).all()
    expected = np.array([functions[row](point) for row, point in zip(rows, points, strict=True)])
    assert np.abs(Panels.evaluate(values, index, local) - expected).max() < 1e-12
    chosen = rng.random(panels.row.size) < 0.5
    finer = panels.halved(chosen)
    assert np.abs(Panels.on_halves(values, chosen) - on(finer, functions)).max() < 1e-12
    unchanged = np.repeat(~chosen, np.where(chosen, 2, 1))
    assert np.array_equal(Panels.on_halves(values, chosen)[unchanged], values[~chosen])
    # ORDER Gauss nodes are exact up to degree 2 ORDER − 1: for squares of these too.
    squares = np.bincount(panels.row, (values**2 * panels.weights).sum(axis=1))
    exact = [(function * function).integ(lbnd=0.0)(LENGTH) for function in functions]
    assert np.abs(squares - exact).max() < 1e-12 * max(exact)


@given(seed=SEEDS)
def test_samples_and_primitives(seed):
    rng = np.random.default_rng(seed)
    panels, functions = random_panels(rng), random_polynomials(rng)
    values, places = on(panels, functions), np.sort(rng.uniform(-1.0, 1.0, 7))
    middle, half = (panels.left + panels.right) / 2.0, (panels.right - panels.left) / 2.0
    at = middle[:, None] + half[:, None] * places
    sampled, below = Panels.sampled(values, places), Panels.accumulated(values, places)
    for n, row in enumerate(panels.row):
        assert np.abs(sampled[n] - functions[row](at[n])).max() < 1e-12
        primitive = functions[row].integ(lbnd=panels.left[n])
        assert np.abs(half[n] * below[n] - primitive(at[n])).max() < 1e-12


def test_tails_tell_what_is_resolved():
    """Highest two coefficients: zero below degree 14, geometric for 1/(2 − x), of order one at a jump."""
    panels = Panels.even(1, 1, 2.0)
    nodes = panels.nodes - 1.0
    assert Panels.tails(nodes**13)[0] < 1e-14
    # Bernstein's ellipse: (2 + √3)^−14 = 1e-8, times √n and 1/√3.
    assert 1e-9 < Panels.tails(1.0 / (2.0 - nodes))[0] < 1e-7
    assert Panels.tails(np.sign(nodes - 0.1))[0] > 0.1
