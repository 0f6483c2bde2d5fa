"""One decision per message and round: what a record means in the light of the decision remembered. Pure."""

from __future__ import annotations

from enum import Enum, auto

from schemas.records import PolicyDecision

from .case import Entry
from .idempotency import is_of_another


class Meeting(Enum):
    """How a record stands to what was decided before."""

    NEW = auto()
    """Nothing was decided for this round: decide."""
    AGAIN = auto()
    """This very record was decided and not finished: what was published is published again, unchanged."""
    OVER = auto()
    """A later round was decided: nothing is left to do."""
    REPEAT = auto()
    """The app asked again under the same idempotency key: the earlier outcome is its answer."""
    ANOTHER = auto()
    """The decision is about another request without key, whose place this one has in a topic that was made anew."""


def meet(earlier: PolicyDecision | None, entry: Entry) -> Meeting:
    """Hold a record against the last decision about its message.

    A repeat is told from a redelivery by where the request was first written. A crash between a decision and its
    publication leaves the first record unfinished, and that one is delivered again: the repeat need not publish.
    """
    if earlier is None:
        return Meeting.NEW
    if entry.round == 0 and earlier.origin != str(entry.origin):
        return Meeting.REPEAT
    if entry.round == 0 and is_of_another(earlier.digest, entry.written_at):
        return Meeting.ANOTHER
    if earlier.round < entry.round:
        return Meeting.NEW
    return Meeting.AGAIN if earlier.round == entry.round else Meeting.OVER
