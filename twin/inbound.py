"""A person's message as a webhook: where it goes, and which fields it carries."""

from __future__ import annotations

from collections.abc import Mapping

from twin.field_order import in_wire_order
from twin.messages import API, Message
from twin.pools import Service
from twin.senders import Sender

_GEO = ("City", "State", "Zip", "Country")


def webhook_urls(sender: Sender, service: Service | None) -> tuple[str | None, str | None]:
    """Where a message to this sender goes, and where it goes when that fails."""
    if service is not None and not service.settings.use_inbound_webhook_on_number:
        return service.settings.inbound_url, service.settings.fallback_url
    return sender.settings.inbound_url, sender.settings.fallback_url


def inbound_fields(
    message: Message, service: Service | None, *, opt_out_type: str | None, extra: Mapping[str, str]
) -> list[tuple[str, str]]:
    """The fields of an inbound webhook in Twilio's order; those of place are empty unless given.

    Args:
        extra: more fields (ProfileName, ButtonText, FromCity, …); they replace equal ones.
    """
    fields = {
        "SmsMessageSid": message.sid,
        "NumMedia": str(len(message.media)),
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "Body": message.body,
        "To": message.to,
        "NumSegments": str(message.segments),
        "MessageSid": message.sid,
        "AccountSid": message.account.sid,
        "From": message.from_ or "",
        "ApiVersion": API,
    }
    if message.channel == "whatsapp":
        fields |= {
            "ProfileName": "Twin Person",
            "MessageType": "image" if message.media else "text",
            "WaId": message.person.removeprefix("+"),
            "ReferralNumMedia": "0",
        }
    else:
        fields |= {side + part: "" for side in ("To", "From") for part in _GEO}
        for side, address in (("To", message.to), ("From", message.from_ or "")):
            if address.startswith("+1"):
                fields[side + "Country"] = "US"
    for at, media in enumerate(message.media):
        fields[f"MediaContentType{at}"] = media.content_type
        fields[f"MediaUrl{at}"] = media.url
    if service is not None:
        fields["MessagingServiceSid"] = service.sid
    if opt_out_type is not None:
        fields["OptOutType"] = opt_out_type
    return in_wire_order(fields | dict(extra))
