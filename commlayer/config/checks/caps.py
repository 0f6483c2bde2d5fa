"""Frequency caps: is each meant as it stands?"""

from __future__ import annotations

from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.fields import duration_s
from commlayer.config.problems import Problem, Severity
from schemas.records import MessageClass

MAX_CAP_S = 90 * 86_400
"""Policy remembers every decision about a person for as long as the longest cap looks back."""


def caps(draft: Draft) -> Iterator[Problem]:
    """Windows that are too long to be remembered, channels named twice, and codes that would be held back."""
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
