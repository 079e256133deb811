"""Drifts of perceptrons, at grid points and at any place."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Head
from meanfield_pde.drift import combined
from meanfield_pde.features import Perceptron, units
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces import Atoms
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.spaces.sphere import Sphere
from meanfield_pde.spaces.torus import Torus


def perceptron(dimension, activation="tanh", width=4):
    return Perceptron(activation, *units(dimension, width, seed=1))


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("space", [Circle(16), Sphere(8), Torus(8)], ids=lambda space: space.name)
def test_fields_at_places_by_the_definition(space, activation):
    """P_x e_i a(⟨U_j, x⟩ + b_j) along the frame there."""
    features, rng = perceptron(space.points.shape[1], activation), np.random.default_rng(0)
    places = (
        np.stack([rng.uniform(0.2, 3.0, 5) for _ in range(space.place[0])], 1)
        if space.place
        else rng.random(5)
    )
    found = features.at(space, places)
    points, frame = space.embed(places), space.frame_at(places)
    a = {"relu": lambda s: np.maximum(s, 0.0), "tanh": np.tanh, "gelu": lambda s: s * special.ndtr(s)}[
        activation
    ]
    seen = a(points @ features.weights.T + features.biases)
    expected = [frame[..., i] * seen[:, j, None] for i in range(points.shape[1]) for j in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-15)
    assert features(space).shape[0] == len(found)


@pytest.mark.parametrize("space", [Sphere(8), Torus(8)], ids=lambda space: space.name)
def test_tokens_feel_it_where_they_are(space):
    """As if it were interpolated from a grid that resolves it, to 1e-9; what no grid resolves, exactly."""
    d, rng = space.points.shape[1], np.random.default_rng(2)
    layer = Attention((Head.plain(1.0, d),), auxiliary.none(), encodings.none())
    directions, offsets = units(d, 2, seed=1)
    features = Perceptron("tanh", 0.3 * directions, offsets)  # smooth enough for small grids
    drift = combined(rng.uniform(-0.5, 0.5, 2 * d), features)
    places = space.locate(rng.standard_normal((6, d)))
    atoms = Atoms(places, np.full(6, 1.0 / 6.0), np.array([0, 6]))
    problem = Problem(space, layer, np.array([0.0, 1.0]), Initial(np.ones), drift=drift)
    interpolated = replace(problem, drift=drift.__call__)
    expected = interpolated.scattered().velocity(atoms)
    np.testing.assert_allclose(problem.scattered().velocity(atoms), expected, atol=1e-9)
    rough = replace(problem, drift=combined(np.ones(2 * d), perceptron(d, "relu", 2))).scattered()
    exact = rough.pointwise.perceptron.at(space, places).sum(axis=0)
    np.testing.assert_array_equal(rough.drift_at(atoms), exact)
    assert len(rough.space.points) < 4000  # the grid is that of the kernel
