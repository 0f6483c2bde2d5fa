"""Letters for people (rich tables) and programs (plain values). Numbers are masked; what a value holds is shown by
`value_of` alone, and its texts only on demand. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

from rich.table import Table

from commlayer.explaining.advice import meaning
from commlayer.moments import moment_words
from connectors.masking import mask_numbers, mask_within
from schemas.records import Record

from .letters import Letter

_OPEN_FIELDS = frozenset(
    {
        "app",
        "at",
        "attempt",
        "campaign",
        "category",
        "channel",
        "created_at",
        "deadline",
        "due_at",
        "idempotency_key",
        "lane",
        "message_class",
        "message_id",
        "not_before",
        "recipient",
        "requested_at",
        "round",
        "sender",
        "sid",
        "status",
    }
)
"""Fields of a decoded value that hold nothing anybody wrote to anybody. All others are hidden: a new field of a
contract is hidden until somebody has thought about it."""


def table(letters: Iterable[Letter]) -> Table:
    """One line for each letter."""
    shown = Table()
    shown.add_column("letter", no_wrap=True)  # it is what is copied
    for name in ("when", "stage", "reason", "app"):
        shown.add_column(name, overflow="fold")
    shown.add_column("times", justify="right")
    shown.add_column("replay", overflow="fold")
    for letter in letters:
        record = letter.record
        shown.add_row(
            letter.name,
            moment_words(record.at),
            ", ".join(letter.stages),
            record.reason + (f" ({mask_numbers(record.field)})" if record.field else ""),
            record.app or "-",
            str(letter.times),
            _outlook(letter),
        )
    return shown


def as_data(letter: Letter) -> dict[str, Any]:
    """Plain values, ready for JSON."""
    record, handled = letter.record, letter.handled
    data: dict[str, Any] = {
        "letter": letter.name,
        "at": record.at,
        "stages": list(letter.stages),
        "times": letter.times,
        "reason": record.reason,
        "meaning": meaning(record.reason),
        "field": record.field,
        "detail": record.detail,
        "fix": record.fix,
        "app": record.app,
        "message_id": record.message_id,
        "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
        "value_size": record.value_size,
        "cut": letter.cut,
        "schema_id": record.schema_id,
        "replayable": record.replayable,
        "headers": sorted(record.headers),
        "handled": None
        if handled is None
        else {
            "action": handled.action.value,
            "by": handled.by,
            "reason": handled.reason,
            "at": handled.at,
            "new_partition": handled.new_partition,
            "new_offset": handled.new_offset,
        },
    }
    masked: dict[str, Any] = mask_within(data)
    return masked


def lines(letter: Letter) -> Iterator[str]:
    """All of one letter, a line at a time; its value is not in it."""
    data = as_data(letter)
    data["at"] = moment_words(letter.record.at)
    for name in ("stages", "headers"):
        data[name] = ", ".join(data[name])
    data["replay"] = _outlook(letter)
    for name in ("handled", "cut", "replayable"):
        del data[name]
    width = max(map(len, data))
    for name, value in data.items():
        if value not in (None, ""):
            yield f"{name.replace('_', ' '):<{width}}  {value}"


def value_of(value: bytes | None, record: Record | None, *, whole: bool) -> Any:
    """What the value holds, as plain values.

    Args:
        record: it decoded; None where it cannot be.
        whole: texts and numbers, too; otherwise numbers are masked and texts hidden.
    """
    if value is None:
        return None
    if record is None:
        return {"base64": base64.b64encode(value).decode()} if whole else f"{len(value)} bytes, not decoded"
    fields = {"record": record.AVRO_NAME, **record.to_avro()}
    return _printable(fields) if whole else mask_within(_hidden(fields))


def _outlook(letter: Letter) -> str:
    handled = letter.handled
    if handled is not None:
        return f"{handled.action.value} by {handled.by} at {moment_words(handled.at)}"
    if letter.cut:
        return "no: cut"
    return "yes" if letter.record.replayable else "no: the record itself is at fault"


def _hidden(fields: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        if value in (None, {}, []):
            continue
        if isinstance(value, dict) and name == "request":
            shown[name] = _hidden(value)
        else:
            shown[name] = value if name in _OPEN_FIELDS or name == "record" else "(hidden; --value shows it)"
    return shown


def _printable(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {name: _printable(each) for name, each in value.items()}
    return [_printable(each) for each in value] if isinstance(value, list) else value
