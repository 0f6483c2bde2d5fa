"""WhatsApp: can policy tell what it does not deliver?"""

from __future__ import annotations

from collections.abc import Iterator

import phonenumbers

from commlayer.config.draft import Draft
from commlayer.config.problems import Problem, Severity
from commlayer.config.rules import App
from commlayer.config.twilio import Sender
from schemas.records import Channel, MessageClass
from streams.policy.config import ConsentRule

_NORTH_AMERICA = 1


def whatsapp(draft: Draft) -> Iterator[Problem]:
    """Categories that look like marketing, could go by WhatsApp to +1 and do not say what they are: marketing is not
    delivered there (63049), and policy denies only what it knows for marketing."""
    for name, category in draft.categories.items():
        looks_so = category.consent is ConsentRule.OPT_IN or category.message_class is MessageClass.BULK
        if category.intent is None and looks_so and any(_to_plus_one(draft, name, app) for app in draft.apps.values()):
            what = "has no intent and may go by WhatsApp to +1, where marketing is not delivered (63049)."
            fix = "add `intent: marketing`, so that it is denied or takes another channel, or the intent that it has."
            yield Problem(("categories", name), what, fix, severity=Severity.WARNING)


def _to_plus_one(draft: Draft, category: str, app: App) -> bool:
    if category not in app.categories or draft.countries is None:
        return False
    granted = draft.countries.allow if app.countries is None else app.countries
    return any(
        sender is not None
        and Channel.WHATSAPP in sender.usable_channels
        and (sender.categories is None or category in sender.categories)
        and any(phonenumbers.country_code_for_region(each) == _NORTH_AMERICA for each in _reached(granted, sender))
        for sender in map(draft.senders.get, draft.senders_of(app))
    )


def _reached(granted: tuple[str, ...], sender: Sender) -> list[str]:
    return [country for country in granted if sender.countries is None or country in sender.countries]
