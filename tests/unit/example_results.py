"""Records of limits and bifurcation diagrams, made from formulas: what a computation may leave."""

from __future__ import annotations

import numpy as np

from meanfield_pde.records import Record, Variable

from .example_records import TURN, example

__all__ = ["compared", "diagram", "law", "limit", "several_atoms", "stationary"]


def header(kind, **further):
    return {
        "kind": kind,
        "title": "Additive positional encoding",
        "configuration": "[noise]\nsigma = 0.05\n",
        "meanfield_pde_version": "0.2.0",
        "created": "2026-01-01T00:00:00+00:00",
        "command": f"meanfield-pde {kind} example.toml -o example.h5",
        "status": "finished",
        "seconds": 1.5,
        "space": "circle",
        "period": TURN,
        "resolution": 16,
        **further,
    }


def variables(dims, **arrays):
    return {
        name: Variable(dims, np.asarray(values), name.replace("_", " ")) for name, values in arrays.items()
    }


def grid(nodes=4, resolution=16):
    z = (np.arange(nodes) + 0.5) / nodes
    theta = TURN * np.arange(resolution) / resolution
    ring = 0.5 * np.stack([np.cos(TURN * z), np.sin(TURN * z)], axis=1)
    return {
        **variables(("aux",), aux=z, aux_weight=np.full(nodes, 1 / nodes)),
        **variables(("component",), component=np.arange(2)),
        **variables(("aux", "component"), encoding=ring),
        **variables(("token",), token=theta, token_weight=np.full(resolution, TURN / resolution)),
    }


def cells(position, mass, resolution):
    """Mass of the cells of the grid over their width, for atoms (aux, atom)."""
    density = np.zeros((len(position), resolution))
    where = np.round(position / TURN * resolution).astype(int) % resolution
    for row, places, weights in zip(density, where, mass, strict=True):
        np.add.at(row, places, weights * resolution / TURN)
    return density


def law(position, mass, count, *, verdict, resolution=16, **attributes):
    """The group of a limit law of atoms without noise; equal weights of the nodes."""
    density = cells(position, mass, resolution)
    numbers = dict.fromkeys(("entropy", "effective_rank", "attention_entropy", "interaction_energy"), 0.5)
    further = {"sigma": 0.0, "order_parameter": 0.2, "conditional_concentration": 0.9, "nearest_dirac": 1.1}
    energies = {"free_energy": np.nan, "leading_eigenvalue": -0.5, "spectral_gap": 0.5, "w1": 0.0, "w2": 0.0}
    return Record(
        {
            **variables(("aux", "token"), limit_density=density),
            **variables(("token",), limit_marginal=density.mean(axis=0)),
            **variables((), stable=1, residual=1e-13),
            **variables(("aux",), atoms=count),
            **variables(("aux", "atom"), atom_position=position, atom_mass=mass, atom_curvature=0 * mass + 1),
            **variables(("aux", "atom"), escape_direction=0 * mass + 0.5),
            **variables(
                ("eigenvalue",), eigenvalue_real=[-0.5, -0.7, -0.7], eigenvalue_imaginary=[0.0, 1, -1]
            ),
            **variables(("mode",), mode=[1, 2], growth_rate=[0.4, -0.1]),
        },
        {"verdict": verdict, "law": "atoms", **numbers, **further, **energies, **attributes},
    )


def with_noise():
    """Rungs along sigma -> 0: the second distance is not known."""
    sigma = np.array([0.1, 0.05, 0.025])
    return variables(
        ("rung",),
        noise=sigma,
        noise_w1=sigma,
        noise_w2=[0.2, np.nan, 0.05],
        noise_conditional=2 * sigma,
        noise_predicted=2 * sigma,
    )


