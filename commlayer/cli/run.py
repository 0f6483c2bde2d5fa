"""`commlayer run policy|dispatch|feedback|bridge|all`."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path

import click

from commlayer import logs
from commlayer.config import Configuration, Loaded, Purpose, load
from commlayer.config.fields import host_and_port
from commlayer.processes import PURPOSES, Process, RunOptions
from commlayer.processes.parentage import Orphaned, die_with_parent

from .failures import Failure, Misconfigured


@click.group("run")
def command() -> None:
    """Run a stage, the bridge, or everything.

    A process stops within 15 s of SIGTERM or Ctrl-C. Exit codes: 0 told to stop, 1 something broke (start it again),
    2 configuration or topics are wrong.
    """


def _run(ctx: click.Context, process: Process, options: RunOptions) -> None:
    bind_to_parent()
    loaded = load(ctx.obj, PURPOSES[process])
    configure_logs(process.value, loaded)
    module = importlib.import_module(f"commlayer.processes.{process.value}")
    ctx.exit(module.run(loaded, options))


def _stage(process: Process, line: str) -> click.Command:
    @click.option("--health-port", type=click.IntRange(0, 65535), help="In place of the configured one; 0: any free.")
    @click.option(
        "--instance-id",
        envvar="COMMLAYER_INSTANCE_ID",
        show_envvar=True,
        help="Static group membership: a quick restart disturbs nobody. Never for two living copies: both would send.",
    )
    @click.pass_context
    def run(ctx: click.Context, health_port: int | None, instance_id: str | None) -> None:
        _run(ctx, process, RunOptions(health_port=health_port, instance_id=instance_id))

    run.__doc__ = line
    return click.command(process.value)(run)


for _process, _line in {
    Process.POLICY: "May it be sent, by whom, when, how urgently?",
    Process.DISPATCH: "Send what policy admitted, at each sender's pace.",
    Process.FEEDBACK: "Tell what became of messages and what people answered.",
}.items():
    command.add_command(_stage(_process, _line))


@command.command("bridge")
@click.option("--listen", help="host:port, in place of `bridge.listen`; port 0: any free.")
@click.pass_context
def bridge(ctx: click.Context, listen: str | None) -> None:
    """Take Twilio's webhooks. Health and metrics are on the same address."""
    _run(ctx, Process.BRIDGE, RunOptions(listen=None if listen is None else address(listen)))


@command.command("all", short_help="Everything on one machine.")
@click.option("--twin", is_flag=True, help="Serve the twin as well (see the section `twin:`).")
@click.pass_context
def everything(ctx: click.Context, twin: bool) -> None:
    """Every stage and the bridge as processes of their own, on one machine.

    A process that breaks is started again, after 1 s and then longer, up to 30 s.
    """
    path: Path = ctx.obj
    loaded = load(path, frozenset(Purpose))  # all mistakes at once, before anything starts
    configure_logs("all", loaded)
    try:
        ctx.exit(asyncio.run(_supervise(path, loaded.config, readable=logs.readable(), twin=twin)))
    except OSError as error:
        place = f"{loaded.config.health.host}:{loaded.config.health.all}"
        raise Failure(f"cannot serve health on {place}: {error.strerror or error}", "change health.all.") from error


async def _supervise(path: Path, config: Configuration, *, readable: bool, twin: bool) -> int:
    from commlayer.processes.supervisor import Child, Supervisor
    from commlayer.processes.together import Together

    environment = {logs.FORMAT_VARIABLE: "text" if readable else "json"}
    base = [sys.executable, "-m", "commlayer", "--config", str(path)]
    children = [Child(process.value, [*base, "run", process.value], environment) for process in Process]
    if twin:
        children.insert(0, Child("twin", [*base, "twin"], environment))

    def write(name: str, line: str) -> None:
        # JSON lines name their process themselves, and must stay JSON.
        click.echo(f"{name:<8} | {line}" if readable else line, err=True)

    supervisor = Supervisor(children, write=write)
    together = Together([child.name for child in children], supervisor.runs, _ready_urls(config))
    async with together.served(config.health.host, config.health.all):
        return await supervisor.run()


def _ready_urls(config: Configuration) -> dict[str, str]:
    """Where each process that has a port of its own tells whether it is ready."""
    places = {
        process.value: (config.health.host, getattr(config.health, process.value))
        for process in Process
        if process is not Process.BRIDGE
    }
    places[Process.BRIDGE.value] = host_and_port(config.bridge.listen)
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
    return {name: f"http://{here.get(host, host)}:{port}/health/ready" for name, (host, port) in places.items() if port}


def configure_logs(process: str, loaded: Loaded) -> None:
    """Logging for this process, and what the configuration warns of."""
    import structlog

    try:
        logs.configure(process, secrets=loaded.secrets.values())
    except ValueError as error:
        raise Misconfigured(str(error)) from error
    for warning in loaded.warnings:
        structlog.get_logger(__name__).warning("configuration", at=warning.place, what=warning.what, fix=warning.fix)


def address(listen: str) -> tuple[str, int]:
    """Host and port of a --listen option.

    Raises:
        Misconfigured: it is no such pair.
    """
    try:
        return host_and_port(listen)
    except ValueError as error:
        raise Misconfigured(str(error), "write host:port, for example 127.0.0.1:8080.") from error


def bind_to_parent() -> None:
    """Do not outlive a `run all` that started this process."""
    try:
        die_with_parent()
    except Orphaned as orphaned:
        raise Failure(str(orphaned)) from orphaned
