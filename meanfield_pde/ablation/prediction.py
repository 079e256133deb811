r"""What the mean-field equation predicts for a trained model's own positions and leading attention direction.

The equation is reduced to the leading principal components P (q, d) of what positions add to the embedding,
averaged over words: tokens are unit vectors of R^q (circle, S²) that stand for hidden vectors of length r, so
that

.. math:: p(z) = P\,\bar h(z)/r,\qquad s = r^2\,x^T P W_Q W_K^T P^T y/\sqrt{d_h},\qquad V = P W_V W_O P^T .

One token sits at every position, as in the model, and begins in a random direction; σ = 0, and the encoding
acts at every depth: its factor 0 are positions removed, factor 1 positions added at every pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from meanfield_pde import initial
from meanfield_pde.attention.layer import Attention, Head
from meanfield_pde.auxiliary import Auxiliary
from meanfield_pde.encodings import additive
from meanfield_pde.errors import ComputationError
from meanfield_pde.initial import Initial, Tokens
from meanfield_pde.problem import Problem
from meanfield_pde.records import Record, Variable
from meanfield_pde.spaces.hypersphere import Hypersphere

if TYPE_CHECKING:
    from collections.abc import Callable

    from meanfield_pde.ablation.model import Block, TrainedModel
    from meanfield_pde.arrays import FloatArray

__all__ = ["CASES", "SCALES", "Case", "Reduced", "predicted", "reduced"]

#: Factors of the encoding.
SCALES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
#: Random words over which embeddings are averaged.
WORDS = 512
#: Degree to which limits are shown as zonal averages, which nothing here looks at.
SHOWN = 8
#: What is read off a limit.
FACTS = {
    "order_parameter": "order parameter R of the limit",
    "effective_rank": "effective rank of the limit",
    "nearest_dirac": "W2 of the limit to the nearest Dirac mass",
    "attention_entropy": "entropy of attention over log n in the limit",
}


@dataclass(frozen=True)
class Case:
    """A reduction: how many components, whose length a token has, and which matrices attention has."""

    components: Literal[2, 3]
    length: Literal["words", "whole"]
    attention: Literal["model", "identity"]

    @property
    def title(self) -> str:
        """What it is, for people."""
        space = "circle" if self.components == 2 else "S2"
        length = "words in the components" if self.length == "words" else "whole hidden vectors"
        heads = (
            "the strongest head of layer 1" if self.attention == "model" else "Q = K = V = I of its strength"
        )
        return f"{space}, tokens as long as {length}, {heads}"


CASES = (
    Case(2, "words", "model"),
    Case(2, "words", "identity"),
    Case(2, "whole", "model"),
    Case(3, "words", "model"),
)


@dataclass(frozen=True)
class Reduced:
    """Encoding (n, q) of the positions at factor 1, and the head of a reduction."""

    encoding: FloatArray
    head: Head


def reduced(model: TrainedModel, case: Case, count: int, seed: int = 0) -> Reduced:
    """Return what is left of the model in the components of the first ``count`` positions."""
    words = np.random.default_rng(seed).choice(model.whole_words(), WORDS)
    hidden = np.stack([model.embed(words, row[None]) for row in model.positions[:count]])
    means = hidden.mean(axis=1) - hidden.mean(axis=(0, 1))
    axes = np.linalg.svd(means, full_matrices=False)[2][: case.components]
    apart = hidden if case.length == "whole" else (hidden - hidden.mean(axis=1, keepdims=True)) @ axes.T
    length = float(np.sqrt((apart**2).sum(axis=-1).mean()))
    return Reduced(means @ axes.T / length, _strongest(model.blocks[0], axes, length, case.attention))


def _strongest(block: Block, axes: FloatArray, length: float, attention: str) -> Head:
    """Return the head whose scores within the components are largest, or the identity with its strength."""
    size = len(axes)
    width = block.query.weight.shape[1] // block.heads
    heads = []
    for number in range(block.heads):
        own = slice(number * width, (number + 1) * width)
        metric = (axes @ block.query.weight[:, own]) @ (axes @ block.key.weight[:, own]).T
        metric *= length**2 / np.sqrt(width)
        value = (axes @ block.value.weight[:, own]) @ (block.output.weight[own] @ axes.T)
        # the model multiplies rows by matrices, the equation matrices by columns
        beta = float(np.linalg.norm(metric, 2))
        heads.append(Head(beta, metric.T / beta, np.eye(size), value.T))
    strongest = max(heads, key=lambda head: head.beta)
    return strongest if attention == "model" else Head.plain(strongest.beta, size)


def predicted(
    model: TrainedModel,
    count: int,
    starts: int,
    seed: int = 0,
    cases: tuple[Case, ...] = CASES,
    scales: tuple[float, ...] = SCALES,
    progress: Callable[[str, float], None] = lambda *_: None,
) -> Record:
    """Return measures of limits, (case, scale, start): NaN where there is no limit, or no rank of a point."""
    from meanfield_pde.api import limit

    shape = (len(cases), len(scales), starts)
    found = {name: np.full(shape, np.nan) for name in FACTS}
    reached = np.zeros(shape, dtype=np.int64)
    problems: dict[str, float | str] = {}
    for row, case in enumerate(cases):
        small = reduced(model, case, count, seed)
        problems |= {f"case_{row}": case.title, f"beta_{row}": small.head.beta}
        problems[f"amplitude_{row}"] = float(np.sqrt((small.encoding**2).sum(axis=1).mean()))
        for place in np.ndindex(shape[1:]):
            progress("mean-field limits", (row + place[0] / len(scales)) / len(cases))
            try:
                law = limit(_problem(small, scales[place[0]], [seed, row, *place])).attributes
            except ComputationError:
                continue
            reached[(row, *place)] = 1
            for name in FACTS:
                found[name][(row, *place)] = float(law[name])
    # relative to uniform attention, in the equation; over log n of n tokens, in the model
    found["attention_entropy"] = 1.0 + found["attention_entropy"] / np.log(count)
    dims = ("case", "scale", "start")
    variables = {name: Variable(dims, values, FACTS[name]) for name, values in found.items()}
    return Record(
        {
            "scale": Variable(("scale",), np.array(scales), "factor of the encoding"),
            "reached": Variable(dims, reached, "whether a limit was found"),
            **variables,
        },
        problems,
    )


def _problem(small: Reduced, scale: float, seed: list[int]) -> Problem:
    """One token at every position, in random directions at depth 0."""
    count, dimension = small.encoding.shape
    directions = np.random.default_rng(seed).standard_normal((count, 1, dimension))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    positions = Auxiliary(np.arange(count) / count, np.full(count, 1.0 / count))
    return Problem(
        Hypersphere(dimension, SHOWN),
        Attention((small.head,), positions, additive(scale * small.encoding)),
        np.array([0.0, 1.0]),
        initial=Initial(initial.uniform, tokens=Tokens(directions, np.ones((count, 1)))),
    )
