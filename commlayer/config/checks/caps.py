"""Frequency caps: is each meant as it stands?"""

from __future__ import annotations

from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.fields import duration_s
from commlayer.config.problems import Problem, Severity
from schemas.records import MessageClass
from streams.policy.config import MIN_REMEMBER_MS

MAX_CAP_S = 90 * 86_400
"""Policy remembers every decision about a person for as long as the longest cap looks back."""


MIN_REMEMBER_S = MIN_REMEMBER_MS // 1000


def caps(draft: Draft) -> Iterator[Problem]:
    """What is too long to be remembered, or too short, channels named twice, and codes that would be held back."""
    if draft.idempotency is not None:
        remember = draft.idempotency.remember
        if not MIN_REMEMBER_S <= duration_s(remember) <= MAX_CAP_S:
            what = f"{remember} is shorter than request topics keep records, or too long to be remembered."
            yield Problem(("idempotency", "remember"), what, "write 8d to 90d.")
    for name, cap in draft.caps.items():
        if duration_s(cap.per) > MAX_CAP_S:
            yield Problem(("caps", name, "per"), f"{cap.per} is too long to be remembered.", "write at most 90d.")
        for index, channel in enumerate(cap.channels):
            if channel in cap.channels[:index]:
                path = ("caps", name, "channels", index)
                yield Problem(path, f"`{channel.value}` stands here twice.", "keep one of them.")
        for index, reference in enumerate(cap.categories):
            category = draft.categories.get(reference)
            if category is not None and category.message_class is MessageClass.CRITICAL:
                what = f"`{reference}` is of class critical, and the cap would hold it back."
                fix = "take it out of the cap, unless that is meant."
                yield Problem(("caps", name, "categories", index), what, fix, severity=Severity.WARNING)
