"""Datasets of a limit law: atoms of every node, spectra, several maps, the approach without noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.layout import at_places
from meanfield_pde.records import Variable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfield_pde.arrays import ComplexArray, FloatArray
    from meanfield_pde.limits.find import LimitMap
    from meanfield_pde.limits.law import AtomicLaw
    from meanfield_pde.limits.small_noise import Rung

__all__ = ["law_variables", "maps_variables", "padded", "rung_variables", "spectrum_variables"]


def padded(law: AtomicLaw, values: FloatArray, fill: float | None = None) -> FloatArray:
    """Values of all atoms as (aux, atom), rows filled up by their last one or a number."""
    starts, counts = law.system.starts[:-1], law.counts
    column = np.arange(counts.max())
    rows = values[np.minimum(column, counts[:, None] - 1) + starts[:, None]]
    if fill is None:
        return rows
    inside = (column < counts[:, None]).reshape(*rows.shape[:2], *(1,) * (rows.ndim - 2))
    return np.where(inside, rows, fill)


def law_variables(law: AtomicLaw) -> dict[str, Variable]:
    """Tabulate number, places, masses and curvatures of the atoms, and the map where every node has one."""
    shape, space = ("aux", "atom"), law.system.problem.space
    variables = {
        "atoms": Variable(("aux",), law.counts.astype(np.int64), "atoms of the limit law at z"),
        "atom_position": at_places(space, shape, padded(law, law.places), "place of an atom"),
        "atom_mass": Variable(shape, padded(law, law.system.masses, 0.0), "mass of an atom"),
        "atom_curvature": Variable(
            shape, padded(law, law.curvature, np.nan), "curvature κ = −∂V/∂x in the frozen field"
        ),
    }
    if law.is_map:
        variables["pushforward_map"] = at_places(space, ("aux",), law.places, "limit map T(z)")
        variables["curvature"] = Variable(("aux",), law.curvature, "curvature κ(z) = −∂V/∂x at T(z)")
    return variables


def spectrum_variables(
    eigenvalues: ComplexArray, dims: tuple[str, ...], direction: FloatArray
) -> dict[str, Variable]:
    """Leading eigenvalues and the direction of the first; none where all directions are neutral."""
    if not eigenvalues.size:
        return {}
    text = "leading eigenvalues of the linearised flow"
    return {
        "eigenvalue_real": Variable(("eigenvalue",), eigenvalues.real, f"{text}, real parts"),
        "eigenvalue_imaginary": Variable(("eigenvalue",), eigenvalues.imag, f"{text}, imaginary parts"),
        "escape_direction": Variable(dims, direction, "direction of the leading eigenvalue"),
    }


def maps_variables(maps: Sequence[LimitMap]) -> dict[str, Variable]:
    """All limit maps of several starts; laws of several atoms have NaN in the place of a map."""
    if not maps:
        return {}
    laws = [one.law for one in maps]
    total = sum(one.starts for one in maps)
    nodes = laws[0].system.starts.size - 1
    shape = (nodes, *laws[0].places.shape[1:])
    places = [law.places if law.is_map else np.full(shape, np.nan) for law in laws]
    energies = [law.system.energy(law.places) for law in laws]
    series = {
        "map_energy": (np.array(energies), "interaction energy"),
        "map_share": (np.array([one.starts / total for one in maps]), "share of the starts"),
        "map_residual": (np.array([law.residual for law in laws]), "residual"),
        "map_stable": (np.array([int(law.stable) for law in laws]), "whether it is stable"),
        "map_starts": (np.array([one.starts for one in maps]), "number of starts that ended there"),
    }
    variables = {
        name: Variable(("map",), values, f"limit law of several starts: {text}")
        for name, (values, text) in series.items()
    }
    space = laws[0].system.problem.space
    variables["map_position"] = at_places(space, ("map", "aux"), np.stack(places), "limit maps T(z)")
    return variables


def rung_variables(rungs: Sequence[Rung]) -> dict[str, Variable]:
    """Distances along σ → 0."""
    if not rungs:
        return {}
    columns = {
        "noise": ("sigma", "noise σ"),
        "noise_w1": ("w1", "W₁ of the token marginal to the pushforward"),
        "noise_w2": ("w2", "W₂ of the token marginal to the pushforward"),
        "noise_conditional": ("conditional", "mean square distance Σ w W₂²(ρ(·|z), δ_T(z))"),
        "noise_predicted": ("predicted", "its prediction σ Σ w tr K⁻¹"),
    }
    return {
        name: Variable(("rung",), np.array([getattr(rung, key) for rung in rungs]), text)
        for name, (key, text) in columns.items()
    }
