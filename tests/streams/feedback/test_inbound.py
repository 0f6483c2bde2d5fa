from __future__ import annotations

from typing import Any

from schemas.records import Channel, Inbound, KeywordIntent
from streams.feedback.inbound import understood


def wrote(body: str, **changes: Any) -> Inbound:
    values: dict[str, Any] = {
        "sid": "SM" + "3" * 32,
        "account_sid": "AC" + "2" * 32,
        "recipient": "+41791234567",
        "channel": Channel.SMS,
        "sender": "+15005550001",
        "body": body,
        "received_at": 1,
    }
    return Inbound(**{**values, **changes})


def test_a_keyword_is_understood() -> None:
    told = understood(wrote(" stop "))
    assert (told.keyword_intent, told.keyword) == (KeywordIntent.STOP, "STOP")


def test_what_is_no_keyword_passes_unchanged() -> None:
    asked = wrote("Thanks, see you at 5")
    assert understood(asked) is asked
    assert asked.keyword_intent is None


def test_what_the_bridge_understood_stays() -> None:
    told = wrote("stop", keyword_intent=KeywordIntent.HELP, keyword="AIDE")
    assert understood(told) is told


def test_the_sender_decides_which_words_count() -> None:
    assert understood(wrote("yes")).keyword_intent is KeywordIntent.START
    assert understood(wrote("yes", sender="+18005550100")).keyword_intent is None


def test_a_conversation_is_not_guessed() -> None:
    told = understood(wrote("stop"))
    assert (told.app, told.in_reply_to, told.campaign) == (None, None, None)
