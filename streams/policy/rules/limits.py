"""Are the fields beside content and address within their limits?"""

from __future__ import annotations

import re
from operator import attrgetter

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
    complaint = _complaint(case.request)
    return ALLOW if complaint is None else Deny(Reason.INVALID_FIELD, *complaint)


Complaint = tuple[str, str, str]
"""Field, what is wrong, how to mend it."""


def _complaint(request: MessageRequest) -> Complaint | None:
    key = request.idempotency_key
    if key is not None and not 1 <= len(key) <= IDEMPOTENCY_KEY_MAX:
        fix = f"Give 1 to {IDEMPOTENCY_KEY_MAX} characters, or leave it out."
        return "idempotency_key", f"It has {len(key)} characters.", fix
    if request.tags and (complaint := _of_tags(request.tags)) is not None:
        return complaint
    period = request.validity_period_s
    if period is not None and not 1 <= period <= VALIDITY_MAX_S:
        return "validity_period_s", f"It is {period} s.", f"Give 1 to {VALIDITY_MAX_S} seconds, or leave it out."
    channels = request.fallback_channels
    if channels and len({request.channel, *channels}) <= len(channels):
        fix = "Name each channel once, the first one in `channel`."
        return "fallback_channels", "A channel is named twice.", fix
    return _of_texts(request) or _of_times(request)


def _of_tags(tags: dict[str, str]) -> Complaint | None:
    if len(tags) > TAGS_MAX:
        return "tags", f"There are {len(tags)}.", f"Give at most {TAGS_MAX}."
    for key, value in tags.items():
        if _TAG_KEY.fullmatch(key) is None:
            return "tags", f"The key {quote(key)} is not usable.", "Use 1 to 128 of A-Z a-z 0-9 . _ ~ -"
        if _TAG_VALUE.fullmatch(value) is None:
            return f"tags.{key}", f"The value {quote(value)} is not usable.", "Use 1 to 256 of A-Z a-z 0-9 . _ ~ -"
    return None


def _of_texts(request: MessageRequest) -> Complaint | None:
    for value, (field, limit) in zip(_texts(request), _TEXT_MAX.items(), strict=True):
        if value is not None and not 1 <= len(value) <= limit:
            return field, f"It has {len(value)} characters.", f"Give 1 to {limit} characters, or leave it out."
    if request.in_reply_to is not None and _MESSAGE_SID.fullmatch(request.in_reply_to) is None:
        detail = f"{quote(request.in_reply_to)} is no message SID."
        return "in_reply_to", detail, "Give the `sid` of the inbound message."
    return None


def _of_times(request: MessageRequest) -> Complaint | None:
    for value, field in (
        (request.created_at, "created_at"),
        (request.not_before, "not_before"),
        (request.deadline, "deadline"),
    ):
        if value is not None and not 0 <= value <= _TIME_MAX:
            return field, f"{value} is no point in time.", "Give epoch milliseconds UTC."
    return None


_texts = attrgetter(*_TEXT_MAX)
