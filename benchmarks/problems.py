"""The three problems on the circle that every contender solves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Modes = NDArray[np.complex128]
"""c_m = integral of e^{-im theta} rho(theta|z) over the circle, m = 0..8, shape (nodes, 9)."""

HIGHEST_MODE = 8


@dataclass(frozen=True)
class Wave:
    """The term ``cosine cos(m theta - 2 pi turns z) + sine sin(m theta)`` of a density, m = ``mode``."""

    mode: int
    cosine: float = 0.0
    sine: float = 0.0
    turns: float = 0.0


@dataclass(frozen=True)
class Problem:
    """One equation on the circle, from depth 0 to ``final``.

    ``rho_0(theta|z) = (1 + sum of waves) / (2 pi)``; queries, keys and values are the tokens plus
    ``ring (cos 2 pi z, sin 2 pi z)``; the auxiliary law is uniform on the midpoints of ``nodes`` equal
    parts of [0, 1].
    """

    name: str
    title: str
    beta: float
    final: float
    softmax: bool
    waves: tuple[Wave, ...]
    sigma: float = 0.05
    ring: float = 0.0
    nodes: int = 1

    @property
    def positions(self) -> FloatArray:
        """The auxiliary nodes z, shape (nodes,)."""
        return (np.arange(self.nodes) + 0.5) / self.nodes

    def density(self, angles: FloatArray) -> FloatArray:
        """Return the initial density at ``angles`` for every node, shape (nodes, angles)."""
        shift = 2.0 * np.pi * self.positions[:, None]
        values = np.ones((self.nodes, angles.size))
        for wave in self.waves:
            values += wave.cosine * np.cos(wave.mode * angles - wave.turns * shift)
            values += wave.sine * np.sin(wave.mode * angles)
        return values / (2.0 * np.pi)


STEEP = (Wave(1, cosine=0.3), Wave(2, sine=0.2), Wave(3, cosine=0.1))
# Without the last two waves the problem would be equivariant and its token marginal uniform for ever.
RING = (Wave(1, cosine=0.3, turns=1.0), Wave(1, cosine=0.2), Wave(2, sine=0.1))

PROBLEMS = (
    Problem("P1", "no encoding, unnormalised attention: steep", 4.0, 2.0, softmax=False, waves=STEEP),
    Problem("P2", "no encoding, softmax attention: smooth", 4.0, 2.0, softmax=True, waves=STEEP),
    Problem("P3", "additive ring, 32 nodes, softmax", 2.0, 3.0, softmax=True, waves=RING, ring=0.5, nodes=32),
)

Run = Callable[[], Modes]
Prepare = Callable[[Problem, int, float], Run]
"""``prepare(problem, resolution, rtol)`` builds the tables that do not depend on the state (not timed); the
call that it returns integrates from depth 0 to ``problem.final`` (timed). NaN modes say that a run failed."""
