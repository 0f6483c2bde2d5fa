"""`commlayer explain`: why something happened to a message, or would."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import click

from commlayer.config import ConfigurationInvalid, load
from commlayer.moments import epoch_ms

from .failures import EXIT_DONE, EXIT_FAILED, EXIT_MISCONFIGURED, Failure
from .kafka_access import open_reader, telling_progress
from .moments import Moment, Since
from .people import MessageId
from .request_lines import BadLine, RequestLine, read_lines

if TYPE_CHECKING:
    from commlayer.config import Configuration, Loaded
    from commlayer.explaining.attempts import Places
    from commlayer.explaining.known import Known
    from commlayer.topic_reader import TopicReader
    from schemas.records import MessageRequest
    from streams.policy.profile import Profile

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NOTATION = re.compile(r"[\s().-]")


@click.command("explain")
@click.argument("message_id", type=MessageId(), required=False)
@click.option(
    "--to", "recipient", metavar="NUMBER", help="All messages of a person, newest last; reads all partitions."
)
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="With --to: so many messages.")
@click.option("--since", type=Since(), help="Read from 2h, 7d ago or a moment on; with --to from 7d ago by default.")
@click.option("--dry-run", "file", type=click.File("rb"), help="JSON lines of requests; - for stdin.")
@click.option("--app", help="With --dry-run: the app that asks.")
@click.option("--profile", type=click.File("r", encoding="utf-8"), help="With --dry-run: customer data, YAML or JSON.")
@click.option("--now", type=Moment(), help="With --dry-run: the moment of decision.")
@click.option("--offline", is_flag=True, help="With --dry-run: read nothing from Kafka.")
@click.option("--json", "as_json", is_flag=True, help="JSON in place of text.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    message_id: str | None,
    recipient: str | None,
    last: int,
    since: int | None,
    file: IO[bytes] | None,
    app: str | None,
    profile: IO[str] | None,
    now: Any,
    offline: bool,
    as_json: bool,
) -> None:
    """Tell what happened to a message and why: rules, facts, lanes, attempts, errors and what can be done.

    \b
    commlayer explain 0b7c2f4e-...
    commlayer explain --to +14155550123 --since 2d
    commlayer explain --dry-run requests.jsonl --app shop --now 2026-12-24T22:00:00-06:00

    Numbers are masked. --dry-run asks every rule about a request, as `commlayer publish` takes it, also behind the
    first denial, with what Kafka holds of the person (consent, earlier messages) and of the lanes. With --offline, or
    where Kafka is away, the person is taken for a stranger; what was not available is told. Its exit codes: 0 none is
    denied, 1 one is denied, 2 one cannot be read.
    """
    given = [name for name, value in (("MESSAGE_ID", message_id), ("--to", recipient), ("--dry-run", file)) if value]
    if len(given) != 1:
        raise click.UsageError("give one: a message id, --to NUMBER or --dry-run FILE.")
    if file is None and (app or profile or now is not None or offline):
        raise click.UsageError("--app, --profile, --now and --offline belong to --dry-run.")
    if file is not None:
        real_ms = time.time_ns() // 1_000_000
        now_ms = real_ms if now is None else epoch_ms(now, real_ms)
        ctx.exit(_dry_run(ctx.obj, file, app, profile, now_ms, offline=offline, as_json=as_json))
    if message_id is not None:
        _message(ctx.obj, message_id, since, as_json=as_json)
    elif recipient is not None:
        _person(ctx.obj, recipient, since, last, as_json=as_json)


def _message(path: Path, message_id: str, since_ms: int | None, *, as_json: bool) -> None:
    from commlayer.config.conversions import error_policy
    from commlayer.explaining.looking_up import of_message
    from commlayer.explaining.telling import as_data, lines

    with open_reader(path, "commlayer.explain") as (loaded, reader), telling_progress("comms.attempts") as progress:
        story = of_message(
            reader, message_id, places=lambda: _places(loaded, reader), since_ms=since_ms, progress=progress
        )
    if story is None:
        fix = "check the id (`commlayer publish` prints it); what policy could not read is in `commlayer dead list`."
        raise Failure(f"nothing is known of message {message_id}", fix)
    errors = error_policy(loaded.config)
    if as_json:
        click.echo(json.dumps(as_data(story, errors), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(lines(story, errors)))


def _places(loaded: Loaded, reader: TopicReader) -> Places:
    from commlayer.config.conversions import kafka_settings, lane_table
    from commlayer.explaining.attempts import Places
    from commlayer.lanes.control_log import ControlLog

    control = ControlLog(kafka_settings(loaded.config, loaded.secrets), reader.codec)
    return Places(lane_table(loaded.config), control.read())


def _person(path: Path, recipient: str, since_ms: int | None, last: int, *, as_json: bool) -> None:
    from commlayer.config.conversions import error_policy
    from commlayer.explaining.looking_up import of_person
    from commlayer.explaining.telling import as_data, lines

    number = _NOTATION.sub("", recipient)
    if _E164.fullmatch(number) is None:
        raise click.UsageError("--to: write plus, country code and number, such as +14155550123.")
    since_ms = time.time_ns() // 1_000_000 - 7 * 86_400_000 if since_ms is None else since_ms
    with open_reader(path, "commlayer.explain") as (loaded, reader), telling_progress("comms.lifecycle") as progress:
        stories = of_person(reader, number, since_ms=since_ms, last=last, progress=progress)
    if not stories:
        raise Failure("no message to this number is in that part of the log", "look further back, such as --since 30d.")
    errors = error_policy(loaded.config)
    for story in stories:
        if as_json:
            click.echo(json.dumps(as_data(story, errors), ensure_ascii=False))
        else:
            click.echo("\n".join(lines(story, errors)) + "\n")


def _dry_run(
    path: Path,
    file: Iterable[bytes],
    app: str | None,
    profile_file: IO[str] | None,
    now_ms: int,
    *,
    offline: bool,
    as_json: bool,
) -> int:
    from commlayer.explaining.dry_run import lines

    config = load(path).config
    profile = None if profile_file is None else _profile(profile_file)
    asked = [line if isinstance(line, BadLine) else _asked(line, now_ms) for line in read_lines(file, app)]
    if not asked:
        raise click.UsageError("--dry-run: there is no request; write one JSON object a line.")
    requests = [each for each in asked if isinstance(each, _Asked)]
    known = None if offline or not requests else _known(path, requests, now_ms)
    worst = EXIT_DONE
    for each in asked:
        if isinstance(each, BadLine):
            worst = EXIT_MISCONFIGURED
            click.echo(f"line {each.number}: {each.what}. Fix: {each.fix}.", err=True)
            continue
        told = _one(config, each, profile, now_ms, known)
        if told["decision"] == "denied":
            worst = max(worst, EXIT_FAILED)
        click.echo(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(lines(told)) + "\n")
    return worst


class _Asked(NamedTuple):
    app: str
    request: MessageRequest
    wish: bool | None
    """Whether it is to go to the urgent topic, where the line says so."""


def _asked(line: RequestLine, now_ms: int) -> _Asked | BadLine:
    from commlayer_client import PublishError
    from commlayer_client.requests import message_request

    from schemas.codec import SingleObjectCodec
    from schemas.errors import EncodeError
    from schemas.topics import APP_NAME

    if APP_NAME.fullmatch(line.app) is None:
        return BadLine(line.number, "app: is no name of an app", "use a configured one")
    fields: Any = line.fields
    try:
        request = message_request(fields, now_ms=now_ms, default_region=None)
        SingleObjectCodec().encode(request)  # a value of the wrong type is refused here, as by `publish`
    except PublishError as error:
        return BadLine(line.number, error.detail, error.fix)
    except EncodeError as error:
        return BadLine(line.number, f"{error.field}: {error.detail}", error.fix)
    return _Asked(line.app, request, fields.get("urgent"))


def _known(path: Path, asked: Iterable[_Asked], now_ms: int) -> Known | None:
    """What Kafka says of the people asked for; None where it cannot be read, which is told."""
    from commlayer.config.conversions import kafka_settings, policy_config
    from commlayer.explaining.known import read
    from commlayer.lanes.control_log import ControlLog
    from streams.numbers import E164
    from streams.policy.switchboard import Switchboard

    people = {each.request.recipient for each in asked if E164.fullmatch(each.request.recipient)}
    try:
        with (
            open_reader(path, "commlayer.explain") as (loaded, reader),
            telling_progress("comms.policy.state") as progress,
        ):
            board = Switchboard(policy_config(loaded.config).senders.values(), now_ms=lambda: now_ms)
            ControlLog(kafka_settings(loaded.config, loaded.secrets), reader.codec).feed(board.take)
            return read(reader, people, board.in_force(), progress=progress)
    except Failure as failure:
        what, fix = failure.message, failure.fix
    except ConfigurationInvalid as invalid:  # without secrets it was fine
        what, fix = "; ".join(f"{each.place}: {each.what}" for each in invalid.problems), invalid.problems[0].fix
    click.echo(f"Kafka is not read: {what} Fix: {fix} Or say --offline.", err=True)
    return None


def _one(
    config: Configuration, asked: _Asked, profile: Profile | None, now_ms: int, known: Known | None
) -> dict[str, Any]:
    from commlayer.explaining.dry_run import is_urgent, run

    urgent = is_urgent(config, asked.app, asked.request.category, asked.wish)
    return run(asked.request, asked.app, urgent=urgent, config=config, profile=profile, now_ms=now_ms, known=known)


def _profile(file: IO[str]) -> Profile:
    import yaml

    from commlayer.explaining.dry_run import BadProfile, profile_of

    try:
        return profile_of(yaml.safe_load(file))
    except yaml.YAMLError as error:
        raise click.UsageError("--profile: it is neither YAML nor JSON.") from error
    except BadProfile as error:
        raise click.UsageError(f"--profile: {error}.") from error
