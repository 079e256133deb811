"""Branches of optima of the escape problem, followed over λ and over depth by warm starts.

Three kinds of local optima are found. Tokens gather and stay *clustered*; they gather, rest on a plateau
and *escape* from it near the end; or the drift *avoids* the cluster from the start. The plateau is where
their clustering is at least 0.9, as `meanfield-pde train` reports it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import brentq

from benchmarks import escape_problem
from meanfield_pde.arrays import FloatArray
from meanfield_pde.energies import interaction_energy
from meanfield_pde.training.report import clustering, report
from meanfield_pde.training.train import History, Trained, train

Kind = Literal["clustered", "escape", "avoids"]
#: Length of an interval. The optimiser stops at this share of the gradient at θ = 0.
LENGTH, TOLERANCE = 0.4, 1e-3
#: R at the end above which tokens are clustered there, and on the way above which they have been.
CLUSTERED, GATHERED = 0.5, 0.7


@dataclass(frozen=True, eq=False)
class Optimum:
    """A local optimum of J.

    Parameters
    ----------
    depth, regularization
        T and λ.
    parameters
        θ, (intervals, features).
    loss, terminal_loss, energy
        J, ℓ and ∫|θ|² dt.
    order_parameters
        R at the ends of intervals, (intervals + 1,).
    share
        Share of depth on the plateau.
    evaluations, seconds
        Gradients and wall time that it took.
    """

    depth: float
    regularization: float
    parameters: FloatArray
    loss: float
    terminal_loss: float
    energy: float
    order_parameters: FloatArray
    share: float
    evaluations: int
    seconds: float

    @property
    def kind(self) -> Kind:
        """What tokens do."""
        if self.order_parameters[-1] >= CLUSTERED:
            return "clustered"
        return "escape" if self.order_parameters.max() >= GATHERED else "avoids"

    @property
    def record(self) -> dict[str, object]:
        """Numbers for a file."""
        return {
            "kind": self.kind,
            "depth": self.depth,
            "regularization": self.regularization,
            "loss": self.loss,
            "terminal_loss": self.terminal_loss,
            "control_energy": self.energy,
            "final_order_parameter": float(self.order_parameters[-1]),
            "largest_order_parameter": float(self.order_parameters.max()),
            "plateau_share": self.share,
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 2),
        }


def optimum(depth: float, regularization: float, start: FloatArray | None = None) -> Optimum:
    """Train from these parameters, or from θ = 0."""
    intervals = round(depth / LENGTH)
    problem = escape_problem.problem(depth, intervals)
    plan = escape_problem.plan(regularization, intervals, tolerance=TOLERANCE)
    trained = train(problem, plan, start=None if start is None else History(start), threads=1)
    found = trained.parameters
    orders, share = described(trained)
    return Optimum(
        depth,
        regularization,
        found,
        float(trained.loss[-1]),
        float(trained.terminal_loss[-1]),
        trained.objective.length * float((found**2).sum()),
        orders,
        share,
        trained.evaluations,
        trained.seconds,
    )


def described(trained: Trained) -> tuple[FloatArray, float]:
    """R at the ends of intervals, and the share of depth on the plateau."""
    equation = trained.objective.equation
    depths, states = trained.path(trained.parameters)
    orders = [float(np.linalg.norm(equation.space.first_moment(state)[0])) for state in states]
    energies = np.array([interaction_energy(equation.attention, state) for state in states])
    uniform = np.zeros_like(states[0])
    uniform[:, : equation.space.constant] = states[0][:, : equation.space.constant]
    clustered = clustering(energies, interaction_energy(equation.attention, uniform))
    return np.array(orders), report(depths, clustered, depths, trained.parameters).plateau


def followed(first: Optimum, regularizations: Iterable[float]) -> list[Optimum]:
    """Optima of the kind of the first, each from the last, for as long as there are."""
    found = [first]
    for regularization in regularizations:
        here = optimum(first.depth, regularization, found[-1].parameters)
        if here.kind != first.kind:
            break
        found.append(here)
    return found


def end(last: Optimum, beyond: float, halvings: int) -> tuple[Optimum, float]:
    """Last optimum of a branch, and λ where there is none any more, by halving what is between."""
    for _ in range(halvings):
        here = optimum(last.depth, math.sqrt(last.regularization * beyond), last.parameters)
        last, beyond = (here, beyond) if here.kind == last.kind else (last, here.regularization)
    return last, beyond


def lengthened(found: Optimum, depth: float) -> Optimum:
    """Go on from an optimum at another depth: θ = 0 put into its plateau, or rows there left out."""
    place, old = int(found.order_parameters.argmax()), found.parameters
    added = round(depth / LENGTH) - len(old)
    if added < 0:
        first = min(max(place + added // 2, 0), len(old) + added)
        return optimum(depth, found.regularization, np.delete(old, slice(first, first - added), axis=0))
    rest = np.zeros((added, old.shape[1]))
    return optimum(depth, found.regularization, np.concatenate([old[:place], rest, old[place:]]))


def stretched(found: Optimum, depth: float) -> Optimum:
    """Go on from an optimum at another depth: the same drift, slower."""
    old, new = ((np.arange(n) + 0.5) / n for n in (len(found.parameters), round(depth / LENGTH)))
    start = np.stack([np.interp(new, old, column) for column in found.parameters.T], axis=1)
    return optimum(depth, found.regularization, start * (found.depth / depth))


def crossing(first: list[Optimum], second: list[Optimum]) -> float:
    """λ at which two branches have the same J, NaN where they have not.

    Between optima J is a cubic in λ: its slope is ½ ∫|θ|² dt, θ being optimal.
    """

    def curve(branch: list[Optimum]) -> CubicHermiteSpline:
        points = sorted(branch, key=lambda point: point.regularization)
        values = [point.regularization for point in points]
        losses, slopes = [point.loss for point in points], [0.5 * point.energy for point in points]
        return CubicHermiteSpline(values, losses, slopes, extrapolate=False)

    one, other = curve(first), curve(second)
    low, high = max(one.x[0], other.x[0]), min(one.x[-1], other.x[-1])
    if not low < high or (one(low) - other(low)) * (one(high) - other(high)) > 0.0:
        return math.nan
    return float(brentq(lambda value: one(value) - other(value), low, high))
