"""The whole configuration: all tables, the rules between them, and TOML text that reads back equal."""

import hashlib
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr, model_validator

from meanfield_pde.config.attention import Attention, Head, Matrix
from meanfield_pde.config.base import Table
from meanfield_pde.config.design import Design
from meanfield_pde.config.initial import Initial
from meanfield_pde.config.schema import (
    DEFAULTS,
    Auxiliary,
    Drift,
    Encoding,
    Noise,
    Output,
    Prompt,
    Solver,
    Time,
    Token,
)
from meanfield_pde.config.spaces import check_space
from meanfield_pde.config.training import Training
from meanfield_pde.config.values import Line, RuleError
from meanfield_pde.config.writing import toml

__all__ = ["Configuration"]


class Configuration(Table):
    """What is solved and how, as a TOML file states it. Two are equal when they describe the same problem."""

    title: Line = ""
    token: Token = Token()
    auxiliary: Auxiliary = Auxiliary()
    encoding: Encoding = Encoding()
    attention: Attention
    prompt: Prompt | None = None
    drift: Drift | None = None
    noise: Noise = Noise()
    initial: Initial = Initial()
    time: Time
    solver: Solver = Solver()
    output: Output = Output()
    design: Design | None = None
    training: Training | None = None

    _source: Path | None = PrivateAttr(default=None)
    _label: str = PrivateAttr(default="configuration")

    @property
    def source(self) -> Path | None:
        """File that the configuration was read from; data files are looked up beside it."""
        return self._source

    @property
    def label(self) -> str:
        """Name of the configuration in messages."""
        return self._label

    @property
    def heads(self) -> tuple[Head, ...]:
        """All heads, at least one, with what they inherit from [attention]."""
        return self.attention.complete()

    @property
    def nodes(self) -> int | None:
        """Number of auxiliary nodes; ``None`` when it is the number of rows of a table."""
        if self.auxiliary.kind == "table":
            return None
        return 1 if self.auxiliary.nodes is None else self.auxiliary.nodes

    def read_from(self, source: Path | None, label: str) -> Self:
        """Return the same configuration with the file that it came from."""
        copy = self.model_copy()
        copy._source, copy._label = source, label  # noqa: SLF001 (its own class)
        return copy

    def to_toml(self) -> str:
        """Return the complete TOML, defaults and overrides resolved; it reads back equal."""
        return toml(self.content())

    def digests(self) -> dict[str, str]:
        """SHA-256 of every data file, by the key that names it.

        Raises
        ------
        InputError
            One of them does not exist.
        """
        from meanfield_pde.config.tables import named_files

        return {
            place: hashlib.sha256(path.read_bytes()).hexdigest() for place, path in named_files(self).items()
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Configuration) and self.content() == other.content()

    def __hash__(self) -> int:
        return hash(self.to_toml())

    @model_validator(mode="after")
    def _tables_fit_together(self) -> Self:
        self._check_matrices()
        self._check_resolution()
        check_space(self)
        return self

    @model_validator(mode="before")
    @classmethod
    def _finest_resolution_of_the_space(cls, values: Any) -> Any:
        """Fill in solver.max_resolution, which means another thing on every space."""
        if not isinstance(values, dict):
            return values
        token, solver = values.get("token", {}), values.get("solver", {})
        if not isinstance(token, dict) or not isinstance(solver, dict) or "max_resolution" in solver:
            return values
        space, resolution = token.get("space", "circle"), token.get("resolution")
        if not isinstance(space, str) or space not in DEFAULTS or space == "circle":
            return values
        finest = DEFAULTS[space][1]
        if isinstance(resolution, int) and not isinstance(resolution, bool):
            finest = max(finest, resolution)
        return values | {"solver": solver | {"max_resolution": finest}}

    def _check_matrices(self) -> None:
        size = self.token.embedding
        tables: list[tuple[str, Any]] = [("", self.attention)]
        tables += [(f"heads[{index}].", head) for index, head in enumerate(self.attention.heads)]
        for place, table in tables:
            for key in ("query", "key", "value"):
                matrix: Matrix | None = getattr(table, key)
                if matrix is not None and [len(row) for row in matrix] != [size] * size:
                    raise RuleError(
                        f"{place}{key}",
                        f'must be a {size} x {size} matrix on token.space = "{self.token.space}"',
                        value=matrix,
                        table="attention",
                    )

    def _check_resolution(self) -> None:
        finest = self.solver.max_resolution
        if finest < self.token.resolution:
            raise RuleError(
                "max_resolution",
                f"must be at least token.resolution = {self.token.resolution}",
                value=finest,
                table="solver",
            )
        highest = self.token.highest_mode(finest)
        for mode in self.initial.modes or ():
            if max(abs(order) for order in mode[:-2]) >= highest and self.initial.kind == "fourier":
                raise RuleError(
                    "modes",
                    f"must have orders m below {self.token.bound_of_modes} = {highest:g}",
                    value=mode,
                    table="initial",
                )
