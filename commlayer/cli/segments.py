"""`commlayer segments`: what texts cost, by Twilio's rules."""

from __future__ import annotations

import codecs
import json
import unicodedata
from collections.abc import Iterable, Iterator

import click

from connectors.twilio.segments import Segments, count
from schemas.records import Encoding

from .failures import EXIT_FAILED

_NAMES = {Encoding.GSM7: "GSM-7", Encoding.UCS2: "UCS-2"}


@click.command("segments")
@click.option("--text", help="One text, explained for people.")
@click.option("--smart", is_flag=True, help="With --text: count what Twilio's Smart Encoding makes of it.")
@click.pass_context
def command(ctx: click.Context, text: str | None, smart: bool) -> None:
    """Count SMS segments.

    Without --text: reads JSON lines {"text": ..., "smart": true|false} and writes {"encoding": ..., "segments": ...}
    line by line; a line that cannot be read gives {"error": ...} and exit code 1.
    """
    if smart and text is None:
        raise click.UsageError('--smart belongs to --text; write `"smart": true` in a line.')
    if text is not None:
        for line in explain(text, smart=smart):
            click.echo(line)
        return
    failed = False
    for answer in answers(click.get_binary_stream("stdin")):
        failed |= "error" in answer
        click.echo(json.dumps(answer))
    if failed:
        ctx.exit(EXIT_FAILED)


def answers(lines: Iterable[bytes]) -> Iterator[dict[str, object]]:
    """One answer for each line of UTF-8, in order; blank lines are passed over."""
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix(codecs.BOM_UTF8)  # as some editors begin a file
        if not line.strip():
            continue
        try:
            asked = json.loads(line.decode())
        except UnicodeDecodeError as error:
            yield {"error": f"line {number}: not UTF-8 at byte {error.start}"}
            continue
        except (ValueError, RecursionError) as error:
            yield {"error": f"line {number}: not JSON: {error}"}
            continue
        if not isinstance(asked, dict) or not isinstance(asked.get("text"), str):
            yield {"error": f'line {number}: expected {{"text": "..."}}'}
        elif not isinstance(asked.get("smart", False), bool):
            yield {"error": f"line {number}: smart must be true or false"}
        else:
            result = count(asked["text"], smart_encoding=asked.get("smart", False))
            yield {"encoding": _NAMES[result.encoding], "segments": result.segments}


def explain(text: str, *, smart: bool) -> Iterator[str]:
    """The cost in words: which characters force UCS-2, and what the text would cost without them."""
    result = count(text, smart_encoding=smart)
    yield _cost(result) + (" with Smart Encoding" if smart else "")
    if result.encoding is not Encoding.UCS2:
        return
    foreign = list(dict.fromkeys(each for each in text if count(each, smart_encoding=smart).encoding is Encoding.UCS2))
    yield "These characters are not in GSM-7:"
    for character in foreign:
        name = unicodedata.name(character, "no name")
        shown = character if character.isprintable() else " "
        yield f"  {shown}  U+{ord(character):04X} {name}, {_many(text.count(character), 'time')}"
    plain = count("".join("?" if each in foreign else each for each in text), smart_encoding=smart)
    yield f"With GSM-7 characters in their place: {_cost(plain)}"
    smarter = count(text, smart_encoding=True)
    if not smart and smarter.segments < result.segments:
        yield f"With Smart Encoding: {_cost(smarter)}"


def _cost(result: Segments) -> str:
    unit = "septet" if result.encoding is Encoding.GSM7 else "UTF-16 unit"
    return f"{_many(result.segments, 'segment')}, {_NAMES[result.encoding]}, {_many(result.units, unit)}"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
