"""`commlayer topics plan|apply`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from commlayer.config import Configuration, Purpose, load
from commlayer.config.conversions import kafka_settings, topic_plan
from connectors.kafka.admin import AdminFailed, TopicAdmin
from connectors.kafka.plan import Plan

from .failures import EXIT_MISCONFIGURED, Failure

ASK_AGAIN_S = 1.0
ANSWER_WITHIN_S = 10.0

dev_option = click.option("--dev", is_flag=True, help="Accept fewer replicas than keep records safe.")


@click.group("topics")
def command() -> None:
    """Create and check topics and access rights.

    Nothing is ever deleted. In the plan `+` is a change, `!` a refusal (then nothing is done), `?` something that is
    there and not configured.
    """


@command.command("plan")
@dev_option
@click.pass_context
def plan(ctx: click.Context, dev: bool) -> None:
    """Show what apply would do. Exit code 2 when it would refuse."""
    config, admin = _open(ctx.obj)
    try:
        planned = topic_plan(config, admin.read_actual(), dev=dev)
    except AdminFailed as error:
        raise _failure(error) from error
    _show(planned)
    if planned.refusals:
        ctx.exit(EXIT_MISCONFIGURED)


@command.command("apply")
@dev_option
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=0.0, help="Seconds to wait for a broker.")
@click.pass_context
def apply(ctx: click.Context, dev: bool, wait_s: float) -> None:
    """Create missing topics, add partitions, correct settings, grant access. Applying again changes nothing."""
    config, admin = _open(ctx.obj)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            planned = topic_plan(config, admin.read_actual(), dev=dev)
            break
        except AdminFailed as error:
            if time.monotonic() >= deadline:
                raise _failure(error) from error
            time.sleep(ASK_AGAIN_S)
    if planned.refusals or not planned.changes:
        _show(planned)
        ctx.exit(EXIT_MISCONFIGURED if planned.refusals else 0)
    try:
        admin.apply(planned, done=lambda change: click.echo(f"+ {change}"))
    except AdminFailed as error:
        raise _failure(error) from error
    for drift in planned.drift:
        click.echo(f"? {drift}")
    count = len(planned.changes)
    click.echo(f"{count} {'change' if count == 1 else 'changes'} made")


def _open(path: Path) -> tuple[Configuration, TopicAdmin]:
    loaded = load(path, frozenset({Purpose.KAFKA}))
    return loaded.config, TopicAdmin(kafka_settings(loaded.config, loaded.secrets), timeout_s=ANSWER_WITHIN_S)


def _show(planned: Plan) -> None:
    for line in planned.lines():
        click.echo(line, err=line.startswith("!"))


def _failure(error: AdminFailed) -> Failure:
    return Failure(str(error), "check kafka.bootstrap, and that kafka.security names an administrator of the cluster.")
