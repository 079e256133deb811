"""From a configuration to the problem that it describes, with the data files that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from meanfield_pde.auxiliary import Auxiliary
from meanfield_pde.drift import combined
from meanfield_pde.errors import InputError
from meanfield_pde.features import Harmonics, Perceptron, units
from meanfield_pde.initial import Initial
from meanfield_pde.problem import Accuracy, Problem
from meanfield_pde.spaces.named import space_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meanfield_pde.arrays import FloatArray
    from meanfield_pde.config import Configuration, Drift, MixtureComponent, Training
    from meanfield_pde.config import Head as HeadConfiguration
    from meanfield_pde.config.attention import Matrix
    from meanfield_pde.encodings import Encoding
    from meanfield_pde.features import Features
    from meanfield_pde.spaces import Space

__all__ = ["build", "fields"]


def build(configuration: Configuration) -> Problem:
    """Problem that a configuration describes; data files are read here.

    Raises
    ------
    InputError
        When a data file is missing or does not fit, or the sizes do not fit in memory.
    """
    from meanfield_pde import config

    token = configuration.token
    space = space_named(token.space, token.resolution, token.dimension)
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
        initial=_initial(configuration, auxiliary, space),
        sigma=configuration.noise.sigma,
        drift=None if drift is None else combined(drift.parameters, fields(configuration, drift)),
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


def fields(configuration: Configuration, table: Drift | Training) -> Features:
    """Tangential fields that a drift is combined of."""
    if table.features == "harmonics":
        return Harmonics(table.degree or 0)
    return Perceptron(table.activation, *units(configuration.token.embedding, table.width, table.seed))


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
        frequency = table.frequency or 0.0
        if isinstance(frequency, tuple) and len(frequency) == 1:
            (frequency,) = frequency
        return encodings.rotary(auxiliary.nodes, frequency)
    shifts = _shifts(configuration, auxiliary)
    if table.corruption:
        noise = np.random.default_rng(table.seed).standard_normal(shifts.shape)
        shifts = shifts + table.corruption * noise
    if configuration.token.space == "zonal":
        return encodings.additive(_along_axis(configuration, shifts))
    return encodings.additive(shifts)


def _along_axis(configuration: Configuration, shifts: FloatArray) -> FloatArray:
    """Shifts along the axis of a zonal sphere, in its half-plane."""
    if np.any(shifts[:, 1:]):
        across = float(np.abs(shifts[:, 1:]).max())
        raise InputError(
            f"{configuration.label}: [encoding]: must lie along the axis e_1 of zonal spheres "
            f"(corruption leaves it), got components up to {across:.3g} across it"
        )
    return np.asarray(shifts[:, :2])


def _shifts(configuration: Configuration, auxiliary: Auxiliary) -> FloatArray:
    from meanfield_pde import config

    table, dimension = configuration.encoding, configuration.token.embedding
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
    query, key, value = (
        _matrix(configuration, head, name, getattr(head, name)) for name in ("query", "key", "value")
    )
    return Head(head.beta, query, key, value, _bias(configuration, head, auxiliary))


def _matrix(
    configuration: Configuration, head: HeadConfiguration, key: str, rows: Matrix | None
) -> FloatArray:
    """Return a matrix of a head, the identity by default; in the half-plane of zonal spheres."""
    token = configuration.token
    if rows is None:
        return np.eye(2 if token.space == "zonal" else token.embedding)
    matrix = np.array(rows, dtype=np.float64)
    if token.space != "zonal":
        return matrix
    if not np.array_equal(matrix, np.diag([matrix[0, 0], *[matrix[1, 1]] * (len(matrix) - 1)])):
        raise InputError(
            f"{configuration.label}: [attention] {head.place(key)}: must keep the axis of zonal spheres: "
            "diagonal, with equal entries but for the first"
        )
    return np.diag([matrix[0, 0], matrix[1, 1]])


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

    prompt = configuration.prompt
    if prompt is None:
        return None
    if prompt.per_node is not None:
        points = _prompt_points(configuration, auxiliary)
        return Prompt(points, np.ones(1), prompt.fraction)
    points = _vectors(configuration, prompt.angles, prompt.points)[None]
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


def _prompt_points(configuration: Configuration, auxiliary: Auxiliary) -> FloatArray:
    """One prompt token a node, (aux, 1, d): angles on a circle, else vectors."""
    from meanfield_pde import config

    if configuration.token.is_line:
        angles = config.prompt_angles(configuration, auxiliary.nodes.size)
        return _on_circle(angles)[:, None]
    vectors = config.prompt_vectors(configuration, auxiliary.nodes.size)
    return _reduced(configuration, vectors)[:, None]


def _vectors(configuration: Configuration, angles: Sequence[float] | None, points: object) -> FloatArray:
    """Vectors of prompt tokens, (tokens, d)."""
    if angles is not None:
        return _on_circle(np.array(angles))
    return _reduced(configuration, np.array(points, dtype=np.float64))


def _reduced(configuration: Configuration, vectors: FloatArray) -> FloatArray:
    """Normalise vectors; on zonal spheres they lie on the axis, in the half-plane."""
    token = configuration.token
    pairs = vectors.reshape(*vectors.shape[:-1], -1, 2) if token.space == "torus" else vectors
    vectors = (pairs / np.linalg.norm(pairs, axis=-1, keepdims=True)).reshape(vectors.shape)
    return vectors[..., :2] if token.space == "zonal" else vectors


def _on_circle(angles: FloatArray) -> FloatArray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _center(configuration: Configuration, center: float | tuple[float, ...]) -> FloatArray:
    """Centre of a von Mises(–Fisher) density in the embedding; e_1 (angles 0) by default."""
    if isinstance(center, tuple):
        return _reduced(configuration, np.array(center))
    if configuration.token.is_line:
        return _on_circle(np.array(center))
    first = np.zeros(configuration.token.embedding)
    first[:: 2 if configuration.token.space == "torus" else first.size] = 1.0
    return _reduced(configuration, first)


def _initial(configuration: Configuration, auxiliary: Auxiliary, space: Space) -> Initial:
    from meanfield_pde import config

    table = configuration.initial
    if table.kind == "points":
        tokens = initial.Tokens(*config.initial_points(configuration, auxiliary.nodes.size))
        return Initial(initial.uniform, table.turns, tokens=tokens)
    profile: initial.Profile = initial.uniform
    degree = 1
    if table.kind == "fourier":
        modes = table.modes or ()
        profile = initial.fourier(modes, space.name, space.dimension)
        degree = max(abs(order) for mode in modes for order in mode[:-2])
    elif table.kind == "vonmises":
        profile = initial.vonmises(_center(configuration, table.center), table.concentration or 0.0)
    elif table.kind == "mixture":
        profile = initial.mixture([_part(configuration, space, part) for part in table.components or ()])
    elif table.kind == "table":
        grid, densities = _table(configuration, auxiliary.nodes.size, space)
        return Initial.tabulated(grid, densities, table.turns, table.perturbation, table.seed)
    return Initial(profile, table.turns, table.perturbation, table.seed, degree)


def _part(
    configuration: Configuration, space: Space, part: MixtureComponent
) -> tuple[float, initial.Profile, float]:
    profile = initial.vonmises(_center(configuration, part.center), part.concentration)
    return part.weight, profile, _mass(space, part.concentration)


def _table(configuration: Configuration, nodes: int, space: Space) -> tuple[Space, FloatArray]:
    """Tabulated densities, with the grid that they are on."""
    from meanfield_pde import config

    if not configuration.token.is_line:
        return space, config.grid_table(configuration, nodes, space)
    densities = config.initial_table(configuration, nodes)
    return space.resized(densities.shape[1]), densities


def _mass(space: Space, concentration: float) -> float:
    """Mean of e^{κ(⟨x, c⟩ − max)} over the space: constant of a von Mises density, up to the volume."""
    wave = space.plane_wave(concentration * space.points[:1], 0)
    return float(wave[0] @ space.uniform()[: wave.shape[1]])
