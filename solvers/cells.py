"""A line of cells: its geometry, and what is summed over it."""

import math
from dataclasses import dataclass

import numpy as np

from solvers.compiled import FloatArray, kernel

LARGEST_LOSS = 0.5
"""Part of its content that extrapolation may take from a cell."""


@dataclass(frozen=True)
class Cells:
    """Cells in a row, or around a circle.

    Parameters
    ----------
    volumes
        (cells,), at least three.
    conductances
        (faces,): area of the face over the distance of the centres; face i lies between cells i and i + 1.
    periodic
        Whether one more face joins the last cell to the first; without it, nothing passes the ends.

    Raises
    ------
    ValueError
        If the sizes do not fit, or an entry is not positive and finite.
    """

    volumes: FloatArray
    conductances: FloatArray
    periodic: bool

    def __post_init__(self) -> None:
        """Refuse what is no line of cells."""
        for name in ("volumes", "conductances"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        if self.volumes.ndim != 1 or self.volumes.size < 3:
            raise ValueError(f"Cells: volumes must be (cells,) with three or more, got {self.volumes.shape}")
        if self.conductances.shape != (self.faces,):
            raise ValueError(
                f"Cells: conductances must be ({self.faces},), one a face, got {self.conductances.shape}"
            )
        for name in ("volumes", "conductances"):
            values = getattr(self, name)
            bad = values[~((values > 0.0) & (values < np.inf))]
            if bad.size:
                raise ValueError(
                    f"Cells: {name} must be positive and finite, got {bad[0]!r}; drop such cells"
                )

    @property
    def count(self) -> int:
        """Number of cells."""
        return self.volumes.size

    @property
    def faces(self) -> int:
        """Number of faces between them."""
        return self.count if self.periodic else self.count - 1


def circle(count: int, length: float = 2.0 * math.pi) -> Cells:
    """Return ``count`` equal cells around a circle of this length."""
    width = length / count
    return Cells(np.full(count, width), np.full(count, 1.0 / width), periodic=True)


@kernel
def mass_of(volumes: FloatArray, row: FloatArray) -> float:
    """Return sum_i V_i rho_i, added in this order."""
    total = 0.0
    for i in range(row.size):
        total += volumes[i] * row[i]
    return total


@kernel
def settle(volumes: FloatArray, mass: float, row: FloatArray) -> float:
    """Spread what rounding took from the mass over the row, in proportion; return the share that it was.

    Rounding errors of single steps would add up over a run; this keeps them from it. It is to mend nothing
    else: callers check that the share is a rounding error.
    """
    total = mass_of(volumes, row)
    if not 0.0 < total < np.inf:
        return np.inf
    factor = mass / total
    if factor != 1.0:
        for i in range(row.size):
            row[i] *= factor
    return abs(factor - 1.0)


@kernel
def distance(volumes: FloatArray, mass: FloatArray, first: FloatArray, second: FloatArray) -> float:
    """Return max_j sum_i V_i |first_ji - second_ji| / mass_j; infinite when that is not finite."""
    worst = 0.0
    for j in range(first.shape[0]):
        total = 0.0
        for i in range(first.shape[1]):
            total += volumes[i] * abs(first[j, i] - second[j, i])
        if not total < np.inf:
            return np.inf
        worst = max(worst, total / mass[j])
    return worst


@kernel
def entropy_size(volumes: FloatArray, density: FloatArray) -> float:
    """Return max_j sum_i V_i rho_ji |log rho_ji|: rounding errors of the entropy are in proportion to it."""
    worst = 0.0
    for j in range(density.shape[0]):
        total = 0.0
        for i in range(density.shape[1]):
            if density[j, i] > 0.0:
                total += volumes[i] * density[j, i] * abs(math.log(density[j, i]))
        worst = max(worst, total)
    return worst


@kernel
def extrapolate(
    volumes: FloatArray, mass: FloatArray, full: FloatArray, half: FloatArray, out: FloatArray
) -> tuple[float, float]:
    """Write 2 half - full into ``out``, where that takes no more than `LARGEST_LOSS` of a cell's content.

    Cells that would lose more lose just so much; what they keep is taken from those that gain, in proportion.
    So no entry is negative, and the mass stays. This is for the tails, where the density falls by factors in
    a step and holds next to no mass; it acts nowhere else. (To give up the order in all cells instead costs
    half of the steps from a Dirac mass their order, and errors of 60 tolerances.)

    Returns
    -------
    tuple of float
        The largest share of a row's mass so moved, and the largest share lost to rounding.
    """
    moved, lost = 0.0, 0.0
    for j in range(full.shape[0]):
        kept, gained = 0.0, 0.0
        for i in range(full.shape[1]):
            change, least = half[j, i] - full[j, i], -LARGEST_LOSS * half[j, i]
            if change < least:
                kept += volumes[i] * (least - change)
                change = least
            elif change > 0.0:
                gained += volumes[i] * change
            out[j, i] = change
        scale = max(0.0, 1.0 - kept / gained) if gained > 0.0 else 0.0
        for i in range(full.shape[1]):
            out[j, i] = half[j, i] + (scale * out[j, i] if out[j, i] > 0.0 else out[j, i])
        moved = max(moved, kept / mass[j])
        lost = max(lost, settle(volumes, mass[j], out[j]))
    return moved, lost


@kernel
def total_rate(
    volumes: FloatArray, mass: FloatArray, rates: tuple[FloatArray, FloatArray], density: FloatArray
) -> float:
    """Return max_j sum_i |J_i - J_(i-1)| / mass_j for first-order fluxes: how fast mass changes place."""
    right, left = rates
    cells, worst = volumes.size, 0.0
    for j in range(density.shape[0]):
        k, total = min(j, right.shape[0] - 1), 0.0
        before = right[k, cells - 1] * density[j, cells - 1] - left[k, cells - 1] * density[j, 0]
        for i in range(cells):
            flux = right[k, i] * density[j, i] - left[k, i] * density[j, (i + 1) % cells]
            total += abs(flux - before)
            before = flux
        worst = max(worst, total / mass[j])
    return worst
