"""Rows of a file of consent: what is exported is imported as it was, and every bad line says what to mend."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commlayer.config import Configuration
from commlayer.consents.lines import BadRow, Form, Row, header, imported, read_consent, read_rows, write_row
from commlayer.moments import LAST_MS
from schemas.records import Consent, ConsentChange, ConsentScope, ConsentSource

SERVICE = "MG" + "5" * 32
_TEXT = st.none() | st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text)
_SCOPES = st.sampled_from(
    [
        (ConsentScope.ALL, None),
        (ConsentScope.BRAND, "acme"),
        (ConsentScope.CATEGORY, "news"),
        (ConsentScope.CHANNEL, "whatsapp"),
        (ConsentScope.MESSAGING_SERVICE, SERVICE),
        (ConsentScope.SENDER, "+14155550100"),
        (ConsentScope.SENDER, "+14155550199"),  # not configured any more
    ]
)


@st.composite
def consents(draw: st.DrawFn) -> Consent:
    scope, value = draw(_SCOPES)
    at = draw(st.integers(0, LAST_MS - 1))
    return Consent(
        consent_id=draw(st.uuids().map(str)),
        recipient=draw(st.sampled_from(["+14155550123", "+41791234567"])),
        change=draw(st.sampled_from(list(ConsentChange))),
        scope=scope,
        scope_value=value,
        source=draw(st.sampled_from(list(ConsentSource))),
        account=draw(_TEXT),
        evidence=draw(_TEXT),
        keyword=draw(_TEXT),
        actor=draw(_TEXT),
        reason=draw(_TEXT),
        error_code=draw(st.none() | st.integers(0, 99_999)),
        at=at,
        expires_at=draw(st.none() | st.just(LAST_MS) | st.integers(at + 1, LAST_MS)),
    )


@pytest.fixture(scope="module")
def config() -> Configuration:
    return Configuration.model_validate(
        {
            "kafka": {"bootstrap": ["127.0.0.1:1"]},
            "bridge": {"public_url": "http://127.0.0.1:1"},
            "accounts": {"main": {"sid": "AC" + "1" * 32, "auth_token": {"env": "TOKEN"}}},
            "senders": {
                "us": {
                    "account": "main",
                    "address": "+14155550100",
                    "type": "long_code",
                    "rate": 1,
                    "partition": 0,
                    "brand": "acme",
                }
            },
            "categories": {"news": {"class": "bulk", "doubt": "stop"}},
            "apps": {"shop": {"categories": ["news"], "principal": "User:shop"}},
            "countries": {"allow": ["US"]},
        }
    )


def read(text: str, form: Form, config: Configuration) -> list[Consent | BadRow]:
    lines = [line + "\n" for line in text.split("\n")[:-1]]  # as a file gives them
    return [read_consent(row, config) if isinstance(row, Row) else row for row in read_rows(lines, form)]


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text of a machine makes hypothesis' tables
@given(records=st.lists(consents(), max_size=4), form=st.sampled_from(Form))
def test_what_is_exported_is_read_as_it_was(records: list[Consent], form: Form, config: Configuration) -> None:
    text = header(form) + "".join(write_row(record, form) for record in records)
    assert read(text, form, config) == records


GOOD = {"recipient": "+1 415 555 0123", "change": "opt-out", "scope": "all", "at": "2026-01-02T03:04:05Z"}


def one(config: Configuration, **changes: Any) -> Consent | BadRow:
    return read_consent(Row(7, {**GOOD, **changes}), config)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"recipient": "nobody"}, "recipient", "no telephone number"),
        ({"recipient": None}, "recipient", "missing"),
        ({"change": "stop"}, "change", "opt_in, opt_out"),
        ({"scope": "brand:acne"}, "scope", "did you mean `acme`"),
        ({"scope": "everything"}, "scope", "write all"),
        ({"scope": "category:"}, "scope", "names nobody"),
        ({"at": "yesterday"}, "at", "ISO 8601"),
        ({"at": "2026-01-02T03:04:05"}, "at", "time zone"),
        ({"at": "5m"}, "at", "no moment of its own"),
        ({"at": 1_700_000_000_000_000}, "at", "milliseconds"),
        ({"expires_at": "2025-01-01T00:00:00Z"}, "expires_at", "not after"),
        ({"source": "rumour"}, "source", "crm"),
        ({"error_code": "many"}, "error_code", "21610"),
        ({"colour": "red"}, "colour", "no column"),
        ({"reason": ["a"]}, "reason", "text"),
    ],
)
def test_a_bad_field_is_told_with_line_and_fix(
    changes: dict[str, Any], field: str, words: str, config: Configuration
) -> None:
    bad = one(config, **changes)
    assert isinstance(bad, BadRow)
    assert (bad.number, bad.field) == (7, field)
    assert words in str(bad)


def test_lines_that_are_no_rows_do_not_stop_the_others(config: Configuration) -> None:
    csv = "recipient,change,scope,at\n+14155550123,opt_in,all,1\n+14155550123,opt_in\n\n+14155550123,opt_in,all,2\n"
    first, bad, last = read(csv, Form.CSV, config)
    assert isinstance(first, Consent)
    assert isinstance(bad, BadRow)
    assert bad.number == 3
    assert isinstance(last, Consent)
    lines = f"{json.dumps(GOOD)}\nnonsense\n[1]\n{json.dumps(GOOD)}\n"
    numbers = [each.number for each in read(lines, Form.JSONL, config) if isinstance(each, BadRow)]
    assert numbers == [2, 3]


def test_a_row_is_the_same_change_however_often_it_is_read(config: Configuration) -> None:
    first, again = one(config, evidence="form-1"), one(config, evidence="form-1", reason="other words")
    others = [
        one(config, evidence="form-1", scope="brand:acme"),
        one(config, evidence="form-2"),
        one(config, evidence="form-1", at=5),
        one(config, evidence="form-1", change="suppress"),
        one(config, evidence="form-1", recipient="+41791234567"),
    ]
    records = [each for each in (first, again, *others) if isinstance(each, Consent)]
    assert len(records) == 7
    assert records[0].consent_id == records[1].consent_id
    assert len({each.consent_id for each in records}) == 6


@pytest.mark.parametrize(
    ("change", "source", "written"),
    [
        (ConsentChange.OPT_IN, ConsentSource.KEYWORD, ConsentSource.IMPORT),
        (ConsentChange.OPT_IN, ConsentSource.FREE_TEXT, ConsentSource.IMPORT),
        (ConsentChange.OPT_OUT, ConsentSource.KEYWORD, ConsentSource.KEYWORD),
        (ConsentChange.OPT_OUT, ConsentSource.OPERATOR, ConsentSource.IMPORT),
        (ConsentChange.OPT_IN, ConsentSource.CRM, ConsentSource.CRM),
    ],
)
def test_an_import_neither_passes_for_words_of_today_nor_repairs(
    change: ConsentChange, source: ConsentSource, written: ConsentSource, config: Configuration
) -> None:
    record = one(config, change=change.value, source=source.value)
    assert isinstance(record, Consent)
    assert imported(record).source is written
