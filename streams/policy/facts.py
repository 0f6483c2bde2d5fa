"""What policy knows beside the request when it decides: the person, what they agreed to, what they were sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from connectors.values import named_value
from schemas.records import Channel, Control
from streams.consent import Ledger
from streams.control.backlogs import Backlog

from .profile import Profile
from .quotas import Turn


@named_value
class Past:
    """One earlier decision about the same person.

    Attributes:
        message_id: the message it was about.
        round: round of that decision.
        app, category: whose it was and what for, by configured name.
        channel: road it took.
        sender: configured name of its sender at its last admission; None when it was never admitted.
        admitted: True when it went to dispatch, in this round or an earlier one; others count for no cap.
        at: moment of its last admission, else of the decision; epoch milliseconds UTC.
    """

    message_id: str
    round: int
    app: str
    category: str
    channel: Channel
    sender: str | None
    admitted: bool
    at: int


@named_value
class Facts:
    """Everything a rule may ask that is neither in the request nor in the configuration.

    Attributes:
        profile: what customer data says of the person; None when nothing is known.
        ask_again_at: customer data that the category requires did not answer; when it is worth asking again, epoch
            milliseconds UTC. None: it answered, or needs not.
        ledger: what the person agreed to; empty for a stranger.
        past: earlier decisions about the person that are remembered, oldest first, never of the message decided now.
        last_inbound: when the person last wrote to us, epoch milliseconds UTC, by our address as Twilio writes it
            (`whatsapp:+…` for WhatsApp).
        unhealthy: lanes that are paused or in trouble.
        refused: lanes that Twilio refuses for one country, each with that (ISO 3166 alpha-2).
        failing: lanes of which too many messages fail for the sender's sake, and what was counted.
        backlogs: how far lanes are behind, by lane; one that is not named is free.
        opened: other people of this partition to whom a WhatsApp sender wrote first within 24 h, by name of the sender.
        earlier_digest: what an earlier request under the same key said (`idempotency.digest`).
        paused_apps: the pause of each app that an operator has paused (`Switchboard`).
        cancelled: the app took the message back before it was admitted.
        quota_wait_until: when it is the request's turn under its app's quota, epoch milliseconds UTC; None: now.
        quota_day_over: the app asked for as much as it may on one day.
        lane_turns: what the app's quota of a lane says, by name of the lane; one that is not named is not limited, or
            the message has paid for it.
    """

    profile: Profile | None = None
    ask_again_at: int | None = None
    ledger: Ledger = field(default_factory=Ledger)
    past: tuple[Past, ...] = ()
    last_inbound: Mapping[str, int] = field(default_factory=dict)
    unhealthy: frozenset[str] = frozenset()
    refused: frozenset[tuple[str, str]] = frozenset()
    failing: Mapping[str, str] = field(default_factory=dict)
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    opened: Mapping[str, int] = field(default_factory=dict)
    earlier_digest: bytes | None = None
    paused_apps: Mapping[str, Control] = field(default_factory=dict)
    cancelled: bool = False
    quota_wait_until: int | None = None
    quota_day_over: bool = False
    lane_turns: Mapping[str, Turn] = field(default_factory=dict)


NOTHING_KNOWN = Facts()
"""A stranger."""
