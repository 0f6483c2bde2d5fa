"""The command line. One file per command; each is imported only when it runs, so that `commlayer status` need not load
Faust.

Exit codes of every command: 0 done, 1 failed (trying again may help), 2 configuration or usage (it will not).
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import click

from .failures import EXIT_FAILED, EXIT_MISCONFIGURED

DEFAULT_CONFIG = "commlayer.yaml"

COMMANDS = {
    "run": "Run a stage, the bridge, or everything.",
    "publish": "Ask for messages.",
    "cancel": "Take a message back.",
    "status": "Tell what became of a message.",
    "explain": "Tell why something happened to a message, or would.",
    "dead": "Show, replay and drop records that could not be used.",
    "lanes": "Show, pause and pace lanes, groups, accounts and apps.",
    "consent": "Show, change, import and export consent and opt-outs.",
    "topics": "Create and check topics and access rights.",
    "schemas": "Check, register and release the contracts.",
    "config": "Check and show the configuration.",
    "twin": "Serve a Twilio that runs on this machine.",
    "templates": "Check and show templates.",
    "segments": "Count the SMS segments of texts.",
    "demo": "Run the whole blueprint with live traffic.",
    "version": "Print the version.",
}
"""Command to its line in --help, which must not import it."""


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LazyCommands(click.Group):
    """Commands live in `commlayer.cli.<name>` as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of use; a command without file is not shown."""
        return [name for name in COMMANDS if importlib.util.find_spec(f"{__name__}.{name}") is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of --help, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a wrong configuration becomes its list of problems and exit code 2, a full disk behind
        standard output one line and exit code 1."""
        from commlayer.config.problems import ConfigurationInvalid  # here: problems alone import nothing heavy

        try:
            return super().invoke(ctx)
        except ConfigurationInvalid as invalid:
            click.echo(f"error: {invalid}", err=True)
            ctx.exit(EXIT_MISCONFIGURED)
        except OSError as error:
            if error.errno not in _FULL or error.filename is not None:
                raise
            click.echo(f"error: what is told cannot be written: {error.strerror}", err=True)
            ctx.exit(EXIT_FAILED)


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar="COMMLAYER_CONFIG",
    show_envvar=True,
    help="Configuration file.",
)
@click.pass_context
def main(ctx: click.Context, config_path: Path) -> None:
    """The Enterprise Communications Layer: from requests on Kafka to messages at Twilio, and back.

    Exit codes: 0 done, 1 failed (trying again may help), 2 configuration or usage (it will not).
    """
    ctx.obj = config_path
