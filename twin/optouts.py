"""Twilio's own opt-out ledger and its default handling of STOP, START and HELP (support article 223134027).

A keyword is the whole message, in any case. Long codes: handled for (sender, person), and for the sender's Messaging
Service. Toll-free: enforced by the network, STOP and START or UNSTOP only. Short codes, alphanumeric and WhatsApp:
not handled, unless the service has Advanced Opt-Out.
"""

from __future__ import annotations

from dataclasses import dataclass

from twin.settings import SenderType

STOP_WORDS = frozenset({"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"})
START_WORDS = frozenset({"START", "UNSTOP"})
HELP_WORDS = frozenset({"HELP", "INFO"})

_REPLIES = {
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from this number. "
    "Reply START to resubscribe.",
    "START": "You have successfully been re-subscribed to messages from this number. Reply HELP for help. "
    "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}
_NETWORK_REPLIES = {
    "STOP": 'NETWORK MSG: You replied with the word "stop" which blocks all texts sent from this number. '
    'Text back "unstop" to receive messages again.',
    "START": 'NETWORK MSG: You have replied "unstop" and will begin receiving messages again from this number.',
}


@dataclass(frozen=True, slots=True)
class Handling:
    """What Twilio does with an inbound text.

    Attributes:
        intent: STOP, START or HELP.
        reply: the text Twilio answers with, if any.
        opt_out_type: whether the webhook carries OptOutType (Advanced Opt-Out only).
    """

    intent: str
    reply: str | None
    opt_out_type: bool


class OptOuts:
    """Who opted out of what: (account, sender address or Messaging Service sid, person)."""

    def __init__(self) -> None:
        self._out: set[tuple[str, str, str]] = set()

    def __contains__(self, entry: tuple[str, str, str]) -> bool:
        return entry in self._out

    def as_rows(self) -> list[dict[str, str]]:
        """The ledger, sorted."""
        return [{"account": account, "scope": scope, "person": person} for account, scope, person in sorted(self._out)]

    def add(self, account: str, scope: str, person: str) -> None:
        """Record an opt-out."""
        self._out.add((account, scope, person))

    def clear(self) -> None:
        """Forget all."""
        self._out.clear()

    def inbound(
        self, text: str, *, account: str, scopes: tuple[str, ...], person: str, sender_type: SenderType, advanced: bool
    ) -> Handling | None:
        """Apply an inbound text to the ledger.

        Args:
            scopes: the sender's address, and its Messaging Service if it has one.
            advanced: whether that service has Advanced Opt-Out.

        Returns:
            What Twilio did, or None where the text is no keyword or its sender type is not handled.
        """
        if not advanced and sender_type not in ("long_code", "toll_free"):
            return None
        was_out = any((account, scope, person) in self._out for scope in scopes)
        intent = _intent(text, toll_free=sender_type == "toll_free", was_out=was_out)
        if intent is None:
            return None
        entries = {(account, scope, person) for scope in scopes}
        if intent == "STOP":
            self._out |= entries
            silent = was_out
        elif intent == "START":
            self._out -= entries
            silent = not was_out
        else:
            silent = was_out
        replies = _NETWORK_REPLIES if sender_type == "toll_free" else _REPLIES
        return Handling(intent, None if silent else replies.get(intent), advanced)


def _intent(text: str, *, toll_free: bool, was_out: bool) -> str | None:
    word = text.strip().upper()
    if toll_free:
        return "STOP" if word == "STOP" else "START" if word in START_WORDS else None
    if word in STOP_WORDS:
        return "STOP"
    if word in START_WORDS or (word == "YES" and was_out):
        return "START"
    return "HELP" if word in HELP_WORDS else None
