"""What policy must know about the installation; the composition root builds it from the YAML."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from connectors.twilio.carriers import Carriers
from schemas.records import Channel, DoubtPolicy, MessageClass

from .quiet.law import NO_QUIET_HOURS, QuietHours
from .templates.model import ContentTemplate, Template

MIN_REMEMBER_MS = 8 * 24 * 3600 * 1000
"""A decision is remembered for longer than the request topics keep records (7 days): no request may be delivered to
somebody who has forgotten that it was decided."""

CLOCKS_DIFFER_MS = 3_600_000
"""A window of a cap is remembered for this much longer: the owner that forgets may have a faster clock than the one
that looks back."""

DEFAULT_DEADLINE_S = 24 * 3600
"""A message nobody gave a deadline is worthless a day later."""


class GeoMatch(StrEnum):
    """Which sender is preferred, by where its number belongs."""

    NONE = "none"
    COUNTRY = "country"
    AREA_CODE = "area_code"


class SenderType(StrEnum):
    """Kind of sender, as Twilio tells them apart."""

    SHORT_CODE = "short_code"
    LONG_CODE = "long_code"
    TOLL_FREE = "toll_free"
    ALPHANUMERIC = "alphanumeric"
    WHATSAPP = "whatsapp"


class ConsentRule(StrEnum):
    """What messages of a category need of the person's consent. A property of what is said, never a way around it."""

    OPT_IN = "opt_in"
    """An opt-in that covers the message, and no opt-out against it: marketing."""
    OPT_OUT = "opt_out"
    """No opt-out against it."""
    REQUIRED_BY_LAW = "required_by_law"
    """The law demands that it is sent, whatever the person wishes; only a suppression of the number stops it."""


