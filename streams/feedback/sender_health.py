"""How many of a lane's messages fail for its sender's sake, and when policy had better avoid it. Pure.

Counted are messages that Twilio took: each once, at the moment when it was sent or ended, and as failed if it failed,
then or later, with a code that says something of the sender. So a report that comes after its message has left the
window changes nothing, and the share is one of the same messages.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.twilio.errors import ErrorPolicy
from schemas.records import Control
from streams.control.health import failing, healthy

SLICES = 10
"""The window slides by a tenth of its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far Twilio has brought the last round of a message.

    Attributes:
        round: of the message.
        lane: configured name.
        at: when it was first told to be sent or to have ended, epoch milliseconds UTC.
        code: Twilio's error code, if it failed with one.
    """

    round: int
    lane: str
    at: int
    code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderHealthSettings:
    """When a lane is avoided.

    Attributes:
        window_ms: messages sent so long ago count no more.
        at_least: fewer messages within the window prove nothing.
        unhealthy_above: share of failed messages, 0 to 1, above which the lane is avoided; 1: never.
        healthy_below: share below which it is not avoided any more, at most `unhealthy_above`.
        avoid_ms: so long it is avoided after the last word; at least `window_ms`, so that what is counted then is news.
    """

    window_ms: int = 300_000
    at_least: int = 50
    unhealthy_above: float = 0.2
    healthy_below: float = 0.1
    avoid_ms: int = 600_000


DEFAULTS = SenderHealthSettings()


@dataclass(slots=True)
class _Slice:
    number: int
    messages: int = 0
    failures: Counter[int] = field(default_factory=Counter)


class _Lane:
    __slots__ = ("slices", "told_until")

    def __init__(self) -> None:
        self.slices: deque[_Slice] = deque()  # oldest first
        self.told_until = 0

    def slice_of(self, number: int) -> _Slice:
        for index in range(len(self.slices) - 1, -1, -1):
            if self.slices[index].number == number:
                return self.slices[index]
            if self.slices[index].number < number:
                self.slices.insert(index + 1, found := _Slice(number))
                return found
        self.slices.appendleft(found := _Slice(number))
        return found


@dataclass(frozen=True, slots=True)
class Seen:
    """One lane now, as this process counts it: messages within the window, the share of them that failed for the
    sender's sake, and whether policy was told to avoid it."""

    lane: str
    messages: int
    share: float
    avoided: bool


class SenderHealth:
    """What one feedback process counts: the messages of its own partitions, which are a random part of every lane's.

    Args:
        errors: which codes say something of the sender (`ErrorClass.blames_sender`).
    """

    def __init__(self, settings: SenderHealthSettings, errors: ErrorPolicy) -> None:
        self._settings = settings
        self._errors = errors
        self._slice_ms = max(1, settings.window_ms // SLICES)
        self._lanes: dict[str, _Lane] = {}

    def count(self, before: Outcome | None, now: Outcome, now_ms: int) -> Control | None:
        """Count what became of a message. Returns the record for policy where the lane became one to be avoided, or is
        still one and the last word ends soon, or is none any more.

        Args:
            before: the outcome of the same message that was counted last.
            now: its outcome now.
            now_ms: epoch milliseconds UTC.
        """
        if before is not None and before.round != now.round:
            before = None
        at_ms = min(now_ms, now.at)  # clocks of other hosts may be ahead
        failed = self._blames(now) and (before is None or not self._blames(before))
        if before is not None and not failed:
            return None
        lane = self._lanes.setdefault(now.lane, _Lane())
        counted = lane.slice_of(at_ms // self._slice_ms)
        counted.messages += before is None
        if failed and now.code is not None:
            counted.failures[now.code] += 1
        return self._judge(now.lane, lane, now_ms)

    def seen(self, now_ms: int) -> Iterator[Seen]:
        """Every lane of which something was counted; those of which nothing is left to say a last time."""
        for name, lane in list(self._lanes.items()):
            messages, failures = self._within(lane, now_ms)
            share = failures.total() / messages if messages else 0.0
            yield Seen(name, messages, share, avoided=lane.told_until > now_ms)
            if not lane.slices and lane.told_until <= now_ms:
                del self._lanes[name]

    def _blames(self, outcome: Outcome) -> bool:
        return outcome.code is not None and self._errors.classify(outcome.code).blames_sender

    def _within(self, lane: _Lane, now_ms: int) -> tuple[int, Counter[int]]:
        oldest = (now_ms - self._settings.window_ms) // self._slice_ms + 1
        while lane.slices and lane.slices[0].number < oldest:
            lane.slices.popleft()
        failures: Counter[int] = Counter()
        for each in lane.slices:
            failures.update(each.failures)
        # Of a message that was counted by a former owner only the failure may have been counted here.
        return max(sum(each.messages for each in lane.slices), failures.total()), failures

    def _judge(self, name: str, lane: _Lane, now_ms: int) -> Control | None:
        settings = self._settings
        messages, failures = self._within(lane, now_ms)
        if messages < settings.at_least:
            return None
        share, avoided = failures.total() / messages, lane.told_until > now_ms
        if share > settings.unhealthy_above and lane.told_until < now_ms + settings.avoid_ms // 2:
            lane.told_until = now_ms + settings.avoid_ms
            code, _ = failures.most_common(1)[0]
            error = self._errors.classify(code)
            seconds = settings.window_ms // 1000
            why = f"{share:.0%} of {messages} messages failed in {seconds} s, mostly {code} {error.title}"
            return failing(name, code=code, why=why, fix=error.action, at=now_ms, until=lane.told_until)
        if avoided and share < settings.healthy_below:
            lane.told_until = 0
            return healthy(name, at=now_ms)
        return None
