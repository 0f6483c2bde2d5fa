"""A status callback as a record."""

from __future__ import annotations

import re

from connectors.twilio.addresses import WHATSAPP, parse_address
from schemas.records import Callback, CallbackSource, Channel

from .form import Fields, Malformed, Pairs

SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_MESSAGE_ID = re.compile(r"[0-9A-Za-z._:-]{1,100}")


def read_status(form: Pairs, query: Pairs, *, token: str | None, now_ms: int) -> Callback:
    """The callback that a genuine request states.

    Args:
        form: parameters of the body.
        query: parameters of the URL. Ours come back unchanged: m (message id), r (round), a (attempt). Without m, for
            a message that was not sent by us, the SID takes its place.
        token: I-Twilio-Idempotency-Token.
        now_ms: epoch milliseconds UTC.

    Raises:
        Malformed: it lacks what every callback has.
    """
    fields, ours = Fields(form), Fields(query)
    sid = fields.matching("MessageSid", SID) or fields.matching("SmsSid", SID)
    if sid is None:
        raise Malformed("MessageSid is missing or no SID")
    status = fields.text("MessageStatus") or fields.text("SmsStatus")
    if status is None:
        raise Malformed("MessageStatus is missing")
    to = fields.text("To")
    prefix, recipient = parse_address(to) if to is not None else ("", None)
    return Callback(
        message_id=ours.matching("m", _MESSAGE_ID) or sid,
        round=ours.integer("r") or 0,
        attempt=ours.integer("a"),
        source=CallbackSource.STATUS_CALLBACK,
        sid=sid,
        account_sid=fields.required("AccountSid"),
        status=status,
        error_code=fields.integer("ErrorCode"),
        error_message=fields.text("ErrorMessage"),
        sender=fields.text("From"),
        recipient=recipient,
        channel=_channel(prefix, sid) if to is not None else None,
        messaging_service_sid=fields.text("MessagingServiceSid"),
        raw_dlr_done_date=fields.text("RawDlrDoneDate"),
        num_segments=fields.integer("NumSegments"),
        price=fields.text("Price"),
        price_unit=fields.text("PriceUnit"),
        idempotency_token=token,
        received_at=now_ms,
        params=ours.rest() | fields.rest(),
    )


def _channel(prefix: str, sid: str) -> Channel | None:
    if prefix:
        return Channel.WHATSAPP if prefix == WHATSAPP else None
    return Channel.MMS if sid.startswith("MM") else Channel.SMS
