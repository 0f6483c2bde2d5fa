"""Which sender a message leaves from: one that the app may use and that can carry it, for one person always the same.

Among several the choice is a rendezvous hash weighted by rate: a person stays with a sender without any memory of it,
senders get people in proportion to their rate, and a sender that joins or leaves moves only those it gains or loses.
"""

from __future__ import annotations

import math
from hashlib import blake2b

from schemas.reasons import Reason

from .case import Case
from .config import PolicyConfig, Sender
from .quote import quote
from .verdict import Deny


def choose(case: Case) -> Sender | Deny:
    """The sender of this message, or why there is none; the same as often as the case asks."""
    if case.choice is None:
        case.choice = _choose(case)
    return case.choice


def _choose(case: Case) -> Sender | Deny:
    names = _named(case)
    if isinstance(names, Deny):
        return names
    fitting = [sender for name in names if _fits(sender := case.config.senders[name], case)]
    if not fitting:
        return Deny(
            Reason.NO_SENDER,
            "sender" if case.request.sender is not None else "channel",
            f"Of {', '.join(names) or 'no senders'} none sends {case.request.channel.value} to {case.number.country}.",
            "Configure such a sender for the app, or use another channel.",
        )
    if len(fitting) == 1:
        return fitting[0]
    return max(fitting, key=lambda sender: (_score(sender, case.request.recipient), sender.name))


def _named(case: Case) -> tuple[str, ...] | Deny:
    request, grants, config = case.request, case.grants, case.config
    if request.pool is not None:
        if request.pool not in config.pools:
            return _unknown("pool", request.pool)
        if request.pool not in grants.pools:
            return _not_granted("pool", request.pool, grants.name)
    granted = _members(config, grants.pools if request.pool is None else (request.pool,))
    if request.pool is None:
        granted = tuple(dict.fromkeys(granted + grants.senders))
    if request.sender is None:
        return granted
    if request.sender not in config.senders:
        return _unknown("sender", request.sender)
    if request.sender not in granted:
        return _not_granted("sender", request.sender, grants.name)
    return (request.sender,)


def _members(config: PolicyConfig, pools: tuple[str, ...]) -> tuple[str, ...]:
    return config.pools[pools[0]] if len(pools) == 1 else tuple(name for pool in pools for name in config.pools[pool])


def _unknown(field: str, name: str) -> Deny:
    return Deny(
        Reason.UNKNOWN_SENDER,
        field,
        f"No {field} {quote(name)} is configured.",
        f"Use a configured {field}, or leave it out.",
    )


def _not_granted(field: str, name: str, app: str) -> Deny:
    return Deny(
        Reason.SENDER_NOT_GRANTED,
        field,
        f"The app {app!r} may not use {field} {quote(name)} for this message.",
        f"Grant it under `apps`, or leave the {field} out.",
    )


def _fits(sender: Sender, case: Case) -> bool:
    return (
        case.request.channel in sender.channels
        and (sender.countries is None or case.number.country in sender.countries)
        and (sender.short_links or not case.request.shorten_urls)
    )


def _score(sender: Sender, recipient: str) -> float:
    digest = blake2b(f"{sender.name}\0{recipient}".encode(), digest_size=8).digest()
    uniform = ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52  # 52 bits and a half: never 0, never 1
    return sender.rate / -math.log(uniform)
