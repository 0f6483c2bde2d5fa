"""Records about one message, for the tests of feedback."""

from __future__ import annotations

from typing import Any

from schemas import ids
from schemas.records import (
    Callback,
    CallbackSource,
    Channel,
    LifecycleEvent,
    MessageClass,
    MessageStatus,
    Stage,
)

T = 1_800_000_000_000
"""When the app asked, epoch milliseconds UTC."""
SID = "SM" + "1" * 32


def event(status: MessageStatus, at: int, **changes: Any) -> LifecycleEvent:
    """What policy (or, by `stage`, another) said."""
    values: dict[str, Any] = {
        "message_id": "m-1",
        "round": 0,
        "attempt": None,
        "stage": Stage.POLICY,
        "app": "shop",
        "recipient": "+41791234567",
        "status": status,
        "at": T + at,
        **changes,
    }
    values.setdefault(
        "event_id",
        ids.lifecycle_event_id(
            values["message_id"], values["round"], values["attempt"], values["stage"], values["status"]
        ),
    )
    return LifecycleEvent(**values)


def admitted(at: int = 5, **changes: Any) -> LifecycleEvent:
    values: dict[str, Any] = {
        "recipient_id": "c-1",
        "channel": Channel.SMS,
        "category": "service",
        "message_class": MessageClass.NORMAL,
        "lane": "long",
        "account": "main",
        "sender": "+15005550001",
        "segments": 1,
        "requested_at": T,
        "campaign": "autumn",
        "tags": {"a": "b"},
        "correlation_id": "r-9",
        "idempotency_key": "k",
    }
    return event(MessageStatus.ADMITTED, at, **{**values, **changes})


def dispatched(status: MessageStatus, at: int, **changes: Any) -> LifecycleEvent:
    return event(status, at, **{"stage": Stage.DISPATCH, "attempt": 1, "lane": "long", **changes})


def accepted(at: int = 20, **changes: Any) -> LifecycleEvent:
    return dispatched(MessageStatus.ACCEPTED, at, **{"sid": SID, **changes})


def callback(status: str, at: int, **changes: Any) -> Callback:
    values: dict[str, Any] = {
        "message_id": "m-1",
        "round": 0,
        "attempt": 1,
        "source": CallbackSource.STATUS_CALLBACK,
        "sid": SID,
        "account_sid": "AC" + "2" * 32,
        "status": status,
        "recipient": "+41791234567",
        "channel": Channel.SMS,
        "received_at": T + at,
        **changes,
    }
    return Callback(**values)
