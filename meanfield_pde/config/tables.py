"""The data that a configuration refers to, read and checked against the number of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meanfield_pde.config.files import find_file, read_table, table_shape
from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from meanfield_pde.config.attention import Head
    from meanfield_pde.config.configuration import Configuration
    from meanfield_pde.config.schema import Encoding
    from meanfield_pde.spaces import Space

__all__ = [
    "AuxiliaryTable",
    "auxiliary_table",
    "bias_table",
    "data_files",
    "encoding_table",
    "grid_table",
    "initial_points",
    "initial_table",
    "named_files",
    "prompt_angles",
    "prompt_vectors",
]

MASS_TOLERANCE = 1e-6
"""Relative error of the mass that a tabulated density may have: data written in single precision pass."""


class AuxiliaryTable(NamedTuple):
    """Nodes z_j of an auxiliary table and their weights, which sum to 1."""

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]


def auxiliary_table(configuration: Configuration) -> AuxiliaryTable:
    """Nodes and weights of ``auxiliary.kind = "table"``: one node per row.

    z runs from 0 to 1 in row order and weights are equal, unless ``z_dataset`` and ``weights_dataset`` say
    otherwise.

    Raises
    ------
    InputError
        A file or dataset is missing, lengths differ, or a weight is not positive.
    """
    import numpy as np

    table = configuration.auxiliary
    what = f"{configuration.label}: [auxiliary]"
    path = find_file(table.file or "", configuration.source, f"{what} file")
    rows = table_shape(path, table.dataset, f"{what} file")[0]
    nodes = np.linspace(0.0, 1.0, rows) if rows > 1 else np.zeros(1)
    weights = np.full(rows, 1.0 / rows)
    if table.z_dataset is not None:
        nodes = _column(read_table(path, table.z_dataset, f"{what} z_dataset"), rows, f"{what} z_dataset")
    if table.weights_dataset is not None:
        weights = _column(
            read_table(path, table.weights_dataset, f"{what} weights_dataset"),
            rows,
            f"{what} weights_dataset",
        )
        if weights.min() <= 0:
            raise InputError(f"{what} weights_dataset: must hold numbers > 0, got {weights.min():g}")
        weights = weights / weights.sum()
    return AuxiliaryTable(nodes, weights)


def encoding_table(configuration: Configuration, nodes: int) -> NDArray[np.float64]:
    """Rows p(z_j) of ``encoding.shape = "table"`` as they are in the file, shape (nodes, columns).

    Raises
    ------
    InputError
        The number of rows is not the number of nodes, there are fewer columns than the dimension of the
        tokens, or ``components`` asks for one that does not exist.
    """
    table, dimension = configuration.encoding, configuration.token.embedding
    what = f"{configuration.label}: [encoding]"
    path = find_file(table.file or "", configuration.source, f"{what} file")
    rows = read_table(path, table.dataset, f"{what} file")
    if rows.ndim != 2 or rows.shape[0] != nodes or rows.shape[1] < dimension:
        raise InputError(
            f"{what} file: must have one row per node, {nodes}, and at least {dimension} columns, "
            f"{path.name} has the shape {rows.shape}"
        )
    _check_components(configuration, rows.shape)
    return rows


def _check_components(configuration: Configuration, shape: tuple[int, ...]) -> None:
    components, dimension = configuration.encoding.components, configuration.token.embedding
    if components is None:
        return
    what = f"{configuration.label}: [encoding] components"
    if shape[1] == dimension:
        raise InputError(
            f"{what}: has no effect with {dimension} columns, used as they are, got {list(components)}"
        )
    most = min(shape)
    if len(components) != dimension or max(components) >= most:
        raise InputError(f"{what}: must be {dimension} numbers from 0 to {most - 1}, got {list(components)}")


def bias_table(configuration: Configuration, head: Head, nodes: int) -> NDArray[np.float64]:
    """Bias b(z_j, z_k) of a head with ``bias = "table"``, shape (nodes, nodes); -inf hides a pair.

    Raises
    ------
    InputError
        The shape is wrong, or a row has no finite entry: such a query would attend to nothing.
    """
    import numpy as np

    what = f"{configuration.label}: [attention] {head.place('file')}"
    path = find_file(head.file or "", configuration.source, what)
    shape = table_shape(path, head.dataset, what)
    if shape != (nodes, nodes):
        raise InputError(
            f"{what}: must have one row and one column per node, {nodes}, {path.name} has the shape {shape}"
        )
    bias = read_table(path, head.dataset, what, infinite_below=True)
    blind = np.flatnonzero(~np.isfinite(bias).any(axis=1))
    if blind.size:
        raise InputError(
            f"{what}: every row must keep a finite entry, row {blind[0]} (from 0) of {path.name} has none"
        )
    return bias


def prompt_angles(configuration: Configuration, nodes: int) -> NDArray[np.float64]:
    """Angles of ``prompt.per_node``, shape (nodes,).

    Raises
    ------
    InputError
        There is not one angle per node.
    """
    prompt = configuration.prompt
    name, dataset = (prompt.per_node, prompt.per_node_dataset) if prompt is not None else (None, None)
    what = f"{configuration.label}: [prompt] per_node"
    path = find_file(name or "", configuration.source, what)
    return _column(read_table(path, dataset, what), nodes, what)


def prompt_vectors(configuration: Configuration, nodes: int) -> NDArray[np.float64]:
    """Read unit vectors of ``prompt.per_node`` where tokens are vectors, shape (nodes, d).

    Raises
    ------
    InputError
        There is not one vector per node, or one has not the length 1 (torus: pairs of length 1).
    """
    import numpy as np

    prompt = configuration.prompt
    name, dataset = (prompt.per_node, prompt.per_node_dataset) if prompt is not None else (None, None)
    what = f"{configuration.label}: [prompt] per_node"
    path = find_file(name or "", configuration.source, what)
    return _unit_vectors(configuration, np.asarray(read_table(path, dataset, what)), (nodes,), what)


def _unit_vectors(
    configuration: Configuration, vectors: NDArray[np.float64], shape: tuple[int, ...], what: str
) -> NDArray[np.float64]:
    import numpy as np

    token = configuration.token
    wanted = (*shape, token.embedding)
    if vectors.shape != wanted:
        raise InputError(f"{what}: must have the shape {wanted}, found {vectors.shape}")
    parts = vectors.reshape(*shape, -1, 2) if token.space == "torus" else vectors
    wrong = np.abs(np.linalg.norm(parts, axis=-1) - 1.0).max()
    if not wrong <= MASS_TOLERANCE:
        unit = "pairs of length 1" if token.space == "torus" else "vectors of length 1"
        raise InputError(f"{what}: must hold {unit}, found one off by {wrong:.3g}")
    if token.space == "zonal" and np.any(vectors[..., 1:]):
        raise InputError(f"{what}: must lie on the axis e_1 of zonal spheres")
    return vectors


def initial_table(configuration: Configuration, nodes: int) -> NDArray[np.float64]:
    """Densities of ``initial.kind = "table"`` on the angles 2πi/N, shape (1, N) or (nodes, N).

    Raises
    ------
    InputError
        The shape is wrong, a value is negative, or a mass differs from 1 by more than 1e-6.
    """
    import numpy as np

    what = f"{configuration.label}: [initial]"
    path = find_file(configuration.initial.file or "", configuration.source, f"{what} file")
    densities = np.atleast_2d(read_table(path, configuration.initial.dataset, f"{what} file"))
    finest = configuration.solver.max_resolution
    if densities.shape[0] not in {1, nodes} or not 1 < densities.shape[1] <= finest:
        raise InputError(
            f"{what} file: must have one row, or one per node ({nodes}), of 2 to {finest} angles "
            f"(solver.max_resolution), {path.name} has the shape {densities.shape}"
        )
    if densities.min() < 0:
        raise InputError(f"{what} file: must hold densities >= 0, {path.name} has {densities.min():g}")
    masses = densities.mean(axis=1) * 2 * np.pi
    worst = int(np.argmax(np.abs(masses - 1)))
    if abs(masses[worst] - 1) > MASS_TOLERANCE:
        raise InputError(
            f"{what} file: must hold densities with integral 1 over the circle to {MASS_TOLERANCE:g}, "
            f"row {worst} (from 0) of {path.name} has {masses[worst]:.9g}"
        )
    return densities


def grid_table(configuration: Configuration, nodes: int, space: Space) -> NDArray[np.float64]:
    """Densities of ``initial.kind = "table"`` on the grid of ``token.resolution``, (1 or nodes, points).

    Raises
    ------
    InputError
        The shape is not that of the grid, a value is negative, or a mass differs from 1 by more than 1e-6.
    """
    import numpy as np

    what = f"{configuration.label}: [initial]"
    path = find_file(configuration.initial.file or "", configuration.source, f"{what} file")
    densities = read_table(path, configuration.initial.dataset, f"{what} file", most=3)
    shape = tuple(axis.values.size for axis in space.axes)
    if densities.shape not in {shape, (nodes, *shape)}:
        raise InputError(
            f"{what} file: must have the shape {shape} of the grid of token.resolution, or one such table "
            f"per node ({nodes}), {path.name} has the shape {densities.shape}"
        )
    flat = densities.reshape(-1, space.weights.size)
    wrong = np.abs(flat @ space.weights - 1.0).max()
    if densities.min() < 0 or not wrong <= MASS_TOLERANCE:
        raise InputError(
            f"{what} file: must hold densities >= 0 with integral 1 to {MASS_TOLERANCE:g}, {path.name} has "
            f"the least value {densities.min():.3g} and a mass {wrong:.3g} off"
        )
    return flat


def initial_points(
    configuration: Configuration, nodes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angles and masses of ``initial.kind = "points"``, (1 or nodes, tokens) each; equal masses by default.

    Raises
    ------
    InputError
        The shape is wrong, or a mass is not positive.
    """
    import numpy as np

    table, what = configuration.initial, f"{configuration.label}: [initial]"
    if not (configuration.token.is_line or configuration.token.space == "zonal"):
        return _initial_vectors(configuration, nodes)
    if table.angles is not None:
        angles = np.array([table.angles])
        return angles, np.ones_like(angles) if table.weights is None else np.array([table.weights])
    path = find_file(table.file or "", configuration.source, f"{what} file")
    angles = np.atleast_2d(read_table(path, table.dataset, f"{what} file"))
    if angles.ndim != 2 or angles.shape[0] not in {1, nodes} or angles.size == 0:
        raise InputError(
            f"{what} file: must have one row of angles, or one per node ({nodes}), "
            f"{path.name} has the shape {angles.shape}"
        )
    if table.weights_dataset is None:
        return angles, np.ones_like(angles)
    masses = np.atleast_2d(read_table(path, table.weights_dataset, f"{what} weights_dataset"))
    if masses.shape not in {angles.shape, (1, angles.shape[1])} or masses.min() <= 0:
        raise InputError(
            f"{what} weights_dataset: must hold numbers > 0, one per angle, found the shape {masses.shape} "
            f"and the least {masses.min():g}"
        )
    return angles, masses


