"""What came of a request to Twilio, as values, and the pure reading of an HTTP response into them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import orjson

from .errors import ErrorPolicy, Scope, TwilioError


@dataclass(frozen=True, slots=True)
class Accepted:
    """Twilio has taken the message.

    Attributes:
        sid: `SM…` or `MM…`.
        status: first status: queued, or accepted or scheduled with a messaging service.
        num_segments: as Twilio counted; 0 with a messaging service, whose sender is not chosen yet.
        request_id: Twilio-Request-Id.
        concurrent_requests: requests of the account in flight, by Twilio-Concurrent-Requests.
        date_ms: Twilio's clock (Date header), epoch milliseconds UTC.
        http_status: of the answer; Twilio's is 201.
    """

    sid: str
    status: str
    num_segments: int
    request_id: str | None
    concurrent_requests: int | None
    date_ms: int | None
    http_status: int = 201


@dataclass(frozen=True, slots=True)
class Rejected:
    """Twilio has certainly not taken the message, or our own check of the parameters did not let it go.

    Attributes:
        error: what is wrong; its class says whether and when to try again.
        request_id, concurrent_requests, date_ms: as in `Accepted`; None where nothing was sent.
        retry_after_s: seconds by the Retry-After header, a day at most. Twilio does not promise one.
    """

    error: TwilioError
    request_id: str | None = None
    concurrent_requests: int | None = None
    retry_after_s: float | None = None
    date_ms: int | None = None


@dataclass(frozen=True, slots=True)
class InDoubt:
    """Twilio may or may not have taken the message: only its message list can tell.

    Attributes:
        why: for a person; no numbers, no bodies.
        http_status, request_id, date_ms: None where no answer came.
    """

    why: str
    http_status: int | None = None
    request_id: str | None = None
    date_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the request left this machine: certain that nothing was processed; always safe to send again.

    Attributes:
        why: for a person.
        withheld: the caller no longer wanted it when it was its turn; says nothing about Twilio.
    """

    why: str
    withheld: bool = False


Answer = Accepted | Rejected | InDoubt | NotSent
"""Outcome of creating a message."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A question could not be answered; ask again later."""

    why: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Twilio has no message of that SID in that account."""


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message as Twilio's API shows it. Addresses keep their channel prefix; times are epoch milliseconds UTC."""

    sid: str
    status: str
    direction: str
    to: str
    sender: str | None
    messaging_service_sid: str | None
    body: str
    num_segments: int
    num_media: int
    error_code: int | None
    error_message: str | None
    date_created_ms: int | None
    date_sent_ms: int | None
    price: str | None
    price_unit: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """Messages to one address, as Twilio listed them.

    Attributes:
        messages: those created at or after the time asked for.
        complete: False when the limit of pages was reached before the time asked for.
        date_ms: Twilio's clock when it answered.
    """

    messages: tuple[SentMessage, ...]
    complete: bool
    date_ms: int | None


_MESSAGE_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_LOWEST_CODE = 10_000
"""Twilio's codes have five digits; a smaller `code` is the HTTP status again."""

LONGEST_WAIT_S = 86_400
"""What Retry-After may ask for, whoever on the way wrote it: Twilio's own longest limit is a day's."""

_MESSAGE_LENGTH = 500
"""Error texts are kept up to this length."""


def read_create(status: int, text: str, headers: Mapping[str, str], policy: ErrorPolicy) -> Answer:
    """The outcome that a response to Create Message states."""
    request_id = headers.get("Twilio-Request-Id")
    date_ms = http_date_ms(headers.get("Date"))
    body = json_object(text)
    if 200 <= status < 300:
        sid, first_status = body.get("sid"), body.get("status")
        if not (isinstance(sid, str) and _MESSAGE_SID.fullmatch(sid) and isinstance(first_status, str)):
            return InDoubt(f"HTTP {status} without a message SID and status", status, request_id, date_ms)
        concurrent = _integer(headers.get("Twilio-Concurrent-Requests"))
        segments = _integer(body.get("num_segments")) or 0
        return Accepted(sid, first_status, segments, request_id, concurrent, date_ms, status)
    error = read_error(status, text, policy)
    if error.error_class.scope is Scope.IN_DOUBT:
        return InDoubt(error.error_class.title, status, request_id, date_ms)
    return Rejected(
        error,
        request_id,
        _integer(headers.get("Twilio-Concurrent-Requests")),
        _retry_after_s(headers.get("Retry-After"), date_ms),
        date_ms,
    )


def read_error(status: int, text: str, policy: ErrorPolicy) -> TwilioError:
    """The error that a response states: Twilio's classic JSON, RFC 9457 problem JSON, or anything else by status."""
    body = json_object(text)
    code = _integer(body.get("code"))
    if code is not None and code < _LOWEST_CODE:
        code = None
    said = next((body[key] for key in ("message", "detail", "title") if isinstance(body.get(key), str)), "")
    error_class = policy.classify(code, status)
    return TwilioError(code, said[:_MESSAGE_LENGTH] or error_class.title, status, error_class)


def read_message(text: str) -> SentMessage | None:
    """The message in a response; None where it holds none."""
    return message_of(json_object(text))


def message_of(body: Mapping[str, Any]) -> SentMessage | None:
    """A message resource as parsed; None where it lacks what every message has."""
    sid, status, to = body.get("sid"), body.get("status"), body.get("to")
    if not (isinstance(sid, str) and isinstance(status, str) and isinstance(to, str)):
        return None
    return SentMessage(
        sid=sid,
        status=status,
        direction=str(body.get("direction") or ""),
        to=to,
        sender=_text(body.get("from")),
        messaging_service_sid=_text(body.get("messaging_service_sid")),
        body=str(body.get("body") or ""),
        num_segments=_integer(body.get("num_segments")) or 0,
        num_media=_integer(body.get("num_media")) or 0,
        error_code=_integer(body.get("error_code")),
        error_message=_text(body.get("error_message")),
        date_created_ms=http_date_ms(_text(body.get("date_created"))),
        date_sent_ms=http_date_ms(_text(body.get("date_sent"))),
        price=_text(body.get("price")),
        price_unit=_text(body.get("price_unit")),
    )


@lru_cache(maxsize=256)  # at full rate thousands of answers carry the same second
def http_date_ms(date: str | None) -> int | None:
    """RFC 2822 or HTTP date as epoch milliseconds UTC; None where it is absent or none."""
    if not date:
        return None
    try:
        parsed = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


def _retry_after_s(value: str | None, date_ms: int | None) -> float | None:
    if value is None:
        return None
    seconds = _integer(value)
    if seconds is not None:
        return float(min(max(seconds, 0), LONGEST_WAIT_S))
    until_ms = http_date_ms(value)
    if until_ms is None:
        return None
    now_ms = date_ms if date_ms is not None else int(datetime.now(UTC).timestamp() * 1000)
    return min(max((until_ms - now_ms) / 1000, 0.0), float(LONGEST_WAIT_S))


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in a text; an empty one where it holds none."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _integer(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 18:
        return int(value)
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
