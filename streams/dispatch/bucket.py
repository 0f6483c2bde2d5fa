"""The pace of one lane or group: a GCRA charged in segments.

Promise: for every window of W seconds, the segments started are at most rate × W + the largest message charged so far,
give or take what `RESOLUTION_S` lets through. In steady flow a message waits until its predecessor is paid: a 3-segment
text on a 1/s sender occupies it for 3 s. The room that the promise leaves to smaller messages (largest − own segments)
is used in two ways: a critical message may start that much early, so that it need not wait behind a large bulk text;
and any message may start `AHEAD_S` early, so that a timer that fires late costs no throughput.
"""

from __future__ import annotations

RESOLUTION_S = 0.001
"""Starts closer together than this cannot be told apart by anyone (timers and books work in milliseconds), so every
message may start that much early. Without it a timer's lateness of half a millisecond would cost a 100/s lane 5 %."""
AHEAD_S = 0.005
"""How early a message of any class may start where the promise has room; covers a busy event loop."""
ALL_THE_ROOM = float("inf")
"""As `ahead`: use all the room the promise leaves (critical messages, and classes that are owed their share)."""


class Bucket:
    """Decides when a message may start, on a clock that the caller brings (monotonic seconds).

    Attributes:
        rate: segments per second.
        largest: segments of the largest message charged.
        paid_at: when everything charged so far is paid; far in the past for an idle lane.
    """

    __slots__ = ("largest", "paid_at", "rate")

    def __init__(self, rate: float, *, paid_at: float = float("-inf"), largest: int = 1) -> None:
        self.rate = rate
        self.paid_at = paid_at
        self.largest = largest

    def due(self, segments: int, ahead: float = AHEAD_S) -> float:
        """Earliest moment at which a message may start; in the past when it may start now."""
        room = (self.largest - segments) / self.rate
        if room > ahead:
            room = ahead
        return self.paid_at - (room if room > RESOLUTION_S else RESOLUTION_S)

    def charge(self, segments: int, now: float) -> None:
        """A message started now. The caller has asked `due`; charging earlier is a debt all the same."""
        if segments > self.largest:
            self.largest = segments
        self.paid_at = (self.paid_at if self.paid_at > now else now) + segments / self.rate

    def change(self, rate: float, now: float) -> None:
        """The rate is another one from now on. What is owed is owed in segments: it is paid off at the new rate."""
        if rate == self.rate:
            return
        if self.paid_at > now:
            self.paid_at = now + (self.paid_at - now) * self.rate / rate
        self.rate = rate

    def move(self, segments: int, now: float) -> None:
        """The message charged last starts only now. Nothing changes if that is before all else is paid: its place is
        the same."""
        cost_s = segments / self.rate
        unpaid = self.paid_at - cost_s
        if now > unpaid:
            self.paid_at = now + cost_s

    def postpone(self, late_s: float) -> None:
        """A message charged earlier starts so much later, and so does all that comes."""
        self.paid_at += late_s

    def hand_over(self, paid_at: float, largest: int) -> None:
        """Take over what a predecessor charged: never less debt than before."""
        self.paid_at = max(self.paid_at, paid_at)
        self.largest = max(self.largest, largest)
