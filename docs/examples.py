"""The examples of the site, run as a reader would run them, page by page, each page in a folder of its own.

    python docs/examples.py                       the quick ones of all pages
    python docs/examples.py --all                 the long ones, too
    python docs/examples.py start commands/solve  pages
    python docs/examples.py --all --write         put what was printed into the pages

What is run in a page, in its order:

* blocks ``console``: lines that begin with ``$ meanfield-pde``, with what they print below;
* blocks ``python``: scripts; a block ``text`` that follows at once is what they print.

A line ``<!-- file: NAME -->`` before a block writes it into a file. A line ``<!-- example: ... -->`` says
``long`` (not in the test suite), ``shown`` (never run), or ``status N`` (exit status of the last command).
What was printed must be what is shown: word for word, and numbers to one percent or 1e-5. Seconds, dates, and
how many steps, iterations and points it took depend on the machine: they are not compared.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

__all__ = ["FOLDER", "Block", "blocks", "execute", "pages", "run_page"]

FOLDER = Path(__file__).resolve().parent
#: Made by docs/gallery.py, which runs all commands in them.
GALLERY = "gallery/"
FENCE = re.compile(r"^```(\S*).*$")
MARK = re.compile(r"^<!-- (file|example): (.+) -->$")
#: Numbers depend on the machine in their last digits, and where they are rounding errors in all of them.
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w])")
RELATIVE, ABSOLUTE = 0.01, 1e-5
#: What depends on the machine, the day or the load: rows of tables, values of JSON, counts of points.
PASSING = re.compile(
    r"((?:^|\s)(?:seconds|created|(?:rejected )?steps|evaluations|iterations|gradients evaluated)\s\s+"
    r"|memory, about[^\d]*"
    r'|"(?:seconds|created|steps|rejected|evaluations|iterations|points)": )[^,}\n]+'
)
POINTS = re.compile(r"\d+ points")
SECONDS = 600
SCRIPT = "example.py"
LIMITS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass
class Block:
    """A block of a page that is written or run, and the lines (first, end) that show what it prints."""

    language: str
    lines: list[str]
    number: int
    file: str = ""
    marks: tuple[str, ...] = ()
    shown: tuple[int, int] | None = None
    printed: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def is_long(self) -> bool:
        """Whether only ``--all`` runs it."""
        return "long" in self.marks

    @property
    def status(self) -> int:
        """Exit status of the last command."""
        return next((int(mark.split()[1]) for mark in self.marks if mark.startswith("status")), 0)

    @property
    def is_run(self) -> bool:
        """Whether it is an example at all."""
        commands = self.language == "console" and any(line.startswith("$ ") for line in self.lines)
        return "shown" not in self.marks and not self.file and (commands or self.language == "python")


def pages() -> list[str]:
    """Return the names of the pages that have examples."""
    found = sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.md"))
    return [
        name
        for name in found
        if not name.startswith((GALLERY, "_")) and any(block.is_run for block in blocks(_read(name)))
    ]


def _read(page: str) -> list[str]:
    return (FOLDER / f"{page}.md").read_text(encoding="utf-8").splitlines()


def blocks(lines: list[str]) -> list[Block]:
    """Return all fenced blocks of a page; a block ``text`` that follows a script is what that prints."""
    found: list[Block] = []
    number, marks = 0, {}
    while number < len(lines):
        mark, fence = MARK.match(lines[number]), FENCE.match(lines[number])
        if mark:
            marks[mark[1]] = mark[2]
        elif fence:
            end = lines.index("```", number + 1)
            _add(found, lines, (number, end), fence[1], marks)
            number, marks = end, {}
        number += 1
    return found


def _add(
    found: list[Block], lines: list[str], span: tuple[int, int], language: str, marks: dict[str, str]
) -> None:
    number, end = span
    script = found[-1] if found and found[-1].language == "python" else None
    if language == "text" and script and not any(lines[script.number + len(script.lines) + 2 : number]):
        script.shown = (number + 1, end)
        return
    said = tuple(word.strip() for word in marks.get("example", "").split(","))
    found.append(Block(language, lines[number + 1 : end], number, marks.get("file", ""), said))


def run_page(page: str, folder: Path, *, everything: bool = False, write: bool = False) -> list[str]:
    """Run the examples of a page in a folder and return what is wrong, one text for every failure."""
    lines = _read(page)
    found = blocks(lines)
    problems = []
    for block in found:
        if block.file:
            (folder / block.file).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        elif block.is_run and (everything or not block.is_long):
            found_here = _run(block, lines, folder, write)
            block.failed = bool(found_here)
            problems += [f"{page}.md:{block.number + 1}: {problem}" for problem in found_here]
    if write:
        (FOLDER / f"{page}.md").write_text("\n".join(_rewritten(lines, found)) + "\n", encoding="utf-8")
    return problems


def _run(block: Block, lines: list[str], folder: Path, write: bool) -> list[str]:
    if block.language == "python":
        (folder / SCRIPT).write_text("\n".join(block.lines) + "\n", encoding="utf-8")
        status, block.printed = execute([sys.executable, SCRIPT], folder)
        shown = lines[slice(*block.shown)] if block.shown else []
        problems = [] if status == block.status else [f"exit status {status}: {' '.join(block.printed[-3:])}"]
        return problems + ([] if write else _differences(shown, block.printed))
    problems = []
    commands = list(_commands(block.lines))
    for position, (source, shown) in enumerate(commands):
        command = " ".join(line.removesuffix("\\").strip() for line in source).removeprefix("$ ")
        words = shlex.split(command)
        if words[0] != "meanfield-pde":
            problems.append(f"runs {words[0]}, not meanfield-pde")
            continue
        program = Path(sys.executable).with_name(words[0])
        status, printed = execute([str(program), *words[1:]], folder)
        wanted = block.status if position == len(commands) - 1 else 0
        if status != wanted:
            problems.append(f"`{command}`: exit status {status}, not {wanted}: {' '.join(printed[-3:])}")
        block.printed += [*source, *printed]
        problems += [] if write else [f"`{command}`: {text}" for text in _differences(shown, printed)]
    return problems


def _commands(lines: list[str]) -> list[tuple[list[str], list[str]]]:
    """Return the commands of a block, each as its lines and those of what it prints."""
    found: list[tuple[list[str], list[str]]] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(([line], []))
        elif found and found[-1][0][-1].endswith("\\") and not found[-1][1]:
            found[-1][0].append(line)
        elif found:
            found[-1][1].append(line)
    return found


def execute(command: list[str], folder: Path, seconds: float | None = SECONDS) -> tuple[int, list[str]]:
    """Run a command and return its exit status and what it printed on both streams."""
    environment = os.environ | LIMITS | {"COLUMNS": "90", "MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
    )
    return done.returncode, [line.rstrip() for line in done.stdout.decode().splitlines()]


def _differences(shown: list[str], printed: list[str]) -> list[str]:
    """Say where what was printed is not what is shown."""
    return [
        f"shows {first!r}, printed {second!r}"
        for first, second in zip_longest(shown, printed, fillvalue="")
        if not _same(_lasting(first), _lasting(second))
    ]


def _lasting(line: str) -> str:
    return POINTS.sub("points", PASSING.sub(r"\1", line))


def _same(first: str, second: str) -> bool:
    if NUMBER.sub("0", first).split() != NUMBER.sub("0", second).split():
        return False
    pairs = zip(map(float, NUMBER.findall(first)), map(float, NUMBER.findall(second)), strict=True)
    return all(math.isclose(one, two, rel_tol=RELATIVE, abs_tol=ABSOLUTE) for one, two in pairs)


def _rewritten(lines: list[str], found: list[Block]) -> list[str]:
    """Return the lines of a page with what was printed in the place of what is shown."""
    result = list(lines)
    for block in reversed(found):
        if not block.printed or block.failed:
            continue
        if block.language == "console":
            result[block.number + 1 : block.number + 1 + len(block.lines)] = block.printed
        elif block.shown:
            result[slice(*block.shown)] = block.printed
    return result


def main() -> int:
    """Run the examples of pages and print what is wrong."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("pages", nargs="*", help="such as start or commands/solve (default: all)")
    parser.add_argument("--all", action="store_true", help="the long ones, too")
    parser.add_argument("--write", action="store_true", help="put what was printed into the pages")
    chosen = parser.parse_args()
    failures = 0
    for page in chosen.pages or pages():
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            problems = run_page(page, Path(folder), everything=chosen.all, write=chosen.write)
        print(f"{page}: {'failed' if problems else 'ok'}, {time.perf_counter() - begin:.1f} s", flush=True)
        for problem in problems:
            print(f"  {problem}")
        failures += bool(problems)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
