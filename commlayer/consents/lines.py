"""Changes of consent as rows of a file, CSV or JSON lines, in both directions. Pure.

A row has the columns of `COLUMNS`; all but recipient, change, scope and at may be left away.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeVar

from commlayer_client import InvalidRecipient, normalise

from commlayer.config import Configuration
from commlayer.moments import epoch_ms, moment, moment_words
from schemas import ids
from schemas.records import Consent, ConsentChange, ConsentSource

from .scopes import NoScope, read_scope, scope_words

COLUMNS = (
    "recipient", "change", "scope", "at", "source", "evidence", "actor", "reason", "expires_at", "account", "keyword",
    "error_code", "consent_id",
)  # fmt: skip
_TEXTS = ("evidence", "actor", "reason", "account", "keyword")
_Word = TypeVar("_Word", bound=StrEnum)
_YES = (ConsentChange.OPT_IN, ConsentChange.UNSUPPRESS)
_HOW = "write ISO 8601 with a time zone, or epoch milliseconds"
_AS_IT_HAPPENS = (ConsentSource.KEYWORD, ConsentSource.FREE_TEXT)


class Form(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read: line number from 1, and its fields."""

    number: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """One that cannot be taken.

    Attributes:
        number: line in the file, from 1.
        field: its column; None where the line as a whole is wrong.
    """

    number: int
    field: str | None
    what: str
    fix: str

    def __str__(self) -> str:
        place = f"line {self.number}: " + (f"{self.field}: " if self.field else "")
        return f"{place}{self.what}. Fix: {self.fix}."


# Reading --------------------------------------------------------------------------------------------------------------


def read_rows(lines: Iterable[str], form: Form) -> Iterator[Row | BadRow]:
    """The rows of a file, in order; blank lines are passed over."""
    if form is Form.JSONL:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _from_json(number, line)
        return
    reader = csv.reader(lines, strict=True)
    header: list[str] | None = None
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BadRow(number, None, f"is no CSV: {error}", "quote cells that hold commas, quotes or line ends")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if header is None:
            header = [cell.strip().removeprefix("\ufeff") for cell in cells]
        elif len(cells) != len(header):
            what = f"has {len(cells)} cells, the first line {len(header)}"
            yield BadRow(number, None, what, "quote cells that hold a comma")
        else:
            yield Row(number, {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""})


def read_consent(row: Row, config: Configuration, *, default_region: str | None = None) -> Consent | BadRow:
    """The change that a row tells; without a consent_id it gets one that follows from what it says, so that the same
    row is the same change however often it is read."""
    given = {name: value for name, value in row.fields.items() if value is not None}
    for name, value in given.items():
        if name not in COLUMNS:
            return BadRow(row.number, str(name), "is no column", f"use {', '.join(COLUMNS)}")
        if not isinstance(value, str) and (isinstance(value, bool) or not isinstance(value, int)):
            return BadRow(row.number, name, "is neither text nor a whole number", "write it as text")
    for name in ("recipient", "change", "scope", "at"):
        if name not in given:
            return BadRow(row.number, name, "is missing", "every line needs it")
    field = "recipient"
    try:
        recipient = normalise(str(given["recipient"]), default_region)
        field = "change"
        change = _word(given["change"], ConsentChange)
        field = "scope"
        scope, value = read_scope(str(given["scope"]), config, as_history=True)
        field = "source"
        source = _word(given.get("source", ConsentSource.IMPORT), ConsentSource)
        field = "at"
        at = _time(given["at"])
        field = "expires_at"
        expires_at = None if "expires_at" not in given else _time(given["expires_at"])
        field = "error_code"
        code = None if "error_code" not in given else _whole(given["error_code"])
    except (InvalidRecipient, NoScope) as error:
        what = error.detail if isinstance(error, InvalidRecipient) else str(error)
        return BadRow(row.number, field, what, error.fix)
    except ValueError as error:
        what, _, fix = str(error).partition(": ")
        return BadRow(row.number, field, what, fix)
    texts = {name: str(given[name]) for name in _TEXTS if name in given}
    if expires_at is not None and expires_at <= at:
        return BadRow(row.number, "expires_at", "is not after `at`", "leave it away for never")
    record = Consent(
        consent_id=str(given.get("consent_id", "")),
        recipient=recipient,
        change=change,
        scope=scope,
        scope_value=value,
        source=source,
        error_code=code,
        at=at,
        expires_at=expires_at,
        **texts,
    )
    return record if record.consent_id else replace(record, consent_id=_id(record))


def imported(record: Consent) -> Consent:
    """As an import writes it. A yes in the person's own words goes by its place in the log, and an operator's record
    repairs what cannot be read: an old one that is written down again must do neither, so its source is `import`."""
    own_words = record.change in _YES and record.source in _AS_IT_HAPPENS
    if own_words or record.source is ConsentSource.OPERATOR:
        return replace(record, source=ConsentSource.IMPORT)
    return record


def _from_json(number: int, line: str) -> Row | BadRow:
    fix = 'write one object a line, such as {"recipient": "+1...", "change": "opt_out", ...}'
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return BadRow(number, None, "is no JSON", fix)
    return Row(number, fields) if isinstance(fields, dict) else BadRow(number, None, "is no JSON object", fix)


def _id(record: Consent) -> str:
    said = [scope_words(record.scope, record.scope_value), record.at, record.expires_at, record.evidence]
    return ids.consent_id(record.recipient, record.change.value, json.dumps(said))


def _word(value: Any, words: type[_Word]) -> _Word:
    try:
        return words(str(value).strip().replace("-", "_"))
    except ValueError:
        raise ValueError(f"`{value}` is none of its words: write one of {', '.join(words)}") from None


def _time(value: Any) -> int:
    try:
        meant = moment(str(value).strip())
    except ValueError as error:
        what, _, _ = str(error).partition(": ")
        raise ValueError(f"{what}: {_HOW}") from None
    if isinstance(meant, timedelta):
        raise ValueError(f"`{value}` is no moment of its own: {_HOW}")
    return epoch_ms(meant, now_ms=0)


def _whole(value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError("is no error code of Twilio's: write digits, such as 21610")
    return int(text)


# Writing --------------------------------------------------------------------------------------------------------------


def header(form: Form) -> str:
    """What a file begins with."""
    return _csv(COLUMNS) if form is Form.CSV else ""


def write_row(record: Consent, form: Form) -> str:
    """One line with its end; `read_consent` makes the same record of it."""
    said = {
        **record.to_avro(),
        "scope": scope_words(record.scope, record.scope_value),
        "at": moment_words(record.at),
        "expires_at": None if record.expires_at is None else moment_words(record.expires_at),
    }
    fields = {name: said[name] for name in COLUMNS if said[name] is not None}
    if form is Form.JSONL:
        return json.dumps(fields, ensure_ascii=False) + "\n"
    return _csv(["" if name not in fields else str(fields[name]) for name in COLUMNS])


def _csv(cells: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)  # quotes a cell that holds any character of a line's end
    return text.getvalue().removesuffix("\r\n") + "\n"
