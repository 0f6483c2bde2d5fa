from __future__ import annotations

import pytest

from twin.addresses import Kind, masked, parse


@pytest.mark.parametrize(
    ("text", "kind", "normal"),
    [
        ("+15558675310", Kind.NUMBER, "+15558675310"),
        ("+1 (555) 867-5310", Kind.NUMBER, "+15558675310"),
        ("5558675310", Kind.NUMBER, "+15558675310"),
        ("15558675310", Kind.NUMBER, "+15558675310"),
        ("+4915112345678", Kind.NUMBER, "+4915112345678"),
        ("+2901234", Kind.NUMBER, "+2901234"),
        ("55103", Kind.SHORT_CODE, "55103"),
        ("ACME", Kind.ALPHANUMERIC, "ACME"),
        ("whatsapp:+5511999998888", Kind.WHATSAPP, "whatsapp:+5511999998888"),
        ("rcs:my_agent", Kind.RCS, "rcs:my_agent"),
        ("messenger:123", Kind.MESSENGER, "messenger:123"),
        ("123", Kind.INVALID, "123"),
        ("+999123456", Kind.INVALID, "+999123456"),
        ("+155586753101", Kind.INVALID, "+155586753101"),
        ("+10558675310", Kind.INVALID, "+10558675310"),
        ("whatsapp:nobody", Kind.INVALID, "whatsapp:nobody"),
        ("fax:+15558675310", Kind.INVALID, "fax:+15558675310"),
        ("MUCHTOOLONGID", Kind.INVALID, "MUCHTOOLONGID"),
        ("", Kind.INVALID, ""),
    ],
)
def test_tells_what_an_address_is(text: str, kind: Kind, normal: str) -> None:
    address = parse(text)
    assert (address.kind, address.text) == (kind, normal)


def test_a_person_is_the_same_on_every_channel() -> None:
    assert parse("whatsapp:+15558675310").person == parse("+15558675310").person == "+15558675310"


def test_error_texts_hide_the_last_four_digits() -> None:
    assert masked("+917000123456") == "+91700012XXXX"
