"""Does the person want it? Suppression list, opt-outs in scope, and the opt-in that the category needs."""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.records import ConsentScope
from streams.consent import About, Entry
from streams.policy import senders
from streams.policy.case import Case
from streams.policy.config import ConsentRule, Sender
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny for a suppressed number, for an opt-out that covers the message, and where a needed opt-in is missing.

    The sender that would be chosen is part of the question. Who opted out of any sender that could carry the message is
    not sent to by another one instead: which of them is chosen hangs on backlogs, health and quotas as well.
    """
    return _judged(case, case.now_ms)


def allowed_until(case: Case) -> int | None:
    """When the consent that an admitted message rests on ends, epoch milliseconds UTC; None: not before its
    deadline."""
    if case.facts.ledger.is_blank:
        return None
    for end in case.facts.ledger.ends_of_consent(case.now_ms):
        if end > case.deadline:
            return None
        if _judged(case, end) is not ALLOW:
            return end
    return None


def _judged(case: Case, now_ms: int) -> Verdict:
    ledger, wanted = case.facts.ledger, case.category.consent
    if ledger.is_blank and wanted is not ConsentRule.OPT_IN:
        return ALLOW
    message = about(case)
    suppression = ledger.suppressed(message, now_ms)
    if suppression is not None:
        return Deny(
            Reason.SUPPRESSED,
            "recipient",
            f"It is suppressed for {_scope(suppression)}.",
            "`commlayer consent show` tells why; `commlayer consent set` lifts it.",
            of_channel=suppression.scope is ConsentScope.CHANNEL,
            facts=_facts(suppression),
        )
    if wanted is ConsentRule.REQUIRED_BY_LAW:
        return ALLOW
    opt_out = _opted_out(case, message, now_ms)
    if opt_out is not None:
        return Deny(
            Reason.OPTED_OUT,
            "recipient",
            f"The person opted out of {_scope(opt_out)}.",
            "Do not ask again; only the person can opt in.",
            facts=_facts(opt_out),
        )
    if wanted is ConsentRule.OPT_IN and ledger.opted_in(message, now_ms) is None:
        return Deny(
            Reason.NO_OPT_IN,
            "recipient",
            f"{quote(case.category.name)} needs an opt-in, and none covers this message.",
            "Write the person's opt-in to comms.consent with its evidence before asking.",
        )
    return ALLOW


def about(case: Case) -> About:
    """What consent asks of the message; without sender where none can be chosen, which a later rule denies."""
    sender = senders.choose(case)
    if not isinstance(sender, Sender):
        return About(channel=case.request.channel, category=case.category.name)
    return _from(sender, case)


def _opted_out(case: Case, message: About, now_ms: int) -> Entry | None:
    ledger = case.facts.ledger
    opt_out = ledger.opted_out(message, now_ms)
    if opt_out is not None or not ledger.holds_opt_outs:
        return opt_out
    able = senders.able(case)
    if isinstance(able, Deny):
        return None
    others = (ledger.opted_out(_from(sender, case), now_ms) for sender in able)
    return next((other for other in others if other is not None), None)


def _from(sender: Sender, case: Case) -> About:
    return About(
        channel=case.request.channel,
        category=case.category.name,
        sender=sender.name,
        address=sender.address,
        messaging_service_sid=sender.messaging_service_sid,
        brand=sender.brand,
    )


def _scope(entry: Entry) -> str:
    return "everything" if entry.scope is ConsentScope.ALL else f"{entry.scope.value} {quote(entry.value or '')}"


def _facts(entry: Entry) -> dict[str, str]:
    """Where on comms.consent it stands."""
    return {"consent": entry.change.value, "consent_scope": entry.scope.value, "consent_offset": str(entry.position)}
