"""The record of a design: what was designed, its limit map, the target, and the test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import layout
from meanfield_pde.provenance import grid, provenance
from meanfield_pde.records import Record, Variable

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.designs.find import Designed
    from meanfield_pde.records import Attribute

__all__ = ["assembled"]


def assembled(designed: Designed) -> Record:
    """Record of what was found, complete or not."""
    problem, space = designed.problem, designed.problem.space
    variables = grid(problem, space) | _maps(designed) | _stability(designed) | _trials(designed)
    variables |= _prompt(designed) | _tested(designed) | _target(designed)
    attributes: dict[str, Attribute] = {
        **provenance(problem, space),
        "kind": "design",
        "status": "finished" if designed.reached else "stopped",
        "seconds": designed.seconds,
        "design": designed.wanted.kind,
        "reached": int(designed.reached),
        "newton_steps": designed.found.steps,
        **_distances(designed),
        **_parameters(designed),
        **_test(designed),
    }
    if designed.failure:
        attributes["reason"] = designed.failure
    return Record(variables, attributes)


def _maps(designed: Designed) -> dict[str, Variable]:
    """Target, and the limit map where there is one."""
    space = designed.problem.space
    law = designed.law
    found = law.places if law is not None else np.full_like(designed.target_map, math.nan)
    result = {
        "target_map": layout.at_places(
            space, ("aux",), designed.target_map, "atom of the target that belongs to z"
        ),
        "limit_map": layout.at_places(space, ("aux",), found, "limit map T(z) of the design, NaN: none"),
    }
    if law is not None:
        result["curvature"] = Variable(("aux",), law.curvature, "curvature κ(z) of the potential at T(z)")
    return result


def _stability(designed: Designed) -> dict[str, Variable]:
    law = designed.law
    if law is None or not law.eigenvalues.size:
        return {}
    return {
        "eigenvalue_real": Variable(("eigenvalue",), law.eigenvalues.real, "real part of an eigenvalue"),
        "eigenvalue_imaginary": Variable(
            ("eigenvalue",), law.eigenvalues.imag, "imaginary part of an eigenvalue"
        ),
    }


def _trials(designed: Designed) -> dict[str, Variable]:
    """Amplitudes that were tried on the way to the least, in increasing order."""
    least = designed.least
    if least is None or not least.trials:
        return {}
    trials = sorted(least.trials, key=lambda trial: trial.amplitude)
    amplitude, leading = ([getattr(one, name) for one in trials] for name in ("amplitude", "leading"))
    return {
        "trial_amplitude": Variable(("trial",), np.array(amplitude), "amplitude |p| that was tried"),
        "trial_leading": Variable(
            ("trial",), np.array(leading), "leading growth rate of the map at this amplitude, NaN: no map"
        ),
    }


def _prompt(designed: Designed) -> dict[str, Variable]:
    if designed.wanted.kind != "prompt":
        return {}
    return {
        "prompt": layout.at_places(
            designed.problem.space, ("aux",), designed.found.places, "prompt token of the node"
        )
    }


def _tested(designed: Designed) -> dict[str, Variable]:
    """Last state of the forward run, node by node."""
    run, space = designed.best_run, designed.problem.space
    if run is None:
        return {}
    return {
        "verified_map": layout.at_places(
            space, ("aux",), run.mean(space), "direction of the mean token at the end of the forward run"
        ),
        "verified_length": Variable(
            ("aux",), np.minimum(run.concentration(space), 1.0), "length of the mean token at the end"
        ),
    }


def _target(designed: Designed) -> dict[str, Variable]:
    """Density of the target on the grid, cell by cell."""
    space = designed.problem.space
    masses: FloatArray | None = designed.wanted.target.masses_on(space)
    if masses is None:
        return {}
    return {
        "target_density": layout.on_tokens(
            space,
            (),
            masses / space.weights,
            "density of the target, mean over a cell",
            layout.density_unit(space),
        )
    }


def _distances(designed: Designed) -> dict[str, Attribute]:
    """Distances of the limit law from the atoms of the target, and from the target itself."""
    target, tokens = designed.wanted.target, designed.atoms()
    result: dict[str, Attribute] = {f"w{order}": designed.apart(order) for order in (1, 2)}
    for order in (1, 2):
        name = f"w{order}_continuous"
        result[name] = math.nan if tokens is None else target.distance(tokens.places, tokens.masses, order)
    result["quantization"] = target.distance(designed.target_map, designed.weights, 2)
    return result


def _parameters(designed: Designed) -> dict[str, Attribute]:
    law, wanted = designed.law, designed.wanted
    result: dict[str, Attribute] = {
        "residual": designed.found.residual,
        "stable": int(designed.stable),
        "leading": math.nan if law is None else law.leading,
        "neutral": 0 if law is None else law.neutral,
    }
    if designed.amplitude is not None:
        result["amplitude"] = designed.amplitude
    if wanted.kind == "prompt":
        result["fraction"] = wanted.fraction
    if wanted.kind == "rotary":
        result |= {"frequency": wanted.frequency, "turned": designed.turned, "rotation": designed.rotation}
    if designed.least is not None:
        result["least_reason"] = designed.least.reason
        if designed.least.amplitude is not None:
            result["least_amplitude"] = designed.least.amplitude
    return result


def _test(designed: Designed) -> dict[str, Attribute]:
    """Distances that the forward runs came to."""
    run, space = designed.best_run, designed.problem.space
    if run is None:
        return {"verified_from": "none"}
    result: dict[str, Attribute] = {
        "verified_w1": designed.run_apart(run, 1),
        "verified_w2": designed.run_apart(run, 2),
        "verified_from": run.start,
        "verified_status": run.status,
        "verified_depth": run.depth,
    }
    for one in designed.runs:
        result[f"verified_w2_{one.start}"] = designed.run_apart(one, 2)
    places = run.places.reshape(-1, *space.place)
    masses = (designed.weights[:, None] * run.masses).ravel()
    result["verified_w2_continuous"] = designed.wanted.target.distance(places, masses, 2)
    return result
