r"""Rotary designs: the positions are read off from the target.

With encoded values u = R(ωz) x obeys the equation without auxiliary variable. Without noise all u come to one
point u_∞, so that T(z) = R(−ωz) u_∞: angles u_∞ − ω z_j are those of the target for

.. math:: z_j = (u_\infty - \theta_j) / \omega .

A prompt says what u_∞ is. Without one, the equation does not change when all u turn together: adding to all z
turns nothing either, and T is the target turned by an angle that the initial law alone decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import encodings
from meanfield_pde.auxiliary import Auxiliary
from meanfield_pde.designs.solving import Solved, map_at
from meanfield_pde.errors import InputError
from meanfield_pde.limits.law import TOLERANCE
from meanfield_pde.limits.tokens import TokenSystem

if TYPE_CHECKING:
    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.problem import Problem

__all__ = ["is_free", "positions"]


def is_free(problem: Problem) -> bool:
    """Whether nothing says where the tokens come to rest but the initial law."""
    prompt = problem.attention.prompt
    return prompt is None or prompt.fraction == 0.0


def positions(problem: Problem, target: FloatArray, frequency: float) -> Solved:
    """Positions z_j whose limit map has the angles ``target`` (aux,), or is these turned by one angle.

    Raises
    ------
    InputError
        When tokens at these places move: something does not turn with them.
    """
    place = 0.0 if is_free(problem) else _resting_place(problem, target, frequency)
    designed = _placed(problem, (place - target) / frequency, frequency)
    system = TokenSystem.of_maps(designed)
    residual = float(np.abs(system.velocity(target)).max()) / system.scale(target)
    # The place of rest is known to the tolerance over the curvature.
    if not residual <= 1e3 * TOLERANCE:
        raise InputError(
            f"{problem.label}: [design] encoding: rotary positions keep tokens at rest only where values are "
            "encoded and value matrices multiples of the identity: use additive or prompt; "
            f"the speed at the target is {residual:.3g}"
        )
    return Solved(designed.auxiliary.nodes, designed, residual, 0)


def _placed(problem: Problem, nodes: FloatArray, frequency: float) -> Problem:
    """Return the problem with positions z and rotations by ωz."""
    auxiliary = Auxiliary(nodes, problem.auxiliary.weights)
    encoding = encodings.rotary(nodes, frequency)
    return replace(problem, attention=replace(problem.attention, auxiliary=auxiliary, encoding=encoding))


def _resting_place(problem: Problem, target: FloatArray, frequency: float) -> float:
    """Angle u_∞ at which all rotated tokens rest, next to the mean direction of the prompt."""
    prompt = problem.attention.prompt
    if prompt is None:
        raise ValueError("rotary: there is no prompt")
    points = prompt.points
    if prompt.encoding.angles is not None:
        points = np.einsum("kde,nke->nkd", problem.space.rotations(prompt.encoding.angles), points)
    start = float(problem.space.locate(np.einsum("k,nkd->d", prompt.weights, points)))
    trial = _placed(problem, (start - target) / frequency, frequency)
    law = map_at(trial, target)
    if law is None:
        raise InputError(
            f"{problem.label}: [prompt]: rotated tokens find no rest near its mean direction; give one token"
        )
    found = law.places + start - target
    return float(np.angle(np.exp(1j * found).mean()))
