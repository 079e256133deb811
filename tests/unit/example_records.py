"""Records as the commands leave them, made from formulas: von Mises densities, normal forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from meanfield_pde.records import Record, Variable

__all__ = ["bifurcation", "compared", "example", "grouped", "limit", "pitchfork"]

TURN = 2 * np.pi


def _von_mises(theta, center, concentration):
    """exp(kappa (cos(theta - center) - 1)), normalised on the grid; axes (..., token)."""
    profile = np.exp(concentration * (np.cos(theta - center) - 1))
    return profile / (profile.mean(axis=-1, keepdims=True) * TURN)


def example(
    nodes=64,
    depths=101,
    resolution=256,
    *,
    sharpness=20.0,
    spread=1.0,
    speed=0.1,
    uniform=False,
    title="Additive positional encoding",
):
    """Nodes that start near the uniform law and concentrate at the angle 2 pi spread z + speed t."""
    time = np.linspace(0.0, 20.0, depths)
    z = (np.arange(nodes) + 0.5) / nodes if nodes > 1 else np.zeros(1)
    theta = TURN * np.arange(resolution) / resolution
    center = TURN * spread * z[None, :] + speed * time[:, None] + 0.4
    growth = np.zeros(depths) if uniform else sharpness * (1 - np.exp(-time / 4)) ** 2
    density = _von_mises(theta, center[..., None], growth[:, None, None])
    density -= 1e-17  # the rounding that a solution shows
    weights = np.full(nodes, 1 / nodes)
    token_weight = np.full(resolution, TURN / resolution)
    marginal = np.einsum("j,tjx->tx", weights, density)
    moment = np.einsum("tjx,x,x->tj", density, np.exp(1j * theta), token_weight)
    entropy = -np.einsum("tjx,j,x->t", density * np.log(np.maximum(density, 1e-300)), weights, token_weight)
    order = np.abs(moment @ weights)
    interaction = 0.5 * order**2 + 0.2 * np.abs(moment) @ weights
    series = {
        "mass_error": np.full(depths, 2e-16),
        "minimum": density.min(axis=(1, 2)),
        "interaction_energy": interaction,
        "free_energy": -interaction - 0.05 * entropy,
        "dissipation": np.abs(np.gradient(interaction, time)) if depths > 1 else np.zeros(1),
        "entropy": entropy,
        "order_parameter": order,
        "conditional_concentration": np.abs(moment) @ weights,
        "attention_entropy": entropy,
        "spectral_tail": np.full(depths, 1e-12),
    }
    variables = {
        "time": Variable(("time",), time, "depth"),
        "aux": Variable(("aux",), z, "auxiliary variable"),
        "token": Variable(("token",), theta, "angle of the token", "rad"),
        "component": Variable(("component",), np.arange(2), "component of the embedding"),
        "aux_weight": Variable(("aux",), weights, "weight of the node"),
        "token_weight": Variable(("token",), token_weight, "quadrature weight", "rad"),
        "encoding": Variable(
            ("aux", "component"), 0.5 * np.stack([np.cos(TURN * z), np.sin(TURN * z)], 1), "encoding"
        ),
        "density": Variable(("time", "aux", "token"), density, "conditional density", "1/rad"),
        "marginal": Variable(("time", "token"), marginal, "density of the tokens", "1/rad"),
        "conditional_mean": Variable(
            ("time", "aux"), np.angle(moment) % TURN, "conditional mean angle", "rad"
        ),
        "conditional_length": Variable(("time", "aux"), np.abs(moment), "length of the conditional mean"),
    }
    variables |= {
        name: Variable(("time",), values, name.replace("_", " ")) for name, values in series.items()
    }
    attributes = {
        "title": title,
        "configuration": "[noise]\nsigma = 0.05\n",
        "meanfield_pde_version": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
        "command": "meanfield-pde solve example.toml -o example.h5",
        "status": "finished",
        "method": "spectral",
        "period": TURN,
        "w1": 0.1,
        "w2": 0.15,
        "steps": 321,
    }
    return Record(variables, attributes)


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


def _histogram(position, mass, resolution):
    """Densities (aux, token) of atoms (aux, atom) as histograms on the cells of a grid."""
    width = TURN / resolution
    density = np.zeros((len(position), resolution))
    cell = np.floor(position / width + 0.5).astype(int) % resolution
    np.add.at(density, (np.arange(len(position))[:, None], cell), mass / width)
    return density


def _as_group(position, mass, sigma, resolution, law):
    """What is said of a limit whose atoms at sigma = 0 are at these angles (aux, atom)."""
    theta = TURN * np.arange(resolution) / resolution
    bumps = _von_mises(theta, position[..., None], 1 / sigma) if sigma else None
    density = (
        _histogram(position, mass, resolution) if bumps is None else np.einsum("ja,jax->jx", mass, bumps)
    )
    curvature = 1 + 0.3 * np.cos(position)
    variables = {
        "limit_density": Variable(("aux", "token"), density, "conditional density", "1/rad"),
        "limit_marginal": Variable(("token",), density.mean(axis=0), "density of the tokens", "1/rad"),
        "stable": Variable((), np.array(1), "whether the limit is stable"),
        "residual": Variable((), np.array(1e-13), "residual"),
        "eigenvalue_real": Variable(("eigenvalue",), -1.0 - np.arange(3), "eigenvalue"),
        "eigenvalue_imaginary": Variable(("eigenvalue",), np.zeros(3), "eigenvalue"),
    }
    if law:
        variables |= {
            "atoms": Variable(("aux",), (mass > 0).sum(axis=1), "atoms"),
            "atom_position": Variable(("aux", "atom"), position, "angle of the atom", "rad"),
            "atom_mass": Variable(("aux", "atom"), mass, "mass of the atom"),
            "atom_curvature": Variable(("aux", "atom"), curvature, "curvature"),
        }
    if law and position.shape[1] == 1:
        variables |= {
            "pushforward_map": Variable(("aux",), position[:, 0], "limit map", "rad"),
            "curvature": Variable(("aux",), curvature[:, 0], "curvature"),
        }
    verdict = ("pushforward" if position.shape[1] == 1 else "several atoms") if law else "no limit map"
    kind = "density" if sigma else "map" if position.shape[1] == 1 else "atoms"
    attributes = dict.fromkeys(_NUMBERS, 0.5) | {"verdict": verdict, "sigma": sigma, "law": kind}
    return Record(variables, attributes | ({"w1": 0.01, "w2": 0.0234567} if law else {}))


def _root(kind, nodes, resolution, title):
    solution = example(nodes, 2, resolution, title=title)
    names = ("aux", "aux_weight", "token", "token_weight", "component", "encoding")
    attributes = {
        name: value
        for name, value in solution.attributes.items()
        if name not in {"method", "steps", "w1", "w2"}
    }
    attributes |= {"kind": kind, "space": "circle", "seconds": 1.0, "resolution": resolution}
    return Record({name: solution.variables[name] for name in names}, attributes)


def limit(position, mass=None, *, sigma=0.05, resolution=256, law=True, title="Additive ring"):
    """A limit with atoms at these angles, (aux,) or (aux, atom), smeared out by the noise."""
    position = np.asarray(position, dtype=float).reshape(len(position), -1) % TURN
    mass = np.ones_like(position) if mass is None else mass
    root = _root("limit", len(position), resolution, title)
    return replace(root, groups={"limit": _as_group(position, mass, sigma, resolution, law)})


def compared(nodes=32, resolution=128):
    """A solution beside the limit map 2 pi z + 2.4, where its conditionals are."""
    solution = example(nodes, 11, resolution)
    position = (TURN * solution["aux"][:, None] + 2.4) % TURN
    group = _as_group(position, np.ones_like(position), 0.05, resolution, law=True)
    group = replace(group, attributes=dict(group.attributes) | {"compared_depth": 20.0})
    return replace(solution, groups={"limit": group})


def grouped(record, attributes=(), **variables):
    """Return a record whose group ``limit`` has further variables, as pairs of dimensions and values."""
    group = record.groups["limit"]
    new = {name: Variable(dims, np.asarray(values), name) for name, (dims, values) in variables.items()}
    group = Record(dict(group.variables) | new, dict(group.attributes) | dict(attributes))
    return replace(record, groups=dict(record.groups) | {"limit": group})


def bifurcation(branches, attributes=(), title="Uniform attention", **variables):
    """Branches, each of parameter, order parameter, leading eigenvalue and what more, stable below zero."""
    lengths = [len(branch["parameter"]) for branch in branches]
    joined = {name: np.concatenate([branch[name] for branch in branches]) for name in branches[0]}
    joined["branch"] = np.repeat(np.arange(len(branches)), lengths)
    joined["stable"] = (joined["leading_eigenvalue"] < 0).astype(int)
    joined["conditional_concentration"] = joined["order_parameter"]
    joined["residual"] = np.full(sum(lengths), 1e-13)
    root = _root("bifurcation", 4, 16, title)
    new = {name: Variable(("point",), values, name.replace("_", " ")) for name, values in joined.items()}
    for name, values in variables.items():
        dimension = "fold" if name.startswith("fold") else "branch_point"
        new[name] = Variable((dimension,), np.asarray(values), name)
    uniform = np.full((sum(lengths), 16), 1 / TURN)
    new["marginal"] = Variable(("point", "token"), uniform, "density of the tokens", "1/rad")
    facts = {"parameter": "noise.sigma", "parameter_from": 0.0, "parameter_to": 1.0, "transition": "none"}
    facts |= {"sigma": 0.1} | {f"branch_{number}": f"branch {number}" for number in range(len(branches))}
    return Record(dict(root.variables) | new, dict(root.attributes) | facts | dict(attributes))


def pitchfork():
    """Normal form of a subcritical pitchfork: R (sigma_c - sigma + 2 b R^2 - R^4) = 0, with its fold."""
    critical, b = 2.44, 0.35
    sigma = np.linspace(2.0, 3.0, 41)
    order = np.linspace(0.0, 1.0, 61)[1:]
    uniform = {"parameter": sigma, "order_parameter": 0 * sigma, "leading_eigenvalue": critical - sigma}
    along = critical + 2 * b * order**2 - order**4
    cluster = {"parameter": along, "order_parameter": order}
    cluster["leading_eigenvalue"] = order * (4 * b * order - 4 * order**3)
    kept = along > 2.0
    cluster = {name: values[kept] for name, values in cluster.items()}
    for branch in (uniform, cluster):
        branch["free_energy"] = -branch["parameter"] * 1.8 - branch["order_parameter"] ** 2 / 4
        branch["w2"] = np.where(branch["order_parameter"] > 0, 0.9 - 0.4 * branch["order_parameter"], np.nan)
    fold = critical + b**2
    return bifurcation(
        [uniform, cluster],
        {
            "transition": "discontinuous",
            "spinodal_low": critical,
            "spinodal_high": fold,
            "branch_0": "uniform state",
            "branch_1": "mode 1",
        },
        fold_value=[fold],
        fold_order_parameter=[b**0.5],
        fold_branch=[1],
        branch_point_value=[critical],
        branch_point_order_parameter=[0.0],
        branch_point_branch=[0],
        branch_point_mode=[1],
    )
