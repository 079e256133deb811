"""The gallery: runs every shipped configuration and makes its page and its figure.

    python docs/gallery.py                  what is not there yet, or was made of another configuration
    python docs/gallery.py kuramoto torus   these, anew

Every configuration is finished before the next begins, and files are kept in build/gallery, so that the
script goes on where it was stopped. Figures are reduced for the site. What files say of their datasets goes
into generated/long_names.json.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
from PIL import Image

from meanfield_pde import shipped

sys.path.insert(0, str(Path(__file__).resolve().parent))
from examples import FOLDER, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = FOLDER / "gallery"
WORK = FOLDER.parent / "build" / "gallery"
NAMES = FOLDER / "generated" / "long_names.json"
#: What is run where it is not plainly `solve`, `design` or `train`.
SPECIAL = {
    "phase-diagram": "sweep {name} --over attention.beta=0.25:4:32 --over encoding.amplitude=0:1.5:32"
    " -o {name}.h5",
    "ring-transition": "bifurcation {name} --parameter encoding.amplitude --from 0.04 --to 1.2 -o {name}.h5",
}
#: What is run besides, before the figure is drawn.
FURTHER = {
    "additive-ring": ("compare {name}.h5",),
    "minilm-scaled": ("compare {name}.h5",),
}
#: Files whose kind the configurations above do not leave: what is described of them is asked for here.
EXTRA = (
    "limit additive-ring -o limit.h5 --set auxiliary.nodes=8 --halvings 2",
    "limit additive-ring -o maps.h5 --set auxiliary.nodes=8 --set noise.sigma=0 --starts 2",
    "ablation --quick -o ablation.h5",
)
RESUMABLE = ("solve", "train", "sweep", "ablation")
WIDTH, COLORS = 1100, 96


def commands(name: str, text: str) -> list[str]:
    """Return what is run for a configuration, without the name of the program."""
    verb = "design" if "\n[design]" in text else "train" if "\n[training]" in text else "solve"
    first = SPECIAL.get(name, verb + " {name} -o {name}.h5")
    return [each.format(name=name) for each in (first, *FURTHER.get(name, ()), "plot {name}.h5")]


def description(text: str) -> str:
    """Return the comment that a configuration begins with, without the commands in it."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    prose = [line.replace(" 16 x 16 points:", "") for line in lines if not line.startswith("meanfield-pde ")]
    return "\n".join(prose).strip()


def make(name: str, path: Path) -> float:
    """Run a configuration in a folder of its own, write page, figure and descriptions; seconds taken."""
    begin = time.perf_counter()
    text = path.read_text(encoding="utf-8")
    printed: list[str] = []
    folder = WORK / f"{name}-{digest(text)[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands(name, text):
        printed += [f"$ meanfield-pde {command}", *run(command, folder)]
    reduce(folder / f"{name}.png", PAGES / f"{name}.png")
    describe(folder / f"{name}.h5")
    (PAGES / f"{name}.md").write_text(page(name, text, printed), encoding="utf-8")
    return time.perf_counter() - begin


def run(command: str, folder: Path) -> list[str]:
    """Run a command, going on with what it left when it was stopped, and return what it prints.

    Raises
    ------
    RuntimeError
        When it fails.
    """
    program = Path(sys.executable).with_name("meanfield-pde")
    words = shlex.split(command)
    further = ["--resume"] if words[0] in RESUMABLE else [] if words[0] == "compare" else ["--overwrite"]
    status, printed = execute([str(program), *words, *further], folder, seconds=None)
    if status:
        raise RuntimeError(f"meanfield-pde {command}: exit status {status}: {' '.join(printed[-3:])}")
    return [line for line in printed if "starting from the beginning" not in line]  # said of --resume


def page(name: str, text: str, printed: list[str]) -> str:
    """Return the page of a configuration."""
    title = shipped.title(shipped.configurations()[name])
    output = "\n".join(printed)
    return f"""# {title}

<!-- configuration: {digest(text)}; this page is written by docs/gallery.py -->

{description(text)}

```console
{output}
```

![{title}]({name}.png)

The configuration, `meanfield-pde init {name}`:

```{{literalinclude}} ../../meanfield_pde/configurations/{name}.toml
:language: toml
```
"""


def digest(text: str) -> str:
    """Return what tells configurations apart."""
    return hashlib.sha256(text.encode()).hexdigest()


def reduce(source: Path, target: Path) -> None:
    """Write a figure with fewer pixels and colours."""
    with Image.open(source) as figure:
        size = (WIDTH, round(figure.height * WIDTH / figure.width))
        smaller = figure.convert("RGB").resize(min(size, figure.size), Image.Resampling.LANCZOS)
    smaller.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


def describe(path: Path) -> None:
    """Add long names and units of all datasets of a file to those that are known."""
    known = json.loads(NAMES.read_text(encoding="utf-8")) if NAMES.is_file() else {}
    with h5py.File(path) as file:
        kind = str(file.attrs.get("kind", "solution"))
        for place, group in _groups(file, kind):
            names, found = known.setdefault(place, {}), _described(group)
            # Names of what is on a grid are those of the circle; elsewhere coordinates differ, and say so.
            is_circle = str(file.attrs.get("space", "circle")) == "circle"
            known[place] = names | found if is_circle else found | names
    ordered = {place: dict(sorted(names.items())) for place, names in sorted(known.items())}
    NAMES.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _groups(file: h5py.File, kind: str) -> Iterator[tuple[str, h5py.Group]]:
    yield kind, file
    groups = {name: each for name, each in file.items() if isinstance(each, h5py.Group)}
    if kind != "ablation":
        yield from (("limit/limit", group) for name, group in groups.items() if name == "limit")
        return
    for name, group in groups.items():
        yield "trained-ablation" if name.startswith("trained") else "ablation/family", group


def _described(group: h5py.Group) -> dict[str, list[str]]:
    sets = {name: each for name, each in group.items() if isinstance(each, h5py.Dataset)}
    return {
        name: [str(each.attrs["long_name"]), str(each.attrs.get("units", "1"))]
        for name, each in sets.items()
        if "long_name" in each.attrs
    }


def is_there(name: str, path: Path) -> bool:
    """Whether page and figure were made of this configuration."""
    made, figure = (PAGES / f"{name}{ending}" for ending in (".md", ".png"))
    if not (made.is_file() and figure.is_file()):
        return False
    return digest(path.read_text(encoding="utf-8")) in made.read_text(encoding="utf-8")


def main() -> None:
    """Make what is asked for, or what is missing."""
    PAGES.mkdir(exist_ok=True)
    known = shipped.configurations()
    asked = sys.argv[1:] or [name for name, path in known.items() if not is_there(name, path)]
    for name in asked:
        print(f"{name}: {make(name, known[name]):.0f} s", flush=True)
    if not sys.argv[1:]:
        for command in EXTRA:
            run(command, WORK)
            describe(WORK / next(word for word in shlex.split(command) if word.endswith(".h5")))


if __name__ == "__main__":
    main()
