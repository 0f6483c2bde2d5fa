"""`commlayer demo`: the whole blueprint with live traffic."""

from __future__ import annotations

import asyncio

import click

from .failures import Failure

MOST_SURPRISES = 20


@click.command("demo")
@click.option(
    "--seconds",
    type=click.FloatRange(5, 3600),
    default=25,
    show_default=True,
    envvar="DEMO_SECONDS",
    show_envvar=True,
    help="Length of the traffic; starting and draining come on top.",
)
@click.option("--bootstrap", help="host:port of an empty Kafka, in place of the embedded broker.")
@click.pass_context
def command(ctx: click.Context, seconds: float, bootstrap: str | None) -> None:
    """Run every process with a twin and an embedded broker; apps send, a few customers answer.

    Closes with the twin's books against what was requested. Exit code 1 if they do not balance.
    """
    from rich.console import Console

    from commlayer.demo.show import DemoFailed, Run, closing_table

    console = Console()
    try:
        result = asyncio.run(Run(seconds, bootstrap, console).perform())
    except DemoFailed as failed:
        raise Failure(str(failed)) from failed
    console.print(closing_table(result))
    for surprise in result.surprises[:MOST_SURPRISES]:
        click.echo(f"not as planned: {surprise}")
    if len(result.surprises) > MOST_SURPRISES:
        click.echo(f"not as planned: {len(result.surprises) - MOST_SURPRISES} more")
    click.echo(result.line())
    ctx.exit(0 if result.balanced else 1)
