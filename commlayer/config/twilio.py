"""The sections about Twilio: accounts, senders, pacing groups, and the bridge that Twilio calls."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.records import Channel
from streams.dispatch.concurrency import DEFAULT_LIMIT
from streams.policy.config import SenderType

from .fields import Country, Flag, Pace, Partition, PositiveInt, SecretRef, Section, Text, twilio_sid


class ApiKey(Section):
    """An API key of the account: a credential that can be withdrawn alone."""

    sid: Annotated[str, twilio_sid("SK", "an API key")] = Field(description="SK followed by 32 hexadecimal digits.")
    secret: SecretRef = Field(description="Secret of the key.")


class Account(Section):
    """One Twilio account or subaccount."""

    sid: Annotated[str, twilio_sid("AC", "an account")] = Field(description="AC followed by 32 hexadecimal digits.")
    auth_token: SecretRef | None = Field(
        default=None, description="Auth token: signs Twilio's webhooks; also the credential when there is no API key."
    )
    api_key: ApiKey | None = Field(default=None, description="Credential for sending, in place of the auth token.")
    base_url: str = Field(
        default="https://api.twilio.com",
        description="Where the API answers: another region (https://api.dublin.ie1.twilio.com) or the twin.",
    )
    max_in_flight: PositiveInt = Field(
        default=DEFAULT_LIMIT,
        description="Requests that one dispatch process has in flight at most. Twilio's limit is found below it.",
    )
    signing_tokens: tuple[SecretRef, ...] = Field(
        default=(), description="Further tokens whose webhook signatures are accepted, during rotation."
    )


class CarrierRate(Section):
    """What one carrier grants a campaign."""

    rate: Pace = Field(description="Segments per second to this carrier's customers.")


class Group(Section):
    """A pacing group: lanes that share a rate and therefore one partition."""

    partition: Partition = Field(description="Its partition in all dispatch topics; below kafka.partitions.dispatch.")
    rate: Pace | None = Field(default=None, description="What its lanes share, segments per second; none by default.")
    carriers: dict[str, CarrierRate] = Field(
        default={},
        description="What single carriers grant within it, by our name for the carrier: att, tmobile, verizon, or one "
        "of `carriers`. Holds for people whose carrier customer data names.",
    )
    shared: Flag = Field(default=False, description="Other groups may use the same partition (all must say so).")
    budget: str | None = Field(
        default=None, description="Name of a budget that it shares with other groups of its partition."
    )


class CarrierDay(Section):
    """What one carrier takes of a brand a day, from 00:00 Pacific time on."""

    per_day: PositiveInt = Field(description="Segments (messages, for MMS) to this carrier's customers.")
    kept_for_critical: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="So many of them are kept for messages of class critical."
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> CarrierDay:
        if self.kept_for_critical > self.per_day:
            fix = "write a number that is no more than `per_day`."
            raise PydanticCustomError("kept", "more is kept than the carrier takes", {"fix": fix})
        return self


class Budget(Section):
    """What several groups share: a 10DLC brand, whose campaigns they are. All of them lie on one partition."""

    rate: Pace | None = Field(
        default=None, description="Segments per second of all its groups together; none by default."
    )
    carriers: dict[str, CarrierDay] = Field(
        default={},
        description="What single carriers take of the brand a day, by our name for the carrier (T-Mobile: tmobile). "
        "Counts people whose carrier customer data names; what is more waits for the next day.",
    )


class Sender(Section):
    """One sender, or one messaging service: a lane with its own rate. Alone in a group named as itself, unless `group`
    names another one."""

    account: str = Field(description="Name of its account.")
    address: Text | None = Field(
        default=None, description="E.164 number, short code or alphanumeric id, without channel prefix."
    )
    messaging_service_sid: Annotated[str, twilio_sid("MG", "a messaging service")] | None = Field(
        default=None, description="A messaging service in place of a single sender: MG and 32 hexadecimal digits."
    )
    type: SenderType | None = Field(default=None, description="Kind of sender; left away for a messaging service.")
    rate: Pace = Field(description="Segments per second that Twilio grants it (messages, for WhatsApp).")
    partition: Partition | None = Field(default=None, description="Partition of its own group.")
    group: str | None = Field(default=None, description="Name of a pacing group, in place of `partition`.")
    shared: Flag = Field(default=False, description="Other groups may use the same partition (all must say so).")
    channels: tuple[Channel, ...] | None = Field(
        default=None, description="Channels it can use; [whatsapp] for type whatsapp, else [sms]."
    )
    countries: tuple[Country, ...] | None = Field(
        default=None, description="ISO 3166 alpha-2 countries it may send to; every allowed one when absent."
    )
    smart_encoding: Flag = Field(default=False, description="Let Twilio replace lookalike Unicode characters.")
    categories: tuple[str, ...] | None = Field(default=None, description="Categories it is for; all when absent.")
    daily_people: PositiveInt | None = Field(
        default=None, description="People a WhatsApp sender may write to first within 24 h, as WhatsApp grants it."
    )
    short_links: Flag = Field(
        default=False, description="A messaging service whose domain for short links is set up; Twilio needs both."
    )
    brand: str | None = Field(default=None, description="Who people take it for; an opt-out may cover a whole brand.")

    @property
    def usable_channels(self) -> tuple[Channel, ...]:
        """The channels, with the default of its type."""
        if self.channels is not None:
            return self.channels
        return (Channel.WHATSAPP,) if self.type is SenderType.WHATSAPP else (Channel.SMS,)


class Bridge(Section):
    """Where Twilio reaches us."""

    public_url: str = Field(description="Base URL that Twilio calls, as Twilio sees it: its signatures cover it.")
    listen: str = Field(default="127.0.0.1:8080", description="`host:port` to listen on.")
    max_body: PositiveInt = Field(default=65_536, description="Largest webhook body that is read, bytes.")
