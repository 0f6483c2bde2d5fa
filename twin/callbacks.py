"""Status callbacks: which fields they carry, in which order."""

from __future__ import annotations

import time
from hashlib import blake2b

from twin.field_order import in_wire_order
from twin.messages import API, Message

# The initial status is never reported; `sending` never was in any capture.
REPORTED = frozenset({"queued", "sent", "delivered", "undelivered", "failed", "canceled", "read"})


def status_fields(message: Message) -> list[tuple[str, str]]:
    """The fields of a status callback for the message's present status, in wire order."""
    return _whatsapp(message) if message.channel == "whatsapp" else in_wire_order(_sms(message))


def _sms(message: Message) -> dict[str, str]:
    fields = {
        "SmsSid": message.sid,
        "SmsStatus": message.status,
        "MessageStatus": message.status,
        "To": message.to,
        "MessageSid": message.sid,
        "AccountSid": message.account.sid,
        "ApiVersion": API,
    }
    if message.from_ is not None:
        fields["From"] = message.from_
    if message.service is not None:
        fields["MessagingServiceSid"] = message.service.sid
    if message.error_code is not None:
        fields["ErrorCode"] = str(message.error_code)
    if message.status in ("delivered", "undelivered"):
        fields["RawDlrDoneDate"] = time.strftime("%y%m%d%H%M", time.gmtime(message.updated))
    return fields


def _whatsapp(message: Message) -> list[tuple[str, str]]:
    """Order of a capture of September 2026; what it lacked stands at the end."""
    person = message.person
    fields = [
        ("ChannelPrefix", "whatsapp"),
        ("ApiVersion", API),
        ("MessageStatus", message.status),
        ("SmsSid", message.sid),
        ("SmsStatus", message.status),
        ("ChannelInstallSid", "XE" + blake2b((message.from_ or "").encode(), digest_size=16).hexdigest()),
        ("To", message.to),
        ("From", message.from_ or ""),
        ("MessageSid", message.sid),
        ("AccountSid", message.account.sid),
        ("ChannelToAddress", person[:-4] + "XXXX"),
    ]
    if message.status == "sent":
        fields.append(("StructuredMessage", "false"))
    if message.status in ("delivered", "read"):
        digits = blake2b(person.encode(), digest_size=8)
        fields.append(("ExternalUserId", f"whatsapp:XX.{int.from_bytes(digits.digest(), 'big')}"))
    if message.service is not None:
        fields.append(("MessagingServiceSid", message.service.sid))
    if message.error_code is not None:
        fields.append(("ErrorCode", str(message.error_code)))
    return fields
