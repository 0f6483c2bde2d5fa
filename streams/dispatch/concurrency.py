"""How many requests to one Twilio account may be in flight: found out by additive increase, multiplicative decrease.

Twilio limits concurrent requests per account, publishes no number, tells the current one in the header
Twilio-Concurrent-Requests and answers 429 / 20429 above it; such a request was never processed (error page 20429).
"""

from __future__ import annotations

DEFAULT_LIMIT = 128
"""In flight at start and at most. Measured: more buy nothing for one process at server latencies up to 150 ms."""
MIN_LIMIT = 2
DECREASE = 0.7
CUT_EVERY_S = 0.5
"""One burst of 20429 is one signal: requests that were in flight together are refused together."""
NEAR = 0.9
"""The account is near the number at which Twilio refused last: from this part of it on nobody takes more."""
REMEMBERED_S = 60.0
"""For so long the number of the last refusal counts: Twilio's limit changes."""
CRITICAL_PART = 10
"""One in this many slots, at least one, is kept for critical messages."""


class Concurrency:
    """Slots of one account in this process.

    Attributes:
        limit: slots now, in parts of one as well; between `MIN_LIMIT` and `ceiling`.
        slots: slots for critical messages: all of them.
        common_slots: slots for everything else.
        in_flight: requests under way.
        reported: what Twilio last said about the whole account, all processes together; 0 if it never did.
        refused_at: what it said when it last refused; 0 if it never did.
    """

    __slots__ = ("_cut_at", "ceiling", "common_slots", "in_flight", "limit", "refused_at", "reported", "slots")

    def __init__(self, ceiling: int = DEFAULT_LIMIT) -> None:
        self.ceiling = max(ceiling, 1)
        self.limit = float(self.ceiling)
        self._count_slots()
        self.in_flight = 0
        self.reported = 0
        self.refused_at = 0
        self._cut_at = float("-inf")

    def room(self, critical: bool) -> bool:
        """Whether one more may start."""
        return self.in_flight < (self.slots if critical else self.common_slots)

    def started(self) -> None:
        """A request starts."""
        self.in_flight += 1

    def answered(self, now: float, reported: int | None = None) -> None:
        """A request was answered without 20429. Grows the limit by about one per round of requests, while it is used
        and the account, with all that other processes have in flight, is not near its own limit."""
        if self.limit < self.ceiling and self.in_flight >= 0.8 * self.common_slots and not self._near(now, reported):
            self.limit = min(self.ceiling, self.limit + 1.0 / self.limit)
            self._count_slots()
        self._ended(reported)

    def throttled(self, now: float, reported: int | None = None) -> bool:
        """A request was refused with 20429. Returns whether the limit was cut by it."""
        cut = now - self._cut_at >= CUT_EVERY_S
        if cut:
            self._cut_at = now
            self.limit = max(min(MIN_LIMIT, self.ceiling), DECREASE * min(self.limit, max(1, self.in_flight)))
            self._count_slots()
        if reported is not None:
            self.refused_at = reported
        self._ended(reported)
        return cut

    def _near(self, now: float, reported: int | None) -> bool:
        if reported is None or not self.refused_at or now - self._cut_at > REMEMBERED_S:
            return False
        return reported >= NEAR * self.refused_at

    def _count_slots(self) -> None:
        self.slots = int(self.limit)
        self.common_slots = max(1, self.slots - max(1, self.slots // CRITICAL_PART))

    def _ended(self, reported: int | None) -> None:
        self.in_flight -= 1
        if reported is not None:
            self.reported = reported
