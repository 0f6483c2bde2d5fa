"""What the demo asks for: three apps, their messages, and what shall become of each. Pure and repeatable by its seed
and moment."""

from __future__ import annotations

import random
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum

from schemas.reasons import Reason

from .night import asleep

LOGIN, SHOP, OUTLET = "login", "shop", "outlet"
APPS = (LOGIN, SHOP, OUTLET)
"""The outlet is switched off, and asks all the same."""
OTP, MARKETING, NEWSLETTER = "otp", "marketing", "newsletter"

SENDERS = {"short-code": ("24273", 100.0), "toll-free": ("+18005550199", 3.0), "long-code": ("+14155550100", 1.0)}
"""Name: (address, segments per second). Twilio's usual rates of the three types (limits page of the Messaging docs)."""

OTP_PER_SECOND = 4.0
CAMPAIGN_SHARE = 0.8
"""Part of what the three senders can carry in the time that the campaign asks for: the rest of the time they drain."""
CAMPAIGN_PUBLISH_S = 3.0
"""The campaign is published within this time: far faster than it may be sent, as campaigns are."""
MARKETING_A_DAY = 2
"""The cap: one person gets so many."""
OUTLET_MESSAGES = 3
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
    """What shall become of a message; known to the twin and to the books."""

    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    """The handset is switched off (30003)."""
    REFUSED = "refused"
    """Twilio refuses the number at once (21614)."""
    DENIED = "denied"
    """Policy denies it."""


_TWILIO_CODES = {Fate.UNDELIVERED: "30003", Fate.REFUSED: "21614"}


class Cue(Enum):
    """What a message waits for before it is asked for, beside its time."""

    OPTED_OUT = "the person's opt-out is known"
    ENDED = "the person's earlier messages have ended"


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One request of the demo.

    Attributes:
        at_s: seconds after the start of traffic.
        key: idempotency key; names the message in the books.
        reason: of a denial its reason code, of a failure Twilio's error code; empty when delivered.
        cue: what must have happened before, too.
    """

    at_s: float
    app: str
    to: str
    category: str
    body: str
    key: str
    fate: Fate
    reason: str = ""
    cue: Cue | None = None


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

    def cued(self, message: PlannedMessage, ended: Set[str], opted_out: Set[str]) -> bool:
        """Whether what the message waits for has happened.

        Args:
            ended: keys of the messages that have a final status.
            opted_out: numbers of the people whose opt-out is known.
        """
        match message.cue:
            case Cue.OPTED_OUT:
                return message.to in opted_out
            case Cue.ENDED:
                return all(
                    other.key in ended
                    for other in self.messages
                    if other.to == message.to and other.at_s < message.at_s
                )
            case None:
                return True


def plan(seconds: float, now: datetime, *, seed: int = 1) -> Plan:
    """Traffic for so many seconds from `now` on, an aware moment. Who is in none of the small stories gets one message,
    so that fates cannot mix."""
    rng = random.Random(seed)
    numbers = _numbers(rng)
    codes = [
        PlannedMessage(
            at_s=second / OTP_PER_SECOND,
            app=LOGIN,
            to=next(numbers),
            category=OTP,
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
    denied = [
        *_after_stop(replies),
        *_over_the_cap(seconds, next(numbers)),
        _at_night(seconds, now),
        *_switched_off(seconds, numbers),
    ]
    messages = sorted(codes + campaign + denied, key=lambda message: message.at_s)
    return Plan(messages=tuple(messages), replies=tuple(replies))


def _campaign(seconds: float, rng: random.Random, numbers: Iterator[str]) -> Iterator[PlannedMessage]:
    budget = CAMPAIGN_SHARE * seconds * sum(rate for _, rate in SENDERS.values())
    campaign: list[PlannedMessage] = []
    while budget > 0:
        # Mostly short texts; now and then one of two segments, which occupies its sender twice as long.
        body = rng.choices(_TEXTS, weights=(10, 10, 3, 1))[0]
        fate = rng.choices((Fate.DELIVERED, Fate.UNDELIVERED, Fate.REFUSED, Fate.DENIED), weights=(94, 3, 2, 1))[0]
        if len(campaign) < 7 * len(REPLIES):
            fate = Fate.DELIVERED
        abroad = fate is Fate.DENIED
        to = f"+6421{rng.randrange(1_000_000, 10_000_000)}" if abroad else next(numbers)
        reason = Reason.COUNTRY_NOT_ALLOWED.value if abroad else _TWILIO_CODES.get(fate, "")
        campaign.append(_offer(0.0, to, f"campaign-{len(campaign)}", fate, reason, body=body))
        budget -= 2 if len(body) > 160 else 1
    for number, message in enumerate(campaign):
        yield replace(message, at_s=CAMPAIGN_PUBLISH_S * number / len(campaign))


def _after_stop(replies: list[PlannedReply]) -> Iterator[PlannedMessage]:
    """The campaign goes on for those who wrote STOP; they get no more of it."""
    for number, reply in enumerate(reply for reply in replies if reply.text == "STOP"):
        offer = _offer(reply.at_s, reply.person, f"after-stop-{number}", Fate.DENIED, Reason.OPTED_OUT.value)
        yield replace(offer, cue=Cue.OPTED_OUT)


def _over_the_cap(seconds: float, person: str) -> Iterator[PlannedMessage]:
    """One customer is on too many lists: what the cap allows arrives, the next is denied."""
    for number in range(MARKETING_A_DAY):
        yield _offer(0.0, person, f"capped-{number}", Fate.DELIVERED)
    third = _offer(0.4 * seconds, person, f"capped-{MARKETING_A_DAY}", Fate.DENIED, Reason.FREQUENCY_CAP.value)
    yield replace(third, cue=Cue.ENDED)


def _at_night(seconds: float, now: datetime) -> PlannedMessage:
    """A newsletter that cannot wait for the morning, to somebody who sleeps now."""
    letter = _offer(0.3 * seconds, asleep(now).number, "night-0", Fate.DENIED, Reason.QUIET_HOURS.value)
    return replace(letter, category=NEWSLETTER)


def _switched_off(seconds: float, numbers: Iterator[str]) -> Iterator[PlannedMessage]:
    for number in range(OUTLET_MESSAGES):
        at_s = seconds * (0.2 + 0.2 * number)
        offer = _offer(at_s, next(numbers), f"outlet-{number}", Fate.DENIED, Reason.APP_DISABLED.value)
        yield replace(offer, app=OUTLET)


def _offer(at_s: float, to: str, key: str, fate: Fate, reason: str = "", *, body: str = _TEXTS[0]) -> PlannedMessage:
    return PlannedMessage(at_s=at_s, app=SHOP, to=to, category=MARKETING, body=body, key=key, fate=fate, reason=reason)


def _numbers(rng: random.Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        number = f"+1{rng.choice(_AREA_CODES)}555{rng.randrange(10_000):04d}"
        if number not in seen:
            seen.add(number)
            yield number
