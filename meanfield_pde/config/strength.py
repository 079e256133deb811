"""Refuse scores so large that no grid that is allowed resolves them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meanfield_pde.errors import InputError

if TYPE_CHECKING:
    from meanfield_pde.config.attention import Head, Matrix
    from meanfield_pde.config.configuration import Configuration

__all__ = ["check_scores", "modes_of_scores"]


def modes_of_scores(exponent: float) -> float:
    """Fourier modes of e^{X cos θ} that differ from zero beside the largest, about 5 + 8.6 √X."""
    return 5 + 8.6 * math.sqrt(exponent)


def check_scores(configuration: Configuration, longest: float | None = None) -> None:
    """Raise ``InputError`` when a head needs more modes than the finest grid has.

    The exponent is X = β ‖Q‖ ‖K‖ (1 + max|p|).

    Parameters
    ----------
    configuration
        What is to be solved.
    longest
        Largest |p(z)|; by default what the amplitude of a formula gives, 0 for tables.
    """
    length = _formula_length(configuration) if longest is None else longest
    token = configuration.token
    most = token.highest_mode(configuration.solver.max_resolution)
    for head in configuration.heads:
        exponent = _exponent(head, length)
        modes = modes_of_scores(exponent)
        if modes > most:
            raise InputError(
                f"{configuration.label}: [attention] {head.place('beta')}: scores of size {exponent:.3g} "
                f"need about {modes:.3g} modes, more than {token.bound_of_modes} = {most:g}: "
                f"lower beta or the encoding, or raise solver.max_resolution; got {head.beta:g}"
            )


def _formula_length(configuration: Configuration) -> float:
    encoding = configuration.encoding
    formula = encoding.kind == "additive" and encoding.shape != "table"
    return abs(encoding.amplitude) if formula else 0.0


def _exponent(head: Head, length: float) -> float:
    return head.beta * _norm(head.query) * _norm(head.key) * (1 + length)


def _norm(matrix: Matrix | None) -> float:
    """Largest absolute row sum: an upper bound of what the matrix does to a coordinate."""
    if matrix is None:
        return 1.0
    return max(sum(map(abs, row)) for row in matrix)
