"""How Twilio calls a webhook: signed, within its times, tried again by the policy in the URL's fragment.

By default there is one further try, and only when no connection could be made. All tries happen within the total
time; nothing is kept for later.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import quote_plus, urljoin

from twin.clock import Clock, Timer
from twin.http_client import HttpClient, NoAnswer, NoConnection
from twin.overrides import Overrides, split
from twin.settings import WebhookSettings
from twin.signature import sign

_MAX_REDIRECTS = 10
_TOO_MANY_REDIRECTS = 508  # Twilio's 11215


@dataclass(slots=True)
class Try:
    """One request of a webhook.

    Attributes:
        at: when, on the twin's clock.
        took_s: real seconds.
        result: 2xx, 4xx, 5xx, ct (no connection), rt (no answer).
    """

    at: float
    took_s: float
    result: str
    http_status: int | None = None
    error: str = ""


@dataclass(slots=True, eq=False)
class Webhook:
    """A webhook to be called, and what came of it.

    Attributes:
        kind: status or inbound.
        sid: the message it is about.
        status: the message status it tells.
        url: with its fragment.
        fields: what it carries, in wire order.
        token: the same in every try (`I-Twilio-Idempotency-Token`).
        lost: swallowed by the fault plan, never tried.
        copy: how-manieth repetition made by the fault plan; 0 is the original.
        answer, answer_type: body of the last answer, kept for inbound only.
    """

    kind: str
    sid: str
    status: str
    url: str
    fields: list[tuple[str, str]]
    signing_token: str
    created: float
    method: str = "POST"
    content_type: str = "application/x-www-form-urlencoded; charset=utf-8"
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    copy: int = 0
    lost: bool = False
    tries: list[Try] = field(default_factory=list)
    answer: bytes = b""
    answer_type: str = ""

    def repeated(self, number: int) -> Webhook:
        """The same again, same token."""
        return replace(self, copy=number, tries=[], answer=b"", answer_type="")

    @property
    def delivered(self) -> bool:
        """Whether the last try was answered with 2xx."""
        return bool(self.tries) and self.tries[-1].result == "2xx"


class Caller:
    """Calls webhooks, so many at once, in the order they were given.

    Args:
        finished: called with each webhook after its last try.
    """

    def __init__(self, settings: WebhookSettings, clock: Clock, finished: Callable[[Webhook], None]) -> None:
        self.settings = settings
        self._clock = clock
        self._finished = finished
        self._waiting: deque[tuple[Webhook, asyncio.Future[None] | None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._later: dict[Webhook, Timer] = {}
        self._client = HttpClient()
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def pending(self) -> int:
        """Webhooks that wait or are being called."""
        return len(self._waiting) + len(self._tasks) + len(self._later)

    def submit(self, webhook: Webhook) -> None:
        """Call it when there is room."""
        self._enqueue(webhook, None)

    def submit_at(self, when: float, webhook: Webhook) -> None:
        """Call it at `when`, on the twin's clock."""
        self._later[webhook] = self._clock.call_at(when, self._due, webhook)
        if not self._clock.virtual:
            self.idle.clear()

    async def call(self, webhook: Webhook) -> None:
        """Call it when there is room, and wait for its last try."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enqueue(webhook, done)
        await done

    def forget(self) -> None:
        """Drop what waits; what is being called goes on."""
        for _, done in self._waiting:
            if done is not None:
                done.cancel()
        self._waiting.clear()
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()
        self._rest()

    async def close(self) -> None:
        """Stop at once."""
        self.forget()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._client.close()

    def _due(self, webhook: Webhook) -> None:
        del self._later[webhook]
        self.submit(webhook)

    def _rest(self) -> None:
        """Be idle if nothing goes on; what waits for a virtual clock to move does not count."""
        if not self._tasks and not self._waiting and (self._clock.virtual or not self._later):
            self.idle.set()

    def _enqueue(self, webhook: Webhook, done: asyncio.Future[None] | None) -> None:
        self.idle.clear()
        self._waiting.append((webhook, done))
        self._start_some()

    def _start_some(self) -> None:
        while self._waiting and len(self._tasks) < self.settings.concurrency:
            webhook, done = self._waiting.popleft()
            task = asyncio.get_running_loop().create_task(self._run(webhook))
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, done))

    def _ended(self, done: asyncio.Future[None] | None, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if done is not None and not done.done():
            done.set_result(None)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "webhook task failed", "exception": error})
        self._start_some()
        self._rest()

    async def _run(self, webhook: Webhook) -> None:
        bare, overrides = split(webhook.url)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + overrides.total_ms / 1000
        for number in range(overrides.retries + 1):
            if number:
                await asyncio.sleep(self.settings.retry_pause_s)
            left_s = deadline - loop.time()
            if left_s <= 0:
                break
            one = await self._try(webhook, bare, overrides, left_s)
            webhook.tries.append(one)
            if one.result == "2xx" or not overrides.retry(one.result):
                break
        self._finished(webhook)

    async def _try(self, webhook: Webhook, url: str, overrides: Overrides, left_s: float) -> Try:
        loop = asyncio.get_running_loop()
        one, began = Try(self._clock.now(), 0.0, "rt"), loop.time()
        try:
            async with asyncio.timeout(left_s):
                one.http_status = await self._exchange(webhook, url, overrides)
            one.result = "2xx" if one.http_status < 300 else "5xx" if one.http_status >= 500 else "4xx"
        except NoConnection as error:
            one.result, one.error = "ct", str(error)
        except (NoAnswer, TimeoutError) as error:
            one.error = str(error) or "total timeout"
        one.took_s = loop.time() - began
        return one

    async def _exchange(self, webhook: Webhook, url: str, overrides: Overrides) -> int:
        method = webhook.method
        form = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in webhook.fields)
        if method == "GET":
            url += ("&" if "?" in url else "?") + form
        for _ in range(_MAX_REDIRECTS):
            headers = {
                "Accept": "*/*",
                "User-Agent": "TwilioProxy/1.1",
                "X-Home-Region": "us1",
                "I-Twilio-Idempotency-Token": webhook.token,
                "X-Twilio-Signature": sign(webhook.signing_token, url, webhook.fields if method == "POST" else ()),
            }
            if method == "POST":
                headers["Content-Type"] = webhook.content_type
            response = await self._client.request(
                method,
                url,
                headers,
                form.encode() if method == "POST" else b"",
                connect_s=overrides.connect_ms / 1000,
                read_s=overrides.read_ms / 1000,
            )
            if 300 <= response.status < 400 and "location" in response.headers:
                # Redirects are followed with GET and without the fields.
                url, method = urljoin(url, response.headers["location"]), "GET"
                continue
            if webhook.kind == "inbound":
                webhook.answer = response.body
                webhook.answer_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return response.status
        return _TOO_MANY_REDIRECTS
