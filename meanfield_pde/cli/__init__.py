"""The command line ``meanfield-pde``. Nothing heavy is imported before a command runs."""

from meanfield_pde.cli.entry import main

__all__ = ["main"]
