"""Which sender a message leaves from: one that the app may use and that can carry it, for one person always the same.

Lanes that are too far behind, or of which the app took what it may on one day, are left out. Then come first, as long
as one of them fits: lanes that nothing holds and that Twilio does not refuse for the person's country, the sender that
the person wrote to, lanes whose messages do not fail too often, numbers of the person's own area. Among several the
choice is a rendezvous hash weighted by rate: a person stays with a sender without any memory of it, senders get people
in proportion to their rate, and a sender that joins or leaves moves only those it gains or loses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b

from schemas.reasons import Reason
from schemas.records import Channel
from streams import numbers

from .case import Case
from .config import GeoMatch, PolicyConfig, Sender
from .quote import quote
from .verdict import Deny
from .whatsapp import WINDOW_CLOSED, address_of, may_open, needs_window, window_end

_AREA_CODE = len("+1415")  # North America alone has area codes of one length


def choose(case: Case) -> Sender | Deny:
    """The sender of this message, or why there is none; the same as often as the case asks."""
    if case.choice is None:
        case.choice = _choose(case)
    return case.choice


def _choose(case: Case) -> Sender | Deny:
    fitting = able(case)
    if isinstance(fitting, Deny):
        return fitting
    if needs_window(case):
        fitting = [sender for sender in fitting if window_end(case, sender) > case.now_ms]
        if not fitting:
            return WINDOW_CLOSED
    elif case.request.channel is Channel.WHATSAPP:
        fitting = [sender for sender in fitting if may_open(case, sender)]
    if not fitting:
        return Deny(
            Reason.WHATSAPP_DAILY_LIMIT,
            "channel",
            "Every sender that fits has written first to as many people as WhatsApp grants it in 24 h.",
            "Try tomorrow, use another channel, or raise `daily_people` when WhatsApp raises the limit.",
        )
    with_quota = fitting
    if case.facts.lane_turns:
        with_quota = [sender for sender in fitting if not _day_over(case, sender)]
    if not with_quota:
        return Deny(
            Reason.LANE_QUOTA_EXCEEDED,
            None,
            f"The app {case.grants.name!r} used up its quota of this day, counted from 00:00 UTC, on "
            f"{', '.join(sender.lane for sender in fitting)}.",
            f"Ask tomorrow, use another channel, or raise `apps.{case.grants.name}.quota.lanes`.",
        )
    fitting = with_quota
    in_time = fitting
    if case.facts.backlogs or case.deadline <= case.now_ms:
        in_time = [sender for sender in fitting if _leaves_in_time(case, sender)]
    if not in_time:
        return _backlog(case, fitting)
    return _preferred(case, in_time)


def able(case: Case) -> Sequence[Sender] | Deny:
    """The senders that the app may use and that can carry the message, at least one; or why there is none."""
    request, known = case.request, case.config.worked_out
    asked = (
        "able",
        case.entry.app,
        request.category,
        request.channel,
        case.number.country,
        request.pool,
        request.sender,
        bool(request.shorten_urls),
    )
    found: Sequence[Sender] | Deny | None = known.get(asked)
    if found is None:
        found = _able(case)
        if not isinstance(found, Deny):  # of names that are not configured there is no end
            known[asked] = found
    return found


def _able(case: Case) -> Sequence[Sender] | Deny:
    names = _named(case)
    if isinstance(names, Deny):
        return names
    fitting = tuple(sender for name in names if _fits(sender := case.config.senders[name], case))
    if not fitting:
        return Deny(
            Reason.NO_SENDER,
            "sender" if case.request.sender is not None else "channel",
            f"Of {', '.join(names) or 'no senders'} none sends {case.request.channel.value} to {case.number.country}.",
            "Configure such a sender for the app, or use another channel.",
        )
    return fitting


def _day_over(case: Case, sender: Sender) -> bool:
    turn = case.facts.lane_turns.get(sender.lane)
    return turn is not None and turn.day_over


def _leaves_in_time(case: Case, sender: Sender) -> bool:
    """What may not go before `not_before` is judged when it comes back then."""
    if case.request.not_before is not None and case.request.not_before > case.now_ms:
        return True
    return _leaves_at(case, sender) < case.deadline


def _leaves_at(case: Case, sender: Sender) -> int:
    behind = case.facts.backlogs.get(sender.lane)
    return case.now_ms if behind is None else behind.leaves_at(case.message_class, case.now_ms)


def _backlog(case: Case, fitting: Sequence[Sender]) -> Deny:
    wait_ms = min(_leaves_at(case, sender) for sender in fitting) - case.now_ms
    return Deny(
        Reason.BACKLOG,
        "deadline",
        f"{', '.join(sender.name for sender in fitting)} could send it in {wait_ms // 1000} s at the earliest, and its "
        f"deadline is in {(case.deadline - case.now_ms) // 1000} s.",
        "Give a later deadline, or add a sender.",
        facts={"lanes": ",".join(sender.lane for sender in fitting), "leaves_at": str(wait_ms + case.now_ms)},
    )


def _preferred(case: Case, fitting: Sequence[Sender]) -> Sender:
    best, unhealthy, refused, country = fitting, case.facts.unhealthy, case.facts.refused, case.number.country
    if unhealthy or refused:
        well = (sender for sender in fitting if sender.lane not in unhealthy)
        best = [sender for sender in well if (sender.lane, country) not in refused] or fitting
    if len(best) > 1:
        best = _written_to(case, best) or _by_failures(case, best)
    if len(best) > 1:
        best = _near(case, best) or best
    return (
        best[0]
        if len(best) == 1
        else max(best, key=lambda sender: (_score(sender, case.request.recipient), sender.name))
    )


def _by_failures(case: Case, fitting: Sequence[Sender]) -> Sequence[Sender]:
    """Without those that fail too often, as long as one is left."""
    failing = case.facts.failing
    well = [sender for sender in fitting if sender.lane not in failing]
    if not well or len(well) == len(fitting):
        return fitting
    case.avoided = tuple(f"{sender.lane}: {failing[sender.lane]}" for sender in fitting if sender.lane in failing)
    return well


def _written_to(case: Case, fitting: Sequence[Sender]) -> list[Sender]:
    """In a conversation, the sender that the person wrote to last."""
    if case.request.in_reply_to is None and case.request.channel is not Channel.WHATSAPP:
        return []
    written = case.facts.last_inbound
    known = [sender for sender in fitting if address_of(sender) in written]
    return [max(known, key=lambda sender: written[address_of(sender) or ""])] if known else []


def _near(case: Case, fitting: Sequence[Sender]) -> list[Sender]:
    if case.grants.geo_match is GeoMatch.NONE:
        return []
    home = [
        sender for sender in fitting if sender.address and numbers.country_of(sender.address) == case.number.country
    ]
    if case.grants.geo_match is GeoMatch.COUNTRY or not case.request.recipient.startswith("+1"):
        return home
    prefix = case.request.recipient[:_AREA_CODE]
    return [sender for sender in home if (sender.address or "").startswith(prefix)] or home


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
        and (sender.categories is None or case.category.name in sender.categories)
        and (sender.short_links or not case.request.shorten_urls)
    )


def _score(sender: Sender, recipient: str) -> float:
    digest = blake2b(f"{sender.name}\0{recipient}".encode(), digest_size=8).digest()
    uniform = ((int.from_bytes(digest, "big") >> 12) + 0.5) / 2**52  # 52 bits and a half: never 0, never 1
    return sender.rate / -math.log(uniform)