class OverCap(StrEnum):
    """What follows for a message that would exceed a frequency cap."""

    DEFER = "defer"
    """It waits until its window has room again."""
    DENY = "deny"
    """It is not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """How many messages one person gets at most within a sliding window, from all apps together.

    Attributes:
        name: configured name.
        categories: what it covers; they are counted together.
        channels: channels it covers, counted together; None: every one.
        window_ms: length of the window, milliseconds.
        at_most: messages admitted within any window.
        over: what happens to one more.
    """

    name: str
    categories: frozenset[str]
    window_ms: int
    at_most: int
    channels: frozenset[Channel] | None = None
    over: OverCap = OverCap.DEFER

    def covers(self, category: str, channel: Channel) -> bool:
        """Whether a message counts, and is counted, here."""
        return category in self.categories and (self.channels is None or channel in self.channels)


class EnrichmentMode(StrEnum):
    """Whether policy asks customer data about the person of a message, and what follows where there is no answer."""

    REQUIRED = "required"
    """The message waits for an answer, within its deadline: fail closed."""
    OPTIONAL = "optional"
    """It goes on without: fail open."""
    NONE = "none"
    """Nobody is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """What a message is for.

    Attributes:
        name: configured name, as requests give it.
        message_class: urgency of its messages.
        deadline_s: seconds after the earliest moment of sending at which a message without deadline is worthless.
        doubt_policy: what follows when nobody can tell whether Twilio accepted.
        message_intent: Twilio MessageIntent.
        validity_period_s: seconds a message may wait inside Twilio where the request does not say.
        shorten_urls: Twilio ShortenUrls where the request does not say.
        unsubscribe: its texts end with the unsubscribe line.
        consent: what it needs of the person's consent.
        quiet_hours: its messages wait for the hours at which the recipient may be written to.
        enrichment: whether customer data is asked about the person, and what follows without an answer.
    """

    name: str
    message_class: MessageClass = MessageClass.NORMAL
    deadline_s: int = DEFAULT_DEADLINE_S
    doubt_policy: DoubtPolicy = DoubtPolicy.STOP
    message_intent: str | None = None
    validity_period_s: int | None = None
    shorten_urls: bool | None = None
    unsubscribe: bool = False
    consent: ConsentRule = ConsentRule.OPT_OUT
    quiet_hours: bool = False
    enrichment: EnrichmentMode = EnrichmentMode.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One sender, or one messaging service, with the lane that paces it.

    Attributes:
        name: configured name.
        account: configured name of its Twilio account.
        lane: name of its lane; its own name.
        group: pacing group of the lane.
        partition: partition of the group in all dispatch topics.
        address: as Twilio knows it, without channel prefix; None for a messaging service.
        messaging_service_sid: MG followed by 32 hex digits; None for a single sender.
        type: kind of sender; None for a messaging service.
        channels: channels it can use.
        countries: ISO 3166 alpha-2 countries it may send to; None: every allowed one.
        categories: categories it is for; None: every one.
        daily_people: people it may write to first within 24 h, as WhatsApp grants; None: not limited.
        rate: segments per second; the weight in the choice among several senders.
        smart_encoding: Twilio SmartEncoded where the request does not say.
        short_links: a messaging service with a domain for short links, without which Twilio refuses ShortenUrls.
        brand: who the person takes it for; opt-outs may reach so far.
    """

    name: str
    account: str
    lane: str
    group: str
    partition: int
    address: str | None = None
    messaging_service_sid: str | None = None
    type: SenderType | None = None
    channels: frozenset[Channel] = frozenset({Channel.SMS})
    countries: frozenset[str] | None = None
    rate: float = 1.0
    smart_encoding: bool = False
    short_links: bool = False
    brand: str | None = None
    categories: frozenset[str] | None = None
    daily_people: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much one app may ask for; what is None is not limited.

    Attributes:
        per_second: requests per second; what comes faster waits its turn.
        per_day: requests from one 00:00 UTC to the next; more are denied.
        lanes: how many of its messages may take a lane, by its name; each with the meaning above.
    """

    per_second: float | None = None
    per_day: int | None = None
    lanes: Mapping[str, Quota] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppGrants:
    """What one app may do.

    Attributes:
        name: the app: the name in its request topic.
        categories: categories it may send.
        pools: pools it may send from.
        senders: senders it may use beside those of its pools.
        countries: countries it may send to; None: every allowed one.
        enabled: False denies everything.
        geo_match: which of several senders is preferred, by where its number belongs.
        classes: urgency of its messages by category, where it is not that of the category.
        deadlines_s: like `Category.deadline_s` by category, where it is not that of the category.
        templates: names of templates it may use, `*` for any text.
        quota: how much it may ask for.
    """

    name: str
    categories: frozenset[str] = frozenset()
    pools: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    countries: frozenset[str] | None = None
    enabled: bool = True
    templates: tuple[str, ...] = ()
    geo_match: GeoMatch = GeoMatch.NONE
    classes: Mapping[str, MessageClass] = field(default_factory=dict)
    deadlines_s: Mapping[str, int] = field(default_factory=dict)
    quota: Quota = Quota()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyConfig:
    """The installation as policy sees it.

    Attributes:
        version: names this configuration in every decision.
        apps, categories, senders: by name.
        pools: names of senders by name of pool.
        countries: ISO 3166 alpha-2 countries that messages may go to at all.
        templates: own templates by name.
        content_templates: Content templates of Twilio's by SID in lower case, those that were declared.
        partitions: partitions of the topics keyed by recipient; a limit on all people is shared among them.
        unsubscribe_lines: by locale; the first one where none fits.
        remember_ms: how long after its end a message is remembered: a repeat of its idempotency key meets it that long,
            and frequency caps look back no further. Never shorter than the windows of the caps.
        quiet_hours: hours by place, for the categories that keep them.
        profiles_by_topic: records of comms.profiles count.
        caps: frequency caps; a category that none covers is not capped.
        carriers: what customer data may call them.

    Raises:
        ValueError: something refers to a name that is not there; the message lists all of them.
    """

    version: str
    apps: Mapping[str, AppGrants]
    categories: Mapping[str, Category]
    senders: Mapping[str, Sender]
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    countries: frozenset[str] = frozenset()
    templates: Mapping[str, Template] = field(default_factory=dict)
    content_templates: Mapping[str, ContentTemplate] = field(default_factory=dict)
    unsubscribe_lines: Mapping[str, str] = field(default_factory=dict)
    remember_ms: int = MIN_REMEMBER_MS
    quiet_hours: QuietHours = NO_QUIET_HOURS
    profiles_by_topic: bool = False
    partitions: int = 1
    caps: tuple[Cap, ...] = ()
    carriers: Carriers = field(default_factory=Carriers)
    worked_out: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What follows from the configuration alone, kept by whoever worked it out. As it hangs on nothing else, nothing of
    it ever changes; what is kept must not grow with what apps write."""

    def __post_init__(self) -> None:
        longest = max((cap.window_ms for cap in self.caps), default=0)
        object.__setattr__(self, "remember_ms", max(self.remember_ms, longest + CLOCKS_DIFFER_MS))
        dangling = [
            f"{owner} names {kind} {name!r}, which is not configured"
            for owner, kind, names, known in self._references()
            for name in names
            if name not in known
        ]
        if dangling:
            raise ValueError("; ".join(dangling))

    def _references(self) -> list[tuple[str, str, frozenset[str] | tuple[str, ...], Mapping[str, object]]]:
        references: list[tuple[str, str, frozenset[str] | tuple[str, ...], Mapping[str, object]]] = []
        for pool, members in self.pools.items():
            references.append((f"pool {pool!r}", "sender", members, self.senders))
        references += [(f"cap {cap.name!r}", "category", cap.categories, self.categories) for cap in self.caps]
        for app in self.apps.values():
            references.append((f"app {app.name!r}", "category", app.categories, self.categories))
            references.append((f"app {app.name!r}", "pool", app.pools, self.pools))
            references.append((f"app {app.name!r}", "sender", app.senders, self.senders))
            references.append((f"quota of app {app.name!r}", "sender", frozenset(app.quota.lanes), self.senders))
        return references
