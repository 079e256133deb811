"""Solutions of random problems against a dense integration of the definition."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from meanfield_pde import auxiliary, encodings, evolution, initial
from meanfield_pde.attention import Attention, Causal, Head, reference
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces.circle import Circle
from tests.cases import DenseVelocity, dense_solution, modes_of, problems

# What is promised with default tolerances: modes of every conditional at every saved depth.
PROMISED = 1e-8
# The dense grid counts as adequate when what it drops is far below what is promised.
ADEQUATE = 1e-10

RANDOM = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def error_of(problem):
    """Largest error of the first nine modes over conditionals and depths, None where the dense grid is too coarse."""
    solution = evolution.solve(problem)
    for points in (64, 96, 160):
        expected, dropped = dense_solution(problem, points)
        if dropped < ADEQUATE:
            return np.abs(modes_of(solution.density) - expected).max()
    return None


@RANDOM
@given(problem=problems())
def test_random_problems_are_solved_as_promised(problem):
    error = error_of(problem)
    assume(error is not None)
    assert error < PROMISED
