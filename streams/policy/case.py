"""One request in front of the rules: what was asked, how it came, and the facts that follow from it."""

from __future__ import annotations

from typing import NamedTuple

from connectors.values import named_value
from schemas import ids
from schemas.records import MessageClass, MessageRequest
from streams import numbers
from streams.numbers import Number

from .config import AppGrants, Category, PolicyConfig, Sender
from .facts import NOTHING_KNOWN, Facts
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


@named_value
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


class Case:
    """What every rule gets. What follows from the request is worked out at once and only once, as a dozen rules ask for
    it; what cannot be is not there (AttributeError) until a rule has denied for it: `grants` is there after the rule
    'app', `category` after 'category', `number` after 'recipient'.

    Attributes:
        request, entry, config, now_ms, facts: as given to `decide`.
        grants: what the app may do.
        category: the category asked for.
        message_class: urgency: of the category, unless the app has its own for it.
        number: facts about the recipient's number.
        deadline: moment after which sending may not start, epoch milliseconds UTC: as an earlier round fixed it, as the
            app asked, or by category.
        choice: what `senders.choose` said, once it was asked.
        avoided: lanes that the choice passed over because they fail too often, each with what was counted.
        wording: what it will say; set by the rule 'content'.
    """

    __slots__ = (
        "avoided",
        "category",
        "choice",
        "config",
        "deadline",
        "entry",
        "facts",
        "grants",
        "message_class",
        "now_ms",
        "number",
        "request",
        "wording",
    )
    grants: AppGrants
    category: Category
    message_class: MessageClass
    number: Number
    deadline: int

    def __init__(
        self, request: MessageRequest, entry: Entry, config: PolicyConfig, now_ms: int, facts: Facts = NOTHING_KNOWN
    ) -> None:
        self.request = request
        self.entry = entry
        self.config = config
        self.now_ms = now_ms
        self.facts = facts
        self.choice: Sender | Deny | None = None
        self.avoided: tuple[str, ...] = ()
        self.wording: Wording | None = None
        grants, category = config.apps.get(entry.app), config.categories.get(request.category)
        if grants is not None:
            self.grants = grants
        if category is not None:
            self.category = category
            if grants is not None:
                self.message_class = grants.classes.get(category.name, category.message_class)
        number = numbers.look_up(request.recipient)
        if number is not None:
            self.number = number
        if entry.deadline is not None:
            self.deadline = entry.deadline
        elif request.deadline is not None:
            self.deadline = request.deadline
        elif grants is not None and category is not None:
            deadline_s = grants.deadlines_s.get(category.name, category.deadline_s)
            self.deadline = self.earliest + deadline_s * 1000

    @property
    def earliest(self) -> int:
        """Earliest moment of sending, epoch milliseconds UTC; an app whose clock is ahead gains no time by it."""
        return max(self.request.not_before or 0, min(self.request.created_at, self.now_ms))
