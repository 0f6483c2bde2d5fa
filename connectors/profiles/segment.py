"""The client of Segment's Profile API: one person's traits, soon or not at all.

Whoever asks waits at most `timeout_s`, for that person alone: requests run beside each other, as many as budget times
timeout, and several who ask for one person share one request. After trouble with several people nobody asks for a
while (`Breaker`), so that a dead Segment costs no time. Ids, traits and token never reach a log or an exception.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from urllib.parse import quote

import aiohttp
import structlog
from yarl import URL

from . import metrics
from .answers import Answer, Known, Traits, Trouble, Unknown, read
from .breaker import FIRST_S, Breaker
from .budget import Budget
from .cache import Cache
from .settings import TRAITS_MAX, SegmentSettings

log = structlog.get_logger(__name__)

KEEPALIVE_S = 15.0
"""An idle connection is closed after this; a TLS handshake for each request would be most of its time."""

URGENT_WAIT, OTHER_WAIT = 0.5, 0.25
"""Fractions of the timeout that a request may wait for a place in the budget. What is urgent may wait longer: a flood
of other requests takes all places up to its own limit, and those behind it stay free."""

_NEVER_ROUND_UP_S = 3600.0
"""aiohttp rounds timeouts above its threshold of 5 s up to a whole second; ours are promises."""


class ProfilesUnavailable(Exception):
    """Customer data did not say whether it knows the person. The text says why, without ids or traits.

    Attributes:
        retry_after_s: seconds after which it is worth asking again.
    """

    def __init__(self, why: str, retry_after_s: float) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class SegmentProfiles:
    """One space of Segment's. Start it inside the running event loop.

    Args:
        settings: where, and within which limits.
        clock: monotonic seconds.
        chance: returns 0..1.
    """

    def __init__(
        self,
        settings: SegmentSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._profiles = f"{settings.base_url.rstrip('/')}/v1/spaces/{settings.space}/collections/users/profiles"
        self._query = f"?limit={TRAITS_MAX}&include={','.join(quote(name, safe='') for name in settings.traits)}"
        self._authorization = aiohttp.encode_basic_auth(settings.token, "")
        self._breaker = Breaker(chance)
        self._budget = Budget(settings.requests_per_s)
        self._cache: Cache[Known | Unknown] = Cache(settings.cache_entries)
        self._under_way: dict[str, asyncio.Task[Traits | None]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the session; connections are made when needed."""
        self._session = aiohttp.ClientSession(
            # The budget and the timeout together limit how many there are; a limit here would let one hanging person
            # take the place of another.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._settings.timeout_s, ceil_threshold=_NEVER_ROUND_UP_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """Close the session; who still waits gets `ProfilesUnavailable`."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> SegmentProfiles:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def traits_of(self, id_type: str, value: str, *, urgent: bool = False) -> Traits | None:
        """The wanted traits of the person with this id; None when Segment does not know it.

        Args:
            id_type: type of the id in the space, such as `phone` or `user_id`.
            value: the id; an E.164 number with its plus.
            urgent: may use the part of the budget that is kept for what is urgent.

        Raises:
            ProfilesUnavailable: there is no answer within `timeout_s`, or none is to be expected now.
            RuntimeError: the client is not started.
        """
        if self._session is None:
            raise RuntimeError("start the client first, inside the event loop")
        person = f"{id_type}:{value}".lower()  # ids are lower-case in Segment
        kept = self._cache.get(person, self._clock())
        if kept is not None:
            metrics.lookups.labels("cached").inc()
            return kept.traits if isinstance(kept, Known) else None
        task = self._under_way.get(person)
        if task is None:
            task = self._under_way[person] = asyncio.create_task(self._look_up(person, urgent), name="profile lookup")
            task.add_done_callback(lambda done: self._done(person, done))
        else:
            metrics.lookups.labels("shared").inc()
        try:
            # Shielded: the others who wait for this person still want it when one of them leaves.
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise ProfilesUnavailable("the client was stopped", FIRST_S) from None
            raise

    def _done(self, person: str, task: asyncio.Task[Traits | None]) -> None:
        del self._under_way[person]
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more

    async def _look_up(self, person: str, urgent: bool) -> Traits | None:
        try:
            answer = await self._within_limits(person, urgent)
        except ProfilesUnavailable:
            metrics.lookups.labels("unavailable").inc()
            raise
        known = isinstance(answer, Known)
        now = self._clock()
        self._cache.put(person, answer, now + (self._settings.cache_s if known else self._settings.unknown_cache_s))
        metrics.remembered.set(len(self._cache))
        metrics.lookups.labels("known" if known else "unknown").inc()
        return answer.traits if isinstance(answer, Known) else None

    async def _within_limits(self, person: str, urgent: bool) -> Known | Unknown:
        settings, began = self._settings, self._clock()
        rest_s = self._breaker.wait_s(began)
        if rest_s is not None:
            raise ProfilesUnavailable(f"left alone after trouble ({self._breaker.why})", rest_s)
        wait_s = self._budget.take(began, settings.timeout_s * (URGENT_WAIT if urgent else OTHER_WAIT))
        if wait_s is None:
            raise ProfilesUnavailable("the budget of requests is used up", max(FIRST_S, self._budget.wait_s(began)))
        if wait_s:
            await asyncio.sleep(wait_s)
            rest_s = self._breaker.wait_s(self._clock())
            if rest_s is not None:
                raise ProfilesUnavailable(f"left alone after trouble ({self._breaker.why})", rest_s)
        self._breaker.starts()
        try:
            async with asyncio.timeout(settings.timeout_s - wait_s):
                answer = await self._all_pages(person)
        except TimeoutError:
            answer = Trouble(f"no answer within {settings.timeout_s:g} s")
        except asyncio.CancelledError:
            self._breaker.let_go()
            raise
        return self._judged(person, answer)

    async def _all_pages(self, person: str) -> Answer:
        answer = await self._ask(person, "")
        traits: dict[str, str] = {}
        while isinstance(answer, Known):
            traits.update(answer.traits)
            if answer.more is None or len(traits) == len(self._settings.traits):
                return Known(traits)
            wait_s = self._budget.take(self._clock(), self._settings.timeout_s)
            if wait_s is None:
                return Trouble("the budget of requests is used up", about_us=False)
            await asyncio.sleep(wait_s)
            answer = await self._ask(person, f"&next={quote(answer.more, safe='')}")
        return answer

    async def _ask(self, person: str, page: str) -> Answer:
        assert self._session is not None
        id_type, _, value = person.partition(":")
        # Encoded by hand: a plus that is not written as %2B would be read as a space.
        place = f"{self._profiles}/{quote(id_type, safe='')}:{quote(value, safe='')}/traits{self._query}{page}"
        began = time.perf_counter()
        try:
            async with self._session.get(
                URL(place, encoded=True),
                headers={"Authorization": self._authorization, "Accept-Encoding": "identity"},
                allow_redirects=False,  # the token is for Segment alone
            ) as answer:
                body = await answer.content.read(self._settings.max_answer_bytes + 1)
                while not answer.content.at_eof() and len(body) <= self._settings.max_answer_bytes:
                    body += await answer.content.read(self._settings.max_answer_bytes + 1 - len(body))
                metrics.request_seconds.labels(str(answer.status)).observe(time.perf_counter() - began)
                if len(body) > self._settings.max_answer_bytes:
                    return Trouble(f"the answer is larger than {self._settings.max_answer_bytes} bytes", about_us=False)
                return read(answer.status, body, answer.headers, self._settings.traits)
        except Exception as error:  # of any kind: whatever Segment answers, it must not end policy
            metrics.request_seconds.labels("0").observe(time.perf_counter() - began)
            if isinstance(error, TimeoutError):
                return Trouble(f"no answer within {self._settings.timeout_s:g} s")
            # Its text may hold the URL, and that the person's id.
            return Trouble(type(error).__name__)

    def _judged(self, person: str, answer: Answer) -> Known | Unknown:
        now = self._clock()
        if isinstance(answer, Known | Unknown):
            if self._breaker.answered(now):
                metrics.resting.set(0)
                log.info("customer data answers again")
            return answer
        if not answer.about_us:
            self._breaker.let_go()
            raise ProfilesUnavailable(answer.why, FIRST_S)
        at_least_s = answer.retry_after_s or 0.0
        opened = self._breaker.failed(
            now, person, answer.why, at_once=answer.everybody or at_least_s > 0, at_least_s=at_least_s
        )
        if opened:
            metrics.resting.set(1)
            rest_s = self._breaker.open_until - now
            log.warning("customer data is left alone after trouble", why=answer.why, seconds=round(rest_s, 1))
        raise ProfilesUnavailable(answer.why, max(self._breaker.wait_s(now) or 0.0, FIRST_S))
