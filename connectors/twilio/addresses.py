"""Addresses as Twilio writes them: a number or name, with a channel prefix for everything but SMS and MMS."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from schemas.records import Channel

WHATSAPP = "whatsapp"

_PREFIXED = re.compile(r"([a-z]{2,20}):(.*)", re.DOTALL)
_TOLL_FREE = re.compile(r"\+1(800|833|844|855|866|877|888)\d{7}")
_SHORT_CODE = re.compile(r"\d{3,8}")
_NUMBER = re.compile(r"\+\d+")


class SenderType(StrEnum):
    """Kind of sender: keyword handling and rates differ by it."""

    LONG_CODE = "long_code"
    TOLL_FREE = "toll_free"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"
    CHANNEL = "channel"


class Address(NamedTuple):
    """An address taken apart.

    Attributes:
        prefix: channel prefix without its colon (`whatsapp`, `rcs`, `messenger`), empty for SMS and MMS.
        bare: number, short code, name or channel id without the prefix.
    """

    prefix: str
    bare: str


def parse_address(text: str) -> Address:
    """`whatsapp:+14155550123` becomes (`whatsapp`, `+14155550123`); `+1…` stays with an empty prefix."""
    match = _PREFIXED.fullmatch(text)
    return Address(match[1], match[2]) if match else Address("", text)


def format_address(channel: Channel, bare: str) -> str:
    """The address as Twilio expects it for this channel."""
    return f"{WHATSAPP}:{bare}" if channel is Channel.WHATSAPP else bare


def sender_type(address: str) -> SenderType:
    """What kind of sender one of our addresses is, by its form alone."""
    prefix, bare = parse_address(address)
    if prefix:
        return SenderType.CHANNEL
    if _TOLL_FREE.fullmatch(bare):
        return SenderType.TOLL_FREE
    if _SHORT_CODE.fullmatch(bare):
        return SenderType.SHORT_CODE
    return SenderType.LONG_CODE if _NUMBER.fullmatch(bare) else SenderType.ALPHANUMERIC
