r"""Transport with noise on a line of cells: jump rates, and an implicit step, positive however long it is.

The flux through face f, from cell i to cell i + 1, is that of Scharfetter and Gummel,

.. math::

    J_f = r_f\rho_i - l_f\rho_{i+1},\qquad r_f = \sigma a_f B(-P_f),\quad l_f = \sigma a_f B(P_f),\qquad
    P_f = \frac{w_f}{\sigma},\quad B(P) = \frac{P}{e^P - 1}

with a_f the area of the face over the distance of the two centres, and w_f the integral of the velocity from
centre to centre (the work). It is exact for a constant flux, and r_f / l_f = e^{P_f}. It is of second order
as long as |P| stays below 1 or so; for σ → 0 it tends to the upwind flux of first order, with
r_f = a_f max(w_f, 0) and l_f = a_f max(−w_f, 0), which is what σ = 0 gives here.

Rates are arrays (rows or 1, cells): face i lies between cells i and (i + 1) mod cells, and its rates are 0
where the line ends.

Sources: Scharfetter & Gummel, IEEE Trans. Electron Devices 16 (1969); for nonlocal velocities Schlichting &
Seis, IMA J. Numer. Anal. 42 (2022); for the elimination Grassmann, Taksar & Heyman, Oper. Res. 33 (1985).
"""

import math

import numpy as np

from solvers.cells import settle
from solvers.compiled import FloatArray, kernel


@kernel
def bernoulli(ratio: float) -> tuple[float, float]:
    """Return B(-P) and B(P): each to a few roundings for every P, without overflow."""
    size = abs(ratio)
    if size == 0.0:
        return 1.0, 1.0
    downhill = size / -math.expm1(-size)
    uphill = downhill * math.exp(-size)
    return (downhill, uphill) if ratio > 0.0 else (uphill, downhill)


@kernel
def jump_rates(
    conductances: FloatArray, sigma: float, work: FloatArray, right: FloatArray, left: FloatArray
) -> None:
    """Write r and l of every face, both (rows or 1, cells), from ``work``, (rows or 1, faces)."""
    faces = work.shape[1]
    for j in range(work.shape[0]):
        right[j, faces:] = 0.0
        left[j, faces:] = 0.0
        for f in range(faces):
            if sigma > 0.0:
                forward, backward = bernoulli(work[j, f] / sigma)
                right[j, f] = conductances[f] * (sigma * forward)
                left[j, f] = conductances[f] * (sigma * backward)
            else:
                right[j, f] = conductances[f] * 0.5 * (abs(work[j, f]) + work[j, f])
                left[j, f] = conductances[f] * 0.5 * (abs(work[j, f]) - work[j, f])


@kernel
def eliminate(volumes: FloatArray, right: FloatArray, left: FloatArray, step: float, row: FloatArray) -> None:
    r"""Replace ``row`` by the solution of V ρ' + step · div J(ρ') = V ρ; no operation subtracts.

    The columns of the matrix add up to V > 0; its diagonal is that sum plus what leaves the cell, and when a
    cell is eliminated both grow by products of non-negative numbers (Grassmann, Taksar & Heyman). So every
    entry of the solution is non-negative, and accurate relative to itself, for every step.

    Cells are eliminated in order; k is then joined to its right neighbour (rates right_k, left_k) and, around
    the circle, to the last cell (rates ``to_last``, ``from_last``).
    """
    cells = volumes.size
    last = cells - 1
    reciprocal, from_last = np.empty(cells), np.empty(cells)
    kept, kept_last = volumes[0], volumes[last]  # sums of the columns
    to_last, from_last[0] = step * left[last], step * right[last]
    row[0] *= volumes[0]
    row[last] *= volumes[last]
    for k in range(last - 1):
        onward, back = step * right[k], step * left[k]
        inverse = 1.0 / (kept + onward + to_last)
        reciprocal[k] = inverse
        share, share_last = onward * inverse, to_last * inverse
        row[last] += share_last * row[k]
        row[k + 1] = volumes[k + 1] * row[k + 1] + share * row[k]
        kept_last += kept * inverse * from_last[k]
        kept = volumes[k + 1] + kept * inverse * back
        from_last[k + 1] = share * from_last[k]
        to_last = share_last * back
    k = last - 1
    onward, back = step * right[k] + to_last, step * left[k] + from_last[k]
    inverse = 1.0 / (kept + onward)
    row[last] = (row[last] + onward * inverse * row[k]) / (kept_last + kept * inverse * back)
    row[k] = (row[k] + back * row[last]) * inverse
    for k in range(last - 2, -1, -1):
        row[k] = (row[k] + step * left[k] * row[k + 1] + from_last[k] * row[last]) * reciprocal[k]


@kernel
def implicit_euler(
    volumes: FloatArray,
    rates: tuple[FloatArray, FloatArray],
    density: FloatArray,
    mass: FloatArray,
    step: float,
    out: FloatArray,
) -> float:
    r"""Write ρ' with V (ρ' − ρ) = −step · div J(ρ'); return the largest share of mass lost to rounding.

    Non-negative and conservative for every step. Let the work be that of a gradient, w = Φ_{i+1} − Φ_i with
    Φ = δE/δρ taken from ``density``, and E = ½⟨ρ, Gρ⟩ with G symmetric positive semidefinite. Then
    F = −E + σ Σ V ρ log ρ does not increase, for every step:

    * −E is concave, so −E[ρ'] + E[ρ] ≤ −⟨Φ, ρ' − ρ⟩; the entropy H = Σ V ρ log ρ is convex, so
      H[ρ'] − H[ρ] ≤ ⟨log ρ', ρ' − ρ⟩ (the mass does not change). With ψ = σ log ρ' − Φ,
    * F[ρ'] − F[ρ] ≤ ⟨ψ, ρ' − ρ⟩ = step Σ_f J_f (ψ_{i+1} − ψ_i) by summation by parts, and
    * J_f = l_f (e^{P_f} ρ'_i − ρ'_{i+1}) has the sign of log ρ'_i + (Φ_{i+1} − Φ_i)/σ − log ρ'_{i+1}, that of
      ψ_i − ψ_{i+1}: no term of the sum is positive.

    Gibbs states, ρ ∝ e^{Φ/σ}, have J = 0 and stay.

    Parameters
    ----------
    volumes, rates
        (cells,), and right and left, (rows or 1, cells).
    density, mass, out
        (rows, cells), the mass of each row (rows,), and the result.
    """
    right, left = rates
    lost = 0.0
    for j in range(density.shape[0]):
        k = min(j, right.shape[0] - 1)
        out[j] = density[j]
        eliminate(volumes, right[k], left[k], step, out[j])
        lost = max(lost, settle(volumes, mass[j], out[j]))
    return lost
