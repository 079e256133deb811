"""The site builds without a warning, and its examples print what it shows."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def _examples():
    spec = importlib.util.spec_from_file_location("examples", DOCS / "examples.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


EXAMPLES = _examples()


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    folders = ["-d", str(tmp_path / "doctrees"), str(DOCS), str(tmp_path / "html")]
    done = subprocess.run([*command, *folders], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    built = (tmp_path / "html" / "commands" / "animate.html").read_text()
    assert "Frames per second" in built  # read off the command line: the source of the page does not say it


@pytest.mark.parametrize("page", EXAMPLES.pages())
def test_examples_print_what_is_shown(page, tmp_path):
    assert EXAMPLES.run_page(page, tmp_path) == []


def test_every_command_has_an_example_that_is_run():
    from meanfield_pde.cli.app import app

    names = {command.name or command.callback.__name__ for command in app.registered_commands}
    for name in names - {"ablation"}:  # its examples take minutes
        blocks = EXAMPLES.blocks((DOCS / "commands" / f"{name}.md").read_text().splitlines())
        lines = [line for block in blocks if block.is_run and not block.is_long for line in block.lines]
        assert any(line.startswith(f"$ meanfield-pde {name} ") for line in lines), name


PAGE = """
```python
print("one 1.0000", 3)
```

```text
one 1.0049 3
```

<!-- example: status 2 -->
```console
$ meanfield-pde init nothing
meanfield-pde: init: no shipped configuration 'nothing'; there is one
```
"""


def test_a_wrong_output_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(EXAMPLES, "FOLDER", tmp_path)
    (tmp_path / "page.md").write_text(PAGE.replace("1.0049 3", "1.02 3"))
    script, command = EXAMPLES.run_page("page", tmp_path)
    assert "shows 'one 1.02 3', printed 'one 1.0000 3'" in script
    assert "there is one" in command
    EXAMPLES.run_page("page", tmp_path, write=True)
    assert EXAMPLES.run_page("page", tmp_path) == []
    assert "one 1.0000 3" in (tmp_path / "page.md").read_text()


def test_numbers_agree_to_a_percent_and_words_to_the_letter():
    same = EXAMPLES._same
    assert same("R  2.51e-08", "R -9.9e-08")
    assert same("steps 1000", "steps 1008")
    assert not same("steps 1000", "steps 1020")
    assert not same("status finished", "status stopped")
    assert not same("1 2", "1")


def test_figures_of_the_gallery_are_small():
    """Less than three megabytes together: they are part of every clone."""
    assert sum(path.stat().st_size for path in (DOCS / "gallery").glob("*.png")) < 3e6


def test_seconds_and_steps_are_not_compared():
    differences = EXAMPLES._differences
    shown = ["  seconds      1.5", '{"seconds": 1.5, "steps": 10, "w1": 0.5}', "  branch   15 points to 2"]
    printed = ["  seconds    10.25", '{"seconds": 99, "steps": 12, "w1": 0.5}', "  branch  16 points to 2"]
    assert differences(shown, printed) == []
    assert differences(shown[1:2], [printed[1].replace("0.5", "0.6")]) != []
    assert differences(shown[2:], [printed[2].replace("to 2", "to 3")]) != []
