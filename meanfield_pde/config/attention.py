"""The table [attention] and its heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import model_validator

from meanfield_pde.config.base import Options, Table
from meanfield_pde.config.values import Finite, Name, NonNegative, RuleError, choice, listing

__all__ = ["Attention", "Head", "HeadTable", "Matrix"]

BIASES = ("none", "causal", "window", "alibi", "within", "table")
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "window": ("width",),
    "alibi": ("slope",),
    "table": ("file", "dataset"),
}
"""The keys that belong to a bias; the first of them must be given."""

Bias = Literal["none", "causal", "window", "alibi", "within", "table"]
BiasName = Annotated[Bias, choice(*BIASES)]
Row = Annotated[tuple[Finite, ...], listing("a row of numbers")]
Matrix = tuple[tuple[float, ...], ...]
MatrixOfRows = Annotated[tuple[Row, ...], listing("a matrix, a list of rows of numbers")]


@dataclass(frozen=True)
class Head:
    """One head with all that it inherits: what the score and the value of the model are made of.

    ``number`` counts from 0; ``written`` tells whether the head is a table of its own in the file. Matrices
    that are not given are None: the identity.
    """

    number: int
    written: bool
    beta: float
    bias: Bias
    width: float | None
    slope: float | None
    file: str | None
    dataset: str | None
    query: Matrix | None
    key: Matrix | None
    value: Matrix | None

    def place(self, key: str) -> str:
        """Name of a key of this head within [attention], as messages say it."""
        return f"heads[{self.number}].{key}" if self.written else key


class _HeadKeys(Table):
    """Keys that [attention] and a head share."""

    beta: NonNegative | None = None
    width: NonNegative | None = None
    slope: NonNegative | None = None
    file: Name | None = None
    dataset: Name | None = None
    query: MatrixOfRows | None = None
    key: MatrixOfRows | None = None
    value: MatrixOfRows | None = None


class HeadTable(_HeadKeys):
    """One head as it is written: what it leaves out, it takes from [attention]."""

    bias: BiasName | None = None


class Attention(_HeadKeys):
    """Score, bias, normalisation and values; a single head, or what the heads have in common."""

    options: ClassVar[Options] = {"bias": {name: PARAMETERS.get(name, ()) for name in BIASES}}

    normalization: Annotated[Literal["softmax", "none"], choice("softmax", "none")] = "softmax"
    values: Annotated[Literal["encoded", "token"], choice("encoded", "token")] = "encoded"
    bias: BiasName = "none"
    heads: Annotated[tuple[HeadTable, ...], listing("a list of tables, one per head", least=0)] = ()

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
        """Keys without effect; what a head inherits has one."""
        heads = values.get("heads")
        biases = [_bias_of(head) for head in heads] if isinstance(heads, (list, tuple)) else []
        inherited = {key for bias in biases for key in PARAMETERS.get(bias, ())}
        return {key: reason for key, reason in super().idle(values).items() if key not in inherited}

    @model_validator(mode="after")
    def _every_head_is_complete(self) -> Self:
        for index, head in enumerate(self.heads or (HeadTable(),)):
            bias = head.bias or self.bias
            place = f"heads[{index}]." if self.heads else ""
            _refuse_foreign_parameters(head, bias, place)
            for key in ("beta", *PARAMETERS.get(bias, ())[:1]):
                if getattr(head, key) is None and getattr(self, key) is None:
                    reason = "" if key == "beta" else f' with bias = "{bias}"'
                    raise RuleError(f"{place}{key}", f"is required{reason} and is missing")
        return self

    def complete(self) -> tuple[Head, ...]:
        """Return all heads, at least one, with what they inherit."""
        return tuple(
            Head(
                number=number,
                written=bool(self.heads),
                beta=self._inherited(head, "beta"),
                bias=self._inherited(head, "bias"),
                width=self._inherited(head, "width"),
                slope=self._inherited(head, "slope"),
                file=self._inherited(head, "file"),
                dataset=self._inherited(head, "dataset"),
                query=self._inherited(head, "query"),
                key=self._inherited(head, "key"),
                value=self._inherited(head, "value"),
            )
            for number, head in enumerate(self.heads or (HeadTable(),))
        )

    def _inherited(self, head: HeadTable, key: str) -> Any:
        own = getattr(head, key)
        return getattr(self, key) if own is None else own


def _bias_of(head: Any) -> str:
    bias = head.get("bias") if isinstance(head, Mapping) else getattr(head, "bias", None)
    return bias if isinstance(bias, str) else ""


def _refuse_foreign_parameters(head: HeadTable, bias: str, place: str) -> None:
    """Raise ``RuleError`` unless every parameter written in a head belongs to the bias of that head."""
    for name, keys in PARAMETERS.items():
        for key in keys:
            if name != bias and getattr(head, key) is not None:
                raise RuleError(
                    f"{place}{key}",
                    f'has no effect with bias = "{bias}": remove it, or change bias',
                    value=getattr(head, key),
                )
