"""Imports point one way: cli to problem to equation to its parts, and from the model to the solvers."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = "meanfield_pde"
PARTS = {"spaces", "attention", "encodings", "auxiliary", "initial", "energies", "observables"}
FRONT = {"cli", "config", "problem", "solve", "records", "figures"}
CHOOSE_THE_SPACE = {"spaces", "problem", "config"}


def imported(source: str, module: str) -> set[str]:
    """Full names of what ``module`` imports, also inside functions; names of a from-import included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return names


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def part(name: str) -> str:
    """``meanfield_pde.spaces.circle`` belongs to the part ``spaces``; empty outside the model."""
    package, _, rest = name.partition(".")
    return rest.partition(".")[0] if package == MODEL else ""


def allowed(module: str, name: str) -> bool:
    """Whether ``module`` (full name) may import ``name``."""
    if within(module, "solvers"):
        return not within(name, MODEL)
    if part(module) in PARTS and part(name) in FRONT:
        return False
    if part(module) == "figures" and (
        within(name, "solvers") or part(name) in {"solve", "equation", "problem"}
    ):
        return False
    return part(module) in CHOOSE_THE_SPACE or not within(name, f"{MODEL}.spaces.circle")


def violations(source: str, module: str) -> list[str]:
    return [
        f"{module} imports {name}" for name in sorted(imported(source, module)) if not allowed(module, name)
    ]


def modules() -> dict[str, Path]:
    """Every module of both packages; a package's own name stands for its ``__init__``."""
    found = {}
    for package in (MODEL, "solvers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


def test_imports_point_one_way():
    sources = {module: path.read_text(encoding="utf-8") for module, path in modules().items()}
    assert sources
    assert [found for module, source in sources.items() for found in violations(source, module)] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("solvers.integrate", "import meanfield_pde"),
        ("solvers.integrate", "def f():\n    from meanfield_pde.errors import InputError"),
        ("meanfield_pde.spaces.circle", "from meanfield_pde.config import Configuration"),
        ("meanfield_pde.spaces.circle", "from ..records import Record"),
        ("meanfield_pde.energies", "from meanfield_pde import solve"),
        ("meanfield_pde.encodings", "from . import problem"),
        ("meanfield_pde.attention.__init__", "from .. import cli"),
        ("meanfield_pde.figures", "import solvers.integrate"),
        ("meanfield_pde.figures.page", "from ..equation import Equation"),
        ("meanfield_pde.equation", "from meanfield_pde.spaces import circle"),
        ("meanfield_pde.attention.kernels", "import meanfield_pde.spaces.circle as space"),
    ],
)
def test_violation_is_found(module, source):
    assert violations(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("solvers.integrate", "from solvers.phi import phi\nimport numpy"),
        ("meanfield_pde.problem", "from meanfield_pde.spaces.circle import Circle"),
        ("meanfield_pde.spaces.__init__", "from .circle import Circle"),
        ("meanfield_pde.equation", "from solvers import integrate\nfrom .spaces import Space"),
        ("meanfield_pde.figures.page", "from ..records import Record"),
    ],
)
def test_legal_import_is_left_alone(module, source):
    assert violations(source, module) == []
