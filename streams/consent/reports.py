"""What an error of Twilio's says about a person, as a record for comms.consent. Pure."""

from __future__ import annotations

from connectors.twilio.addresses import parse_address
from connectors.twilio.errors import ErrorClass, Suppress
from schemas import ids
from schemas.records import Channel, Consent, ConsentChange, ConsentScope, ConsentSource


def reported(
    error: ErrorClass,
    *,
    code: int,
    recipient: str,
    channel: Channel,
    sender: str | None,
    messaging_service_sid: str | None,
    account: str | None,
    evidence: str,
    at: int,
) -> Consent | None:
    """The change of consent that an error proves, None where it proves none. The same evidence gives the same id.

    An opt-out that Twilio reports reaches as far as Twilio's own list: the messaging service where one sends, else the
    sender (../reference/twilio.md §4, 21610). A suppression reaches everything, or the channel that was tried: a number
    that takes no texts may have WhatsApp.

    Args:
        error: class of the code.
        code: Twilio's error code.
        recipient: E.164.
        channel: the road that was tried.
        sender: address of the sender, with or without channel prefix; None where a messaging service chose one.
        messaging_service_sid: None where a single sender sent.
        account: configured name.
        evidence: SID of the message, or id of the request that was refused.
        at: when Twilio said so, epoch milliseconds UTC.
    """
    value: str | None = None
    if error.opt_out:
        change, scope = ConsentChange.OPT_OUT, ConsentScope.SENDER
        value = parse_address(sender)[1] if sender is not None else None
        if messaging_service_sid is not None:
            scope, value = ConsentScope.MESSAGING_SERVICE, messaging_service_sid
        elif value is None:
            scope = ConsentScope.ALL  # nobody knows whom the person meant
    elif error.suppress is Suppress.ALL:
        change, scope = ConsentChange.SUPPRESS, ConsentScope.ALL
    elif error.suppress is Suppress.CHANNEL:
        change, scope = ConsentChange.SUPPRESS, ConsentScope.CHANNEL
        value = (Channel.SMS if channel is Channel.MMS else channel).value  # who takes no texts takes no media
    else:
        return None
    ends = error.suppress_for_s if change is ConsentChange.SUPPRESS else None
    return Consent(
        consent_id=ids.consent_id(recipient, change, evidence),
        recipient=recipient,
        change=change,
        scope=scope,
        scope_value=value,
        source=ConsentSource.TWILIO_ERROR,
        account=account,
        evidence=evidence,
        reason=error.title,
        error_code=code,
        at=at,
        expires_at=None if ends is None else at + ends * 1000,
    )
