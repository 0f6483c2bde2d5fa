"""`commlayer publish`: ask for one message by options, or for many by JSON lines on standard input."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import click

from commlayer.config import Configuration, Loaded, Purpose, load
from schemas.records import Channel, MessageClass

from .failures import EXIT_DONE, EXIT_FAILED, EXIT_MISCONFIGURED, Failure, Misconfigured
from .moments import Moment
from .people import in_options, region_option
from .request_lines import BadLine, RequestLine, read_lines

BATCH = 1000
"""Lines that are published together: enough to keep the producer busy, few enough to report soon."""


class Pair(click.ParamType):
    """`key=value`."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The two, or a usage error."""
        key, equals, rest = value.partition("=")
        if not equals or not key:
            self.fail(f"`{value}` is not key=value", param, ctx)
        return key, rest


@click.command("publish")
@click.option("--app", help="The app that asks; decides the topic.")
@click.option("--to", help="The person's number, in any notation. Without it, JSON lines are read from standard input.")
@click.option("--category", help="Configured category, such as otp.")
@click.option("--body", help="The text, at most 1600 characters.")
@click.option("--media-url", "media_urls", multiple=True, help="Public URL of a picture; may be given several times.")
@click.option("--content-sid", help="SID of a Twilio Content template.")
@click.option("--template", help="One of commlayer's own templates.")
@click.option("--template-version", help="Its version; the current one by default.")
@click.option("--locale", help="Language of the template, BCP 47, such as de-CH.")
@click.option("--variable", "variables", type=Pair(), multiple=True, help="Value for a placeholder of the template.")
@click.option("--channel", type=click.Choice([channel.value for channel in Channel]), help="sms by default.")
@click.option(
    "--fallback-channel",
    "fallback_channels",
    type=click.Choice([channel.value for channel in Channel]),
    multiple=True,
    help="To try when the one before is refused or fails; may be given several times.",
)
@click.option("--recipient-id", help="The customer's id in your customer data.")
@click.option("--key", "idempotency_key", help="Idempotency key: the same key is the same message. Else a random one.")
@click.option("--sender", help="Configured sender to use.")
@click.option("--pool", help="Configured pool to choose from.")
@click.option("--not-before", type=Moment(), help="Earliest moment: 10m, 2h, ISO 8601 with zone, or epoch ms.")
@click.option("--deadline", type=Moment(), help="Latest moment.")
@click.option("--validity", "validity_period_s", type=int, help="Seconds the message may wait inside Twilio.")
@click.option("--campaign", help="Reported back with every status.")
@click.option("--tag", "tags", type=Pair(), multiple=True, help="Reported back, and given to Twilio.")
@click.option("--correlation-id", help="Your own reference; reported back.")
@click.option("--in-reply-to", help="SID of the inbound message that this one answers.")
@click.option("--smart-encoding/--no-smart-encoding", default=None, help="Twilio's; as configured by default.")
@click.option("--shorten-urls/--no-shorten-urls", default=None, help="Twilio's; as configured by default.")
@click.option("--urgent/--no-urgent", default=None, help="Use the urgent topic; by default for critical categories.")
@region_option
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=1), default=30.0, show_default=True, help="Seconds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each message, failures too.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    app: str | None,
    default_region: str | None,
    timeout_s: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask for messages and wait until Kafka holds the requests. Prints the message ids.

    \b
    commlayer publish --app shop --to "+1 415 555 0123" --category otp --body "Your code is 4711"
    commlayer publish --app shop < requests.jsonl

    A line is an object with "to", "category", "body" and so on, as the parameters of commlayer_client.Publisher.send;
    "app" may stand in it. What cannot be published is told by line number with its reason and fix, and the rest goes
    on. Exit codes: 0 all are in Kafka, 1 one is not and may be repeated, 2 the others cannot be right as they are.
    """
    loaded = load(ctx.obj, frozenset({Purpose.KAFKA, Purpose.REGISTRY}))
    fields = _fields(options)
    if "to" in fields:
        if app is None:
            raise click.UsageError("--app is missing: it decides the topic.")
        lines: Iterator[RequestLine | BadLine] = iter([RequestLine(1, app, fields)])
    elif fields:
        raise click.UsageError(f"--to is missing beside {', '.join(sorted(fields))}.")
    else:
        lines = read_lines(_standard_input(), app)
    codes: set[int] = set()
    with Publishers(loaded, default_region=default_region, timeout_s=timeout_s) as publishers:
        for batch in _batches(lines):
            for line, outcome in publishers.publish(batch):
                codes.add(_tell(line, outcome, as_json=as_json, one="to" in fields))
    if not codes:
        raise click.UsageError("nothing to publish: standard input is empty. Give --to, or pipe in JSON lines.")
    ctx.exit(next((code for code in (EXIT_FAILED, EXIT_MISCONFIGURED) if code in codes), EXIT_DONE))


class Publishers(contextlib.ExitStack):
    """One publisher for each app that is asked for."""

    def __init__(self, loaded: Loaded, *, default_region: str | None, timeout_s: float) -> None:
        super().__init__()
        self._loaded = loaded
        self._default_region = default_region
        self._timeout_s = timeout_s
        self._open: dict[str, Any] = {}

    def publish(self, batch: Sequence[RequestLine | BadLine]) -> Iterator[tuple[int, Any]]:
        """Line number and Receipt, PublishError or BadLine of each, in order."""
        from commlayer_client import PublishError

        outcomes: dict[int, Any] = {line.number: line for line in batch if isinstance(line, BadLine)}
        good = [line for line in batch if isinstance(line, RequestLine)]
        for app in dict.fromkeys(line.app for line in good):
            of_app = [line for line in good if line.app == app]
            unknown = unknown_app(self._loaded.config, app)
            if unknown is not None:
                outcomes |= {line.number: BadLine(line.number, *unknown) for line in of_app}
                continue
            outcomes |= {bad.number: bad for line in of_app if (bad := unknown_name(self._loaded.config, line))}
            of_app = [line for line in of_app if line.number not in outcomes]
            try:
                receipts = self.publisher(app).send_many([line.fields for line in of_app])
            except PublishError as error:  # about none of them: no contracts, no publishing
                raise Failure(error.detail, error.fix) from error
            outcomes |= dict(zip((line.number for line in of_app), receipts, strict=True))
        return iter(sorted(outcomes.items()))

    def publisher(self, app: str) -> Any:
        """The app's SyncPublisher.

        Raises:
            Misconfigured: its settings cannot be right.
        """
        from commlayer_client import SyncPublisher

        from commlayer.config.conversions import kafka_settings

        if app not in self._open:
            config, secrets = self._loaded.config, self._loaded.secrets
            kafka = kafka_settings(config, secrets).client_config()
            registry = config.registry
            login = None
            if registry is not None and registry.username is not None and registry.password is not None:
                login = (registry.username, secrets.value(registry.password))
            try:
                publisher = SyncPublisher(
                    app,
                    str(kafka.pop("bootstrap.servers")),
                    config=kafka,
                    timeout_s=self._timeout_s,
                    default_region=self._default_region,
                    urgent_categories=_critical(config, app),
                    registry_url=None if registry is None else registry.url,
                    registry_login=login,
                    registry_ca_file=None if registry is None else registry.ca_file,
                )
            except ValueError as error:
                raise Misconfigured(str(error)) from error
            self._open[app] = self.enter_context(publisher)
        return self._open[app]


def _tell(line: int, outcome: Any, *, as_json: bool, one: bool) -> int:
    """Print what became of a line. Returns its exit code."""
    from commlayer_client import InvalidRequest, MessageTooLarge, NotAuthorized, Receipt, UnknownTopic

    if isinstance(outcome, Receipt):
        shown = {
            "line": line,
            "message_id": outcome.message_id,
            "topic": outcome.topic,
            "partition": outcome.partition,
            "offset": outcome.offset,
            "idempotency_key": outcome.idempotency_key,
        }
        click.echo(json.dumps(shown) if as_json else outcome.message_id)
        return EXIT_DONE
    what, fix, fate = _failure(outcome)
    if as_json:
        failure = {"line": line, "error": what, "fix": fix, "fate": fate}
        if not isinstance(outcome, BadLine) and outcome.idempotency_key is not None:
            failure |= {"idempotency_key": outcome.idempotency_key, "message_id": outcome.message_id}
        click.echo(json.dumps(failure))
    else:
        place = "error" if one else f"line {line}"
        unknown = "" if fate != "unknown" else f" It may be in Kafka: repeat it with --key {outcome.idempotency_key}."
        click.echo(f"{place}: {what}. Fix: {fix}{unknown}", err=True)
    hopeless = (BadLine, InvalidRequest, MessageTooLarge, NotAuthorized, UnknownTopic)
    return EXIT_MISCONFIGURED if isinstance(outcome, hopeless) else EXIT_FAILED


def _failure(outcome: Any) -> tuple[str, str, str]:
    if isinstance(outcome, BadLine):
        return outcome.what, in_options(outcome.fix), "not published"
    field = f"{outcome.field}: " if getattr(outcome, "field", None) else ""
    what = outcome.detail if outcome.detail.startswith(field) else f"{field}{outcome.detail}"
    return what, in_options(outcome.fix), outcome.fate.value


def _standard_input() -> BinaryIO:
    """What is piped in; a person at a terminal is told what is waited for."""
    if sys.stdin.isatty():
        click.echo("Reading JSON lines from the terminal, to the end of the input (Ctrl-D).", err=True)
    return click.get_binary_stream("stdin")


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in options.items() if value not in (None, ())}
    for name in ("variables", "tags"):
        if name in fields:
            fields[name] = dict(fields[name])
    return fields


def _batches(lines: Iterator[RequestLine | BadLine]) -> Iterator[list[RequestLine | BadLine]]:
    while batch := list(itertools.islice(lines, BATCH)):
        yield batch


def unknown_app(config: Configuration, app: str) -> tuple[str, str] | None:
    """What is wrong with the app's name, and the fix; None for a configured one."""
    from commlayer.config.suggest import instead

    if app in config.apps:
        return None
    return f"app: no app is called `{app}`", instead(app, config.apps, otherwise="configure it.")


def unknown_name(config: Configuration, line: RequestLine) -> BadLine | None:
    """What a request names and the configuration does not know; policy would deny it."""
    from commlayer.config.suggest import instead

    app = config.apps[line.app]
    known = {
        "category": app.categories,
        "sender": tuple(config.senders),
        "pool": tuple(config.pools),
        "template": tuple(config.templates),
    }
    for field, names in known.items():
        name = line.fields.get(field)
        if isinstance(name, str) and name and name not in names:
            what = "is not granted to this app" if field == "category" and name in config.categories else "is not known"
            fix = instead(name, names, otherwise="configure it.")
            return BadLine(line.number, f"{field}: `{name}` {what}", fix)
    return None


def _critical(config: Configuration, app: str) -> list[str]:
    return [
        name for name in config.apps[app].categories if config.categories[name].message_class is MessageClass.CRITICAL
    ]
