"""A scope in words, `brand:acme`, and whether it names something that is configured. Pure."""

from __future__ import annotations

import re

from commlayer.config import Configuration
from commlayer.config.suggest import instead
from connectors.twilio.addresses import parse_address
from schemas.records import Channel, ConsentScope
from streams.consent.scopes import plain_value

_SERVICE_SID = re.compile(r"MG[0-9a-fA-F]{32}")
_ADDRESS = re.compile(r"\+?\d{3,15}")
HOW = "write all, or brand:, category:, channel:, messaging_service: or sender: with a name"


class NoScope(Exception):
    """The words are no scope, or nobody would be meant. `fix` says what to write instead."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


def scope_words(scope: ConsentScope, value: str | None) -> str:
    """`all`, `brand:acme`."""
    return scope.value if value is None else f"{scope.value}:{value}"


def read_scope(words: str, config: Configuration, *, as_history: bool = False) -> tuple[ConsentScope, str | None]:
    """Scope and value of the words.

    Args:
        as_history: it may also name an address or a service's SID that is not configured (any more): its opt-out must
            hold when it comes back.

    Raises:
        NoScope: see there.
    """
    kind, colon, value = words.strip().partition(":")
    try:
        scope = ConsentScope(kind)
    except ValueError:
        raise NoScope(f"`{words}` is no scope", HOW) from None
    if scope is ConsentScope.ALL:
        if colon:
            raise NoScope(f"`{words}`: `all` has no name", "write all")
        return scope, None
    if not value:
        raise NoScope(f"`{words}` names nobody", HOW)
    plain = plain_value(scope, value) or value
    if plain not in _configured(scope, config) and not (as_history and _has_form(scope, plain)):
        fix = instead(plain, _configured(scope, config), otherwise=f"configure a {scope.value.replace('_', ' ')} first")
        raise NoScope(f"no {scope.value.replace('_', ' ')} `{plain}` is configured", fix.rstrip("."))
    return scope, plain


def _configured(scope: ConsentScope, config: Configuration) -> set[str]:
    senders = config.senders.items()
    match scope:
        case ConsentScope.BRAND:
            return {sender.brand for _, sender in senders if sender.brand is not None}
        case ConsentScope.CATEGORY:
            return set(config.categories)
        case ConsentScope.CHANNEL:
            return {channel.value for channel in Channel}
        case ConsentScope.MESSAGING_SERVICE:
            services = [(name, sender.messaging_service_sid) for name, sender in senders]
            return {each for name, sid in services if sid is not None for each in (name, sid)}
        case _:
            single = [(name, sender.address) for name, sender in senders]
            return {each for name, address in single if address for each in (name, parse_address(address)[1])}


def _has_form(scope: ConsentScope, value: str) -> bool:
    form = {ConsentScope.MESSAGING_SERVICE: _SERVICE_SID, ConsentScope.SENDER: _ADDRESS}.get(scope)
    return form is not None and form.fullmatch(value) is not None
