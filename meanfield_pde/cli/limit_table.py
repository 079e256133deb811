"""Rows of the closing tables of limit and compare."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meanfield_pde.results import Limit

__all__ = ["limit_rows"]

#: Growth rates that are shown.
MODES = 6

VERDICTS = {
    "collapsed": "collapsed: the limit map is constant",
    "pushforward": "pushforward of ν by the limit map T",
    "several atoms": "several atoms per z: no pushforward",
    "no limit map": "there is no limit map",
}
LAWS = {
    "map": "one atom per z, at T(z)",
    "atoms": "several atoms at some z",
    "density": "density, with noise",
}

NUMBERS = {
    "leading_eigenvalue": "leading eigenvalue",
    "spectral_gap": "spectral gap",
    "residual": "residual",
    "order_parameter": "order parameter R",
    "conditional_concentration": "conditional concentration",
    "nearest_dirac": "W₂ to the nearest Dirac mass",
    "effective_rank": "effective rank",
    "entropy": "entropy",
    "attention_entropy": "attention entropy",
    "free_energy": "free energy",
}


def limit_rows(limit: Limit, depth: float | None = None) -> dict[str, Any]:
    """Rows of a limit, or of the state at a depth that was compared with it; without what is not known."""
    values = limit.summary()
    rows = {
        "verdict": VERDICTS[values["verdict"]],
        "reason": limit.attributes.get("reason"),
        "depth compared": depth,
        "limit law": LAWS.get(str(values["law"])),
        "noise σ": values["sigma"],
        **_distances(values),
        **{name: values[key] for key, name in NUMBERS.items()},
        **_linear_theory(values, own=depth is None and _has_densities(limit)),
        **_maps(values["maps"], limit.attributes.get("starts_failed")),
        **_approach(values),
        "seconds": None if depth is not None else values["seconds"],
    }
    return {name: value for name, value in rows.items() if _known(value)}


def _known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _distances(values: Mapping[str, Any]) -> dict[str, Any]:
    """Distances are named after what they lead to: only a map has a pushforward."""
    target = "the atoms of the limit" if values["verdict"] == "several atoms" else "the pushforward"
    noisy = (values["sigma"] or 0.0) > 0.0
    return {
        f"W₁ to {target}": values["w1"],
        f"W₂ to {target}": values["w2"],
        "atoms per z without noise" if noisy else "atoms per z": values["atoms"],
        "stable": values["stable"] if _known(values["residual"]) else None,
    }


def _has_densities(limit: Limit) -> bool:
    """Whether there are densities where the limit lives: not on spheres that hold single tokens alone."""
    return limit.attributes.get("space") != "sphere" or "colatitude" in limit.record


def _linear_theory(values: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    """Growth rates of the first modes about the uniform law, or why ``own`` ones are not there."""
    rates = values["growth_rates"]
    if not rates:
        return {"linear theory": "the uniform law moves, or its modes mix"} if own else {}
    shown = ", ".join(f"{rate:.4g}" for rate in list(rates.values())[:MODES])
    clusters = values["clusters_predicted"]
    return {
        f"growth of modes 1 to {min(MODES, len(rates))}": shown,
        "clusters predicted": "none: the uniform law is stable" if clusters == 0 else clusters,
    }


def _maps(maps: list[dict[str, Any]], failed: Any) -> dict[str, Any]:
    rows: dict[str, Any] = {
        f"limit {number} of {len(maps)}": f"share {one['share']:.3g}, energy {one['energy']:.6g}, "
        f"{'stable' if one['stable'] else 'unstable'}"
        for number, one in enumerate(maps, 1)
    }
    return {**rows, "starts without a limit": failed}


def _approach(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rows of every noise, where it was halved."""
    if len(values["noise"]) < 2:
        return {}
    rows: dict[str, Any] = {
        f"at σ = {one['sigma']:.4g}": f"mean W₂² to T(z) {one['conditional']:.4g}, "
        f"predicted {one['predicted']:.4g}"
        for one in values["noise"]
    }
    return {**rows, "rate as σ → 0": f"σ^{values['noise_rate']:.4g}" if values["noise_rate"] else None}
