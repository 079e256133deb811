"""Records of solutions and limits on the sphere, on zonal densities and on the torus, made from formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meanfield_pde.records import Record, Variable

from .example_records import TURN

__all__ = ["limit_of", "sphere", "torus", "with_tokens", "zonal"]


_NUMBERS = (
    "order_parameter",
    "conditional_concentration",
    "entropy",
    "nearest_dirac",
    "effective_rank",
    "attention_entropy",
    "interaction_energy",
    "free_energy",
    "leading_eigenvalue",
    "spectral_gap",
)


def _record(space, axes, weight, density, place, length, *, unit, dimension):
    """Everything that a solution holds, from its conditional densities (time, aux, *grid)."""
    depths, nodes = density.shape[:2]
    time, z = np.linspace(0.0, 10.0, depths), (np.arange(nodes) + 0.5) / nodes
    aux_weight, tokens = np.full(nodes, 1 / nodes), tuple(axes)
    marginal = np.tensordot(aux_weight, density, axes=(0, 1))
    order = length.mean(axis=1) * 0.8
    vector = ("component",) if place.ndim == 3 else ()
    flat = density.reshape(depths, nodes, -1) @ weight.ravel()
    series = {
        "mass_error": np.abs(flat - 1).max(axis=1),
        "minimum": density.reshape(depths, -1).min(axis=1),
        "interaction_energy": 0.3 * order**2,
        "free_energy": -0.5 * order**2,
        "dissipation": np.zeros(depths),
        "entropy": -order,
        "order_parameter": order,
        "conditional_concentration": length.mean(axis=1),
        "attention_entropy": -order,
        "spectral_tail": np.full(depths, 1e-12),
    }
    variables = {
        "time": Variable(("time",), time, "depth t"),
        "aux": Variable(("aux",), z, "auxiliary variable z"),
        "aux_weight": Variable(("aux",), aux_weight, "weight of the node"),
        "component": Variable(("component",), np.arange(dimension), "component of the embedding"),
        "token_weight": Variable(tokens, weight, "quadrature weight", unit),
        "density": Variable(("time", "aux", *tokens), density, "conditional density", f"1/{unit}"),
        "marginal": Variable(("time", *tokens), marginal, "token marginal", f"1/{unit}"),
        "conditional_mean": Variable(("time", "aux", *vector), place, "conditional mean"),
        "conditional_length": Variable(("time", "aux"), length, "length of the conditional mean"),
    }
    variables |= {name: Variable((name,), values, name, "rad") for name, values in axes.items()}
    variables |= {name: Variable(("time",), values, name) for name, values in series.items()}
    attributes = {
        "title": f"Example on the {space}",
        "configuration": "",
        "meanfield_pde_version": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
        "command": "meanfield-pde solve example.toml -o example.h5",
        "kind": "solution",
        "space": space,
        "status": "finished",
        "dimension": dimension,
        "w1": 0.1,
        "w2": 0.15,
    }
    return Record(variables, attributes)


def _growth(depths, sharpness):
    return 0.3 + sharpness * np.linspace(0.0, 1.0, depths) ** 2


def _normalised(profile, weight):
    """Divide densities (time, aux, *grid) by their mass."""
    axes = tuple(range(2, profile.ndim))
    return profile / (profile * weight).sum(axis=axes, keepdims=True)


def sphere(nodes=12, depths=9, degree=16, sharpness=8.0, tilt=0.6):
    """Von Mises-Fisher densities about points of a great circle, tilted out of the plane of e_1, e_2."""
    cosine, weights = np.polynomial.legendre.leggauss(degree + 1)
    colatitude = np.arccos(cosine)[::-1].copy()
    longitude = TURN * np.arange(2 * degree + 2) / (2 * degree + 2)
    weight = weights[::-1, None] * np.full(longitude.size, TURN / longitude.size)
    level = np.sin(colatitude)[:, None]
    points = np.stack(
        [level * np.cos(longitude), level * np.sin(longitude), np.cos(colatitude)[:, None] + 0 * longitude],
        -1,
    )
    angle = 4.5 * (np.arange(nodes) + 0.5) / nodes
    center = np.stack([np.cos(angle), np.cos(tilt) * np.sin(angle), np.sin(tilt) * np.sin(angle)], -1)
    place = np.repeat(center[None], depths, axis=0)
    beta = _growth(depths, sharpness)
    profile = np.exp(beta[:, None, None, None] * (np.einsum("jc,abc->jab", center, points)[None] - 1))
    length = np.repeat((1 / np.tanh(beta) - 1 / beta)[:, None], nodes, axis=1)
    axes = {"colatitude": colatitude, "longitude": longitude}
    density = _normalised(profile, weight)
    return _record("sphere", axes, weight, density, place, length, unit="sr", dimension=3)


def zonal(nodes=8, depths=9, degree=32, sharpness=12.0, dimension=3):
    """Densities exp(beta cos(angle to a cone)) that gather at polar angles which grow with z."""
    cosine, weights = np.polynomial.legendre.leggauss(degree + 1)
    weight = weights * (1 - cosine**2) ** ((dimension - 3) / 2)
    weight /= weight.sum()
    center = 0.2 + 2.2 * (np.arange(nodes) + 0.5) / nodes
    beta = _growth(depths, sharpness)
    angle = np.arccos(cosine)
    profile = np.exp(beta[:, None, None] * (np.cos(angle - center[:, None])[None] - 1))
    place = np.repeat(center[None], depths, axis=0)
    length = np.repeat((1 - np.exp(-beta / 4))[:, None], nodes, axis=1)
    density = _normalised(profile, weight)
    axes = {"cosine": cosine}
    return _record("zonal", axes, weight, density, place, length, unit="1", dimension=dimension)


def torus(nodes=12, depths=9, resolution=24, sharpness=6.0):
    """Products of von Mises densities about the curve (2 pi z + 0.3, 4 pi z + 1)."""
    theta = TURN * np.arange(resolution) / resolution
    z = (np.arange(nodes) + 0.5) / nodes
    weight = np.full((resolution, resolution), (TURN / resolution) ** 2)
    centers = np.stack([TURN * z + 0.3, 2 * TURN * z + 1.0], -1)
    beta = _growth(depths, sharpness)[:, None, None]
    first, second = (np.exp(beta * (np.cos(theta - center[:, None]) - 1)) for center in centers.T)
    density = _normalised(first[..., :, None] * second[..., None, :], weight)
    place = np.stack([part(column) for column in centers.T for part in (np.cos, np.sin)], -1)
    length = np.repeat((1 - np.exp(-beta[..., 0] / 2)), nodes, axis=1)
    axes = {"angle_1": theta, "angle_2": theta}
    place = np.repeat(place[None], depths, axis=0)
    return _record("torus", axes, weight, density, place, length, unit="rad2", dimension=4)


def with_tokens(record, labels=20, first="time"):
    """Add labelled tokens about the conditional means, nearer with depth; angles where those are angles."""
    mean = record["conditional_mean"]
    depths, nodes = mean.shape[:2]
    own = mean.shape[2:]
    spread = np.linspace(1.0, 0.05, depths).reshape(-1, 1, 1, *(1 for _ in own))
    position = mean[:, :, None] + spread * np.random.default_rng(0).normal(size=(1, nodes, labels, *own))
    if own:
        pairs = position.reshape(*position.shape[:3], -1, 2) if own == (4,) else position[..., None, :]
        position = (pairs / np.linalg.norm(pairs, axis=-1, keepdims=True)).reshape(position.shape)
    dims = (first, "aux", "label", *("component" for _ in own))
    kept = position if first == "time" else position[-1:]
    variables = {
        "position": Variable(dims, kept, "place of the label"),
        "label_weight": Variable(("aux", "label"), np.full((nodes, labels), 1 / labels), "mass of the label"),
    }
    if first != "time":
        variables["state"] = Variable(("state",), record["time"][-1:], "depth of the last state")
    attributes = dict(record.attributes) | {"density_kind": "histogram"}
    return replace(record, variables=dict(record.variables) | variables, attributes=attributes)


def limit_of(record, attributes=(), *, law=True, curvature=True):
    """Return the limit whose law is the last state of a solution, and whose map are its conditional means."""
    kept = ("aux", "aux_weight", "component", "token_weight", *record.variables["token_weight"].dims)
    place, tokens = record["conditional_mean"][-1], record.variables["token_weight"].dims
    vector = ("component",) if place.ndim == 2 else ()
    group = {
        "limit_density": Variable(("aux", *tokens), record["density"][-1], "conditional density"),
        "limit_marginal": Variable(tokens, record["marginal"][-1], "density of the tokens"),
        "stable": Variable((), np.array(1), "whether the limit is stable"),
        "residual": Variable((), np.array(1e-13), "residual"),
        "atoms": Variable(("aux",), np.ones(len(place), dtype=int), "atoms"),
        "atom_position": Variable(("aux", "atom", *vector), place[:, None], "place of the atom"),
        "atom_mass": Variable(("aux", "atom"), np.ones((len(place), 1)), "mass of the atom"),
        "pushforward_map": Variable(("aux", *vector), place, "limit map"),
    }
    if curvature:
        group["curvature"] = Variable(("aux",), 1 + 0.1 * np.arange(len(place)), "curvature")
    if not law:
        group = {name: group[name] for name in ("stable", "residual")}
    facts = {"verdict": "pushforward" if law else "no limit map", "sigma": 0.1, "law": "density"}
    facts |= dict.fromkeys(_NUMBERS, 0.5) | {"w1": 0.01, "w2": 0.0234567} | dict(attributes)
    if not law:
        facts |= {"reason": "nothing converged"}
        del facts["law"]
    root = {name: value for name, value in record.attributes.items() if name not in {"w1", "w2"}}
    root |= {"seconds": 1.0, "resolution": 16}
    variables = {name: record.variables[name] for name in kept}
    return Record(variables, root | {"kind": "limit"}, {"limit": Record(group, facts)})
