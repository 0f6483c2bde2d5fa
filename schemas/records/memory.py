"""Typed records of avro/policy_{decision,person,opening,quota}.avsc; the meaning of each field is told there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import Channel, PolicyOutcome


@dataclass(slots=True, kw_only=True)
class PolicyDecision(Record):
    """What policy decided about one message in one round. Topic comms.policy.state."""

    AVRO_NAME: ClassVar[str] = "commlayer.PolicyDecision"

    message_id: str
    round: int
    outcome: PolicyOutcome
    at: int
    app: str
    category: str
    channel: Channel
    sender: str | None = None
    admitted_at: int | None = None
    origin: str
    digest: bytes | None = None
    forget_at: int
    topic: str | None = None
    partition: int | None = None
    published: bytes | None = None
    told: bytes | None = None
    request: bytes | None = None
    deadline: int | None = None


@dataclass(slots=True, kw_only=True)
class PolicyPerson(Record):
    """What policy knows of one recipient beside decisions. Topic comms.policy.state."""

    AVRO_NAME: ClassVar[str] = "commlayer.PolicyPerson"

    ledger: bytes
    last_inbound: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class PolicyOpening(Record):
    """A WhatsApp sender wrote to a person first; sender and person are in the key. Topic comms.policy.state."""

    AVRO_NAME: ClassVar[str] = "commlayer.PolicyOpening"

    at: int


@dataclass(slots=True, kw_only=True)
class PolicyQuota(Record):
    """How much of a quota of the day is used up in one partition; app and lane are in the key. Topic
    comms.policy.state."""

    AVRO_NAME: ClassVar[str] = "commlayer.PolicyQuota"

    day: int
    used: int
