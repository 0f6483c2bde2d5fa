"""Do the books balance? What was requested against what the twin saw of it, and what feedback said in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .plan import Fate, PlannedMessage


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One message that the twin accepted.

    Attributes:
        message_id: `m` of its status callback URL.
        status: Twilio's status at the end.
    """

    message_id: str
    status: str


@dataclass(frozen=True, slots=True)
class FinalStatus:
    """How a message ended, by feedback.

    Attributes:
        reason: Twilio's error code where there is one, else the reason code; empty for what simply arrived.
    """

    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """The result. `surprises` says, a line each, what did not go as planned; `by_reason` counts what failed as planned
    by its fate and reason."""

    requested: int
    delivered: int
    failed_as_planned: int
    lost: int
    duplicated: int
    surprises: tuple[str, ...]
    by_reason: Mapping[tuple[Fate, str], int] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        """Every request ended once, as planned."""
        return (
            not self.surprises
            and self.lost == self.duplicated == 0
            and self.requested == self.delivered + self.failed_as_planned
        )

    def line(self) -> str:
        """The line the demo closes with."""
        return (
            f"demo: {self.requested:,} requested, {self.delivered:,} delivered, "
            f"{self.failed_as_planned:,} failed as planned, {self.lost} lost, {self.duplicated} duplicated"
        )


def balance(
    requested: Mapping[str, PlannedMessage],
    accepted: Iterable[BookEntry],
    refused: Iterable[str],
    final_statuses: Mapping[str, FinalStatus],
) -> Balance:
    """Compare.

    Args:
        requested: acknowledged requests by message id.
        accepted: everything in the twin's books, strangers included.
        refused: message ids of the POSTs that the twin refused, once per refusal.
        final_statuses: last status and its reason of each message on `comms.feedback.status`, by message id.
    """
    entries: dict[str, list[BookEntry]] = {}
    surprises = []
    for entry in accepted:
        if entry.message_id in requested:
            entries.setdefault(entry.message_id, []).append(entry)
        else:
            surprises.append(f"the twin accepted a message that nobody requested ({entry.message_id or 'without id'})")
    refusals = Counter(refused)
    delivered = lost = 0
    failed: Counter[tuple[Fate, str]] = Counter()
    for message_id, planned in requested.items():
        found = entries.get(message_id, [])
        ended = final_statuses.get(message_id)
        status = ended.status if ended else None
        reason = ended.reason if ended else ""
        outcome = _outcome(found, refusals[message_id], status)
        if outcome is None:
            lost += 1
            surprises.append(f"{planned.key}: lost (last status: {status or 'none'})")
        elif outcome is not planned.fate:
            surprises.append(f"{planned.key}: {outcome}, planned {planned.fate}")
        elif status != _STATUS_OF_FATE[outcome]:
            surprises.append(f"{planned.key}: {outcome} at Twilio, but its last status is {status or 'none'}")
        elif reason != planned.reason:
            surprises.append(
                f"{planned.key}: {outcome} for {reason or 'no reason'}, planned for {planned.reason or 'no reason'}"
            )
        elif outcome is Fate.DELIVERED:
            delivered += 1
        else:
            failed[outcome, reason] += 1
    duplicated = sum(len(found) - 1 for found in entries.values()) + sum(
        refusals[message_id] - 1 for message_id in requested if refusals[message_id] > 1
    )
    return Balance(len(requested), delivered, failed.total(), lost, duplicated, tuple(surprises), failed)


_STATUS_OF_FATE = {
    Fate.DELIVERED: "delivered",
    Fate.UNDELIVERED: "undelivered",
    Fate.REFUSED: "failed",
    Fate.DENIED: "denied",
}


def _outcome(found: list[BookEntry], refusals: int, status: str | None) -> Fate | None:
    """What became of a message by the twin's books; only a denial, which the twin never sees, is told by its status."""
    if found:
        return {"delivered": Fate.DELIVERED, "undelivered": Fate.UNDELIVERED}.get(found[-1].status)
    if refusals:
        return Fate.REFUSED
    return Fate.DENIED if status == "denied" else None
