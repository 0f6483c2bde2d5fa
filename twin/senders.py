"""A sender and its queue: first in, first out, drained at the sender's rate.

A message leaves when the segments before it have had their time: with a rate of 10 segments/s, a text of 3 segments
keeps the sender busy for 0.3 s. Times follow from the rate alone, however late the machine wakes up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twin.accounts import Account
from twin.addresses import Kind, parse
from twin.clock import Clock, Timer
from twin.messages import Message
from twin.settings import DEFAULT_QUEUE_HOURS, DEFAULT_RATES, HOUR, QUEUE_HOURS, SenderSettings, SenderType

_TYPE_OF_KIND: dict[Kind, SenderType] = {
    Kind.SHORT_CODE: "short_code",
    Kind.ALPHANUMERIC: "alphanumeric",
    Kind.WHATSAPP: "whatsapp",
}
_TOLL_FREE = ("+1800", "+1833", "+1844", "+1855", "+1866", "+1877", "+1888")


def type_of(settings: SenderSettings) -> SenderType:
    """The type given, else guessed from the address."""
    if settings.type is not None:
        return settings.type
    if settings.address.startswith(_TOLL_FREE):
        return "toll_free"
    return _TYPE_OF_KIND.get(parse(settings.address).kind, "long_code")


class Sender:
    """A sender at work.

    Args:
        leave: called with a message and the time it leaves the queue.
        expire: called with a message whose validity ended in the queue.
    """

    def __init__(
        self,
        settings: SenderSettings,
        account: Account,
        clock: Clock,
        leave: Callable[[Message, float], None],
        expire: Callable[[Message, float], None],
    ) -> None:
        self.address = settings.address
        self.account = account
        self._clock = clock
        self._leave = leave
        self._expire = expire
        self._queue: deque[tuple[Message, float]] = deque()
        self._free_at = 0.0
        self._timer: Timer | None = None
        self._era = 0
        self.queued = 0
        self.configure(settings)

    def configure(self, settings: SenderSettings) -> None:
        """Take new settings; what waits goes on at the new rate."""
        self.settings = settings
        self.type = type_of(settings)
        self.rate = settings.rate or DEFAULT_RATES[self.type]
        hours = settings.queue_hours or QUEUE_HOURS.get(self.type, DEFAULT_QUEUE_HOURS)
        self.queue_limit = self.rate * hours * HOUR
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._pump()

    def has_room(self, cost: int) -> bool:
        """Whether the queue takes a message of this cost."""
        return self.queued + cost <= self.queue_limit

    def wait_s(self) -> float:
        """How long a message taken now would wait."""
        return max(0.0, self._free_at - self._clock.now()) + self.queued / self.rate

    def offer(self, message: Message) -> None:
        """Queue a message; it may leave at once."""
        now = self._clock.now()
        self.queued += message.cost
        if self.wait_s() - message.cost / self.rate > message.validity_s:
            self._clock.call_at(now + message.validity_s, self._expire_in_queue, message, self._era)
        self._queue.append((message, now))
        if self._timer is None:
            self._pump()

    def close(self) -> None:
        """Forget everything that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._era += 1
        self._queue.clear()
        self.queued = 0
        self._free_at = 0.0

    def _pump(self) -> None:
        self._timer = None
        queue, now = self._queue, self._clock.now()
        while queue:
            message, offered = queue[0]
            if message.is_final:  # expired meanwhile
                queue.popleft()
                continue
            start = max(self._free_at, offered)
            if start > now:
                self._timer = self._clock.call_at(start, self._pump)
                return
            queue.popleft()
            self.queued -= message.cost
            if start > offered + message.validity_s:
                self._expire(message, offered + message.validity_s)
                continue
            self._free_at = start + message.cost / self.rate
            self._leave(message, start)

    def _expire_in_queue(self, message: Message, era: int) -> None:
        if message.left_queue is None and era == self._era:
            self.queued -= message.cost
            self._expire(message, self._clock.now())