def _initial_vectors(
    configuration: Configuration, nodes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return vectors (1 or nodes, tokens, d) and masses (…, tokens)."""
    import numpy as np

    table, what = configuration.initial, f"{configuration.label}: [initial]"
    if table.points is not None:
        points = np.array(table.points, dtype=np.float64)[None]
        masses = np.ones(points.shape[:2]) if table.weights is None else np.array([table.weights])
        return points, masses
    path = find_file(table.file or "", configuration.source, f"{what} file")
    points = read_table(path, table.dataset, f"{what} file", most=3)
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[0] not in {1, nodes} or points.size == 0:
        raise InputError(
            f"{what} file: must have the shape (tokens, {configuration.token.embedding}), or one such table "
            f"per node ({nodes}), {path.name} has the shape {points.shape}"
        )
    points = _unit_vectors(configuration, points, points.shape[:2], f"{what} file")
    if table.weights_dataset is None:
        return points, np.ones(points.shape[:2])
    masses = np.atleast_2d(read_table(path, table.weights_dataset, f"{what} weights_dataset"))
    if masses.shape not in {points.shape[:2], (1, points.shape[1])} or masses.min() <= 0:
        raise InputError(
            f"{what} weights_dataset: must hold numbers > 0, one per token, found the shape {masses.shape} "
            f"and the least {masses.min():g}"
        )
    return points, masses


def data_files(configuration: Configuration) -> tuple[Path, ...]:
    """All files that the configuration reads its data from, as ``named_files``."""
    return tuple(named_files(configuration).values())


def named_files(configuration: Configuration) -> dict[str, Path]:
    """All files that the configuration reads its data from, by the key that names each.

    Raises
    ------
    InputError
        One of them does not exist.
    """
    prompt, heads = configuration.prompt, configuration.heads
    target = None if configuration.training is None else configuration.training.loss.target
    names = {
        "[auxiliary] file": configuration.auxiliary.file,
        "[encoding] file": _used_file(configuration.encoding),
        "[initial] file": configuration.initial.file,
        "[prompt] per_node": prompt.per_node if prompt is not None else None,
        "[design] target.file": configuration.design.target.file
        if configuration.design is not None
        else None,
        "[training] loss.target.file": None if target is None else target.file,
    } | {f"[attention] {head.place('file')}": head.file for head in heads if head.bias == "table"}
    return {
        place: find_file(name, configuration.source, f"{configuration.label}: {place}")
        for place, name in names.items()
        if name is not None
    }


def _used_file(encoding: Encoding) -> str | None:
    return encoding.file if encoding.kind == "additive" else None


def _column(values: NDArray[np.float64], rows: int, what: str) -> NDArray[np.float64]:
    if values.shape not in {(rows,), (rows, 1)}:
        raise InputError(f"{what}: must hold one number per node, {rows}, has the shape {values.shape}")
    return values.reshape(rows)
