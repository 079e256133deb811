"""The low-rank form of the exponential kernel."""

import numpy as np
import pytest

from solvers.lowrank import Skeleton, fit, support

TOLERANCE, ACCEPTED = 2e-15, 1e-11


def circle(rng, count):
    angles = rng.uniform(0.0, 2.0 * np.pi, count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def problem(beta, shifts):
    """Keys p + y with |y| = 1, and queries β(p + x) with neighbours in every direction, as samplers."""

    def keys(rng, count):
        return shifts[rng.integers(len(shifts), size=count)] + circle(rng, count)

    def queries(rng, count):
        return beta * keys(rng, count) + circle(rng, count) * rng.integers(0, 2, (count, 1))

    rng = np.random.default_rng(1)
    return (queries(rng, 900), 1.05 * keys(rng, 900)), (queries, keys)


@pytest.mark.parametrize("beta", [1.0, 3.0])
@pytest.mark.parametrize("amplitude", [0.0, 0.3])
def test_kernels_are_reproduced(beta, amplitude):
    """e^{⟨ξ,w⟩ − h(ξ)} ≈ Σ_k e^{⟨ξ,w_k⟩ − h(ξ)} L_k(w) on pairs that were never seen."""
    z = 2.0 * np.pi * np.arange(12) / 12
    shifts = amplitude * np.stack([np.cos(z), np.sin(z)], axis=1)
    start, draw = problem(beta, shifts)
    skeleton = fit(start, draw, lambda queries: support(queries, shifts), (TOLERANCE, ACCEPTED))
    rng = np.random.default_rng(99)
    queries, keys = draw[0](rng, 400), draw[1](rng, 400)
    errors = skeleton.errors(queries, keys, support(queries, shifts))
    # What fit promises of fresh samples; these are others, so a factor two.
    assert np.sqrt((errors**2).mean(axis=1)).max() < 2.0 * ACCEPTED
    assert errors.max() < 60.0 * ACCEPTED
    # The errors are what they say: by hand for the kernel itself.
    bound = support(queries, shifts)[:, None]
    charges = skeleton.charges(np.exp(keys @ skeleton.queries.T - skeleton.support))
    found = np.exp(queries @ skeleton.keys.T - bound) @ charges.T
    assert np.abs(found - np.exp(queries @ keys.T - bound)).max() <= errors.max()


def test_the_support_is_the_largest_exponent():
    rng = np.random.default_rng(0)
    shifts, queries = rng.standard_normal((7, 2)), rng.standard_normal((20, 2))
    angles = np.linspace(0.0, 2.0 * np.pi, 20001)
    keys = shifts[:, None] + np.stack([np.cos(angles), np.sin(angles)], axis=1)
    largest = np.einsum("nd,pkd->npk", queries, keys).max(axis=(1, 2))
    # 20001 angles miss the largest by |ξ|δ²/2 with δ = 1.6e-4.
    assert np.abs(support(queries, shifts) - largest).max() < 1e-7


def test_charges_of_a_skeleton_key_are_that_key():
    """A unit mass at w_k is one unit of charge there; D⁻¹ scales the rounding of the probes."""
    shifts = np.zeros((1, 2))
    start, _ = problem(1.0, shifts)
    skeleton = Skeleton.build(*start, support(start[0], shifts), 1e-6)
    charges = skeleton.charges(np.exp(skeleton.keys @ skeleton.queries.T - skeleton.support))
    # Pivots go down to 1e-6 of the largest: rounding over that.
    assert np.abs(charges - np.eye(len(skeleton.keys))).max() < 1e-8


def test_the_rank_grows_with_the_exponent_and_the_accuracy():
    shifts = np.zeros((1, 2))

    def rank(beta, tolerance):
        start, _ = problem(beta, shifts)
        return len(Skeleton.build(*start, support(start[0], shifts), tolerance).keys)

    assert rank(1.0, 1e-12) < rank(5.0, 1e-12) < rank(25.0, 1e-12)
    assert rank(5.0, 1e-4) < rank(5.0, 1e-8) < rank(5.0, 1e-12)


def test_what_cannot_be_reached_is_none():
    """A tolerance of 1e-4 cannot give errors of 1e-13."""
    shifts = np.zeros((1, 2))
    start, draw = problem(5.0, shifts)
    assert fit(start, draw, lambda queries: support(queries, shifts), (1e-4, 1e-13)) is None


def test_a_fit_is_deterministic():
    shifts = np.zeros((1, 2))
    start, draw = problem(2.0, shifts)
    first, second = (
        fit(start, draw, lambda queries: support(queries, shifts), (TOLERANCE, ACCEPTED)) for _ in range(2)
    )
    assert (first.keys == second.keys).all()
    assert (first.charge == second.charge).all()
