"""A message as Twilio keeps it, and its JSON.

Field order and types are those of captured answers of the API (2022, 2023): numbers of segments and media are
strings, spaces follow `,` and `:`, everything beyond ASCII is escaped.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twin.accounts import Account
    from twin.pools import Service
    from twin.senders import Sender

API = "2010-04-01"

_PRICE_PER_UNIT = {"mms": 0.02, "whatsapp": 0.005, "sms": 0.0079}  # US dollars

FINAL = frozenset({"delivered", "undelivered", "failed", "canceled", "read", "received"})


def new_sid(prefix: str) -> str:
    """A sid that no twin ever gave before."""
    return prefix + secrets.token_hex(16)


@lru_cache(maxsize=1024)
def _rfc2822(second: int) -> str:
    return formatdate(second)[:-5] + "+0000"


def api_date(when: float | None) -> str | None:
    """A time as the API writes it, e.g. `Thu, 24 Aug 2023 05:01:45 +0000`."""
    return None if when is None else _rfc2822(int(when))


@dataclass(slots=True)
class Media:
    """One file of a message."""

    sid: str
    url: str
    content_type: str
    created: float

    def as_json(self, message: Message) -> dict[str, object]:
        """The Media resource."""
        return {
            "sid": self.sid,
            "account_sid": message.account.sid,
            "parent_sid": message.sid,
            "content_type": self.content_type,
            "date_created": api_date(self.created),
            "date_updated": api_date(self.created),
            "uri": f"{message.path}/Media/{self.sid}.json",
        }


@dataclass(slots=True, eq=False)
class Message:
    """A message from its acceptance on.

    Attributes:
        seq: rank by acceptance within the twin.
        submitted: the body as the request had it (the books keep it after a redaction).
        cost: what it takes of its sender's rate: segments; 1 for MMS and WhatsApp.
        lane: what the request named: From, else the Messaging Service; pacing is judged by it.
        form: the request's form as received.
        received, accepted: when the request began to arrive, and when it was accepted (the twin's clock).
        history: every status with its time.
        priced_from: from when on its price is known.
        listed_from: from when on lists show it.
    """

    seq: int
    sid: str
    account: Account
    direction: str
    to: str
    person: str
    channel: str
    body: str
    submitted: str
    segments: int
    cost: int
    lane: str
    received: float
    accepted: float
    sender: Sender | None = None
    from_: str | None = None
    service: Service | None = None
    media: list[Media] = field(default_factory=list)
    status_callback: str | None = None
    validity_s: float = 36_000
    send_at: float | None = None
    templated: bool = False
    provide_feedback: bool = False
    feedback: str | None = None
    doomed: int | None = None
    form: bytes = b""
    request_id: str = ""
    status: str = "queued"
    history: list[tuple[str, float]] = field(default_factory=list)
    updated: float = 0.0
    sent: float | None = None
    left_queue: float | None = None
    error_code: int | None = None
    error_message: str | None = None
    priced_from: float | None = None
    listed_from: float = 0.0
    deleted: bool = False

    @property
    def path(self) -> str:
        """Path of the resource without `.json`."""
        return f"/{API}/Accounts/{self.account.sid}/Messages/{self.sid}"

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen (apart from `read`)."""
        return self.status in FINAL

    def _price(self, now: float) -> str | None:
        if self.priced_from is None or now < self.priced_from:
            return None
        unit = "whatsapp" if self.channel == "whatsapp" else "mms" if self.media else "sms"
        return f"-{_PRICE_PER_UNIT[unit] * self.cost:.5f}"

    def as_json(self, now: float) -> dict[str, object]:
        """The Message resource as it is now."""
        chosen = self.service is None or self.sender is not None
        path = self.path
        resources = {"media": path + "/Media.json"}
        if self.provide_feedback:
            resources["feedback"] = path + "/Feedback.json"
        return {
            "body": self.body,
            "num_segments": str(self.segments) if chosen else "0",
            "direction": self.direction,
            "from": self.from_,
            "date_updated": api_date(self.updated),
            "price": self._price(now),
            "error_message": self.error_message,
            "uri": path + ".json",
            "account_sid": self.account.sid,
            "num_media": str(len(self.media)),
            "to": self.to,
            "date_created": api_date(self.accepted),
            "status": self.status,
            "sid": self.sid,
            "date_sent": api_date(self.sent),
            "messaging_service_sid": None if self.service is None else self.service.sid,
            "error_code": self.error_code,
            "price_unit": None if self.channel == "whatsapp" else "USD",
            "api_version": API,
            "subresource_uris": resources,
        }
