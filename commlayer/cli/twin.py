"""`commlayer twin`: a Twilio that runs on this machine."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from commlayer.config import Purpose, load

from .failures import Failure, Misconfigured


@click.command("twin")
@click.option("--listen", help="host:port, in place of `twin.listen`; port 0: any free.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of twin settings (accounts, senders, outcomes, faults), in place of the configuration.",
)
@click.pass_obj
def command(path: Path, listen: str | None, settings: Path | None) -> None:
    """Serve a Twilio that runs on this machine, with the accounts and senders of the configuration.

    Its books are under /__twin__/. Prints its URL once it listens.
    """
    from pydantic import ValidationError

    from commlayer import logs
    from commlayer.cli.run import address, bind_to_parent, configure_logs
    from commlayer.config.standin import twin_settings
    from commlayer.processes.parentage import is_supervised
    from twin.run import serve
    from twin.settings import TwinSettings

    bind_to_parent()
    if settings is not None:
        try:
            chosen = TwinSettings.load(settings)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {mark.line + 1}" if mark is not None else ""
            raise Misconfigured(
                f"{settings}{place}: not YAML in UTF-8", "docs/twin.md shows a whole file, under `Set it up`."
            ) from None
        except ValidationError as error:
            # Without the values: tokens are among them.
            found = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)]
            raise Misconfigured("\n  ".join([f"{settings}:", *found])) from None
        logs.configure("twin")
        listen = listen or "127.0.0.1:8090"
    else:
        loaded = load(path, frozenset({Purpose.SENDING, Purpose.SIGNING}))
        configure_logs("twin", loaded)
        chosen = twin_settings(loaded.config, loaded.secrets)
        listen = listen or loaded.config.twin.listen
    host, port = address(listen)
    try:
        serve(chosen, host, port, ready=None if is_supervised() else lambda url: click.echo(f"twin: {url}"))
    except OSError as error:
        raise Failure(f"cannot listen on {listen}: {error.strerror or error}", "choose another --listen.") from error
