"""Countries for which Twilio refuses a lane, while it takes what the lane sends to others. Pure.

Some refusals do not tell whether the sender is bad or only bad for the country of the recipient. What the lane sends
elsewhere tells. If it works for another country, the refused one is **marked**: its messages go back to policy without
a POST, and after a while one of them tries again. Until that is known the country is **suspected**, and the lane held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from schemas.records import Dispatch
from streams import numbers
from streams.control.switches import at_country
from streams.control.trouble import fix_for

from .breaker import Backoff
from .jobs import Job, JobState
from .lane_state import LaneState
from .verdict import Pause, Paused

_UNDER_WAY = (JobState.PREPARING, JobState.PREPARED, JobState.SENDING)


@dataclass(slots=True)
class Refused:
    """One country for which a lane was refused.

    Attributes:
        name: `lane@country`.
        pause: the last refusal, for people.
        marked: the lane was seen to work for another country; else it is only suspected.
        until: when one message tries again, monotonic seconds; of a marked one.
        told_ms: when that was written down for policy, epoch milliseconds; of a suspected one when it was met.
        times: refusals in a row since it was marked.
        probe: the message that tries or tried again.
    """

    name: str
    pause: Pause
    told_ms: int
    marked: bool = False
    until: float = 0.0
    times: int = 0
    probe: Job | None = None

    @property
    def is_probed(self) -> bool:
        """Whether a message is on its way to find out."""
        return self.probe is not None and self.probe.state in _UNDER_WAY


class RefusedCountries:
    """Of all lanes of a process. All times are monotonic seconds, those that end in `_ms` epoch milliseconds.

    False when there are none, which is all that most messages ask.

    Args:
        lanes: state by name.
        backoff: how long a country stays marked.
        random: 0..1.
    """

    def __init__(self, lanes: Mapping[str, LaneState], backoff: Backoff, random: Callable[[], float]) -> None:
        self._lanes = lanes
        self._backoff = backoff
        self._random = random
        self._refused: dict[str, dict[str, Refused]] = {}
        self._worked_for: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._refused)

    def __iter__(self) -> Iterator[tuple[str, str, Refused]]:
        """Lane, country and what is known of each."""
        for lane, countries in self._refused.items():
            for country, refused in countries.items():
                yield lane, country, refused

    def of(self, order: Dispatch) -> Refused | None:
        """What is known of the lane of a message and its recipient's country; None when nothing was refused."""
        countries = self._refused.get(order.lane)
        return None if countries is None else countries.get(numbers.country_of(order.recipient) or "")

    def refused(self, job: Job, pause: Pause, now: float, now_ms: int) -> Refused | None:
        """A message was refused, perhaps for its country. None where its number tells none: it is the lane then.

        It is marked at once if the last message that the lane got through was for another country. One such message
        proves this for one country: where the sender itself has become bad, the next refusal holds the lane.
        """
        lane, country = job.order.lane, numbers.country_of(job.order.recipient)
        if country is None:
            self._worked_for.pop(lane, None)
            return None
        countries = self._refused.setdefault(lane, {})
        pause = replace(pause, what=Paused.COUNTRY, fix=fix_for(country, pause.fix))
        known = countries.setdefault(country, Refused(at_country(lane, country), pause, now_ms))
        known.pause = pause
        if known.probe is job:
            known.probe = None
        if known.marked:
            if known.until <= now:
                self._mark(known, now, now_ms)
            return known
        worked_for = self._worked_for.pop(lane, None)
        if worked_for is not None and numbers.country_of(worked_for) not in (None, country):
            self._mark(known, now, now_ms)
        return known

    def hold(self, lane: str, country: str, pause: Pause, until: float, waited_s: float, told_ms: int) -> None:
        """A country that another process has marked, or this one did: until its next attempt, which may be overdue.

        Args:
            waited_s: how long the other decided to wait; further refusals wait longer.
            told_ms: when it was written down.
        """
        countries = self._refused.setdefault(lane, {})
        known = countries.setdefault(country, Refused(at_country(lane, country), pause, told_ms))
        known.marked = True
        known.until = max(known.until, until)
        known.times = max(known.times, self._backoff.times(waited_s))
        known.told_ms = max(known.told_ms, told_ms)

    def release(self, lane: str, country: str, until: float) -> bool:
        """Somebody has written that a country is not refused any more. False where it was marked for longer than until
        this moment: that has its own record."""
        countries = self._refused.get(lane, {})
        known = countries.get(country)
        if known is None or not known.marked or known.until > until:
            return False
        self._forget(lane, country)
        return True

    def worked(self, job: Job, now: float, now_ms: int, *, accepted: bool) -> tuple[list[Refused], Refused | None]:
        """Twilio took or refused a message for itself. Returns the countries that are marked by it, and the one that
        is not refused any more. An answer that comes while lane or country are held is from before that, and proves
        nothing of it."""
        lane = job.order.lane
        if self._lanes[lane].breaker.open_until > now:
            return [], None
        self._worked_for[lane] = job.order.recipient
        countries = self._refused.get(lane)
        if countries is None:
            return [], None
        country = numbers.country_of(job.order.recipient)
        # What is refused for its recipient's sake may be so before anybody looks at the sender.
        over = countries.get(country or "") if accepted else None
        if over is not None and country is not None and over.until <= now:
            self._forget(lane, country)
        else:
            over = None
        suspected = [each for place, each in countries.items() if not each.marked and place != country]
        begun = [] if country is None else suspected
        for each in begun:
            self._mark(each, now, now_ms)
        return begun, over

    def suspects(self, order: Dispatch) -> bool:
        """Whether the lane of a message is held, and its recipient's country was refused; no more is known."""
        known = self.of(order)
        return known is not None and not known.marked and not self._lanes[order.lane].breaker.closed

    def stops(self, job: Job, now: float) -> bool:
        """Whether a message must not be sent: its country is marked, and it is not the one that tries again. If it may
        be, it is from here on."""
        known = self.of(job.order)
        if known is None or not known.marked or known.probe is job:
            return False
        if now < known.until or known.is_probed:
            return True
        known.probe = job
        return False

    def left_s(self, order: Dispatch, now: float) -> float:
        """Seconds until it is tried again, by a message of the country or of the lane."""
        known = self.of(order)
        if known is None:
            return 0.0
        until = known.until if known.marked else self._lanes[order.lane].breaker.open_until
        return max(0.0, until - now)

    def clear(self) -> None:
        """Forget everything: the lanes are another process's."""
        self._refused.clear()
        self._worked_for.clear()

    def _forget(self, lane: str, country: str) -> None:
        countries = self._refused[lane]
        del countries[country]
        if not countries:
            del self._refused[lane]

    def _mark(self, refused: Refused, now: float, now_ms: int) -> None:
        refused.marked = True
        refused.times += 1
        refused.until = now + self._backoff.wait_s(refused.times, self._random)
        refused.told_ms = now_ms
