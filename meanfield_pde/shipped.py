"""Configurations and data that come with the package, in a clone and in an installed wheel."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["configurations", "data_file", "data_names", "title", "version"]

PACKAGE = Path(__file__).resolve().parent
DISTRIBUTION = "meanfield-pde"
INSTALLED = f"share/{DISTRIBUTION}/data"


def version() -> str:
    """Version of the package; "unknown" in a source tree that is not installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "unknown"


def configurations() -> dict[str, Path]:
    """Shipped configurations by name, in alphabetical order."""
    return {path.stem: path for path in sorted((PACKAGE / "configurations").glob("*.toml"))}


def title(path: Path) -> str:
    """Title that a shipped configuration gives itself."""
    return str(tomllib.loads(path.read_text(encoding="utf-8")).get("title", ""))


def data_file(name: str) -> Path | None:
    """Shipped data file of that name, if there is one."""
    return _data().get(name)


def data_names() -> list[str]:
    """Names of the shipped data files."""
    return sorted(_data())


@cache
def _data() -> dict[str, Path]:
    clone = PACKAGE.parent / "data"
    if (PACKAGE.parent / "pyproject.toml").is_file() and clone.is_dir():
        return {path.name: path for path in clone.iterdir() if path.is_file()}
    return _installed_data()


def _installed_data() -> dict[str, Path]:
    """Find the data of an installed wheel: the record of the installation knows where it went."""
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    located = (Path(str(file.locate())).resolve() for file in files if INSTALLED in file.as_posix())
    return {path.name: path for path in located if path.is_file()}
