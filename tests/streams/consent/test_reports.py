"""What an error of Twilio's says about a person."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.twilio.errors import ErrorOverride, ErrorPolicy, classify
from schemas.records import Channel, Consent, ConsentChange, ConsentScope, ConsentSource
from streams.consent.ledger import Ledger
from streams.consent.reports import reported
from streams.consent.scopes import About

AT = 1_800_000_000_000
MG = "MG" + "1" * 32
SENDER = "+15005550001"


def report(code: int, policy: ErrorPolicy | None = None, **changes: Any) -> Consent | None:
    values: dict[str, Any] = {
        "code": code,
        "recipient": "+41791234567",
        "channel": Channel.SMS,
        "sender": SENDER,
        "messaging_service_sid": None,
        "account": "main",
        "evidence": "RQ1",
        "at": AT,
    }
    return reported((policy or ErrorPolicy()).classify(code), **{**values, **changes})


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
    [
        (21610, {}, (ConsentChange.OPT_OUT, ConsentScope.SENDER, SENDER, None)),
        (21610, {"sender": f"whatsapp:{SENDER}"}, (ConsentChange.OPT_OUT, ConsentScope.SENDER, SENDER, None)),
        (21610, {"messaging_service_sid": MG}, (ConsentChange.OPT_OUT, ConsentScope.MESSAGING_SERVICE, MG, None)),
        (21610, {"sender": None}, (ConsentChange.OPT_OUT, ConsentScope.ALL, None, None)),
        (63033, {"channel": Channel.WHATSAPP}, (ConsentChange.OPT_OUT, ConsentScope.SENDER, SENDER, None)),
        (21211, {}, (ConsentChange.SUPPRESS, ConsentScope.ALL, None, None)),
        (30005, {}, (ConsentChange.SUPPRESS, ConsentScope.ALL, None, AT + 3_600_000)),
        (21614, {}, (ConsentChange.SUPPRESS, ConsentScope.CHANNEL, "sms", None)),
        (21614, {"channel": Channel.MMS}, (ConsentChange.SUPPRESS, ConsentScope.CHANNEL, "sms", None)),
        (63003, {"channel": Channel.WHATSAPP}, (ConsentChange.SUPPRESS, ConsentScope.CHANNEL, "whatsapp", None)),
    ],
)
def test_an_error_reaches_as_far_as_it_proves(code: int, changes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    said = report(code, **changes)
    assert said is not None
    assert (said.change, said.scope, said.scope_value, said.expires_at) == expected
    assert (said.source, said.error_code, said.evidence) == (ConsentSource.TWILIO_ERROR, code, "RQ1")
    assert said.reason == classify(code).title


@pytest.mark.parametrize("code", [21606, 20003, 20429, 21611, 21617, 30003, 30007, 63049])
def test_what_is_not_the_persons_changes_nothing_for_the_person(code: int) -> None:
    assert report(code) is None


def test_the_same_evidence_gives_the_same_id_and_other_evidence_another() -> None:
    first, again, other = report(21610), report(21610, at=AT + 5), report(21610, evidence="RQ2")
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.consent_id == again.consent_id != other.consent_id


def test_an_operators_rule_decides() -> None:
    assert report(21211, ErrorPolicy({21211: ErrorOverride(suppresses=False)})) is None


def test_a_landline_may_still_be_written_to_on_another_channel() -> None:
    said = report(21635)
    assert said is not None
    ledger = Ledger().folded(said, 0)
    assert ledger.suppressed(About(channel=Channel.SMS, category="service"), AT) is not None
    assert ledger.suppressed(About(channel=Channel.WHATSAPP, category="service"), AT) is None
