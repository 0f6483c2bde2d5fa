"""What the demo asks for: two apps, their messages, and what shall become of each. Pure and repeatable by its seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

LOGIN, SHOP = "login", "shop"

SENDERS = {"short-code": ("24273", 100.0), "toll-free": ("+18005550199", 3.0), "long-code": ("+14155550100", 1.0)}
"""Name: (address, segments per second). Twilio's usual rates of the three types (limits page of the Messaging docs)."""

OTP_PER_SECOND = 4.0
CAMPAIGN_SHARE = 0.8
"""Part of what the three senders can carry in the time that the campaign asks for: the rest of the time they drain."""
CAMPAIGN_PUBLISH_S = 3.0
"""The campaign is published within this time: far faster than it may be sent, as campaigns are."""
REPLIES = ("Thanks, just what I needed", "Is the blue one back in size 9?", "STOP", "Lovely! See you on Saturday")
"""What a few customers answer; one of them has had enough."""

_AREA_CODES = (206, 212, 303, 312, 404, 415, 512, 617, 702, 818)
_TEXTS = (
    "Flash sale: 20% off all trail shoes until Sunday. shop.example/trail Reply STOP to opt out",
    "Your favourites are back in stock: shop.example/favs Reply STOP to opt out",
    "Café crème is here ☕ try it free this week. shop.example/cafe Reply STOP to opt out",
    (
        "Thank you for a great year! As a member you may shop the winter collection two days before everyone else, "
        "with free delivery and free returns until the end of January. shop.example/winter Reply STOP to opt out"
    ),
)


class Fate(StrEnum):
    """What shall become of a message; decided by its recipient, known to the twin and to the books."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    """The handset is switched off (30003)."""
    REFUSED = "refused"
    """Twilio refuses the number at once (21614)."""
    DENIED = "denied"
    """Policy denies it: the country is not allowed."""


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One request of the demo.

    Attributes:
        at_s: seconds after the start of traffic.
        key: idempotency key; names the message in the books.
    """

    at_s: float
    app: str
    to: str
    category: str
    body: str
    key: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class PlannedReply:
    """One customer answers what she got from the shop."""

    at_s: float
    person: str
    text: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All traffic of one run, in order of time."""

    messages: tuple[PlannedMessage, ...]
    replies: tuple[PlannedReply, ...]

    def recipients(self, fate: Fate) -> list[str]:
        """Everyone whose message meets this fate."""
        return [message.to for message in self.messages if message.fate is fate]


def plan(seconds: float, *, seed: int = 1) -> Plan:
    """Traffic for so many seconds. Every recipient gets one message, so that fates cannot mix."""
    rng = random.Random(seed)
    numbers = _numbers(rng)
    codes = [
        PlannedMessage(
            at_s=second / OTP_PER_SECOND,
            app=LOGIN,
            to=next(numbers),
            category="otp",
            body=f"{rng.randrange(1_000_000):06d} is your login code. It expires in 10 minutes.",
            key=f"otp-{second}",
            fate=Fate.DELIVERED,
        )
        for second in range(int(seconds * OTP_PER_SECOND))
    ]
    campaign = list(_campaign(seconds, rng, numbers))
    happy = [message for message in campaign if message.fate is Fate.DELIVERED]
    # People answer after a third of the time at the earliest: by then the texts of the front of the queue are there.
    replies = [
        PlannedReply(at_s=seconds * (0.35 + 0.12 * number), person=happy[number * 7].to, text=text)
        for number, text in enumerate(REPLIES)
    ]
    messages = sorted(codes + campaign, key=lambda message: message.at_s)
    return Plan(messages=tuple(messages), replies=tuple(replies))


def _campaign(seconds: float, rng: random.Random, numbers: Iterator[str]) -> Iterator[PlannedMessage]:
    budget = CAMPAIGN_SHARE * seconds * sum(rate for _, rate in SENDERS.values())
    number = 0
    while budget > 0:
        # Mostly short texts; now and then one of two segments, which occupies its sender twice as long.
        body = rng.choices(_TEXTS, weights=(10, 10, 3, 1))[0]
        fate = rng.choices((Fate.DELIVERED, Fate.UNDELIVERED, Fate.REFUSED, Fate.DENIED), weights=(94, 3, 2, 1))[0]
        if number < 7 * len(REPLIES):
            fate = Fate.DELIVERED
        to = f"+6421{rng.randrange(1_000_000, 10_000_000)}" if fate is Fate.DENIED else next(numbers)
        yield PlannedMessage(
            at_s=0.0, app=SHOP, to=to, category="marketing", body=body, key=f"campaign-{number}", fate=fate
        )
        budget -= 2 if len(body) > 160 else 1
        number += 1


def _numbers(rng: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        number = f"+1{rng.choice(_AREA_CODES)}555{rng.randrange(10_000):04d}"
        if number not in seen:
            seen.add(number)
            yield number
