"""`commlayer status <message id>`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from commlayer.moments import moment_words
from connectors.masking import mask_number
from schemas.records import StatusUpdate

from .failures import EXIT_FAILED, Failure
from .kafka_access import open_reader
from .people import MessageId

FOLLOW_S = 72 * 3600.0 + 3600.0
"""No message lives longer than 72 h; callbacks may take a little more."""

_TIMES = ("requested_at", "admitted_at", "accepted_at", "sent_at", "delivered_at", "read_at", "updated_at")
_WORDS = {"message_class": "class", "sid": "SID"}
"""What explain and the glossary call it."""
_LEFT_OUT = ("is_final", "tags", "round", "attempts", "recipient", *_TIMES)


@click.command("status")
@click.argument("message_id", type=MessageId())
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait so long for the end.")
@click.option("--follow", is_flag=True, help="Print every change, until the end.")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of a table; with --follow one line per change.")
@click.pass_context
def command(ctx: click.Context, message_id: str, wait_s: float | None, follow: bool, as_json: bool) -> None:
    """Tell what became of a message.

    Exit code 1 when nothing is known of it, or with --wait or --follow when it did not come to its end in time.
    """
    waiting_s = FOLLOW_S if follow and wait_s is None else wait_s
    last: StatusUpdate | None = None
    for update in _updates(ctx.obj, message_id, waiting_s):
        last = update
        if follow:
            click.echo(_json_line(update) if as_json else _line(update))
        if update.is_final and waiting_s is not None:
            break
    if last is None:
        fix = "check the id (`commlayer publish` prints it); a status is there once policy has decided; see --wait."
        raise Failure(f"nothing is known of message {message_id}", fix)
    if not follow:
        click.echo(_json_line(last) if as_json else "\n".join(_table(last)))
    if waiting_s is not None and not last.is_final:
        ctx.exit(EXIT_FAILED)


def _updates(path: Path, message_id: str, waiting_s: float | None) -> Iterator[StatusUpdate]:
    from commlayer.statuses import updates

    until = None if waiting_s is None else time.monotonic() + waiting_s
    with open_reader(path, "commlayer.status") as (_, reader):
        yield from updates(reader, message_id, until=until)


def _line(update: StatusUpdate) -> str:
    reason = f"  {update.reason}" if update.reason else ""
    return f"{moment_words(update.updated_at)}  {update.status.value}{reason}{'  (final)' if update.is_final else ''}"


def _json_line(update: StatusUpdate) -> str:
    return json.dumps(update.to_avro(), ensure_ascii=False)


def _table(update: StatusUpdate) -> Iterator[str]:
    """Key and value lines; what is unknown is left out. A number on a screen is masked; --json has it whole."""
    rows: list[tuple[str, str]] = []
    for name, value in update.to_avro().items():
        if name not in _LEFT_OUT and value is not None:
            final = " (final)" if name == "status" and update.is_final else ""
            rows.append((_WORDS.get(name, name.replace("_", " ")), f"{value}{final}"))
    if update.recipient is not None:
        rows.append(("recipient", mask_number(update.recipient)))
    rows.append(("round, attempts", f"{update.round}, {update.attempts}"))
    rows += [(f"tag {key}", value) for key, value in sorted(update.tags.items())]
    rows += [
        (name.removesuffix("_at"), moment_words(at)) for name in _TIMES if (at := getattr(update, name)) is not None
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        yield f"{name:<{width}}  {value}"
