"""A problem: what is solved, ready to run. Built from a configuration, or from arrays and callables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde import auxiliary as auxiliaries
from meanfield_pde import encodings, initial
from meanfield_pde.attention import (
    Alibi,
    Attention,
    Bias,
    Causal,
    Head,
    NoBias,
    Prompt,
    Table,
    Window,
    Within,
)
from meanfield_pde.attention.choose import KERNEL_TOLERANCE
from meanfield_pde.attention.field import AttentionField
from meanfield_pde.auxiliary import Auxiliary
from meanfield_pde.drift import Drift, harmonics
from meanfield_pde.equation import Equation
from meanfield_pde.errors import InputError, require_nonnegative
from meanfield_pde.initial import Initial
from meanfield_pde.spaces.circle import Circle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.attention.scattered import ScatteredField
    from meanfield_pde.config import Configuration
    from meanfield_pde.config import Head as HeadConfiguration
    from meanfield_pde.encodings import Encoding
    from meanfield_pde.spaces import Space

__all__ = ["Accuracy", "Problem", "build", "space_named"]


MethodName = Literal["auto", "spectral", "finite-volume", "characteristics"]

#: Grid points in the shortest wave of a drift that is interpolated, what may be left out, the finest grid.
DRIFT_POINTS, DRIFT_ERROR, DRIFT_GRID = 24, 1e-13, 2**14


@dataclass(frozen=True)
class Accuracy:
    """Tolerances of the solution and the finest grid it may use.

    ``rtol`` and ``atol`` bound the errors of the Fourier coefficients c_m = ∫e^{−imθ}ρ dθ.
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
        return Equation(AttentionField(space, self.attention, self.accuracy.kernel), drift, self.sigma)

    def scattered(self) -> ScatteredField:
        """Return attention and drift between scattered tokens, on a grid that resolves both."""
        from meanfield_pde.attention.scattered import ScatteredField, kernel_space

        space = kernel_space(self.space, self.attention)
        self.equation(space)  # refuses a drift that does not fit
        while not self._drift_is_resolved(space) and space.resolution < DRIFT_GRID:
            space = space.resized(2 * space.resolution)
        equation = self.equation(space)
        return ScatteredField(equation.attention, equation.drift)

    def _drift_is_resolved(self, space: Space) -> bool:
        """Whether local interpolation on this grid leaves nothing out of the drift."""
        if self.drift is None:
            return True
        spectrum = np.abs(space.analyse(np.asarray(self.drift(space), dtype=np.float64).T))
        high = spectrum * (np.sqrt(space.eigenvalues) > space.resolution / DRIFT_POINTS)
        return bool(high.max() <= DRIFT_ERROR * spectrum.max())


def space_named(name: str, resolution: int) -> Space:
    """Return the token space of this name.

    Raises
    ------
    InputError
        When there is none.
    """
    if name != "circle":
        raise InputError(f"space: must be circle, got {name!r}")
    return Circle(resolution)


def build(configuration: Configuration) -> Problem:
    """Problem that a configuration describes; data files are read here.

    Raises
    ------
    InputError
        When a data file is missing or does not fit, or the sizes do not fit in memory.
    """
    from meanfield_pde import config

    space = space_named(configuration.token.space, configuration.token.resolution)
    if configuration.nodes is not None:
        config.check_memory(configuration, configuration.nodes)
    auxiliary = _auxiliary(configuration)
    config.check_memory(configuration, auxiliary.nodes.size)
    encoding = _encoding(configuration, auxiliary)
    if encoding.shifts is not None:
        config.check_scores(configuration, longest=float(np.linalg.norm(encoding.shifts, axis=1).max()))
    attention = Attention(
        heads=tuple(_head(configuration, head, auxiliary) for head in configuration.heads),
        auxiliary=auxiliary,
        encoding=encoding,
        normalization=configuration.attention.normalization,
        values=configuration.attention.values,
        prompt=_prompt(configuration, auxiliary, encoding),
    )
    save, drift, solver = configuration.time.save, configuration.drift, configuration.solver
    return Problem(
        space=space,
        attention=attention,
        depths=np.linspace(0.0, configuration.time.final, save) if isinstance(save, int) else np.array(save),
        initial=_initial(configuration, auxiliary),
        sigma=configuration.noise.sigma,
        drift=None if drift is None else harmonics(drift.parameters),
        accuracy=Accuracy(solver.rtol, solver.atol, solver.max_resolution),
        title=configuration.title,
        configuration=configuration.to_toml(),
        keep_density=configuration.output.density == "all",
        method=solver.method,
        steady=configuration.time.tolerance if configuration.time.stop == "steady" else None,
        label=configuration.label,
        source=configuration.source,
        data=configuration.digests(),
    )


def _auxiliary(configuration: Configuration) -> Auxiliary:
    from meanfield_pde import config

    kind, nodes = configuration.auxiliary.kind, configuration.nodes or 1
    if kind == "table":
        return Auxiliary(*config.auxiliary_table(configuration))
    if kind == "none":
        return auxiliaries.none()
    return auxiliaries.uniform(nodes) if kind == "uniform" else auxiliaries.legendre(nodes)


