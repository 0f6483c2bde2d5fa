"""`commlayer cancel`: an operator takes a message back for its app."""

from __future__ import annotations

from pathlib import Path

import click

from commlayer.config import Purpose, load

from .failures import Failure, Misconfigured
from .people import MessageId, in_options, region_option
from .publish import Publishers, unknown_app


@click.command("cancel")
@click.argument("message_id", type=MessageId(), required=False)
@click.option("--app", required=True, help="The app that asked for the message.")
@click.option("--to", required=True, help="The person's number, in any notation.")
@click.option("--key", "idempotency_key", help="Idempotency key of the request, in place of the message id.")
@click.option("--urgent", is_flag=True, help="The message went by the app's urgent topic.")
@click.option("--reason", help="Why, for the message's story.")
@region_option
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=30.0, show_default=True, help="Seconds.")
@click.pass_obj
def command(
    path: Path,
    message_id: str | None,
    app: str,
    to: str,
    idempotency_key: str | None,
    urgent: bool,
    reason: str | None,
    default_region: str | None,
    timeout_s: float,
) -> None:
    """Take a message back, and wait until Kafka holds the wish.

    \b
    commlayer cancel 5c6f... --app shop --to "+1 415 555 0123"
    commlayer cancel --key order-17 --app shop --to "+1 415 555 0123" --reason "wrong price"

    What waits, in policy, in a lane or for its hour, is not sent. What Twilio has already goes out all the same.
    """
    from commlayer_client import InvalidRequest, PublishError

    if (message_id is None) == (idempotency_key is None):
        raise click.UsageError("name the message: by its id, or by --key.")
    loaded = load(path, frozenset({Purpose.KAFKA, Purpose.REGISTRY}))
    unknown = unknown_app(loaded.config, app)
    if unknown is not None:
        raise Misconfigured(unknown[0], unknown[1])
    with Publishers(loaded, default_region=default_region, timeout_s=timeout_s) as publishers:
        try:
            receipt = publishers.publisher(app).cancel(
                to=to, message_id=message_id, idempotency_key=idempotency_key, reason=reason, urgent=urgent
            )
        except InvalidRequest as error:
            raise Misconfigured(error.detail, in_options(error.fix)) from error
        except PublishError as error:
            raise Failure(error.detail, in_options(error.fix)) from error
    click.echo(
        f"asked to cancel {receipt.message_id}; `commlayer status {receipt.message_id}` tells whether it was in time"
    )
