"""What a configuration may ask for on each token space: vectors of its size, and what keeps its symmetry."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from meanfield_pde.config.initial import check_fourier
from meanfield_pde.config.values import RuleError

if TYPE_CHECKING:
    from meanfield_pde.config.configuration import Configuration
    from meanfield_pde.config.schema import Drift

__all__ = ["check_initial", "check_rows", "check_space", "fields_of_drift"]

#: Error of the length of a unit vector, as written by hand.
LENGTH = 1e-6


def check_space(configuration: Configuration) -> None:
    """Raise ``RuleError`` for what does not fit the token space."""
    check_initial(configuration)
    _check_prompt(configuration)
    _check_encoding(configuration)
    _check_drift(configuration)
    _check_method(configuration)
    if configuration.design is not None:
        configuration.design.check(configuration)
    if configuration.training is not None:
        configuration.training.check(configuration)


def check_initial(configuration: Configuration) -> None:
    """Raise ``RuleError`` where the table [initial] does not fit the token space."""
    token, initial = configuration.token, configuration.initial
    if initial.kind == "fourier" and initial.modes:
        _check_modes(configuration)
    if initial.kind == "vonmises":
        _check_center(configuration, initial.center, "center")
    for index, part in enumerate(initial.components or () if initial.kind == "mixture" else ()):
        _check_center(configuration, part.center, f"components[{index}].center")
    if initial.turns and token.space == "zonal":
        raise RuleError("turns", 'must be 0 with token.space = "zonal"', value=initial.turns, table="initial")
    if initial.kind == "points":
        _check_angles(configuration, initial.angles, initial.points, "initial")
    tokens_only = token.space == "sphere" and token.dimension != 3
    if tokens_only and initial.kind != "points":
        raise RuleError(
            "kind",
            f'must be "points" on spheres of dimension {token.dimension}: densities live on the sphere of '
            'dimension 3, or on space = "zonal"',
            value=initial.kind,
            table="initial",
        )


def _check_modes(configuration: Configuration) -> None:
    modes: Any = configuration.initial.modes
    check_rows(configuration, modes)
    if configuration.token.is_line:
        check_fourier(modes)


def check_rows(configuration: Configuration, modes: Any) -> None:
    """Raise ``RuleError`` where rows of modes are not those of the token space."""
    wanted = 4 if configuration.token.space == "torus" and not configuration.token.is_line else 3
    for mode in modes:
        if len(mode) != wanted:
            names = "[m1, m2, a, phi]" if wanted == 4 else "[m, a, phi]"
            raise RuleError("modes", f"must hold rows {names} on this space", value=mode, table="initial")
        if configuration.token.space == "zonal" and mode[2] != 0.0:
            raise RuleError("modes", "must have the phase 0 on zonal spheres", value=mode, table="initial")


def _check_center(configuration: Configuration, center: Any, key: str) -> None:
    token = configuration.token
    if token.is_line:
        if isinstance(center, tuple):
            raise RuleError(key, "must be an angle on the circle", value=center, table="initial")
        return
    if not isinstance(center, tuple):
        if center != 0.0:
            raise RuleError(
                key, f"must be a vector of {token.embedding} numbers", value=center, table="initial"
            )
        return
    _check_vector(configuration, center, key, "initial")


def _check_vector(configuration: Configuration, vector: tuple[float, ...], key: str, table: str) -> None:
    token = configuration.token
    if len(vector) != token.embedding:
        raise RuleError(key, f"must have {token.embedding} components", value=vector, table=table)
    pieces = [vector[i : i + 2] for i in range(0, len(vector), 2)] if token.space == "torus" else [vector]
    if any(abs(math.hypot(*piece) - 1.0) > LENGTH for piece in pieces):
        what = "pairs of length 1" if token.space == "torus" else "the length 1"
        raise RuleError(key, f"must have {what}", value=vector, table=table)
    if token.space == "zonal" and any(vector[1:]):
        raise RuleError(
            key,
            "must lie on the axis e_1 of zonal spheres, [1, 0, ...] or [-1, 0, ...]",
            value=vector,
            table=table,
        )


def _check_angles(configuration: Configuration, angles: Any, points: Any, table: str) -> None:
    token = configuration.token
    circular = token.is_line or (token.space == "zonal" and table == "initial")
    if circular and points is not None:
        raise RuleError("points", "must be angles on this space", value=points, table=table)
    if not circular and angles is not None:
        raise RuleError("angles", "must be points (vectors) on this space", value=angles, table=table)
    for index, vector in enumerate(points or ()):
        _check_vector(configuration, vector, f"points[{index}]", table)


def _check_prompt(configuration: Configuration) -> None:
    prompt = configuration.prompt
    if prompt is None or prompt.per_node is not None:
        return
    _check_angles(configuration, prompt.angles, prompt.points, "prompt")


def _check_encoding(configuration: Configuration) -> None:
    token, encoding = configuration.token, configuration.encoding
    if encoding.kind == "rotary":
        if token.space == "zonal":
            raise RuleError(
                "kind",
                "must keep the axis of zonal spheres: none or additive along it",
                value="rotary",
                table="encoding",
            )
        frequency = encoding.frequency
        if isinstance(frequency, tuple) and len(frequency) != token.planes:
            raise RuleError(
                "frequency",
                f"must be one number, or one for each plane, {token.planes}",
                value=frequency,
                table="encoding",
            )
    if token.space == "zonal" and encoding.kind == "additive" and encoding.shape not in {"line", "table"}:
        raise RuleError(
            "shape",
            'must keep the axis of zonal spheres: "line", or a table along the axis',
            value=encoding.shape,
            table="encoding",
        )


def fields_of_drift(configuration: Configuration, drift: Drift) -> tuple[int, str]:
    """Count the fields of a drift, and say how."""
    token, degree = configuration.token, drift.degree or 0
    if drift.features == "perceptron":
        units = drift.width or token.embedding
        if token.space == "zonal":
            return units, "one number a unit"
        return token.embedding * units, f"{token.embedding} times {units} (W, row by row)"
    if token.is_line:
        return 2 * degree + 1, "2 degree + 1"
    if token.space == "zonal":
        return degree, "degree"
    if token.space == "torus":
        return 2 * (2 * degree + 1) ** 2, "2 (2 degree + 1)^2"
    return 2 * ((degree + 1) ** 2 - 1), "2 (degree + 1)^2 - 2"


def _check_drift(configuration: Configuration) -> None:
    drift, token = configuration.drift, configuration.token
    if drift is None:
        return
    if token.space == "sphere" and token.dimension != 3:
        raise RuleError(
            "features", "are not available on spheres of this dimension", value=drift.features, table="drift"
        )
    expected, formula = fields_of_drift(configuration, drift)
    if len(drift.parameters) != expected:
        raise RuleError(
            "parameters",
            f"must have {formula} = {expected} entries, has {len(drift.parameters)}",
            value=drift.parameters,
            table="drift",
        )


def _check_method(configuration: Configuration) -> None:
    token, method = configuration.token, configuration.solver.method
    if configuration.initial.kind == "points":
        _check_tokens(configuration)
    if method == "finite-volume" and not (token.is_line or token.space == "zonal"):
        raise RuleError(
            "method",
            'must be "auto", "spectral" or "characteristics" on this space: finite volumes need a line',
            value=method,
            table="solver",
        )


def _check_tokens(configuration: Configuration) -> None:
    """Single tokens have no density: neither noise nor a method of densities serves them."""
    sigma, method = configuration.noise.sigma, configuration.solver.method
    if sigma > 0.0:
        raise RuleError(
            "sigma",
            'must be 0 for single tokens (initial.kind = "points"): noise spreads every token',
            value=sigma,
            table="noise",
        )
    if method not in {"auto", "characteristics"}:
        raise RuleError(
            "method",
            'must be "characteristics" or "auto" for single tokens (initial.kind = "points")',
            value=method,
            table="solver",
        )
