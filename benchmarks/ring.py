"""``python -m benchmarks ring [--write]``: the transition of the additive ring as its amplitude grows.

Without noise, for β = 0.5, 1, 2 and 4: limit maps followed upwards from collapse and downwards from the
spread state, each from the last one, slightly disturbed where that is stable no longer; and the collapsed
branch by continuation, with its fold. From where the spread state collapses up to the fold both are stable.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import meanfield_pde as mf
from meanfield_pde.figures import style
from meanfield_pde.initial import Initial, Tokens, uniform

RESULTS = Path(__file__).parent / "results"
BETAS = (0.5, 1.0, 2.0, 4.0)
NODES, AMPLITUDES = 32, np.arange(0.04, 1.21, 0.04)
#: Standard deviation, radians, of the disturbance between two amplitudes.
DISTURBANCE = 1e-3


@dataclass(frozen=True)
class Sweep:
    """Order parameters of the limit maps at the amplitudes, upwards and downwards, and the fold."""

    beta: float
    up: list[float]
    down: list[float]
    fold: float
    fold_order_parameter: float
    branch: tuple[list[float], list[float], list[int]]


def problem(beta: float, amplitude: float) -> mf.Problem:
    """Shipped problem at another inverse temperature and amplitude."""
    settings = {"attention.beta": beta, "encoding.amplitude": amplitude, "auxiliary.nodes": NODES}
    return mf.load("ring-transition", settings)


def followed(beta: float, amplitudes: Iterable[float], start: NDArray[np.float64]) -> list[float]:
    """Order parameters of limit maps, each from the last."""
    rng, places, found = np.random.default_rng(0), start, []
    for amplitude in amplitudes:
        disturbed = (places + DISTURBANCE * rng.standard_normal(places.size)) % (2.0 * np.pi)
        tokens = Tokens(disturbed[:, None], np.ones((places.size, 1)))
        here = replace(problem(beta, float(amplitude)), initial=Initial(uniform, tokens=tokens))
        places = mf.limit(here, start=places).pushforward_map  # the one nearby, if it is stable
        found.append(float(abs(np.exp(1j * places).mean())))
    return found


def swept(beta: float) -> Sweep:
    """Both directions, and the branch that is collapsed at the smallest amplitude."""
    positions = 2.0 * np.pi * (np.arange(NODES) + 0.5) / NODES
    up = followed(beta, AMPLITUDES, 1e-2 * np.random.default_rng(1).standard_normal(NODES))
    down = followed(beta, AMPLITUDES[::-1], positions)[::-1]
    ends = float(AMPLITUDES[0]), float(AMPLITUDES[-1])
    try:
        diagram = mf.bifurcation(problem(beta, 1.0), "encoding.amplitude", *ends)
    except mf.BifurcationError as error:
        diagram = error.diagram
    own = collapsed(diagram)
    turn = int(np.argmax(diagram.parameter[own]))
    columns = tuple(diagram.record[name][own].tolist() for name in ("parameter", "order_parameter", "stable"))
    return Sweep(
        beta,
        up,
        down,
        float(diagram.parameter[own][turn]),
        float(diagram.order_parameter[own][turn]),
        columns,
    )


def collapsed(diagram: mf.Bifurcation) -> NDArray[np.bool_]:
    """Points of the branch that begins collapsed."""
    first = [int(np.flatnonzero(diagram.branch == index)[0]) for index in np.unique(diagram.branch)]
    chosen = max(first, key=lambda point: diagram.order_parameter[point] - 10.0 * diagram.parameter[point])
    return np.asarray(diagram.branch == diagram.branch[chosen])


def draw(sweeps: list[Sweep], path: Path) -> None:
    """Draw a panel for every β."""
    with style.applied():
        page = style.page(4.6)
        axes = page.subplots(2, 2, sharex=True, sharey=True)
        for ax, sweep, letter in zip(axes.ravel(), sweeps, "abcd", strict=True):
            style.head(ax, letter, rf"$\beta = {sweep.beta:g}$, fold at $a = {sweep.fold:.4f}$")
            ax.axvspan(*bistable(sweep), color=style.SHADE, linewidth=0, label="both stable")
            values, order = (np.array(column) for column in sweep.branch[:2])
            turn = int(np.argmax(values))
            ax.plot(values[: turn + 1], order[: turn + 1], color=style.BLUE, label="collapsed branch")
            ax.plot(values[turn:], order[turn:], color=style.BLUE, dashes=(3, 1.5), label="unstable")
            ax.plot(AMPLITUDES, sweep.up, "^", color=style.BLUE, markersize=2.6, label="upwards")
            ax.plot(AMPLITUDES, sweep.down, "v", color=style.VERMILION, markersize=2.6, label="downwards")
            ax.plot([sweep.fold], [sweep.fold_order_parameter], "D", **FOLD, label="fold")
            ax.set(xlim=(0.0, 1.2), ylim=(-0.04, 1.06))
        for ax in axes[1]:
            ax.set_xlabel("Amplitude $a$ of the ring")
        for ax in axes[:, 0]:
            ax.set_ylabel("Order parameter $R$")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        page.legend(handles, labels, loc="outside lower center", ncols=6)
        page.savefig(path, dpi=style.RESOLUTION, metadata={"Title": "Transition of the additive ring"})


FOLD = {"markersize": 4.0, "markerfacecolor": "white", "markeredgecolor": style.BLACK, "linestyle": "none"}


def bistable(sweep: Sweep) -> tuple[float, float]:
    """Amplitudes from the collapse of the spread state to the fold."""
    spread = AMPLITUDES[np.array(sweep.down) < 0.5]
    return (float(spread.min()) if spread.size else sweep.fold), sweep.fold


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ring", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write results/ring.json and results/ring.png")
    options = parser.parse_args(arguments)
    sweeps = []
    for beta in BETAS:
        sweep = swept(beta)
        low, high = bistable(sweep)
        print(f"beta {beta:g}: fold at a = {sweep.fold:.6f} (R = {sweep.fold_order_parameter:.4f}), "
              f"spread down to a = {low:.2f}, both from {low:.2f} to {high:.4f}")  # fmt: skip
        sweeps.append(sweep)
    if options.write:
        table = [vars(sweep) for sweep in sweeps]
        content = {"nodes": NODES, "amplitudes": AMPLITUDES.tolist(), "sweeps": table}
        (RESULTS / "ring.json").write_text(json.dumps(content, indent=1) + "\n")
        draw(sweeps, RESULTS / "ring.png")
