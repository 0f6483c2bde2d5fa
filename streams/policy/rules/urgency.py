"""May this category use the urgent topic?"""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.records import MessageClass
from schemas.topics import request_topic
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny for anything but critical categories on an urgent topic: it is kept short for them."""
    if case.entry.urgent and case.message_class is not MessageClass.CRITICAL:
        return Deny(
            Reason.NOT_URGENT,
            "category",
            f"The category {case.category.name!r} is of class {case.message_class.value}, not critical.",
            f"Write it to {request_topic(case.entry.app)}.",
        )
    return ALLOW
