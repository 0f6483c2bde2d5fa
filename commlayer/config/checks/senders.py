"""Senders: is the address one of its type, is it only here, and can it do what it is asked to?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.problems import Path, Problem
from commlayer.config.twilio import Sender
from schemas.records import Channel
from streams.policy.config import SenderType

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SHORT_CODE = re.compile(r"\d{3,8}")
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}")
"""Twilio: up to 11 characters of A-Z a-z 0-9 space + & _ -, at least one letter."""
_NUMBER = (_E164, "an E.164 number", "write + and country code, for example +14155550123.")
_FORMS = {
    SenderType.SHORT_CODE: (_SHORT_CODE, "a short code", "write its 3 to 8 digits without +."),
    SenderType.LONG_CODE: _NUMBER,
    SenderType.TOLL_FREE: _NUMBER,
    SenderType.WHATSAPP: _NUMBER,
    SenderType.ALPHANUMERIC: (
        _ALPHANUMERIC,
        "an alphanumeric sender id",
        "write at most 11 of A-Z a-z 0-9 space + & _ -, with at least one letter.",
    ),
}
_NO_ALPHANUMERIC = frozenset({"US", "CA"})
"""Countries of this list's alphabet soup where Twilio refuses alphanumeric ids outright (error 21612)."""


def senders(draft: Draft) -> Iterator[Problem]:
    """Each sender alone, then all together: one address is one sender, so that one lane paces it."""
    by_address: dict[tuple[str, ...], str] = {}
    for name, sender in draft.senders.items():
        path: Path = ("senders", name)
        yield from _identity(path, sender)
        yield from _channels(path, sender)
        if sender.daily_people is not None and sender.type is not SenderType.WHATSAPP:
            yield Problem((*path, "daily_people"), "only WhatsApp limits people a day.", "remove it.")
        elif sender.daily_people is not None and draft.kafka is not None:
            yield from _shares(path, sender.daily_people, draft.kafka.partitions.recipient)
        yield from _countries(draft, path, sender)
        key = _key(sender)
        other = by_address.setdefault(key, name) if key else name
        if other != name:
            fix = "keep one of them: two lanes would send at twice the rate."
            yield Problem((*path, "address"), f"sender `{other}` has the same address.", fix)


def _identity(path: Path, sender: Sender) -> Iterator[Problem]:
    if sender.messaging_service_sid is not None:
        for key in ("address", "type"):
            if getattr(sender, key) is not None:
                yield Problem((*path, key), "a messaging service has none.", f"remove `{key}:`.")
        return
    if sender.address is None:
        yield Problem((*path, "address"), "required, but missing.", "add `address:`, or `messaging_service_sid:`.")
    if sender.type is None:
        kinds = ", ".join(SenderType)
        yield Problem((*path, "type"), "required, but missing.", f"add `type:` with one of: {kinds}.")
    if sender.address is None or sender.type is None:
        return
    pattern, kind, fix = _FORMS[sender.type]
    if not pattern.fullmatch(sender.address):
        if ":" in sender.address:
            fix = "write it without the channel's prefix; `type:` says the channel."
        yield Problem((*path, "address"), f"not {kind}.", fix)


def _shares(path: Path, limit: int, partitions: int) -> Iterator[Problem]:
    if limit < partitions:
        what = f"fewer than the {partitions} partitions that share it: people of some could never be written to first."
        yield Problem((*path, "daily_people"), what, f"WhatsApp grants at least 250; write {partitions} or more.")


def _channels(path: Path, sender: Sender) -> Iterator[Problem]:
    if sender.channels is None or sender.type is None:
        return
    if not sender.channels:
        yield Problem((*path, "channels"), "must not be empty.", "remove it, or name a channel.")
    for index, channel in enumerate(sender.channels):
        if (channel is Channel.WHATSAPP) != (sender.type is SenderType.WHATSAPP):
            fix = "make a second sender of the same address: SMS and WhatsApp have their own rates."
            yield Problem((*path, "channels", index), f"type {sender.type} cannot use {channel}.", fix)
        elif channel is Channel.MMS and sender.type is SenderType.ALPHANUMERIC:
            yield Problem((*path, "channels", index), "an alphanumeric id cannot send MMS.", "remove it.")


def _countries(draft: Draft, path: Path, sender: Sender) -> Iterator[Problem]:
    if sender.type is SenderType.SHORT_CODE and not sender.countries:
        fix = "add `countries:` with the one it belongs to, for example [US]."
        yield Problem((*path, "countries"), "a short code works only inside its country.", fix)
    for index, country in enumerate(sender.countries or ()):
        if sender.type is SenderType.ALPHANUMERIC and country in _NO_ALPHANUMERIC:
            what = f"alphanumeric sender ids are not accepted in {country}."
            yield Problem((*path, "countries", index), what, "remove it; use a number or short code there.")
        elif draft.countries is not None and country not in draft.countries.allow:
            fix = "add it to countries.allow, or remove it here."
            yield Problem((*path, "countries", index), f"{country} is not in countries.allow.", fix)


def _key(sender: Sender) -> tuple[str, ...] | None:
    """What makes a sender unique at Twilio. An alphanumeric id may be used by several accounts, and one number can be
    an SMS and a WhatsApp sender."""
    if sender.messaging_service_sid is not None:
        return ("service", sender.messaging_service_sid.lower())
    if sender.address is None:
        return None
    if sender.type is SenderType.ALPHANUMERIC:
        return ("alphanumeric", sender.account, sender.address)
    return ("whatsapp" if sender.type is SenderType.WHATSAPP else "number", sender.address)
