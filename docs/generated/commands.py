"""Arguments and options of the commands, read off the command line itself; every command has a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.main import get_command

from generated.markdown import LOGGER, directive, table
from meanfield_pde.cli.app import app

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

#: Words that are not shown as defaults: there is none, or the help says it.
WITHOUT = (None, False, (), "", "None")


def commands() -> dict[str, Any]:
    """Return the commands by name, in the order of ``--help``."""
    return dict(getattr(get_command(app), "commands", {}))


def options(name: str) -> str:
    """Return usage, arguments and options of a command."""
    command = commands()[name]
    visible = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [each for each in visible if each.param_type_name == "argument"]
    flags = [each for each in visible if each.param_type_name == "option"]
    usage = " ".join(["meanfield-pde", name, *(each.metavar for each in arguments), "[OPTIONS]"])
    rows = [[f"`{each.metavar}`", each.help or "", _presence(each)] for each in arguments]
    rows += [[_spelled(each), each.help or "", _presence(each)] for each in flags]
    return f"```text\n{usage}\n```\n\n{table(['', 'what', 'default'], rows)}"


def _spelled(option: Any) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    return ", ".join(f"`{word}{value}`" for word in (*option.opts, *option.secondary_opts))


def _presence(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    return "" if default in WITHOUT or getattr(parameter, "is_flag", False) else f"`{default}`"


def listing() -> str:
    """Return a table of all commands, each with a link to its page."""
    rows = [[f"[`{name}`]({name}.md)", command.help or ""] for name, command in commands().items()]
    return table(["command", "what it does"], rows)


def check(_app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of a command without a page, and of a page without a command."""
    known = set(commands())
    pages = {name.removeprefix("commands/") for name in env.found_docs if name.startswith("commands/")}
    pages -= {"index"}
    for name in sorted(known - pages):
        LOGGER.warning("commands: no page docs/commands/%s.md", name)
    for name in sorted(pages - known):
        LOGGER.warning("commands: docs/commands/%s.md describes no command", name)


def setup(app_of_site: Sphinx) -> dict[str, bool]:
    """Add the directives and the check."""
    app_of_site.add_directive("command-options", directive(options, 1))
    app_of_site.add_directive("command-list", directive(listing, 0))
    app_of_site.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
