"""Numbers in any notation become E.164; what cannot be a number is refused, and the number is never quoted."""

from __future__ import annotations

import re

import pytest
from commlayer_client import Fate, InvalidRecipient, InvalidRequest, normalise
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("number", "region", "e164"),
    [
        ("+1 415 555 0123", None, "+14155550123"),
        ("+1 (415) 555-0123", None, "+14155550123"),
        ("+41 79 123 45 67", None, "+41791234567"),
        ("+4179/123.45.67", None, "+41791234567"),
        ("tel:+1-415-555-0123", None, "+14155550123"),
        ("＋１４１５５５５０１２３", None, "+14155550123"),
        ("(415) 555-0123", "US", "+14155550123"),
        ("079 123 45 67", "CH", "+41791234567"),
        ("0041 79 123 45 67", "CH", "+41791234567"),
        ("+41 79 123 45 67", "US", "+41791234567"),
        ("+15005550006", None, "+15005550006"),
        ("+39 06 1234 5678", None, "+390612345678"),
    ],
)
def test_a_number_in_any_notation_becomes_e164(number: str, region: str | None, e164: str) -> None:
    assert normalise(number, region) == e164


@pytest.mark.parametrize(
    ("number", "region", "words"),
    [
        ("", None, "no telephone number"),
        ("abc", None, "no telephone number"),
        ("4155550123", None, "default_region"),
        ("(415) 555-0123", None, "default_region"),
        ("555-0123", "US", "area code"),
        ("+1415555", None, "too short"),
        ("+1415555012345", None, "too long"),
        ("+999 1234 5678", None, "country code"),
        ("+1 415 555 0123 ext. 5", None, "extension"),
        ("whatsapp:+14155550123", None, "channel"),
        (14155550123, None, "type int"),
        (None, None, "type NoneType"),
    ],
)
def test_what_cannot_be_a_number_is_refused_with_a_fix(number: str, region: str | None, words: str) -> None:
    with pytest.raises(InvalidRecipient, match=words) as caught:
        normalise(number, region)
    assert isinstance(caught.value, InvalidRequest | ValueError)
    assert caught.value.field == "to"
    assert caught.value.fix
    assert caught.value.fate is Fate.NOT_PUBLISHED
    assert "555" not in caught.value.detail


@given(st.text(max_size=30), st.sampled_from([None, "US", "CH"]))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_number_in_e164_or_refused(text: str, region: str | None) -> None:
    try:
        number = normalise(text, region)
    except InvalidRecipient:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{3,14}", number)
    assert normalise(number) == number
