"""The rules in their one order; the first that does not allow wins. Each is a pure function of the case.

What later work adds takes its place in this list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from streams.policy.case import Case
from streams.policy.verdict import Verdict

from . import (
    app,
    cancelled,
    caps,
    category,
    consent,
    content,
    country,
    deadline,
    idempotency,
    lane_quota,
    limits,
    paused,
    profile,
    quiet_hours,
    quota,
    recipient,
    schedule,
    sender,
    urgency,
    whatsapp,
)

RULES_VERSION = "15"
"""Grows whenever a rule or the order changes; part of `rule_version` in every decision."""


class Rule(NamedTuple):
    """A rule and the name it has in decisions."""

    name: str
    check: Callable[[Case], Verdict]


RULES: tuple[Rule, ...] = (
    Rule("app", app.check),
    Rule("category", category.check),
    Rule("urgency", urgency.check),
    Rule("limits", limits.check),
    Rule("idempotency", idempotency.check),
    Rule("cancelled", cancelled.check),
    Rule("deadline", deadline.check),
    Rule("quota", quota.check),
    Rule("paused", paused.check),
    Rule("recipient", recipient.check),
    Rule("country", country.check),
    Rule("consent", consent.check),
    Rule("whatsapp", whatsapp.check),
    Rule("profile", profile.check),
    Rule("content", content.check),
    Rule("caps", caps.check),
    Rule("quiet_hours", quiet_hours.check),
    Rule("sender", sender.check),
    Rule("lane_quota", lane_quota.check),
    Rule("schedule", schedule.check),
)
