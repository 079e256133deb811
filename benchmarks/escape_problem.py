"""The escape problem on the circle, which `adjoint` and `escape` share.

No encoding, unnormalised attention, β = 1, σ = 0.3, 2πρ₀ = 1 + 0.8 cos θ + 0.1 sin 2θ; the target has two
wells, μ* ∝ exp(2 cos 2(θ − 0.7)), the loss is that of L²; harmonics of degree 3 are trained.
"""

import numpy as np

from meanfield_pde import auxiliary, initial
from meanfield_pde.arrays import FloatArray
from meanfield_pde.attention import Attention, Head
from meanfield_pde.attention.layer import Normalization
from meanfield_pde.features import Features, Harmonics
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Problem
from meanfield_pde.spaces import Space
from meanfield_pde.spaces.circle import Circle
from meanfield_pde.training.losses import Square
from meanfield_pde.training.plan import Plan

BETA, SIGMA, DEPTH = 1.0, 0.3, 12.0
POINTS, INTERVALS, REGULARIZATION = 64, 200, 0.05
FEATURES = Harmonics(3)


def wells(space: Space) -> FloatArray:
    """μ* at the grid points."""
    angles = np.arctan2(space.points[:, 1], space.points[:, 0])
    values = np.exp(2.0 * np.cos(2.0 * (angles - 0.7)))
    return np.asarray(values / (values @ space.weights))


def problem(
    depth: float = DEPTH,
    intervals: int = INTERVALS,
    points: int = POINTS,
    normalization: Normalization = "none",
) -> Problem:
    """Return the problem, with a depth at the end of every interval."""
    layer = Attention((Head.plain(BETA, 2),), auxiliary.none(), normalization=normalization)
    start = Initial(initial.fourier([(1, 0.8, 0.0), (2, 0.1, np.pi / 4)]))
    return Problem(Circle(points), layer, np.linspace(0.0, depth, intervals + 1), start, SIGMA)


def plan(
    regularization: float = REGULARIZATION,
    intervals: int = INTERVALS,
    features: Features = FEATURES,
    tolerance: float = 1e-5,
) -> Plan:
    """Return what is trained."""
    return Plan(features, Square(wells), intervals, regularization, tolerance=tolerance)
