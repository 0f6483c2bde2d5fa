"""What can be done about a message as it stands. Pure."""

from __future__ import annotations

from connectors.twilio.errors import ErrorPolicy
from schemas.reasons import Reason
from schemas.records import MessageStatus, StatusUpdate

_ASK_AGAIN = "ask again under a new idempotency key (the same one names this message)"

_REASONS = {each.value: each for each in Reason}

_BY_STATUS = {
    MessageStatus.DENIED: f"Mend what the denial names, then {_ASK_AGAIN}.",
    MessageStatus.DEFERRED: "Nothing: it comes back by itself and is decided anew. The app may still cancel it.",
    MessageStatus.EXPIRED: (
        f"Give a later deadline, or the lane a higher rate (`commlayer lanes show`); then {_ASK_AGAIN}."
    ),
    MessageStatus.CANCELED: f"Nothing: it was taken back. To send it all the same, {_ASK_AGAIN}.",
    MessageStatus.UNKNOWN: "Twilio may have sent it. Look at the number in Twilio's message log before you ask again.",
    MessageStatus.UNRESOLVED: "Twilio never told the end. Look up the SID in Twilio's message log.",
    MessageStatus.FAILED: f"When the cause is mended, {_ASK_AGAIN}.",
    MessageStatus.UNDELIVERED: f"When the cause is mended, {_ASK_AGAIN}.",
    MessageStatus.SENT: "Wait: the carrier has it. Some carriers never report a delivery.",
    MessageStatus.DELIVERED: "Nothing: it arrived.",
    MessageStatus.READ: "Nothing: it was read.",
}


def advice(now: StatusUpdate, errors: ErrorPolicy) -> str:
    """What can be done, in a sentence or two."""
    if now.status is MessageStatus.ADMITTED:
        lane = now.lane or "<lane>"
        return f"It waits in its lane: `commlayer lanes show {lane}` tells its backlog and what holds it."
    if now.status not in _BY_STATUS:  # between Twilio's acceptance and the carrier
        return "Wait: Twilio has it and will report."
    general = _BY_STATUS[now.status]
    if now.error_code is None:
        return general
    return f"{sentence(errors.classify(now.error_code).action)} {general}"


def meaning(reason: str) -> str | None:
    """What a reason code means; None for one that this version does not know."""
    known = _REASONS.get(reason)
    return None if known is None else known.explanation


def sentence(text: str) -> str:
    """Text of a table as a sentence."""
    text = text.strip()
    return text if not text or text[-1] in ".!?" else f"{text}."
