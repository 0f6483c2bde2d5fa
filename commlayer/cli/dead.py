"""`commlayer dead list|show|replay|drop`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from schemas.records import DeadLetter, LetterAction, Record, Stage

from .failures import Failure, Misconfigured
from .kafka_access import open_reader, telling_progress
from .moments import Since
from .tables import print_

if TYPE_CHECKING:
    from commlayer.dead.handling import Rewritten
    from commlayer.dead.letters import Filter, Letter, Letters
    from commlayer.topic_reader import TopicReader
    from commlayer.topic_writer import TopicWriter

_AnyCommand = TypeVar("_AnyCommand", bound=Callable[..., Any])


def _options(*decorators: Callable[[Any], Any]) -> Callable[[_AnyCommand], _AnyCommand]:
    def add(function: _AnyCommand) -> _AnyCommand:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return add


filter_options = _options(
    click.option("--stage", type=click.Choice([each.value for each in Stage]), help="Who refused it."),
    click.option("--reason", metavar="CODE", help="Reason code of the letter; see docs/reasons.md."),
    click.option("--app", metavar="NAME", help="App whose record it was."),
    click.option("--topic", metavar="NAME", help="Topic in which it was."),
    click.option("--since", "since_ms", type=Since(), help="Letters of the last 2h, 7d, or from a moment on."),
)
act_options = _options(
    click.argument("names", metavar="[LETTER]...", nargs=-1),
    filter_options,
    click.option("--by", envvar="USER", show_envvar=True, help="Your name, for those who ask later."),
    click.option("--why", help="Why, for the same."),
    click.option("--yes", is_flag=True, help="Do not ask."),
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON in place of a table.")


@click.group("dead")
def command() -> None:
    """Show, replay and drop records that could not be used (comms.dead).

    \b
    commlayer dead list --app shop --since 1d
    commlayer dead show comms.requests.shop:3:1042
    commlayer dead replay --reason unknown_schema
    commlayer dead drop comms.requests.shop:3:1042 --why "the app sent it again"

    A letter is named by the place of the record that could not be used: topic:partition:offset.
    """


@command.command("list")
@filter_options
@click.option("--all", "handled", is_flag=True, help="Those that were replayed or dropped, too.")
@json_option
@click.pass_obj
def list_(path: Path, /, handled: bool, as_json: bool, **chosen: Any) -> None:
    """List what is open, oldest first."""
    from commlayer.dead.telling import as_data, table

    with _desk(path) as reader:
        letters = [letter for letter in _read(reader) if _filter(chosen, handled=handled).takes(letter)]
    if as_json:
        for letter in letters:
            click.echo(json.dumps(as_data(letter), ensure_ascii=False))
        return
    if letters:
        print_(table(letters))
    click.echo(_many(len(letters), "letter" if handled else "open letter"), err=True)


@command.command("show")
@click.argument("name", metavar="LETTER")
@click.option("--value", "whole", is_flag=True, help="Show texts and numbers of the record as well.")
@json_option
@click.pass_obj
def show(path: Path, name: str, whole: bool, as_json: bool) -> None:
    """Show all of one letter; of the record itself only what holds nobody's words, unless --value."""
    from commlayer.dead.telling import as_data, lines, value_of

    with _desk(path) as reader:
        letter = _find(_read(reader), name)
        value = _whole(reader, letter).value
        shown = value_of(value, _decoded(reader, value), whole=whole)
    if as_json:
        click.echo(json.dumps({**as_data(letter), "value": shown}, ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(lines(letter)))
    click.echo(f"value: {json.dumps(shown, ensure_ascii=False, indent=2)}")


@command.command("replay")
@act_options
@click.option("--force", is_flag=True, help="Also where the fault is in the record itself.")
@click.pass_obj
def replay(
    path: Path, /, names: tuple[str, ...], by: str | None, why: str | None, yes: bool, force: bool, **chosen: Any
) -> None:
    """Write records again where they were, unchanged: named ones, or all open ones that the filters take.

    The message ids stay, so what was decided already is not decided twice. About a message that was on its way to
    dispatch policy is asked anew: consent may have changed since.
    """
    from commlayer.dead.handling import Refused, check_replay

    with _desk(path) as reader:
        letters = _chosen(_read(reader), names, chosen)
        try:
            for letter in letters:
                check_replay(letter, force=force)
        except Refused as refused:
            raise Misconfigured(f"{letter.name}: {refused}", f"{refused.fix}.") from refused
        _ask("replay", letters, by, yes=yes)
        writer = _writer(path, reader)
        for letter in letters:
            try:
                again = _again(reader, _whole(reader, letter))
            except Refused as refused:
                raise Misconfigured(f"{letter.name}: {refused}", f"{refused.fix}.") from refused
            partition = -1 if again.partition is None else again.partition
            place = writer.write(again.topic, again.value, key=again.key, partition=partition, headers=again.headers)
            _record(reader, writer, letter, LetterAction.REPLAYED, by, why, place)
            click.echo(f"{letter.name}: replayed as {again.topic}:{place[0]}:{place[1]}")


@command.command("drop")
@act_options
@click.pass_obj
def drop(path: Path, /, names: tuple[str, ...], by: str | None, why: str | None, yes: bool, **chosen: Any) -> None:
    """Give letters up: they are listed with --all only. Nothing is deleted; a dropped one can still be replayed."""
    with _desk(path) as reader:
        letters = _chosen(_read(reader), names, chosen)
        _ask("drop", letters, by, yes=yes)
        writer = _writer(path, reader)
        for letter in letters:
            _record(reader, writer, letter, LetterAction.DROPPED, by, why, None)
            click.echo(f"{letter.name}: dropped")


# What the commands share ----------------------------------------------------------------------------------------------


@contextmanager
def _desk(path: Path) -> Iterator[TopicReader]:
    with open_reader(path, "commlayer.dead") as (_, reader):
        yield reader


def _read(reader: TopicReader) -> Letters:
    """All letters: a mark may be much newer than its letter, so a part of the topic would not tell what is open."""
    from commlayer.dead.letters import Letters, Place
    from schemas.errors import DecodeError
    from schemas.topics import DEAD

    letters = Letters()
    with telling_progress(DEAD) as progress:
        for message in reader.everything(DEAD, progress=progress):
            try:
                record = reader.decoded(message.value())
            except DecodeError:
                click.echo(f"{DEAD}:{message.partition()}:{message.offset()} cannot be read itself", err=True)
                continue
            letters.add(record, Place(message.partition(), message.offset()))
    return letters


def _filter(chosen: dict[str, Any], *, handled: bool = False) -> Filter:
    from commlayer.dead.letters import Filter

    return Filter(**chosen, handled=handled)


def _find(letters: Letters, name: str) -> Letter:
    letter = letters.find(name)
    if letter is None:
        raise Failure(f"no letter is called {name}", "`commlayer dead list --all` names those there are.")
    return letter


def _chosen(letters: Letters, names: tuple[str, ...], chosen: dict[str, Any]) -> list[Letter]:
    filtered = any(value is not None for value in chosen.values())
    if bool(names) == filtered:
        raise click.UsageError("name letters, or give filters such as --reason.")
    if names:
        return [_find(letters, name) for name in dict.fromkeys(names)]
    found = [letter for letter in letters if _filter(chosen).takes(letter)]
    if not found:
        raise Failure("no open letter fits", "`commlayer dead list` shows the open ones.")
    return found


def _ask(what: str, letters: list[Letter], by: str | None, *, yes: bool) -> None:
    if not by:
        raise click.UsageError("nobody says who you are: --by NAME.")
    handled = [letter for letter in letters if letter.handled is not None]
    for letter in handled:
        assert letter.handled is not None
        click.echo(f"{letter.name} was {letter.handled.action.value} by {letter.handled.by} already", err=True)
    if not yes and (handled or len(letters) > 1):
        told = f"{what} {_many(len(letters), 'letter')}, {len(handled)} of them handled already?"
        click.confirm(told, abort=True, err=True)


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _whole(reader: TopicReader, letter: Letter) -> DeadLetter:
    from schemas.topics import DEAD

    message = reader.at(DEAD, *letter.place)
    record = None if message is None else reader.decoded(message.value())
    if not isinstance(record, DeadLetter):
        raise Failure(f"{letter.name} is gone: its retention is over")
    return record


def _decoded(reader: TopicReader, value: bytes | None) -> Record | None:
    from schemas.errors import DecodeError

    try:
        return None if value is None else reader.decoded(value)
    except DecodeError:
        return None


def _again(reader: TopicReader, record: DeadLetter) -> Rewritten:
    from commlayer.dead.handling import asked_anew, is_order, rewritten

    if not is_order(record):
        return rewritten(record)
    order = _decoded(reader, record.value)
    return asked_anew(record, order, reader.codec.encode, now_ms=time.time_ns() // 1_000_000)


def _writer(path: Path, reader: TopicReader) -> TopicWriter:
    from commlayer.config import Purpose, load
    from commlayer.config.conversions import kafka_settings
    from commlayer.topic_writer import TopicWriter
    from schemas.codec import RegistryCodec

    if isinstance(reader.codec, RegistryCodec):
        reader.codec.prepare()
    loaded = load(path, frozenset({Purpose.KAFKA, Purpose.REGISTRY}))
    return TopicWriter(kafka_settings(loaded.config, loaded.secrets))


def _record(
    reader: TopicReader,
    writer: TopicWriter,
    letter: Letter,
    action: LetterAction,
    by: str | None,
    why: str | None,
    written: tuple[int, int] | None,
) -> None:
    """The mark on comms.dead, and the step in the story of a message that has one."""
    from commlayer.dead.handling import mark, told
    from commlayer.explaining.looking_up import of_message
    from schemas.topics import DEAD, LIFECYCLE

    assert by is not None
    handled = mark(letter, action, by=by, reason=why, now_ms=time.time_ns() // 1_000_000, written=written)
    writer.write(DEAD, reader.codec.encode(handled), key=letter.record.key)
    message_id = letter.record.message_id
    story = None if message_id is None else of_message(reader, message_id)
    if story is not None:
        writer.write(LIFECYCLE, reader.codec.encode(told(handled, story.now)), key=story.message_id.encode())
