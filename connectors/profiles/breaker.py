"""When customer data is left alone: after trouble with several people, until one request has worked again."""

from __future__ import annotations

from collections.abc import Callable, Hashable

TROUBLED_PEOPLE = 5
"""So many different people whose requests failed in a row are no accident. People, not requests: one whose profile
always hangs must not take it from the others."""

FIRST_S = 1.0
CAP_S = 60.0
"""Segment asks for exponential backoff; a minute is short against its outages and long against 100 requests/s."""

JITTER = 0.2
"""Fraction by which the processes of an installation differ, so that they do not come back together."""


class Breaker:
    """Closed: requests flow. Open until a moment: none start. After that half-open: one at a time, until an answer
    closes it or trouble opens it for twice as long. Pure: the caller brings the clock (monotonic seconds).

    Attributes:
        why: reason of the last opening; empty while closed.
        open_until: when a request may start again; 0 while closed.
    """

    __slots__ = ("_asking", "_openings", "_random", "_troubled", "open_until", "why")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._openings = 0
        self._troubled: set[Hashable] = set()
        self._asking = False
        self.open_until = 0.0
        self.why = ""

    def wait_s(self, now: float) -> float | None:
        """None: a request may start. Otherwise the seconds after which to ask again."""
        if self.open_until == 0.0:
            return None
        if now < self.open_until:
            return self.open_until - now
        return FIRST_S if self._asking else None

    def starts(self) -> None:
        """A request starts that `wait_s` let start."""
        self._asking = self.open_until != 0.0

    def answered(self, now: float) -> bool:
        """An answer about a person came. Returns whether that closed it: one to a request from before it opened proves
        nothing while it is open."""
        if now < self.open_until:
            return False
        closed = self.open_until != 0.0
        self._openings = 0
        self._troubled.clear()
        self._asking = False
        self.open_until = 0.0
        self.why = ""
        return closed

    def let_go(self) -> None:
        """A request ended in a way that says nothing."""
        self._asking = False

    def failed(self, now: float, who: Hashable, why: str, *, at_once: bool, at_least_s: float = 0.0) -> bool:
        """A request about `who` ended without an answer.

        Args:
            at_once: it concerns everybody; do not wait for others to fail.
            at_least_s: the other side named this wait.

        Returns:
            whether that opened it.
        """
        half_open = self.open_until != 0.0
        self._asking = False
        if half_open and now < self.open_until:
            # Of a request that was under way when it opened.
            self.open_until = max(self.open_until, now + at_least_s)
            return False
        self._troubled.add(who)
        if not half_open and not at_once and len(self._troubled) < TROUBLED_PEOPLE:
            return False
        wait_s = min(CAP_S, FIRST_S * 2.0 ** min(self._openings, 10)) * (1.0 + JITTER * (2.0 * self._random() - 1.0))
        self._openings += 1
        self._troubled.clear()
        self.open_until = now + max(wait_s, at_least_s)
        self.why = why
        return True
