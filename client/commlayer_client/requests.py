"""What an application says becomes the record of the contract. Pure."""

# Annotations are evaluated here: as texts, TypedDict would not see which fields are Required.
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Required, TypedDict

from ._contracts import Cancellation, Channel, Content, EncodeError, MessageRequest, limits
from .errors import InvalidRequest
from .recipients import normalise

Moment = datetime | timedelta | int
"""An aware datetime, a time from now, or epoch milliseconds UTC."""


class MessageFields(TypedDict, total=False):
    """Everything a message request may say. Exactly one of body and/or media_urls, template, content_sid.

    Attributes:
        to: the person's number, in any notation.
        category: name of a configured category, for example otp; decides class, consent and quiet hours.
        body: the text, at most 1600 characters.
        media_urls: public URLs, at most 10.
        template, template_version: one of commlayer's own templates; its newest version when not named.
        content_sid: SID of a Twilio Content template.
        variables: values for the placeholders of template or content_sid.
        channel: sms (default), mms or whatsapp.
        fallback_channels: channels to try, in order, when the one before is refused or fails.
        idempotency_key: the same key for the same recipient is the same message, however often it is sent; a row id
            of your outbox is a good one. Generated when absent.
        recipient_id: the customer's id in the customer data platform.
        sender, pool: configured sender or pool to use; otherwise policy chooses.
        not_before, deadline: earliest and latest moment at which sending may start; now and 24 h by default.
        locale: BCP 47 tag for templates, for example de-CH.
        campaign, tags, correlation_id: reported back with every status; tags also go to Twilio.
        in_reply_to: SID of the inbound message that this one answers.
        shorten_urls, smart_encoding: Twilio's features of these names; configured defaults when absent.
        validity_period_s: seconds the message may wait inside Twilio, 1..36000.
        urgent: use the urgent topic, which critical categories alone may; by default for the publisher's
            `urgent_categories`.
        traceparent: W3C trace context to carry along.
    """

    to: Required[str]
    category: Required[str]
    body: str | None
    media_urls: Sequence[str]
    template: str | None
    template_version: str | None
    content_sid: str | None
    variables: Mapping[str, str]
    channel: str
    fallback_channels: Sequence[str]
    idempotency_key: str | None
    recipient_id: str | None
    sender: str | None
    pool: str | None
    not_before: Moment | None
    deadline: Moment | None
    locale: str | None
    campaign: str | None
    tags: Mapping[str, str]
    correlation_id: str | None
    in_reply_to: str | None
    shorten_urls: bool | None
    smart_encoding: bool | None
    validity_period_s: int | None
    urgent: bool | None
    traceparent: str | None


class CancelFields(TypedDict, total=False):
    """What takes a request back: its recipient, and either message_id or idempotency_key.

    Attributes:
        to: recipient of the message.
        message_id: from its receipt.
        idempotency_key: as it was sent with.
        reason: why, for the message's story.
        urgent: whether the message was urgent. On the same topic a cancellation cannot overtake its message.
    """

    to: Required[str]
    message_id: str | None
    idempotency_key: str | None
    reason: str | None
    urgent: bool


_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.A)
"""https://www.w3.org/TR/trace-context/#traceparent-header; later versions may append."""

_CONTENT = ("body", "template", "template_version", "content_sid")
_AS_GIVEN = (
    "idempotency_key", "recipient_id", "sender", "pool", "locale", "campaign", "correlation_id",
    "in_reply_to", "shorten_urls", "smart_encoding", "validity_period_s",
)  # fmt: skip


def message_request(fields: MessageFields, *, now_ms: int, default_region: str | None) -> MessageRequest:
    """The record of a request.

    Raises:
        InvalidRequest, InvalidRecipient: a field cannot be right.
    """
    given: dict[str, Any] = dict(fields)
    _refuse_unknown(given, MessageFields)
    content = Content(
        **{name: given.get(name) for name in _CONTENT},
        media_urls=_list(given, "media_urls"),
        variables=_dict(given, "variables"),
    )
    request = MessageRequest(
        recipient=normalise(given["to"], default_region),
        category=given["category"],
        content=content,
        channel=_channel(given.get("channel", Channel.SMS), "channel"),
        fallback_channels=[
            _channel(channel, f"fallback_channels[{index}]")
            for index, channel in enumerate(_list(given, "fallback_channels"))
        ],
        not_before=_moment(given.get("not_before"), "not_before", now_ms),
        deadline=_moment(given.get("deadline"), "deadline", now_ms),
        tags=_dict(given, "tags"),
        created_at=now_ms,
        **{name: given.get(name) for name in _AS_GIVEN},
    )
    _check_content(content)
    _check_limits(request)
    return request


def cancellation(fields: CancelFields, *, now_ms: int, default_region: str | None) -> Cancellation:
    """The record of a cancellation.

    Raises:
        InvalidRequest, InvalidRecipient: a field cannot be right.
    """
    given: dict[str, Any] = dict(fields)
    _refuse_unknown(given, CancelFields)
    message_id, key = given.get("message_id"), given.get("idempotency_key")
    if (message_id is None) == (key is None):
        raise InvalidRequest("message_id", "needs either it or idempotency_key", "give one of the two")
    return Cancellation(
        recipient=normalise(given["to"], default_region),
        message_id=message_id,
        idempotency_key=key,
        reason=given.get("reason"),
        requested_at=now_ms,
    )


