"""An inbound message as records: the message itself, and the change of consent that its keyword asks for."""

from __future__ import annotations

from dataclasses import replace

from connectors.twilio import keywords
from connectors.twilio.addresses import WHATSAPP, parse_address, sender_type
from connectors.twilio.keywords import KeywordPacks
from schemas.ids import consent_id
from schemas.records import (
    Channel,
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Inbound,
    InboundMedia,
    KeywordIntent,
)

from .form import Fields, Malformed, Pairs
from .status import SID

MAX_MEDIA = 20
"""Twilio passes on at most 10."""

MAX_ADDRESS = 100
"""Numbers have 16 characters, ids of users in channels some more."""

_INTENTS = {"STOP": KeywordIntent.STOP, "START": KeywordIntent.START, "HELP": KeywordIntent.HELP}
_CHANGES = {KeywordIntent.STOP: ConsentChange.OPT_OUT, KeywordIntent.START: ConsentChange.OPT_IN}


def read_inbound(
    form: Pairs, *, account: str | None, token: str | None, now_ms: int, packs: KeywordPacks | None = None
) -> Inbound:
    """The message that a genuine request states, with the intent of its keyword.

    Args:
        form: parameters of the body.
        account: configured name of the account.
        token: I-Twilio-Idempotency-Token.
        now_ms: epoch milliseconds UTC.
        packs: keywords; those shipped by default.

    Raises:
        Malformed: it lacks what every inbound message has.
    """
    fields = Fields(form)
    raw_from, raw_to = fields.peek("From"), fields.peek("To")
    prefix, recipient = parse_address(raw_from)
    _, sender = parse_address(raw_to)
    if not 0 < len(recipient) <= MAX_ADDRESS or not 0 < len(sender) <= MAX_ADDRESS:
        raise Malformed("From or To is missing or too long")
    if prefix in ("", WHATSAPP):  # of other channels the raw addresses stay in params, for the prefix
        fields.text("From")
        fields.text("To")
    sid = fields.matching("MessageSid", SID) or fields.matching("SmsSid", SID) or fields.matching("SmsMessageSid", SID)
    if sid is None:
        raise Malformed("MessageSid is missing or no SID")
    media = _media(fields)
    inbound = Inbound(
        sid=sid,
        account_sid=fields.required("AccountSid"),
        account=account,
        recipient=recipient,
        channel=Channel.WHATSAPP if prefix == WHATSAPP else Channel.MMS if media else Channel.SMS,
        sender=sender,
        messaging_service_sid=fields.text("MessagingServiceSid"),
        body=fields.text("Body") or "",
        media=media,
        num_segments=fields.integer("NumSegments") or 1,
        opt_out_type=fields.text("OptOutType"),
        profile_name=fields.text("ProfileName"),
        wa_id=fields.text("WaId"),
        button_payload=fields.text("ButtonPayload"),
        button_text=fields.text("ButtonText"),
        latitude=fields.decimal("Latitude"),
        longitude=fields.decimal("Longitude"),
        replied_to_sid=fields.text("OriginalRepliedMessageSid"),
        idempotency_token=token,
        received_at=now_ms,
        params=fields.rest(),
    )
    return _with_intent(inbound, raw_to, packs or keywords.shipped_packs())


def consents_of(inbound: Inbound) -> tuple[Consent, ...]:
    """The changes of consent that the message asks for by keyword; none where it asks for none.

    It holds for the sender it was written to, on all its channels, and, if it came through a messaging service, for the
    service as well. Twilio's own list then holds for the service alone, and would let a message pass that leaves from
    that number without the service.
    """
    change = _CHANGES.get(inbound.keyword_intent) if inbound.keyword_intent is not None else None
    if change is None:
        return ()

    def consent(scope: ConsentScope, value: str, evidence: str) -> Consent:
        return Consent(
            consent_id=consent_id(inbound.recipient, change.value, evidence),
            recipient=inbound.recipient,
            change=change,
            scope=scope,
            scope_value=value,
            source=ConsentSource.KEYWORD,
            account=inbound.account,
            evidence=inbound.sid,
            keyword=inbound.keyword,
            at=inbound.received_at,
        )

    service = inbound.messaging_service_sid
    if service is None:
        return (consent(ConsentScope.SENDER, inbound.sender, inbound.sid),)
    return (
        consent(ConsentScope.MESSAGING_SERVICE, service, inbound.sid),
        consent(ConsentScope.SENDER, inbound.sender, f"{inbound.sid} {inbound.sender}"),
    )


def _with_intent(inbound: Inbound, to: str, packs: KeywordPacks) -> Inbound:
    answered = _INTENTS.get((inbound.opt_out_type or "").upper())
    if answered is not None:  # Advanced Opt-Out: its sets of words may differ from ours, and Twilio acted on them
        word = inbound.body.strip()
        return replace(inbound, keyword_intent=answered, keyword=word if 0 < len(word) <= keywords.LONGEST else None)
    found = packs.match(inbound.body, sender_type(to))
    return inbound if found is None else replace(inbound, keyword_intent=found.intent, keyword=found.keyword)


def _media(fields: Fields) -> list[InboundMedia]:
    fields.integer("NumMedia")
    media: list[InboundMedia] = []
    while len(media) < MAX_MEDIA and (url := fields.text(f"MediaUrl{len(media)}")) is not None:
        media.append(InboundMedia(url=url, content_type=fields.text(f"MediaContentType{len(media)}")))
    return media
