"""The record of a training: parameters, iterates, and the tokens over depth, trained and untrained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import layout
from meanfield_pde.clusters import find
from meanfield_pde.energies import entropy_functional, interaction_energy
from meanfield_pde.provenance import grid, provenance
from meanfield_pde.records import Record, Variable
from meanfield_pde.training.report import Report, clustering, report
from meanfield_pde.training.train import History

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.equation import Equation
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Attribute
    from meanfield_pde.spaces import Space
    from meanfield_pde.training.plan import Plan
    from meanfield_pde.training.theory import Theory
    from meanfield_pde.training.train import Trained

__all__ = ["UNTRAINED", "assembled", "checkpointed", "history_of"]

#: Prefix of what belongs to the untrained run.
UNTRAINED = "untrained_"
#: Quantities over depth, with what they are.
OVER_DEPTH = {
    "interaction_energy": "interaction energy E",
    "confinement": "entropy part σ Σ w ∫ρ log ρ of the free energy",
    "free_energy": "free energy F_σ = −E + σ Σ w ∫ρ log ρ",
    "order_parameter": "order parameter R = |∫x dμ|",
    "clustering": "clustering (E − E of the uniform law) / its maximum",
}


@dataclass(frozen=True)
class Path:
    """States over depth: densities (time, aux, points), and numbers (time,) by name."""

    depths: FloatArray
    densities: FloatArray
    numbers: dict[str, FloatArray]
    clusters: FloatArray | None


def assembled(trained: Trained, theory: Theory | None = None) -> Record:
    """Record of a training, converged or not."""
    problem, space = trained.problem, trained.objective.equation.space
    paths = {"": _path(trained, trained.parameters), UNTRAINED: _path(trained, 0.0 * trained.parameters)}
    edges = _edges(problem, trained.plan.intervals)
    own = paths[""]
    found = report(own.depths, own.numbers["clustering"], edges, trained.parameters)
    variables = grid(problem, space) | _iterates(problem, trained.history)
    variables["time"] = Variable(("time",), own.depths, "depth t")
    for prefix, path in paths.items():
        variables |= _over_depth(problem, space, path, prefix)
    if theory is not None:
        variables |= _theory(theory)
    attributes: dict[str, Attribute] = {
        **provenance(problem, space),
        "kind": "training",
        "status": "finished" if trained.converged else "stopped",
        "reason": trained.reason,
        "seconds": trained.seconds,
        "converged": int(trained.converged),
        "step_error": trained.step_error,
        "steps": trained.objective.steps,
        **_numbers(trained.history, trained.plan, problem.sigma),
        **_report(found),
        **_theory_numbers(theory),
    }
    return Record(variables, attributes)


def checkpointed(problem: Problem, history: History, plan: Plan) -> Record:
    """Record of a training that is under way: parameters and iterates, from which it goes on."""
    attributes: dict[str, Attribute] = {
        **provenance(problem, problem.space),
        "kind": "training",
        "status": "running",
        "reason": "the training was not finished; --resume goes on",
        "converged": 0,
        **_numbers(history, plan, problem.sigma),
    }
    return Record(grid(problem, problem.space) | _iterates(problem, history), attributes)


def history_of(record: Record) -> History:
    """Read the iterates that a record of a training holds."""
    loss, terminal, norm = (record[name].tolist() for name in ("loss", "terminal_loss", "gradient_norm"))
    parameters = np.array(record["parameters"], dtype=np.float64)
    return History(parameters, loss, terminal, norm, int(record.attributes["evaluations"]))


def _edges(problem: Problem, intervals: int) -> FloatArray:
    return np.linspace(problem.depths[0], problem.depths[-1], intervals + 1)


def _numbers(history: History, plan: Plan, sigma: float) -> dict[str, Attribute]:
    return {
        "loss_kind": plan.loss.kind,
        "regularization": plan.regularization,
        "sigma": sigma,
        "iterations": len(history.loss) - 1,
        "evaluations": history.evaluations,
        "final_loss": history.loss[-1],
        "final_terminal_loss": history.terminal_loss[-1],
        "final_gradient_norm": history.gradient_norm[-1],
    }


def _report(found: Report) -> dict[str, Attribute]:
    known: dict[str, Attribute] = {
        "plateau_share": found.plateau,
        "control_energy": found.control_energy,
        "late_control": found.late_control,
    }
    for name in ("arrival", "escape"):
        if math.isfinite(getattr(found, name)):
            known[name] = getattr(found, name)
    return known


def _iterates(problem: Problem, history: History) -> dict[str, Variable]:
    """Parameters over depth, and what every iteration had reached."""
    intervals, features = history.parameters.shape
    edges = _edges(problem, intervals)
    return {
        "interval": Variable(("interval",), 0.5 * (edges[1:] + edges[:-1]), "middle of the interval"),
        "feature": Variable(("feature",), np.arange(features), "number of the field"),
        "iteration": Variable(("iteration",), np.arange(len(history.loss)), "iteration of the optimiser"),
        "parameters": Variable(("interval", "feature"), history.parameters, "parameters θ_k(t)"),
        "parameter_norm": Variable(
            ("interval",), np.linalg.norm(history.parameters, axis=1), "length |θ(t)| of the parameters"
        ),
        "loss": Variable(("iteration",), np.array(history.loss), "objective J = ℓ + (λ/2)∫|θ|² dt"),
        "terminal_loss": Variable(
            ("iteration",), np.array(history.terminal_loss), "loss ℓ of the final token marginal"
        ),
        "gradient_norm": Variable(
            ("iteration",), np.array(history.gradient_norm), "norm of ∂J/∂θ(t) in L² over depth"
        ),
    }


def _path(trained: Trained, parameters: FloatArray) -> Path:
    equation, problem = trained.objective.equation, trained.problem
    depths, states = trained.path(parameters)
    densities = np.stack([equation.space.synthesise(state) for state in states])
    numbers = {name: np.empty(depths.size) for name in OVER_DEPTH}
    for index, (state, density) in enumerate(zip(states, densities, strict=True)):
        energy = interaction_energy(equation.attention, state)
        part = problem.sigma * entropy_functional(equation.space, problem.auxiliary, density)
        moments = problem.auxiliary.mean(equation.space.first_moment(state))
        numbers["interaction_energy"][index], numbers["confinement"][index] = energy, part
        numbers["order_parameter"][index] = float(np.linalg.norm(moments))
    numbers["free_energy"] = numbers["confinement"] - numbers["interaction_energy"]
    numbers["clustering"] = clustering(numbers["interaction_energy"], _uniform_energy(equation, problem))
    return Path(depths, densities, numbers, _clusters(equation.space, problem, states))


def _uniform_energy(equation: Equation, problem: Problem) -> float:
    uniform = np.tile(equation.space.uniform(), (problem.auxiliary.nodes.size, 1))
    return interaction_energy(equation.attention, uniform)


def _clusters(space: Space, problem: Problem, states: list[FloatArray]) -> FloatArray | None:
    """Clusters of the token marginal, where they are defined: on closed lines."""
    if not space.is_line or space.fields_by == "points":
        return None
    return np.array([find(space, problem.auxiliary.mean(state)).count for state in states])


def _over_depth(problem: Problem, space: Space, path: Path, prefix: str) -> dict[str, Variable]:
    what = "of the untrained equation" if prefix else "of the trained equation"
    result = {
        f"{prefix}{name}": Variable(("time",), path.numbers[name], f"{text}, {what}")
        for name, text in OVER_DEPTH.items()
    }
    if path.clusters is not None:
        result[f"{prefix}clusters"] = Variable(("time",), path.clusters, f"clusters of the marginal, {what}")
    marginals = np.einsum("j,tjp->tp", problem.auxiliary.weights, path.densities)
    unit = layout.density_unit(space)
    result[f"{prefix}marginal"] = layout.on_tokens(
        space, ("time",), marginals, f"token marginal μ(t, x), {what}", unit
    )
    if not prefix and problem.keep_density:
        result["density"] = layout.on_tokens(
            space, ("time", "aux"), path.densities, "conditional density ρ(t, x | z)", unit
        )
    return result


def _theory(theory: Theory) -> dict[str, Variable]:
    dims = ("interval", "feature")
    return {
        "theory_gradient": Variable(dims, theory.gradient, "∂ℓ/∂θ(t) at θ = 0 by the discrete adjoint"),
        "theory_continuous": Variable(
            dims, theory.continuous, "∂ℓ/∂θ(t) at θ = 0 by the adjoint equation, ∫∇φ·g dμ"
        ),
    }


def _theory_numbers(theory: Theory | None) -> dict[str, Attribute]:
    if theory is None:
        return {}
    names = {
        "theory_mismatch": theory.mismatch,
        "theory_decay_rate": theory.decay_rate,
        "theory_spectral_gap": theory.spectral_gap,
    }
    return {name: value for name, value in names.items() if math.isfinite(value)}
