"""The sections about who may send what: categories, apps, consumers, countries."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from schemas.records import DoubtPolicy, MessageClass
from streams.policy import config as policy
from streams.policy.config import DEFAULT_DEADLINE_S, ConsentRule, EnrichmentMode, GeoMatch

from .fields import Country, Flag, PositiveFloat, PositiveInt, Section

MAX_DEADLINE_S = 72 * 3600
"""Dispatch keeps consent changes of four days; a message that waited longer than three could outlive a STOP."""


class MessageIntent(StrEnum):
    """Twilio's words for what a message is for (Message resource, parameter MessageIntent)."""

    OTP = "otp"
    NOTIFICATIONS = "notifications"
    FRAUD = "fraud"
    SECURITY = "security"
    CUSTOMERCARE = "customercare"
    DELIVERY = "delivery"
    EDUCATION = "education"
    EVENTS = "events"
    POLLING = "polling"
    ANNOUNCEMENTS = "announcements"
    MARKETING = "marketing"


class FeedbackTopic(StrEnum):
    """What a consumer may read."""

    STATUS = "status"
    INBOUND = "inbound"
    ENGAGEMENT = "engagement"
    CONSENT = "consent"


class QuietHoursChoice(StrEnum):
    """Whether messages of a category keep quiet hours."""

    APPLY = "apply"
    EXEMPT = "exempt"


_ESSENTIAL = frozenset(
    {
        MessageIntent.OTP,
        MessageIntent.NOTIFICATIONS,
        MessageIntent.FRAUD,
        MessageIntent.SECURITY,
        MessageIntent.CUSTOMERCARE,
        MessageIntent.DELIVERY,
    }
)
"""Intents that Twilio's Compliance Toolkit exempts from quiet hours."""


class Category(Section):
    """What messages are for; decides how urgent they are and what happens in doubt."""

    message_class: MessageClass = Field(alias="class", description="Urgency.")
    doubt: DoubtPolicy = Field(description="When nobody can tell whether Twilio accepted: send again, or stop.")
    intent: MessageIntent | None = Field(
        default=None,
        description="Twilio MessageIntent. Messages with otp and security go, too, while dispatch cannot know whether "
        "the person has just opted out.",
    )
    deadline_s: Annotated[int, Field(strict=True, ge=1, le=MAX_DEADLINE_S)] = Field(
        default=DEFAULT_DEADLINE_S, description="Seconds after which a message without deadline is worthless."
    )
    validity_period_s: Annotated[int, Field(strict=True, ge=1, le=36_000)] | None = Field(
        default=None, description="Seconds a message may wait inside Twilio where the request does not say."
    )
    shorten_urls: Flag | None = Field(
        default=None,
        description="Twilio ShortenUrls where neither request nor template says; used only from senders with "
        "`short_links`.",
    )
    unsubscribe: Flag = Field(default=False, description="Texts end with the line of `unsubscribe_lines`.")
    consent: ConsentRule = Field(
        default=ConsentRule.OPT_OUT,
        description="opt_in: needs one; opt_out: heeds opt-outs; required_by_law: heeds suppressions alone.",
    )
    quiet_hours: QuietHoursChoice | None = Field(
        default=None,
        description="Whether its messages wait for open hours. Without it: class critical and the intents otp, "
        "notifications, fraud, security, customercare, delivery are exempt.",
    )

    enrichment: EnrichmentMode | None = Field(
        default=None,
        description="Whether Segment is asked about the person. required: without an answer the message waits, within "
        "its deadline; optional: it goes on without; none: nobody is asked. Without it: none for class critical, else "
        "optional.",
    )

    @property
    def asks_for_profiles(self) -> EnrichmentMode:
        """What `enrichment` says, or what follows from the class: nobody waits for a code because of customer data."""
        if self.enrichment is not None:
            return self.enrichment
        return EnrichmentMode.NONE if self.message_class is MessageClass.CRITICAL else EnrichmentMode.OPTIONAL

    @property
    def keeps_quiet_hours(self) -> bool:
        """What `quiet_hours` says, or what follows from class and intent."""
        if self.quiet_hours is not None:
            return self.quiet_hours is QuietHoursChoice.APPLY
        return self.message_class is not MessageClass.CRITICAL and self.intent not in _ESSENTIAL


class LaneQuota(Section):
    """How much of one lane an app may take."""

    per_second: PositiveFloat | None = Field(
        default=None, description="Messages per second; what comes faster waits its turn."
    )
    per_day: PositiveInt | None = Field(
        default=None, description="Messages from one 00:00 UTC to the next; more take another sender, or are denied."
    )

    @property
    def limits_nothing(self) -> bool:
        """Nothing is set."""
        return self.per_second is None and self.per_day is None


class Quota(Section):
    """How much an app may ask for in the whole installation; docs/policy.md says how exactly it is held."""

    per_second: PositiveFloat | None = Field(
        default=None, description="Requests per second; what comes faster waits its turn."
    )
    per_day: PositiveInt | None = Field(
        default=None, description="Requests from one 00:00 UTC to the next; more are denied."
    )
    lanes: dict[str, LaneQuota] = Field(default={}, description="How much of single lanes, by name of the sender.")

    @property
    def limits_nothing(self) -> bool:
        """Nothing is set."""
        return self.per_second is None and self.per_day is None and not self.lanes

    def as_policy(self) -> policy.Quota:
        """As policy takes it."""
        lanes = {
            name: policy.Quota(per_second=lane.per_second, per_day=lane.per_day) for name, lane in self.lanes.items()
        }
        return policy.Quota(per_second=self.per_second, per_day=self.per_day, lanes=lanes)


class App(Section):
    """An application that asks for messages. Its name is part of its topics, `comms.requests.<app>[.urgent]`."""

    categories: tuple[str, ...] = Field(min_length=1, description="Categories it may send.")
    pool: str | None = Field(default=None, description="Pool of senders it may use.")
    pools: tuple[str, ...] = Field(default=(), description="Further pools it may use.")
    senders: tuple[str, ...] = Field(default=(), description="Senders it may use beside those of its pools.")
    countries: tuple[Country, ...] | None = Field(
        default=None, description="Countries it may send to; every allowed one when absent."
    )
    principal: str | None = Field(default=None, description="Its Kafka principal, for the ACLs of its topics.")
    enabled: Flag = Field(default=True, description="false denies everything it asks for.")
    geo_match: GeoMatch = Field(
        default=GeoMatch.NONE, description="Prefer senders of the person's country or area code."
    )
    classes: dict[str, MessageClass] = Field(
        default={}, description="Urgency of its messages by category, where it is not that of the category."
    )
    deadlines_s: dict[str, Annotated[int, Field(strict=True, ge=1, le=MAX_DEADLINE_S)]] = Field(
        default={}, description="Like `deadline_s` of the category, for this app, by category."
    )
    quota: Quota | None = Field(default=None, description="How much it may ask for; not limited when absent.")
    templates: tuple[str, ...] = Field(
        default=(), description="Templates it may use, own ones and declared Content templates; `*` is any text."
    )


class Consumer(Section):
    """Who reads what came of the messages: customer data platform, CRM, analytics."""

    principal: str = Field(description="Its Kafka principal.")
    topics: tuple[FeedbackTopic, ...] = Field(min_length=1, description="What it may read.")


class Countries(Section):
    """Where messages may go at all. Fraud with premium numbers begins with a country that nobody meant to serve."""

    allow: tuple[Country, ...] = Field(min_length=1, description="ISO 3166 alpha-2 codes.")
