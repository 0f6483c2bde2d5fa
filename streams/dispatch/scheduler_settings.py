"""What an operator may set of the scheduler, with the reasons for what holds otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .breaker import Backoff
from .concurrency import DEFAULT_LIMIT
from .shares import DEFAULT_SHARES

LEAD_S = 0.05
"""How far ahead of its slot a message is planned: an INTENT is acknowledged in 2-7 ms, 10-20 ms on a loaded broker.
What is planned at a crash is in doubt afterwards, so this is kept far below the 1 s that the promise allows."""

LANE_BACKOFF = Backoff(first_s=5.0, cap_s=300.0)
"""A sender in trouble (queue full: 21611) drains within minutes; a broken one is probed every five minutes."""
ACCOUNT_BACKOFF = Backoff(first_s=0.25, cap_s=30.0)
"""An account in trouble (Twilio away, credentials refused) is probed soon, then every half minute."""
COUNTRY_BACKOFF = Backoff(first_s=60.0, cap_s=3600.0)
"""A sender that may not write to a country seldom may an hour later: a person changes something, here or at Twilio."""


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """What an operator may set.

    Attributes:
        shares: guaranteed share by rank of class.
        max_in_flight: requests in flight per account, at most.
        slots: the same of single accounts, by name.
        lead_s: how far ahead of its slot a message is planned; on a slow lane up to `company.APART_S` more.
        lane_backoff, account_backoff, country_backoff: pauses after trouble, the last of what one lane has for one
            country.
    """

    shares: Sequence[float] = DEFAULT_SHARES
    max_in_flight: int = DEFAULT_LIMIT
    slots: Mapping[str, int] = field(default_factory=dict)
    lead_s: float = LEAD_S
    lane_backoff: Backoff = field(default=LANE_BACKOFF)
    account_backoff: Backoff = field(default=ACCOUNT_BACKOFF)
    country_backoff: Backoff = field(default=COUNTRY_BACKOFF)
