"""Finite volumes on zonal densities through the method, against the spectral one (needs the open line)."""

import numpy as np
import pytest

from meanfield_pde import auxiliary, initial
from meanfield_pde.attention import Attention, Head
from meanfield_pde.methods.finite_volume import FiniteVolume
from meanfield_pde.methods.spectral import Spectral
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.zonal import Zonal


def run(method):
    while (reason := method.advance(method.problem.depths[-1], 10**5)) != "reached":
        assert reason == "paused"  # the grid was refined
    return method


@pytest.mark.parametrize("value", [np.zeros((2, 2)), np.eye(2), np.diag([1.0, 0.5])])
@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_second_order_of_the_method(dimension, value):
    """Heat (V = 0), the work of a potential (V = I), and that of a velocity."""
    attention = Attention((Head(3.0, np.eye(2), np.eye(2), value),), auxiliary.none())
    start = initial.Initial(initial.vonmises(np.array([1.0, 0.0]), 2.0))

    def problem(resolution):
        depths = np.array([0.0, 0.3])
        accuracy = Accuracy(1e-8, 1e-10)
        return Problem(Zonal(resolution, dimension), attention, depths, start, 0.3, accuracy=accuracy)

    coefficients = run(Spectral.start(problem(16))).coefficients
    errors = []
    for resolution in (32, 64):
        method = run(FiniteVolume.start(problem(resolution)))
        density, space = method.stepper.density, method.space
        errors.append((np.abs(density - space.cell_means(coefficients)) @ space.weights)[0])
        seen = method.observe(density)
        assert seen["mass_error"] < 1e-13
        assert seen["minimum"] >= 0.0
        assert seen["dissipation"] > 0.0
    # Points are π/(n + d/2 − 1) apart, which is not quite halved.
    assert 1.85 < np.log2(errors[0] / errors[1]) < 2.1
    assert errors[1] < 1e-4
