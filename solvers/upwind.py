r"""Transport without noise on a line of cells: upwind fluxes of a limited linear reconstruction.

In every cell the density is linear in the cumulative volume, between ρ − δ at its left face and ρ + δ at its
right one, with mean ρ exactly: second order where the density is smooth, for any volumes. The flux through
face f takes the value on the side that the mass comes from,

.. math::

    J_f = r_f(\rho + \delta)_i - l_f(\rho - \delta)_{i+1},
    \qquad r_f = a_f\max(w_f, 0),\quad l_f = a_f\max(-w_f, 0).

δ is the monotonised central difference (van Leer, J. Comput. Phys. 23, 1977), limited such that the values at
the faces lie between the neighbouring means; it is 0 in cells where a line ends.
"""

import numpy as np

from solvers.cells import settle
from solvers.compiled import FloatArray, kernel

COURANT = 0.45
"""Part of a cell that may cross one of its faces in a step; positivity holds to 1/2, steps vary by 1 %."""


@kernel
def limited(below: float, above: float, central: float) -> float:
    """Return the smallest of three differences if all have one sign, else 0."""
    if below > 0.0 and above > 0.0:
        return min(below, above, central)
    if below < 0.0 and above < 0.0:
        return max(below, above, central)
    return 0.0


@kernel
def half_rises(volumes: FloatArray, row: FloatArray, periodic: bool, rises: FloatArray) -> None:
    """Write δ of every cell: with δ = ρ_i − ρ_{i±1} at most, no value at a face is negative."""
    cells = row.size
    for i in range(cells):
        rises[i] = 0.0
        if periodic or 0 < i < cells - 1:
            previous, following = (i - 1) % cells, (i + 1) % cells
            below, above = row[i] - row[previous], row[following] - row[i]
            near, far = volumes[previous] + volumes[i], volumes[i] + volumes[following]
            central = (below * far / near + above * near / far) * volumes[i] / (near + far)
            rises[i] = limited(below, above, central)


@kernel
def explicit_euler(
    volumes: FloatArray,
    rates: tuple[FloatArray, FloatArray],
    density: FloatArray,
    mass: FloatArray,
    step: float,
    periodic: bool,
    out: FloatArray,
) -> float:
    r"""Write ρ − step · div J(ρ) / V into ``out``; return the largest share of mass lost to rounding.

    The values at the two faces of a cell are not negative and add up to 2ρ; so at most 2ρ step max(r, l)
    leaves it, less than Vρ within `longest_step`: none gets negative. As J has the sign of the work w,
    a convex energy with δE/δρ = Φ, w = Φ_{i+1} − Φ_i, rises by at least ⟨Φ, ρ' − ρ⟩ = step Σ_f J_f w_f ≥ 0:
    E = ½⟨ρ, Gρ⟩ with G positive semidefinite does not decrease.

    Parameters
    ----------
    volumes, rates
        (cells,), and right and left, (rows or 1, cells).
    density, mass, out
        (rows, cells), the mass of each row (rows,), and the result.
    """
    right, left = rates
    cells = volumes.size
    rises = np.empty(cells)
    lost = 0.0
    for j in range(density.shape[0]):
        k = min(j, right.shape[0] - 1)
        half_rises(volumes, density[j], periodic, rises)
        for i in range(cells):
            previous, following = (i - 1) % cells, (i + 1) % cells
            leaves = right[k, i] * (density[j, i] + rises[i]) + left[k, previous] * (density[j, i] - rises[i])
            enters = right[k, previous] * (density[j, previous] + rises[previous])
            enters += left[k, i] * (density[j, following] - rises[following])
            out[j, i] = (density[j, i] - step / volumes[i] * leaves) + step / volumes[i] * enters
        lost = max(lost, settle(volumes, mass[j], out[j]))
    return lost


@kernel
def longest_step(volumes: FloatArray, right: FloatArray, left: FloatArray) -> float:
    """Return `COURANT` min_i V_i / max(r, l) over the faces through which mass leaves; infinite at rest."""
    crossing = 0.0
    for j in range(right.shape[0]):
        for i in range(volumes.size):
            crossing = max(crossing, right[j, i] / volumes[i], left[j, i - 1] / volumes[i])
    return COURANT / crossing if crossing > 0.0 else np.inf