def refusal(error: EncodeError) -> InvalidRequest:
    """What the codec says about a record, in the words of the parameters."""
    field = error.field.removeprefix("content.")
    return InvalidRequest("to" if field == "recipient" else field, error.detail, error.fix)


def _refuse_unknown(given: dict[str, Any], known: Any) -> None:
    for name in given:
        if name not in known.__annotations__:
            raise InvalidRequest(name, "is no parameter", f"use {', '.join(known.__annotations__)}")
    for name in sorted(known.__required_keys__):
        if given.get(name) is None:
            raise InvalidRequest(name, "is missing", "every message needs it")
    _check_way(given)


def _check_way(given: dict[str, Any]) -> None:
    """What says how a record travels, and stands in no contract that the codec could hold it against."""
    urgent, traceparent = given.get("urgent"), given.get("traceparent")
    if urgent is not None and not isinstance(urgent, bool):  # "no" must not make it urgent
        raise InvalidRequest("urgent", f"is of type {type(urgent).__name__}", "give true or false")
    if traceparent is not None and not (isinstance(traceparent, str) and _TRACEPARENT.fullmatch(traceparent)):
        raise InvalidRequest("traceparent", "is no W3C trace context", "give 00-<32 hex digits>-<16 hex digits>-01")


def _check_content(content: Content) -> None:
    ways = [
        name
        for name, present in (
            ("body or media_urls", content.body is not None or bool(content.media_urls)),
            ("template", content.template is not None),
            ("content_sid", content.content_sid is not None),
        )
        if present
    ]
    if len(ways) > 1:
        raise InvalidRequest(
            "content_sid" if content.content_sid is not None else "template",
            f"stands beside {ways[0]}",
            "give exactly one of: body and/or media_urls; template; content_sid",
        )
    body = content.body
    empty = isinstance(body, str) and not body.strip() and not content.media_urls
    if not ways or empty:
        raise InvalidRequest("body", "there is nothing to say", "give a body, media_urls, a template or a content_sid")
    if isinstance(body, str) and (units := limits.code_units(body)) > limits.BODY_MAX:
        raise InvalidRequest("body", f"has {units} characters as Twilio counts", f"shorten it to {limits.BODY_MAX}")
    if len(content.media_urls) > limits.MEDIA_MAX:
        raise InvalidRequest("media_urls", f"are {len(content.media_urls)}", f"give at most {limits.MEDIA_MAX}")


def _check_limits(request: MessageRequest) -> None:
    key, period = request.idempotency_key, request.validity_period_s
    if not isinstance(request.category, str):  # it is looked up before the codec sees it
        raise InvalidRequest("category", f"is of type {type(request.category).__name__}", "give text")
    if request.category == "":
        raise InvalidRequest("category", "is empty", "name a configured category")
    if isinstance(key, str) and not 1 <= len(key) <= limits.IDEMPOTENCY_KEY_MAX:
        fix = f"give 1 to {limits.IDEMPOTENCY_KEY_MAX} characters"
        raise InvalidRequest("idempotency_key", f"has {len(key)} characters", fix)
    if len(request.tags) > limits.TAGS_MAX:
        raise InvalidRequest("tags", f"are {len(request.tags)}", f"give at most {limits.TAGS_MAX}")
    if isinstance(period, int) and not 1 <= period <= limits.VALIDITY_MAX_S:
        raise InvalidRequest("validity_period_s", "is out of range", f"give 1 to {limits.VALIDITY_MAX_S} seconds")
    if request.not_before is not None and request.deadline is not None and request.deadline <= request.not_before:
        raise InvalidRequest("deadline", "is not after not_before", "give a later one")


def _channel(value: Any, field: str) -> Channel:
    try:
        return Channel(value)
    except ValueError:
        raise InvalidRequest(field, "is no channel", f"use one of {', '.join(Channel)}") from None


def _moment(value: Any, field: str, now_ms: int) -> int | None:
    if value is None:
        return None
    at_ms = _at_ms(value, field, now_ms)
    if not 0 <= at_ms <= _LATEST_MS:
        raise InvalidRequest(field, "lies outside the years 1970 to 9999", _MOMENTS)
    return at_ms


def _at_ms(value: Any, field: str, now_ms: int) -> int:
    match value:
        case datetime() if value.tzinfo is None:
            raise InvalidRequest(field, "has no time zone", "give an aware datetime, such as datetime.now(UTC)")
        case datetime():
            return round(value.timestamp() * 1000)
        case timedelta():
            return now_ms + value // timedelta(milliseconds=1)
        case bool() | float():
            raise InvalidRequest(field, f"is of type {type(value).__name__}", _MOMENTS)
        case int():
            return value
        case _:
            raise InvalidRequest(field, f"is of type {type(value).__name__}", _MOMENTS)


_MOMENTS = "give an aware datetime, a timedelta from now, or epoch milliseconds"
_LATEST_MS = 253_402_300_799_999  # the last that a calendar of four digits can show


def _list(given: dict[str, Any], field: str) -> list[Any]:
    value = given.get(field)
    if value is None:
        return []
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise InvalidRequest(field, f"is of type {type(value).__name__}", "give a list")
    return list(value)


def _dict(given: dict[str, Any], field: str) -> dict[str, Any]:
    value = given.get(field)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(field, f"is of type {type(value).__name__}", "give a dict")
    return dict(value)