def _encoding(configuration: Configuration, auxiliary: Auxiliary) -> Encoding:
    table = configuration.encoding
    if table.kind == "none":
        return encodings.none()
    if table.kind == "rotary":
        return encodings.rotary(auxiliary.nodes, table.frequency or 0.0)
    shifts = _shifts(configuration, auxiliary)
    if table.corruption:
        noise = np.random.default_rng(table.seed).standard_normal(shifts.shape)
        shifts = shifts + table.corruption * noise
    return encodings.additive(shifts)


def _shifts(configuration: Configuration, auxiliary: Auxiliary) -> FloatArray:
    from meanfield_pde import config

    table, dimension = configuration.encoding, configuration.token.dimension
    nodes, amplitude = auxiliary.nodes, table.amplitude
    if table.shape == "ring":
        return encodings.ring(nodes, amplitude, dimension)
    if table.shape == "line":
        return encodings.line(nodes, amplitude, dimension)
    if table.shape == "sinusoidal":
        return encodings.sinusoidal(nodes.size, amplitude, dimension)
    rows = config.encoding_table(configuration, nodes.size)
    if rows.shape[1] == dimension:
        return amplitude * rows
    components = table.components or tuple(range(dimension))
    return amplitude * encodings.principal_components(rows, list(components))


def _head(configuration: Configuration, head: HeadConfiguration, auxiliary: Auxiliary) -> Head:
    query, key, value = (np.array(matrix, dtype=np.float64) for matrix in (head.query, head.key, head.value))
    return Head(head.beta, query, key, value, _bias(configuration, head, auxiliary))


def _bias(configuration: Configuration, head: HeadConfiguration, auxiliary: Auxiliary) -> Bias:
    from meanfield_pde import config

    if head.bias == "window":
        return Window(head.width or 0.0)
    if head.bias == "alibi":
        return Alibi(head.slope or 0.0)
    if head.bias == "table":
        return Table(config.bias_table(configuration, head, auxiliary.nodes.size), auxiliary.nodes)
    plain: dict[str, Bias] = {"none": NoBias(), "causal": Causal(), "within": Within()}
    return plain[head.bias]


def _prompt(configuration: Configuration, auxiliary: Auxiliary, encoding: Encoding) -> Prompt | None:
    from meanfield_pde import config

    prompt = configuration.prompt
    if prompt is None:
        return None
    if prompt.per_node is not None:
        angles = config.prompt_angles(configuration, auxiliary.nodes.size)[:, None]
        return Prompt(_on_circle(angles), np.ones(1), prompt.fraction)
    points = _on_circle(np.array([prompt.angles]))
    weights = np.array(prompt.shares)
    if prompt.positions is None:
        return Prompt(points, weights, prompt.fraction)
    positions = np.array(prompt.positions)
    return Prompt(
        points,
        weights,
        prompt.fraction,
        positions,
        _encoding_at(configuration, positions, auxiliary, encoding),
    )


def _encoding_at(
    configuration: Configuration, positions: FloatArray, auxiliary: Auxiliary, encoding: Encoding
) -> Encoding:
    """Encode prompt tokens with a z of their own: by formula where there is one, else as the node."""
    table = configuration.encoding
    formula = table.kind == "rotary" or (table.kind == "additive" and table.shape in {"ring", "line"})
    if table.kind == "none":
        return encodings.none()
    if formula and not table.corruption:
        return _encoding(configuration, Auxiliary(positions, np.full(positions.size, 1.0 / positions.size)))
    match = positions[:, None] == auxiliary.nodes[None, :]
    if not match.any(axis=1).all():
        missing = positions[~match.any(axis=1)][0]
        raise InputError(
            f"{configuration.label}: [prompt] positions: must be nodes of [auxiliary] for this encoding, "
            f"got {missing:g}"
        )
    return encoding.at(match.argmax(axis=1))


def _on_circle(angles: FloatArray) -> FloatArray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _initial(configuration: Configuration, auxiliary: Auxiliary) -> Initial:
    from meanfield_pde import config

    table = configuration.initial
    if table.kind == "points":
        tokens = initial.Tokens(*config.initial_points(configuration, auxiliary.nodes.size))
        return Initial(initial.uniform, table.turns, tokens=tokens)
    profile: initial.Profile = initial.uniform
    degree = 1
    if table.kind == "fourier":
        modes = table.modes or ()
        profile, degree = initial.fourier(modes), max(mode[0] for mode in modes)
    elif table.kind == "vonmises":
        profile = initial.vonmises(_on_circle(np.array(table.center)), table.concentration or 0.0)
    elif table.kind == "mixture":
        parts = table.components or ()
        profile = initial.mixture([_part(part.weight, part.center, part.concentration) for part in parts])
    elif table.kind == "table":
        densities = config.initial_table(configuration, auxiliary.nodes.size)
        grid = Circle(densities.shape[1])
        return Initial.tabulated(grid, densities, table.turns, table.perturbation, table.seed)
    return Initial(profile, table.turns, table.perturbation, table.seed, degree)


def _part(weight: float, center: float, concentration: float) -> tuple[float, initial.Profile, float]:
    from scipy import special

    return (
        weight,
        initial.vonmises(_on_circle(np.array(center)), concentration),
        float(special.ive(0, concentration)),
    )