def limit(nodes=4, resolution=16):
    """A limit map without noise, all that a file may hold besides."""
    root = grid(nodes, resolution)
    angle = TURN * root["aux"].values
    found = law(
        angle[:, None],
        np.ones((nodes, 1)),
        np.ones(nodes, int),
        verdict="pushforward",
        resolution=resolution,
        law="map",
        clusters_predicted=3,
        noise_rate=0.5,
        reason="T is not constant",
    )
    maps = {
        **variables(("map", "aux"), map_position=np.stack([angle, angle + 1.0])),
        **variables(("map",), map_energy=[-1.0, np.nan], map_share=[0.75, 0.25], map_residual=[1e-13, 1e-9]),
        **variables(("map",), map_stable=[1, 0], map_starts=[3, 1]),
        **variables(("aux",), pushforward_map=angle, curvature=np.ones(nodes)),
    }
    group = Record({**found.variables, **maps, **with_noise()}, found.attributes)
    return Record(root, header("limit"), {"limit": group})


def several_atoms():
    """Two atoms at the first nodes and one at the others, padded."""
    position = np.array([[0.5, 2.0], [0.5, 2.5], [1.0, 1.0], [1.5, 1.5]])
    mass = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0], [1.0, 0.0]])
    group = law(position, mass, np.array([2, 2, 1, 1]), verdict="several atoms")
    return Record(grid(), header("limit"), {"limit": group})


def stationary():
    """A density, whose limit without noise is not known."""
    density = np.full((4, 16), 1 / TURN)
    numbers = law(np.zeros((4, 1)), np.ones((4, 1)), np.ones(4, int), verdict="no limit map").attributes
    attributes = {name: value for name, value in numbers.items() if name not in {"w1", "w2"}}
    group = Record(
        {
            **variables(("aux", "token"), limit_density=density, escape_direction=density),
            **variables(("token",), limit_marginal=density[0]),
            **variables((), stable=0, residual=1e-13),
        },
        {**attributes, "sigma": 0.05, "law": "density"},
    )
    return Record(grid(), header("limit"), {"limit": group})


def compared():
    """A solution with the limit law that it was compared with."""
    solution, group = example(4, 3, 16), limit().groups["limit"]
    compared = Record(group.variables, {**group.attributes, "compared_depth": 20.0, "w2": 0.15})
    return Record(solution.variables, solution.attributes, {"limit": compared})


def diagram(*, noise=True):
    """The uniform state and a branch that folds, with noise or as maps without."""
    branch = np.array([0, 0, 0, 1, 1, 1, 1])
    order = np.array([0.0, 0.0, 0.0, 0.0, 0.3, 0.5, 0.8])
    theta = grid()["token"].values
    series = {
        "parameter": [0.1, 0.3, 0.5, 0.3, 0.35, 0.3, 0.1],
        "branch": branch,
        "stable": [0, 0, 1, 0, 0, 1, 1],
        "order_parameter": order,
        "conditional_concentration": order,
        "free_energy": -order,
        "leading_eigenvalue": [0.2, 0.0, -0.2, 0.0, 0.1, -0.1, -0.2],
        "residual": np.full(7, 1e-12),
    }
    marginal = (1 + np.outer(order, np.cos(theta))) / TURN
    states = (
        variables(("point", "token"), marginal=marginal)
        | variables(("point",), w2=np.where(order > 0, 1 - order, np.nan))
        if noise
        else variables(("point", "aux"), map_position=np.outer(order, np.arange(4.0)))
    )
    events = variables(("fold",), fold_value=[0.35], fold_order_parameter=[0.4], fold_branch=[1])
    events |= variables(
        ("branch_point",),
        branch_point_value=[0.3],
        branch_point_order_parameter=[0.0],
        branch_point_branch=[0],
        branch_point_mode=[1],
    )
    attributes = header(
        "bifurcation",
        parameter="noise.sigma",
        parameter_from=0.1,
        parameter_to=0.5,
        transition="discontinuous",
        spinodal_low=0.3,
        spinodal_high=0.35,
        sigma=0.05 if noise else 0.0,
        branch_0="uniform state",
        branch_1="mode 1",
    )
    return Record({**grid(), **variables(("point",), **series), **states, **events}, attributes)
