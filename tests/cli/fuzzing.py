"""Random configurations through the command line, right ones and wrong ones: what comes of them is checked.

Whatever a configuration says, a command ends with a valid file and status 0, with status 3, one line and at
most a valid file, or with status 2, one line and nothing written. The suite draws 200; the long run is

    python -m tests.cli.fuzzing --examples 10000
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import meanfield_pde as mf
from meanfield_pde.cli import main

OUT = "out.h5"
#: Seconds after which a command is interrupted: that, too, it has to survive.
PATIENCE = 8.0
#: Mass is kept to this by every method at any tolerance that is drawn.
MASS = 1e-9

ANGLES = st.sampled_from([0.0, 1.0, -2.5, 3.2])
SIZES = st.sampled_from([0.0, 0.3, 0.5, 1.0, 2.0])
MATRIX = {
    2: [[[1.0, 0.0], [0.0, 1.0]], [[0.5, -0.8], [0.8, 0.5]], [[1.0, 0.0], [0.0, 0.0]]],
    3: [
        [[1.5, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.8]],
        [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
    ],
}
NUMBERS = (
    -1,
    0,
    1,
    2,
    3,
    5,
    0.1,
    -0.5,
    1e-320,
    1e308,
    -1e308,
    math.nan,
    math.inf,
    -math.inf,
    10**30,
    True,
    False,
)
TEXTS = ("", "none", "nonesuch", "a\nb", "../x", "é")
LISTS = ([], [0.0], [[1, 2.0, 0.0]], [[]], [[1.0, 0.0], [0.0]], {}, {"kind": "none"}, ["a"], [math.nan])
#: What does not belong anywhere, and what lies at the edge of what does.
POISON = st.sampled_from([*NUMBERS, *TEXTS, *LISTS])
#: Keys whose large values are legal and cost what they cost.
DEAR = {("time", "final"), ("token", "resolution"), ("auxiliary", "nodes"), ("solver", "max_resolution")}


def maybe(strategy):
    """Leave it out, or not."""
    return st.none() | strategy


def table(**values):
    """Return tables of these values; what is None is left out."""
    return st.fixed_dictionaries(values).map(lambda found: {k: v for k, v in found.items() if v is not None})


def just(*values):
    return st.sampled_from(values)


TOKENS = st.one_of(
    table(space=just("circle"), resolution=just(8, 16, 31)),
    table(space=just("circle"), resolution=just(8, 16, 31)),
    table(space=just("sphere"), resolution=just(8)),
    table(space=just("zonal"), resolution=just(8, 12), dimension=just(None, 2, 3, 50)),
    table(space=just("torus"), resolution=just(8, 12), dimension=just(None, 1, 2)),
    table(space=just("sphere"), resolution=just(8), dimension=just(2, 4, 8)),
)
PLAIN = st.just({}) | table(kind=just("uniform", "legendre"), nodes=just(1, 2, 3, 3, 5, 8))
AUXILIARY = st.one_of(
    table(kind=just("table"), file=just("data.h5"), dataset=just("rows", "wide"), z_dataset=just(None, "z")),
    table(kind=just("table"), file=just("rows.csv", "rows.txt", "rows.npy")),
    table(kind=just("table"), file=just("objects.npy", "junk.h5", "missing.npy")),
)
BIASES = st.one_of(
    st.just({}),
    table(bias=just("none", "causal", "within")),
    table(bias=just("window"), width=just(0.0, 0.3)),
    table(bias=just("alibi"), slope=just(0.0, 2.0)),
    table(bias=just("alibi"), slope=just(1.0)),
)
COMPONENT = table(center=maybe(ANGLES), concentration=SIZES, weight=just(None, 0.5))


def merged(*tables):
    """Return the union of tables that are drawn one by one."""
    return st.tuples(*tables).map(lambda parts: {key: value for part in parts for key, value in part.items()})


def drawn_by_space(token):
    """Size of the embedding, encodings, initial laws, and prompts that a space has."""
    space, dimension = token["space"], token.get("dimension")
    line = space == "circle" or (space == "torus" and dimension == 1)
    size = {"sphere": dimension or 3, "zonal": 2}.get(space, 2 if line else 4)
    rows = table(
        kind=just("additive"), shape=just("table"), file=just("rows.npy"), components=just(None, [0, 1])
    )
    shapes = just("line") if space == "zonal" else just("ring", "line", "sinusoidal")
    curves = table(kind=just("additive"), shape=shapes, amplitude=SIZES, corruption=just(None, None, 0.1))
    planes = just(1.0, -3.0, 6.283) if line or space == "sphere" else just([1.0, 2.0])
    turns = table(kind=just("rotary"), frequency=planes)
    centers = ANGLES if line else just([1.0, 0.0, 0.0]) if space == "sphere" else st.none()
    row = (
        just([[1, 0.3, 0.0]], [[2, 0.5, 1.0], [1, 0.2, 0.0]])
        if space != "torus" or line
        else just([[1, 1, 0.2, 0.0]])
    )
    unit = [1.0] + [0.0] * (size - 1)
    pairs = [1.0, 0.0] * (size // 2)
    laws = st.one_of(
        st.just({}),
        table(kind=just("fourier"), modes=row),
        table(kind=just("vonmises"), center=maybe(centers), concentration=SIZES, turns=just(None, None, 1.0)),
        table(kind=just("mixture"), components=st.lists(COMPONENT, min_size=1, max_size=2)),
        table(kind=just("uniform"), perturbation=just(None, 0.1, 0.9), seed=just(None, 3)),
    )
    if space == "sphere" and size != 3:
        laws = table(kind=just("points"), points=just([unit, unit[::-1]], [unit]))
    elif line:
        laws |= table(kind=just("points"), angles=st.lists(ANGLES, min_size=1, max_size=4, unique=True))
    shares = just(0.0, 0.2, 0.9)
    prompts = table(angles=st.lists(ANGLES, min_size=1, max_size=3), fraction=shares)
    if not line:
        prompts = table(points=just([pairs if space == "torus" else unit]), fraction=shares)
    if space == "zonal":
        turns, size = curves, dimension or 3
        prompts = table(points=just([[1.0] + [0.0] * (size - 1)]), fraction=shares)
    return size, st.one_of(st.just({}), curves, curves, rows if line else curves, turns), laws, prompts


def attention(size):
    """Tables of one head or several with matrices of this size."""
    matrices = maybe(just(*MATRIX[size])) if size in MATRIX else st.none()
    head = table(beta=just(0.5, 1.0, 3.0, 0.0), query=matrices, value=matrices)
    options = table(normalization=just(None, "softmax", "none"), values=just(None, None, "encoded", "token"))
    heads = table(heads=maybe(st.lists(merged(head, BIASES), min_size=1, max_size=2)))
    return merged(head, BIASES, options) | merged(head, options, heads)


def drifts(size):
    """Drifts on the circle, or of a perceptron in other dimensions."""
    entries = just([0.1] * (size**2))
    perceptrons = table(
        features=just("perceptron"), activation=just("relu", "tanh", "gelu"), parameters=entries
    )
    if size > 2:
        return perceptrons
    return perceptrons | st.one_of(
        table(degree=just(0), parameters=just([0.2])),
        table(degree=just(1), parameters=just([0.0, 0.3, -0.1])),
    )


TARGET = st.one_of(
    table(kind=just("vonmises"), center=maybe(ANGLES), concentration=SIZES),
    table(kind=just("uniform")),
    table(kind=just("arc"), width=just(2.0)),
    table(kind=just("points"), angles=just([0.0, 1.0])),
)
TIME = table(final=just(0.1, 0.5, 1.0), save=just(None, 2, 3)) | table(
    final=just(0.5), stop=just("steady"), tolerance=just(None, 1e-2)
)
METHODS = {
    "circle": ("auto", "spectral", "finite-volume", "characteristics"),
    "zonal": ("auto", "finite-volume"),
}


@st.composite
def configurations(draw):
    """Tables that fit each other more often than not."""
    token = draw(TOKENS)
    size, encodings, laws, prompts = drawn_by_space(token)
    points = token["space"] == "sphere" and size != 3
    finest = just(16) if token["space"] == "sphere" else just(32, 64, 64)
    found = {
        "token": token,
        "auxiliary": draw(AUXILIARY if draw(st.integers(0, 3)) == 0 else PLAIN),
        "encoding": draw(encodings),
        "attention": draw(attention(size)),
        "noise": draw(table(sigma=st.none() if points else just(None, 0.0, 0.1, 0.5))),
        "initial": draw(laws),
        "time": draw(TIME),
        "solver": {
            **draw(table(method=just(None, *METHODS.get(token["space"], ("auto",))))),
            **draw(table(rtol=just(1e-3, 1e-2), atol=just(1e-3, 1e-4), max_resolution=finest)),
        },
    }
    if draw(st.integers(0, 9)) == 0:
        found["attention"] = {"beta": 1.0, "bias": "table", "file": "square.npy"}
    for name, tables, share in (("prompt", prompts, 5), ("drift", drifts(size), 6)):
        if draw(st.integers(1, share)) == 1:
            found[name] = draw(tables)
    return found


@st.composite
def damaged(draw):
    """The same with up to two values that may be anything."""
    found = draw(configurations())
    for _ in range(draw(just(0, 0, 0, 1, 1, 2))):
        name = draw(just(*found, "atention"))
        whole = draw(st.integers(0, 9)) == 0
        if whole:
            found[name] = draw(POISON)
            continue
        values = found.get(name)
        if not isinstance(values, dict):
            continue
        key = draw(just(*values, "amplitud", "beta", "kind"))
        value = draw(POISON)
        if (name, key) in DEAR and isinstance(value, int | float) and value > 100:
            continue
        found[name] = {**values, key: value}
    return found


@dataclass(frozen=True)
class Case:
    """A configuration and the command that gets it."""

    tables: dict
    command: str
    arguments: tuple[str, ...] = ()

    def text(self):
        """Return the configuration as TOML."""
        lines = [
            f"{name} = {literal(value)}" for name, value in self.tables.items() if not isinstance(value, dict)
        ]
        for name, values in self.tables.items():
            if isinstance(values, dict):
                lines += [f"[{name}]", *(f"{key} = {literal(value)}" for key, value in values.items())]
        return "\n".join(lines) + "\n"


def literal(value):
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return {"nan": "nan", "inf": "inf", "-inf": "-inf"}.get(repr(value), repr(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {literal(item)}" for key, item in value.items()) + "}"
    return str(value)


@st.composite
def cases(draw):
    """All commands that take a configuration."""
    command = draw(
        just(
            "solve", "solve", "solve", "limit", "limit", "validate", "bifurcation", "train", "design", "sweep"
        )
    )
    tables = draw(damaged())
    arguments = ()
    if command == "bifurcation":
        parameter = draw(
            just("noise.sigma", "attention.beta", "encoding.amplitude", "prompt.fraction", "time.final")
        )
        ends = draw(just(("0.5", "0.6"), ("0.1", "0.1"), ("nan", "1"), ("-1", "0.2")))
        arguments = ("--parameter", parameter, f"--from={ends[0]}", f"--to={ends[1]}", "--points", "3")
    elif command == "train":
        tables["training"] = draw(
            table(
                degree=just(None, 1, 2, 2),
                intervals=just(1, 3),
                iterations=just(1, 2),
                loss=table(kind=just("l2", "kl"), target=TARGET)
                | table(kind=just("linear"), modes=just([[1, 0.5, 0.0]])),
            )
        )
    elif command == "design":
        kinds = just("additive", "prompt", "rotary")
        tables["design"] = draw(table(encoding=kinds, amplitude=just(None, 2.0, "least"), target=TARGET))
    elif command == "sweep":
        over = draw(
            just(
                "attention.beta=0.5,1",
                "noise.sigma=0:1:2",
                "noise.sigma=1:0",
                "nothing.x=1",
                "time.final=a,b",
            )
        )
        of = draw(just("solve", "limit", "train"))
        # one process for all points would be started for each example: only what is refused before that
        over = over if over.startswith(("noise.sigma=1:0", "nothing", "time")) else "nothing.y=1,2"
        arguments = ("--over", over, "--of", of)
    if draw(st.integers(0, 9)) == 0:
        wrong = draw(
            just(
                "attention.beta=x", "a.b=1", "time.final=-1", "solver.rtol=1e-3", "beta=1", "token.space=disk"
            )
        )
        arguments = (*arguments, "--set", wrong)
    return Case(tables, command, arguments)


def write_data(folder):
    """Write files that fit, and files that do not."""
    rows = np.array([[0.5, 0.1], [0.2, -0.3], [-0.4, 0.0]])
    with mf_file(folder / "data.h5") as file:
        file["rows"], file["wide"], file["z"] = rows, np.arange(12.0).reshape(3, 4), np.array([0.0, 0.5, 1.0])
    np.savetxt(folder / "rows.csv", rows, delimiter=",")
    np.savetxt(folder / "rows.txt", rows)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "square.npy", np.zeros((3, 3)))
    # unpickled, it would write a file
    np.save(folder / "objects.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    (folder / "junk.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)))


def mf_file(path):
    """Return a new HDF5 file."""
    import h5py

    return h5py.File(path, "w")


class Trap:
    """An object whose unpickling leaves a trace."""

    def __reduce__(self):
        """Say what unpickling calls."""
        return os.mkdir, ("trapped",)


@dataclass(frozen=True)
class Ending:
    """Exit status, what was printed, and seconds."""

    status: int
    out: str
    err: str
    seconds: float


@contextmanager
def interrupted_after(seconds):
    """Send SIGINT to this process when that has taken too long."""
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def command_line(*arguments):
    """Run a command in this process, in the current folder."""
    out, err, began = io.StringIO(), io.StringIO(), time.perf_counter()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(list(arguments))
    return Ending(status, out.getvalue(), err.getvalue(), time.perf_counter() - began)


def played(case):
    """Run a case in a folder of its own, check what comes of it, and return how it ended."""
    with tempfile.TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        write_data(folder)
        (folder / "case.toml").write_text(case.text())
        before = set(folder.rglob("*"))
        output = () if case.command == "validate" else ("-o", OUT, "--quiet")
        with interrupted_after(PATIENCE):
            ending = command_line(case.command, "case.toml", *case.arguments, *output)
        written = {path.name for path in set(folder.rglob("*")) - before}
        check(case, ending, written)
        if ending.status == 0 and OUT in written:
            check_file(case.command)
    return ending


def check(case, ending, written):
    """Status, messages, and which files there are."""
    assert ending.status in {0, 2, 3, 130}, ending
    assert written <= {OUT}, written
    if ending.status == 0:
        assert (OUT in written) == (case.command != "validate")
        return
    lines = ending.err.splitlines()
    assert len(lines) == 1, ending.err
    assert lines[0].startswith("meanfield-pde: "), ending.err
    assert "Traceback" not in ending.err
    if ending.status == 2:
        assert not written, written
    elif OUT in written:
        mf.open(OUT)


def check_file(command):
    """Open it as users do: all checks of its kind are made, and numbers that must be finite are."""
    result = mf.open(OUT)
    if command == "solve":
        assert np.abs(result.mass_error).max() < MASS
        assert np.isfinite(result.density).all()
        assert np.isfinite(result.order_parameter).all()
    described = command_line("info", OUT, "--json")
    assert described.status == 0, described.err
    json.loads(described.out)


def arguments_of(given_):
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.cli.fuzzing", description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None, help="seed of the draws (default: a new one)")
    return parser.parse_args(given_)


def long_run(examples, seed):
    """Play many cases; the first that fails is made small and raised. Return how the others ended."""
    from hypothesis import seed as seeded

    endings: Counter[str] = Counter()
    slow: list[tuple[float, Case]] = []

    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), print_blob=True,
    )  # fmt: skip
    @given(cases())
    def everything(case):
        ending = played(case)
        endings[f"{case.command} {ending.status}"] += 1
        slow.append((ending.seconds, case))
        slow.sort(key=lambda one: -one[0])
        del slow[5:]
        if sum(endings.values()) % 500 == 0:
            sys.stderr.write(f"{sum(endings.values())} examples\n")

    began = time.perf_counter()
    with np.errstate(all="raise", under="ignore"):
        (everything if seed is None else seeded(seed)(everything))()
    counted = {"examples": sum(endings.values()), "seconds": round(time.perf_counter() - began), **endings}
    slowest = [f"# {seconds:.1f} s: {case.command}\n{case.text()}" for seconds, case in slow]
    return "\n".join([json.dumps(counted), *slowest])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell runs this behind
    options = arguments_of(sys.argv[1:])
    sys.stdout.write(long_run(options.examples, options.seed))
