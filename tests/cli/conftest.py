"""The command line, run in this process in an empty folder."""

from dataclasses import dataclass

import pytest

from meanfield_pde.cli import main


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, capsys):  # noqa: ARG001 (commands run in the folder)
    def run_command(*arguments):
        status = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(status, printed.out, printed.err)

    return run_command
