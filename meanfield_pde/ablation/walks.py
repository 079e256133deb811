"""One sequence through the layers of a trained model, again and again, for every variant of its positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meanfield_pde import parallel
from meanfield_pde.ablation.measures import MEASURES, Codes, observe_cloud, units

if TYPE_CHECKING:
    from meanfield_pde.ablation.model import Array, TrainedModel
    from meanfield_pde.arrays import FloatArray, IntArray

__all__ = ["VARIANTS", "Gauge", "Variant", "walk"]


@dataclass(frozen=True)
class Variant:
    """What becomes of the position embeddings: factor, order, and whether every pass adds them again."""

    title: str
    scale: float = 1.0
    shuffled: bool = False
    again: bool = False

    def shifts(self, rows: Array, order: IntArray) -> Array:
        """Return what is added to the words, for embeddings (n, d) of positions and another order of them."""
        return self.scale * (rows[order] if self.shuffled else rows)


VARIANTS = (
    Variant("present"),
    Variant("removed", scale=0.0),
    Variant("shuffled", shuffled=True),
    Variant("times 0.25", scale=0.25),
    Variant("times 0.5", scale=0.5),
    Variant("times 2", scale=2.0),
    Variant("times 4", scale=4.0),
    Variant("added at every pass", again=True),
)


@dataclass(frozen=True)
class Gauge:
    """What the seed decides of a sequence: codes by which information is measured, an order of positions."""

    codes: Codes
    order: IntArray

    @staticmethod
    def of(rows: Array, components: int, seed: list[int]) -> Gauge:
        """Return the gauge of position embeddings (n, d)."""
        order = np.random.default_rng([*seed, 2]).permutation(len(rows))
        return Gauge(Codes.of(rows, components, [*seed, 1]), order)


@dataclass(frozen=True)
class _Tokens:
    """Hidden vectors (n, d) on their way, and what is added to them before every further pass."""

    hidden: Array
    addition: Array | None
    entropy: float = np.nan

    def after(self, model: TrainedModel, depth: int) -> _Tokens:
        """Apply the layer of this depth; ``entropy`` is the mean of its attention, over log n."""
        layer = depth % len(model.blocks)
        entering = self.hidden
        if self.addition is not None and depth > 0 and layer == 0:
            entering = entering + self.addition
        hidden, entropies = model.blocks[layer](entering)
        return _Tokens(hidden, self.addition, float(entropies.mean() / np.log(len(hidden))))


def walk(
    model: TrainedModel, tokens: IntArray, variants: tuple[Variant, ...], passes: int, gauge: Gauge
) -> dict[str, FloatArray]:
    """Return the measures of tokens (n,) after every layer, (variants, layers + 1), the embedding first.

    Attention is that of the layer that comes next. Where positions are added again, they are before it; the
    other measures are of the tokens without them.
    """
    rows = model.positions[: len(tokens)]
    clouds = []
    for variant in variants:
        shifts = variant.shifts(rows, gauge.order)
        clouds.append(_Tokens(model.embed(tokens, shifts), shifts if variant.again else None))
    series = []
    for depth in range(passes * len(model.blocks) + 1):
        measured = [observe_cloud(units(cloud.hidden), gauge.codes) for cloud in clouds]
        # Threads take whole layers: those within small products and loops would wait for each other.
        clouds = parallel.over(partial(_Tokens.after, model=model, depth=depth), clouds)
        for found, cloud in zip(measured, clouds, strict=True):
            found["attention_entropy"] = cloud.entropy
        series.append(measured)
    return {
        name: np.array([[found[name] for found in measured] for measured in series]).T for name in MEASURES
    }
