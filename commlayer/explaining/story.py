"""The story of a message: everything that was said about it, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.records import Callback, LifecycleEvent, StatusUpdate
from streams.feedback.facts import fact_of
from streams.feedback.fold import MessageFold

Said = LifecycleEvent | Callback


@dataclass(frozen=True, slots=True)
class Story:
    """Everything said about one message.

    Attributes:
        message_id: the message.
        steps: by round, then by time; each said once.
        now: its state, by the fold that feedback uses.
        unreadable: records under its id that could not be read.
    """

    message_id: str
    steps: tuple[Said, ...]
    now: StatusUpdate
    unreadable: int = 0

    @property
    def began_at(self) -> int:
        """Moment of the first step, epoch milliseconds UTC."""
        return min(map(moment_of, self.steps))


def story_of(message_id: str, said: Iterable[Said], *, unreadable: int = 0) -> Story | None:
    """The story that the records tell, in whatever order and however often they come; None when there are none."""
    fold = MessageFold(message_id)
    steps: dict[object, Said] = {}
    for record in said:
        fold.add(fact_of(record))
        # A repeat after a crash has the same event id; Twilio's repeats differ in the moment they came alone.
        steps.setdefault(_identity(record), record)
    if not steps:
        return None
    ordered = sorted(steps.values(), key=lambda step: (step.round, moment_of(step)))
    return Story(message_id, tuple(ordered), fold.update(), unreadable)


def moment_of(step: Said) -> int:
    """When it was said, epoch milliseconds UTC."""
    return step.at if isinstance(step, LifecycleEvent) else step.received_at


def _identity(step: Said) -> object:
    if isinstance(step, LifecycleEvent):
        return step.event_id
    return (step.round, step.attempt, step.sid, step.status, step.error_code)
