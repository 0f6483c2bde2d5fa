"""`commlayer lanes list|show|pause|resume|rate|retry|day|plan|move`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from commlayer.config import Loaded, Purpose, load
from commlayer.moments import epoch_ms
from schemas.records import ControlSubject

from .failures import Failure, Misconfigured
from .kafka_access import RIGHTS
from .lanes_plan import plan
from .moments import Moment
from .tables import print_

if TYPE_CHECKING:
    from commlayer.lanes.control_log import ControlLog
    from commlayer.lanes.orders import Subject, Word
    from commlayer.lanes.overview import Overview

_AnyCommand = TypeVar("_AnyCommand", bound=Callable[..., Any])


def _options(*decorators: Callable[[Any], Any]) -> Callable[[_AnyCommand], _AnyCommand]:
    def add(function: _AnyCommand) -> _AnyCommand:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return add


group_option = click.option("--group", metavar="NAME", help="A pacing group, in place of a lane.")
subject_options = _options(
    group_option,
    click.option("--account", metavar="NAME", help="A Twilio account: all of its lanes."),
    click.option("--app", metavar="NAME", help="An app: its messages only."),
)
word_options = _options(
    click.option("--by", envvar="USER", show_envvar=True, help="Your name, for those who ask later."),
    click.option("--reason", help="Why, for the same."),
)
until_option = click.option("--for", "until", type=Moment(), help="Ends by itself after 10m, 2h; or at a moment.")
view_options = _options(
    click.option("--at", "places", multiple=True, metavar="HOST:PORT", help="Health address of a dispatch process."),
    click.option("--json", "as_json", is_flag=True, help="JSON in place of a table."),
)


@click.group("lanes")
def command() -> None:
    """Show, pause and pace lanes, groups, accounts and apps.

    \b
    commlayer lanes list
    commlayer lanes pause us-short --reason "carrier asks" --for 10m
    commlayer lanes rate 5 us-short
    commlayer lanes resume --app shop
    commlayer lanes day acme tmobile --reopen --reason "T-Mobile has raised it"
    """


@command.command("list")
@view_options
@click.pass_obj
def list_(path: Path, places: tuple[str, ...], as_json: bool) -> None:
    """Show every lane: rate, backlog, ETA, use, and what holds it. Works without dispatch, and says so."""
    from commlayer.lanes.telling import as_data, notes, reasons, table

    view = _overview(path, places)
    if as_json:
        click.echo(json.dumps(as_data(view), indent=2))
        return
    print_(table(view))
    for line in reasons(view):
        click.echo(line)
    for line in notes(view):
        click.echo(line, err=True)


@command.command("show", short_help="Show all of a lane, group, account or app.")
@click.argument("lane", required=False)
@subject_options
@view_options
@click.pass_obj
def show(path: Path, /, places: tuple[str, ...], as_json: bool, **named: str | None) -> None:
    """Show all that is known of a lane, or of the lanes of a group or account; of an app, whether it is paused."""
    from commlayer.lanes.overview import places as places_of
    from commlayer.lanes.telling import as_data, details, notes, switch
    from streams.dispatch.lanes import Lane

    subject = _subject(named)
    view = _overview(path, places, subject)
    view.lanes[:] = [
        row
        for row in view.lanes
        if (subject.kind, subject.name) in places_of(Lane(row.name, row.account, "", row.rate, row.group))
    ]
    view.others[:] = [
        each for each in view.others if each.subject_kind is subject.kind and each.subject == subject.name
    ]
    view.days[:] = [each for each in view.days if any(each in row.days for row in view.lanes)]
    if as_json:
        click.echo(json.dumps(as_data(view), indent=2))
        return
    for row in view.lanes:
        print_(details(row))
    if subject.kind is ControlSubject.APP:
        click.echo(f"{subject}: {'; '.join(map(switch, view.others)) or 'not paused'}")
        return
    for line in notes(view):
        click.echo(line, err=True)


@command.command("pause")
@click.argument("lane", required=False)
@subject_options
@word_options
@until_option
@click.pass_obj
def pause(path: Path, /, by: str | None, reason: str | None, until: Any, **named: str | None) -> None:
    """Start nothing more of a lane, group, account or app. Deadlines go on.

    What waits is held and sent after `resume`. Requests of a paused app wait, too.
    """
    from commlayer.lanes import orders

    with _desk(path) as (loaded, control):
        word = _word(by, reason, until)
        subject = _subject(named)
        control.write(*orders.pause(loaded.config, subject, word))
        click.echo(f"{subject}: paused by {word.by}{_until(word)}")


@command.command("resume")
@click.argument("lane", required=False)
@subject_options
@word_options
@click.option("--for", "until", hidden=True)
@click.pass_obj
def resume(path: Path, /, by: str | None, reason: str | None, until: str | None, **named: str | None) -> None:
    """End a pause."""
    from commlayer.lanes import orders

    if until is not None:
        raise click.UsageError("--for belongs to pause and rate: what is resumed stays so.")
    with _desk(path) as (loaded, control):
        subject = _subject(named)
        word = _word(by, reason, None)
        control.write(*orders.resume(loaded.config, subject, word, control.read()))
        click.echo(f"{subject}: resumed by {word.by}")


class Rate(click.ParamType):
    """Segments per second, or `configured`."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """The number; None for `configured`."""
        if value == "configured":
            return None
        try:
            return float(value)
        except ValueError:
            told = f"`{value}` is neither a number of segments per second nor `configured`; it comes before the lane"
            self.fail(told, param, ctx)


@command.command("rate", short_help="Change the rate of a lane or group.")
@click.argument("segments", type=Rate())
@click.argument("lane", required=False)
@group_option
@click.option("--account", hidden=True)  # refused with what to do instead
@click.option("--app", hidden=True)
@word_options
@until_option
@click.pass_obj
def rate(
    path: Path, /, segments: float | None, by: str | None, reason: str | None, until: Any, **named: str | None
) -> None:
    """Change the rate of a lane or group: SEGMENTS per second, or `configured` to go back."""
    from commlayer.lanes import orders

    with _desk(path) as (loaded, control):
        subject, word = _subject(named), _word(by, reason, until)
        control.write(*orders.rate(loaded.config, subject, segments, word))
        configured = orders.configured_rate(loaded.config, subject) or 0.0
        if segments is None:
            click.echo(f"{subject}: {configured:g} segments/s, as configured")
            return
        click.echo(f"{subject}: {segments:g} segments/s by {word.by}{_until(word)}; configured {configured:g}")
        if segments > configured:
            click.echo("warning: that is more than is configured as Twilio's grant.", err=True)


@command.command("retry", short_help="Try a lane again for a country.")
@click.argument("lane")
@click.argument("country")
@word_options
@click.pass_obj
def retry(path: Path, lane: str, country: str, by: str | None, reason: str | None) -> None:
    """Try a lane again, at once, for a COUNTRY (such as DE) that Twilio refused it for: its permission has changed."""
    from commlayer.lanes import orders

    with _desk(path) as (loaded, control):
        word, place = _word(by, reason, None), country.upper()
        control.write(*orders.retry(loaded.config, lane, place, word, control.read()))
        click.echo(f"lane {lane}: tried again for {place}, by {word.by}")


@command.command("day", short_help="Show a brand's day at a carrier, or open it again.")
@click.argument("budget")
@click.argument("carrier")
@click.option("--reopen", is_flag=True, help="Open it again, whatever Twilio or our own count said until now.")
@click.option("--used", type=click.IntRange(0), metavar="N", help="With --reopen: segments used up today, else 0.")
@word_options
@click.option("--json", "as_json", is_flag=True, help="JSON in place of words.")
@click.pass_obj
def day(
    path: Path,
    /,
    budget: str,
    carrier: str,
    reopen: bool,
    used: int | None,
    by: str | None,
    reason: str | None,
    as_json: bool,
) -> None:
    """Show a brand's day at a carrier (from 00:00 Pacific time), or open it again before it ends.

    BUDGET is the brand's, CARRIER our name for the carrier: tmobile. Until the day ends it goes on as if it had just
    begun; that Twilio says again that no more is taken (30023, 30027) ends it again.
    """
    from commlayer.config.conversions import lane_table
    from commlayer.lanes import days
    from commlayer.lanes.telling import day as told
    from commlayer.lanes.telling import day_data
    from connectors.twilio.carriers import Carriers

    for option, given in (("--used", used), ("--reason", reason)):
        if given is not None and not reopen:
            raise click.UsageError(f"{option} belongs to --reopen.")
    with _desk(path) as (loaded, control):
        word, capped = _word(by, reason, None) if reopen else None, (budget, carrier)
        _, said = control.read_with_days()
        budgets, names, now_ms = lane_table(loaded.config).budgets, Carriers(loaded.config.carriers), _now_ms()
        today = days.day(budgets, names, said, capped, now_ms)
        if word is not None:
            key, record = days.reopen(today, said, word, used)
            control.write(key, record)
            said.take(key, record)
            today = days.day(budgets, names, said, capped, now_ms)
    if as_json:
        click.echo(json.dumps(day_data(today), indent=2))
    else:
        click.echo(f"budget {budget} at {carrier}: {told(today)}")


@command.command("move", short_help="Move a group to another partition.")
@click.argument("group")
@click.argument("partition", type=int)
@word_options
@click.pass_obj
def move(path: Path, group: str, partition: int, by: str | None, reason: str | None) -> None:
    """Move a group (or a sender that is alone in its own) to another partition, without loss and without a repeat."""
    from commlayer.lanes import orders

    with _desk(path) as (loaded, control):
        word = _word(by, reason, None)
        key, record = orders.move(loaded.config, group, partition, word, control.read())
        control.write(key, record)
        click.echo(f"group {group}: moves from partition {record.from_partition} to {partition}")
        click.echo(f"Now configure {partition}, and restart policy, then dispatch. The old place is emptied first.")


command.add_command(plan)


# Kafka and processes --------------------------------------------------------------------------------------------------


@contextmanager
def _desk(path: Path) -> Iterator[tuple[Loaded, ControlLog]]:
    """Configuration and control topic; what goes wrong with them becomes a line and a fix."""
    from commlayer.config.conversions import kafka_settings
    from commlayer.lanes.control_log import ControlLog
    from commlayer.lanes.orders import Refused
    from commlayer.processes.contracts import Contracts, open_registry
    from commlayer.topic_reader import KafkaUnreachable, NotAllowed, TopicMissing
    from schemas.codec import RegistryCodec
    from schemas.errors import ContractError

    loaded = load(path, frozenset({Purpose.KAFKA, Purpose.REGISTRY}))
    codec = Contracts(open_registry(loaded.config, loaded.secrets)).codec
    try:
        if isinstance(codec, RegistryCodec):
            codec.prepare()
        yield loaded, ControlLog(kafka_settings(loaded.config, loaded.secrets), codec)
    except Refused as refused:
        raise Misconfigured(str(refused).rstrip("."), refused.fix) from refused
    except NotAllowed as error:
        raise Misconfigured(str(error), RIGHTS) from error
    except KafkaUnreachable as error:
        bootstrap = ", ".join(loaded.config.kafka.bootstrap)
        raise Failure(
            f"Kafka at {bootstrap}: {error}", "check kafka.bootstrap, kafka.security and the broker."
        ) from error
    except TopicMissing as error:
        raise Misconfigured(str(error), "run `commlayer topics apply`.") from error
    except ContractError as error:
        raise Failure(str(error), "check the schema registry; `commlayer schemas register` registers ours.") from error


def _overview(path: Path, places: tuple[str, ...], subject: Subject | None = None) -> Overview:
    from confluent_kafka import KafkaException

    from commlayer.config.conversions import kafka_settings, lane_table
    from commlayer.config.suggest import instead
    from commlayer.lanes import orders
    from commlayer.lanes.days import days
    from commlayer.lanes.overview import overview
    from commlayer.lanes.running import addresses, ask
    from commlayer.lanes.waiting import Waiting, waiting

    with _desk(path) as (loaded, control):
        config = loaded.config
        switches, said = control.read_with_days()
        if subject is not None and subject.name not in orders.known(config, subject.kind):
            names = orders.known(config, subject.kind)
            raise orders.Refused(
                f"no {subject.kind.value} is called `{subject.name}`",
                instead(subject.name, names, otherwise="configure it."),
            )
        table = lane_table(config)
        waits: Waiting | str
        try:
            waits = waiting(
                kafka_settings(config, loaded.secrets), {group.partition for group in table.groups.values()}
            )
        except KafkaException as error:
            waits = str(error.args[0])
        now_ms, answers = _now_ms(), ask(places or addresses(config))
        return overview(table, switches, answers, waits, now_ms, days(table.budgets, said, now_ms))


def _subject(named: dict[str, str | None]) -> Subject:
    from commlayer.lanes.orders import Subject

    given = [(kind, name) for kind in ControlSubject if (name := named.get(kind.value)) is not None]
    if len(given) != 1:
        raise click.UsageError("name one: a lane, or --group, --account or --app.")
    return Subject(*given[0])


def _word(by: str | None, reason: str | None, until: datetime | timedelta | int | None) -> Word:
    from commlayer.lanes.orders import Word

    if not by:
        raise click.UsageError("nobody says who you are: --by NAME.")
    now_ms = _now_ms()
    ends = None if until is None else epoch_ms(until, now_ms)
    if ends is not None and ends <= now_ms:
        raise click.UsageError("--for: that moment has passed.")
    return Word(by, reason, now_ms, ends)


def _until(word: Word) -> str:
    if word.until is None:
        return ""
    from commlayer.lanes.telling import moment

    return f" until {moment(word.until)}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
