"""The topic catalogue: every topic of commlayer, who writes and reads it, how it is keyed, partitioned and kept.

`commlayer topics plan|apply` creates topics from it; `docs/topics.md` is generated from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from .records import (
    Attempt,
    Callback,
    Cancellation,
    Consent,
    Control,
    CustomerProfile,
    DeadLetter,
    Deferral,
    Dispatch,
    HandledLetter,
    Inbound,
    LifecycleEvent,
    MessageClass,
    MessageRequest,
    PolicyDecision,
    PolicyOpening,
    PolicyPerson,
    PolicyQuota,
    Record,
    StatusUpdate,
)

APP_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
"""Names of apps. No dots: the topic `comms.requests.<app>.urgent` must be readable back."""

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS

SEGMENT_INDEX_BYTES = 262_144
"""`segment.index.bytes` of every topic. Kafka's 10 MiB sparse index files stall producers for seconds on disks with
large read-ahead (measured: 1-14 s at 256 partitions)."""


DELETE_RETENTION_MS = _DAY_MS
"""How long compacted topics keep deletions. A local store older than this is read anew: it may have missed one."""


class Count(StrEnum):
    """Which configured partition count a topic has. All topics of one kind have the same count: that is what keeps
    partition p of them on one worker."""

    RECIPIENT = "recipient"
    DISPATCH = "dispatch"
    LIFECYCLE = "lifecycle"
    CONTROL = "control"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class PartitionCounts:
    """Partitions per kind of topic. Growing `dispatch` is a rolling restart; `recipient` changes only by procedure."""

    recipient: int = 16
    dispatch: int = 64
    lifecycle: int = 16
    dead: int = 4
    control: int = 1

    def of(self, count: Count) -> int:
        """Number of partitions of a topic of this kind."""
        return int(getattr(self, count.value))


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes:
        name: full name.
        key: what the record key holds, in words.
        count: kind of partition count.
        explicit: the writer names the partition (pacing group, or that of the recipient); otherwise `murmur2_random`
            of the key.
        records: contracts found in it.
        writers, readers: stages or outside parties, by name.
        watchers: who may see how much is in it, and none of it.
        retention_ms: how long records stay; None for compacted topics.
        compacted: `cleanup.policy=compact`.
        min_compaction_lag_ms: a late write of a fenced process must not survive alone.
        segment_ms: a segment is closed after so long; an open one is not compacted. None: Kafka's default, 7 days.
        stamped_by_broker: a record's time is when it was appended, not when its writer made it.
    """

    name: str
    key: str
    count: Count
    records: tuple[type[Record], ...]
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    retention_ms: int | None
    compacted: bool = False
    explicit: bool = False
    min_compaction_lag_ms: int = 0
    segment_ms: int | None = None
    stamped_by_broker: bool = False
    watchers: tuple[str, ...] = ()

    def settings(self) -> dict[str, str]:
        """Kafka topic settings, names and values as the broker reports them."""
        settings = {"segment.index.bytes": str(SEGMENT_INDEX_BYTES)}
        if self.compacted:
            settings["cleanup.policy"] = "compact"
            settings["min.compaction.lag.ms"] = str(self.min_compaction_lag_ms)
            settings["delete.retention.ms"] = str(DELETE_RETENTION_MS)
        else:
            settings["cleanup.policy"] = "delete"
            settings["retention.ms"] = str(self.retention_ms)
        if self.segment_ms is not None:
            settings["segment.ms"] = str(self.segment_ms)
        if self.stamped_by_broker:
            settings["message.timestamp.type"] = "LogAppendTime"
        return settings


PREFIX = "comms."
"""Every topic of ours begins so; others are none of our business."""
REQUESTS_PREFIX = "comms.requests."
URGENT_SUFFIX = ".urgent"
DEAD = "comms.dead"
LIFECYCLE = "comms.lifecycle"
CONSENT = "comms.consent"
CANCELLATIONS = "comms.cancellations"
CONTROL = "comms.control"
ATTEMPTS = "comms.attempts"
INBOUND = "comms.inbound"
FEEDBACK_STATUS = "comms.feedback.status"
FEEDBACK_INBOUND = "comms.feedback.inbound"
FEEDBACK_ENGAGEMENT = "comms.feedback.engagement"
POLICY_STATE = "comms.policy.state"
FEEDBACK_STATE = "comms.feedback.state"
PROFILES = "comms.profiles"
CONVERSATIONS = "comms.conversations"

DEFERRAL_TIERS_MS: dict[str, int] = {
    "1s": 1_000,
    "10s": 10_000,
    "1m": _MINUTE_MS,
    "10m": 10 * _MINUTE_MS,
    "1h": _HOUR_MS,
    "6h": 6 * _HOUR_MS,
}
"""Tiers of the deferral wheel: every record of a tier waits the same time, so a partition is in due order."""


def request_topic(app: str, *, urgent: bool = False) -> str:
    """The topic an app writes its requests to; `urgent` for critical categories only."""
    return f"{REQUESTS_PREFIX}{app}{URGENT_SUFFIX if urgent else ''}"


@lru_cache(maxsize=1024)  # of few topics, asked twice for each request
def app_of(topic: str) -> str | None:
    """The app that a request topic belongs to, None for any other topic. Identity is the topic: a field in the
    record cannot claim it."""
    if not topic.startswith(REQUESTS_PREFIX):
        return None
    app = topic.removeprefix(REQUESTS_PREFIX).removesuffix(URGENT_SUFFIX)
    return app if APP_NAME.fullmatch(app) else None


@lru_cache(maxsize=1024)
def is_urgent(topic: str) -> bool:
    """Whether a request topic is the urgent twin of its app."""
    return app_of(topic) is not None and topic.endswith(URGENT_SUFFIX)


