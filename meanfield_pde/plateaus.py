r"""Metastable plateaus: stretches of depth over which the clusters of the token marginal hardly change.

A stretch of saved states with one number of clusters, at least one, is weighed by

.. math:: \text{lifetime} \cdot 2^{-V/\mathtt{TOLERANCE}}, \qquad V = \text{total variation of } R,

so that it pays to extend it only where the order parameter R changes by less than TOLERANCE / log 2 per
lifetime: a slow drift belongs to a plateau, the way in and the way out do not, and no unit of depth is
preferred. In each run of states with equal numbers of clusters the heaviest stretch is examined first, then
the heaviest of the rest before it and after it, and so on. It is a *plateau* when

* V is at most TOLERANCE: the heaviest stretch of a steady change has more;
* it has at least STATES saved states, and lasts at least SHARE of the depth at which it begins: clusters
  that merge one pair after the other make no plateaus in between;
* it is no part of a change that it was cut from: extending it by up to half a lifetime at either end, among
  the states with this number of clusters, makes it no heavier;
* R varies faster around it than within, at more than CONTRAST times the mean pace up to half a lifetime
  before and after. This is not asked where less than a quarter of a lifetime is known around it, nor where
  R varies by less than STILL within a lifetime around it: there the number of clusters tells them apart.

Nothing here depends on the final depth: a metastable state is found however short it is beside the whole.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meanfield_pde.errors import InputError
from meanfield_pde.records import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meanfield_pde.arrays import FloatArray, IntArray
    from meanfield_pde.clusters import Clusters
    from meanfield_pde.records import Record

__all__ = ["CONTRAST", "SHARE", "STATES", "STILL", "TOLERANCE", "Plateau", "describe", "find", "variables"]

#: Total variation of R within a plateau, at most; so much variation weighs as much as half the lifetime.
TOLERANCE = 0.1
#: Total variation of R where R does not tell one state from another.
STILL = 0.01
#: Mean pace of R around a plateau relative to that within, at least: 3 where R passes through an extremum.
CONTRAST = 3.5
#: Saved states of a plateau, at least.
STATES = 3
#: Lifetime relative to the depth at which the plateau begins, at least.
SHARE = 0.05


@dataclass(frozen=True)
class Plateau:
    """Depths of the first and last saved state, number of clusters, mean of R over depth.

    ``final`` when the last saved state belongs to it: then how long it would live is not known.
    """

    start: float
    end: float
    clusters: int
    order_parameter: float
    final: bool

    @property
    def lifetime(self) -> float:
        """Depth from the first to the last saved state of the plateau."""
        return self.end - self.start


def find(time: FloatArray, order_parameter: FloatArray, counts: IntArray) -> tuple[Plateau, ...]:
    """Plateaus of the saved states (times,), in the order of depth.

    Raises
    ------
    InputError
        When the arrays differ in length, the depths do not increase, or R is not finite.
    """
    if not time.shape == order_parameter.shape == counts.shape or time.ndim != 1:
        raise InputError(
            "plateaus: depths, order parameters and numbers of clusters must be as many, "
            f"got the shapes {time.shape}, {order_parameter.shape} and {counts.shape}"
        )
    if not ((np.diff(time) > 0).all() and np.isfinite(order_parameter).all()):
        raise InputError(f"plateaus: depths must increase and R be finite, got {time} and {order_parameter}")
    variation = np.cumsum(np.abs(np.diff(order_parameter, prepend=order_parameter[:1])))
    stretches = [
        stretch
        for run in _runs(counts)
        for stretch in _heaviest(time, variation, *run)
        if _is_plateau(time, variation, stretch, run)
    ]
    return tuple(
        Plateau(
            start=float(time[first]),
            end=float(time[last]),
            clusters=int(counts[first]),
            order_parameter=_mean(time[first : last + 1], order_parameter[first : last + 1]),
            final=last == time.size - 1,
        )
        for first, last in sorted(stretches)
    )


def _runs(counts: IntArray) -> Iterator[tuple[int, int]]:
    """First state, and the one after the last, where the number of clusters stays the same and is not 0."""
    bounds = [0, *(int(index) + 1 for index in np.flatnonzero(np.diff(counts))), counts.size]
    for start, stop in itertools.pairwise(bounds):
        if stop > start and counts[start] > 0:
            yield start, stop


def _heaviest(time: FloatArray, variation: FloatArray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """First and last states of the heaviest stretch, then of the heaviest in what is left on both sides."""
    rest = [(start, stop)]
    while rest:
        start, stop = rest.pop()
        if stop - start < STATES:
            continue
        # Beyond twice the tolerance it is no plateau; the search need not know how heavy it is.
        ends = np.searchsorted(variation[:stop], variation[start:stop] + 2.0 * TOLERANCE, side="right")
        weights = [_weight(time, variation, i, slice(i, end)) for i, end in enumerate(ends, start)]
        first = start + int(np.argmax([row.max() for row in weights]))
        last = first + int(np.argmax(weights[first - start]))
        yield first, last
        rest += [(start, first), (last + 1, stop)]


def _weight(
    time: FloatArray, variation: FloatArray, first: IntArray | int, last: IntArray | int | slice
) -> FloatArray:
    """Lifetime, halved for each TOLERANCE of variation."""
    halvings = (variation[last] - variation[first]) / TOLERANCE
    return np.asarray((time[last] - time[first]) * np.exp2(-halvings))


def _is_plateau(
    time: FloatArray, variation: FloatArray, stretch: tuple[int, int], run: tuple[int, int]
) -> bool:
    """Whether a stretch of a run meets the conditions that are listed above."""
    first, last = stretch
    if last - first + 1 < STATES or variation[last] - variation[first] > TOLERANCE:
        return False
    return (
        time[last] - time[first] >= SHARE * time[first]
        and _is_complete(time[slice(*run)], variation[slice(*run)], first - run[0], last - run[0])
        and (_is_still(time, variation, first, last) or _stands_out(time, variation, first, last))
    )


def _is_complete(time: FloatArray, variation: FloatArray, first: int, last: int) -> bool:
    """Whether no extension by up to half a lifetime at either end is heavier."""
    start, stop = _around(time, first, last, 0.5)
    extended = _weight(time, variation, np.arange(start, first + 1)[:, None], np.arange(last, stop + 1))
    return bool(extended.max() <= _weight(time, variation, first, last))


def _is_still(time: FloatArray, variation: FloatArray, first: int, last: int) -> bool:
    """Whether R hardly varies from a lifetime before the stretch to a lifetime after it."""
    start, stop = _around(time, first, last, 1.0)
    return bool(variation[stop] - variation[start] < STILL)


def _stands_out(time: FloatArray, variation: FloatArray, first: int, last: int) -> bool:
    """Whether R varies faster up to half a lifetime before and after than within, if that much is known."""
    start, stop = _around(time, first, last, 0.5)
    lifetime, within = time[last] - time[first], variation[last] - variation[first]
    outside = time[stop] - time[start] - lifetime
    around = variation[stop] - variation[start] - within
    return bool(outside < lifetime / 4.0 or around * lifetime > CONTRAST * within * outside)


def _around(time: FloatArray, first: int, last: int, lifetimes: float) -> tuple[int, int]:
    """First and last states within so many lifetimes of a stretch."""
    reach = lifetimes * (time[last] - time[first])
    start = np.searchsorted(time, time[first] - reach, side="left")
    stop = np.searchsorted(time, time[last] + reach, side="right")
    return int(start), int(stop) - 1


def _mean(time: FloatArray, values: FloatArray) -> float:
    return float(np.trapezoid(values, time) / (time[-1] - time[0]))


def variables(
    time: Sequence[float] | FloatArray, order_parameter: FloatArray, clusters: Sequence[Clusters]
) -> dict[str, Variable]:
    """Datasets of the clusters at each saved depth and of the plateaus, as records hold them.

    Masses and positions (time, cluster) end in NaN where there are fewer clusters than at most; without any
    cluster they are left out, and so are the datasets of plateaus where there is none.
    """
    depths, values = np.asarray(time, dtype=float), np.asarray(order_parameter, dtype=float)
    counts = np.array([state.count for state in clusters], dtype=np.intp)
    result = {"cluster_count": Variable(("time",), counts, "number of clusters of the token marginal")}
    if counts.max(initial=0) > 0:
        masses, positions = (np.full((counts.size, counts.max()), np.nan) for _ in range(2))
        for row, state in enumerate(clusters):
            masses[row, : state.count], positions[row, : state.count] = state.masses, state.positions
        result["cluster_mass"] = Variable(("time", "cluster"), masses, "mass of the cluster, heaviest first")
        result["cluster_position"] = Variable(
            ("time", "cluster"), positions, "circular mean of the cluster", "rad"
        )
    return result | _described(find(depths, values, counts))


def _described(plateaus: Sequence[Plateau]) -> dict[str, Variable]:
    names = {
        "start": "depth at which the plateau begins",
        "end": "depth at which the plateau ends",
        "clusters": "number of clusters of the plateau",
        "order_parameter": "mean order parameter R of the plateau",
    }
    return {
        f"plateau_{name}": Variable(("plateau",), np.array([getattr(p, name) for p in plateaus]), text)
        for name, text in names.items()
        if plateaus
    }


def describe(record: Record) -> list[dict[str, Any]]:
    """Plateaus of a record, in the order of depth, as plain numbers; none where it has no such datasets."""
    if "plateau_start" not in record:
        return []
    end_of_run = record["time"][-1]
    columns = [record[f"plateau_{name}"] for name in ("start", "end", "clusters", "order_parameter")]
    found = [
        Plateau(float(start), float(end), int(count), float(order), bool(end == end_of_run))
        for start, end, count, order in zip(*columns, strict=True)
    ]
    return [asdict(plateau) | {"lifetime": plateau.lifetime} for plateau in found]
