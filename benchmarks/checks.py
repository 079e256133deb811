"""One exact result beside what the package computes, and problems that several rows need."""

import math
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import exact
from meanfield_pde import auxiliary, encodings
from meanfield_pde.attention import Attention, Bias, Head
from meanfield_pde.auxiliary import Auxiliary
from meanfield_pde.building import build
from meanfield_pde.config import loads
from meanfield_pde.encodings import Encoding
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.results import Bifurcation
from meanfield_pde.spaces import Space

TIGHT = Accuracy(rtol=1e-12, atol=1e-13)


@dataclass(frozen=True)
class Check:
    """A computed number, the exact one, the error (the largest of all that were compared) and its bound.

    Parameters
    ----------
    why
        What the tolerance allows for.
    """

    row: int
    what: str
    computed: float
    exact: float
    error: float
    tolerance: float
    why: str

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance: not so when it is no number."""
        return bool(self.error <= self.tolerance)


def check(row: int, what: str, computed: float, exact_value: float, tolerance: float, why: str) -> Check:
    """Compare one number."""
    error = abs(float(computed) - float(exact_value))
    return Check(row, what, float(computed), float(exact_value), error, tolerance, why)


def layer(
    dimension: int,
    beta: float,
    normalization: str = "softmax",
    *,
    nu: Auxiliary | None = None,
    encoding: Encoding | None = None,
    bias: Bias | None = None,
    value: float = 1.0,
) -> Attention:
    """One head with identity matrices, the value matrix times a number."""
    one = np.eye(dimension)
    head = Head(beta, one, one, value * one, bias) if bias else Head(beta, one, one, value * one)
    softmax = normalization == "softmax"
    return Attention(
        (head,),
        nu or auxiliary.none(),
        encoding or encodings.none(),
        "softmax" if softmax else "none",
    )


def bare(attention: Attention) -> Attention:
    """Return the same attention with values that carry no encoding."""
    return replace(attention, values="token")


def problem_of(
    space: Space,
    attention: Attention,
    depths: list[float],
    initial: Initial,
    sigma: float = 0.0,
    accuracy: Accuracy | None = None,
) -> Problem:
    """Return a problem, by characteristics without noise and else by the spectral method."""
    return Problem(
        space,
        attention,
        np.array(depths),
        initial,
        sigma,
        accuracy=accuracy or Accuracy(),
        method="spectral" if sigma > 0.0 else "auto",
    )


def over_noise(dimension: int, beta: float, normalization: str, width: float) -> tuple[float, Bifurcation]:
    """Critical noise, and the diagram of stationary densities about it."""
    import meanfield_pde as mf

    problem = build(
        loads(
            f"""
            token = {{ space = "zonal", dimension = {dimension}, resolution = 8 }}
            attention = {{ beta = {beta!r}, normalization = "{normalization}" }}
            noise = {{ sigma = 1.0 }}
            initial = {{ kind = "vonmises", concentration = 1.0 }}
            time = {{ final = 1.0, save = 2 }}
            """
        )
    )
    critical = exact.gain(1, beta, dimension, normalization)
    found = mf.bifurcation(problem, "noise.sigma", (1.0 - width) * critical, (1.0 + width) * critical)
    return critical, found


def relative(computed: float, exact_value: float) -> float:
    """Relative error."""
    return abs(computed / exact_value - 1.0) if exact_value else math.inf
