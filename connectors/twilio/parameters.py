"""A dispatch order as the parameters of Twilio's Create Message, checked against Twilio's documented limits first."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from urllib.parse import urlsplit

from schemas.records import Channel, Dispatch

from .addresses import format_address

MAX_BODY = 1600
"""UTF-16 units; Twilio counts an emoji as more than one character (21617)."""

MAX_MEDIA = 10
MAX_VARIABLES = 100
MAX_STATUS_CALLBACK = 4000

MIN_VALIDITY_S, MAX_VALIDITY_S = 1, 36_000
DERIVED_MIN_VALIDITY_S = 6
"""Twilio advises more than 5; a message whose deadline is nearer still gets this long to leave Twilio."""

MAX_TAGS, MAX_TAG_NAME, MAX_TAG_VALUE = 10, 128, 256
"""Documented for the Bulk Messaging API only; the Messages API states none."""

INTENTS = frozenset(
    {
        "otp", "notifications", "fraud", "security", "customercare", "delivery", "education", "events", "polling",
        "announcements", "marketing",
    }
)  # fmt: skip
"""Values of MessageIntent."""

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT = re.compile(r"HX[0-9a-fA-F]{32}")
_TAG = re.compile(r"[A-Za-z0-9._~-]*")
_HOST = re.compile(r"[a-z0-9.-]+|[0-9a-f:.]+")


class ParameterError(ValueError):
    """The order breaks one of Twilio's limits, so that sending it would be refused.

    Attributes:
        code: the error code that Twilio would answer with.
        field: field of the order at fault.
        detail: what is wrong.
    """

    def __init__(self, code: int, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.code = code
        self.field = field
        self.detail = detail


def create_parameters(
    order: Dispatch, *, status_callback: str | None, now_ms: int, attempt: int | None = None
) -> list[tuple[str, str]]:
    """Names and values to POST; a name is repeated for each value of a list.

    Args:
        order: the admitted message.
        status_callback: where Twilio reports, with our ids in its query.
        now_ms: epoch milliseconds UTC; what is left to the deadline bounds the time a message may wait inside Twilio.
        attempt: how often this message was tried, this time included; informational.

    Raises:
        ParameterError: a limit is broken.
    """
    parameters: list[tuple[str, str]] = []
    _add_addresses(parameters, order)
    if order.content_sid:
        _add_template(parameters, order, order.content_sid)
    else:
        _add_content(parameters, order)
    if status_callback is not None:
        _add_status_callback(parameters, status_callback)
    _add_validity(parameters, order, now_ms)
    parameters += _options(order)
    if order.tags:
        parameters += _tags(order)
    if attempt is not None:
        parameters.append(("Attempt", str(attempt)))
    return parameters


def _add_addresses(parameters: list[tuple[str, str]], order: Dispatch) -> None:
    recipient, sender, service = order.recipient, order.sender, order.messaging_service_sid
    if not _E164.fullmatch(recipient):
        raise ParameterError(21211, "recipient", "is not an E.164 number")
    parameters.append(("To", format_address(order.channel, recipient)))
    if not (sender or service):
        raise ParameterError(21603, "sender", "neither a sender nor a messaging service")
    if sender:
        if sender == recipient:
            raise ParameterError(21266, "sender", "is the recipient")
        parameters.append(("From", format_address(order.channel, sender)))
    if service:
        if not _SERVICE.fullmatch(service):
            raise ParameterError(21701, "messaging_service_sid", "is not MG and 32 hex digits")
        parameters.append(("MessagingServiceSid", service))


def _add_content(parameters: list[tuple[str, str]], order: Dispatch) -> None:
    body, media = order.body, order.media_urls
    if order.content_variables:
        raise ParameterError(21654, "content_variables", "need a content_sid")
    if body:
        if _utf16_units(body) > MAX_BODY:
            raise ParameterError(21617, "body", f"is longer than {MAX_BODY} characters")
        parameters.append(("Body", body))
    elif not media:
        raise ParameterError(21619, "body", "nothing to send: no body, media or content_sid")
    if len(media) > MAX_MEDIA:
        raise ParameterError(21623, "media_urls", f"are more than {MAX_MEDIA}")
    for url in media:
        if not _host(url):
            raise ParameterError(21620, "media_urls", "hold something that is no http(s) URL")
        parameters.append(("MediaUrl", url))
    if order.channel is Channel.MMS and not media:
        parameters.append(("SendAsMms", "true"))


def _add_template(parameters: list[tuple[str, str]], order: Dispatch, sid: str) -> None:
    variables = order.content_variables
    if not _CONTENT.fullmatch(sid):
        raise ParameterError(21655, "content_sid", "is not HX and 32 hex digits")
    if order.body or order.media_urls:
        raise ParameterError(35127, "content_sid", "stands beside a body or media")
    if len(variables) > MAX_VARIABLES:
        raise ParameterError(21656, "content_variables", f"are more than {MAX_VARIABLES}")
    parameters.append(("ContentSid", sid))
    if variables:
        parameters.append(("ContentVariables", _json(variables, "content_variables")))


def _add_status_callback(parameters: list[tuple[str, str]], url: str) -> None:
    if len(url) > MAX_STATUS_CALLBACK:
        raise ParameterError(21609, "status_callback", f"is longer than {MAX_STATUS_CALLBACK}")
    if not (url.isascii() and _valid_base(url.partition("?")[0])):
        raise ParameterError(21609, "status_callback", "is no http(s) URL with a valid host name (no underscore)")
    parameters.append(("StatusCallback", url))


def _add_validity(parameters: list[tuple[str, str]], order: Dispatch, now_ms: int) -> None:
    asked = order.validity_period_s
    if asked is not None and not MIN_VALIDITY_S <= asked <= MAX_VALIDITY_S:
        raise ParameterError(21624, "validity_period_s", f"is not in {MIN_VALIDITY_S}..{MAX_VALIDITY_S}")
    left = max((order.deadline - now_ms) // 1000, DERIVED_MIN_VALIDITY_S)
    seconds = left if asked is None else min(asked, left)
    # Not sent where the deadline leaves the maximum, so that a messaging service's own setting holds.
    if seconds < MAX_VALIDITY_S or asked is not None:
        parameters.append(("ValidityPeriod", str(seconds)))


def _options(order: Dispatch) -> list[tuple[str, str]]:
    parameters = []
    if order.shorten_urls is not None:
        if order.shorten_urls and not order.messaging_service_sid:
            raise ParameterError(30124, "shorten_urls", "needs a messaging service")
        parameters.append(("ShortenUrls", _flag(order.shorten_urls)))
    if order.smart_encoding is not None:
        parameters.append(("SmartEncoded", _flag(order.smart_encoding)))
    if order.message_intent is not None:
        if order.message_intent not in INTENTS:
            raise ParameterError(20422, "message_intent", "is none of Twilio's intents")
        parameters.append(("MessageIntent", order.message_intent))
    return parameters


def _tags(order: Dispatch) -> list[tuple[str, str]]:
    if len(order.tags) > MAX_TAGS:
        raise ParameterError(21658, "tags", f"are more than {MAX_TAGS}")
    for name, value in order.tags.items():
        if not (0 < len(name) <= MAX_TAG_NAME and len(value) <= MAX_TAG_VALUE):
            raise ParameterError(21658, "tags", f"name 1..{MAX_TAG_NAME}, value 0..{MAX_TAG_VALUE} characters")
        if not (_TAG.fullmatch(name) and _TAG.fullmatch(value)):
            raise ParameterError(21658, "tags", "only A-Z a-z 0-9 . _ ~ -")
    return [("Tags", _json(order.tags, "tags"))]


def _utf16_units(body: str) -> int:
    if body.isascii():
        return len(body)
    try:
        return len(body.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise ParameterError(21618, "body", "holds half a surrogate pair") from None


def _json(values: dict[str, str], field: str) -> str:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ParameterError(21618, field, "hold half a surrogate pair") from None
    return text


@lru_cache(maxsize=64)  # the query differs from message to message, what stands before it does not
def _valid_base(url: str) -> bool:
    return _HOST.fullmatch(_host(url)) is not None


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""


def _flag(value: bool) -> str:
    return "true" if value else "false"
