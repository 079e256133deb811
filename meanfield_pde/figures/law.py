"""What is drawn of a limit: densities, and the atoms that they are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde.contents import LIMIT, kind_of
from meanfield_pde.errors import InputError
from meanfield_pde.figures import style
from meanfield_pde.figures.axes import token_axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meanfield_pde.records import Record

__all__ = ["Law"]

_AXES = {"aux": ("aux",), "aux_weight": ("aux",), "token": ("token",), "token_weight": ("token",)}
_DENSITIES = {"limit_density": ("aux", "token"), "limit_marginal": ("token",)}
_MAP = {"pushforward_map": ("aux",)}
_ATOMS = {"atom_position": ("aux", "atom"), "atom_mass": ("aux", "atom")}


@dataclass(frozen=True, eq=False)
class Law:
    """The limit law, or the last state of a solution, beside the limit map or the atoms at σ = 0.

    Parameters
    ----------
    record
        The coordinates, and whether the densities are histograms.
    density, marginal
        (aux, token) and (token,).
    group
        The limit: its map or atoms, stability, distances.
    heading
        What is compared with the atoms, for people.
    """

    record: Record
    density: NDArray[np.float64]
    marginal: NDArray[np.float64]
    group: Record
    heading: str

    @classmethod
    def of(cls, record: Record) -> Law:
        """Take the last state of a solution, and the limit law of a limit.

        Raises
        ------
        InputError
            There is no group ``limit``, it lacks a dataset, or there is no limit law.
        """
        if LIMIT not in record.groups:
            raise InputError(
                "there is no group 'limit' to be drawn: compare the solution with its limit first"
            )
        group = record.groups[LIMIT]
        record.require(_AXES)
        group.require({"stable": ()})
        for parts in (_MAP, _ATOMS):
            group.require(parts if set(parts) & set(group.variables) else {})
        if kind_of(record) == "limit":
            return cls._of_limit(record, group)
        return cls._of_solution(record, group)

    @classmethod
    def _of_solution(cls, record: Record, group: Record) -> Law:
        record.require(
            {"time": ("time",), "density": ("time", "aux", "token"), "marginal": ("time", "token")}
        )
        depth = style.number(float(group.attributes.get("compared_depth", record["time"][-1])))
        heading = f"State, $t = {depth}$" + ("" if group["stable"] else " (limit unstable)")
        return cls(record, record["density"][-1], record["marginal"][-1], group, heading)

    @classmethod
    def _of_limit(cls, record: Record, group: Record) -> Law:
        if "limit_density" not in group:
            raise InputError(
                f"there is no limit law to be drawn: {group.attributes.get('reason', 'none found')}"
            )
        group.require(_DENSITIES)
        sigma = float(group.attributes.get("sigma", np.nan))
        kind = {"density_kind": "histogram"} if sigma == 0 else {}
        record = replace(record, attributes=dict(record.attributes) | kind)
        noise = rf", $\sigma = {style.number(sigma)}$" if np.isfinite(sigma) else ""
        heading = f"Limit law{noise}" + ("" if group["stable"] else " (unstable)")
        return cls(record, group["limit_density"], group["limit_marginal"], group, heading)

    @property
    def is_map(self) -> bool:
        """Whether every node has a single atom, so that there is a map T."""
        return "pushforward_map" in self.group

    @property
    def is_known(self) -> bool:
        """Whether the limit at σ = 0 consists of atoms that are known."""
        return self.is_map or "atom_position" in self.group

    @property
    def name(self) -> str:
        """What the law of all atoms is: a pushforward of ν only where there is a map."""
        return r"$T_{\#}\nu$" if self.is_map or not self.is_known else "atoms of the limit"

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the atoms are, (aux, atom), within the limits of the axis."""
        places = self.group["pushforward_map"][:, None] if self.is_map else self.group["atom_position"]
        return token_axis(self.record).wrap(places)

    @property
    def masses(self) -> NDArray[np.float64]:
        """What share of the tokens of its node each atom has, (aux, atom)."""
        return np.ones_like(self.positions) if self.is_map else self.group["atom_mass"]

    @property
    def atoms(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Positions and masses of all atoms together, or None where they are not known."""
        if not self.is_known:
            return None
        shares = self.masses * self.record["aux_weight"][:, None]
        return self.positions[shares > 0], shares[shares > 0]
