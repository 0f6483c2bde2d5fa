"""The section about customer data: where profiles of people come from."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from connectors.profiles.settings import REQUESTS_PER_S, SEGMENT_API, SegmentSettings
from streams.policy.enrichment import Identifier, Source
from streams.policy.profile_sources import TraitNames

from .fields import PositiveFloat, PositiveInt, SecretRef, Section

_SPACE = re.compile(r"[A-Za-z0-9_-]+")
_ID_TYPE = re.compile(r"[A-Za-z0-9_.$-]+")


def _plain(pattern: re.Pattern[str], what: str, fix: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise PydanticCustomError("plain", what, {"fix": fix})
        return value

    return AfterValidator(check)


def _trait(value: str) -> str:
    if not value.strip() or "," in value:
        fix = "write the name as Segment shows it; commas separate names in a request, so none may hold one."
        raise PydanticCustomError("trait", "no name of a trait that can be asked for", {"fix": fix})
    return value


Trait = Annotated[str, AfterValidator(_trait)]


class ProfileSource(StrEnum):
    """Where profiles come from."""

    NONE = "none"
    TOPIC = "topic"
    SEGMENT = "segment"
    BOTH = "both"


class ProfileId(Section):
    """One way to name a person to Segment."""

    source: Source = Field(
        alias="from",
        description="Field of the request that holds the id. `recipient_id` is the word of the app: with it, an app "
        "chooses whose data a message shows.",
    )
    type: Annotated[str, _plain(_ID_TYPE, "no type of an id", "write it as the space has it: phone, user_id.")] = Field(
        description="Type of the id in the space, such as `phone` or `user_id`."
    )


class Traits(Section):
    """Names of the traits that say where and how a person lives."""

    customer_id: Trait | None = Field(default=None, description="Trait with the id in your own customer data.")
    time_zone: Trait | None = Field(default=None, description="Trait with the IANA zone, `America/Chicago`.")
    locale: Trait | None = Field(default=None, description="Trait with the language, `pt-BR`.")
    country: Trait | None = Field(default=None, description="Trait with the country, ISO 3166 alpha-2.")
    state: Trait | None = Field(default=None, description="Trait with the state of the USA, two letters.")
    preferred_channel: Trait | None = Field(default=None, description="Trait with sms, mms or whatsapp.")
    carrier: Trait | None = Field(
        default=None, description="Trait with the carrier's name or its MCC and MNC, as Twilio's Lookup tells them."
    )


class Segment(Section):
    """How Segment's Profile API is asked."""

    space: Annotated[str, _plain(_SPACE, "no id of a space", "copy it from Unify settings, API access.")] = Field(
        description="Id of the space."
    )
    token: SecretRef = Field(description="Access token of the Profile API.")
    base_url: str = Field(
        default=SEGMENT_API,
        description="Where the API answers; in the European Union https://profiles.euw1.segment.com.",
    )
    ids: tuple[ProfileId, ...] = Field(
        default=(),
        description="How a person is named; the next is tried where Segment does not know the one before. Without it: "
        "the recipient's number as `phone`.",
    )
    traits: Traits = Field(default=Traits(), description="Which traits tell what.")
    variables: dict[str, Trait] = Field(default={}, description="Name of the trait by variable of your templates.")
    requests_per_s: PositiveFloat = Field(
        default=REQUESTS_PER_S,
        description="Budget of one policy process. A space has 100 for everybody: divide them by your processes.",
    )
    timeout_s: Annotated[float, Field(strict=True, gt=0, le=30)] = Field(
        default=2.0, description="Longest wait for one person, seconds."
    )
    cache_s: PositiveFloat = Field(default=300.0, description="How long an answer holds, seconds.")
    unknown_cache_s: PositiveFloat = Field(
        default=60.0, description="How long it holds that Segment does not know a person, seconds."
    )
    cache_entries: PositiveInt = Field(default=10_000, description="People remembered by one process.")

    def trait_names(self) -> TraitNames:
        """As policy takes them."""
        return TraitNames(**self.traits.model_dump(), variables=self.variables)

    def identifiers(self) -> tuple[Identifier, ...]:
        """As policy takes them."""
        return tuple(Identifier(each.source, each.type) for each in self.ids) or (
            Identifier(Source.RECIPIENT, "phone"),
        )

    def settings(self, token: str) -> SegmentSettings:
        """As the client takes them."""
        return SegmentSettings(
            space=self.space,
            token=token,
            traits=self.trait_names().wanted,
            base_url=self.base_url,
            requests_per_s=self.requests_per_s,
            timeout_s=self.timeout_s,
            cache_s=self.cache_s,
            unknown_cache_s=self.unknown_cache_s,
            cache_entries=self.cache_entries,
        )


class Profiles(Section):
    """Where profiles of people come from: time zone, state, language, values for templates."""

    source: ProfileSource = Field(
        default=ProfileSource.NONE,
        description="topic: comms.profiles, written by your customer data platform; segment: its Profile API is asked; "
        "both: what the API says comes first.",
    )
    segment: Segment | None = Field(default=None, description="Segment's Profile API.")

    @property
    def asks_segment(self) -> bool:
        """Whether the API is asked at all."""
        return self.source in (ProfileSource.SEGMENT, ProfileSource.BOTH) and self.segment is not None

    @property
    def reads_topic(self) -> bool:
        """Whether the topic's records count."""
        return self.source in (ProfileSource.TOPIC, ProfileSource.BOTH)
