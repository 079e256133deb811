"""A problem: what is solved, ready to run. Built from a configuration, or from arrays and callables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde import initial
from meanfield_pde.attention.choose import KERNEL_TOLERANCE
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.drift import Pointwise
from meanfield_pde.equation import Equation
from meanfield_pde.errors import InputError, require_nonnegative
from meanfield_pde.initial import Initial

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention import Attention
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.auxiliary import Auxiliary
    from meanfield_pde.drift import Drift
    from meanfield_pde.spaces import Space

__all__ = ["Accuracy", "Problem"]


MethodName = Literal["auto", "spectral", "finite-volume", "characteristics"]

#: Grid points in the shortest wave of a drift that is interpolated, what may be left out, the finest grid.
DRIFT_POINTS, DRIFT_ERROR, DRIFT_GRID = 24, 1e-13, 2**14
#: The finest grid of a drift on surfaces, where grids have as many points as the square of this.
DRIFT_SURFACE = 2**9
#: Truncation of kernels off the line, as a share of rtol.
KERNEL_SHARE = 1e-3


@dataclass(frozen=True)
class Accuracy:
    """Tolerances of the solution and the finest grid it may use.

    ``rtol`` and ``atol`` bound errors of the coefficients of densities: on the circle c_m = ∫e^{−imθ}ρ dθ,
    elsewhere ∫eρ dx with eigenfunctions e of the Laplacian, orthonormal under the uniform probability.
    """

    rtol: float = 1e-8
    atol: float = 1e-10
    max_resolution: int = 4096

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not 0.0 < value <= 0.1:
                raise InputError(f"accuracy: {name} must be in (0, 0.1], got {value!r}")

    @property
    def kernel(self) -> float:
        """Truncation of factored kernels: rounding error at rtol = 1e-8, far below rtol if it is coarser."""
        return min(max(KERNEL_TOLERANCE, 20.0 * self.rtol**2), 1e-6)


@dataclass(frozen=True)
class Problem:
    """An initial value problem for the joint law of tokens and auxiliary variable.

    Parameters
    ----------
    space
        Token space with the grid to begin with (it is refined where the density asks for it).
    attention
        Heads, biases, encoding, prompt and the auxiliary distribution.
    depths
        Depths at which states are saved, increasing from the start to the end.
    initial
        ρ(0, x | z).
    sigma
        Noise σ ≥ 0.
    drift
        F: called with a space, gives its tangential components on the grid; None for no drift.
    accuracy
        Tolerances and the finest grid.
    title, configuration
        For the output: a title, and the complete TOML where there is one.
    keep_density
        Whether every saved state keeps its joint density, or the last one alone.
    method
        "auto", "spectral", "finite-volume" or "characteristics".
    steady
        End at the first saved depth at which no low coefficient changes faster than this; None: never.
    label, source
        Name in messages, and the file of the configuration, beside which data files are looked for.
    data
        Digests of the data files, for checkpoints.

    Raises
    ------
    InputError
        When a number is out of range or shapes do not fit.
    """

    space: Space
    attention: Attention
    depths: FloatArray
    initial: Initial = field(default_factory=lambda: Initial(initial.uniform))
    sigma: float = 0.0
    drift: Drift | None = None
    accuracy: Accuracy = field(default_factory=Accuracy)
    title: str = ""
    configuration: str = ""
    keep_density: bool = True
    method: MethodName = "auto"
    steady: float | None = None
    label: str = "problem"
    source: Path | None = None
    data: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        depths = np.asarray(self.depths, dtype=np.float64)
        object.__setattr__(self, "depths", depths)
        require_nonnegative("problem: sigma", self.sigma)
        if (
            depths.ndim != 1
            or depths.size < 2
            or not np.isfinite(depths).all()
            or (np.diff(depths) <= 0).any()
        ):
            raise InputError("problem: depths must be at least two finite numbers that increase")
        dimension = self.space.points.shape[1]
        for head in self.attention.heads:
            if head.query.shape[0] != dimension:
                raise InputError(
                    f"problem: matrices of heads must be {dimension} x {dimension} on this space, "
                    f"got {head.query.shape}"
                )

    @property
    def auxiliary(self) -> Auxiliary:
        """The auxiliary distribution ν."""
        return self.attention.auxiliary

    def equation(self, space: Space) -> Equation:
        """Return the equation on a grid."""
        drift = None if self.drift is None else np.asarray(self.drift(space), dtype=np.float64)
        shape = space.frame.shape[:2]
        if drift is not None and (drift.shape != shape or not np.isfinite(drift).all()):
            raise InputError(
                f"problem: drift must give finite components of shape {shape}, got {drift.shape}"
            )
        return Equation(AttentionField(space, self.attention, self._kernel), drift, self.sigma)

    def kernel_bytes(self) -> int:
        """Bytes, about, that kernels take besides the states, on the grid of the configuration."""
        from meanfield_pde.attention.choose import kernel_bytes
        from meanfield_pde.attention.operators import Setting

        if not len(self.space.points):
            return 0
        settings = [Setting(self.space, self.attention, head) for head in self.attention.heads]
        return sum(kernel_bytes(setting, self._kernel) for setting in settings)

    @property
    def _kernel(self) -> float:
        """Truncation of factored kernels: off the line their ranks are large, and fall with every digit."""
        accuracy = self.accuracy
        return accuracy.kernel if self.space.is_line else max(accuracy.kernel, KERNEL_SHARE * accuracy.rtol)

    def scattered(self) -> ScatteredField:
        """Return attention and drift between scattered tokens, on a grid that resolves both."""
        from meanfield_pde.attention.scattered import ScatteredField, kernel_space

        space = kernel_space(self.space, self.attention)
        self.equation(space)  # refuses a drift that does not fit
        pointwise = self.drift if space.place and isinstance(self.drift, Pointwise) else None
        finest = DRIFT_SURFACE if space.place else DRIFT_GRID
        while pointwise is None and not self._drift_is_resolved(space) and space.resolution < finest:
            space = space.resized(2 * space.resolution)
        equation = self.equation(space)
        return ScatteredField(equation.attention, equation.drift, pointwise)

    def _drift_is_resolved(self, space: Space) -> bool:
        """Whether local interpolation on this grid leaves nothing out of the drift."""
        if self.drift is None:
            return True
        drift = np.asarray(self.drift(space), dtype=np.float64)
        if space.is_line and space.fields_by == "points":  # its potential is smooth, it is not at the poles
            sizes = np.abs(space.divergence(drift)[1:]) / np.sqrt(space.eigenvalues[1:])
            return bool((sizes * space.tail_weights()[1:]).max() <= DRIFT_ERROR * sizes.max())
        # Components along a frame that turns are not smooth where it has no direction, vectors are.
        parts = drift.T if space.fields_by == "frame" else np.einsum("ip,ipd->di", drift, space.frame)
        spectrum = np.abs(space.analyse(parts))
        high = spectrum * (np.sqrt(space.eigenvalues) > space.resolution / DRIFT_POINTS)
        return bool(high.max() <= DRIFT_ERROR * spectrum.max())
