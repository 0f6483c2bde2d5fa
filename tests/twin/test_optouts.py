from __future__ import annotations

import pytest

from twin.optouts import OptOuts
from twin.settings import SenderType


def _texts(ledger: OptOuts, *texts: str, sender_type: SenderType = "long_code") -> list[str | None]:
    handled = []
    for text in texts:
        handling = ledger.inbound(
            text, account="AC", scopes=("+1", "MG"), person="+2", sender_type=sender_type, advanced=False
        )
        handled.append(None if handling is None else handling.intent)
    return handled


@pytest.mark.parametrize("word", ["STOP", "unsubscribe", "End", "QUIT", "stopall", "Revoke", "OPTOUT", "cancel"])
def test_one_word_opts_out_of_sender_and_service(word: str) -> None:
    ledger = OptOuts()
    assert _texts(ledger, word) == ["STOP"]
    assert ("AC", "+1", "+2") in ledger
    assert ("AC", "MG", "+2") in ledger
    assert ledger.as_rows()[0] == {"account": "AC", "scope": "+1", "person": "+2"}


@pytest.mark.parametrize("text", ["stop please", "please stop", "stop!", "", "stopp"])
def test_more_than_the_word_is_no_keyword(text: str) -> None:
    assert _texts(OptOuts(), text) == [None]


def test_yes_opts_in_only_who_is_out() -> None:
    assert _texts(OptOuts(), "YES", "STOP", "yes", "YES") == [None, "STOP", "START", None]


def test_only_a_change_is_answered() -> None:
    ledger = OptOuts()
    answered = [
        ledger.inbound(text, account="AC", scopes=("+1",), person="+2", sender_type="long_code", advanced=False)
        for text in ("START", "HELP", "STOP", "STOP", "HELP", "UNSTOP", "INFO")
    ]
    assert [bool(handling and handling.reply) for handling in answered] == [False, True, True, False, False, True, True]


def test_toll_free_knows_stop_start_and_unstop_only() -> None:
    texts = ("UNSUBSCRIBE", "HELP", "stop", "YES", "Unstop")
    assert _texts(OptOuts(), *texts, sender_type="toll_free") == [None, None, "STOP", None, "START"]


@pytest.mark.parametrize("sender_type", ["short_code", "whatsapp", "alphanumeric"])
def test_other_senders_are_not_handled(sender_type: SenderType) -> None:
    assert _texts(OptOuts(), "STOP", "HELP", sender_type=sender_type) == [None, None]
