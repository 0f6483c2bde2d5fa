"""Are the fields beside content and address within their limits?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from schemas.limits import IDEMPOTENCY_KEY_MAX, TAGS_MAX, VALIDITY_MAX_S
from schemas.reasons import Reason
from schemas.records import MessageRequest
from streams.policy.case import Case
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Deny, Verdict

# Twilio states these patterns, and the number of tags, for its Bulk Messaging API; for Messages it states nothing.
_TAG_KEY = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9._~-]{1,256}")
_MESSAGE_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_TEXT_MAX = {
    "recipient_id": 256,  # long enough for a URN; every status repeats it
    "campaign": 256,
    "correlation_id": 256,
    "locale": 35,  # BCP 47 (RFC 5646 4.4.1) asks implementations for 35
}
_TIME_MAX = 253_402_300_799_999  # end of the year 9999; beyond it the value is no epoch milliseconds


def check(case: Case) -> Verdict:
    """Deny for the first field outside its limits."""
    request = case.request
    for check_field in _CHECKS:
        for field, detail, fix in check_field(request):
            return Deny(Reason.INVALID_FIELD, field, detail, fix)
    return ALLOW


Complaint = tuple[str, str, str]


def _idempotency_key(request: MessageRequest) -> Iterator[Complaint]:
    key = request.idempotency_key
    if key is not None and not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX:
        yield (
            "idempotency_key",
            f"It has {len(key)} characters.",
            f"Give 1 to {IDEMPOTENCY_KEY_MAX} characters, or leave it out.",
        )


def _tags(request: MessageRequest) -> Iterator[Complaint]:
    if len(request.tags) > TAGS_MAX:
        yield "tags", f"There are {len(request.tags)}.", f"Give at most {TAGS_MAX}."
    for key, value in request.tags.items():
        if _TAG_KEY.fullmatch(key) is None:
            yield "tags", f"The key {quote(key)} is not usable.", "Use 1 to 128 of A-Z a-z 0-9 . _ ~ -"
        elif _TAG_VALUE.fullmatch(value) is None:
            yield f"tags.{key}", f"The value {quote(value)} is not usable.", "Use 1 to 256 of A-Z a-z 0-9 . _ ~ -"


def _validity_period(request: MessageRequest) -> Iterator[Complaint]:
    period = request.validity_period_s
    if period is not None and not 1 <= period <= VALIDITY_MAX_S:
        yield "validity_period_s", f"It is {period} s.", f"Give 1 to {VALIDITY_MAX_S} seconds, or leave it out."


def _fallback_channels(request: MessageRequest) -> Iterator[Complaint]:
    channels = request.fallback_channels
    if channels and len({request.channel, *channels}) <= len(channels):
        yield "fallback_channels", "A channel is named twice.", "Name each channel once, the first one in `channel`."


def _texts(request: MessageRequest) -> Iterator[Complaint]:
    for field, limit in _TEXT_MAX.items():
        value = getattr(request, field)
        if value is not None and not 1 <= len(value) <= limit:
            yield field, f"It has {len(value)} characters.", f"Give 1 to {limit} characters, or leave it out."
    if request.in_reply_to is not None and _MESSAGE_SID.fullmatch(request.in_reply_to) is None:
        yield (
            "in_reply_to",
            f"{quote(request.in_reply_to)} is no message SID.",
            "Give the `sid` of the inbound message.",
        )


def _times(request: MessageRequest) -> Iterator[Complaint]:
    for field, value in (
        ("created_at", request.created_at),
        ("not_before", request.not_before),
        ("deadline", request.deadline),
    ):
        if value is not None and not 0 <= value <= _TIME_MAX:
            yield field, f"{value} is no point in time.", "Give epoch milliseconds UTC."


_CHECKS: tuple[Callable[[MessageRequest], Iterator[Complaint]], ...] = (
    _idempotency_key,
    _tags,
    _validity_period,
    _fallback_channels,
    _texts,
    _times,
)
