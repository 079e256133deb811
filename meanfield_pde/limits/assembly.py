"""The record of a limit: grid, limit law, stability, comparison with the pushforward."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde import layout
from meanfield_pde.limits.measures import OBSERVED, Tokens, distances, spread
from meanfield_pde.limits.tables import (
    law_variables,
    maps_variables,
    padded,
    rung_variables,
    spectrum_variables,
)
from meanfield_pde.methods.embedded_state import histogram as vector_histogram
from meanfield_pde.methods.label_state import first_moments, histogram
from meanfield_pde.methods.labels import Cloud, Labels
from meanfield_pde.observables import observe
from meanfield_pde.provenance import grid, provenance
from meanfield_pde.records import Record, Variable
from meanfield_pde.results import Limit

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.limits.find import Found
    from meanfield_pde.limits.law import AtomicLaw
    from meanfield_pde.problem import Problem
    from meanfield_pde.records import Attribute
    from meanfield_pde.spaces import Space

__all__ = ["assembled", "atomic_measures", "law_group", "verdict"]

#: W₂ of the limit law to a Dirac mass, radians, below which it is one.
COLLAPSED = 1e-6


def verdict(problem: Problem, law: AtomicLaw | None) -> str:
    """Say what the limit law is, in the words of the file."""
    if law is None:
        return "no limit map"
    if not law.is_map:
        return "several atoms"
    tokens = Tokens.of_atoms(problem.auxiliary, law.atoms)
    apart = problem.space.nearest_dirac(tokens.places, tokens.masses)[1]
    return "collapsed" if apart < COLLAPSED else "pushforward"


def assembled(found: Found) -> Limit:
    """Record of what was found, complete or not."""
    space = _grid(found)
    finished = found.density is not None or (found.law is not None and found.problem.sigma == 0.0)
    attributes: dict[str, Attribute] = {
        **provenance(found.problem, space),
        "kind": "limit",
        "status": "finished" if finished else "stopped",
        "seconds": found.seconds,
    }
    return Limit(Record(grid(found.problem, space), attributes, {"limit": _group(found, space)}))


def _grid(found: Found) -> Space:
    if found.density is not None:
        return found.density.equation.space
    return found.problem.space if found.state is None else found.state.space


def _group(found: Found, space: Space) -> Record:
    """Limit law on the grid, with all that is known of it."""
    problem = found.problem
    density, marginal, measures = _density(found, space)
    variables: dict[str, Variable] = {
        "limit_density": layout.on_tokens(
            space,
            ("aux",),
            density,
            "density of the limit law ρ(x|z); Dirac masses as a histogram",
            layout.density_unit(space),
        ),
        "limit_marginal": layout.on_tokens(
            space,
            (),
            problem.auxiliary.mean(density),
            "token marginal of the limit law",
            layout.density_unit(space),
        ),
    }
    law = law_group(problem, found.law, marginal)
    variables |= (
        dict(law.variables) | _stability(found) | maps_variables(found.maps) | rung_variables(found.rungs)
    )
    if found.growth is not None:
        degrees, rates = found.growth.degrees, found.growth.rates
        variables["mode"] = Variable(("mode",), degrees, "degree of a perturbation of the uniform law")
        variables["growth_rate"] = Variable(("mode",), rates, "growth rate about the uniform law")
    return Record(variables, {**measures, **law.attributes, **_facts(found)})


def law_group(problem: Problem, law: AtomicLaw | None, marginal: Tokens) -> Record:
    """Atoms of the limit law, with the distances of a token marginal from it."""
    attributes: dict[str, Attribute] = {"verdict": verdict(problem, law)}
    if law is None:
        return Record({}, attributes)
    tokens = Tokens.of_atoms(problem.auxiliary, law.atoms)
    return Record(law_variables(law), {**attributes, **distances(problem.space, marginal, tokens)})


def _density(found: Found, space: Space) -> tuple[FloatArray, Tokens, dict[str, Attribute]]:
    """Conditional densities on the grid, the token marginal as points, and the measures of both."""
    problem, auxiliary = found.problem, found.problem.auxiliary
    if found.density is not None:
        coefficients = found.density.coefficients
        marginal = Tokens.of_density(space, auxiliary.mean(coefficients))
        observed = observe(found.density.equation, coefficients)
        values = space.synthesise(coefficients)
        told = marginal
        if space.place:  # pieces of a surface are wide, the points of its grid integrate moments exactly
            masses = np.maximum(auxiliary.mean(values), 0.0) * space.weights
            told = Tokens(space.locate(space.points), masses)
        order = {"order_parameter": observed["order_parameter"]}
        return values, marginal, {**_chosen(observed), **spread(space, told), **order}
    if found.law is not None and problem.sigma == 0.0:
        marginal = Tokens.of_atoms(auxiliary, found.law.atoms)
        return _histogram(found.law, space), marginal, atomic_measures(problem, found.law)
    if found.state is None:
        raise ValueError("limit: there is neither a law nor a state to tell of")
    joint = found.state.joint(space)
    places = space.locate(space.points)
    marginal = Tokens(places, auxiliary.mean(joint) * space.weights)
    return joint, marginal, {**_chosen(dict(found.state.diagnostics)), **spread(space, marginal)}


def _chosen(observed: dict[str, float]) -> dict[str, Attribute]:
    return {name: observed[name] for name in OBSERVED}


def atomic_measures(problem: Problem, law: AtomicLaw) -> dict[str, Attribute]:
    """Measures of a limit law of atoms; its entropy is not defined."""
    auxiliary, atoms, space = problem.auxiliary, law.atoms, problem.space
    moments = first_moments(space, atoms)
    energy = law.system.energy(law.places)
    return {
        "conditional_concentration": float(auxiliary.mean(np.linalg.norm(moments, axis=-1))),
        "entropy": math.nan,
        "attention_entropy": law.system.attention_entropy(law.places),
        "interaction_energy": energy,
        "free_energy": -energy,
        **spread(space, Tokens.of_atoms(auxiliary, atoms)),
    }


def _histogram(law: AtomicLaw, space: Space) -> FloatArray:
    atoms = law.atoms
    if space.place:
        return vector_histogram(atoms, space)
    labels = Labels.of_tokens(atoms.places, atoms.masses, atoms.starts)
    return histogram(Cloud.start(labels), space)


def _stability(found: Found) -> dict[str, Variable]:
    """Residual, stability, eigenvalues and the direction of escape, of the density or else of the law."""
    residual, stable = math.nan, False
    variables: dict[str, Variable] = {}
    if found.density is not None:
        residual, stable = found.density.residual, found.density.stable
        spectrum, equation = found.density.spectrum, found.density.equation
        moving = spectrum.direction.reshape(found.problem.auxiliary.nodes.size, -1)
        constants = np.zeros((len(moving), equation.space.constant))
        direction = equation.space.synthesise(np.concatenate([constants, moving], axis=1))
        shown = layout.on_tokens(equation.space, ("aux",), direction, "")
        variables = spectrum_variables(spectrum.eigenvalues, shown.dims, shown.values)
    elif found.law is not None:
        residual, stable = found.law.residual, found.law.stable
        variables = spectrum_variables(found.law.eigenvalues, *_escape(found.law))
    return variables | {
        "residual": Variable((), np.array(residual), "residual of the stationary equation"),
        "stable": Variable((), np.array(int(stable)), "whether every perturbation decays (1) or not (0)"),
    }


def _escape(law: AtomicLaw) -> tuple[tuple[str, ...], FloatArray]:
    """Dimensions and values of the direction of escape: along a line, or as vectors of the embedding."""
    space = law.system.problem.space
    if not space.place:
        return ("aux", "atom"), padded(law, law.direction, 0.0)
    along = law.direction.reshape(-1, law.system.tangents)
    vectors = np.einsum("np,npd->nd", along, space.frame_at(law.places))
    return ("aux", "atom", "component"), padded(law, vectors, 0.0)


def _facts(found: Found) -> dict[str, Attribute]:
    """Tell in attributes what is no measure."""
    problem = found.problem
    leading = math.nan
    if found.density is not None:
        leading = found.density.leading
    elif found.law is not None:
        leading = found.law.leading
    facts: dict[str, Any] = {
        "sigma": problem.sigma,
        "leading_eigenvalue": leading,
        "spectral_gap": max(-leading, 0.0) if math.isfinite(leading) else math.nan,
    }
    if problem.sigma > 0.0:
        facts["law"] = "density"
    elif found.law is not None:
        facts["law"] = "map" if found.law.is_map else "atoms"
    if found.growth is not None:
        facts["clusters_predicted"] = found.growth.clusters
    if found.failed:
        facts["starts_failed"] = found.failed
    if len(found.rungs) > 1:
        last, before = found.rungs[-1], found.rungs[-2]
        facts["noise_rate"] = math.log(before.conditional / last.conditional) / math.log(
            before.sigma / last.sigma
        )
    if found.reason:
        facts["reason"] = found.reason
    return facts
