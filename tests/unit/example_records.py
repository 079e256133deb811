"""Records as a solution leaves them, made from formulas: clusters of von Mises densities that travel."""

from __future__ import annotations

import numpy as np

from meanfield_pde.records import Record, Variable

__all__ = ["example"]

TURN = 2 * np.pi


def _von_mises(theta, center, concentration):
    """exp(kappa (cos(theta - center) - 1)), normalised on the grid; axes (..., token)."""
    profile = np.exp(concentration * (np.cos(theta - center) - 1))
    return profile / (profile.mean(axis=-1, keepdims=True) * TURN)


def example(
    nodes=64,
    depths=101,
    resolution=256,
    *,
    sharpness=20.0,
    spread=1.0,
    speed=0.1,
    uniform=False,
    title="Additive positional encoding",
):
    """Nodes that start near the uniform law and concentrate at the angle 2 pi spread z + speed t."""
    time = np.linspace(0.0, 20.0, depths)
    z = (np.arange(nodes) + 0.5) / nodes if nodes > 1 else np.zeros(1)
    theta = TURN * np.arange(resolution) / resolution
    center = TURN * spread * z[None, :] + speed * time[:, None] + 0.4
    growth = np.zeros(depths) if uniform else sharpness * (1 - np.exp(-time / 4)) ** 2
    density = _von_mises(theta, center[..., None], growth[:, None, None])
    density -= 1e-17  # the rounding that a solution shows
    weights = np.full(nodes, 1 / nodes)
    token_weight = np.full(resolution, TURN / resolution)
    marginal = np.einsum("j,tjx->tx", weights, density)
    moment = np.einsum("tjx,x,x->tj", density, np.exp(1j * theta), token_weight)
    entropy = -np.einsum("tjx,j,x->t", density * np.log(np.maximum(density, 1e-300)), weights, token_weight)
    order = np.abs(moment @ weights)
    interaction = 0.5 * order**2 + 0.2 * np.abs(moment) @ weights
    series = {
        "mass_error": np.full(depths, 2e-16),
        "minimum": density.min(axis=(1, 2)),
        "interaction_energy": interaction,
        "free_energy": -interaction - 0.05 * entropy,
        "dissipation": np.abs(np.gradient(interaction, time)) if depths > 1 else np.zeros(1),
        "entropy": entropy,
        "order_parameter": order,
        "conditional_concentration": np.abs(moment) @ weights,
        "attention_entropy": entropy,
        "spectral_tail": np.full(depths, 1e-12),
    }
    variables = {
        "time": Variable(("time",), time, "depth"),
        "aux": Variable(("aux",), z, "auxiliary variable"),
        "token": Variable(("token",), theta, "angle of the token", "rad"),
        "component": Variable(("component",), np.arange(2), "component of the embedding"),
        "aux_weight": Variable(("aux",), weights, "weight of the node"),
        "token_weight": Variable(("token",), token_weight, "quadrature weight", "rad"),
        "encoding": Variable(
            ("aux", "component"), 0.5 * np.stack([np.cos(TURN * z), np.sin(TURN * z)], 1), "encoding"
        ),
        "density": Variable(("time", "aux", "token"), density, "conditional density", "1/rad"),
        "marginal": Variable(("time", "token"), marginal, "density of the tokens", "1/rad"),
        "conditional_mean": Variable(
            ("time", "aux"), np.angle(moment) % TURN, "conditional mean angle", "rad"
        ),
        "conditional_length": Variable(("time", "aux"), np.abs(moment), "length of the conditional mean"),
    }
    variables |= {
        name: Variable(("time",), values, name.replace("_", " ")) for name, values in series.items()
    }
    attributes = {
        "title": title,
        "configuration": "[noise]\nsigma = 0.05\n",
        "meanfield_pde_version": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
        "command": "meanfield-pde solve example.toml -o example.h5",
        "status": "finished",
        "method": "spectral",
        "period": TURN,
        "w1": 0.1,
        "w2": 0.15,
        "steps": 321,
    }
    return Record(variables, attributes)