def dispatch_topic(message_class: MessageClass) -> str:
    """The dispatch topic of a class."""
    return f"comms.dispatch.{message_class.value}"


def deferral_topic(tier: str) -> str:
    """The wheel's topic of a tier named in `DEFERRAL_TIERS_MS`."""
    return f"comms.deferred.{tier}"


DISPATCH_ANCHOR = dispatch_topic(MessageClass.CRITICAL)
"""A dispatch worker serves partition p of any topic only while it holds this topic's p."""
POLICY_ANCHOR = deferral_topic("1s")
"""The same for policy."""
FEEDBACK_ANCHOR = LIFECYCLE
"""The same for feedback's lifecycle side; its inbound side has another partition count and is not co-partitioned."""


def catalogue(apps: Iterable[str]) -> list[Topic]:
    """All topics of an installation with these apps, in the order in which data flows."""
    topics: list[Topic] = []
    for app in sorted(apps):
        topics += [
            Topic(
                name=request_topic(app, urgent=urgent),
                key="recipient",
                count=Count.RECIPIENT,
                records=(MessageRequest, Cancellation),
                writers=(f"app:{app}", "gateway", "policy"),
                readers=("policy",),
                retention_ms=7 * _DAY_MS,
            )
            for urgent in (False, True)
        ]
    topics += [
        # Policy writes to what it reads, too: a record in another partition than its key's goes to the right one.
        Topic(
            PROFILES,
            "recipient",
            Count.RECIPIENT,
            (CustomerProfile,),
            ("cdp", "policy"),
            ("policy",),
            None,
            compacted=True,
        ),
        Topic(
            CONSENT,
            "recipient",
            Count.RECIPIENT,
            (Consent,),
            ("bridge", "feedback", "policy", "dispatch", "crm", "operator"),
            ("policy", "dispatch", "consumers", "operator"),
            5 * 366 * _DAY_MS,  # five years whatever leap days they have
        ),
        Topic(CANCELLATIONS, "recipient", Count.RECIPIENT, (Cancellation,), ("policy",), ("dispatch",), 4 * _DAY_MS),
        Topic(
            INBOUND,
            "recipient",
            Count.RECIPIENT,
            (Inbound,),
            ("bridge", "policy"),
            ("feedback", "policy"),
            7 * _DAY_MS,
        ),
    ]
    topics += [
        Topic(
            deferral_topic(tier),
            "recipient",
            Count.RECIPIENT,
            (Deferral,),
            ("policy", "dispatch", "feedback"),
            ("policy",),
            7 * _DAY_MS,
        )
        for tier in DEFERRAL_TIERS_MS
    ]
    topics.append(
        Topic(
            POLICY_STATE,
            "recipient, kind, id",
            Count.RECIPIENT,
            (PolicyDecision, PolicyPerson, PolicyOpening, PolicyQuota, Cancellation, CustomerProfile),
            ("policy",),
            ("policy", "operator"),
            None,
            compacted=True,
            explicit=True,
            min_compaction_lag_ms=_HOUR_MS,
        )
    )
    topics += [
        Topic(
            dispatch_topic(message_class),
            "message id",
            Count.DISPATCH,
            (Dispatch,),
            ("policy",),
            ("dispatch",),
            4 * _DAY_MS,
            explicit=True,
            stamped_by_broker=True,  # so that dispatch sees when a policy process that had slept wrote one
            watchers=("operator",),
        )
        for message_class in MessageClass
    ]
    topics += [
        Topic(
            ATTEMPTS,
            "message id",
            Count.DISPATCH,
            (Attempt,),
            ("dispatch",),
            ("dispatch", "operator"),
            7 * _DAY_MS,
            explicit=True,
        ),
        Topic(
            CONTROL,
            "subject, aspect",
            Count.CONTROL,
            (Control,),
            ("operator", "dispatch", "feedback"),
            ("policy", "dispatch", "operator"),
            None,
            compacted=True,
            segment_ms=_HOUR_MS,  # every process reads it all at its start, and backlogs are told often
        ),
        Topic(
            LIFECYCLE,
            "message id",
            Count.LIFECYCLE,
            (LifecycleEvent, Callback),
            ("policy", "dispatch", "bridge", "feedback", "operator"),
            ("feedback", "dispatch", "operator"),
            30 * _DAY_MS,
        ),
        Topic(
            FEEDBACK_STATE,
            "message id",
            Count.LIFECYCLE,
            (),
            ("feedback",),
            ("feedback",),
            None,
            compacted=True,
            min_compaction_lag_ms=_HOUR_MS,
        ),
        Topic(
            CONVERSATIONS,
            "recipient, sender",
            Count.RECIPIENT,
            (),
            ("policy", "feedback"),
            ("feedback",),
            None,
            compacted=True,
            explicit=True,
        ),
        Topic(
            FEEDBACK_STATUS,
            "message id",
            Count.LIFECYCLE,
            (StatusUpdate,),
            ("feedback",),
            ("consumers", "operator"),
            30 * _DAY_MS,
        ),
        Topic(FEEDBACK_INBOUND, "recipient", Count.RECIPIENT, (Inbound,), ("feedback",), ("consumers",), 30 * _DAY_MS),
        Topic(FEEDBACK_ENGAGEMENT, "message id", Count.LIFECYCLE, (), ("bridge",), ("consumers",), 30 * _DAY_MS),
        Topic(
            DEAD,
            "source key",
            Count.DEAD,
            (DeadLetter, HandledLetter),
            ("policy", "dispatch", "bridge", "feedback", "gateway", "operator"),
            ("operator",),
            30 * _DAY_MS,
        ),
    ]
    return topics
