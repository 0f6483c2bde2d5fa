"""One request in front of the rules: what was asked, how it came, and the facts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from schemas import ids
from schemas.records import MessageClass, MessageRequest

from . import numbers
from .config import AppGrants, Category, PolicyConfig, Sender
from .facts import NOTHING_KNOWN, Facts
from .numbers import Number
from .said import Wording
from .verdict import Deny


class Origin(NamedTuple):
    """Where a request was first written."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        """The origin that `str` wrote.

        Raises:
            ValueError: it is no `topic:partition:offset`.
        """
        topic, partition, offset = text.rsplit(":", 2)
        return cls(topic, int(partition), int(offset))


def message_id_of(request: MessageRequest, app: str, origin: Origin) -> str:
    """Id of the message that a request asks for: by the app's idempotency key, else by where it was first written."""
    if request.idempotency_key is not None:
        return ids.message_id_by_key(app, request.recipient, request.idempotency_key)
    return ids.message_id_by_origin(*origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How a request came in front of the rules.

    Attributes:
        message_id: its id, a function of the request (`message_id_of`) or, on its way back, as the wheel carried it.
        app: the app, known by the topic it wrote to.
        origin: where the request was first written.
        written_at: when the request was first written, by its record's own timestamp, epoch milliseconds UTC; None
            where that is not known, or where the message is known by its idempotency key and not by its place.
        home: partition of the recipient in every topic keyed so; None when the recipient is no number.
        urgent: it came by the app's urgent topic.
        round: 0 for the request itself, more when it comes back from the wheel.
        deadline: its deadline, where an earlier round fixed it; epoch milliseconds UTC.
        waited_for: why it waited, where it comes back; a reason code.
        traceparent: W3C trace context.
    """

    message_id: str
    app: str
    origin: Origin
    written_at: int | None = None
    home: int | None = None
    urgent: bool = False
    round: int = 0
    deadline: int | None = None
    waited_for: str | None = None
    traceparent: str | None = None


@dataclass(slots=True)
class Case:
    """What every rule gets. The properties hold only after the rule that checks them allowed: `grants` after
    `known_app`, `category` after `known_category`, `number` after `recipient`."""

    request: MessageRequest
    entry: Entry
    config: PolicyConfig
    now_ms: int
    facts: Facts = NOTHING_KNOWN
    choice: Sender | Deny | None = None
    """What `senders.choose` said, once it was asked."""
    avoided: tuple[str, ...] = ()
    """Lanes that the choice passed over because they fail too often, each with what was counted."""
    wording: Wording | None = None
    """What it will say; set by the rule 'content'."""

    @property
    def grants(self) -> AppGrants:
        """What the app may do."""
        return self.config.apps[self.entry.app]

    @property
    def category(self) -> Category:
        """The category asked for."""
        return self.config.categories[self.request.category]

    @property
    def message_class(self) -> MessageClass:
        """Urgency: of the category, unless the app has its own for it."""
        return self.grants.classes.get(self.category.name, self.category.message_class)

    @property
    def number(self) -> Number:
        """Facts about the recipient's number."""
        number = numbers.look_up(self.request.recipient)
        if number is None:
            raise LookupError("the rule 'recipient' must come first")
        return number

    @property
    def earliest(self) -> int:
        """Earliest moment of sending, epoch milliseconds UTC; an app whose clock is ahead gains no time by it."""
        return max(self.request.not_before or 0, min(self.request.created_at, self.now_ms))

    @property
    def deadline(self) -> int:
        """Moment after which sending may not start, epoch milliseconds UTC: as an earlier round fixed it, as the
        app asked, or by category."""
        if self.entry.deadline is not None:
            return self.entry.deadline
        if self.request.deadline is not None:
            return self.request.deadline
        deadline_s = self.grants.deadlines_s.get(self.category.name, self.category.deadline_s)
        return self.earliest + deadline_s * 1000
