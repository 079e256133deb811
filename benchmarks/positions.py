"""``python -m benchmarks positions [--write]``: limits of the real positions as their amplitude grows.

All 512 learned position embeddings of a trained sentence encoder (data/), β = 2, softmax, σ = 0.05: the
stationary density at every amplitude, its order parameter R, and W₂ of its token marginal to the pushforward
of ν by the limit map without noise.

Up to an amplitude of 3 runs of rtol = 1e-6 suffice: at 2 and 3 there is no such map, positions keep several
atoms, whose masses depend on the whole history.
"""

import argparse
import json
import time
from pathlib import Path

import meanfield_pde as mf
from meanfield_pde.figures import style

RESULTS = Path(__file__).parent / "results"
AMPLITUDES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
ACCURACY, UP_TO = {"solver.rtol": 1e-6, "solver.atol": 1e-8}, 3.0
NAMES = (
    "order_parameter",
    "w2",
    "nearest_dirac",
    "conditional_concentration",
    "leading_eigenvalue",
    "residual",
)


def row(amplitude: float) -> dict[str, object]:
    """Find the limit at an amplitude."""
    began = time.perf_counter()
    accuracy = ACCURACY if amplitude <= UP_TO else {}
    problem = mf.load("minilm-scaled", {"encoding.amplitude": amplitude, **accuracy})
    try:
        limit = mf.limit(problem)
    except mf.LimitError as error:
        return {"amplitude": amplitude, "failed": str(error)}
    summary = limit.summary()
    facts = {name: summary[name] for name in (*NAMES, "atoms", "verdict", "stable")}
    return {"amplitude": amplitude, **facts, "seconds": round(time.perf_counter() - began, 1)}


def draw(rows: list[dict[str, object]], path: Path) -> None:
    """Draw order parameter and distances against the amplitude."""
    found = [one for one in rows if "failed" not in one]
    amplitudes = [one["amplitude"] for one in found]
    with style.applied():
        page = style.page(2.9)
        left, right = page.subplots(1, 2)
        style.head(left, "a")
        left.plot(amplitudes, [one["order_parameter"] for one in found], "o-", color=style.BLUE, **MARK)
        left.set(xlabel="Amplitude of the positions", ylabel="Order parameter $R$", ylim=(-0.04, 1.04))
        style.head(right, "b")
        names = {"w2": r"to $T_{\#}\nu$", "nearest_dirac": "to a Dirac mass"}
        for (name, label), colour in zip(names.items(), (style.VERMILION, style.GREEN), strict=True):
            own = [(one["amplitude"], one[name]) for one in found if one[name] is not None]
            right.plot(*zip(*own, strict=True), "o-", color=colour, label=label, **MARK)
        split = [one for one in found if one["verdict"] == "several atoms"]
        places = [one["amplitude"] for one in split], [one["w2"] for one in split]
        right.plot(*places, "o", color=style.VERMILION, mfc="white", label="to several atoms", **MARK)
        right.set(xlabel="Amplitude of the positions", ylabel=r"$W_2$ of the token marginal", yscale="log")
        style.key(right)
        page.savefig(path, dpi=style.RESOLUTION, metadata={"Title": "Real positions as they grow"})


MARK = {"markersize": 3.0, "linewidth": 0.9}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks positions", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write results/positions.json and positions.png")
    options = parser.parse_args(arguments)
    rows = []
    for amplitude in AMPLITUDES:
        rows.append(row(amplitude))
        print(json.dumps(rows[-1]), flush=True)
        if options.write:
            (RESULTS / "positions.json").write_text(json.dumps(rows, indent=1) + "\n")
    if options.write:
        draw(rows, RESULTS / "positions.png")
