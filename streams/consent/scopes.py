"""How far a change of consent reaches: which messages it concerns, and which scope lies within which."""

from __future__ import annotations

from connectors.twilio.addresses import parse_address
from connectors.values import named_value
from schemas.records import Channel, ConsentScope


@named_value
class About:
    """What consent asks of a message.

    Attributes:
        channel: road it takes.
        category: configured name.
        sender: configured name of the sender or messaging service; None while none is chosen.
        address: the sender's address as Twilio knows it, without channel prefix; None on a messaging service.
        messaging_service_sid: MG followed by 32 hex digits; None for a single sender.
        brand: configured brand of the sender.
    """

    channel: Channel
    category: str
    sender: str | None = None
    address: str | None = None
    messaging_service_sid: str | None = None
    brand: str | None = None


def covers(scope: ConsentScope, value: str | None, message: About) -> bool:
    """Whether a change of this scope concerns a message.

    A sender and a messaging service may be given by address or SID, or by configured name. Channel `sms` means texts
    and so covers MMS too, as Twilio's own opt-outs do (../reference/twilio.md §8.1); `mms` alone covers only MMS.
    """
    match scope:
        case ConsentScope.ALL:
            return True
        case ConsentScope.BRAND:
            return value is not None and value == message.brand
        case ConsentScope.CATEGORY:
            return value == message.category
        case ConsentScope.CHANNEL:
            return value == message.channel or (value == Channel.SMS and message.channel is Channel.MMS)
        case ConsentScope.MESSAGING_SERVICE:
            return message.messaging_service_sid is not None and value in (
                message.messaging_service_sid,
                message.sender,
            )
        case ConsentScope.SENDER:
            return value is not None and message.address is not None and value in (message.address, message.sender)


BY_SENDER = frozenset({ConsentScope.SENDER, ConsentScope.MESSAGING_SERVICE, ConsentScope.BRAND})
"""Scopes that concern a message or not by who sends it: of several senders that could carry it they may cover one and
not the other."""


def plain_value(scope: ConsentScope, value: str | None) -> str | None:
    """The value as the ledger keeps it: none for `all`, a sender's address without channel prefix (an opt-out from a
    number holds on all its channels), names as they are."""
    if scope is ConsentScope.ALL:
        return None
    return parse_address(value)[1] if scope is ConsentScope.SENDER and value is not None else value


_WITHIN = {
    ConsentScope.SENDER: frozenset({ConsentScope.MESSAGING_SERVICE, ConsentScope.BRAND, ConsentScope.ALL}),
    ConsentScope.MESSAGING_SERVICE: frozenset({ConsentScope.BRAND, ConsentScope.ALL}),
    ConsentScope.BRAND: frozenset({ConsentScope.ALL}),
    ConsentScope.CHANNEL: frozenset({ConsentScope.ALL}),
    ConsentScope.CATEGORY: frozenset({ConsentScope.ALL}),
    ConsentScope.ALL: frozenset(),
}


def within(scope: ConsentScope, wider: ConsentScope) -> bool:
    """Whether, of two scopes that cover one message, the first is part of the second. Category, channel and sender
    cross each other: none is part of another."""
    return wider in _WITHIN[scope]
